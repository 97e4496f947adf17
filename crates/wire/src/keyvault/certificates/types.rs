//! Bodies of the certificates API. Passwords and private keys are secrets from here on.

use super::super::{
    error::KeyVaultError,
    types::{Attributes, Object, Tags},
};
use crypt::{encoding, keys::KeySpec};
use domain::{Secret, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use vault::certificates::{
    Administrator, CertificateChange, CertificatePolicy, Contact, Contacts, CreateCertificate, Der,
    ImportCertificate, Issuer, IssuerAsked, IssuerChange, IssuerCredentials, KeyAsked, LifetimeAction,
    LifetimeActionKind, MergeCertificate, Names, Pending, PendingStatus, PlatformManaged, PolicyAsked,
    Trigger, UNKNOWN_ISSUER, X509Asked, curve_bits,
};

/// Of `CertificateAttributes` what can be said: the rest is the certificate's own.
#[derive(Deserialize, Default)]
struct AttributesBody {
    enabled: Option<bool>,
}

fn enabled(attributes: Option<&Object<AttributesBody>>) -> Option<bool> {
    attributes.and_then(|Object(attributes)| attributes.enabled)
}

/// `CertificatePolicy`, as it is asked for. What is absent, `null` or an empty object is not said.
#[derive(Deserialize)]
pub(super) struct PolicyBody {
    key_props: Option<Object<KeyBody>>,
    secret_props: Option<Object<SecretBody>>,
    x509_props: Option<Object<X509Body>>,
    lifetime_actions: Option<Vec<Object<LifetimeActionBody>>>,
    issuer: Option<Object<IssuerBody>>,
    attributes: Option<Object<AttributesBody>>,
    #[serde(rename = "platformManaged")]
    platform_managed: Option<Object<PlatformBody>>,
}

#[derive(Deserialize)]
struct KeyBody {
    exportable: Option<bool>,
    kty: Option<String>,
    key_size: Option<u32>,
    reuse_key: Option<bool>,
    crv: Option<String>,
}

#[derive(Deserialize)]
struct SecretBody {
    #[serde(rename = "contentType")]
    content_type: Option<String>,
}

#[derive(Deserialize)]
struct X509Body {
    subject: Option<String>,
    ekus: Option<Vec<String>>,
    sans: Option<Object<NamesBody>>,
    key_usage: Option<Vec<String>>,
    validity_months: Option<u32>,
}

#[derive(Deserialize)]
struct NamesBody {
    emails: Option<Vec<String>>,
    dns_names: Option<Vec<String>>,
    upns: Option<Vec<String>>,
    uris: Option<Vec<String>>,
    #[serde(rename = "ipAddresses")]
    ip_addresses: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct LifetimeActionBody {
    trigger: Option<Object<TriggerBody>>,
    action: Option<Object<ActionBody>>,
}

#[derive(Deserialize)]
struct TriggerBody {
    lifetime_percentage: Option<u32>,
    days_before_expiry: Option<u32>,
}

#[derive(Deserialize)]
struct ActionBody {
    action_type: Option<String>,
}

#[derive(Deserialize)]
struct IssuerBody {
    name: Option<String>,
    cty: Option<String>,
    cert_transparency: Option<bool>,
}

#[derive(Deserialize)]
struct PlatformBody {
    #[serde(rename = "certificateUsage")]
    certificate_usage: Option<String>,
    metadata: Option<serde_json::Value>,
}

impl PolicyBody {
    pub(super) fn into_asked(self) -> Result<PolicyAsked, KeyVaultError> {
        let mut asked = PolicyAsked {
            content_type: self.secret_props.and_then(|Object(secret)| secret.content_type),
            enabled: enabled(self.attributes.as_ref()),
            platform: self.platform_managed.map(|Object(platform)| PlatformManaged {
                usage: platform.certificate_usage,
                metadata: platform.metadata,
            }),
            ..PolicyAsked::default()
        };
        if let Some(Object(key)) = self.key_props {
            asked.key = KeyAsked {
                exportable: key.exportable,
                key_type: key.kty,
                size: key.key_size,
                reuse: key.reuse_key,
                curve: key.crv,
            };
        }
        if let Some(Object(x509)) = self.x509_props {
            asked.x509 = X509Asked {
                subject: x509.subject,
                names: x509.sans.map(|Object(names)| Names {
                    emails: names.emails.unwrap_or_default(),
                    dns_names: names.dns_names.unwrap_or_default(),
                    upns: names.upns.unwrap_or_default(),
                    uris: names.uris.unwrap_or_default(),
                    ip_addresses: names.ip_addresses.unwrap_or_default(),
                }),
                key_usage: x509.key_usage,
                extended_key_usage: x509.ekus,
                validity_months: x509.validity_months,
            };
        }
        if let Some(Object(issuer)) = self.issuer {
            asked.issuer = IssuerAsked {
                name: issuer.name,
                certificate_type: issuer.cty,
                transparency: issuer.cert_transparency,
            };
        }
        let actions = self.lifetime_actions.map(|actions| actions.into_iter().map(action).collect());
        asked.lifetime_actions = actions.transpose()?;
        Ok(asked)
    }
}

fn action(Object(body): Object<LifetimeActionBody>) -> Result<LifetimeAction, KeyVaultError> {
    let trigger =
        body.trigger.map(|Object(trigger)| (trigger.lifetime_percentage, trigger.days_before_expiry));
    let trigger = match trigger {
        Some((Some(percentage), None)) => Trigger::LifetimePercentage(percentage),
        Some((None, Some(days))) => Trigger::DaysBeforeExpiry(days),
        _ => {
            let rule = "must have either lifetime_percentage or days_before_expiry";
            return Err(KeyVaultError::bad_member("The trigger of a lifetime action", rule));
        }
    };
    let action = body.action.and_then(|Object(action)| action.action_type);
    let action = match action.as_deref() {
        Some(action) if action.eq_ignore_ascii_case("AutoRenew") => LifetimeActionKind::AutoRenew,
        Some(action) if action.eq_ignore_ascii_case("EmailContacts") => LifetimeActionKind::EmailContacts,
        _ => {
            let rule = "must be AutoRenew or EmailContacts";
            return Err(KeyVaultError::bad_member("The action_type of a lifetime action", rule));
        }
    };
    Ok(LifetimeAction { trigger, action })
}

fn asked(policy: Option<Object<PolicyBody>>) -> Result<Option<PolicyAsked>, KeyVaultError> {
    policy.map(|Object(policy)| policy.into_asked()).transpose()
}

/// `CertificateCreateParameters`.
#[derive(Deserialize)]
pub(super) struct CreateBody {
    policy: Option<Object<PolicyBody>>,
    attributes: Option<Object<AttributesBody>>,
    tags: Option<Tags>,
    #[serde(rename = "preserveCertOrder")]
    preserve_order: Option<bool>,
}

impl CreateBody {
    pub(super) fn into_request(self) -> Result<CreateCertificate, KeyVaultError> {
        Ok(CreateCertificate {
            policy: asked(self.policy)?,
            enabled: enabled(self.attributes.as_ref()),
            tags: self.tags.unwrap_or_default().0,
            preserve_order: self.preserve_order,
        })
    }
}

/// `CertificateImportParameters`.
#[derive(Deserialize)]
pub(super) struct ImportBody {
    value: Option<Secret<String>>,
    pwd: Option<Secret<String>>,
    policy: Option<Object<PolicyBody>>,
    attributes: Option<Object<AttributesBody>>,
    tags: Option<Tags>,
    #[serde(rename = "preserveCertOrder")]
    preserve_order: Option<bool>,
}

impl ImportBody {
    pub(super) fn into_request(self) -> Result<ImportCertificate, KeyVaultError> {
        Ok(ImportCertificate {
            value: self.value.ok_or_else(KeyVaultError::value_missing)?,
            password: self.pwd,
            policy: asked(self.policy)?,
            enabled: enabled(self.attributes.as_ref()),
            tags: self.tags.unwrap_or_default().0,
            preserve_order: self.preserve_order,
        })
    }
}

/// `CertificateMergeParameters`.
#[derive(Deserialize)]
pub(super) struct MergeBody {
    x5c: Option<Vec<String>>,
    attributes: Option<Object<AttributesBody>>,
    tags: Option<Tags>,
}

impl MergeBody {
    pub(super) fn into_request(self) -> Result<MergeCertificate, KeyVaultError> {
        let certificates = self.x5c.unwrap_or_default();
        let certificates = certificates.iter().map(|text| der_of(text)).collect::<Option<_>>();
        Ok(MergeCertificate {
            certificates: certificates
                .ok_or_else(|| KeyVaultError::bad_member("Property x5c", "must be certificates in base64"))?,
            enabled: enabled(self.attributes.as_ref()),
            tags: self.tags.map(|tags| tags.0),
        })
    }
}

/// DER of base64, or of base64 of that: Azure's own client for Python encodes what its user has encoded, and PEM may be what that was.
fn der_of(text: &str) -> Option<Vec<u8>> {
    const SEQUENCE: u8 = 0x30;
    let once = encoding::from_base64(bare(text)).ok()?;
    if once.first() == Some(&SEQUENCE) {
        return Some(once);
    }
    let twice = encoding::from_base64(bare(std::str::from_utf8(&once).ok()?)).ok()?;
    (twice.first() == Some(&SEQUENCE)).then_some(twice)
}

/// Base64 without white space and the lines of PEM.
fn bare(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("-----"));
    lines.flat_map(|line| line.chars().filter(|character| !character.is_ascii_whitespace())).collect()
}

/// `CertificateUpdateParameters`.
#[derive(Deserialize)]
pub(super) struct UpdateBody {
    policy: Option<Object<PolicyBody>>,
    attributes: Option<Object<AttributesBody>>,
    tags: Option<Tags>,
}

impl UpdateBody {
    pub(super) fn into_change(self) -> Result<CertificateChange, KeyVaultError> {
        Ok(CertificateChange {
            enabled: enabled(self.attributes.as_ref()),
            tags: self.tags.map(|tags| tags.0),
            policy: asked(self.policy)?,
        })
    }
}

/// `CertificateOperationUpdateParameter`.
#[derive(Deserialize)]
pub(super) struct PendingBody {
    pub(super) cancellation_requested: Option<bool>,
}

/// `Contacts`, there and back.
#[derive(Serialize, Deserialize)]
pub(super) struct ContactsBody {
    #[serde(default)]
    id: Option<String>,
    contacts: Option<Vec<ContactBody>>,
}

#[derive(Serialize, Deserialize)]
struct ContactBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
}

