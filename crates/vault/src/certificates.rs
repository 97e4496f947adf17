//! Certificates: what a version consists of.

use crate::object::Kind;
use access::{
    BackupCertificate, DeleteCertificate, GetCertificate, GetDeletedCertificate, ListCertificates,
    ListDeletedCertificates, PurgeCertificate, RecoverCertificate, RestoreCertificate, UpdateCertificate,
};
use crypt::Sealed;
use domain::{ObjectKind, VaultId, limits};
use serde::{Deserialize, Serialize};
use store::Key;

/// Certificates, as a kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificates {}

/// What is kept of a certificate besides its versions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CertificateAbout {}

/// What a version of a certificate consists of. Its private key is the key's of the same name and version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CertificateContent {}

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
}

/// Below which keys a vault keeps what has to do with certificates and is no object: removed with the vault.
pub(crate) fn prefixes(vault: VaultId) -> Vec<Key> {
    vec![Key::new(format!("certificate-pending/{vault}/")), Key::new(format!("certificate-issuer/{vault}/"))]
}
