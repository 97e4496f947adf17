//! Client assertions: what a client, or an issuer that it trusts, must have signed for the client to be proven (RFC 7523 section 3).
//!
//! Owns: issuer, subject, audience, times and single use; whose key. Owns not: form and signature (`crypt::assertion`), outside issuers
//! (`federation`).

use crate::{
    Certificate, DirectoryError, RequestError, Tenant, TenantAlias, claims::Proof, federation,
    holder::Holder, sweep::Expiring,
};
use crypt::{
    Assertion, AssertionFault, IssuerKey,
    assertion::{CLIENT_ALGORITHMS, Claimed, ISSUER_ALGORITHMS},
    encoding::from_hex,
};
use domain::{ClientId, HostNames, Secret, Timestamp, limits};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use store::{Halt, Key, Load, Record, View, Write};

/// Why an assertion does not prove its client. Texts are the caller's own, cut to a length.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssertionRefusal {
    /// It cannot be read.
    #[error(transparent)]
    Form(#[from] AssertionFault),
    /// It is signed by a certificate that the client has not registered.
    #[error("the assertion is signed by no certificate of the client, it names {}", thumbprint.as_deref().unwrap_or("none"))]
    KeyUnknown {
        /// Which certificate it names, in hex.
        thumbprint: Option<String>,
    },
    /// It is signed by a certificate whose time is over, or has not come.
    #[error("the assertion is signed by certificate {thumbprint}, which is not valid now")]
    KeyOver {
        /// Which one.
        thumbprint: String,
    },
    /// It is signed by no key of the issuer.
    #[error("the assertion is signed by no key of its issuer")]
    IssuerKeyUnknown,
    /// It says that it is another client's, or an issuer's for another.
    #[error("the assertion's issuer and subject are not both the client")]
    OfAnother,
    /// It is not meant for this token endpoint.
    #[error("the assertion is for another audience")]
    Audience,
    /// It is over, has not begun, or would be good for too long.
    #[error("the assertion is not within its time: {why}")]
    Time {
        /// Which rule.
        why: &'static str,
    },
    /// It was presented before.
    #[error("the assertion was used before, or has no id by which to tell")]
    Used,
    /// It is a token of this directory.
    #[error("a token of this directory is no assertion")]
    OwnToken,
    /// It is what a program's token file holds, and its caller is not that program, or has no such identity now.
    #[error(
        "the token file is of another program, or of one that has ended, or its app has no such identity"
    )]
    NotItsProgram,
    /// The client trusts no such issuer.
    #[error("no federated credential of the client is of issuer {issuer}")]
    IssuerUnknown {
        /// As presented.
        issuer: String,
    },
    /// The client trusts the issuer, for another subject.
    #[error("no federated credential of the client is of subject {subject}")]
    SubjectUnknown {
        /// As presented.
        subject: String,
    },
    /// The client trusts the issuer for the subject, and the assertion is for another audience.
    #[error("no federated credential of the client is of audience {audience}")]
    AudienceUnknown {
        /// As presented.
        audience: String,
    },
    /// The issuer's keys cannot be had.
    #[error("the keys of issuer {issuer} cannot be had: {why}")]
    IssuerUnavailable {
        /// As presented.
        issuer: String,
        /// Why, for the operator.
        why: String,
    },
}

/// An assertion as it was presented, with what must be known of it besides the store.
#[derive(Debug)]
pub(crate) struct Presented {
    assertion: Assertion,
    /// Is it for this endpoint? What a client's own one must be.
    is_for_us: bool,
    is_own_token: bool,
    /// What the outside issuer publishes, once it was fetched.
    keys: Arc<Vec<IssuerKey>>,
}

impl Presented {
    /// Reads an assertion that was sent to a tenant as the URL called it, by our names or by others of ours.
    pub(crate) fn read(
        text: &Secret<String>,
        names: &HostNames,
        tenant: &Tenant,
        asked_by: &HostNames,
        called: &str,
    ) -> Result<Self, AssertionRefusal> {
        let assertion = Assertion::parse(text.expose())?;
        let audiences = &assertion.claimed().audiences;
        let is_for_us = audiences.iter().any(|audience| is_ours(audience, asked_by, tenant, called));
        let is_own_token = is_own_issuer(names, tenant, &assertion.claimed().issuer);
        Ok(Self { assertion, is_for_us, is_own_token, keys: Arc::default() })
    }

