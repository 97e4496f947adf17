//! Managed identities: a principal that belongs to an app and comes and goes with it. There is no app registration and no credential:
//! what proves it is the kernel's word about a process.

use crate::{DirectoryError, principal};
use access::{Principal, PrincipalKind};
use domain::{AppId, AppName, ClientId, Entropy, PrincipalId, TenantId, Timestamp};
use store::{Halt, View, Write};

/// Fresh ids for a managed identity, made before the decision so that running it again changes nothing.
#[derive(Clone, Copy, Debug)]
pub struct IdentityIds {
    /// The object id.
    pub principal: PrincipalId,
    /// The client id.
    pub client: ClientId,
}

impl IdentityIds {
    /// Random ones.
    pub fn random(entropy: &dyn Entropy) -> Self {
        Self { principal: PrincipalId::random(entropy), client: ClientId::random(entropy) }
    }
}

/// What registering answers: the principal, and what must be written in the same commit as the app.
#[derive(Debug)]
pub struct Registered {
    /// The principal.
    pub principal: Principal,
    /// What to write.
    pub writes: Vec<Write>,
}

/// Registers an app's identity. Pure: nothing happens until the writes are committed, together with the app's own record.
pub fn register(
    app: AppId,
    name: &AppName,
    tenant: TenantId,
    ids: IdentityIds,
    now: Timestamp,
) -> Registered {
    let principal = Principal {
        id: ids.principal,
        client: ids.client,
        tenant,
        kind: PrincipalKind::ManagedIdentity { app },
        display_name: name.as_str().to_owned(),
        enabled: true,
        created: now,
    };
    let writes = principal::put(&principal).into();
    Registered { principal, writes }
}

/// Takes an identity away: the writes that must be in the same commit as the change of the app. Of one that is gone: none.
///
/// # Errors
/// [`DirectoryError::Broken`] if the principal is not a managed identity; or what must be loaded first.
pub fn unregister(view: &View, principal: PrincipalId) -> Result<Vec<Write>, Halt<DirectoryError>> {
    let Some(principal) = view.get::<Principal>(&principal)? else {
        return Ok(Vec::new());
    };
    match principal.kind {
        PrincipalKind::ManagedIdentity { .. } => Ok(principal::delete(&principal).into()),
        PrincipalKind::Application { .. } | PrincipalKind::User => {
            Err(Halt::Refuse(DirectoryError::Broken { what: "an app's identity is no managed identity" }))
        }
    }
}
