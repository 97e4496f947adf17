//! The reference model: what Key Vault keeps of secrets, keys and certificates, in the plainest form that can be said.
//!
//! Owns: the nouns, and what time does to them. What a request may not do is in `rules`, what it does in `effects`. Nothing of the product is
//! used or looked at: sources are Key Vault's documentation and its OpenAPI files.

use std::collections::BTreeMap;

use serde_json::Value;

/// Seconds of a day.
pub(crate) const DAY: i64 = 86_400;

/// What a vault keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// A value.
    Secret,
    /// Something that signs and decrypts.
    Key,
    /// Something that has a key and a secret of its own name.
    Certificate,
}

impl Kind {
    /// All.
    pub(crate) const ALL: [Self; 3] = [Self::Secret, Self::Key, Self::Certificate];

    /// The first segment of paths.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Secret => "secrets",
            Self::Key => "keys",
            Self::Certificate => "certificates",
        }
    }

    /// The code of an error that it is not there.
    pub(crate) fn not_found(self) -> &'static str {
        match self {
            Self::Secret => "SecretNotFound",
            Self::Key => "KeyNotFound",
            Self::Certificate => "CertificateNotFound",
        }
    }
}

/// A caller's own names and values.
pub(crate) type Tags = BTreeMap<String, String>;

/// What is said of a version.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attributes {
    pub(crate) enabled: bool,
    pub(crate) nbf: Option<i64>,
    pub(crate) exp: Option<i64>,
    pub(crate) created: i64,
    pub(crate) updated: i64,
}

/// One version. Its id is empty while it is known that it was made, and not yet how it is called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Version {
    pub(crate) id: String,
    pub(crate) attributes: Attributes,
    pub(crate) tags: Tags,
    pub(crate) content: Content,
}

/// What a version consists of. What only the server can know is learned when it is first told, and must stay.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    Secret { value: Option<String>, content_type: Option<String> },
    Key(KeyContent),
    Certificate { told: Value },
}

/// A version of a key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KeyContent {
    /// Type and public members; null while unknown.
    pub(crate) public: Value,
    pub(crate) operations: Vec<String>,
    /// The same number for the same key, whatever it is called.
    pub(crate) material: u64,
}

/// When it was deleted, and when it goes for good.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Deleted {
    pub(crate) at: i64,
    pub(crate) purge: i64,
}

/// How a key is renewed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rotation {
    pub(crate) after_days: i64,
    pub(crate) expiry_days: Option<i64>,
    pub(crate) created: i64,
    pub(crate) updated: i64,
}

/// A secret, key or certificate, live or deleted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object {
    /// As it was first spelled.
    pub(crate) name: String,
    /// Does it belong to a certificate?
    pub(crate) managed: bool,
    /// In the order in which they were made.
    pub(crate) versions: Vec<Version>,
    pub(crate) deleted: Option<Deleted>,
    pub(crate) rotation: Option<Rotation>,
    /// A certificate's policy, without its id.
    pub(crate) policy: Value,
    /// When a certificate makes its next version.
    pub(crate) renewal: Option<i64>,
}

impl Object {
    /// Of a first version.
    pub(crate) fn new(name: &str, managed: bool) -> Self {
        let name = name.to_owned();
        let (versions, policy) = (Vec::new(), Value::Null);
        Self { name, managed, versions, deleted: None, rotation: None, policy, renewal: None }
    }

    /// The newest version.
    pub(crate) fn latest(&self) -> &Version {
        self.versions.last().expect("an object has versions")
    }

    /// The newest version, or the named one.
    pub(crate) fn find(&self, version: Option<&str>) -> Option<&Version> {
        match version {
            None => self.versions.last(),
            Some(version) => self.versions.iter().find(|known| known.id == version),
        }
    }

    /// The same, to change it.
    pub(crate) fn find_mut(&mut self, version: Option<&str>) -> &mut Version {
        let at = version.and_then(|version| self.versions.iter().position(|known| known.id == version));
        let last = self.versions.len() - 1;
        &mut self.versions[at.unwrap_or(last)]
    }

    /// When its next version is made by itself.
    pub(crate) fn due(&self) -> Option<i64> {
        if self.deleted.is_some() {
            return None;
        }
        match &self.rotation {
            Some(rotation) if self.latest().attributes.enabled => {
                Some(self.latest().attributes.created + rotation.after_days * DAY)
            }
            _ => self.renewal,
        }
    }
}

/// How far a request for a certificate has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Begun,
    Completed,
    Cancelled,
}

/// A certificate that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pending {
    pub(crate) name: String,
    pub(crate) progress: Progress,
    /// Which version it will be, once somebody was told.
    pub(crate) version: String,
    pub(crate) issuer: String,
    pub(crate) request: String,
    pub(crate) csr: Value,
    pub(crate) tags: Tags,
    /// What its policy must say at least.
    pub(crate) policy: Value,
    /// It was deleted before its first version came.
    pub(crate) deleted: Option<Deleted>,
}

/// One vault.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Vault {
    /// The host of its identifiers.
    pub(crate) host: String,
    /// For how long deleted objects can be recovered.
    pub(crate) days: i64,
    /// By kind and name in lower case: names that differ by case are one.
    pub(crate) objects: BTreeMap<(Kind, String), Object>,
    pub(crate) pending: BTreeMap<String, Pending>,
}

impl Vault {
    /// A live object.
    pub(crate) fn live(&self, kind: Kind, name: &str) -> Option<&Object> {
        self.objects.get(&(kind, name.to_ascii_lowercase())).filter(|object| object.deleted.is_none())
    }

