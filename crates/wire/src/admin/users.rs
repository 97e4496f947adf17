//! `/v1/users`: people who sign in with a password, named by object id or user name. A password that the server makes up and the secret of
//! an authenticator app are answered once.

use super::{
    Admin, audited,
    body::{self, List, Quiet, Segment, json},
    error::AdminError,
};
use crate::context::{Context, State};
use axum::{
    Extension, Router,
    extract::State as Shared,
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use directory::{DirectoryError, Enrolment, NewUser, Person, UserChange};
use domain::Secret;
use http::StatusCode;
use serde::{Deserialize, Serialize};

/// A user name without a domain is of the tenant's. Without a password nobody signs in by one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    user_name: String,
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    mail: Option<String>,
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    password: Option<Secret<String>>,
    /// Make one up, if none is given.
    #[serde(default)]
    generate_password: bool,
    #[serde(default)]
    must_change_password: bool,
}

/// What is not named stays; `null` as mail takes it away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default)]
    user_name: Option<String>,
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default, deserialize_with = "body::given")]
    mail: Option<Option<String>>,
    #[serde(default)]
    enabled: Option<bool>,
    /// May it do all in the directory?
    #[serde(default)]
    is_administrator: Option<bool>,
}

/// Without a password one is made up.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    #[serde(default)]
    password: Option<Secret<String>>,
    #[serde(default)]
    must_change_password: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    code: String,
}

#[derive(Serialize)]
struct Shown {
    id: String,
    user_name: String,
    display_name: String,
    mail: Option<String>,
    enabled: bool,
    has_password: bool,
    must_change_password: bool,
    password_set: Option<i64>,
    has_authenticator: bool,
    is_administrator: bool,
    groups: Vec<String>,
    created: i64,
    /// Made up just now, and shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

#[derive(Serialize)]
struct Enrolled {
    id: String,
    user_name: String,
    secret: String,
    uri: String,
}

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/users", get(list).post(create))
        .route("/v1/users/{user}", get(show).patch(update).delete(remove))
        .route("/v1/users/{user}/password", put(set_password))
        .route("/v1/users/{user}/authenticator", post(add_authenticator).delete(remove_authenticator))
        .route("/v1/users/{user}/authenticator/confirm", post(confirm_authenticator))
}

async fn list(Shared(state): Shared<State>) -> Result<Response, AdminError> {
    let value = state.directory.users().await?.iter().map(|person| shown(person, None)).collect();
    Ok(json(StatusCode::OK, &List { value }))
}

async fn create(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Quiet(new): Quiet<New>,
) -> Result<Response, AdminError> {
    let made_up =
        (new.password.is_none() && new.generate_password).then(|| crypt::fresh_password(&*state.entropy));
    let created = match state.directory.user_name(&new.user_name) {
        Ok(user_name) => {
            let local = user_name.as_str().split('@').next().unwrap_or_default().to_owned();
            let new = NewUser {
                display_name: new.display_name.unwrap_or(local),
                user_name,
                mail: new.mail,
                enabled: !new.disabled,
                password: made_up.as_ref().map(Secret::duplicate).or(new.password),
                must_change_password: new.must_change_password,
            };
            state.directory.create_user(new, context.now).await
        }
        Err(error) => Err(error),
    };
    let target = created.as_ref().map_or_else(|_| "user".to_owned(), target);
    let person = audited(&state, &context, "user.create", target, created)?;
    Ok(json(StatusCode::CREATED, &shown(&person, made_up.as_ref())))
}

async fn show(Shared(state): Shared<State>, Segment(user): Segment<String>) -> Result<Response, AdminError> {
    Ok(json(StatusCode::OK, &shown(&state.directory.user(&user).await?, None)))
}

async fn update(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(user): Segment<String>,
    Quiet(change): Quiet<Change>,
) -> Result<Response, AdminError> {
    let action = match (change.is_administrator, change.enabled) {
        (Some(true), _) => "user.administrator.add",
        (Some(false), _) => "user.administrator.remove",
        (None, Some(true)) => "user.enable",
        (None, Some(false)) => "user.disable",
        (None, None) => "user.update",
    };
    let changed = match change.user_name.map(|name| state.directory.user_name(&name)).transpose() {
        Ok(user_name) => {
            let Change { display_name, mail, enabled, is_administrator, .. } = change;
            let change = UserChange { user_name, display_name, mail, enabled, is_administrator };
            state.directory.update_user(&user, &change).await
        }
        Err(error) => Err(error),
    };
    let person = told(&state, &context, action, &user, changed, whole).await?;
    Ok(json(StatusCode::OK, &shown(&person, None)))
}

