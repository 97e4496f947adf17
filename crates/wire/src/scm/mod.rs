//! Deployment to an app at `{app}.scm.apps.{domain}`: what `az webapp deploy` and `az webapp deployment source config-zip` send, and ask after.
//!
//! Owns: paths, bodies and statuses as clients of App Service's deployment service (Kudu) know them, and that nobody is let in by a password. Owns
//! not: unpacking, building and starting, which are done outside of the threads that are here ([`crate::outside`]).
//! Spec: Kudu's REST API, as far as az 2.91 uses it.
//!
//! Nothing of a body is read before its sender is known and may deploy to this app.

mod error;
mod followed;

use crate::{
    admin::{Brought, ObservedDeployment},
    bearer,
    context::{Context, State},
    time::date,
};
use access::{Caller, Manager};
use audit::{Actor, Outcome};
use axum::{body::Body, extract::Request, response::Response};
use domain::{AppName, DeploymentId, HostNames, Timestamp};
use error::ScmError;
use followed::Followed;
use host::Publishable;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

/// Lines of a log that are told before what is new.
const LOG_LINES: usize = 100;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Operation {
    /// A zip is sent.
    Deploy,
    Latest,
    List,
    Get(String),
    /// What was said while it was built.
    Log(String),
    LogStream,
}

/// May this request take the time that a package takes?
pub(crate) fn is_deployment(method: &Method, path: &str) -> bool {
    matches!(route(method, path, ""), Ok(Operation::Deploy))
}

fn route(method: &Method, path: &str, query: &str) -> Result<Operation, ScmError> {
    let lower = path.trim_matches('/').to_ascii_lowercase();
    let segments: Vec<&str> = lower.split('/').collect();
    let operation = match segments.as_slice() {
        ["api", "zipdeploy"] => return only(method, "POST, PUT", Operation::Deploy),
        ["api", "publish"] => {
            check_publish(query)?;
            return only(method, "POST", Operation::Deploy);
        }
        ["api", "deployments"] => Operation::List,
        ["api", "deployments", "latest"] => Operation::Latest,
        ["api", "deployments", id] => Operation::Get((*id).to_owned()),
        ["api", "deployments", id, "log"] => Operation::Log((*id).to_owned()),
        ["logstream", ..] | ["api", "logstream", ..] => Operation::LogStream,
        _ => return Err(ScmError::no_such_path()),
    };
    only(method, "GET", operation)
}

fn only(method: &Method, allowed: &'static str, operation: Operation) -> Result<Operation, ScmError> {
    let is_allowed = allowed.split(", ").any(|one| one == method.as_str());
    if is_allowed { Ok(operation) } else { Err(ScmError::wrong_method(allowed)) }
}

/// A whole package is deployed here, and nothing else: neither one file, nor to another place.
fn check_publish(query: &str) -> Result<(), ScmError> {
    for (name, value) in crate::query::pairs(query) {
        match name.to_ascii_lowercase().as_str() {
            "type" if !value.eq_ignore_ascii_case("zip") => {
                return Err(ScmError::bad_request("only packages of type zip can be deployed here"));
            }
            "path" if !value.trim_end_matches('/').eq_ignore_ascii_case("/home/site/wwwroot") => {
                return Err(ScmError::bad_request("a package is the whole app: it has no path of its own"));
            }
            _ => {}
        }
    }
    Ok(())
}

impl Operation {
    const fn action(&self) -> &'static str {
        match self {
            Self::Deploy => "scm.deploy",
            Self::Latest | Self::List | Self::Get(_) | Self::Log(_) => "scm.deployment.get",
            Self::LogStream => "scm.log",
        }
    }
}

/// Answers a request to an app's deployment host.
pub(crate) async fn handle(state: &State, context: &Context, app: &AppName, request: Request) -> Response {
    let caller = match bearer::caller(state, &state.verifiers.deployment, request.headers(), context.now) {
        Ok(caller) => caller,
        Err(unauthenticated) => {
            let error = ScmError::from(unauthenticated);
            let (target, reason) = (format!("app {app}"), error.message().to_owned());
            let written = context.record(
                &*state.audit,
                Actor::Anonymous,
                "scm.authenticate",
                target,
                Outcome::Refused,
                reason,
            );
            return match written {
                Ok(_recorded) => error.respond(Some(challenge(state, context))),
                Err(unavailable) => ScmError::from(unavailable).respond(None),
            };
        }
    };
    if let Err(unavailable) = context.ready(&*state.audit) {
        return ScmError::from(unavailable).respond(None);
    }
    let (action, told) = perform(state, context, &caller, app, request).await;
    let (response, outcome, reason) = match told {
        Ok((response, because)) => (response, Outcome::Allowed, because),
        Err(error) => {
            let outcome = if error.is_ours() { Outcome::Failed } else { Outcome::Refused };
            let reason = error.message().to_owned();
            let challenge = error.is_unauthenticated().then(|| challenge(state, context));
            (error.respond(challenge), outcome, reason)
        }
    };
    let actor = Actor::Principal { id: caller.principal(), client: Some(caller.client()) };
    match context.record(&*state.audit, actor, action, format!("app {app}"), outcome, reason) {
        Ok(_recorded) => response,
        Err(unavailable) => ScmError::from(unavailable).respond(None),
    }
}

