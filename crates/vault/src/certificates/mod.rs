//! Certificates: what a version consists of, and what a vault keeps about them besides.
//!
//! Owns: policies, pending operations, issuers, contacts, the vault's own authority, and which three versions make one certificate. Owns
//! not: X.509, PKCS#10, PKCS#12 and PEM (`crypt`), and what a key or a secret is (`keys`, `secrets`). Spec: Key Vault certificates API,
//! "About certificates".
//!
//! A certificate is three objects of one name: itself, its key and its secret, whose versions have the same id and are written in one
//! commit. Key and secret are `managed`: they are renewed, disabled, deleted and recovered by way of the certificate alone.

pub(crate) mod authority;
pub(crate) mod coming;
pub(crate) mod composed;
pub(crate) mod contacts;
mod fault;
pub(crate) mod issuers;
pub(crate) mod material;
pub(crate) mod pending;
mod policy;
pub(crate) mod renewal;

pub use contacts::{Contact, Contacts};
pub use fault::CertificateFault;
pub use issuers::{Administrator, Issuer, IssuerChange, IssuerCredentials, OWN_PROVIDER};
pub(crate) use pending::require_unreserved;
pub use pending::{DeletedEarly, Pending, PendingStatus};
pub use policy::{
    CertificatePolicy, ContentType, IssuerAsked, IssuerChoice, KeyAsked, KeyPolicy, LifetimeAction,
    LifetimeActionKind, Names, PlatformManaged, PolicyAsked, SELF_ISSUER, Trigger, UNKNOWN_ISSUER, X509Asked,
    curve_bits,
};

use crate::{
    attributes::AttributesChange,
    deleted::DeletedObject,
    object::{Head, Kind, Object},
    schedule::Task,
};
use access::{
    BackupCertificate, DeleteCertificate, GetCertificate, GetDeletedCertificate, ListCertificates,
    ListDeletedCertificates, PurgeCertificate, RecoverCertificate, RestoreCertificate, UpdateCertificate,
};
use crypt::{Sealed, encoding};
use domain::{ObjectKind, ObjectName, Secret, Timestamp, VaultId, limits};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{collections::BTreeMap, sync::Arc};
use store::{Key, Write};

/// Certificates, as a kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificates {}

/// What is kept of a certificate besides its versions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CertificateAbout {
    /// How the next version is to be made.
    pub policy: CertificatePolicy,
    /// Do the certificates of the chain stay in the order in which they came (Key Vault: `preserveCertOrder`)? `None`: nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preserve_order: Option<bool>,
    /// When the next version is to be made, if the policy says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) renewal: Option<Timestamp>,
}

/// What a version of a certificate consists of. Its private key is the key's of the same name and version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CertificateContent {
    /// The certificate itself.
    pub leaf: Der,
    /// All certificates that belong to it, with itself, in the order of its secret.
    pub chain: Vec<Der>,
    /// SHA-1 of the certificate (RFC 7515 section 4.1.7): by which it is found elsewhere. No proof of anything.
    pub thumbprint: Der,
    /// Does its key stay here, as the policy said by which it came? Then it is not used again by a policy that would let it out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keeps_key: bool,
}

/// DER, or other bytes that are no secret. Base64 in serde, which is what JSON has room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Der(pub Vec<u8>);

impl Serialize for Der {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encoding::base64(&self.0))
    }
}

impl<'de> Deserialize<'de> for Der {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        domain::text::deserialize(deserializer, |text| encoding::from_base64(text).map(Self))
    }
}

impl Kind for Certificates {
    const KIND: ObjectKind = ObjectKind::Certificate;
    const TAG_CHARS_MAX: usize = limits::KEY_TAG_CHARS_MAX;
    type About = CertificateAbout;
    type Content = CertificateContent;
    type Get = GetCertificate;
    type List = ListCertificates;
    type Update = UpdateCertificate;
    type Delete = DeleteCertificate;
    type GetDeleted = GetDeletedCertificate;
    type ListDeleted = ListDeletedCertificates;
    type Recover = RecoverCertificate;
    type Purge = PurgeCertificate;
    type Backup = BackupCertificate;
    type Restore = RestoreCertificate;