impl ContactsBody {
    pub(super) fn of(id: String, contacts: &Contacts) -> Self {
        let shown = |contact: &Contact| {
            let Contact { email, name, phone } = contact.clone();
            ContactBody { email, name, phone }
        };
        Self { id: Some(id), contacts: Some(contacts.contacts.iter().map(shown).collect()) }
    }

    pub(super) fn into_contacts(self) -> Contacts {
        let contacts = self.contacts.unwrap_or_default().into_iter();
        let contacts = contacts.map(|ContactBody { email, name, phone }| Contact { email, name, phone });
        Contacts { contacts: contacts.collect() }
    }
}

/// `CertificateIssuerSetParameters` and `CertificateIssuerUpdateParameters`.
#[derive(Deserialize)]
pub(super) struct IssuerChangeBody {
    provider: Option<String>,
    credentials: Option<Object<CredentialsBody>>,
    org_details: Option<Object<OrganizationBody>>,
    attributes: Option<Object<AttributesBody>>,
}

#[derive(Deserialize)]
struct CredentialsBody {
    account_id: Option<String>,
    pwd: Option<Secret<String>>,
}

#[derive(Deserialize)]
struct OrganizationBody {
    id: Option<String>,
    admin_details: Option<Vec<AdministratorBody>>,
}

