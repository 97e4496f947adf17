//! Policies: how the next version of a certificate is to be made.
//!
//! Owns: what is kept of one, the defaults of what a request leaves out, which values are refused, and what follows from it for X.509 and
//! for the key. Owns not: the rules of X.509 (`crypt`), and when a renewal is due (`renewal`). Source of the defaults: the policies that
//! Key Vault returns.

use super::CertificateFault;
use crate::keys::KeyOp;
use crypt::{
    certificate::{
        AlternativeNames, CertificateError, CertificateProfile, KeyKind, KeyUsage, ParsedCertificate, Subject,
    },
    keys::{Curve, KeySpec, KeyType, RsaSize},
};
use domain::{ObjectName, Timestamp, limits};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name of the issuer that is the certificate's own key.
pub const SELF_ISSUER: &str = "Self";
/// The name of the issuer that is somebody whom the caller knows: what it signs is merged.
pub const UNKNOWN_ISSUER: &str = "Unknown";

/// In which form a certificate's secret holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContentType {
    /// A PFX in base64.
    #[default]
    #[serde(rename = "application/x-pkcs12")]
    Pkcs12,
    /// PEM.
    #[serde(rename = "application/x-pem-file")]
    Pem,
}

impl ContentType {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pkcs12 => "application/x-pkcs12",
            Self::Pem => "application/x-pem-file",
        }
    }

    /// Which one this is, if any.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pkcs12, Self::Pem].into_iter().find(|one| one.as_str().eq_ignore_ascii_case(text))
    }
}

/// A certificate's key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyPolicy {
    /// Does the certificate's secret hold it?
    pub exportable: bool,
    /// Is it the next version's as well?
    pub reuse: bool,
    /// Was it asked for as a key of an HSM? It is one of software, and says what it was asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_hardware: bool,
    /// Its type and size.
    #[serde(with = "spec_as_text")]
    pub spec: KeySpec,
}

/// Alternative names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Names {
    /// Mailboxes.
    pub emails: Vec<String>,
    /// Hosts.
    pub dns_names: Vec<String>,
    /// User principal names.
    pub upns: Vec<String>,
    /// URIs.
    pub uris: Vec<String>,
    /// IP addresses.
    pub ip_addresses: Vec<String>,
}

/// When something is to happen in the life of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// After so many hundredths of its life, 1 to 99.
    LifetimePercentage(u32),
    /// So many days before its end.
    DaysBeforeExpiry(u32),
}

/// What is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LifetimeActionKind {
    /// The contacts are to be told. It is kept, and nobody is: this product sends no mail.
    EmailContacts,
    /// A new version is made.
    AutoRenew,
}

/// What is to happen when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifetimeAction {
    /// When.
    pub trigger: Trigger,
    /// What.
    pub action: LifetimeActionKind,
}

/// Who signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerChoice {
    /// [`SELF_ISSUER`], [`UNKNOWN_ISSUER`], or the name of an issuer of the vault.
    pub name: String,
    /// Which of its certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_type: Option<String>,
    /// Is it to be in public logs? It is kept: no issuer that is carried out here has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transparency: Option<bool>,
}

/// That Azure is to manage the certificate. It is kept and shown: there is nobody here who would.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlatformManaged {
    /// What for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
    /// Whatever the caller said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<serde_json::Value>,
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CertificatePolicy {
    /// The key.
    pub key: KeyPolicy,
    /// The form of the secret.
    pub content_type: ContentType,
    /// Whom it is about (RFC 4514).
    pub subject: String,
    /// By which other names.
    #[serde(default)]
    pub names: Names,
    /// What its key is for, by X.509's names.
    pub key_usage: Vec<String>,
    /// For which purposes.
    pub extended_key_usage: Vec<String>,
    /// For how many months.
    pub validity_months: u32,
    /// What is to happen when.
    pub lifetime_actions: Vec<LifetimeAction>,
    /// Who signs. `None`: whoever manages it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<IssuerChoice>,
    /// Is Azure to manage it?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformManaged>,
    /// Kept and shown.
    pub enabled: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
}

/// What a request says of a key. Names are the protocol's.
#[derive(Clone, Debug, Default)]
pub struct KeyAsked {
    /// Does the secret hold it?
    pub exportable: Option<bool>,
    /// `RSA`, `EC`, or either with `-HSM`.
    pub key_type: Option<String>,
    /// Bits.
    pub size: Option<u32>,
    /// Is it the next version's as well?
    pub reuse: Option<bool>,
    /// The curve.
    pub curve: Option<String>,
}

