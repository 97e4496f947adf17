//! By what registrations prove themselves: adding and removing secrets, certificates and federated credentials. Several at a time, so that
//! the next one works before the last one ends. Each change is one decision and one commit. Federated credentials of managed identities
//! follow the same rules (`managed::federated`).

use crate::{
    Certificate, Credential, DirectoryError, DirectoryService, FederatedCredential, NewCredential,
    NewFederatedCredential, Registration,
    registration::{DEFAULT_AUDIENCE, LIFETIMES},
    registry::{find, is_display_name},
};
use access::Principal;
use crypt::{ClientCertificate, HashedSecret, IssuerKey, encoding::hex, fresh_secret};
use domain::{CredentialId, Entropy, PrincipalId, RegistrationId, Secret, Timestamp, limits};
use std::{fmt, sync::Arc, time::Duration};
use store::{Decision, Halt, View, Write, query, refuse, transact};

/// What kind of credential it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// A client secret.
    Secret,
    /// A certificate.
    Certificate,
    /// An outside issuer's word.
    Federated,
}

impl fmt::Display for CredentialKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Secret => "client secret",
            Self::Certificate => "certificate",
            Self::Federated => "federated credential",
        })
    }
}

/// A credential that was just removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Which one.
    pub id: CredentialId,
    /// What it was.
    pub kind: CredentialKind,
    /// Whose.
    pub principal: PrincipalId,
}

impl DirectoryService {
    /// Adds a client secret to a registration. The answer holds the secret; nothing else ever will.
    ///
    /// # Errors
    /// [`DirectoryError::RegistrationNotFound`], [`DirectoryError::LifetimeInvalid`], [`DirectoryError::DisplayNameInvalid`],
    /// [`DirectoryError::TooMany`], [`DirectoryError::ClientIsPublic`].
    pub async fn add_credential(
        &self,
        named: &str,
        display_name: &str,
        lifetime: Option<Duration>,
        now: Timestamp,
    ) -> Result<NewCredential, DirectoryError> {
        let (credential, secret) = self.fresh_secret(display_name, lifetime, now)?;
        transact(&*self.store, &*self.entropy, |view| add_secret(view, named, &credential)).await?;
        Ok(NewCredential { id: credential.id, secret, end: credential.end })
    }

    /// A client secret that may be added.
    pub(crate) fn fresh_secret(
        &self,
        display_name: &str,
        lifetime: Option<Duration>,
        now: Timestamp,
    ) -> Result<(Credential, Secret<String>), DirectoryError> {
        let lifetime = lifetime.unwrap_or(limits::CLIENT_SECRET_LIFETIME);
        if !LIFETIMES.contains(&lifetime) {
            return Err(DirectoryError::LifetimeInvalid);
        }
        if !is_display_name(display_name) {
            return Err(DirectoryError::DisplayNameInvalid);
        }
        let secret = fit_for_commands(&*self.entropy);
        let credential = Credential {
            id: CredentialId::random(&*self.entropy),
            hash: HashedSecret::of(&secret),
            hint: secret.expose().chars().take(3).collect(),
            display_name: display_name.to_owned(),
            start: now,
            end: now.plus(lifetime),
        };
        Ok((credential, secret))
    }

    /// Adds a certificate (DER or PEM) to a registration. It is good for as long as it says itself.
    ///
    /// # Errors
    /// [`DirectoryError::RegistrationNotFound`], [`DirectoryError::CertificateInvalid`], [`DirectoryError::CertificateOver`],
    /// [`DirectoryError::CertificateTaken`], [`DirectoryError::DisplayNameInvalid`], [`DirectoryError::TooMany`],
    /// [`DirectoryError::ClientIsPublic`].
    pub async fn add_certificate(
        &self,
        named: &str,
        display_name: &str,
        certificate: &[u8],
        now: Timestamp,
    ) -> Result<Certificate, DirectoryError> {
        let added = self.fresh_certificate(display_name, certificate, now)?;
        transact(&*self.store, &*self.entropy, |view| add_certificate(view, named, &added)).await?;
        Ok(added)
    }