#[derive(Serialize, Deserialize)]
struct AdministratorBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    first_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
}

impl IssuerChangeBody {
    pub(super) fn into_change(self) -> IssuerChange {
        let (organization, administrators) =
            self.org_details.map_or((None, None), |Object(details)| (details.id, details.admin_details));
        let administrator = |body: AdministratorBody| {
            let AdministratorBody { first_name, last_name, email, phone } = body;
            Administrator { first_name, last_name, email, phone }
        };
        IssuerChange {
            provider: self.provider,
            credentials: self.credentials.map(|Object(credentials)| IssuerCredentials {
                account: credentials.account_id,
                password: credentials.pwd,
            }),
            organization,
            administrators: administrators.map(|all| all.into_iter().map(administrator).collect()),
            enabled: enabled(self.attributes.as_ref()),
        }
    }
}

/// `IssuerBundle`. Never with a password.
#[derive(Serialize)]
pub(super) struct IssuerBundle {
    id: String,
    provider: String,
    credentials: IssuerAccount,
    org_details: Organization,
    attributes: Times,
}

#[derive(Serialize)]
struct IssuerAccount {
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<String>,
}

#[derive(Serialize)]
struct Organization {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    admin_details: Vec<AdministratorBody>,
}

#[derive(Serialize)]
struct Times {
    enabled: bool,
    created: i64,
    updated: i64,
}

