//! What callers can do with a vault's objects. Actions are types, so that a permit for one is no permit for another.
//!
//! Owns: for each action the verb that an access policy must have, and the data action that a role must have. Spec: Key Vault access
//! policies; Azure RBAC data actions of `Microsoft.KeyVault`.

use domain::{CertificatePermission, KeyPermission, ObjectKind, SecretPermission};
use std::fmt;

mod sealed {
    pub trait Sealed {}
}

/// Something that a caller can do in a vault.
pub trait Action: sealed::Sealed + 'static {
    /// The verb that an access policy must have.
    const VERB: Verb;
    /// What comes after `Microsoft.KeyVault/vaults/` in the data action that a role must have.
    const DATA_ACTION: &'static str;
    /// The name in the audit log.
    const NAME: &'static str;
}

/// A verb of an access policy, on its kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// On secrets.
    Secret(SecretPermission),
    /// On keys.
    Key(KeyPermission),
    /// On certificates.
    Certificate(CertificatePermission),
}

impl Verb {
    /// The kind of object that it is a verb on.
    pub const fn kind(self) -> ObjectKind {
        match self {
            Self::Secret(_) => ObjectKind::Secret,
            Self::Key(_) => ObjectKind::Key,
            Self::Certificate(_) => ObjectKind::Certificate,
        }
    }
}

impl Verb {
    /// The verb alone: `get`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Secret(verb) => verb.as_str(),
            Self::Key(verb) => verb.as_str(),
            Self::Certificate(verb) => verb.as_str(),
        }
    }
}

/// As Key Vault's refusals say it: `secrets get`.
impl fmt::Display for Verb {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind().plural(), self.as_str())
    }
}

/// An action as a value: for tables, and for explaining who may what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActionName {
    /// The name in the audit log.
    pub name: &'static str,
    /// The verb that an access policy must have.
    pub verb: Verb,
    /// What comes after `Microsoft.KeyVault/vaults/` in the data action that a role must have.
    pub data_action: &'static str,
}

impl ActionName {
    /// Of an action type.
    pub const fn of<A: Action>() -> Self {
        Self { name: A::NAME, verb: A::VERB, data_action: A::DATA_ACTION }
    }

    /// The one of a name.
    pub fn named(name: &str) -> Option<Self> {
        ACTIONS.iter().copied().find(|action| action.name == name)
    }

    /// Is it never asked of one object, but only of the whole vault? Then a role that is narrowed down to an object cannot allow it.
    /// Listing is asked of either: of a vault's objects, and of an object's versions.
    pub fn is_of_whole_vault(&self) -> bool {
        let rest = self.name.split_once('.').map_or("", |(_, rest)| rest);
        matches!(rest, "list-deleted" | "restore" | "random-bytes")
            || rest.starts_with("contacts.")
            || rest.starts_with("issuer.")
    }
}

