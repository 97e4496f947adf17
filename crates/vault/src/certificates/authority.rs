//! The vault's own authority: what an issuer of the provider `Keyless` signs with.
//!
//! Each vault has its own, made when it is first needed, with a root certificate and a key of its own, sealed under the vault's key. It
//! has nothing in common with the authority of the server's certificate, which clients of the server trust: whoever may create
//! certificates in a vault decides which names this one signs (ADR 0013).

use crate::{Vault, VaultError};
use crypt::{Authority, CryptError, Key256, Sealed, certificate::ParsedCertificate, envelope};
use domain::{Entropy, Timestamp, VaultId};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use store::{Key, Record};

/// What must be left of an authority's life for it to sign. Another one takes its place then; what it signed stays as it is.
const LEFT_AT_LEAST: Duration = Duration::from_secs(2 * 365 * 86_400);

/// The record of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredAuthority {
    /// Its root certificate, PEM.
    certificate: String,
    /// Its private key, sealed under the vault's key.
    key: Sealed,
    /// When it was made.
    created: Timestamp,
}

impl Record for StoredAuthority {
    type Id = VaultId;

    fn key(vault: &VaultId) -> Key {
        Key::new(format!("certificate-authority/{vault}/own"))
    }
}

fn address(vault: VaultId) -> Vec<u8> {
    StoredAuthority::key(&vault).as_bytes().to_vec()
}

impl StoredAuthority {
    /// Makes one.
    pub(crate) fn create(
        vault: &Vault,
        key: &Key256,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(Self, Authority), VaultError> {
        // Of no two authorities' names are the same: a verifier that has both must not mistake one for the other.
        let number = crypt::encoding::hex(&domain::world::random::<4>(entropy));
        let authority = Authority::create(&format!("Certificates of vault {} ({number})", vault.name), now)?;
        let sealed = envelope::seal(key, &address(vault.id), authority.key_pkcs8().expose(), entropy)?;
        let stored = Self { certificate: authority.certificate_pem().to_owned(), key: sealed, created: now };
        Ok((stored, authority))
    }

    /// Opens it; `None` if its end is too near.
    pub(crate) fn open(
        &self,
        vault: &Vault,
        key: &Key256,
        now: Timestamp,
    ) -> Result<Option<Authority>, VaultError> {
        let malformed = |_| CryptError::Malformed { what: "certificate authority" };
        let opened = envelope::open(key, &address(vault.id), &self.key)?;
        let authority = Authority::from_parts(&self.certificate, &opened)?;
        let root = ParsedCertificate::from_der(&authority.root_der()?).map_err(malformed)?;
        Ok((root.not_after >= now.plus(LEFT_AT_LEAST)).then_some(authority))
    }
}