/// What a request says of X.509.
#[derive(Clone, Debug, Default)]
pub struct X509Asked {
    /// Whom it is about.
    pub subject: Option<String>,
    /// By which other names: replaces all.
    pub names: Option<Names>,
    /// What its key is for: replaces all.
    pub key_usage: Option<Vec<String>>,
    /// For which purposes: replaces all.
    pub extended_key_usage: Option<Vec<String>>,
    /// For how many months.
    pub validity_months: Option<u32>,
}

/// What a request says of the issuer.
#[derive(Clone, Debug, Default)]
pub struct IssuerAsked {
    /// Who.
    pub name: Option<String>,
    /// Which of its certificates.
    pub certificate_type: Option<String>,
    /// Is it to be in public logs?
    pub transparency: Option<bool>,
}

/// What a request says of a policy. What it leaves out stays as it is, or for a new one is the default.
#[derive(Clone, Debug, Default)]
pub struct PolicyAsked {
    /// The key.
    pub key: KeyAsked,
    /// The form of the secret.
    pub content_type: Option<String>,
    /// X.509.
    pub x509: X509Asked,
    /// What is to happen when: replaces all.
    pub lifetime_actions: Option<Vec<LifetimeAction>>,
    /// Who signs.
    pub issuer: IssuerAsked,
    /// Is Azure to manage it?
    pub platform: Option<PlatformManaged>,
    /// Kept and shown.
    pub enabled: Option<bool>,
}

const DEFAULT_VALIDITY_MONTHS: u32 = 12;
/// After which part of a certificate's life it is renewed, or the contacts are to be told, unless the policy says otherwise.
const DEFAULT_PERCENTAGE: u32 = 80;
/// Lifetime actions of one policy. Ours: there are two to have.
const LIFETIME_ACTIONS_MAX: usize = 8;
/// Days of a month, at most which a renewal may come before the end. Source: Key Vault OpenAPI, `days_before_expiry`.
const DAYS_OF_MONTH: u32 = 27;

impl Default for CertificatePolicy {
    /// Of a certificate that says nothing.
    fn default() -> Self {
        Self {
            key: KeyPolicy {
                exportable: true,
                reuse: false,
                is_hardware: false,
                spec: KeySpec::Rsa(RsaSize::Bits2048),
            },
            content_type: ContentType::Pkcs12,
            subject: String::new(),
            names: Names::default(),
            key_usage: ["digitalSignature", "keyEncipherment"].map(str::to_owned).to_vec(),
            extended_key_usage: ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"].map(str::to_owned).to_vec(),
            validity_months: DEFAULT_VALIDITY_MONTHS,
            lifetime_actions: Vec::new(),
            issuer: None,
            platform: None,
            enabled: true,
            created: Timestamp::default(),
            updated: Timestamp::default(),
        }
    }
}

const fn invalid(what: &'static str, rule: &'static str) -> CertificateFault {
    CertificateFault::Invalid { what, rule }
}

impl CertificatePolicy {
    /// A new one. A certificate can be made of it.
    pub(crate) fn new(asked: &PolicyAsked, now: Timestamp) -> Result<Self, CertificateFault> {
        let mut policy = Self { created: now, ..Self::default() };
        policy.apply(asked, now)?;
        policy.complete(LifetimeActionKind::AutoRenew, asked)?;
        Ok(policy)
    }

    /// A new one for a certificate that came from outside. What the request leaves out is as the certificate is, and unless it says so
    /// nothing renews it: a successor of ours would not be by whoever signed this one.
    pub(crate) fn of_imported(
        asked: Option<&PolicyAsked>,
        certificate: &ParsedCertificate,
        form: ContentType,
        now: Timestamp,
    ) -> Result<Self, CertificateFault> {
        let names = &certificate.alternative_names;
        let mut policy = Self {
            subject: certificate.subject.to_string(),
            content_type: form,
            names: Names {
                emails: names.emails.clone(),
                dns_names: names.dns_names.clone(),
                upns: names.upns.clone(),
                uris: names.uris.clone(),
                ip_addresses: names.ip_addresses.iter().map(ToString::to_string).collect(),
            },
            key_usage: certificate.key_usages.iter().map(|usage| usage.name().to_owned()).collect(),
            extended_key_usage: certificate.extended_key_usages.iter().map(ToString::to_string).collect(),
            validity_months: months(certificate),
            created: now,
            ..Self::default()
        };
        policy.key.spec = spec_of(certificate.public_key.kind()).unwrap_or(policy.key.spec);
        let nothing = PolicyAsked::default();
        let asked = asked.unwrap_or(&nothing);
        policy.apply(asked, now)?;
        policy.complete(LifetimeActionKind::EmailContacts, asked)?;
        Ok(policy)
    }

