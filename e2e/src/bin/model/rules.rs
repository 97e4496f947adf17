//! What is refused, and how: the first rule that applies. Whatever passes them succeeds.

use serde_json::Value;

use crate::ask::{Ask, undoes};
use crate::call::{Call, Who};
use crate::client::Reply;
use crate::shape::kind_of_key;
use crate::state::{Content, KeyContent, Kind, Model, Object, Progress, Vault, Version};

/// The reader's verbs in the first vault and in the second, as its access policies are set.
pub(crate) const READER: [[(Kind, &[&str]); 3]; 2] = [
    [(Kind::Secret, &["get", "list"]), (Kind::Key, &["get", "list", "sign"]), (Kind::Certificate, &["get"])],
    [(Kind::Secret, &["list"]), (Kind::Key, &["verify", "backup"]), (Kind::Certificate, &[])],
];

/// May somebody do this there?
pub(crate) fn may(who: Who, vault: usize, (kind, verb): (Kind, &str)) -> bool {
    match who {
        Who::Owner | Who::Late => true,
        Who::Reader => READER[vault].iter().any(|(of, verbs)| *of == kind && verbs.contains(&verb)),
    }
}

/// Status, code and inner code of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(u16, &'static str, Option<&'static str>);

const BAD: Refusal = Refusal(400, "BadParameter", None);
const TAKEN: Refusal = Refusal(409, "Conflict", None);
const DELETED: Refusal = Refusal(409, "Conflict", Some("ObjectIsDeletedButRecoverable"));

impl Refusal {
    /// Is the answer this refusal?
    pub(crate) fn check(self, reply: &Reply) -> Result<(), String> {
        let Self(status, code, inner) = self;
        let error = &reply.body["error"];
        let got = (reply.status, error["code"].as_str(), error["innererror"]["code"].as_str());
        if got == (status, Some(code), inner) {
            return Ok(());
        }
        let (inner, got_inner) = (inner.unwrap_or("no inner code"), got.2.unwrap_or("no inner code"));
        Err(format!(
            "should be refused with {status} {code} ({inner}), is answered {} {} ({got_inner})",
            got.0,
            got.1.unwrap_or("without an error")
        ))
    }
}

fn absent(kind: Kind) -> Refusal {
    Refusal(404, kind.not_found(), None)
}

fn forbidden(inner: &'static str) -> Refusal {
    Refusal(403, "Forbidden", Some(inner))
}

/// What belongs to a certificate is changed by the certificate only.
fn managed(kind: Kind) -> Refusal {
    forbidden(if kind == Kind::Key { "KeyManagedByKeyVault" } else { "SecretManagedByKeyVault" })
}

fn live<'a>(vault: &'a Vault, kind: Kind, name: &str) -> Result<&'a Object, Refusal> {
    vault.live(kind, name).ok_or(absent(kind))
}

fn version<'a>(
    vault: &'a Vault,
    kind: Kind,
    name: &str,
    version: Option<&str>,
) -> Result<(&'a Object, &'a Version), Refusal> {
    let object = live(vault, kind, name)?;
    object.find(version).map(|version| (object, version)).ok_or(absent(kind))
}

/// An object that is no certificate's own.
fn own(kind: Kind, object: &Object) -> Result<(), Refusal> {
    if object.managed { Err(managed(kind)) } else { Ok(()) }
}

/// A name for a new version of somebody's own key or secret.
fn place(vault: &Vault, kind: Kind, name: &str) -> Result<(), Refusal> {
    if let Some(object) = vault.live(kind, name) {
        return own(kind, object);
    }
    if vault.deleted(kind, name).is_some() {
        return Err(DELETED);
    }
    unreserved(vault, name)
}

/// Nothing new takes the name of a certificate that is still to come.
fn unreserved(vault: &Vault, name: &str) -> Result<(), Refusal> {
    if vault.is_gone_early(name) {
        return Err(DELETED);
    }
    if vault.is_reserved(name) { Err(TAKEN) } else { Ok(()) }
}

