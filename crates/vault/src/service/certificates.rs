//! Making certificates: by policy, by merging what an authority signed, by import, by renewal.
//!
//! Each plans on one view of the store, makes what takes long outside of it, and writes on another view, if the plan still holds there.

use super::{Permitted, VaultService};
use crate::{
    Object, Vault, VaultError,
    certificates::{
        CertificateFault, CertificatePolicy, Certificates, ContentType, CreateCertificate, Der,
        ImportCertificate, MergeCertificate, Pending, PendingStatus, PolicyAsked, SELF_ISSUER,
        UNKNOWN_ISSUER,
        authority::StoredAuthority,
        composed::{self, Fresh, NewVersion, Sealer},
        issuers,
        material::{self, Material},
        pending,
        renewal::PAUSE,
    },
    keys::Keys,
    object::{self, Head, Kind, Version, VersionId},
    schedule::{self, Due},
    vaults,
};
use access::{Asker, CreateCertificate as CreateAction, ImportCertificate as ImportAction, Permit};
use crypt::{
    CryptError, Sealed,
    certificate::Reserved,
    envelope,
    keys::{KeySpec, PrivateKey},
};
use domain::{Entropy, ObjectId, ObjectName, ObjectVersion, Secret, Timestamp, VaultName, world};
use std::sync::Arc;
use store::{Decision, Halt, View, Write, put, query, refuse, transact};

/// How often a certificate is planned again because what it was planned on has changed.
const PLANS_MAX: usize = 4;

/// Who signs.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Way {
    /// The certificate's own key.
    OwnKey,
    /// The vault's own authority, made if there is none.
    Authority(Option<Arc<StoredAuthority>>),
    /// Somebody whom the caller knows.
    Merge,
    /// Nobody who can be reached from here.
    Nobody(String),
}

/// What is to be made, and what that was decided on: it is written only if it would be decided again.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    vault: Arc<Vault>,
    head: Option<Arc<Head<Certificates>>>,
    policy: CertificatePolicy,
    way: Way,
    /// The key that the new version is to have as well, sealed.
    reused: Option<(VersionId, Sealed)>,
}

/// A key that was made for an earlier plan of the same request. Another plan may want another type.
type FreshKey = Option<(KeySpec, Secret<Vec<u8>>)>;

/// What came of it.
enum Made {
    Issued {
        request: Vec<u8>,
        material: Box<Material>,
        value: Secret<String>,
        authority: Option<StoredAuthority>,
    },
    Waiting {
        request: Vec<u8>,
        pkcs8: Secret<Vec<u8>>,
    },
    Never(String),
}

/// What is said of a new version besides how it is made.
struct Said<'a> {
    name: &'a ObjectName,
    version: ObjectVersion,
    request: String,
    enabled: bool,
    tags: &'a std::collections::BTreeMap<String, String>,
    preserve_order: Option<bool>,
    now: Timestamp,
}

/// Decides how a new version is made.
fn plan(
    view: &View,
    vault: &Arc<Vault>,
    name: &ObjectName,
    asked: Option<&PolicyAsked>,
    fresh: &Fresh,
    now: Timestamp,
) -> Result<Plan, Halt<VaultError>> {
    pending::require_none(view, vault.id, name)?;
    composed::places(view, vault, name, fresh)?;
    let head = view.get::<Head<Certificates>>(&(vault.id, name.clone()))?;
    let policy = match (asked, &head) {
        (Some(asked), _) => {
            let new = CertificatePolicy::new(asked, now).map_err(fault)?;
            CertificatePolicy { created: head.as_ref().map_or(now, |head| head.about.policy.created), ..new }
        }
        (None, Some(head)) => head.about.policy.clone(),
        (None, None) => return refuse(CertificateFault::PolicyMissing.into()),
    };
    let way = way(view, vault, &policy)?;
    if policy.platform.is_none() {
        policy.profile().map_err(fault)?;
    }
    let reused = match &head {
        Some(head) if policy.key.reuse => reused(view, vault, head, &policy)?,
        _ => None,
    };
    Ok(Plan { vault: vault.clone(), head, policy, way, reused })
}