    /// Does it speak for itself, or does somebody else for it?
    fn is_own(&self) -> bool {
        self.assertion.claimed().issuer.parse::<ClientId>().is_ok()
    }

    /// The issuer that must be asked for its keys before the assertion can be judged, and the key that is needed.
    pub(crate) fn wants_keys(
        &self,
        view: &View,
        holder: &Holder,
        now: Timestamp,
    ) -> Result<bool, Halt<DirectoryError>> {
        let claimed = self.assertion.claimed();
        if self.is_own()
            || self.is_own_token
            || check_times(claimed, limits::FEDERATED_LIFETIME_MAX, now).is_err()
        {
            return Ok(false);
        }
        let trusted = federation::find(&holder.federated(view)?, claimed);
        Ok(trusted.is_ok_and(|credential| credential.keys.is_empty()))
    }

    /// Issuer and `kid`.
    pub(crate) fn signer(&self) -> (&str, Option<&str>) {
        (&self.assertion.claimed().issuer, self.assertion.kid())
    }

    pub(crate) fn known_by(&mut self, keys: Arc<Vec<IssuerKey>>) {
        self.keys = keys;
    }

    /// Judges it: by what it proves the client, and what is to be written with it.
    pub(crate) fn judge(
        &self,
        view: &View,
        holder: &Holder,
        now: Timestamp,
    ) -> Result<(Proof, Vec<Write>), Halt<DirectoryError>> {
        if self.is_own_token {
            return Err(refusal(AssertionRefusal::OwnToken));
        }
        if !self.is_own() {
            return self.judge_federated(view, holder, now);
        }
        let claimed = self.assertion.claimed();
        let certificate = self.signed_by(holder.certificates(), now).map_err(refusal)?;
        let is_client = |text: &str| text.parse::<ClientId>().is_ok_and(|id| id == holder.client());
        if !is_client(&claimed.issuer) || !is_client(&claimed.subject) {
            return Err(refusal(AssertionRefusal::OfAnother));
        }
        if !self.is_for_us {
            return Err(refusal(AssertionRefusal::Audience));
        }
        check_times(claimed, limits::ASSERTION_LIFETIME_MAX, now).map_err(refusal)?;
        let writes = match holder.uses_assertions_up() {
            true => vec![use_up(view, holder.client(), claimed, now)?],
            false => Vec::new(),
        };
        Ok((Proof::Certificate(certificate.id), writes))
    }

    /// The registered certificate that has signed. A client that names none may have used any of them.
    fn signed_by<'c>(
        &self,
        certificates: &'c [Certificate],
        now: Timestamp,
    ) -> Result<&'c Certificate, AssertionRefusal> {
        let may_be = |one: &&Certificate| match (from_hex(&one.sha1), from_hex(&one.sha256)) {
            (Ok(sha1), Ok(sha256)) => self.assertion.may_be_of(&sha1, &sha256),
            _ => false,
        };
        let unknown = || AssertionRefusal::KeyUnknown { thumbprint: self.assertion.thumbprint() };
        let mut fault = None;
        for certificate in certificates.iter().filter(may_be) {
            match self.assertion.verify(&certificate.key, CLIENT_ALGORITHMS) {
                Ok(()) if (certificate.start..=certificate.end).contains(&now) => return Ok(certificate),
                Ok(()) => fault = Some(AssertionRefusal::KeyOver { thumbprint: certificate.sha1.clone() }),
                // Of several that it may be of, the others' signatures are naturally not theirs.
                Err(other) if self.assertion.names_certificate() => fault = Some(other.into()),
                Err(_) => {}
            }
        }
        Err(fault.unwrap_or_else(unknown))
    }

    fn judge_federated(
        &self,
        view: &View,
        holder: &Holder,
        now: Timestamp,
    ) -> Result<(Proof, Vec<Write>), Halt<DirectoryError>> {
        let claimed = self.assertion.claimed();
        let credential = federation::find(&holder.federated(view)?, claimed).map_err(refusal)?;
        check_times(claimed, limits::FEDERATED_LIFETIME_MAX, now).map_err(refusal)?;
        let keys = if credential.keys.is_empty() { &*self.keys } else { &credential.keys };
        let mut fault = AssertionRefusal::IssuerKeyUnknown;
        for key in keys.iter().filter(|key| key.may_have_signed(&self.assertion)) {
            match self.assertion.verify(&key.key, ISSUER_ALGORITHMS) {
                // A token file is presented again and again until it is renewed: its id is not used up.
                Ok(()) => return Ok((credential.proof(), Vec::new())),
                Err(other) => fault = other.into(),
            }
        }
        Err(refusal(fault))
    }
}