    /// A deleted object.
    pub(crate) fn deleted(&self, kind: Kind, name: &str) -> Option<&Object> {
        self.objects.get(&(kind, name.to_ascii_lowercase())).filter(|object| object.deleted.is_some())
    }

    /// An object to change, live or deleted.
    pub(crate) fn object(&mut self, kind: Kind, name: &str) -> &mut Object {
        self.objects.get_mut(&(kind, name.to_ascii_lowercase())).expect("the rules have found it")
    }

    /// What was asked for of a certificate, to change it.
    pub(crate) fn asked(&mut self, name: &str) -> &mut Pending {
        self.pending.get_mut(&name.to_ascii_lowercase()).expect("the rules have found it")
    }

    /// What was asked for of a certificate that has no version yet.
    pub(crate) fn never_made(&self, name: &str) -> Option<&Pending> {
        let is_there = self.objects.contains_key(&(Kind::Certificate, name.to_ascii_lowercase()));
        self.pending.get(&name.to_ascii_lowercase()).filter(|_| !is_there)
    }

    /// Is the first version of a certificate still to come, or was it called off, and is it this one?
    pub(crate) fn is_coming(&self, name: &str, version: Option<&str>) -> bool {
        self.never_made(name).is_some_and(|pending| {
            pending.deleted.is_none() && version.is_none_or(|version| version == pending.version)
        })
    }

    /// Was a certificate deleted before its first version came?
    pub(crate) fn is_gone_early(&self, name: &str) -> bool {
        self.never_made(name).is_some_and(|pending| pending.deleted.is_some())
    }

    /// What has become of a certificate that was asked for, unless it was deleted with the certificate.
    pub(crate) fn asked_for(&self, name: &str) -> Option<&Pending> {
        self.pending.get(&name.to_ascii_lowercase()).filter(|pending| pending.deleted.is_none())
    }

    /// Is a certificate of this name being made?
    pub(crate) fn is_reserved(&self, name: &str) -> bool {
        self.asked_for(name).is_some_and(|pending| pending.progress == Progress::Begun)
    }
}

/// What a backup holds: one object, or the three of a certificate.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Blob {
    pub(crate) text: String,
    pub(crate) kind: Kind,
    pub(crate) objects: Vec<(Kind, Object)>,
}

/// What a key made of something: a signature, a ciphertext, a wrapped key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Made {
    /// `sign`, `encrypt` or `wrapkey`.
    pub(crate) by: &'static str,
    pub(crate) algorithm: &'static str,
    pub(crate) material: u64,
    /// Of which key, to be found again.
    pub(crate) key: (usize, String, String),
    pub(crate) input: String,
    /// The members of the answer: `value`, and what else decryption needs.
    pub(crate) output: Value,
}

/// Everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Model {
    pub(crate) vaults: Vec<Vault>,
    /// In the order in which they were made, so that a seed chooses the same ones again.
    pub(crate) blobs: Vec<Blob>,
    pub(crate) made: Vec<Made>,
    /// Ids of versions, none of which is ever used again.
    pub(crate) ids: Vec<String>,
    pub(crate) materials: u64,
}

impl Model {
    /// A number for a key that was not there before.
    pub(crate) fn fresh_material(&mut self) -> u64 {
        self.materials += 1;
        self.materials
    }

    /// Lets time pass: what became due is done. Answers what has a version that nobody knows yet.
    pub(crate) fn pass(&mut self, now: i64) -> Vec<(usize, Kind, String)> {
        let mut made = Vec::new();
        let mut materials = self.materials;
        for (at, vault) in self.vaults.iter_mut().enumerate() {
            vault
                .objects
                .retain(|_, object| object.deleted.as_ref().is_none_or(|deleted| deleted.purge > now));
            vault
                .pending
                .retain(|_, pending| pending.deleted.as_ref().is_none_or(|deleted| deleted.purge > now));
            let due: Vec<(Kind, String)> = vault
                .objects
                .iter()
                .filter(|(_, object)| object.due().is_some_and(|due| due <= now))
                .map(|(id, _)| id.clone())
                .collect();
            for (kind, name) in due {
                let is_waiting = kind == Kind::Certificate
                    && (vault.is_reserved(&name) || !vault.object(kind, &name).latest().attributes.enabled);
                if is_waiting {
                    // It is tried again a day later.
                    vault.object(kind, &name).renewal = Some(now + DAY);
                    continue;
                }
                materials += 1;
                // When it is due again follows from the new version, which nobody has read yet.
                vault.object(kind, &name).renewal = None;
                let tags = vault.object(kind, &name).latest().tags.clone();
                let kinds = if kind == Kind::Certificate { &Kind::ALL[..] } else { &[Kind::Key][..] };
                for kind in kinds {
                    let next = vault.object(*kind, &name).next(*kind, &tags, materials);
                    vault.object(*kind, &name).versions.push(next);
                }
                made.push((at, kind, name));
            }
        }
        self.materials = materials;
        made
    }
}

impl Object {
    /// A version like the latest one, of which only the server knows when it was made and how it is called.
    fn next(&self, kind: Kind, tags: &Tags, material: u64) -> Version {
        let old = self.latest();
        let content = match &old.content {
            Content::Secret { content_type, .. } => {
                Content::Secret { value: None, content_type: content_type.clone() }
            }
            Content::Key(key) => {
                Content::Key(KeyContent { public: Value::Null, operations: key.operations.clone(), material })
            }
            Content::Certificate { .. } => Content::Certificate { told: Value::Null },
        };
        let attributes =
            Attributes { enabled: true, nbf: None, exp: None, created: i64::MAX - 400 * DAY, updated: 0 };
        let tags = if kind == Kind::Key && !self.managed { old.tags.clone() } else { tags.clone() };
        Version { id: String::new(), attributes, tags, content }
    }
}