/// What names an operation: 32 hex digits.
fn fresh_request(entropy: &dyn Entropy) -> String {
    crypt::encoding::hex(&world::random::<16>(entropy))
}

fn fault(fault: CertificateFault) -> Halt<VaultError> {
    Halt::Refuse(fault.into())
}

pub(super) fn way(view: &View, vault: &Vault, policy: &CertificatePolicy) -> Result<Way, Halt<VaultError>> {
    if policy.platform.is_some() {
        return Ok(Way::Nobody("There is no platform here that manages certificates.".to_owned()));
    }
    if policy.is_of(SELF_ISSUER) {
        return Ok(Way::OwnKey);
    }
    if policy.is_of(UNKNOWN_ISSUER) {
        return Ok(Way::Merge);
    }
    let Some(name) = policy.named_issuer() else {
        return refuse(
            CertificateFault::Invalid {
                what: "the issuer",
                rule: "must be named by letters, digits and dashes",
            }
            .into(),
        );
    };
    let issuer = issuers::find(view, vault.id, &name)?;
    if !issuer.enabled {
        return Ok(Way::Nobody(format!("Issuer {} is disabled.", issuer.name)));
    }
    if issuer.is_own() {
        return Ok(Way::Authority(view.get::<StoredAuthority>(&vault.id)?));
    }
    Ok(Way::Nobody(format!(
        "Issuer {} is of the provider {}, which Keyless does not reach: use issuer Unknown, have its request signed and merge the certificate.",
        issuer.name, issuer.provider
    )))
}

/// Refuses a policy by which no version could be made: else nobody would hear of it before one is due.
pub(super) fn require_makeable(
    view: &View,
    vault: &Vault,
    policy: &CertificatePolicy,
) -> Result<(), Halt<VaultError>> {
    way(view, vault, policy)?;
    if policy.platform.is_none() {
        policy.profile().map_err(fault)?;
    }
    Ok(())
}

fn reused(
    view: &View,
    vault: &Vault,
    head: &Head<Certificates>,
    policy: &CertificatePolicy,
) -> Result<Option<(VersionId, Sealed)>, Halt<VaultError>> {
    let latest = object::find::<Certificates>(view, vault.id, &head.name, Some(head.latest))?;
    // A key that must not leave does not leave as its successor's, whatever was made of the policy meanwhile.
    let keeps_key = latest.version.content.keeps_key || !head.about.policy.key.exportable;
    if keeps_key && policy.key.exportable {
        return Ok(None);
    }
    let key = object::find::<Keys>(view, vault.id, &head.name, Some(head.latest))?;
    // A key of another type or size than the policy now wants cannot be the next one's.
    let fits = key.version.content.spec().is_ok_and(|spec| spec == policy.key.spec);
    Ok(Keys::sealed(&key.version.content).filter(|_| fits).map(|sealed| (key.id(vault.id), sealed.clone())))
}

/// What is to become of a renewal that is due.
enum Renewal {
    /// It is made.
    Now(Box<Plan>, Arc<Version<Certificates>>),
    /// Not now: the certificate is disabled, or somebody is making a version of it.
    Later(Arc<Vault>),
    /// It is not due any more.
    Never,
}