impl IssuerBundle {
    pub(super) fn of(id: String, issuer: &Issuer) -> Self {
        let administrator = |one: &Administrator| {
            let Administrator { first_name, last_name, email, phone } = one.clone();
            AdministratorBody { first_name, last_name, email, phone }
        };
        Self {
            id,
            provider: issuer.provider.clone(),
            credentials: IssuerAccount { account_id: issuer.account.clone() },
            org_details: Organization {
                id: issuer.organization.clone(),
                admin_details: issuer.administrators.iter().map(administrator).collect(),
            },
            attributes: Times {
                enabled: issuer.enabled,
                created: issuer.created.seconds(),
                updated: issuer.updated.seconds(),
            },
        }
    }
}

/// `CertificateIssuerItem`.
#[derive(Serialize)]
pub(super) struct IssuerItem {
    pub(super) id: String,
    pub(super) provider: String,
}

/// `CertificateBundle`.
#[derive(Serialize)]
pub(in super::super) struct CertificateBundle<'a> {
    pub(super) id: String,
    pub(super) kid: String,
    pub(super) sid: String,
    pub(super) x5t: String,
    pub(super) cer: &'a Der,
    pub(super) attributes: Attributes,
    pub(super) tags: &'a BTreeMap<String, String>,
    pub(super) policy: PolicyShown<'a>,
    #[serde(rename = "preserveCertOrder", skip_serializing_if = "Option::is_none")]
    pub(super) preserve_order: Option<bool>,
}

/// `CertificateItem`. Without what the vault says of recovery, as Key Vault's.
#[derive(Serialize)]
pub(in super::super) struct CertificateItem<'a> {
    pub(super) id: String,
    /// Empty where there is no certificate yet: the SDK for Python cannot show one that lacks it.
    pub(super) x5t: String,
    pub(super) attributes: ItemAttributes,
    pub(super) tags: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
pub(super) struct ItemAttributes {
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    created: i64,
    updated: i64,
}

impl ItemAttributes {
    pub(super) fn of(attributes: &vault::Attributes) -> Self {
        Self {
            enabled: attributes.enabled,
            nbf: attributes.not_before.map(Timestamp::seconds),
            exp: attributes.expires.map(Timestamp::seconds),
            created: attributes.created.seconds(),
            updated: attributes.updated.seconds(),
        }
    }
}

/// What is said of a certificate that is still to come: it is not served, whatever it will be.
pub(super) const fn attributes_of_coming(pending: &Pending) -> vault::Attributes {
    vault::Attributes {
        enabled: false,
        not_before: None,
        expires: None,
        created: pending.created,
        updated: pending.updated,
    }
}

/// `CertificateBundle` of a certificate that is still to come.
#[derive(Serialize)]
pub(super) struct ComingBundle<'a> {
    pub(super) id: String,
    pub(super) attributes: Attributes,
    pub(super) tags: &'a BTreeMap<String, String>,
    pub(super) policy: PolicyShown<'a>,
    pub(super) pending: Reference,
}

/// Something by its identifier.
#[derive(Serialize)]
pub(super) struct Reference {
    pub(super) id: String,
}

