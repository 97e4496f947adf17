//! What a certificate is to say: a policy of Key Vault, as far as X.509 is concerned.
//!
//! Owns: [`CertificateProfile`], its checks, the extensions that follow from it and the dates of its validity. Owns not: the policy's
//! other halves (the key's kind, renewal), which are a vault's.

use super::{AlternativeNames, CertificateError, KeyUsage, KeyUsages, Oid, Subject};
use der::{DateTime, Encode, asn1::OctetString, oid::AssociatedOid};
use domain::Timestamp;
use std::time::Duration;
use x509_cert::{
    ext::{
        Extension,
        pkix::{BasicConstraints, ExtendedKeyUsage, SubjectAltName},
    },
    time::{Time, Validity},
};

/// Months for which a certificate may be valid. Ours: a hundred years; Key Vault's own number is not told.
pub const VALIDITY_MONTHS_MAX: u32 = 1_200;
/// How long before it is made a certificate begins to be valid, for clocks that are behind. Source: as Key Vault was seen to do (600 s).
pub const BACKDATED: Duration = Duration::from_secs(600);
/// Extended key usages of one certificate that we make. Ours.
pub const EXTENDED_KEY_USAGES_MAX: usize = 50;

/// What a certificate is to say. It is never an authority's (`CA:FALSE`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateProfile {
    /// Whom it is about. May be empty if there are alternative names.
    pub subject: Subject,
    /// By which other names.
    pub alternative_names: AlternativeNames,
    /// What its key is for; none says nothing.
    pub key_usages: KeyUsages,
    /// For which purposes; none says nothing.
    pub extended_key_usages: Vec<Oid>,
    /// Calendar months from the time it is made to its end, 1 to [`VALIDITY_MONTHS_MAX`].
    pub validity_months: u32,
}

impl CertificateProfile {
    /// Key Vault's defaults for a subject: twelve months, a TLS server's and client's certificate. Source: the policies that it returns.
    #[must_use]
    pub fn new(subject: Subject) -> Self {
        Self {
            subject,
            alternative_names: AlternativeNames::default(),
            key_usages: [KeyUsage::DigitalSignature, KeyUsage::KeyEncipherment].into_iter().collect(),
            extended_key_usages: vec![Oid::SERVER_AUTH, Oid::CLIENT_AUTH],
            validity_months: 12,
        }
    }

    /// Whether a certificate can be made of it. Whatever makes one checks it too; here it can be told before there is a key.
    ///
    /// # Errors
    /// [`CertificateError::Nameless`], [`CertificateError::AlternativeName`], [`CertificateError::ObjectIdentifier`],
    /// [`CertificateError::Validity`].
    pub fn check(&self) -> Result<(), CertificateError> {
        if self.subject.is_empty() && self.alternative_names.is_empty() {
            return Err(CertificateError::Nameless);
        }
        if self.extended_key_usages.len() > EXTENDED_KEY_USAGES_MAX {
            return Err(CertificateError::ObjectIdentifier { why: "there are too many" });
        }
        if !(1..=VALIDITY_MONTHS_MAX).contains(&self.validity_months) {
            return Err(CertificateError::Validity);
        }
        self.alternative_names.check()
    }

    /// The extensions that a request asks for and a certificate has.
    pub(super) fn extensions(&self) -> Result<Vec<Extension>, CertificateError> {
        let mut extensions =
            vec![extension(true, &BasicConstraints { ca: false, path_len_constraint: None })?];
        if !self.key_usages.is_empty() {
            extensions.push(extension(true, &self.key_usages.to_extension())?);
        }
        if !self.extended_key_usages.is_empty() {
            let usages = self.extended_key_usages.iter().map(|oid| oid.0).collect();
            extensions.push(extension(false, &ExtendedKeyUsage(usages))?);
        }
        if !self.alternative_names.is_empty() {
            // RFC 5280 section 4.2.1.6: critical if there is no other name.
            let names = SubjectAltName(self.alternative_names.to_general_names()?);
            extensions.push(extension(self.subject.is_empty(), &names)?);
        }
        Ok(extensions)
    }

    /// From a little before `now` to `validity_months` after it, but not beyond `limit`.
    pub(super) fn validity(
        &self,
        now: Timestamp,
        limit: Option<Timestamp>,
    ) -> Result<Validity, CertificateError> {
        let until = months_after(now, self.validity_months)?;
        let until = match limit {
            Some(limit) if limit < timestamp(until) => date(limit)?,
            _ => until,
        };
        Ok(Validity::new(Time::from(date(now.minus(BACKDATED))?), Time::from(until)))
    }
}

