//! `GET /{tenant}/userrealm/{user}`: how a user signs in. Clients ask before they send a password. Everybody signs in here, and nobody is told
//! who exists.

use super::answer;
use crate::{
    context::{Context, State},
    oauth2::json,
};
use axum::{Extension, response::Response};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

#[derive(Serialize)]
struct Realm {
    ver: &'static str,
    account_type: &'static str,
    domain_name: String,
    cloud_instance_name: String,
    cloud_audience_urn: &'static str,
}

pub(super) async fn realm(
    axum::extract::State(state): axum::extract::State<State>,
    Extension(context): Extension<Context>,
) -> Response {
    let realm = Realm {
        ver: "1.0",
        account_type: "Managed",
        domain_name: state.names.domain().to_owned(),
        cloud_instance_name: context.names(&state).login_host(),
        cloud_audience_urn: "urn:federation:MicrosoftOnline",
    };
    let mut response = json(StatusCode::OK, HeaderValue::from_static("no-store"), &realm);
    answer::harden(response.headers_mut());
    response
}