fn refusal(refusal: AssertionRefusal) -> Halt<DirectoryError> {
    Halt::Refuse(DirectoryError::Request(RequestError::Assertion(refusal)))
}

/// Is it one of the names of this tenant's token endpoints, or of its issuer in either version? The tenant may be named as the URL did.
fn is_ours(audience: &str, names: &HostNames, tenant: &Tenant, called: &str) -> bool {
    let base = names.login_base();
    let known = names
        .login_aliases()
        .iter()
        .filter_map(|alias| audience.strip_prefix("https://")?.strip_prefix(alias));
    let path = audience.strip_prefix(&base).into_iter().chain(known).find_map(|rest| rest.strip_prefix('/'));
    let Some((named, rest)) = path.and_then(|path| path.split_once('/')) else { return false };
    let is_tenant =
        named == called || tenant.alias(named).is_ok_and(|alias| matches!(alias, TenantAlias::Named));
    is_tenant && matches!(rest, "oauth2/v2.0/token" | "oauth2/token" | "v2.0" | "")
}

/// This directory as tokens tell it: in either version, by its own names and the public cloud's.
pub(crate) fn own_issuers(names: &HostNames, tenant: &Tenant) -> [String; 4] {
    let azure = HostNames::azure();
    [
        names.issuer_v1(tenant.id),
        names.issuer_v2(tenant.id),
        azure.issuer_v1(tenant.id),
        azure.issuer_v2(tenant.id),
    ]
}

/// Is it this directory, in either version, by whichever names?
pub(crate) fn is_own_issuer(names: &HostNames, tenant: &Tenant, issuer: &str) -> bool {
    let is = |own: &String| issuer.trim_end_matches('/').eq_ignore_ascii_case(own.trim_end_matches('/'));
    own_issuers(names, tenant).iter().any(is)
}

fn check_times(claimed: &Claimed, most: Duration, now: Timestamp) -> Result<(), AssertionRefusal> {
    let fault = |why| Err(AssertionRefusal::Time { why });
    if claimed.expires <= now {
        return fault("it is over");
    }
    if claimed.expires > now.plus(most).plus(limits::CLOCK_SKEW) {
        return fault("its end is too far away");
    }
    let begins = claimed.not_before.into_iter().chain(claimed.issued).max();
    if begins.is_some_and(|begins| begins > now.plus(limits::CLOCK_SKEW)) {
        return fault("it has not begun");
    }
    Ok(())
}

/// An assertion that must not be presented again. Kept until it would be refused in any case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct UsedAssertion {
    /// Its place: the id itself is not kept.
    place: String,
    pub(crate) until: Timestamp,
}

impl UsedAssertion {
    pub(crate) const PREFIX: &str = "assertion-used/";

    /// Whose, and its id.
    fn place(client: ClientId, id: &str) -> String {
        format!("{}{client}/{}", Self::PREFIX, crypt::sha256(id))
    }
}

impl Expiring for UsedAssertion {
    fn expires(&self) -> Timestamp {
        self.until
    }

    fn again(&self, view: &View) -> Result<Option<Arc<Self>>, Load> {
        view.get::<Self>(&self.place)
    }
}

impl Record for UsedAssertion {
    type Id = str;

    fn key(place: &str) -> Key {
        Key::new(place)
    }
}

fn use_up(
    view: &View,
    client: ClientId,
    claimed: &Claimed,
    now: Timestamp,
) -> Result<Write, Halt<DirectoryError>> {
    let Some(id) = claimed.id.as_deref().filter(|id| !id.is_empty()) else {
        return Err(refusal(AssertionRefusal::Used));
    };
    let place = UsedAssertion::place(client, id);
    if view.get::<UsedAssertion>(&place)?.is_some_and(|used| used.until > now) {
        return Err(refusal(AssertionRefusal::Used));
    }
    let used = UsedAssertion { place, until: claimed.expires };
    Ok(store::put::<UsedAssertion>(&used.place, &used))
}

#[cfg(test)]
mod tests;