async fn perform(
    state: &State,
    context: &Context,
    caller: &Caller,
    app: &AppName,
    request: Request,
) -> (&'static str, Result<(Response, String), ScmError>) {
    let (parts, body) = request.into_parts();
    let operation = match route(&parts.method, parts.uri.path(), parts.uri.query().unwrap_or_default()) {
        Ok(operation) => operation,
        Err(error) => return ("scm.request", Err(error)),
    };
    let action = operation.action();
    let told = async {
        let publishable = state.host.publishable(Manager::Caller(caller), app).await?;
        if operation == Operation::Deploy && is_json(&parts.headers) {
            // A package that is named by its address would be fetched in our name.
            return Err(ScmError::bad_request("a package must be sent: it is not fetched from elsewhere"));
        }
        let names = context.names(state);
        let response = operation.operate(state, names, &publishable, body).await?;
        Ok((response, publishable.because().to_owned()))
    };
    (action, told.await)
}

fn is_json(headers: &http::HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.to_ascii_lowercase().starts_with("application/json")
}

impl Operation {
    async fn operate(
        self,
        state: &State,
        names: &HostNames,
        app: &Publishable,
        body: Body,
    ) -> Result<Response, ScmError> {
        let hosting = state.outside.hosting()?;
        let known = async |id: &str| {
            let id: DeploymentId = id.parse().map_err(|_| ScmError::no_such_deployment())?;
            let all = deployments(state, app).await?;
            all.into_iter().find(|one| one.id == id).ok_or_else(ScmError::no_such_deployment)
        };
        match self {
            Self::Deploy => {
                let id = hosting.take(app, Brought::Package(body), None).await?;
                let url = format!("{}/api/deployments/{id}", names.scm_url(&app.app().name));
                let mut response = answer(StatusCode::ACCEPTED, &json!({"id": id}));
                if let Ok(url) = HeaderValue::from_str(&url) {
                    response.headers_mut().insert(header::LOCATION, url);
                }
                response.headers_mut().insert("scm-deployment-id", text(&id.to_string()));
                Ok(response)
            }
            Self::Latest => match deployments(state, app).await?.into_iter().next() {
                Some(latest) => Ok(latest.answer(names, app)),
                None => Err(ScmError::no_such_deployment()),
            },
            Self::List => {
                let all = deployments(state, app).await?;
                let shown: Vec<Value> = all.iter().map(|one| one.shown(names, app)).collect();
                Ok(answer(StatusCode::OK, &Value::Array(shown)))
            }
            Self::Get(id) => Ok(known(&id).await?.answer(names, app)),
            Self::Log(id) => {
                let one = known(&id).await?;
                let entry = json!({
                    "log_time": one.created.or(one.told.begun).map(date),
                    "id": one.id,
                    "message": if one.told.text.is_empty() { one.told.state } else { &*one.told.text },
                    "type": 0,
                    "details_url": null,
                });
                Ok(answer(StatusCode::OK, &json!([entry])))
            }
            Self::LogStream => {
                let body = hosting.log(app.app().id, LOG_LINES, true).await?;
                let (asked, app) = (state.clone(), app.clone());
                let may = move || -> std::pin::Pin<Box<dyn Future<Output = bool> + Send>> {
                    let (state, app) = (asked.clone(), app.clone());
                    Box::pin(async move { may_still(&state, &app).await })
                };
                let mut response = Response::new(Body::new(Followed::new(body, may)));
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
                headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
                Ok(response)
            }
        }
    }
}

/// May whoever was let in still, by the token that they came with? To this very app: another one of its name is another's.
async fn may_still(state: &State, app: &Publishable) -> bool {
    if app.by().caller().is_some_and(|caller| state.clock.now() >= caller.expires()) {
        return false;
    }
    let again = state.host.publishable(app.by(), &app.app().name).await;
    again.is_ok_and(|again| again.app().id == app.app().id)
}

/// A deployment as far as it is known.
struct Known {
    id: DeploymentId,
    told: ObservedDeployment,
    is_active: bool,
    /// When it came to its place.
    created: Option<Timestamp>,
}