    fn sealed(_content: &CertificateContent) -> Option<&Sealed> {
        None
    }

    fn resealed(content: CertificateContent, _sealed: Sealed) -> CertificateContent {
        content
    }

    fn due(head: &Head<Self>) -> Option<(Timestamp, Task)> {
        let task = Task::Renew { name: head.name.clone(), object: head.id };
        head.about.renewal.map(|at| (at, task))
    }
}

/// A new certificate, or a new version of one, as a request asks for it.
#[derive(Debug, Default)]
pub struct CreateCertificate {
    /// How it is to be made. Without one the certificate's own counts.
    pub policy: Option<PolicyAsked>,
    /// Is it to be served? Its validity is the certificate's to say.
    pub enabled: Option<bool>,
    /// Names and values of the caller's own.
    pub tags: BTreeMap<String, String>,
    /// Is the order of the chain to be kept?
    pub preserve_order: Option<bool>,
}

/// A certificate with its key that comes from outside.
#[derive(Debug)]
pub struct ImportCertificate {
    /// A PFX in base64, or PEM.
    pub value: Secret<String>,
    /// What opens the PFX.
    pub password: Option<Secret<String>>,
    /// How its successors are to be made. What it leaves out is as this certificate is.
    pub policy: Option<PolicyAsked>,
    /// Is it to be served?
    pub enabled: Option<bool>,
    /// Names and values of the caller's own.
    pub tags: BTreeMap<String, String>,
    /// Is the order of the chain to be kept?
    pub preserve_order: Option<bool>,
}

/// What an authority made of a signing request.
#[derive(Debug)]
pub struct MergeCertificate {
    /// DER of the certificate and of those above it, in any order.
    pub certificates: Vec<Vec<u8>>,
    /// Is it to be served? `None`: as was said when it was asked for.
    pub enabled: Option<bool>,
    /// Replaces the tags that were given when it was asked for, if said.
    pub tags: Option<BTreeMap<String, String>>,
}

/// A change of a version that is there, and of the certificate's policy.
#[derive(Debug, Default)]
pub struct CertificateChange {
    /// Is it to be served? Key and secret go along.
    pub enabled: Option<bool>,
    /// Replaces all tags, if said.
    pub tags: Option<BTreeMap<String, String>>,
    /// Changes those parts of the policy that are said.
    pub policy: Option<PolicyAsked>,
}

impl CertificateChange {
    pub(crate) fn attributes(&self) -> AttributesChange {
        AttributesChange { enabled: self.enabled, ..AttributesChange::default() }
    }
}

/// A certificate, or what there is of it.
#[derive(Clone, Debug)]
pub enum Listed {
    /// One that is there.
    Certificate(Object<Certificates>),
    /// One that has no version yet.
    Pending(Arc<Pending>),
}

/// A deleted certificate, or what there was of it.
#[derive(Clone, Debug)]
pub enum ListedDeleted {
    /// One that was there.
    Certificate(DeletedObject<Certificates>),
    /// One that had no version yet, and how it was deleted.
    Pending(Arc<Pending>, DeletedEarly),
}

/// What is removed with a certificate that is deleted, besides key and secret: an operation that is in progress loses its key, and one
/// that is over would speak of another certificate one day.
pub(crate) fn unwrite_pending(vault: VaultId, name: &ObjectName) -> Write {
    store::delete::<Pending>(&(vault, name.clone()))
}

/// Below which keys a vault keeps what has to do with certificates and is no object: removed with the vault.
pub(crate) fn prefixes(vault: VaultId) -> Vec<Key> {
    ["certificate-pending", "certificate-issuer", "certificate-contacts", "certificate-authority"]
        .map(|kind| Key::new(format!("{kind}/{vault}/")))
        .to_vec()
}

impl AsRef<Self> for Pending {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl AsRef<Self> for Contacts {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl AsRef<Self> for Issuer {
    fn as_ref(&self) -> &Self {
        self
    }
}