/// A name for a new version of a certificate, its key and its secret.
fn place_certificate(vault: &Vault, name: &str) -> Result<(), Refusal> {
    unreserved(vault, name)?;
    for kind in [Kind::Certificate, Kind::Key, Kind::Secret] {
        if vault.live(kind, name).is_some_and(|object| kind != Kind::Certificate && !object.managed) {
            return Err(TAKEN);
        }
        if vault.deleted(kind, name).is_some() {
            return Err(DELETED);
        }
    }
    Ok(())
}

/// A name for what a backup holds.
fn place_restored(vault: &Vault, kind: Kind, objects: &[(Kind, Object)]) -> Result<(), Refusal> {
    let unreserved = || objects.iter().try_for_each(|(_, object)| unreserved(vault, &object.name));
    if kind == Kind::Certificate {
        unreserved()?;
    }
    for of in [Kind::Certificate, Kind::Key, Kind::Secret] {
        let Some((_, object)) = objects.iter().find(|(kind, _)| *kind == of) else { continue };
        if vault.live(of, &object.name).is_some() {
            return Err(TAKEN);
        }
        if vault.deleted(of, &object.name).is_some() {
            return Err(DELETED);
        }
    }
    unreserved()
}

/// May a key be used so, now? Outside of its time what it made can still be undone and verified, and nothing new is made.
fn usable(version: &Version, key: &KeyContent, operation: &str, now: (i64, i64)) -> Result<(), Refusal> {
    if !version.attributes.enabled {
        return Err(forbidden("KeyDisabled"));
    }
    if !key.operations.iter().any(|allowed| allowed.eq_ignore_ascii_case(operation)) {
        return Err(forbidden("KeyOperationForbidden"));
    }
    if matches!(operation, "sign" | "encrypt" | "wrapkey") {
        if version.attributes.nbf.is_some_and(|nbf| now.1 < nbf) {
            return Err(forbidden("KeyNotYetValid"));
        }
        if version.attributes.exp.is_some_and(|exp| exp <= now.0) {
            return Err(forbidden("KeyExpired"));
        }
    }
    Ok(())
}

/// Is an algorithm for keys of this type?
fn fits(kty: &str, algorithm: &str) -> bool {
    match kty {
        "EC" => algorithm == "ES256",
        "RSA" => algorithm.starts_with("RS"),
        _ => algorithm.starts_with('A'),
    }
}

impl Model {
    /// Why a call must be refused, if it must.
    pub(crate) fn refusal(&self, call: &Call) -> Option<Refusal> {
        if call.who == Who::Late {
            return Some(Refusal(401, "Unauthorized", None));
        }
        if !may(call.who, call.vault, call.ask.verb()) {
            return Some(forbidden("AccessDenied"));
        }
        self.permitted(call).err()
    }

