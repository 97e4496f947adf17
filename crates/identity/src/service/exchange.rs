//! The exchange of what a program's token file holds for a token of its app's identity (ADR 0024).
//!
//! The file alone gets nothing: the connection that presents it must have been made in the workload's cgroup, as at its own endpoint. The
//! kernel is asked once, before a byte of the connection is read: what is answered goes through the TLS session of that very connection,
//! so nobody who comes to its address later can read it.

use super::IdentityService;
use crate::{IdentityError, ManagedToken, Refusal, Selector, TokenQuery, Workload};
use directory::Exchange;
use domain::Timestamp;
use kernel::{AttestFault, Attested, Peer};
use std::sync::Arc;

/// Witness: the kernel says that who presents a token file is the workload that it was made for. Made by [`IdentityService::caller_of`] only.
pub struct Caller(Arc<Workload>);

impl Caller {
    /// The workload.
    pub const fn workload(&self) -> &Arc<Workload> {
        &self.0
    }
}

impl IdentityService {
    /// The running workload that a token file is of, if the caller is it.
    ///
    /// # Errors
    /// [`IdentityError::Refused`].
    pub fn caller_of(
        &self,
        exchange: &Exchange,
        peer: Option<&Attested<Peer>>,
    ) -> Result<Caller, IdentityError> {
        let ended = Refusal::Ended { workload: exchange.workload };
        let workload =
            self.workload(exchange.workload).filter(|running| running.app() == exchange.app).ok_or(ended)?;
        // Of an unenforced workload nobody can say who is it: its file would be a secret like any other.
        let (Some(confinement), Some(peer)) = (workload.confinement(), peer) else {
            return Err(Refusal::NotAttested(AttestFault::Unavailable).into());
        };
        if !confinement.contains(peer.facts().cgroup) {
            return Err(Refusal::Stranger { workload: workload.id() }.into());
        }
        Ok(Caller(workload))
    }

    /// A token of an identity that the workload's app has now.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub async fn exchange(
        &self,
        Caller(workload): &Caller,
        exchange: &Exchange,
        now: Timestamp,
    ) -> Result<Arc<ManagedToken>, IdentityError> {
        let selector = Some(Selector::Client(exchange.client.to_string()));
        let query = TokenQuery { resource: exchange.resource.clone(), selector };
        let token = self.current(workload.name(), workload.app(), &query, now).await?;
        if workload.has_ended() {
            return Err(Refusal::Ended { workload: workload.id() }.into());
        }
        Ok(token)
    }
}