    /// A certificate that may be added.
    pub(crate) fn fresh_certificate(
        &self,
        display_name: &str,
        certificate: &[u8],
        now: Timestamp,
    ) -> Result<Certificate, DirectoryError> {
        if !is_display_name(display_name) {
            return Err(DirectoryError::DisplayNameInvalid);
        }
        let read = ClientCertificate::read(certificate).map_err(DirectoryError::CertificateInvalid)?;
        if read.not_after <= now {
            return Err(DirectoryError::CertificateOver);
        }
        Ok(Certificate {
            id: CredentialId::random(&*self.entropy),
            sha1: hex(&read.sha1),
            sha256: hex(&read.sha256),
            key: read.key,
            subject: read.subject.chars().take(limits::DISPLAY_NAME_CHARS_MAX).collect(),
            display_name: display_name.to_owned(),
            start: read.not_before,
            end: read.not_after,
        })
    }

    /// Lets an outside issuer vouch for a registration.
    ///
    /// # Errors
    /// [`DirectoryError::RegistrationNotFound`], [`DirectoryError::FederatedInvalid`], [`DirectoryError::FederatedTaken`],
    /// [`DirectoryError::TooMany`], [`DirectoryError::ClientIsPublic`].
    pub async fn add_federated(
        &self,
        named: &str,
        new: NewFederatedCredential,
        now: Timestamp,
    ) -> Result<FederatedCredential, DirectoryError> {
        let added = self.checked(new, now)?;
        transact(&*self.store, &*self.entropy, |view| add_federated(view, named, &added)).await?;
        Ok(added)
    }

    /// Puts another federated credential in the place of one, under its id. If it is refused, that one stays.
    ///
    /// # Errors
    /// As [`DirectoryService::add_federated`]; [`DirectoryError::CredentialNotFound`].
    pub async fn replace_federated(
        &self,
        named: &str,
        id: CredentialId,
        new: NewFederatedCredential,
        now: Timestamp,
    ) -> Result<FederatedCredential, DirectoryError> {
        let checked = self.checked(new, now)?;
        let (standing, over) = (CredentialId::random(&*self.entropy), now.plus(self.settings.token_lifetime));
        transact(&*self.store, &*self.entropy, |view| {
            let registration = find(view, named)?;
            let all = federated(view, &registration.federated)?;
            let Some(before) = all.iter().find(|one| one.id == id) else {
                let registration = registration.id;
                return refuse(DirectoryError::CredentialNotFound { registration, credential: id });
            };
            change_federated(view, &registration, before, checked.clone(), standing, (over, now))
        })
        .await
    }

    /// The federated credentials of a registration.
    ///
    /// # Errors
    /// [`DirectoryError::RegistrationNotFound`].
    pub async fn federated(
        &self,
        id: RegistrationId,
    ) -> Result<Vec<Arc<FederatedCredential>>, DirectoryError> {
        query(&*self.store, |view| match view.get::<Registration>(&id)? {
            Some(registration) => federated(view, &registration.federated),
            None => refuse(DirectoryError::RegistrationNotFound { named: id.to_string() }),
        })
        .await
    }

    /// Removes a credential of a registration, of whichever kind: from the moment that this is acknowledged nobody gets a token by it, and the
    /// tokens that somebody got by it are worth nothing.
    ///
    /// # Errors
    /// [`DirectoryError::RegistrationNotFound`], [`DirectoryError::CredentialNotFound`].
    pub async fn remove_credential(
        &self,
        named: &str,
        id: CredentialId,
        now: Timestamp,
    ) -> Result<Removed, DirectoryError> {
        let over = now.plus(self.settings.token_lifetime);
        transact(&*self.store, &*self.entropy, |view| remove(view, named, id, over, now)).await
    }

