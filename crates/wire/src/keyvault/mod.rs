//! The Key Vault data plane.
//!
//! Owns: paths, bodies, headers and errors as Key Vault's clients know them. Owns not: decisions (`vault`, `access`). Spec: Key Vault
//! secrets and certificates APIs, versions 2016-10-01 to 2026-04-01, in today's shape whichever plausible version is asked for (ADR 0005).
//!
//! Paths are read by `route` rather than by a router's patterns: "latest" is an empty last segment, old clients write a double slash,
//! and a name may be percent-encoded. Nothing of a request is judged before its caller is known: the first request of every client has
//! neither token nor body.

mod certificates;
mod error;
mod keys;
mod objects;
mod request;
mod route;
mod secrets;
mod types;

use crate::{
    bearer,
    context::{Context, State},
};
use access::Asker;
use audit::{Actor, Outcome};
use axum::{extract::Request, response::Response};
use domain::{HostNames, VaultName};
use error::KeyVaultError;
use http::{HeaderMap, header};
use request::Asked;
use std::fmt::Write as _;

/// What a request came to: the answer and what the audit log says of it.
struct Told {
    action: &'static str,
    target: String,
    outcome: Outcome,
    reason: String,
    response: Response,
}

/// Answers a request to a vault.
pub(crate) async fn handle(
    state: &State,
    context: &Context,
    vault: &VaultName,
    request: Request,
) -> Response {
    let host = host(context.names(state), vault, request.headers());
    let caller = match bearer::caller(state, &state.verifiers.vaults, request.headers(), context.now) {
        Ok(caller) => caller,
        Err(bearer::Unauthenticated::NoToken) => {
            // Not a refusal but the protocol's first step: there is nobody yet of whom a record could speak.
            return KeyVaultError::no_token().respond(Some(bearer::challenge(state, context, &host)));
        }
        Err(unauthenticated) => {
            let error = KeyVaultError::from(unauthenticated);
            let (target, reason) = (vault.folded(), error.message().to_owned());
            let written = context.record(
                &*state.audit,
                Actor::Anonymous,
                "vault.authenticate",
                target,
                Outcome::Refused,
                reason,
            );
            return match written {
                Ok(_recorded) => error.respond(Some(bearer::challenge(state, context, &host))),
                Err(unavailable) => KeyVaultError::from(unavailable).respond(None),
            };
        }
    };
    if let Err(unavailable) = context.ready(&*state.audit) {
        return KeyVaultError::from(unavailable).respond(None);
    }
    let actor = Actor::Principal { id: caller.principal(), client: Some(caller.client()) };
    let address = context.origin.address.map(|address| address.ip());
    let asker = Asker { caller: &caller, address };
    let asked = Asked { state, context, asker, vault, host: &host };
    let told = request::perform(&asked, request).await;
    let (sink, reason) = (&*state.audit, told.reason);
    let written = context.record_together(sink, actor, told.action, told.target, told.outcome, reason);
    match written.await {
        Ok(_recorded) => told.response,
        Err(unavailable) => KeyVaultError::from(unavailable).respond(None),
    }
}

/// The vault's host with the port by which the client came, if it is not 443: challenges, identifiers and links lead back by it. Nothing
/// but the number is taken from what the client wrote.
fn host(names: &HostNames, vault: &VaultName, headers: &HeaderMap) -> String {
    let port: Option<u16> =
        headers.get(header::HOST).and_then(|host| host.to_str().ok()?.rsplit_once(':')?.1.parse().ok());
    let mut host = names.vault_host(vault);
    if let Some(port) = port.filter(|port| *port != 443) {
        // Writing to a text cannot fail.
        let _written = write!(host, ":{port}");
    }
    host
}
