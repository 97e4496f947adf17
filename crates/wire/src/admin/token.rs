//! `/v1/token`: a token of the administrator's principal for the vaults, so that there is one route to secrets, the public one.

use super::{
    Admin, audited,
    body::{Body, json},
    error::AdminError,
};
use crate::context::{Context, State};
use axum::{Extension, Router, extract::State as Shared, response::Response, routing::post};
use http::StatusCode;
use serde::{Deserialize, Serialize};

/// `resource` may be left out; it must be one of the vaults' spellings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    resource: Option<String>,
}

#[derive(Serialize)]
struct Token<'t> {
    access_token: &'t str,
    expires_on: i64,
    resource: &'t str,
}

pub(super) fn routes() -> Router<Admin> {
    Router::new().route("/v1/token", post(issue))
}

async fn issue(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Body(Asked { resource }): Body<Asked>,
) -> Result<Response, AdminError> {
    let vaults = access::vault_audiences(&state.names.vault_resource());
    if resource.is_some_and(|resource| !vaults.contains(&resource)) {
        let error = AdminError::bad_request(format!(
            "the administrator's token is for {} only",
            state.names.vault_resource()
        ));
        return audited(&state, &context, "token.issue", "another resource".to_owned(), Err(error));
    }
    let issued = state.directory.issue_for_administrator(context.now).await;
    let issued = audited(&state, &context, "token.issue", state.names.vault_resource(), issued)?;
    let answer = Token {
        access_token: issued.access_token.expose(),
        expires_on: issued.expires_on.seconds(),
        resource: &issued.resource,
    };
    Ok(json(StatusCode::OK, &answer))
}
