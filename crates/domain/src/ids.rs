//! Identifiers: newtypes over UUIDs (RFC 9562) made from passed entropy, and the 32-hex-digit object version of Key Vault.

use crate::{
    Timestamp,
    world::{Entropy, random},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// Why a text is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {what}")]
pub struct IdError {
    /// Which kind of identifier was expected.
    pub what: &'static str,
}

/// The hyphenated text of a UUID, in lower case.
pub struct IdText([u8; uuid::fmt::Hyphenated::LENGTH]);

impl IdText {
    fn of(uuid: Uuid) -> Self {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        uuid.as_hyphenated().encode_lower(&mut text);
        Self(text)
    }
}

impl AsRef<[u8]> for IdText {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta] $name:ident $what:literal;)*) => {$(
        #[$doc]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh random identifier (UUID version 4).
            pub fn random(entropy: &dyn Entropy) -> Self {
                Self(uuid::Builder::from_random_bytes(random(entropy)).into_uuid())
            }

            /// From a known UUID.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID.
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// Its text, without an allocation.
            pub fn text(self) -> IdText {
                IdText::of(self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(formatter)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!(stringify!($name), "({})"), self.0.as_hyphenated())
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                // Only the hyphenated form: it is what every client sends, and one spelling means one key.
                match text.len() {
                    36 => Uuid::try_parse(text).map(Self).map_err(|_| IdError { what: $what }),
                    _ => Err(IdError { what: $what }),
                }
            }
        }
    )*};
}

uuid_id! {
    /// A directory tenant (`tid`).
    TenantId "tenant id";
    /// The object id of a service principal or user (`oid`, `sub`): the acting identity.
    PrincipalId "principal id";
    /// The object id of an app registration; never equal to its client id.
    RegistrationId "app registration id";
    /// The client id of an app registration or managed identity (`appid`, `client_id`).
    ClientId "client id";
    /// The key id of one credential of a registration.
    CredentialId "credential id";
    /// A user's sign-in, from which tokens come (`sid`), until its sign-out.
    SessionId "session id";
    /// All refresh tokens that came one after the other out of one grant.
    RefreshFamilyId "refresh token family id";
    /// The object id of a group. Never equal to a principal's: rules name either by its object id.
    GroupId "group id";
    /// An app that `host` runs.
    AppId "app id";
    /// That a user-assigned identity is assigned to an app, until it is taken away: assigned again it is another one.
    AttachmentId "identity attachment id";
    /// One running instance of an app.
    WorkloadId "workload id";
    /// A key that was left for an app in a file (Azure Arc's protocol).
    ChallengeId "challenge id";
    /// A package or image that was deployed to an app.
    DeploymentId "deployment id";
    /// A vault.
    VaultId "vault id";
    /// A secret, key or certificate of a vault, from its making to its purge. Another one of the same name has another.
    ObjectId "object id";
    /// A role assignment.
    AssignmentId "role assignment id";
    /// A role definition.
    RoleId "role definition id";
    /// The one subscription of an installation.
    SubscriptionId "subscription id";
    /// An App Service plan.
    PlanId "plan id";
    /// A resource group, from its making to its end. Another one of the same name has another.
    ResourceGroupId "resource group id";
    /// One request, as in `x-ms-request-id`.
    RequestId "request id";
}

impl GroupId {
    /// As access policies and role assignments name it: they keep the object id of a principal or of a group.
    #[must_use]
    pub const fn subject(self) -> PrincipalId {
        PrincipalId::from_uuid(self.uuid())
    }
}

impl ObjectId {
    /// A fresh identifier that comes after earlier ones, as far as time and number tell (UUID version 7, RFC 9562 section 5.7): what is made one
    /// after the other is stored side by side. 62 random bits make it one of its kind, whatever the clock does.
    pub fn ordered(at: Timestamp, number: u32, entropy: &dyn Entropy) -> Self {
        let mut bytes: [u8; 10] = random(entropy);
        // The number's low 12 bits are the counter; those above take the place of milliseconds, which our time has none of.
        let [_, _, high, low] = number.to_be_bytes();
        if let Some(counter) = bytes.first_chunk_mut::<2>() {
            *counter = [high & 0xf, low];
        }
        let seconds = u64::try_from(at.seconds()).unwrap_or(0);
        let millis = seconds.saturating_mul(1_000).saturating_add(u64::from(number >> 12) % 1_000);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid())
    }
}

/// A version of a secret, key or certificate: 32 lower-case hex digits (Key Vault object identifiers).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectVersion(u128);

impl ObjectVersion {
    /// A fresh random version.
    pub fn random(entropy: &dyn Entropy) -> Self {
        Self(u128::from_be_bytes(random(entropy)))
    }
}

impl ObjectVersion {
    /// Its text, without an allocation.
    pub fn text(self) -> [u8; 32] {
        let mut text = [0; 32];
        // A UUID's digits without hyphens are what a version is.
        Uuid::from_u128(self.0).as_simple().encode_lower(&mut text);
        text
    }
}

impl fmt::Display for ObjectVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(str::from_utf8(&self.text()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for ObjectVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ObjectVersion({self})")
    }
}

impl FromStr for ObjectVersion {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        // Of the forms of a UUID, the one without hyphens is what a version is.
        let version = Uuid::try_parse(text).ok().filter(|_| text.len() == 32);
        version.map(|version| Self(version.as_u128())).ok_or(IdError { what: "object version" })
    }
}

impl Serialize for ObjectVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ObjectVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::deserialize(deserializer, str::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u8);
    impl Entropy for Fixed {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(self.0);
        }
    }

    #[test]
    fn ids_are_version_four_and_read_back() {
        let id = TenantId::random(&Fixed(0xff));
        assert_eq!(id.uuid().get_version_num(), 4);
        assert_eq!(id.to_string().parse::<TenantId>(), Ok(id));
        assert_eq!(id.text().as_ref(), id.to_string().as_bytes());
        for bad in
            ["", "x", "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "f81d4fae7dec11d0a76500a0c91e6bf6"]
        {
            assert!(bad.parse::<TenantId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ordered_ids_are_in_order_and_each_its_own() {
        let at =
            |seconds, number, fill| ObjectId::ordered(Timestamp::from_seconds(seconds), number, &Fixed(fill));
        let earlier = [at(10, 0, 0xff), at(10, 1, 0), at(10, 0xfff, 0xff), at(10, 0x1000, 0), at(11, 7, 0)];
        assert!(earlier.is_sorted(), "{earlier:?}");
        assert!(at(10, 1, 1) != at(10, 1, 2), "what is random of it makes it one of its kind");
        assert_eq!(at(10, 1, 1).uuid().get_version_num(), 7);
        // A clock before 1970 or a number that has turned over cost the order, nothing else.
        let _any = [at(-1, 0, 0), at(i64::MAX, u32::MAX, 0xff)];
        assert_eq!(at(10, 1, 1).to_string().parse::<ObjectId>(), Ok(at(10, 1, 1)));
    }

    #[test]
    fn versions_are_32_hex_digits() {
        let version = ObjectVersion::random(&Fixed(0x0a));
        assert_eq!(version.to_string(), "0a".repeat(16));
        assert_eq!(version.to_string().to_uppercase().parse(), Ok(version));
        let mixed: ObjectVersion = "00112233445566778899aabbccddeeff".parse().unwrap();
        assert_eq!(&mixed.text(), mixed.to_string().as_bytes());
        for bad in ["", "0a", &"g".repeat(32), &"+".repeat(32), &"0".repeat(33)] {
            assert!(bad.parse::<ObjectVersion>().is_err(), "{bad}");
        }
    }
}
