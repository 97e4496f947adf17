//! Applications and service principals, by Graph. Here an application and its service principal are made and deleted by themselves; at the
//! admin socket a registration has both at once.

use super::{Acting, Done, GraphError, Right, builtin::Builtin};
use crate::{
    Certificate, CredentialKind, DirectoryError, FederatedCredential, NewFederatedCredential,
    NewRegistration, Registration, RegistrationChange, Removed, RoleAssignment, app_role, change,
    credentials, principal, registry,
};
use access::{Principal, PrincipalKind};
use crypt::assertion::{Assertion, CLIENT_ALGORITHMS};
use domain::{ClientId, CredentialId, PrincipalId, RegistrationId, Secret, Timestamp, limits};
use std::{sync::Arc, time::Duration};
use store::{Decision, Halt, View, refuse};

/// A client secret that was just made.
#[derive(Debug)]
pub struct NewSecret {
    /// What is kept of it.
    pub credential: crate::Credential,
    /// The secret.
    pub secret: Secret<String>,
}

/// One certificate of a whole new list.
#[derive(Clone, Debug)]
pub enum KeyChange {
    /// One that is there already, by its key id.
    Kept(CredentialId),
    /// A new one: a name, and DER or PEM.
    Added(String, Vec<u8>),
}

/// A whole new list of certificates, and which of them were there before.
struct Certificates {
    all: Vec<Certificate>,
    kept: Vec<CredentialId>,
}

/// Audiences of a proof of possession. Source: Microsoft Graph, generating proof-of-possession tokens.
const PROOF_AUDIENCES: [&str; 2] =
    ["00000002-0000-0000-c000-000000000000", "00000003-0000-0000-c000-000000000000"];
/// How long a proof may be good. Source: the same (10 minutes).
const PROOF_LIFETIME: Duration = Duration::from_secs(600);

type Refusal = Halt<DirectoryError>;

