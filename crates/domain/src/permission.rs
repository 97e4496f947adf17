//! What an access policy can allow: the verbs of Key Vault's access policies on secrets, keys and certificates, and sets of them.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use std::{fmt, marker::PhantomData, str::FromStr};

/// A verb of access policies on one kind of object.
pub trait Permission:
    Copy + fmt::Display + FromStr<Err = crate::NameError> + Serialize + DeserializeOwned + 'static
{
    /// All verbs, in the order in which Key Vault's documents list them.
    const ALL: &'static [Self];

    /// Its place among [`Permission::ALL`], below 32.
    fn index(self) -> u32;
}

macro_rules! verbs {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, [$($verb:ident $text:literal),* $(,)?]) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[expect(missing_docs, reason = "the names are the protocol's verbs")]
        pub enum $name { $(#[serde(rename = $text)] $verb),* }

        impl $name {
            /// The verb as the protocol spells it, but in lower case.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$verb => $text),* }
            }
        }

        impl Permission for $name {
            const ALL: &'static [Self] = &[$(Self::$verb),*];

            fn index(self) -> u32 {
                self as u32
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = crate::NameError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let found = Self::ALL.iter().copied().find(|verb| verb.as_str().eq_ignore_ascii_case(text));
                found.ok_or(crate::NameError { what: $what, rule: $rule })
            }
        }
    };
}

verbs! {
    /// One verb of an access policy on secrets (Key Vault: access policies, secret permissions).
    SecretPermission, "secret permission", "one of get, list, set, delete, recover, backup, restore, purge", [
        Get "get", List "list", Set "set", Delete "delete", Recover "recover", Backup "backup", Restore "restore", Purge "purge",
    ]
}

verbs! {
    /// One verb of an access policy on keys (Key Vault: access policies, key permissions).
    KeyPermission, "key permission",
    "one of get, list, update, create, import, delete, recover, backup, restore, decrypt, encrypt, unwrapkey, wrapkey, verify, sign, \
     purge, release, rotate, getrotationpolicy, setrotationpolicy", [
        Get "get", List "list", Update "update", Create "create", Import "import", Delete "delete", Recover "recover",
        Backup "backup", Restore "restore", Decrypt "decrypt", Encrypt "encrypt", UnwrapKey "unwrapkey", WrapKey "wrapkey",
        Verify "verify", Sign "sign", Purge "purge", Release "release", Rotate "rotate",
        GetRotationPolicy "getrotationpolicy", SetRotationPolicy "setrotationpolicy",
    ]
}

verbs! {
    /// One verb of an access policy on certificates (Key Vault: access policies, certificate permissions).
    CertificatePermission, "certificate permission",
    "one of get, list, update, create, import, delete, recover, backup, restore, managecontacts, manageissuers, getissuers, \
     listissuers, setissuers, deleteissuers, purge", [
        Get "get", List "list", Update "update", Create "create", Import "import", Delete "delete", Recover "recover",
        Backup "backup", Restore "restore", ManageContacts "managecontacts", ManageIssuers "manageissuers",
        GetIssuers "getissuers", ListIssuers "listissuers", SetIssuers "setissuers", DeleteIssuers "deleteissuers", Purge "purge",
    ]
}

verbs! {
    /// One verb of an access policy on storage accounts (Key Vault: access policies, storage permissions). There are none here: the verbs
    /// are only told again.
    StoragePermission, "storage permission",
    "one of get, list, delete, set, update, regeneratekey, recover, backup, restore, purge, listsas, getsas, deletesas, setsas", [
        Get "get", List "list", Delete "delete", Set "set", Update "update", RegenerateKey "regeneratekey", Recover "recover",
        Backup "backup", Restore "restore", Purge "purge", ListSas "listsas", GetSas "getsas", DeleteSas "deletesas", SetSas "setsas",
    ]
}

/// A set of verbs. Stored as the list of their names.
pub struct VerbSet<V>(u32, PhantomData<fn() -> V>);

/// Verbs on secrets.
pub type SecretPermissions = VerbSet<SecretPermission>;
/// Verbs on keys.
pub type KeyPermissions = VerbSet<KeyPermission>;
/// Verbs on certificates.
pub type CertificatePermissions = VerbSet<CertificatePermission>;
/// Verbs on storage accounts.
pub type StoragePermissions = VerbSet<StoragePermission>;

impl<V: Permission> VerbSet<V> {
    /// Is this verb in the set?
    pub fn contains(self, verb: V) -> bool {
        self.0 & (1 << verb.index()) != 0
    }

    /// Is no verb in the set?
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The verbs of the set.
    pub fn iter(self) -> impl Iterator<Item = V> {
        V::ALL.iter().copied().filter(move |verb| self.contains(*verb))
    }

    /// Every verb.
    pub fn all() -> Self {
        V::ALL.iter().copied().collect()
    }

    /// The verbs of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0, PhantomData)
    }

    /// Without those of the other.
    #[must_use]
    pub const fn but(self, other: Self) -> Self {
        Self(self.0 & !other.0, PhantomData)
    }
}

/// What one access policy allows. Each kind of object by itself: who may read secrets may not sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permissions {
    /// On secrets.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub secrets: SecretPermissions,
    /// On keys.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub keys: KeyPermissions,
    /// On certificates.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub certificates: CertificatePermissions,
}

