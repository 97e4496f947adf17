//! Bodies of the Key Vault API. The one place where a secret's value is exposed to be answered.

use crypt::encoding::{json_number, json_text};
use domain::{ObjectVersion, Secret, Timestamp, limits};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::{collections::BTreeMap, fmt, marker::PhantomData};
use vault::{AttributesChange, Recovery, SecretChange, SetSecret, VersionChange};

/// `SecretSetParameters`. `null` is the same as absent, as clients of all ages send it.
#[derive(Deserialize)]
pub(super) struct SetBody {
    value: Option<Secret<String>>,
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

impl SetBody {
    /// What is asked for, or `None` if there is no value.
    pub(super) fn into_request(self) -> Option<SetSecret> {
        Some(SetSecret {
            value: self.value?,
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
    /// Of a certificate's secret: the version before, if there was one.
    #[serde(rename = "previousVersion", skip_serializing_if = "Option::is_none")]
    pub(super) previous: Option<ObjectVersion>,
    /// True or absent, never false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) managed: bool,
}

impl<'a> SecretBundle<'a> {
    /// With its value.
    pub(super) fn with_value(self, value: &'a Secret<String>) -> Self {
        Self { value: Some(value.expose()), ..self }
    }

    /// As JSON: the answer that is asked for most. By hand, the same bytes as serde's.
    pub(super) fn json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(BODY_BYTES);
        json.push(b'{');
        if let Some(value) = self.value {
            json.extend_from_slice(br#""value":"#);
            json_text(value, &mut json);
            json.push(b',');
        }
        if let Some(content_type) = self.content_type {
            json.extend_from_slice(br#""contentType":"#);
            json_text(content_type, &mut json);
            json.push(b',');
        }
        json.extend_from_slice(br#""id":"#);
        json_text(&self.id, &mut json);
        json.extend_from_slice(br#","attributes":"#);
        self.attributes.append(&mut json);
        json.extend_from_slice(br#","tags":{"#);
        for (number, (name, value)) in self.tags.iter().enumerate() {
            if number > 0 {
                json.push(b',');
            }
            json_text(name, &mut json);
            json.push(b':');
            json_text(value, &mut json);
        }
        json.push(b'}');
        if let Some(kid) = &self.kid {
            json.extend_from_slice(br#","kid":"#);
            json_text(kid, &mut json);
        }
        if let Some(previous) = self.previous {
            json.extend_from_slice(br#","previousVersion":""#);
            json.extend_from_slice(&previous.text());
            json.push(b'"');
        }
        if self.managed {
            json.extend_from_slice(br#","managed":true"#);
        }
        json.push(b'}');
        json
    }
}

/// Bytes of most answers' bodies; longer ones grow.
pub(super) const BODY_BYTES: usize = 512;

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

    fn append(&self, json: &mut Vec<u8>) {
        json.extend_from_slice(if self.enabled { br#"{"enabled":true"# } else { br#"{"enabled":false"# });
        let times = [
            (&br#","nbf":"#[..], self.nbf),
            (br#","exp":"#, self.exp),
            (br#","created":"#, Some(self.created)),
            (br#","updated":"#, Some(self.updated)),
        ];
        for (name, time) in times {
            if let Some(time) = time {
                json.extend_from_slice(name);
                json_number(time, json);
            }
        }
        json.extend_from_slice(br#","recoveryLevel":"#);
        json_text(self.recovery_level, json);
        json.extend_from_slice(br#","recoverableDays":"#);
        json_number(self.recoverable_days.into(), json);
        json.push(b'}');
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

/// A shape that is part of another.
pub(super) fn value_of(shape: impl Serialize) -> serde_json::Value {
    // Serializing these shapes cannot fail: their keys are text.
    serde_json::to_value(shape).unwrap_or_default()
}

impl Deleted {
    /// What is shown of an object, with when it was deleted and is purged.
    pub(super) fn of(
        recovery_id: String,
        (deleted, purge_at): (Timestamp, Timestamp),
        shown: impl Serialize,
    ) -> Self {
        Self {
            bundle: value_of(shown),
            recovery_id,
            deleted_date: deleted.seconds(),
            scheduled_purge_date: purge_at.seconds(),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_written_as_serde_would() {
        let tags = |count: usize| (0..count).map(|tag| (format!("t{tag}\""), "é\n".to_owned())).collect();
        for (number, tags) in [tags(0), tags(1), tags(3)].iter().enumerate() {
            let is_full = number > 0;
            let attributes = Attributes {
                enabled: !is_full,
                nbf: is_full.then_some(1),
                exp: is_full.then_some(2_000_000_000),
                created: 1_764_000_000,
                updated: 1_764_000_001,
                recovery_level: "Recoverable+Purgeable",
                recoverable_days: 90,
            };
            let bundle = SecretBundle {
                value: is_full.then_some("a \"value\" \\ \u{1f600}"),
                content_type: is_full.then_some("text/plain"),
                id: "https://shop.vault.test/secrets/db/0".to_owned(),
                attributes,
                tags,
                kid: is_full.then(|| "https://shop.vault.test/keys/db/0".to_owned()),
                previous: is_full.then(|| "0123456789abcdef0123456789abcdef".parse().unwrap()),
                managed: is_full,
            };
            assert_eq!(String::from_utf8(bundle.json()).unwrap(), serde_json::to_string(&bundle).unwrap());
        }
    }
}
