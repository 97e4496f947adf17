//! A token request by a program's token file (ADR 0024): who may have the token is asked of `identity`, as at the app's own endpoint.
//!
//! Whatever says that the caller is not the file's own program, or that the app has no such identity, is one constant answer: whoever tries
//! a file that is not its own learns nothing of it. Why is in the audit log.

use super::{ACTION, Asked, Fault, granted, refused};
use crate::{
    context::{Context, Services, State},
    oauth2::error::OAuthError,
};
use audit::{Actor, Outcome};
use axum::response::Response;
use directory::{AssertionRefusal, DirectoryError, Exchange, IssuedToken, Proof, RequestError, TokenRequest};
use host::HostError;
use identity::{Attested, IdentityError, ManagedToken, Peer, Workload};
use std::sync::Arc;

/// What the kernel said of the socket at the other end of a connection, before a byte of it was read. The listener puts it into the request's
/// extensions; without it nobody is known.
#[derive(Clone, Debug)]
pub(crate) struct AttestedPeer(pub(crate) Arc<Attested<Peer>>);

/// Why there is no token, and what is said of it.
struct Refusal {
    fault: Fault,
    reason: String,
    /// Whose the file is, once the caller is known as it.
    caller: Option<Arc<Workload>>,
}

impl Refusal {
    fn of(error: DirectoryError, caller: Option<&Arc<Workload>>) -> Self {
        let reason = error.to_string();
        Self { fault: Fault::Directory(error), reason, caller: caller.cloned() }
    }

    /// The one answer for all who are not to have this token.
    fn constant(reason: String, caller: Option<&Arc<Workload>>) -> Self {
        let answer = DirectoryError::Request(RequestError::Assertion(AssertionRefusal::NotItsProgram));
        Self { fault: Fault::Directory(answer), reason, caller: caller.cloned() }
    }
}

/// Answers the request. The audit record is written before the answer.
pub(super) async fn answer(
    state: &State,
    context: &Context,
    asked: &Asked,
    peer: Option<AttestedPeer>,
    request: TokenRequest,
) -> Response {
    let endpoint = request.endpoint;
    let peer = peer.as_ref().map(|peer| &*peer.0);
    let result = exchange(state, context, peer, request).await;
    let actor = |caller: &Arc<Workload>| Actor::Workload { id: caller.id(), app: caller.name().clone() };
    let (actor, target, outcome, reason) = match &result {
        Ok((exchange, caller, token)) => {
            let reason = format!(
                "the token file of workload {}, presented by a process of it; client {}",
                caller.id(),
                token.client
            );
            (actor(caller), exchange.resource.clone(), Outcome::Allowed, reason)
        }
        Err(refusal) => {
            let is_failure = refusal.fault.answer().is_failure();
            let outcome = if is_failure { Outcome::Failed } else { Outcome::Refused };
            let target = format!("client {} by a token file", asked.client);
            let actor = refusal.caller.as_ref().map_or(Actor::Anonymous, actor);
            (actor, target, outcome, refusal.reason.clone())
        }
    };
    match context.record(&*state.audit, actor, ACTION, target, outcome, reason) {
        Err(unavailable) => {
            OAuthError::from(unavailable).respond(context.names(state), context, asked.correlation)
        }
        Ok(_recorded) => match result {
            Ok((_, _, token)) => granted(endpoint, &told(&token, context), asked.wants_client_info),
            Err(refusal) => refused(state, context, asked, &refusal.fault),
        },
    }
}

async fn exchange(
    state: &Services,
    context: &Context,
    peer: Option<&Attested<Peer>>,
    request: TokenRequest,
) -> Result<(Exchange, Arc<Workload>, Arc<ManagedToken>), Refusal> {
    let exchange =
        state.directory.read_exchange(request, context.now).map_err(|error| Refusal::of(error, None))?;
    let caller = state
        .identity
        .caller_of(&exchange, peer)
        .map_err(|error| Refusal::constant(error.to_string(), None))?;
    let known = Some(caller.workload());
    match state.host.desired(caller.workload().name()).await {
        Ok(Some(desired)) if desired.app == exchange.app && desired.token_file => {}
        Ok(_) | Err(HostError::AppNotFound(_)) => {
            return Err(Refusal::constant("the app is to have no token file".to_owned(), known));
        }
        Err(HostError::Store(error)) => return Err(Refusal::of(DirectoryError::Store(error), known)),
        Err(error) => return Err(Refusal::constant(error.to_string(), known)),
    }
    match state.identity.exchange(&caller, &exchange, context.now).await {
        Ok(token) => Ok((exchange, caller.workload().clone(), token)),
        Err(IdentityError::Directory(error)) => Err(Refusal::of(error, known)),
        Err(IdentityError::Store(error)) => Err(Refusal::of(DirectoryError::Store(error), known)),
        Err(error) => Err(Refusal::constant(error.to_string(), known)),
    }
}

/// As the token endpoint tells it: one that was made earlier has as much less left.
fn told(token: &ManagedToken, context: &Context) -> IssuedToken {
    IssuedToken {
        access_token: token.access_token.duplicate(),
        issued: context.now,
        expires_on: token.expires_on,
        resource: token.resource.clone(),
        principal: token.principal,
        client: token.client,
        proof: Proof::Attested,
        token: String::new(),
        user: None,
    }
}
