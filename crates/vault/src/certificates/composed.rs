//! One certificate, three objects: the place for a new version of all of them, and the writes that make it.

use super::{
    CertificateAbout, CertificateContent, CertificateFault, CertificatePolicy, Certificates, Der,
    material::Material, renewal,
};
use crate::{
    Attributes, AttributesChange, Vault, VaultError,
    attributes::check_tags,
    keys::{self, KeyContent, Keys},
    object::{self, Kind, Object, Place, Version},
    schedule,
    secrets::{self, SecretContent, Secrets},
};
use crypt::{Key256, envelope};
use domain::{Entropy, ObjectId, ObjectName, ObjectVersion, Secret, Timestamp};
use std::collections::BTreeMap;
use store::{Decision, Halt, View, Write, refuse};

/// Ids for the objects, if there are none yet.
#[derive(Clone, Copy)]
pub(crate) struct Fresh {
    certificate: ObjectId,
    key: ObjectId,
    secret: ObjectId,
}

impl Fresh {
    pub(crate) fn random(entropy: &dyn Entropy) -> Self {
        let id = || ObjectId::random(entropy);
        Self { certificate: id(), key: id(), secret: id() }
    }
}

/// Where a new version goes.
pub(crate) struct Places {
    certificate: Place<Certificates>,
    key: Place<Keys>,
    secret: Place<Secrets>,
}

/// What stands for something else where certificates stand: none of this name could be asked for (Key Vault, `/certificates/contacts` and
/// `/certificates/issuers`).
const RESERVED: [&str; 2] = ["contacts", "issuers"];

/// Finds the places. A key or secret of the name that is not the certificate's is in the way.
pub(crate) fn places(
    view: &View,
    vault: &Vault,
    name: &ObjectName,
    fresh: &Fresh,
) -> Result<Places, Halt<VaultError>> {
    let certificate = object::place(view, vault.id, name, fresh.certificate, false)?;
    let is_reserved = RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name.as_str()));
    if is_reserved && certificate.head.is_none() {
        let (what, rule) = ("the name", "must be another than contacts and issuers");
        return refuse(CertificateFault::Invalid { what, rule }.into());
    }
    Ok(Places {
        certificate,
        key: object::place(view, vault.id, name, fresh.key, true)?,
        secret: object::place(view, vault.id, name, fresh.secret, true)?,
    })
}

/// What a new version is to be.
pub(crate) struct NewVersion<'a> {
    pub(crate) version: ObjectVersion,
    pub(crate) policy: &'a CertificatePolicy,
    /// How its successors are made.
    pub(crate) next_policy: &'a CertificatePolicy,
    pub(crate) preserve_order: Option<bool>,
    pub(crate) enabled: bool,
    pub(crate) tags: &'a BTreeMap<String, String>,
    pub(crate) material: &'a Material,
    /// What the secret holds.
    pub(crate) value: &'a Secret<String>,
}

/// What seals: the vault's key.
pub(crate) struct Sealer<'a> {
    pub(crate) key: &'a Key256,
    pub(crate) entropy: &'a dyn Entropy,
}

impl Sealer<'_> {
    fn seal<K: Kind>(&self, id: &object::VersionId, plain: &[u8]) -> Result<crypt::Sealed, Halt<VaultError>> {
        let sealed = envelope::seal(self.key, &Version::<K>::address(id), plain, self.entropy);
        sealed.map_err(|error| Halt::Refuse(error.into()))
    }
}

/// Adds a version to all three and makes it the latest; what was scheduled for the one before is scheduled anew.
pub(crate) fn write(
    places: Places,
    vault: &Vault,
    sealer: &Sealer<'_>,
    new: &NewVersion<'_>,
    now: Timestamp,
) -> Result<Decision<Object<Certificates>>, Halt<VaultError>> {
    check_tags(new.tags, Certificates::TAG_CHARS_MAX).map_err(Halt::Refuse)?;
    let (leaf, version) = (&new.material.leaf, new.version);
    let attributes = Attributes::new(
        AttributesChange {
            enabled: Some(new.enabled),
            not_before: Some(leaf.not_before),
            expires: Some(leaf.not_after),
        },
        now,
    );
    let tags = new.tags.clone();
    let stored = new.material.key.to_stored().map_err(|error| Halt::Refuse(error.into()))?;
    let sealed = sealer.seal::<Keys>(&(vault.id, places.key.id, version), stored.expose())?;
    let operations = new.policy.operations(new.material.key.spec().key_type());
    let key = Version {
        version,
        attributes,
        tags: tags.clone(),
        content: KeyContent::of(&new.material.key, new.policy.key.is_hardware, &operations, sealed),
    };
    let sealed =
        sealer.seal::<Secrets>(&(vault.id, places.secret.id, version), new.value.expose().as_bytes())?;
    let content_type = Some(new.policy.content_type.as_str().to_owned());
    let previous = places.secret.head.as_ref().map(|head| head.latest);
    let content = SecretContent { content_type, previous, sealed };
    let secret = Version { version, attributes, tags: tags.clone(), content };
    let content = CertificateContent {
        leaf: Der(leaf.der.clone()),
        chain: new.material.chain.iter().cloned().map(Der).collect(),
        thumbprint: Der(leaf.thumbprint().to_vec()),
        keeps_key: !new.policy.key.exportable,
    };
    let before = places.certificate.head.clone();
    let about = CertificateAbout {
        policy: new.next_policy.clone(),
        preserve_order: new
            .preserve_order
            .or_else(|| before.as_ref().and_then(|head| head.about.preserve_order)),
        renewal: renewal::at(new.next_policy, &attributes, now),
    };
    let certificate = Version { version, attributes, tags, content };
    let mut decision = places.certificate.add(certificate, false, about)?;
    decision.writes.extend(keys::managed_version(places.key, key)?.writes);
    decision.writes.extend(secrets::write_managed(places.secret, secret)?.writes);
    decision.writes.extend(schedule::moved(vault, before.as_deref(), Some(&decision.value.head)));
    Ok(decision)
}

/// Disables or enables key and secret of a version with it.
pub(crate) fn follow(
    view: &View,
    of: &Object<Certificates>,
    vault: &Vault,
    now: Timestamp,
) -> Result<Vec<Write>, Halt<VaultError>> {
    let enabled = Some(of.version.attributes.enabled);
    let mut writes = follow_one::<Keys>(view, of, vault, enabled, now)?;
    writes.extend(follow_one::<Secrets>(view, of, vault, enabled, now)?);
    Ok(writes)
}

fn follow_one<K: Kind>(
    view: &View,
    of: &Object<Certificates>,
    vault: &Vault,
    enabled: Option<bool>,
    now: Timestamp,
) -> Result<Vec<Write>, Halt<VaultError>> {
    let found = object::find::<K>(view, vault.id, &of.head.name, Some(of.version.version))?;
    let change = AttributesChange { enabled, ..AttributesChange::default() };
    let attributes = found.version.attributes.changed(change, now);
    let changed = Version { attributes, ..Version::clone(&found.version) };
    let mut change = object::Change::of(found);
    change.version(changed);
    Ok(change.decided(vault)?.writes)
}