impl Acting<'_> {
    /// Makes an application, without a service principal; `keys` are certificates that it proves itself with.
    ///
    /// # Errors
    /// As [`crate::DirectoryService::create_registration`] and [`crate::DirectoryService::add_certificate`].
    pub async fn create_application(
        &self,
        new: NewRegistration,
        change: &RegistrationChange,
        keys: Vec<KeyChange>,
        now: Timestamp,
    ) -> Result<Done<Registration>, DirectoryError> {
        self.may(Right::WriteApplications).await?;
        let mut registration = change.applied(&self.directory.fresh_registration(new, now));
        registration.certificates = self.certificates(&registration, keys, now)?.all;
        self.directory.check(&registration)?;
        self.change(Right::WriteApplications, |view, _| registry::create(view, &registration, None)).await
    }

    /// Changes an application; `keys` are all its certificates from now on.
    ///
    /// # Errors
    /// As [`crate::DirectoryService::update_registration`]; [`GraphError::AboveCaller`].
    pub async fn update_application(
        &self,
        named: &str,
        change: &RegistrationChange,
        keys: Option<Vec<KeyChange>>,
        now: Timestamp,
    ) -> Result<Done<Registration>, DirectoryError> {
        self.may(Right::WriteApplications).await?;
        let over = now.plus(self.directory.settings.token_lifetime);
        // Certificates are read once; which of them are new, only the decision knows.
        let keys = match keys {
            Some(keys) => {
                let before = self.directory.registration(named).await?;
                Some(self.certificates(&before, keys, now)?)
            }
            None => None,
        };
        self.change(Right::WriteApplications, |view, permit| {
            let before = registry::find(view, named)?;
            permit.over_application(view, &before)?;
            let mut after = change.applied(&before);
            let mut gone = Vec::new();
            if let Some(keys) = &keys {
                let is_there = |of: &[Certificate], id| of.iter().any(|one| one.id == id);
                // One that should stay may have been removed meanwhile: it does not come back.
                if let Some(lost) = keys.kept.iter().find(|id| !is_there(&before.certificates, **id)) {
                    let (registration, credential) = (before.id, *lost);
                    return refuse(DirectoryError::CredentialNotFound { registration, credential });
                }
                let stays = |id| is_there(&keys.all, id);
                gone = before.certificates.iter().map(|one| one.id).filter(|id| !stays(*id)).collect();
                after.certificates.clone_from(&keys.all);
            }
            let mut decision = change::update(self.directory, view, &before, &after)?;
            if !gone.is_empty()
                && let Some(principal) = view.get::<Principal>(&after.principal)?
            {
                let mut principal =
                    Principal { display_name: after.display_name.clone(), ..Principal::clone(&principal) };
                gone.iter().for_each(|id| principal.revocations.revoke(id.uuid(), over, now));
                let write = store::put::<Principal>(&principal.id, &principal);
                decision.writes.retain(|other| other.key() != write.key());
                decision.writes.push(write);
            }
            Ok(decision)
        })
        .await
    }

    /// A list of certificates: those that stay, and new ones.
    fn certificates(
        &self,
        registration: &Registration,
        keys: Vec<KeyChange>,
        now: Timestamp,
    ) -> Result<Certificates, DirectoryError> {
        if keys.len() > limits::CREDENTIALS_MAX {
            return Err(DirectoryError::TooMany { what: "certificates", limit: limits::CREDENTIALS_MAX });
        }
        let mut certificates = Certificates { all: Vec::with_capacity(keys.len()), kept: Vec::new() };
        for key in keys {
            let certificate = match key {
                KeyChange::Kept(id) => {
                    let known = registration.certificates.iter().find(|one| one.id == id);
                    known.cloned().ok_or(DirectoryError::CredentialNotFound {
                        registration: registration.id,
                        credential: id,
                    })?
                }
                KeyChange::Added(name, bytes) => {
                    let fresh = self.directory.fresh_certificate(&name, &bytes, now)?;
                    // The same certificate again is the one that is there.
                    let known = registration.certificates.iter().find(|one| one.sha256 == fresh.sha256);
                    known.cloned().unwrap_or(fresh)
                }
            };
            if certificates.all.iter().any(|other| other.sha256 == certificate.sha256) {
                return Err(DirectoryError::CertificateTaken);
            }
            if registration.certificates.iter().any(|known| known.id == certificate.id) {
                certificates.kept.push(certificate.id);
            }
            certificates.all.push(certificate);
        }
        Ok(certificates)
    }

    /// Deletes an application with its service principal, so that it can be brought back.
    ///
    /// # Errors
    /// [`DirectoryError::RegistrationNotFound`], [`GraphError::AboveCaller`].
    pub async fn delete_application(
        &self,
        named: &str,
        now: Timestamp,
    ) -> Result<Done<Arc<Registration>>, DirectoryError> {
        self.change(Right::WriteApplications, |view, permit| {
            permit.over_application(view, &*registry::find(view, named)?)?;
            registry::delete(view, named, Some(now))
        })
        .await
    }

    /// Adds a client secret.
    ///
    /// # Errors
    /// As [`crate::DirectoryService::add_credential`]; [`GraphError::AboveCaller`].
    pub async fn add_secret(
        &self,
        named: &str,
        display_name: &str,
        lifetime: Option<Duration>,
        now: Timestamp,
    ) -> Result<Done<NewSecret>, DirectoryError> {
        self.may(Right::WriteApplications).await?;
        let (credential, secret) = self.directory.fresh_secret(display_name, lifetime, now)?;
        let done = self
            .change(Right::WriteApplications, |view, permit| {
                permit.over_application(view, &*registry::find(view, named)?)?;
                credentials::add_secret(view, named, &credential)
            })
            .await?;
        Ok(Done { value: NewSecret { credential, secret }, permit: done.permit })
    }

    /// Adds a certificate for who proves that it has one of the application's keys.
    ///
    /// # Errors
    /// As [`crate::DirectoryService::add_certificate`]; [`GraphError::ProofInvalid`], [`GraphError::AboveCaller`].
    pub async fn add_key(
        &self,
        named: &str,
        display_name: &str,
        certificate: &[u8],
        proof: &Secret<String>,
        now: Timestamp,
    ) -> Result<Done<Certificate>, DirectoryError> {
        self.may(Right::WriteApplications).await?;
        let fresh = self.directory.fresh_certificate(display_name, certificate, now)?;
        let done = self
            .change(Right::WriteApplications, |view, permit| {
                let registration = registry::find(view, named)?;
                permit.over_application(view, &registration)?;
                check_proof(&registration, proof, now)?;
                credentials::add_certificate(view, named, &fresh)
            })
            .await?;
        Ok(Done { value: fresh, permit: done.permit })
    }

    /// Removes a credential of a kind; a certificate by `removeKey` for who proves that it has one of the application's keys.
    ///
    /// # Errors
    /// [`DirectoryError::CredentialNotFound`], [`GraphError::ProofInvalid`], [`GraphError::AboveCaller`].
    pub async fn remove_credential(
        &self,
        named: &str,
        kind: CredentialKind,
        id: CredentialId,
        proof: Option<&Secret<String>>,
        now: Timestamp,
    ) -> Result<Done<Removed>, DirectoryError> {
        let over = now.plus(self.directory.settings.token_lifetime);
        self.change(Right::WriteApplications, |view, permit| {
            let registration = registry::find(view, named)?;
            permit.over_application(view, &registration)?;
            if let Some(proof) = proof {
                check_proof(&registration, proof, now)?;
            }
            let decision = credentials::remove(view, named, id, over, now)?;
            if decision.value.kind != kind {
                return refuse(DirectoryError::CredentialNotFound {
                    registration: registration.id,
                    credential: id,
                });
            }
            Ok(decision)
        })
        .await
    }

    /// Lets an outside issuer vouch for an application.
    ///
    /// # Errors
    /// As [`crate::DirectoryService::add_federated`]; [`GraphError::AboveCaller`].
    pub async fn add_federated(
        &self,
        named: &str,
        new: NewFederatedCredential,
        now: Timestamp,
    ) -> Result<Done<FederatedCredential>, DirectoryError> {
        self.may(Right::WriteApplications).await?;
        let fresh = self.directory.checked(new, now)?;
        let done = self
            .change(Right::WriteApplications, |view, permit| {
                permit.over_application(view, &*registry::find(view, named)?)?;
                credentials::add_federated(view, named, &fresh)
            })
            .await?;
        Ok(Done { value: fresh, permit: done.permit })
    }

    /// Changes a federated credential: what `new` says but for its name. Tokens that were got by it before are worth nothing.
    ///
    /// # Errors
    /// As [`crate::DirectoryService::add_federated`]; [`DirectoryError::CredentialNotFound`].
    pub async fn update_federated(
        &self,
        named: &str,
        id: CredentialId,
        edit: impl Fn(&FederatedCredential) -> NewFederatedCredential + Send + Sync,
        now: Timestamp,
    ) -> Result<Done<FederatedCredential>, DirectoryError> {
        self.may(Right::WriteApplications).await?;
        let over = now.plus(self.directory.settings.token_lifetime);
        let standing = CredentialId::random(&*self.directory.entropy);
        self.change(Right::WriteApplications, |view, permit| {
            let registration = registry::find(view, named)?;
            permit.over_application(view, &registration)?;
            let all = credentials::federated(view, &registration.federated)?;
            let Some(before) = all.iter().find(|one| one.id == id) else {
                return refuse(DirectoryError::CredentialNotFound {
                    registration: registration.id,
                    credential: id,
                });
            };
            let checked = self.directory.checked(edit(before), now).map_err(Halt::Refuse)?;
            // Keys that were given are of the issuer that was.
            let keys = if checked.issuer == before.issuer { before.keys.clone() } else { Vec::new() };
            let checked = FederatedCredential { name: before.name.clone(), keys, ..checked };
            credentials::change_federated(view, &registration, before, checked, standing, (over, now))
        })
        .await
    }

    /// Makes the service principal of an application.
    ///
    /// # Errors
    /// [`DirectoryError::RegistrationNotFound`], [`GraphError::Taken`], [`GraphError::AboveCaller`].
    pub async fn create_service_principal(
        &self,
        client: ClientId,
        enabled: bool,
        now: Timestamp,
    ) -> Result<Done<Principal>, DirectoryError> {
        let tenant = self.directory.tenant().id;
        self.change(Right::WriteApplications, |view, permit| {
            let registration = registry::find(view, &client.to_string())?;
            permit.over_application(view, &registration)?;
            if view.get::<Principal>(&registration.principal)?.is_some() {
                return Err(GraphError::Taken { what: "a service principal of this application" }.into());
            }
            let principal = Principal { enabled, ..registry::own_principal(&registration, tenant, now) };
            let writes = principal::put(&principal).into();
            Ok(Decision::of(principal, writes))
        })
        .await
    }

    /// Changes a service principal: whether it may act, and whether tokens for it need an assignment.
    ///
    /// # Errors
    /// [`DirectoryError::PrincipalNotFound`], [`GraphError::Unfit`], [`GraphError::AboveCaller`].
    pub async fn update_service_principal(
        &self,
        id: PrincipalId,
        enabled: Option<bool>,
        assignment_required: Option<bool>,
    ) -> Result<Done<Principal>, DirectoryError> {
        self.change(Right::WriteApplications, |view, permit| {
            let (principal, registration) = self.service_principal_in(view, id)?;
            let mut writes = Vec::new();
            match (&registration, assignment_required) {
                (Some(registration), Some(required)) if required != registration.assignment_required => {
                    let mut after = Registration::clone(registration);
                    after.assignment_required = required;
                    writes.push(store::put::<Registration>(&after.id, &after));
                }
                (None, Some(true)) => {
                    return Err(GraphError::Unfit { why: "a managed identity is no resource" }.into());
                }
                _ => {}
            }
            match &registration {
                Some(registration) => permit.over_application(view, registration)?,
                None => permit.has_role(self.held_above(view, permit, id)?)?,
            }
            let mut after = Principal::clone(&principal);
            if let Some(enabled) = enabled.filter(|enabled| *enabled != after.enabled) {
                after.enabled = enabled;
                writes.push(store::put::<Principal>(&id, &after));
            }
            Ok(Decision::of(after, writes))
        })
        .await
    }

    /// A role that a managed identity has at Graph and the caller does not.
    fn held_above(
        &self,
        view: &View,
        permit: &super::GraphPermit,
        id: PrincipalId,
    ) -> Result<Option<&'static str>, Refusal> {
        let held = app_role::at_graph(view, id)?;
        Ok(held.into_iter().find(|role| permit.has_role(Some(role)).is_err()))
    }

    /// Deletes a service principal: its application stays, and gets another one under another id if it is made anew.
    ///
    /// # Errors
    /// [`DirectoryError::PrincipalNotFound`], [`GraphError::Unfit`], [`GraphError::AboveCaller`].
    pub async fn delete_service_principal(
        &self,
        id: PrincipalId,
    ) -> Result<Done<Arc<Principal>>, DirectoryError> {
        let next = PrincipalId::random(&*self.directory.entropy);
        let done = self
            .change(Right::WriteApplications, |view, permit| {
                let (principal, registration) = self.service_principal_in(view, id)?;
                let Some(registration) = registration else {
                    return Err(GraphError::Unfit { why: "a managed identity goes with its app" }.into());
                };
                permit.over_application(view, &registration)?;
                let after = Registration { principal: next, ..Registration::clone(&registration) };
                let mut writes = principal::delete(&principal);
                writes.push(store::put::<Registration>(&after.id, &after));
                Ok(Decision::of(principal, writes))
            })
            .await?;
        // What is left over gives nobody anything.
        let _swept = self.directory.sweep_assignments(id).await;
        Ok(done)
    }

    fn service_principal_in(
        &self,
        view: &View,
        id: PrincipalId,
    ) -> Result<(Arc<Principal>, Option<Arc<Registration>>), Refusal> {
        if Builtin::named(id.uuid(), self.directory.tenant().id).is_some() {
            return Err(GraphError::Unfit { why: "every tenant has this one as it is" }.into());
        }
        let principal = registry::principal_of(view, id)?;
        match principal.kind {
            PrincipalKind::User => refuse(DirectoryError::PrincipalNotFound { principal: id }),
            PrincipalKind::ManagedIdentity { .. } | PrincipalKind::UserAssignedIdentity => {
                Ok((principal, None))
            }
            PrincipalKind::Application { registration } => {
                let named = || DirectoryError::RegistrationNotFound { named: registration.to_string() };
                let found = view.get::<Registration>(&registration)?;
                Ok((principal, Some(found.ok_or_else(|| Halt::Refuse(named()))?)))
            }
        }
    }

    /// Gives a role at a resource.
    ///
    /// # Errors
    /// As [`crate::DirectoryService::assign_app_role`]; [`GraphError::ForItself`], [`GraphError::AboveCaller`].
    pub async fn assign_role(
        &self,
        resource: ClientId,
        subject: PrincipalId,
        role: CredentialId,
        now: Timestamp,
    ) -> Result<Done<RoleAssignment>, DirectoryError> {
        self.change(Right::AssignRoles, |view, permit| {
            permit.not_for_itself(subject)?;
            permit.has_role(graph_role(resource, role))?;
            app_role::assign(view, resource, subject, role, now)
        })
        .await
    }

    /// Takes a role away.
    ///
    /// # Errors
    /// [`crate::AppRoleError::AssignmentNotFound`], [`GraphError::AboveCaller`].
    pub async fn unassign_role(
        &self,
        assignment: &RoleAssignment,
    ) -> Result<Done<RoleAssignment>, DirectoryError> {
        let RoleAssignment { resource, subject, role, .. } = *assignment;
        self.change(Right::AssignRoles, |view, permit| {
            permit.has_role(graph_role(resource, role))?;
            app_role::unassign(view, resource, subject, role)
        })
        .await
    }

    /// The object id of a registration by any of its names, for those who are to be told of it.
    ///
    /// # Errors
    /// [`DirectoryError::RegistrationNotFound`].
    pub async fn application(&self, named: &str) -> Result<RegistrationId, DirectoryError> {
        Ok(self.directory.registration(named).await?.id)
    }
}