fn renewal(
    view: &View,
    due: &Due,
    (name, object): (&ObjectName, ObjectId),
    fresh: &Fresh,
    now: Timestamp,
) -> Result<Renewal, Halt<VaultError>> {
    let vault = match vaults::find(view, &due.vault) {
        Ok(vault) if vault.id == due.vault_id => vault,
        Ok(_) | Err(Halt::Refuse(VaultError::VaultNotFound { .. })) => return Ok(Renewal::Never),
        Err(halt) => return Err(halt),
    };
    let Some(head) = view.get::<Head<Certificates>>(&(vault.id, name.clone()))? else {
        return Ok(Renewal::Never);
    };
    if head.id != object || head.about.renewal.is_none_or(|at| at > now) {
        return Ok(Renewal::Never);
    }
    let latest = object::find::<Certificates>(view, vault.id, name, None)?.version;
    if !latest.attributes.enabled || pending::holds(view, vault.id, name)? {
        return Ok(Renewal::Later(vault));
    }
    match plan(view, &vault, name, None, fresh, now) {
        Ok(plan) => Ok(Renewal::Now(Box::new(plan), latest)),
        Err(Halt::Refuse(error)) => {
            // Such as an issuer that is gone: the pending operation will say so.
            let policy = head.about.policy.clone();
            let plan =
                Plan { vault, head: Some(head), policy, way: Way::Nobody(error.to_string()), reused: None };
            Ok(Renewal::Now(Box::new(plan), latest))
        }
        Err(halt) => Err(halt),
    }
}

/// The writes that put a renewal off.
fn postpone(
    view: &View,
    vault: &Vault,
    name: &ObjectName,
    now: Timestamp,
) -> Result<Vec<Write>, Halt<VaultError>> {
    let id = (vault.id, name.clone());
    let Some(head) = view.get::<Head<Certificates>>(&id)? else { return Ok(Vec::new()) };
    let mut later = Head::clone(&head);
    later.about.renewal = Some(now.plus(PAUSE));
    let mut writes = vec![put::<Head<Certificates>>(&id, &later)];
    writes.extend(schedule::moved(vault, Some(&*head), Some(&later)));
    Ok(writes)
}

impl VaultService {
    /// Does what keeps a processor busy.
    fn work<T: Send>(&self, work: impl FnOnce() -> Result<T, VaultError> + Send) -> Result<T, VaultError> {
        let unavailable = CryptError::Unavailable { what: "a worker" };
        world::busy(&*self.workers, work).unwrap_or_else(|| Err(unavailable.into()))
    }

    /// Makes what a plan says. `key`: of an earlier plan of the same request, or to be kept for a later one.
    fn make_certificate(&self, plan: &Plan, key: &mut FreshKey, now: Timestamp) -> Result<Made, VaultError> {
        let Plan { vault, policy, .. } = plan;
        if let Way::Nobody(reason) = &plan.way {
            return Ok(Made::Never(reason.clone()));
        }
        let profile = policy.profile()?;
        let pkcs8 = match (&plan.reused, &key) {
            (Some((id, sealed)), _) => {
                let stored = self.open::<Keys>(vault, id, sealed)?;
                material::pkcs8_of(&PrivateKey::from_stored(&stored)?)?
            }
            (None, Some((spec, known))) if *spec == policy.key.spec => known.duplicate(),
            (None, _) => {
                let fresh = material::fresh_key(policy, &*self.entropy)?;
                key.insert((policy.key.spec, fresh)).1.duplicate()
            }
        };
        let request = material::request(&profile, &pkcs8)?;
        let (material, authority) = match &plan.way {
            Way::OwnKey => (Material::self_signed(&profile, &pkcs8, now, &*self.entropy)?, None),
            Way::Authority(known) => {
                let vault_key = self.key(vault)?;
                let opened = match known {
                    Some(known) => known.open(vault, &vault_key, now)?,
                    None => None,
                };
                let (made, authority) = match opened {
                    Some(authority) => (None, authority),
                    None => {
                        let (made, authority) =
                            StoredAuthority::create(vault, &vault_key, now, &*self.entropy)?;
                        (Some(made), authority)
                    }
                };
                let reserved = Reserved { dns_names: &self.reserved.0, ip_addresses: &self.reserved.1 };
                let material =
                    Material::issued(&authority, &reserved, &profile, &pkcs8, now, &*self.entropy)?;
                (material, made)
            }
            Way::Merge | Way::Nobody(_) => return Ok(Made::Waiting { request, pkcs8 }),
        };
        let value = material.secret_value(policy, &*self.entropy)?;
        Ok(Made::Issued { request, material: Box::new(material), value, authority })
    }

