//! Who proves itself by credentials of its own: an app registration, or a user-assigned managed identity, for which outside issuers may
//! vouch and which has nothing else.

use crate::{
    Certificate, Credential, DirectoryError, FederatedCredential, Registration, application::Application,
    client::Acting, credentials, managed, principal::PrincipalIndex,
};
use access::{Principal, PrincipalKind};
use domain::{ClientId, PrincipalId};
use std::sync::Arc;
use store::{Halt, Load, View};

/// Who has credentials.
#[derive(Clone, Debug)]
pub(crate) enum Holder {
    /// An app registration.
    Registration(Arc<Registration>),
    /// A user-assigned managed identity.
    Identity(Arc<Principal>),
}

impl Holder {
    /// Who has this client id, given the application that has it if one does. The applications that every tenant knows have no credentials.
    pub(crate) fn of(
        view: &View,
        client: ClientId,
        application: Option<Application>,
    ) -> Result<Option<Self>, Load> {
        match application {
            Some(Application::Registered(registration)) => return Ok(Some(Self::Registration(registration))),
            Some(Application::FirstParty(_)) => return Ok(None),
            None => {}
        }
        let Some(index) = view.get::<PrincipalIndex>(&client)? else { return Ok(None) };
        let principal = view.get::<Principal>(&index.principal)?;
        let identity = principal.filter(|found| found.kind == PrincipalKind::UserAssignedIdentity);
        Ok(identity.map(Self::Identity))
    }

    /// May it ask so at all? Nobody signs in to an identity.
    pub(crate) fn may(&self, acting: Acting) -> bool {
        match self {
            Self::Registration(_) => true,
            Self::Identity(_) => acting == Acting::ForItself,
        }
    }

    /// Its client id.
    pub(crate) fn client(&self) -> ClientId {
        match self {
            Self::Registration(registration) => registration.client,
            Self::Identity(principal) => principal.client,
        }
    }

    /// Its principal.
    pub(crate) fn principal(&self) -> PrincipalId {
        match self {
            Self::Registration(registration) => registration.principal,
            Self::Identity(principal) => principal.id,
        }
    }

    /// What it is when a user signs in to it.
    pub(crate) fn application(&self) -> Option<Application> {
        match self {
            Self::Registration(registration) => Some(Application::Registered(registration.clone())),
            Self::Identity(_) => None,
        }
    }

    /// Can it keep no secret? Then it may present none.
    pub(crate) fn is_public(&self) -> bool {
        match self {
            Self::Registration(registration) => registration.is_public,
            Self::Identity(_) => false,
        }
    }

    pub(crate) fn secrets(&self) -> &[Credential] {
        match self {
            Self::Registration(registration) => &registration.credentials,
            Self::Identity(_) => &[],
        }
    }

    pub(crate) fn certificates(&self) -> &[Certificate] {
        match self {
            Self::Registration(registration) => &registration.certificates,
            Self::Identity(_) => &[],
        }
    }

    /// Is each of its own assertions good once?
    pub(crate) fn uses_assertions_up(&self) -> bool {
        match self {
            Self::Registration(registration) => registration.single_use_assertions,
            Self::Identity(_) => false,
        }
    }

    pub(crate) fn federated(
        &self,
        view: &View,
    ) -> Result<Vec<Arc<FederatedCredential>>, Halt<DirectoryError>> {
        match self {
            Self::Registration(registration) => credentials::federated(view, &registration.federated),
            Self::Identity(principal) => managed::federated::all(view, principal.id),
        }
    }
}