fn graph_role(resource: ClientId, role: CredentialId) -> Option<&'static str> {
    (resource == app_role::graph_client()).then(|| super::builtin::graph_role(role)).flatten()
}

/// Is this signed by one of the application's certificates, for us, by now?
fn check_proof(registration: &Registration, proof: &Secret<String>, now: Timestamp) -> Result<(), Refusal> {
    let invalid = |why| Err(GraphError::ProofInvalid { why }.into());
    let Ok(proof) = Assertion::parse_proof(proof.expose()) else { return invalid("it is no signed JWT") };
    let claimed = proof.claimed();
    if claimed.issuer != registration.id.to_string() {
        return invalid("its issuer is not the application's object id");
    }
    if !claimed.audiences.iter().any(|audience| PROOF_AUDIENCES.contains(&&**audience)) {
        return invalid("it is for another audience");
    }
    if claimed.expires <= now || claimed.not_before.is_none_or(|begins| now.plus(limits::CLOCK_SKEW) < begins)
    {
        return invalid("its time is over, or has not come");
    }
    if claimed.expires > now.plus(PROOF_LIFETIME).plus(limits::CLOCK_SKEW) {
        return invalid("it is good for more than 10 minutes");
    }
    let is_signed = registration
        .certificates
        .iter()
        .filter(|certificate| (certificate.start..=certificate.end).contains(&now))
        .any(|certificate| proof.verify(&certificate.key, CLIENT_ALGORITHMS).is_ok());
    if is_signed { Ok(()) } else { invalid("none of the application's keys has signed it") }
}
