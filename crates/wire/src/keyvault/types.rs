//! Bodies of the Key Vault API. The one place where a secret's value is exposed to be answered.

use domain::{Secret, Timestamp, limits};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::{collections::BTreeMap, fmt, marker::PhantomData};
use vault::{AttributesChange, Recovery, SecretChange, SetSecret, VersionChange};

/// `SecretSetParameters`. `null` is the same as absent, as clients of all ages send it.
#[derive(Deserialize)]
pub(super) struct SetBody {
    value: Option<SecretText>,
    #[serde(rename = "contentType")]
    content_type: Option<String>,
    tags: Option<Tags>,
    attributes: Option<Object<AttributesBody>>,
}

/// `SecretUpdateParameters`. A value in it is ignored, as Key Vault does: it cannot be changed.
#[derive(Deserialize)]
pub(super) struct UpdateBody {
    #[serde(rename = "contentType")]
    content_type: Option<String>,
    tags: Option<Tags>,
    attributes: Option<Object<AttributesBody>>,
}

#[derive(Deserialize)]
struct AttributesBody {
    enabled: Option<bool>,
    nbf: Option<Seconds>,
    exp: Option<Seconds>,
}

/// A JSON object: serde would take an array of the members' values for one as well.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
            type Value = Object<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<M: de::MapAccess<'de>>(self, map: M) -> Result<Object<T>, M::Error> {
                T::deserialize(de::value::MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Visitor(PhantomData))
    }
}

/// A time that every client can read back.
pub(super) struct Seconds(i64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = i64::deserialize(deserializer)?;
        match (0..=limits::SECRET_TIME_SECONDS_MAX).contains(&seconds) {
            true => Ok(Self(seconds)),
            false => Err(de::Error::custom("not within the years 1970 to 9999")),
        }
    }
}

impl Seconds {
    pub(super) const fn time(&self) -> Timestamp {
        Timestamp::from_seconds(self.0)
    }
}

/// Tags, each name once: which of two values counts is not ours to guess.
#[derive(Default)]
pub(super) struct Tags(pub(super) BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Tags;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of strings")
            }

            fn visit_map<M: de::MapAccess<'de>>(self, mut map: M) -> Result<Tags, M::Error> {
                let mut tags = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    if tags.insert(name, value).is_some() {
                        return Err(de::Error::custom("a tag twice"));
                    }
                }
                Ok(Tags(tags))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// A JSON string that is a secret from here on.
pub(super) struct SecretText(pub(super) Secret<String>);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = SecretText;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_str<E>(self, text: &str) -> Result<SecretText, E> {
                Ok(SecretText(Secret::new(text.to_owned())))
            }

            fn visit_string<E>(self, text: String) -> Result<SecretText, E> {
                Ok(SecretText(Secret::new(text)))
            }
        }
        deserializer.deserialize_string(Visitor)
    }
}

impl SetBody {
    /// What is asked for, or `None` if there is no value.
    pub(super) fn into_request(self) -> Option<SetSecret> {
        Some(SetSecret {
            value: self.value?.0,
            content_type: self.content_type,
            tags: self.tags.unwrap_or_default().0,
            attributes: attributes(self.attributes.as_ref()),
        })
    }
}

impl UpdateBody {
    pub(super) fn into_change(self) -> SecretChange {
        let tags = self.tags.map(|tags| tags.0);
        let change = VersionChange { tags, attributes: attributes(self.attributes.as_ref()) };
        SecretChange { content_type: self.content_type, change }
    }
}

fn attributes(body: Option<&Object<AttributesBody>>) -> AttributesChange {
    body.map_or_else(AttributesChange::default, |Object(body)| AttributesChange {
        enabled: body.enabled,
        not_before: body.nbf.as_ref().map(Seconds::time),
        expires: body.exp.as_ref().map(Seconds::time),
    })
}

/// `SecretBundle` and `SecretItem`.
#[derive(Serialize)]
pub(super) struct SecretBundle<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<&'a str>,
    #[serde(rename = "contentType", skip_serializing_if = "Option::is_none")]
    pub(super) content_type: Option<&'a str>,
    pub(super) id: String,
    pub(super) attributes: Attributes,
    pub(super) tags: &'a BTreeMap<String, String>,
    /// Of a certificate's secret: the key of the same version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kid: Option<String>,
    /// True or absent, never false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) managed: bool,
}

impl<'a> SecretBundle<'a> {
    /// With its value.
    pub(super) fn with_value(self, value: &'a Secret<String>) -> Self {
        Self { value: Some(value.expose()), ..self }
    }
}

/// `Attributes`.
#[derive(Serialize)]
pub(super) struct Attributes {
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    created: i64,
    updated: i64,
    #[serde(rename = "recoveryLevel")]
    recovery_level: &'static str,
    #[serde(rename = "recoverableDays")]
    recoverable_days: u16,
}

impl Attributes {
    /// Of a version in a vault.
    pub(super) fn of(attributes: &vault::Attributes, recovery: Recovery) -> Self {
        Self {
            enabled: attributes.enabled,
            nbf: attributes.not_before.map(Timestamp::seconds),
            exp: attributes.expires.map(Timestamp::seconds),
            created: attributes.created.seconds(),
            updated: attributes.updated.seconds(),
            recovery_level: match (recovery.days == limits::RECOVERABLE_DAYS, recovery.is_protected) {
                (true, false) => "Recoverable+Purgeable",
                (true, true) => "Recoverable",
                (false, false) => "CustomizedRecoverable+Purgeable",
                (false, true) => "CustomizedRecoverable",
            },
            recoverable_days: recovery.days,
        }
    }
}

/// `SecretListResult` and the like. The last page says `null`.
#[derive(Serialize)]
pub(super) struct List<T> {
    pub(super) value: Vec<T>,
    #[serde(rename = "nextLink")]
    pub(super) next_link: Option<String>,
}

/// `DeletedSecretBundle`, `DeletedSecretItem` and the like.
#[derive(Serialize)]
pub(super) struct Deleted {
    #[serde(flatten)]
    pub(super) bundle: serde_json::Value,
    #[serde(rename = "recoveryId")]
    pub(super) recovery_id: String,
    #[serde(rename = "deletedDate")]
    pub(super) deleted_date: i64,
    #[serde(rename = "scheduledPurgeDate")]
    pub(super) scheduled_purge_date: i64,
}

/// `BackupSecretResult` and the like.
#[derive(Serialize)]
pub(super) struct Backup<'a> {
    pub(super) value: &'a str,
}

/// `SecretRestoreParameters` and the like.
#[derive(Deserialize)]
pub(super) struct RestoreBody {
    pub(super) value: String,
}