/// The last deployment since the server began, and the one that is in place: what is known of an app's.
async fn deployments(state: &State, app: &Publishable) -> Result<Vec<Known>, ScmError> {
    let desired = state.host.desired_of(app.app()).await?;
    let in_place = desired.as_ref().and_then(|desired| desired.deployment.as_ref());
    let mut all = Vec::new();
    if let Some((id, told)) = state.outside.hosting()?.latest(app.app().id) {
        let here = in_place.filter(|in_place| in_place.id == id);
        all.push(Known { id, told, is_active: here.is_some(), created: here.map(|here| here.created) });
    }
    if let Some(in_place) = in_place
        && !all.iter().any(|one| one.id == in_place.id)
    {
        let told = ObservedDeployment { state: "deployed", text: String::new(), begun: None };
        all.push(Known { id: in_place.id, told, is_active: true, created: Some(in_place.created) });
    }
    Ok(all)
}

impl Known {
    /// Kudu's numbers: pending 0, building 1, deploying 2, failed 3, success 4.
    fn status(&self) -> (u8, &'static str) {
        match self.told.state {
            "deployed" => (4, "Succeeded"),
            "failed" => (3, "Failed"),
            "receiving" => (0, "InProgress"),
            _ => (1, "InProgress"),
        }
    }

    fn is_complete(&self) -> bool {
        matches!(self.status().0, 3 | 4)
    }

    fn shown(&self, names: &HostNames, app: &Publishable) -> Value {
        let url = format!("{}/api/deployments/{}", names.scm_url(&app.app().name), self.id);
        let (status, state) = self.status();
        let (begun, created) = (self.told.begun.or(self.created).map(date), self.created.map(date));
        json!({
            "id": self.id,
            "status": status,
            "status_text": if status == 4 { "" } else { &*self.told.text },
            "author_email": "N/A",
            "author": "N/A",
            "deployer": "Push-Deployer",
            "message": "Created via a push deployment",
            "progress": if self.is_complete() { "" } else { self.told.state },
            "received_time": begun,
            "start_time": begun,
            "end_time": created,
            "last_success_end_time": if status == 4 { created.clone() } else { None },
            "complete": self.is_complete(),
            "active": self.is_active,
            "is_temp": false,
            "is_readonly": true,
            "url": url,
            "log_url": format!("{url}/log"),
            "site_name": app.app().name,
            "provisioningState": state,
        })
    }

    /// 202 until it is over.
    fn answer(&self, names: &HostNames, app: &Publishable) -> Response {
        let status = if self.is_complete() { StatusCode::OK } else { StatusCode::ACCEPTED };
        answer(status, &self.shown(names, app))
    }
}

/// Where a token can be had (RFC 6750 section 3).
fn challenge(state: &State, context: &Context) -> HeaderValue {
    let (names, tenant) = (context.names(state), state.directory.tenant().id);
    let authority = names.login_base();
    let resource = names.deployment_resource();
    text(&format!(
        "Bearer realm=\"\", authorization_uri=\"{authority}/{tenant}\", resource_id=\"{resource}\""
    ))
}

fn text(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
}

/// A JSON answer.
fn answer(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_the_same_in_any_case_and_nothing_else_is_there() {
        let get = |path| route(&Method::GET, path, "").ok();
        assert_eq!(get("/api/deployments/latest"), Some(Operation::Latest));
        assert_eq!(get("/API/Deployments/"), Some(Operation::List));
        assert_eq!(get("/api/deployments/abc"), Some(Operation::Get("abc".to_owned())));
        assert_eq!(get("/api/deployments/abc/log"), Some(Operation::Log("abc".to_owned())));
        assert_eq!(get("//logstream/application"), Some(Operation::LogStream));
        for path in ["/", "/api", "/api/zipdeploy", "/api/vfs/site/wwwroot/", "/api/command", "/dump"] {
            assert_eq!(get(path), None, "{path}");
        }
        let post = |path, query| route(&Method::POST, path, query).ok();
        assert_eq!(post("/api/zipdeploy", "isAsync=true"), Some(Operation::Deploy));
        assert_eq!(post("/api/publish", "type=zip&async=True"), Some(Operation::Deploy));
        assert_eq!(
            post("/api/publish", "type=zip&path=%2Fhome%2Fsite%2Fwwwroot%2F"),
            Some(Operation::Deploy)
        );
        for query in ["type=war", "type=static&path=a", "type=zip&path=/etc", "type=zip&path=/home"] {
            assert_eq!(post("/api/publish", query), None, "{query}");
        }
        assert_eq!(post("/api/deployments", ""), None);
        assert!(
            is_deployment(&Method::POST, "/api/zipdeploy") && is_deployment(&Method::POST, "/api/publish")
        );
        assert!(
            is_deployment(&Method::PUT, "/api/zipdeploy") && !is_deployment(&Method::PUT, "/api/publish")
        );
        assert!(!is_deployment(&Method::GET, "/api/zipdeploy") && !is_deployment(&Method::POST, "/"));
    }
}