/// `CertificatePolicy`.
#[derive(Serialize)]
pub(super) struct PolicyShown<'a> {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_props: Option<KeyShown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_props: Option<SecretShown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x509_props: Option<X509Shown<'a>>,
    lifetime_actions: Vec<LifetimeActionShown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<IssuerShown<'a>>,
    attributes: Times,
    #[serde(rename = "platformManaged", skip_serializing_if = "Option::is_none")]
    platform_managed: Option<PlatformShown<'a>>,
}

#[derive(Serialize)]
struct KeyShown {
    exportable: bool,
    kty: &'static str,
    key_size: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<&'static str>,
    reuse_key: bool,
}

#[derive(Serialize)]
struct SecretShown {
    #[serde(rename = "contentType")]
    content_type: &'static str,
}

#[derive(Serialize)]
struct X509Shown<'a> {
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sans: Option<NamesShown<'a>>,
    ekus: &'a [String],
    key_usage: &'a [String],
    validity_months: u32,
    basic_constraints: BasicConstraints,
}

#[derive(Serialize)]
struct BasicConstraints {
    ca: bool,
}

#[derive(Serialize)]
struct NamesShown<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    emails: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    dns_names: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    upns: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    uris: &'a [String],
    #[serde(rename = "ipAddresses", skip_serializing_if = "<[String]>::is_empty")]
    ip_addresses: &'a [String],
}

#[derive(Serialize)]
struct LifetimeActionShown {
    trigger: TriggerShown,
    action: ActionShown,
}

#[derive(Serialize)]
struct TriggerShown {
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime_percentage: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    days_before_expiry: Option<u32>,
}

#[derive(Serialize)]
struct ActionShown {
    action_type: &'static str,
}

#[derive(Serialize)]
struct IssuerShown<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cty: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cert_transparency: Option<bool>,
}

#[derive(Serialize)]
struct PlatformShown<'a> {
    #[serde(rename = "certificateUsage", skip_serializing_if = "Option::is_none")]
    certificate_usage: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a serde_json::Value>,
}

impl<'a> PolicyShown<'a> {
    pub(super) fn of(id: String, policy: &'a CertificatePolicy) -> Self {
        let (key_size, crv) = match policy.key.spec {
            KeySpec::Rsa(size) => (u32::try_from(size.bits()).unwrap_or(0), None),
            KeySpec::Ec(curve) => (curve_bits(curve), Some(curve.name())),
            // No policy has one.
            KeySpec::Oct(size) => (u32::try_from(size.bits()).unwrap_or(0), None),
        };
        let kty = vault::KeyKind { key_type: policy.key.spec.key_type(), is_hsm: policy.key.is_hardware };
        let names = &policy.names;
        let sans = NamesShown {
            emails: &names.emails,
            dns_names: &names.dns_names,
            upns: &names.upns,
            uris: &names.uris,
            ip_addresses: &names.ip_addresses,
        };
        let x509 = X509Shown {
            subject: &policy.subject,
            sans: (*names != Names::default()).then_some(sans),
            ekus: &policy.extended_key_usage,
            key_usage: &policy.key_usage,
            validity_months: policy.validity_months,
            basic_constraints: BasicConstraints { ca: false },
        };
        let action = |action: &LifetimeAction| LifetimeActionShown {
            trigger: match action.trigger {
                Trigger::LifetimePercentage(percentage) => {
                    TriggerShown { lifetime_percentage: Some(percentage), days_before_expiry: None }
                }
                Trigger::DaysBeforeExpiry(days) => {
                    TriggerShown { lifetime_percentage: None, days_before_expiry: Some(days) }
                }
            },
            action: ActionShown {
                action_type: match action.action {
                    LifetimeActionKind::EmailContacts => "EmailContacts",
                    LifetimeActionKind::AutoRenew => "AutoRenew",
                },
            },
        };
        // Of a certificate that is to be managed by somebody else, only what was said is the caller's.
        let is_ours = policy.platform.is_none();
        Self {
            id,
            key_props: is_ours.then_some(KeyShown {
                exportable: policy.key.exportable,
                kty: kty.as_str(),
                key_size,
                crv,
                reuse_key: policy.key.reuse,
            }),
            secret_props: is_ours.then_some(SecretShown { content_type: policy.content_type.as_str() }),
            x509_props: is_ours.then_some(x509),
            lifetime_actions: policy.lifetime_actions.iter().map(action).collect(),
            issuer: policy.issuer.as_ref().map(|issuer| IssuerShown {
                name: &issuer.name,
                cty: issuer.certificate_type.as_deref(),
                cert_transparency: issuer.transparency,
            }),
            attributes: Times {
                enabled: policy.enabled,
                created: policy.created.seconds(),
                updated: policy.updated.seconds(),
            },
            platform_managed: policy.platform.as_ref().map(|platform| PlatformShown {
                certificate_usage: platform.usage.as_deref(),
                metadata: platform.metadata.as_ref(),
            }),
        }
    }
}