fn is_empty<V: Permission>(set: &VerbSet<V>) -> bool {
    set.is_empty()
}

impl Permissions {
    /// Nothing at all?
    pub const fn is_empty(&self) -> bool {
        self.secrets.is_empty() && self.keys.is_empty() && self.certificates.is_empty()
    }

    /// Every verb but `purge`, which even owners ask for by name.
    pub fn all_but_purge() -> Self {
        Self {
            secrets: SecretPermissions::all()
                .iter()
                .filter(|verb| *verb != SecretPermission::Purge)
                .collect(),
            keys: KeyPermissions::all().iter().filter(|verb| *verb != KeyPermission::Purge).collect(),
            certificates: CertificatePermissions::all()
                .iter()
                .filter(|verb| *verb != CertificatePermission::Purge)
                .collect(),
        }
    }

    /// What either allows.
    #[must_use]
    pub const fn and(&self, other: &Self) -> Self {
        Self {
            secrets: self.secrets.and(other.secrets),
            keys: self.keys.and(other.keys),
            certificates: self.certificates.and(other.certificates),
        }
    }

    /// What the other does not allow of it.
    #[must_use]
    pub const fn but(&self, other: &Self) -> Self {
        Self {
            secrets: self.secrets.but(other.secrets),
            keys: self.keys.but(other.keys),
            certificates: self.certificates.but(other.certificates),
        }
    }

    /// Some verbs on secrets and nothing else.
    pub fn on_secrets(secrets: SecretPermissions) -> Self {
        Self { secrets, ..Self::default() }
    }
}

impl<V> Clone for VerbSet<V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for VerbSet<V> {}

impl<V> Default for VerbSet<V> {
    fn default() -> Self {
        Self(0, PhantomData)
    }
}

impl<V> PartialEq for VerbSet<V> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<V> Eq for VerbSet<V> {}

impl<V: Permission> fmt::Debug for VerbSet<V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The verbs with commas between, or `nothing`.
impl<V: Permission> fmt::Display for VerbSet<V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return formatter.write_str("nothing");
        }
        let verbs: Vec<String> = self.iter().map(|verb| verb.to_string()).collect();
        formatter.write_str(&verbs.join(","))
    }
}

impl<V: Permission> FromIterator<V> for VerbSet<V> {
    fn from_iter<I: IntoIterator<Item = V>>(verbs: I) -> Self {
        Self(verbs.into_iter().fold(0, |bits, verb| bits | 1 << verb.index()), PhantomData)
    }
}

impl<V: Permission> Serialize for VerbSet<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de, V: Permission> Deserialize<'de> for VerbSet<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<V>::deserialize(deserializer).map(|verbs| verbs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_they_were_given() {
        let set: SecretPermissions = [SecretPermission::Get, SecretPermission::List].into_iter().collect();
        assert!(set.contains(SecretPermission::Get) && !set.contains(SecretPermission::Set));
        assert_eq!(set.iter().count(), 2);
        assert_eq!(set.to_string(), "get,list");
        assert_eq!(KeyPermissions::default().to_string(), "nothing");
        assert_eq!("LIST".parse(), Ok(SecretPermission::List));
        assert_eq!("unwrapKey".parse(), Ok(KeyPermission::UnwrapKey));
        assert!("all".parse::<SecretPermission>().is_err());
        let both = Permissions::on_secrets(set).and(&Permissions {
            keys: [KeyPermission::Sign].into_iter().collect(),
            ..Permissions::on_secrets([SecretPermission::Set, SecretPermission::Get].into_iter().collect())
        });
        assert_eq!(
            (both.secrets.to_string().as_str(), both.keys.to_string().as_str()),
            ("get,list,set", "sign")
        );
        let less = both.but(&Permissions::on_secrets(set));
        assert_eq!((less.secrets.to_string().as_str(), less.keys.to_string().as_str()), ("set", "sign"));
    }

    #[test]
    fn owners_have_all_but_purge() {
        let all = Permissions::all_but_purge();
        assert!(
            !all.secrets.contains(SecretPermission::Purge) && all.secrets.contains(SecretPermission::Restore)
        );
        assert!(
            !all.keys.contains(KeyPermission::Purge) && all.keys.contains(KeyPermission::SetRotationPolicy)
        );
        assert!(!all.certificates.contains(CertificatePermission::Purge));
        assert_eq!(all.keys.iter().count() + all.certificates.iter().count(), 19 + 15);
    }

    #[test]
    fn every_verb_has_a_bit_and_a_name_of_its_own() {
        fn check<V: Permission + PartialEq + fmt::Debug>() {
            for (at, verb) in V::ALL.iter().enumerate() {
                assert_eq!(usize::try_from(verb.index()), Ok(at));
                assert_eq!(verb.to_string().parse().as_ref(), Ok(verb));
                let stored = serde_json::to_string(&VerbSet::<V>::from_iter([*verb])).unwrap();
                assert_eq!(stored, format!("[\"{verb}\"]"));
                assert!(serde_json::from_str::<VerbSet<V>>(&stored).unwrap().contains(*verb));
            }
        }
        check::<SecretPermission>();
        check::<StoragePermission>();
        check::<KeyPermission>();
        check::<CertificatePermission>();
    }
}