macro_rules! actions {
    ($($kind:ident $permission:ident { $($(#[$doc:meta])* $name:ident $verb:ident $data:literal $text:literal;)* })*) => {
        $($(
            $(#[$doc])*
            #[derive(Debug)]
            pub enum $name {}
            impl sealed::Sealed for $name {}
            impl Action for $name {
                const VERB: Verb = Verb::$kind($permission::$verb);
                const DATA_ACTION: &'static str = $data;
                const NAME: &'static str = $text;
            }
        )*)*

        /// All actions, kind by kind.
        pub const ACTIONS: &[ActionName] = &[$($(ActionName::of::<$name>()),*),*];
    };
}

actions! {
    Secret SecretPermission {
        /// Read a secret's value.
        GetSecret Get "secrets/getSecret/action" "secret.get";
        /// Make a secret, or a new version of one.
        SetSecret Set "secrets/setSecret/action" "secret.set";
        /// List secrets or versions, without values.
        ListSecrets List "secrets/readMetadata/action" "secret.list";
        /// Change a version's attributes, tags and content type (access policies: the set permission).
        UpdateSecret Set "secrets/update/action" "secret.update";
        /// Delete a secret with all its versions, so that it can be recovered.
        DeleteSecret Delete "secrets/delete" "secret.delete";
        /// See a deleted secret, without its value.
        GetDeletedSecret Get "secrets/readMetadata/action" "secret.get-deleted";
        /// List deleted secrets.
        ListDeletedSecrets List "secrets/readMetadata/action" "secret.list-deleted";
        /// Bring a deleted secret back.
        RecoverSecret Recover "secrets/recover/action" "secret.recover";
        /// Delete a deleted secret for good.
        PurgeSecret Purge "secrets/purge/action" "secret.purge";
        /// Take a secret out, sealed, with all its versions.
        BackupSecret Backup "secrets/backup/action" "secret.backup";
        /// Put a secret that was backed up into a vault.
        RestoreSecret Restore "secrets/restore/action" "secret.restore";
    }
    Key KeyPermission {
        /// See a key's public half and attributes.
        GetKey Get "keys/read" "key.get";
        /// List keys or versions.
        ListKeys List "keys/read" "key.list";
        /// Make a key, or a new version of one.
        CreateKey Create "keys/create/action" "key.create";
        /// Bring a key in from outside.
        ImportKey Import "keys/import/action" "key.import";
        /// Change a version's attributes, tags and permitted operations.
        UpdateKey Update "keys/update/action" "key.update";
        /// Delete a key with all its versions, so that it can be recovered.
        DeleteKey Delete "keys/delete" "key.delete";
        /// See a deleted key.
        GetDeletedKey Get "keys/read" "key.get-deleted";
        /// List deleted keys.
        ListDeletedKeys List "keys/read" "key.list-deleted";
        /// Bring a deleted key back.
        RecoverKey Recover "keys/recover/action" "key.recover";
        /// Delete a deleted key for good.
        PurgeKey Purge "keys/purge/action" "key.purge";
        /// Take a key out, sealed, with all its versions.
        BackupKey Backup "keys/backup/action" "key.backup";
        /// Put a key that was backed up into a vault.
        RestoreKey Restore "keys/restore/action" "key.restore";
        /// Encrypt with a key.
        Encrypt Encrypt "keys/encrypt/action" "key.encrypt";
        /// Decrypt with a key.
        Decrypt Decrypt "keys/decrypt/action" "key.decrypt";
        /// Wrap another key with a key.
        WrapKey WrapKey "keys/wrap/action" "key.wrap";
        /// Unwrap another key with a key.
        UnwrapKey UnwrapKey "keys/unwrap/action" "key.unwrap";
        /// Sign a digest with a key.
        Sign Sign "keys/sign/action" "key.sign";
        /// Verify a signature with a key.
        Verify Verify "keys/verify/action" "key.verify";
        /// Release an exportable key to an attested environment.
        ReleaseKey Release "keys/release/action" "key.release";
        /// Make a new version of a key.
        RotateKey Rotate "keys/rotate/action" "key.rotate";
        /// Be given random bytes. Key Vault has it in managed HSMs only, whose permissions are others: the least of a vault's own is taken.
        GetRandomBytes Get "keys/read" "key.random-bytes";
        /// See a key's rotation policy.
        GetRotationPolicy GetRotationPolicy "keyrotationpolicies/read" "key.rotation-policy.get";
        /// Set a key's rotation policy.
        SetRotationPolicy SetRotationPolicy "keyrotationpolicies/write" "key.rotation-policy.set";
    }
    Certificate CertificatePermission {
        /// See a certificate, its policy, and its pending operation.
        GetCertificate Get "certificates/read" "certificate.get";
        /// List certificates or versions.
        ListCertificates List "certificates/read" "certificate.list";
        /// Make a certificate, or a new version of one; merge a signed one.
        CreateCertificate Create "certificates/create/action" "certificate.create";
        /// Bring a certificate with its private key in from outside.
        ImportCertificate Import "certificates/import/action" "certificate.import";
        /// Change a version's attributes and tags, the policy, or the pending operation.
        UpdateCertificate Update "certificates/update/action" "certificate.update";
        /// Delete a certificate with its key, secret and all versions, so that it can be recovered.
        DeleteCertificate Delete "certificates/delete" "certificate.delete";
        /// See a deleted certificate.
        GetDeletedCertificate Get "certificates/read" "certificate.get-deleted";
        /// List deleted certificates.
        ListDeletedCertificates List "certificates/read" "certificate.list-deleted";
        /// Bring a deleted certificate back.
        RecoverCertificate Recover "certificates/recover/action" "certificate.recover";
        /// Delete a deleted certificate for good.
        PurgeCertificate Purge "certificates/purge/action" "certificate.purge";
        /// Take a certificate out, sealed, with all its versions.
        BackupCertificate Backup "certificates/backup/action" "certificate.backup";
        /// Put a certificate that was backed up into a vault.
        RestoreCertificate Restore "certificates/restore/action" "certificate.restore";
        /// See the vault's contacts.
        GetContacts ManageContacts "certificatecontacts/write" "certificate.contacts.get";
        /// Set or delete the vault's contacts.
        ManageContacts ManageContacts "certificatecontacts/write" "certificate.contacts.set";
        /// See an issuer.
        GetIssuer GetIssuers "certificatecas/read" "certificate.issuer.get";
        /// List issuers.
        ListIssuers ListIssuers "certificatecas/read" "certificate.issuer.list";
        /// Make or change an issuer.
        SetIssuer SetIssuers "certificatecas/write" "certificate.issuer.set";
        /// Delete an issuer.
        DeleteIssuer DeleteIssuers "certificatecas/delete" "certificate.issuer.delete";
    }
}

/// The verb by which access policies allow all that has to do with issuers (Key Vault: "manage issuers").
pub(crate) const MANAGE_ISSUERS: CertificatePermission = CertificatePermission::ManageIssuers;

/// Does `manageissuers` in an access policy stand for this verb?
pub(crate) const fn is_of_issuers(verb: CertificatePermission) -> bool {
    matches!(
        verb,
        CertificatePermission::GetIssuers
            | CertificatePermission::ListIssuers
            | CertificatePermission::SetIssuers
            | CertificatePermission::DeleteIssuers
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_one_action_each() {
        for (at, action) in ACTIONS.iter().enumerate() {
            assert!(ACTIONS.iter().skip(at + 1).all(|other| other.name != action.name), "{}", action.name);
            let prefix = action.verb.kind().as_str();
            assert!(action.name.starts_with(prefix), "{} is of a {prefix}", action.name);
        }
    }

    #[test]
    fn what_is_never_asked_of_one_object_is_known() {
        let whole = |name: &str| ActionName::named(name).unwrap().is_of_whole_vault();
        for name in [
            "secret.list-deleted",
            "certificate.contacts.set",
            "certificate.issuer.get",
            "certificate.restore",
            "secret.restore",
            "key.random-bytes",
        ] {
            assert!(whole(name), "{name}");
        }
        for name in ["secret.list", "secret.get-deleted", "key.rotation-policy.get", "certificate.backup"] {
            assert!(!whole(name), "{name}");
        }
        assert_eq!(ActionName::named("secret.read"), None);
    }

    #[test]
    fn verbs_are_said_as_key_vault_says_them() {
        assert_eq!(GetSecret::VERB.to_string(), "secrets get");
        assert_eq!(UnwrapKey::VERB.to_string(), "keys unwrapkey");
    }
}