    /// Would its versions be as another one's, made by the same issuer, and without being asked for only if the other's are?
    pub(crate) fn makes_the_same(&self, other: &Self) -> bool {
        self.subject == other.subject
            && self.names == other.names
            && self.key_usage == other.key_usage
            && self.extended_key_usage == other.extended_key_usage
            && self.validity_months == other.validity_months
            && self.issuer == other.issuer
            && (other.renews() || !self.renews())
    }

    /// Is its next version made when its time comes?
    pub(crate) fn renews(&self) -> bool {
        self.lifetime_actions.iter().any(|action| action.action == LifetimeActionKind::AutoRenew)
    }

    /// After a change. A certificate can be made of it, if one could be before.
    pub(crate) fn changed(&self, asked: &PolicyAsked, now: Timestamp) -> Result<Self, CertificateFault> {
        let mut policy = self.clone();
        policy.apply(asked, now)?;
        policy.check()?;
        Ok(policy)
    }

    fn apply(&mut self, asked: &PolicyAsked, now: Timestamp) -> Result<(), CertificateFault> {
        self.apply_key(&asked.key)?;
        if let Some(text) = &asked.content_type {
            let rule = "must be application/x-pkcs12 or application/x-pem-file";
            self.content_type =
                ContentType::parse(text).ok_or(invalid("the content type of the secret", rule))?;
        }
        let x509 = &asked.x509;
        set(&mut self.subject, &x509.subject);
        set(&mut self.names, &x509.names);
        set(&mut self.key_usage, &x509.key_usage);
        set(&mut self.extended_key_usage, &x509.extended_key_usage);
        set(&mut self.validity_months, &x509.validity_months);
        set(&mut self.lifetime_actions, &asked.lifetime_actions);
        if let Some(name) = &asked.issuer.name {
            let issuer = IssuerChoice { name: name.clone(), certificate_type: None, transparency: None };
            self.issuer = Some(
                self.issuer
                    .take()
                    .map_or_else(|| issuer, |known| IssuerChoice { name: name.clone(), ..known }),
            );
        }
        let IssuerAsked { certificate_type, transparency, .. } = &asked.issuer;
        if certificate_type.is_some() || transparency.is_some() {
            let issuer = self.issuer.get_or_insert_with(unknown_issuer);
            issuer.certificate_type = certificate_type.clone().or(issuer.certificate_type.take());
            issuer.transparency = transparency.or(issuer.transparency);
        }
        if asked.platform.is_some() {
            self.platform.clone_from(&asked.platform);
        }
        self.enabled = asked.enabled.unwrap_or(self.enabled);
        self.updated = now;
        Ok(())
    }