    /// What makes it true.
    fn write_made(
        &self,
        view: &View,
        plan: &Plan,
        made: &Made,
        fresh: &Fresh,
        said: &Said<'_>,
    ) -> Result<Decision<Pending>, Halt<VaultError>> {
        let vault = &plan.vault;
        crate::attributes::check_tags(said.tags, Certificates::TAG_CHARS_MAX).map_err(Halt::Refuse)?;
        let mut pending = Pending {
            name: plan.head.as_ref().map_or_else(|| said.name.clone(), |head| head.name.clone()),
            version: said.version,
            request: said.request.clone(),
            policy: plan.policy.clone(),
            next_policy: None,
            preserve_order: said.preserve_order,
            enabled: said.enabled,
            tags: said.tags.clone(),
            status: PendingStatus::InProgress,
            request_der: None,
            sealed: None,
            created: said.now,
            updated: said.now,
            deleted: None,
        };
        let mut writes = Vec::new();
        match made {
            Made::Issued { request, material, value, authority } => {
                pending.status = PendingStatus::Completed;
                pending.request_der = Some(Der(request.clone()));
                let places = composed::places(view, vault, said.name, fresh)?;
                let new = NewVersion {
                    version: said.version,
                    policy: &plan.policy,
                    next_policy: &plan.policy,
                    preserve_order: said.preserve_order,
                    enabled: said.enabled,
                    tags: said.tags,
                    material,
                    value,
                };
                writes = self.compose(places, vault, &new, said.now)?.writes;
                writes.extend(authority.as_ref().map(|made| put::<StoredAuthority>(&vault.id, made)));
            }
            Made::Waiting { request, pkcs8 } => {
                pending.request_der = Some(Der(request.clone()));
                let address = Pending::address(vault.id, said.name, said.version);
                let key = self.key(vault).map_err(Halt::Refuse)?;
                let sealed = envelope::seal(&key, &address, pkcs8.expose(), &*self.entropy);
                pending.sealed = Some(sealed.map_err(|error| Halt::Refuse(error.into()))?);
            }
            Made::Never(reason) => pending.status = PendingStatus::Failed { reason: reason.clone() },
        }
        writes.push(pending.fitting(vault.id)?);
        Ok(Decision::of(pending, writes))
    }

    fn compose(
        &self,
        places: composed::Places,
        vault: &Vault,
        new: &NewVersion<'_>,
        now: Timestamp,
    ) -> Result<Decision<Object<Certificates>>, Halt<VaultError>> {
        let key = self.key(vault).map_err(Halt::Refuse)?;
        let sealer = Sealer { key: &key, entropy: &*self.entropy };
        composed::write(places, vault, &sealer, new, now)
    }