async fn remove(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(user): Segment<String>,
) -> Result<Response, AdminError> {
    let deleted = state.directory.delete_user(&user).await;
    told(&state, &context, "user.delete", &user, deleted, whole).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn set_password(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(user): Segment<String>,
    Quiet(new): Quiet<NewPassword>,
) -> Result<Response, AdminError> {
    let made_up = new.password.is_none().then(|| crypt::fresh_password(&*state.entropy));
    let set = match new.password.as_ref().or(made_up.as_ref()) {
        Some(password) => {
            state.directory.set_password(&user, password, new.must_change_password, context.now).await
        }
        None => return Err(AdminError::bad_request("there is no password")),
    };
    let person = told(&state, &context, "user.password.set", &user, set, whole).await?;
    Ok(json(StatusCode::OK, &shown(&person, made_up.as_ref())))
}

async fn add_authenticator(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(user): Segment<String>,
) -> Result<Response, AdminError> {
    let added = state.directory.add_authenticator(&user, context.now).await;
    let Enrolment { person, secret, uri } =
        told(&state, &context, "user.authenticator.add", &user, added, |enrolment| &enrolment.person).await?;
    let enrolled = Enrolled {
        id: person.user.id.to_string(),
        user_name: person.user.user_name.to_string(),
        secret: secret.expose().clone(),
        uri: uri.expose().clone(),
    };
    Ok(json(StatusCode::CREATED, &enrolled))
}

async fn confirm_authenticator(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(user): Segment<String>,
    Quiet(Code { code }): Quiet<Code>,
) -> Result<Response, AdminError> {
    let confirmed = state.directory.confirm_authenticator(&user, &code, context.now).await;
    let person = told(&state, &context, "user.authenticator.confirm", &user, confirmed, whole).await?;
    Ok(json(StatusCode::OK, &shown(&person, None)))
}

async fn remove_authenticator(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(user): Segment<String>,
) -> Result<Response, AdminError> {
    let removed = state.directory.remove_authenticator(&user).await;
    let person = told(&state, &context, "user.authenticator.remove", &user, removed, whole).await?;
    Ok(json(StatusCode::OK, &shown(&person, None)))
}

/// Leaves the audit record of a change of one user. Of one that is not there only an id is named: any other text may be a slip of the
/// keyboard, such as a password.
async fn told<T>(
    state: &State,
    context: &Context,
    action: &'static str,
    named: &str,
    result: Result<T, DirectoryError>,
    person_of: impl Fn(&T) -> &Person,
) -> Result<T, AdminError> {
    let target = match &result {
        Ok(done) => target(person_of(done)),
        Err(_) => match state.directory.user(named).await {
            Ok(person) => target(&person),
            Err(_) => named
                .parse()
                .map_or_else(|_| "user".to_owned(), |id: domain::PrincipalId| format!("user {id}")),
        },
    };
    audited(state, context, action, target, result)
}

const fn whole(person: &Person) -> &Person {
    person
}

fn target(person: &Person) -> String {
    format!("user {person}")
}

fn shown(Person { user, principal }: &Person, made_up: Option<&Secret<String>>) -> Shown {
    Shown {
        id: user.id.to_string(),
        user_name: user.user_name.to_string(),
        display_name: user.display_name.clone(),
        mail: user.mail.clone(),
        enabled: principal.enabled,
        has_password: user.password.is_some(),
        must_change_password: user.must_change_password,
        password_set: user.password_set.map(|time| time.seconds()),
        has_authenticator: user.has_second_factor(),
        is_administrator: user.is_administrator,
        groups: principal.member_of.iter().map(ToString::to_string).collect(),
        created: user.created.seconds(),
        password: made_up.map(|password| password.expose().clone()),
    }
}