    fn apply_key(&mut self, asked: &KeyAsked) -> Result<(), CertificateFault> {
        self.key.exportable = asked.exportable.unwrap_or(self.key.exportable);
        self.key.reuse = asked.reuse.unwrap_or(self.key.reuse);
        let key_type = match &asked.key_type {
            None => self.key.spec.key_type(),
            Some(name) => {
                let (plain, is_hardware) =
                    name.strip_suffix("-HSM").map_or((name.as_str(), false), |plain| (plain, true));
                let key_type = KeyType::parse(plain).filter(|one| *one != KeyType::Oct);
                let key_type = key_type.ok_or(invalid("the type of the key", "must be RSA or EC"))?;
                self.key.is_hardware = is_hardware;
                key_type
            }
        };
        self.key.spec = match (key_type, self.key.spec) {
            (KeyType::Rsa, known) => {
                let rule = "must be 2048, 3072 or 4096";
                let size = match (asked.size, known) {
                    (Some(bits), _) => usize::try_from(bits).ok().and_then(RsaSize::from_bits),
                    (None, KeySpec::Rsa(size)) => Some(size),
                    (None, _) => Some(RsaSize::Bits2048),
                };
                KeySpec::Rsa(size.ok_or(invalid("the size of the RSA key", rule))?)
            }
            (_, known) => {
                let named = match &asked.curve {
                    Some(name) => {
                        let rule = "must be P-256, P-256K, P-384 or P-521";
                        Some(Curve::parse(name).ok_or(invalid("the curve of the key", rule))?)
                    }
                    None => None,
                };
                let curve = match (named, asked.size, known) {
                    (Some(curve), Some(bits), _) if bits == curve_bits(curve) => Some(curve),
                    (Some(curve), None, _) => Some(curve),
                    (None, Some(bits), KeySpec::Ec(known)) if bits == curve_bits(known) => Some(known),
                    (None, Some(bits), _) => Curve::ALL.into_iter().find(|curve| bits == curve_bits(*curve)),
                    (None, None, KeySpec::Ec(known)) => Some(known),
                    (None, None, _) => Some(Curve::P256),
                    (Some(_), Some(_), _) => None,
                };
                let rule = "must be that of its curve: 256, 384 or 521";
                KeySpec::Ec(curve.ok_or(invalid("the size of the EC key", rule))?)
            }
        };
        Ok(())
    }

    /// What nobody said, once it is known who signs.
    fn complete(&mut self, usual: LifetimeActionKind, asked: &PolicyAsked) -> Result<(), CertificateFault> {
        if self.issuer.is_none() && self.platform.is_none() {
            self.issuer = Some(unknown_issuer());
        }
        if asked.lifetime_actions.is_none() {
            let action = if self.is_of(UNKNOWN_ISSUER) { LifetimeActionKind::EmailContacts } else { usual };
            let trigger = Trigger::LifetimePercentage(DEFAULT_PERCENTAGE);
            self.lifetime_actions = vec![LifetimeAction { trigger, action }];
        }
        self.check()
    }

    fn check(&self) -> Result<(), CertificateFault> {
        if self.lifetime_actions.len() > LIFETIME_ACTIONS_MAX {
            return Err(invalid("the number of lifetime actions", "must be 8 at most"));
        }
        for LifetimeAction { trigger, .. } in &self.lifetime_actions {
            match trigger {
                Trigger::LifetimePercentage(1..=99) => {}
                Trigger::LifetimePercentage(_) => {
                    return Err(invalid("lifetime_percentage", "must be from 1 to 99"));
                }
                Trigger::DaysBeforeExpiry(days)
                    if (1..=self.validity_months.saturating_mul(DAYS_OF_MONTH)).contains(days) => {}
                Trigger::DaysBeforeExpiry(_) => {
                    let rule = "must be from 1 to the months of validity multiplied by 27";
                    return Err(invalid("days_before_expiry", rule));
                }
            }
        }
        let size = serde_json::to_vec(self).map_or(usize::MAX, |text| text.len());
        if size > limits::CERTIFICATE_POLICY_BYTES_MAX {
            return Err(invalid("the size of the policy", "must be at most 16 KiB"));
        }
        Ok(())
    }

    /// Is this its issuer?
    pub(crate) fn is_of(&self, issuer: &str) -> bool {
        self.issuer.as_ref().is_some_and(|choice| choice.name.eq_ignore_ascii_case(issuer))
    }

    /// The issuer of the vault that it names; `None` if it names none that there could be.
    pub(crate) fn named_issuer(&self) -> Option<ObjectName> {
        self.issuer.as_ref().and_then(|choice| ObjectName::parse(&choice.name).ok())
    }

    /// What the certificate is to say. Whether all of it may be said is checked.
    pub(crate) fn profile(&self) -> Result<CertificateProfile, CertificateFault> {
        let usages = self.key_usage.iter().map(|name| KeyUsage::parse(name));
        let addresses = self.names.ip_addresses.iter().map(|text| text.parse());
        let addresses = addresses.collect::<Result<_, _>>();
        let profile = CertificateProfile {
            subject: Subject::parse(&self.subject)?,
            alternative_names: AlternativeNames {
                dns_names: self.names.dns_names.clone(),
                emails: self.names.emails.clone(),
                upns: self.names.upns.clone(),
                uris: self.names.uris.clone(),
                ip_addresses: addresses
                    .map_err(|_| CertificateError::AlternativeName { why: "an IP address is none" })?,
            },
            key_usages: usages.collect::<Result<_, _>>()?,
            extended_key_usages: self
                .extended_key_usage
                .iter()
                .map(|text| text.parse())
                .collect::<Result<_, _>>()?,
            validity_months: self.validity_months,
        };
        profile.check()?;
        Ok(profile)
    }

