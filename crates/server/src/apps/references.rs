//! Resolves references in settings: asks the vault by the app's own identity, through the same door as everybody.
//!
//! A request to the Key Vault API is made and answered inside this process, so that who may and what is audited is decided where it always is.

use audit::{Origin, SharedOrigin};
use axum::body::Body;
use domain::{AppName, Secret, Timestamp};
use host::{
    AppView, Setting,
    reference::{self, Reference, Resolution},
};
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::BodyExt;
use identity::{IdentityError, Selector, TokenQuery};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};
use tower::ServiceExt as _;
use wire::{PublicService, Services, admin::ObservedReference};

/// The Key Vault API's version that is asked by.
const API_VERSION: &str = "7.4";

/// The settings of an app as its programs get them.
pub(crate) struct Resolved {
    /// The environment.
    pub(crate) environment: BTreeMap<String, Secret<String>>,
    /// What each reference came to.
    pub(crate) references: Vec<ObservedReference>,
    /// A keyed hash of what each reference came to, of those that were resolved: another one is another secret. One that was not says nothing.
    pub(crate) seen: BTreeMap<String, String>,
}

impl Resolved {
    /// Has an instance that got this something that is not so any more?
    pub(crate) fn is_another_than(&self, seen: &BTreeMap<String, String>) -> bool {
        self.seen.iter().any(|(setting, hash)| seen.get(setting) != Some(hash))
    }
}

/// Resolves all references among an app's settings. One that does not resolve leaves its own text, as App Service does.
pub(crate) async fn resolve(
    services: &Arc<Services>,
    view: &AppView,
    settings: Vec<Setting>,
    now: Timestamp,
) -> Resolved {
    let (mut environment, mut references) = (BTreeMap::new(), Vec::new());
    let mut seen = BTreeMap::new();
    for Setting { name, value, .. } in settings {
        let parsed = reference::parse(value.expose(), &services.names);
        let meant = parsed.as_ref().ok().cloned().flatten();
        let (value, resolution) = match parsed {
            Ok(None) => (value, None),
            Ok(Some(reference)) => match read(services, view, &reference, now).await {
                // No environment can have it: the app would not start.
                Ok(secret) if secret.expose().contains('\0') => {
                    tracing::warn!(app = %view.app.name, setting = name, "the secret that a setting refers to has a zero byte");
                    (value, Some(Resolution::OtherReasons))
                }
                Ok(secret) => {
                    seen.insert(name.clone(), services.host.fingerprint(view.app.id, &name, &secret));
                    (secret, Some(Resolution::Resolved))
                }
                Err(why) => (value, Some(why)),
            },
            Err(why) => (value, Some(why)),
        };
        if let Some(resolution) = resolution {
            references.push(ObservedReference {
                setting: name.clone(),
                status: resolution.word(),
                advice: resolution.advice(&view.app.name, meant.as_ref()),
            });
        }
        environment.insert(name, value);
    }
    Resolved { environment, references, seen }
}

async fn read(
    services: &Arc<Services>,
    view: &AppView,
    reference: &Reference,
    now: Timestamp,
) -> Result<Secret<String>, Resolution> {
    let query = TokenQuery { resource: services.names.vault_resource(), selector: selector(view)? };
    let token = match services.identity.token_for_host(&view.app, &query, now).await {
        Ok(token) => token,
        Err(error) => {
            tracing::info!(app = %view.app.name, %error, "no token for resolving references");
            return Err(match error {
                IdentityError::NoIdentity { .. } | IdentityError::NotAssigned { .. } => {
                    Resolution::MsiNotEnabled
                }
                _ => Resolution::OtherReasons,
            });
        }
    };
    let version = reference.version.map(|version| format!("/{version}")).unwrap_or_default();
    let target = format!("/secrets/{}{version}?api-version={API_VERSION}", reference.secret);
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.access_token.expose()))
        .map_err(|_| Resolution::OtherReasons)?;
    bearer.set_sensitive(true);
    let request = Request::get(target)
        .header(header::HOST, services.names.vault_host(&reference.vault))
        .header(header::AUTHORIZATION, bearer)
        .body(Body::empty())
        .map_err(|_| Resolution::OtherReasons)?;
    let door = PublicService::new(services.clone()).for_connection(origin(&view.app.name));
    let response = match door.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|_| Resolution::OtherReasons)?;
    let body = Secret::new(body.to_bytes().to_vec());
    if status == StatusCode::OK {
        let bundle: Bundle = serde_json::from_slice(body.expose()).map_err(|_| Resolution::OtherReasons)?;
        return Ok(bundle.value);
    }
    let refused: Refused = serde_json::from_slice(body.expose()).unwrap_or_default();
    let why = resolution(status, &refused);
    if why == Resolution::OtherReasons {
        let (code, app) = (&refused.error.code, &view.app.name);
        tracing::warn!(%app, vault = %reference.vault, %status, code, "a reference is not resolved");
    }
    Err(why)
}

/// The app's own identity; else the one that it has, if it is one: there is no doubt then.
fn selector(view: &AppView) -> Result<Option<Selector>, Resolution> {
    match (&view.principal, &*view.user_assigned) {
        (Some(_), _) => Ok(None),
        (None, [(_, principal)]) => Ok(Some(Selector::Client(principal.client.to_string()))),
        (None, _) => Err(Resolution::MsiNotEnabled),
    }
}

/// Who asked, in the audit log and for a vault's network rules: this server, for an app, from where the app itself would ask.
fn origin(app: &AppName) -> SharedOrigin {
    let executable = Some(format!("keyless: settings of app {app}"));
    let address = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    Origin { address, pid: Some(std::process::id()), executable, ..Origin::default() }.into()
}

#[derive(serde::Deserialize)]
struct Bundle {
    value: Secret<String>,
}

#[derive(Default, serde::Deserialize)]
struct Refused {
    error: RefusedError,
}

#[derive(Default, serde::Deserialize)]
struct RefusedError {
    code: String,
    #[serde(default)]
    innererror: Option<Inner>,
}

#[derive(serde::Deserialize)]
struct Inner {
    code: String,
}

fn resolution(status: StatusCode, refused: &Refused) -> Resolution {
    let inner = refused.error.innererror.as_ref().map(|inner| inner.code.as_str());
    match (status, &*refused.error.code, inner) {
        (StatusCode::FORBIDDEN, _, Some("SecretDisabled" | "SecretNotYetValid" | "SecretExpired")) => {
            Resolution::SecretDisabled
        }
        (StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED, ..) => Resolution::AccessToKeyVaultDenied,
        (StatusCode::NOT_FOUND, "SecretNotFound", _) => Resolution::SecretNotFound,
        (StatusCode::NOT_FOUND, ..) => Resolution::VaultNotFound,
        _ => Resolution::OtherReasons,
    }
}