/// Encodes an extension.
pub(super) fn extension<T: Encode + AssociatedOid>(
    is_critical: bool,
    value: &T,
) -> Result<Extension, CertificateError> {
    let extn_value = value.to_der().and_then(OctetString::new);
    let extn_value =
        extn_value.map_err(|_| CertificateError::Unavailable { what: "writing an extension" })?;
    Ok(Extension { extn_id: T::OID, critical: is_critical, extn_value })
}

/// A time that a certificate can tell: 1970 to 9999. What is before that is taken for 1970.
fn date(time: Timestamp) -> Result<DateTime, CertificateError> {
    let seconds = u64::try_from(time.seconds()).unwrap_or(0);
    DateTime::from_unix_duration(Duration::from_secs(seconds)).map_err(|_| CertificateError::Validity)
}

pub(super) fn timestamp(date: DateTime) -> Timestamp {
    Timestamp::default().plus(date.unix_duration())
}

/// The same day and time of day so many months later; the last day of a month that is too short for it.
fn months_after(from: Timestamp, months: u32) -> Result<DateTime, CertificateError> {
    let from = date(from)?;
    let months = u32::from(from.year()) * 12 + u32::from(from.month()) - 1 + months;
    let year = u16::try_from(months / 12).map_err(|_| CertificateError::Validity)?;
    let month = u8::try_from(months % 12 + 1).map_err(|_| CertificateError::Validity)?;
    (28..=from.day().max(28))
        .rev()
        .map(|last| from.day().min(last))
        .find_map(|day| DateTime::new(year, month, day, from.hour(), from.minutes(), from.seconds()).ok())
        .ok_or(CertificateError::Validity)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_months(from: &str, months: u32, expected: &str) {
        let from = timestamp(from.parse().unwrap());
        assert_eq!(months_after(from, months).unwrap().to_string(), expected);
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        check_months("2025-12-09T04:16:59Z", 12, "2026-12-09T04:16:59Z");
        check_months("2026-01-31T23:59:59Z", 1, "2026-02-28T23:59:59Z");
        check_months("2024-01-31T00:00:00Z", 1, "2024-02-29T00:00:00Z");
        check_months("2024-02-29T12:00:00Z", 12, "2025-02-28T12:00:00Z");
        check_months("2026-03-31T12:00:00Z", 1, "2026-04-30T12:00:00Z");
        check_months("2026-12-01T12:00:00Z", 1, "2027-01-01T12:00:00Z");
        check_months("2026-11-30T12:00:00Z", 1, "2026-12-30T12:00:00Z");
        check_months("2000-06-15T00:00:00Z", 1_200, "2100-06-15T00:00:00Z");
        assert!(months_after(timestamp("9999-06-15T00:00:00Z".parse().unwrap()), 12).is_err());
        assert!(months_after(Timestamp::from_seconds(i64::MAX), 1).is_err());
        assert_eq!(
            months_after(Timestamp::from_seconds(i64::MIN), 1).unwrap().to_string(),
            "1970-02-01T00:00:00Z"
        );
    }

    #[test]
    fn validity_is_as_key_vault_was_seen_to_make_it() {
        // Made at 1765253819: nbf 1765253219, exp 1796789819.
        let profile = CertificateProfile::new(Subject::parse("CN=a").unwrap());
        let validity = profile.validity(Timestamp::from_seconds(1_765_253_819), None).unwrap();
        assert_eq!(validity.not_before.to_unix_duration().as_secs(), 1_765_253_219);
        assert_eq!(validity.not_after.to_unix_duration().as_secs(), 1_796_789_819);
        let limit = Timestamp::from_seconds(1_770_000_000);
        let validity = profile.validity(Timestamp::from_seconds(1_765_253_819), Some(limit)).unwrap();
        assert_eq!(validity.not_after.to_unix_duration().as_secs(), 1_770_000_000);
    }

    #[test]
    fn profiles_that_make_no_certificate_are_refused() {
        let good = CertificateProfile::new(Subject::parse("CN=a").unwrap());
        assert_eq!(good.check(), Ok(()));
        let check = |change: fn(&mut CertificateProfile), expected| {
            let mut profile = good.clone();
            change(&mut profile);
            assert_eq!(profile.check(), Err(expected));
        };
        check(|profile| profile.subject = Subject::default(), CertificateError::Nameless);
        check(|profile| profile.validity_months = 0, CertificateError::Validity);
        check(|profile| profile.validity_months = VALIDITY_MONTHS_MAX + 1, CertificateError::Validity);
        check(
            |profile| profile.extended_key_usages = vec![Oid::SERVER_AUTH; EXTENDED_KEY_USAGES_MAX + 1],
            CertificateError::ObjectIdentifier { why: "there are too many" },
        );
        check(
            |profile| profile.alternative_names.dns_names.push("a b".to_owned()),
            CertificateError::AlternativeName { why: "a DNS name is not a host's name" },
        );
    }
}