    /// What its key may do, as follows from what the certificate says of it (Key Vault, "About certificates"); everything that a key of
    /// its type can, if that says nothing.
    pub(crate) fn operations(&self, key_type: KeyType) -> Vec<KeyOp> {
        use KeyOp::{Decrypt, Encrypt, Sign, UnwrapKey, Verify, WrapKey};
        let said: Vec<KeyUsage> =
            self.key_usage.iter().filter_map(|name| KeyUsage::parse(name).ok()).collect();
        let of_usage = |usage: &KeyUsage| -> &[KeyOp] {
            match usage {
                KeyUsage::DigitalSignature
                | KeyUsage::NonRepudiation
                | KeyUsage::KeyCertSign
                | KeyUsage::CrlSign => &[Sign, Verify],
                KeyUsage::KeyEncipherment => &[WrapKey, UnwrapKey],
                KeyUsage::DataEncipherment => &[Encrypt, Decrypt],
                KeyUsage::EncipherOnly => &[Encrypt],
                KeyUsage::DecipherOnly => &[Decrypt],
                KeyUsage::KeyAgreement => &[],
            }
        };
        let mut operations = KeyOp::defaults(key_type);
        if !said.is_empty() {
            operations.retain(|operation| said.iter().any(|usage| of_usage(usage).contains(operation)));
        }
        operations
    }
}

fn unknown_issuer() -> IssuerChoice {
    IssuerChoice { name: UNKNOWN_ISSUER.to_owned(), certificate_type: None, transparency: None }
}

fn set<T: Clone>(known: &mut T, asked: &Option<T>) {
    if let Some(asked) = asked {
        known.clone_from(asked);
    }
}

/// The bits of a curve's field: what the protocol calls the size of its keys.
pub const fn curve_bits(curve: Curve) -> u32 {
    match curve {
        Curve::P256 | Curve::P256K => 256,
        Curve::P384 => 384,
        Curve::P521 => 521,
    }
}

fn spec_of(kind: KeyKind) -> Option<KeySpec> {
    use crypt::certificate::Curve as Of;
    match kind {
        KeyKind::Rsa { bits } => usize::try_from(bits).ok().and_then(RsaSize::from_bits).map(KeySpec::Rsa),
        KeyKind::Ec(curve) => Some(KeySpec::Ec(match curve {
            Of::P256 => Curve::P256,
            Of::P256K => Curve::P256K,
            Of::P384 => Curve::P384,
            Of::P521 => Curve::P521,
        })),
        KeyKind::Other => None,
    }
}

/// The length of a certificate's life in months of 30.4 days, 1 at least.
fn months(certificate: &ParsedCertificate) -> u32 {
    const MONTH: i64 = 2_629_746;
    let seconds = certificate.not_after.seconds().saturating_sub(certificate.not_before.seconds());
    let months = seconds.saturating_add(MONTH / 2) / MONTH;
    let most = i64::from(crypt::certificate::profile::VALIDITY_MONTHS_MAX);
    u32::try_from(months.clamp(1, most)).unwrap_or(DEFAULT_VALIDITY_MONTHS)
}

/// A key's type and size as `RSA 2048` or `EC P-256`.
mod spec_as_text {
    use super::{Curve, Deserialize, Deserializer, KeySpec, RsaSize, Serialize, Serializer};
    use serde::de::Error as _;

    pub(super) fn serialize<S: Serializer>(spec: &KeySpec, serializer: S) -> Result<S::Ok, S::Error> {
        spec.to_string().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<KeySpec, D::Error> {
        let text = String::deserialize(deserializer)?;
        let spec = match text.split_once(' ') {
            Some(("RSA", bits)) => bits.parse().ok().and_then(RsaSize::from_bits).map(KeySpec::Rsa),
            Some(("EC", curve)) => Curve::parse(curve).map(KeySpec::Ec),
            _ => None,
        };
        spec.ok_or_else(|| D::Error::custom("not the type and size of a certificate's key"))
    }
}