    /// What a new federated credential says, if it may say so.
    ///
    /// # Errors
    /// [`DirectoryError::FederatedInvalid`].
    pub fn checked(
        &self,
        new: NewFederatedCredential,
        now: Timestamp,
    ) -> Result<FederatedCredential, DirectoryError> {
        let invalid = |rule| Err(DirectoryError::FederatedInvalid { rule });
        let is_name = |text: &str| {
            (1..=limits::FEDERATED_NAME_CHARS_MAX).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        let is_text = |text: &str| {
            text.chars().count() <= limits::FEDERATED_TEXT_CHARS_MAX && !text.chars().any(char::is_control)
        };
        let audience = new.audience.unwrap_or_else(|| DEFAULT_AUDIENCE.to_owned());
        if !is_name(&new.name) {
            return invalid("its name is 1 to 120 letters, digits, - and _");
        }
        if ![&new.issuer, &new.subject, &audience]
            .into_iter()
            .all(|text| is_text(text) && !text.trim().is_empty())
        {
            return invalid("issuer, subject and audience are 1 to 600 characters each");
        }
        if !is_text(&new.description) {
            return invalid("its description is at most 600 characters");
        }
        if !["https://", "http://"].into_iter().any(|scheme| new.issuer.starts_with(scheme)) {
            return invalid("its issuer is a URL, as it stands in iss");
        }
        if self.is_own_issuer(&new.issuer) {
            return invalid("this directory's own tokens are no proof towards itself");
        }
        let keys = match &new.key_set {
            None => {
                self.issuer_keys
                    .may_fetch(&new.issuer)
                    .map_err(|rule| DirectoryError::FederatedInvalid { rule })?;
                Vec::new()
            }
            Some(set) => IssuerKey::of_set(set).map_err(|error| DirectoryError::FederatedInvalid {
                rule: match error {
                    crypt::CryptError::Forbidden { why } => why,
                    _ => "its keys are no key set (JWKS)",
                },
            })?,
        };
        if new.key_set.is_some() && keys.is_empty() {
            return invalid("its key set has no key that verifies signatures");
        }
        if keys.len() > limits::FEDERATED_KEYS_MAX {
            return invalid("its key set has more than 10 keys");
        }
        Ok(FederatedCredential {
            id: CredentialId::random(&*self.entropy),
            name: new.name,
            issuer: new.issuer,
            subject: new.subject,
            audience,
            description: new.description,
            keys,
            standing: None,
            created: now,
        })
    }
}

/// Draws of a secret, at most: one in 64 begins with a dash.
const DRAWS_MAX: usize = 8;

/// A client secret that people give to commands (`az login -p SECRET`): none begins with a dash, which commands take for an option.
fn fit_for_commands(entropy: &dyn Entropy) -> Secret<String> {
    let mut secret = fresh_secret(entropy);
    for _ in 1..DRAWS_MAX {
        if !secret.expose().starts_with('-') {
            break;
        }
        secret = fresh_secret(entropy);
    }
    secret
}

/// Adds a client secret.
pub(crate) fn add_secret(
    view: &View,
    named: &str,
    credential: &Credential,
) -> Result<Decision<()>, Halt<DirectoryError>> {
    change(view, named, |registration| {
        check_room("credentials", registration.credentials.len(), limits::CREDENTIALS_MAX)?;
        registration.credentials.push(credential.clone());
        Ok(Vec::new())
    })
}

/// Adds a certificate.
pub(crate) fn add_certificate(
    view: &View,
    named: &str,
    added: &Certificate,
) -> Result<Decision<()>, Halt<DirectoryError>> {
    change(view, named, |registration| {
        check_room("certificates", registration.certificates.len(), limits::CREDENTIALS_MAX)?;
        if registration.certificates.iter().any(|other| other.sha256 == added.sha256) {
            return refuse(DirectoryError::CertificateTaken);
        }
        registration.certificates.push(added.clone());
        Ok(Vec::new())
    })
}

/// Adds a federated credential.
pub(crate) fn add_federated(
    view: &View,
    named: &str,
    added: &FederatedCredential,
) -> Result<Decision<()>, Halt<DirectoryError>> {
    change(view, named, |registration| {
        add_to(view, &mut registration.federated, added).map(|write| vec![write])
    })
}

/// Adds a federated credential to those that somebody has.
pub(crate) fn add_to(
    view: &View,
    ids: &mut Vec<CredentialId>,
    added: &FederatedCredential,
) -> Result<Write, Halt<DirectoryError>> {
    check_room("federated credentials", ids.len(), limits::FEDERATED_CREDENTIALS_MAX)?;
    check_taken(view, ids, added)?;
    ids.push(added.id);
    Ok(store::put::<FederatedCredential>(&added.id, added))
}

/// Is another one of these like this one?
pub(crate) fn check_taken(
    view: &View,
    ids: &[CredentialId],
    added: &FederatedCredential,
) -> Result<(), Halt<DirectoryError>> {
    for other in federated(view, ids)?.iter().filter(|other| other.id != added.id) {
        if other.name == added.name {
            return refuse(DirectoryError::FederatedTaken { what: "name" });
        }
        if other.issuer == added.issuer && other.subject == added.subject {
            return refuse(DirectoryError::FederatedTaken { what: "issuer and subject" });
        }
    }
    Ok(())
}

/// Removes a credential: the one place where one ceases to be.
pub(crate) fn remove(
    view: &View,
    named: &str,
    id: CredentialId,
    over: Timestamp,
    now: Timestamp,
) -> Result<Decision<Removed>, Halt<DirectoryError>> {
    let mut registration = Registration::clone(&*find(view, named)?);
    let (mut writes, mut standing) = (Vec::new(), id);
    let kind = if let Some(at) = registration.credentials.iter().position(|one| one.id == id) {
        registration.credentials.remove(at);
        CredentialKind::Secret
    } else if let Some(at) = registration.certificates.iter().position(|one| one.id == id) {
        registration.certificates.remove(at);
        CredentialKind::Certificate
    } else if let Some(at) = registration.federated.iter().position(|one| *one == id) {
        registration.federated.remove(at);
        if let Some(federated) = view.get::<FederatedCredential>(&id)? {
            standing = federated.standing();
        }
        writes.push(store::delete::<FederatedCredential>(&id));
        CredentialKind::Federated
    } else {
        return refuse(DirectoryError::CredentialNotFound { registration: registration.id, credential: id });
    };
    writes.push(store::put::<Registration>(&registration.id, &registration));
    if let Some(principal) = view.get::<Principal>(&registration.principal)? {
        writes.push(revoke(&principal, standing, over, now));
    }
    Ok(Decision::of(Removed { id, kind, principal: registration.principal }, writes))
}

/// The writes by which a federated credential is another under its id: what was got by it before is worth nothing, and what is got by it now is
/// good at once.
pub(crate) fn change_federated(
    view: &View,
    registration: &Registration,
    before: &FederatedCredential,
    checked: FederatedCredential,
    standing: CredentialId,
    (over, now): (Timestamp, Timestamp),
) -> Result<Decision<FederatedCredential>, Halt<DirectoryError>> {
    let (id, created) = (before.id, before.created);
    let after = FederatedCredential { id, created, standing: Some(standing), ..checked };
    check_taken(view, &registration.federated, &after)?;
    let mut writes = vec![store::put::<FederatedCredential>(&id, &after)];
    if let Some(principal) = view.get::<Principal>(&registration.principal)? {
        writes.push(revoke(&principal, before.standing(), over, now));
    }
    Ok(Decision::of(after, writes))
}

/// The write that makes what a principal got by a credential worth nothing.
pub(crate) fn revoke(principal: &Principal, id: CredentialId, over: Timestamp, now: Timestamp) -> Write {
    let mut principal = principal.clone();
    principal.revocations.revoke(id.uuid(), over, now);
    store::put::<Principal>(&principal.id, &principal)
}

/// The federated credentials that somebody has, in the order in which they were made.
pub(crate) fn federated(
    view: &View,
    ids: &[CredentialId],
) -> Result<Vec<Arc<FederatedCredential>>, Halt<DirectoryError>> {
    let mut all = Vec::with_capacity(ids.len());
    for id in ids {
        let what = "a federated credential is missing";
        all.push(view.get::<FederatedCredential>(id)?.ok_or(Halt::Refuse(DirectoryError::Broken { what }))?);
    }
    Ok(all)
}

/// Adds to a registration that may have credentials at all.
fn change(
    view: &View,
    named: &str,
    edit: impl FnOnce(&mut Registration) -> Result<Vec<Write>, Halt<DirectoryError>>,
) -> Result<Decision<()>, Halt<DirectoryError>> {
    let mut registration = Registration::clone(&*find(view, named)?);
    if registration.is_public {
        return refuse(DirectoryError::ClientIsPublic { client: registration.client });
    }
    let mut writes = edit(&mut registration)?;
    writes.push(store::put::<Registration>(&registration.id, &registration));
    Ok(Decision::of((), writes))
}

fn check_room(what: &'static str, count: usize, limit: usize) -> Result<(), Halt<DirectoryError>> {
    if count < limit { Ok(()) } else { refuse(DirectoryError::TooMany { what, limit }) }
}

#[cfg(test)]
mod tests;
