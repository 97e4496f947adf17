//! [`IdentityService`]: the table of running workloads and the one way to a token.

use crate::{AttestedConnection, IdentityError, ManagedToken, PeerProbe, Refusal, TokenQuery, Workload};
use directory::DirectoryService;
use domain::{PrincipalId, Secret, Timestamp, WorkloadId};
use std::sync::Arc;
use store::Store;

/// Managed identity tokens for attested workloads.
pub struct IdentityService {
    store: Arc<dyn Store>,
    directory: Arc<DirectoryService>,
}

impl IdentityService {
    /// With no workload yet.
    pub fn new(store: Arc<dyn Store>, directory: Arc<DirectoryService>) -> Self {
        Self { store, directory }
    }

    /// From now on this workload may be served.
    pub fn admit(&self, workload: Arc<Workload>) {
        let _ = (workload, &self.store, &self.directory);
        todo!()
    }

    /// From now on it may not, on open connections either.
    pub fn retire(&self, workload: WorkloadId) -> Option<Arc<Workload>> {
        let _ = workload;
        todo!()
    }

    /// All running workloads.
    pub fn workloads(&self) -> Vec<Arc<Workload>> {
        todo!()
    }

    /// Accepts a connection to a workload's endpoint, or refuses it, before a byte of it is read.
    ///
    /// # Errors
    /// [`Refusal`]: answer the constant refusal, and audit.
    pub fn accept(&self, workload: &Arc<Workload>, probe: Arc<dyn PeerProbe>) -> Result<AttestedConnection, Refusal> {
        let _ = (workload, probe);
        todo!()
    }

    /// A token of the app's identity: secret, query, identity, token, attested again, in this order.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub async fn token(
        &self,
        connection: &AttestedConnection,
        presented: &Secret<String>,
        query: &TokenQuery,
        now: Timestamp,
    ) -> Result<Arc<ManagedToken>, IdentityError> {
        let _ = (connection, presented, query, now);
        todo!()
    }

    /// Drops every token of a principal. Called when it is disabled or deleted.
    pub fn forget(&self, principal: PrincipalId) {
        let _ = principal;
        todo!()
    }
}