/// `CertificateOperation`.
#[derive(Serialize)]
pub(super) struct OperationShown<'a> {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<IssuerShown<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    csr: Option<&'a Der>,
    cancellation_requested: bool,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_details: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorShown<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    request_id: &'a str,
    #[serde(rename = "preserveCertOrder", skip_serializing_if = "Option::is_none")]
    preserve_order: Option<bool>,
}

#[derive(Serialize)]
struct ErrorShown<'a> {
    code: &'static str,
    message: &'a str,
}

const IN_PROGRESS: &str = "inProgress";

impl<'a> OperationShown<'a> {
    /// As it is answered to who has just asked for a certificate: in progress, whatever has become of it by now. Azure's client for Python
    /// begins to poll only then, and has no result of what was over before.
    pub(super) fn accepted(id: String, pending: &'a Pending) -> Self {
        const DETAILS: &str = "Pending certificate created. Certificate request is in progress. This may take some time based on the issuer provider. Please check again later.";
        let shown = Self::of(id, String::new(), pending);
        let details = if pending.is_in_progress() { shown.status_details } else { Some(DETAILS) };
        Self { status: IN_PROGRESS, status_details: details, error: None, target: None, ..shown }
    }

    /// `target`: the certificate's identifier.
    pub(super) fn of(id: String, target: String, pending: &'a Pending) -> Self {
        let (status, details, error) = match &pending.status {
            PendingStatus::InProgress => (
                IN_PROGRESS,
                Some("Pending certificate created. Please Perform Merge to complete the request."),
                None,
            ),
            PendingStatus::Completed => ("completed", None, None),
            PendingStatus::Cancelled => ("cancelled", Some("The certificate operation was cancelled."), None),
            PendingStatus::Failed { reason } => (
                "failed",
                Some(reason.as_str()),
                Some(ErrorShown { code: "IssuerUnavailable", message: reason }),
            ),
        };
        Self {
            id,
            issuer: pending.policy.issuer.as_ref().map(|issuer| IssuerShown {
                name: if issuer.name.is_empty() { UNKNOWN_ISSUER } else { &issuer.name },
                cty: issuer.certificate_type.as_deref(),
                cert_transparency: issuer.transparency,
            }),
            csr: pending.request_der.as_ref(),
            cancellation_requested: pending.status == PendingStatus::Cancelled,
            status,
            status_details: details,
            error,
            target: (pending.status == PendingStatus::Completed).then_some(target),
            request_id: &pending.request,
            preserve_order: pending.preserve_order,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_certificates_are_base64_once_or_twice() {
        let der = [0x30, 0x03, 0x02, 0x01, 0x05];
        let once = encoding::base64(&der);
        let twice = encoding::base64(once.as_bytes());
        let pem = format!("-----BEGIN CERTIFICATE-----\n{once}\n-----END CERTIFICATE-----\n");
        for text in
            [once.clone(), twice, format!("  {once}\n"), pem.clone(), encoding::base64(pem.as_bytes())]
        {
            assert_eq!(der_of(&text).as_deref(), Some(der.as_slice()), "{text}");
        }
        for text in ["", "*", "AAAA", &encoding::base64(b"hello"), &encoding::base64(&[0xff, 0xfe])] {
            assert_eq!(der_of(text), None, "{text}");
        }
    }
}