    fn permitted(&self, call: &Call) -> Result<(), Refusal> {
        let vault = &self.vaults[call.vault];
        match &call.ask {
            Ask::List { .. } | Ask::ListPending { .. } | Ask::ListDeleted { .. } | Ask::Versions { .. } => {
                Ok(())
            }
            Ask::Get { kind, name, version: id } => {
                if *kind == Kind::Certificate && vault.is_coming(name, id.as_deref()) {
                    return Ok(());
                }
                let (_, found) = version(vault, *kind, name, id.as_deref())?;
                match kind {
                    Kind::Secret if !found.attributes.enabled => Err(forbidden("SecretDisabled")),
                    _ => Ok(()),
                }
            }
            Ask::Update { kind: Kind::Certificate, name, version: id, .. }
                if vault.is_coming(name, id.as_deref()) =>
            {
                Ok(())
            }
            Ask::Update { kind, name, version: id, said } => {
                let (object, of) = version(vault, *kind, name, id.as_deref())?;
                let is_of_attributes = said.enabled.is_some() || said.nbf.is_some() || said.exp.is_some();
                // What its value is follows from the certificate's policy.
                let is_of_value = match &of.content {
                    Content::Secret { content_type, .. } => {
                        said.content_type.is_some() && said.content_type != *content_type
                    }
                    _ => false,
                };
                if is_of_attributes || is_of_value { own(*kind, object) } else { Ok(()) }
            }
            Ask::Delete { kind: Kind::Certificate, name } if vault.is_coming(name, None) => Ok(()),
            Ask::GetDeleted { kind: Kind::Certificate, name }
            | Ask::Recover { kind: Kind::Certificate, name }
            | Ask::Purge { kind: Kind::Certificate, name }
                if vault.is_gone_early(name) =>
            {
                Ok(())
            }
            Ask::Delete { kind, name } | Ask::Backup { kind, name } => own(*kind, live(vault, *kind, name)?),
            Ask::GetDeleted { kind, name } => vault.deleted(*kind, name).map(|_| ()).ok_or(absent(*kind)),
            Ask::Recover { kind, name } | Ask::Purge { kind, name } => {
                own(*kind, vault.deleted(*kind, name).ok_or(absent(*kind))?)
            }
            Ask::Restore { kind, blob } => {
                let blob =
                    self.blobs.iter().find(|known| known.text == *blob && known.kind == *kind).ok_or(BAD)?;
                place_restored(vault, *kind, &blob.objects)
            }
            Ask::SetSecret { name, .. } => place(vault, Kind::Secret, name),
            Ask::CreateKey { name, .. } | Ask::ImportKey { name, .. } => place(vault, Kind::Key, name),
            Ask::Rotate { name } | Ask::SetRotation { name, .. } => {
                own(Kind::Key, live(vault, Kind::Key, name)?)
            }
            Ask::GetRotation { name } => live(vault, Kind::Key, name).map(|_| ()),
            Ask::Make { name, version: id, by, algorithm, .. } => {
                self.use_of_key(call, name, id.as_deref(), by, algorithm).map(|_| ())
            }
            Ask::Check { name, version: id, made } => {
                let by = undoes(made.by);
                let key = self.use_of_key(call, name, id.as_deref(), by, made.algorithm)?;
                // A signature that does not hold is an answer; what cannot be decrypted is an error.
                if made.by != "sign" && key.material != made.material { Err(BAD) } else { Ok(()) }
            }
            Ask::CreateCertificate { name, policy, .. } => {
                place_certificate(vault, name)?;
                match (policy, vault.live(Kind::Certificate, name)) {
                    (None, None) => Err(BAD),
                    (None, Some(object)) if object.policy["issuer"]["name"] == Value::Null => Err(BAD),
                    _ => Ok(()),
                }
            }
            Ask::ImportCertificate { name, .. } => place_certificate(vault, name),
            Ask::GetPolicy { name } | Ask::SetPolicy { name, .. } => {
                let is_there = vault.live(Kind::Certificate, name).is_some() || vault.is_coming(name, None);
                if is_there { Ok(()) } else { Err(absent(Kind::Certificate)) }
            }
            Ask::GetPending { name } | Ask::DeletePending { name } => {
                vault.asked_for(name).map(|_| ()).ok_or(NO_PENDING)
            }
            Ask::CancelPending { name } => match vault.asked_for(name).map(|pending| pending.progress) {
                None => Err(NO_PENDING),
                Some(Progress::Begun) => Ok(()),
                Some(Progress::Completed | Progress::Cancelled) => Err(Refusal(403, "Forbidden", None)),
            },
        }
    }

    fn use_of_key(
        &self,
        call: &Call,
        name: &str,
        id: Option<&str>,
        operation: &str,
        algorithm: &str,
    ) -> Result<&KeyContent, Refusal> {
        let (_, version) = version(&self.vaults[call.vault], Kind::Key, name, id)?;
        let Content::Key(key) = &version.content else { return Err(absent(Kind::Key)) };
        usable(version, key, operation, (call.before, call.after))?;
        if fits(kind_of_key(key), algorithm) { Ok(key) } else { Err(BAD) }
    }
}

const NO_PENDING: Refusal = Refusal(404, "PendingCertificateNotFound", None);