    /// Begins to make a certificate, or a new version of one; with an issuer that needs nobody it is made at once (Key Vault: Create
    /// Certificate).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn create_certificate(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        asked: &CreateCertificate,
        now: Timestamp,
    ) -> Result<Permitted<Pending>, VaultError> {
        let fresh = Fresh::random(&*self.entropy);
        let said = Said {
            name,
            version: ObjectVersion::random(&*self.entropy),
            request: fresh_request(&*self.entropy),
            enabled: asked.enabled.unwrap_or(true),
            tags: &asked.tags,
            preserve_order: asked.preserve_order,
            now,
        };
        let (policy, mut key) = (asked.policy.as_ref(), None);
        for _ in 0..PLANS_MAX {
            let planned =
                self.look(asker, vault, Some(name), |view, _permit: &Permit<CreateAction>, vault| {
                    plan(view, &Arc::new(vault.clone()), name, policy, &fresh, now)
                });
            let planned = planned.await?.value;
            let made = self.work(|| self.make_certificate(&planned, &mut key, now))?;
            let written =
                self.change(asker, vault, Some(name), |view, _permit: &Permit<CreateAction>, vault| {
                    let again = plan(view, &Arc::new(vault.clone()), name, policy, &fresh, now)?;
                    if again.head != planned.head
                        || again.policy != planned.policy
                        || !again.is_like(&planned)
                    {
                        return Ok(Decision::read(None));
                    }
                    let decision = self.write_made(view, &planned, &made, &fresh, &said)?;
                    Ok(Decision::of(Some(decision.value), decision.writes))
                });
            let Permitted { value, because, recovery } = written.await?;
            if let Some(pending) = value {
                return Ok(Permitted { value: pending, because, recovery });
            }
        }
        Err(VaultError::Contended { what: "the certificate" })
    }

    /// Makes a certificate of what an authority signed for a pending request (Key Vault: Merge Certificate).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn merge_certificate(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        asked: &MergeCertificate,
        now: Timestamp,
    ) -> Result<Permitted<Object<Certificates>>, VaultError> {
        let fresh = Fresh::random(&*self.entropy);
        let found = self.look(asker, vault, Some(name), |view, permit: &Permit<CreateAction>, vault| {
            let pending = pending::in_progress(view, permit.vault(), name)?;
            composed::places(view, vault, name, &fresh)?;
            Ok((vault.clone(), pending))
        });
        let (of, pending) = found.await?.value;
        let Some(sealed) = &pending.sealed else {
            return Err(CertificateFault::PendingOver { name: name.clone() }.into());
        };
        let pkcs8 =
            envelope::open(&*self.key(&of)?, &Pending::address(of.id, name, pending.version), sealed)?;
        let keep_order = pending.preserve_order == Some(true);
        let (material, value) = self.work(|| {
            let material = Material::merged(&pkcs8, &asked.certificates, keep_order)?;
            let value = material.secret_value(&pending.policy, &*self.entropy)?;
            Ok((material, value))
        })?;
        self.change(asker, vault, Some(name), |view, permit: &Permit<CreateAction>, vault| {
            let still = pending::in_progress(view, permit.vault(), name)?;
            if vault.id != of.id || still.version != pending.version {
                return refuse(CertificateFault::PendingNotFound { name: name.clone() }.into());
            }
            let places = composed::places(view, vault, name, &fresh)?;
            let new = NewVersion {
                version: still.version,
                policy: &still.policy,
                next_policy: still.policy_of_next(),
                preserve_order: still.preserve_order,
                enabled: asked.enabled.unwrap_or(still.enabled),
                tags: asked.tags.as_ref().unwrap_or(&still.tags),
                material: &material,
                value: &value,
            };
            let mut decision = self.compose(places, vault, &new, now)?;
            let over = Pending {
                status: PendingStatus::Completed,
                sealed: None,
                updated: now,
                ..Pending::clone(&still)
            };
            decision.writes.push(over.fitting(vault.id)?);
            Ok(decision)
        })
        .await
    }

    /// Makes the next version of a certificate, since its time has come; decides anew whether it has. Answers whether it was made. What
    /// cannot be made is tried again a day later, and its pending operation says why. `None`: there is nothing to renew.
    pub(super) async fn renew_certificate(
        &self,
        due: &Due,
        (name, object): (&ObjectName, ObjectId),
        now: Timestamp,
    ) -> Result<Option<bool>, VaultError> {
        let (fresh, version) = (Fresh::random(&*self.entropy), ObjectVersion::random(&*self.entropy));
        let (request, mut key) = (fresh_request(&*self.entropy), None);
        for _ in 0..PLANS_MAX {
            let planned = query(&*self.store, |view| renewal(view, due, (name, object), &fresh, now)).await?;
            let made = match &planned {
                Renewal::Now(plan, _) => {
                    Some(match self.work(|| self.make_certificate(plan, &mut key, now)) {
                        Ok(made) => made,
                        Err(error @ VaultError::Store(_)) => return Err(error),
                        Err(error) => Made::Never(error.to_string()),
                    })
                }
                Renewal::Later(_) | Renewal::Never => None,
            };
            if matches!(planned, Renewal::Never) {
                return Ok(None);
            }
            let written = transact(&*self.store, &*self.entropy, |view| {
                let (is_made, mut writes) =
                    match (renewal(view, due, (name, object), &fresh, now)?, &planned, &made) {
                        (Renewal::Later(vault), _, _) => (false, postpone(view, &vault, name, now)?),
                        (Renewal::Now(again, latest), Renewal::Now(plan, _), Some(made))
                            if again.head == plan.head
                                && again.policy == plan.policy
                                && again.is_like(plan) =>
                        {
                            let said = Said {
                                name,
                                version,
                                request: request.clone(),
                                enabled: true,
                                tags: &latest.tags,
                                preserve_order: None,
                                now,
                            };
                            let mut writes = self.write_made(view, plan, made, &fresh, &said)?.writes;
                            let is_made = matches!(made, Made::Issued { .. });
                            if !is_made {
                                writes.extend(postpone(view, &plan.vault, name, now)?);
                            }
                            (is_made, writes)
                        }
                        _ => return Ok(Decision::read(None)),
                    };
                // It may have been put off while the vault was deleted, and be due at another time than the certificate says.
                if !writes.iter().any(|write| write.key() == due.unput().key()) {
                    writes.push(due.unput());
                }
                Ok(Decision::of(Some(is_made), writes))
            });
            if let Some(is_made) = written.await? {
                return Ok(Some(is_made));
            }
        }
        // Others were making versions of it. It stays due.
        Ok(Some(false))
    }

    /// Takes a certificate in with its private key (Key Vault: Import Certificate).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn import_certificate(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        asked: &ImportCertificate,
        now: Timestamp,
    ) -> Result<Permitted<Object<Certificates>>, VaultError> {
        let (fresh, version) = (Fresh::random(&*self.entropy), ObjectVersion::random(&*self.entropy));
        let is_free = |view: &View, vault: &Vault| {
            pending::require_none(view, vault.id, name)?;
            composed::places(view, vault, name, &fresh)
        };
        // Whom it is refused anyway costs no key derivation.
        let look = self.look(asker, vault, Some(name), |view, _permit: &Permit<ImportAction>, vault| {
            is_free(view, vault).map(drop)
        });
        look.await?;
        let said = asked.policy.as_ref().and_then(|policy| policy.content_type.as_deref());
        let form = said.and_then(ContentType::parse).unwrap_or_else(|| material::form_of(&asked.value));
        let keep_order = asked.preserve_order == Some(true);
        let (material, policy, value) = self.work(|| {
            let material = Material::imported(&asked.value, asked.password.as_ref(), form, keep_order)?;
            let policy = CertificatePolicy::of_imported(asked.policy.as_ref(), &material.leaf, form, now)?;
            let value = material.secret_value(&policy, &*self.entropy)?;
            Ok((material, policy, value))
        })?;
        let is_to_be_made = asked.policy.as_ref().is_some_and(|asked| asked.issuer.name.is_some());
        self.change(asker, vault, Some(name), |view, _permit: &Permit<ImportAction>, vault| {
            let places = is_free(view, vault)?;
            if policy.renews() {
                require_makeable(view, vault, &policy)?;
            } else if is_to_be_made {
                way(view, vault, &policy)?;
            }
            let new = NewVersion {
                version,
                policy: &policy,
                next_policy: &policy,
                preserve_order: asked.preserve_order,
                enabled: asked.enabled.unwrap_or(true),
                tags: &asked.tags,
                material: &material,
                value: &value,
            };
            self.compose(places, vault, &new, now)
        })
        .await
    }
}

impl Plan {
    /// Is it decided in the same way on the same keys? The vault's other settings do not matter.
    fn is_like(&self, other: &Self) -> bool {
        self.vault.id == other.vault.id && self.way == other.way && self.reused == other.reused
    }
}
