//! By which way something is deployed to an app, for clients that ask. There is one: a token, at the app's deployment host. User names with
//! passwords, which App Service calls basic publishing, are not there and cannot be turned on.

use super::{
    super::{answer, error::ArmError, list as listed, said, said::Said},
    Here,
    config::properties,
};
use axum::{body::Body, response::Response};
use host::App;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

const PROFILE: &str = "Microsoft.Web/sites/publishxml/Action";
const CREDENTIALS: &str = "Microsoft.Web/sites/config/list/Action";
const READ: &str = "Microsoft.Web/sites/basicPublishingCredentialsPolicies/read";
const WRITE: &str = "Microsoft.Web/sites/basicPublishingCredentialsPolicies/write";

/// Ways of deployment that take a user's name and password in App Service.
const POLICIES: [&str; 2] = ["scm", "ftp"];

/// The name of a policy, as it is told.
pub(super) fn policy(name: &str) -> Option<&'static str> {
    POLICIES.into_iter().find(|known| known.eq_ignore_ascii_case(name))
}

/// `publishxml`: with user names and no passwords.
pub(super) async fn profile(here: &Here<'_>) -> Result<Response, ArmError> {
    let view = here.app(PROFILE).await?;
    let (app, names) = (&view.app.name, here.asked.context.names(here.asked.state));
    let (url, scm) = (names.app_url(app), names.scm_url(app));
    let host = scm.strip_prefix("https://").unwrap_or(&scm);
    // Names of apps and of hosts have nothing that XML would take for its own.
    let text = format!(
        "<publishData>\
         <publishProfile profileName=\"{app} - Zip Deploy\" publishMethod=\"ZipDeploy\" publishUrl=\"{host}\" \
         userName=\"${app}\" userPWD=\"\" destinationAppUrl=\"{url}\"><databases /></publishProfile>\
         <publishProfile profileName=\"{app} - FTP\" publishMethod=\"FTP\" publishUrl=\"\" \
         userName=\"${app}\" userPWD=\"\" destinationAppUrl=\"{url}\"><databases /></publishProfile>\
         </publishData>"
    );
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
    Ok(response)
}

/// `config/publishingcredentials`: a user's name, for clients that show it.
pub(super) async fn credentials(here: &Here<'_>) -> Result<Response, ArmError> {
    let view = here.app(CREDENTIALS).await?;
    let names = here.asked.context.names(here.asked.state);
    let properties = json!({
        "name": "web",
        "publishingUserName": format!("${}", view.app.name),
        "publishingPassword": null,
        "scmUri": names.scm_url(&view.app.name),
    });
    Ok(here.part(&view.app, "publishingcredentials/web", properties))
}

pub(super) async fn basic(here: &Here<'_>, policy: &str) -> Result<Response, ArmError> {
    let view = here.app(READ).await?;
    Ok(answer(StatusCode::OK, &shown(here, &view.app, policy)))
}

/// All of them.
pub(super) async fn list(here: &Here<'_>) -> Result<Response, ArmError> {
    let view = here.app(READ).await?;
    listed(here.asked, POLICIES.into_iter().map(|policy| shown(here, &view.app, policy)).collect())
}

fn shown(here: &Here<'_>, app: &App, policy: &str) -> Value {
    let part = format!("basicPublishingCredentialsPolicies/{policy}");
    here.part_shown(app, &part, json!({"allow": false})).item()
}

pub(super) async fn put_basic(here: &Here<'_>, policy: &str, body: Body) -> Result<Response, ArmError> {
    let view = here.app(WRITE).await?;
    let whole = said(body).await?;
    match properties(&whole)?.member("allow").map(Said::flag) {
        None | Some(Some(false)) => Ok(answer(StatusCode::OK, &shown(here, &view.app, policy))),
        Some(None) => Err(ArmError::bad_content("The property \"allow\" is no boolean.")),
        Some(Some(true)) => Err(ArmError::conflict(
            "Basic publishing credentials cannot be allowed: deploy with a token, which every client here can get.",
        )),
    }
}
