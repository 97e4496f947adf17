//! `/v1/apps/{name}/settings/compare`: which settings of an app are other than they are said to be.
//!
//! What a secret setting holds is told to nobody but the app; whoever would set it anew can ask here whether that changes anything, and
//! leaves the app's instances alone if not.

use super::{
    Admin,
    body::{List, Quiet, Segment, json},
    error::AdminError,
};
use crate::context::State;
use access::Manager;
use axum::{Router, extract::State as Shared, response::Response, routing::post};
use domain::{AppName, Secret};
use http::StatusCode;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    settings: BTreeMap<String, SaidSetting>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidSetting {
    value: Secret<String>,
    #[serde(default)]
    secret: bool,
}

pub(super) fn routes() -> Router<Admin> {
    Router::new().route("/v1/apps/{name}/settings/compare", post(compare))
}

/// The names of those that are absent, or other in value or in who is told it. Changes nothing.
async fn compare(
    Shared(state): Shared<State>,
    Segment(name): Segment<AppName>,
    Quiet(Said { settings }): Quiet<Said>,
) -> Result<Response, AdminError> {
    let there = state.host.settings(Manager::Administrator, &name).await?;
    let is_other = |name: &str, said: &SaidSetting| {
        let found = there.iter().find(|setting| setting.name == name);
        !found.is_some_and(|setting| {
            setting.is_secret == said.secret && setting.value.expose() == said.value.expose()
        })
    };
    let value = settings.iter().filter(|(name, said)| is_other(name, said)).map(|(name, _)| name).collect();
    Ok(json(StatusCode::OK, &List::<&String> { value }))
}
