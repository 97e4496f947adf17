//! `Microsoft.ManagedIdentity/userAssignedIdentities/{name}/federatedIdentityCredentials`: which outside issuers vouch for an identity.

use super::{
    Answer, Asked, answer, empty,
    error::ArmError,
    identities, list, object,
    path::{is, name},
};
use axum::{body::Body, response::Response};
use directory::{DirectoryError, NewFederatedCredential};
use domain::{IdentityName, ResourceGroupName, limits};
use host::{FederatedView, HostError};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

/// The type, as ids say it.
const KIND: &str = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials";

/// Whose they are.
#[derive(Debug)]
pub(super) struct Owner {
    group: ResourceGroupName,
    identity: IdentityName,
}

/// What is asked for.
#[derive(Debug)]
pub(super) enum FederatedOperation {
    List(Owner),
    Put(Owner, String),
    Get(Owner, String),
    Delete(Owner, String),
}

impl FederatedOperation {
    /// Below `…/providers/Microsoft.ManagedIdentity` in a group. None: it is of the identities themselves.
    pub(super) fn route(
        method: &Method,
        group: &ResourceGroupName,
        rest: &[&str],
    ) -> Result<Option<Self>, ArmError> {
        let [kind, identity, one, below @ ..] = rest else { return Ok(None) };
        if !is(kind, "userAssignedIdentities") || !is(one, "federatedIdentityCredentials") {
            return Ok(None);
        }
        let owner = Owner { group: group.clone(), identity: name(identity, IdentityName::parse)? };
        Ok(Some(match (below, method) {
            ([], &Method::GET) => Self::List(owner),
            ([], _) => return Err(ArmError::wrong_method("GET")),
            ([credential], method) => {
                let credential = credential_name(credential)?;
                match *method {
                    Method::PUT => Self::Put(owner, credential),
                    Method::GET => Self::Get(owner, credential),
                    Method::DELETE => Self::Delete(owner, credential),
                    _ => return Err(ArmError::wrong_method("GET, PUT, DELETE")),
                }
            }
            _ => return Err(ArmError::no_such_path()),
        }))
    }

    pub(super) fn action(&self) -> &'static str {
        match self {
            Self::List(_) | Self::Get(..) => "identity.credential.get",
            Self::Put(..) => "identity.credential.add",
            Self::Delete(..) => "identity.credential.remove",
        }
    }

    pub(super) fn target(&self) -> String {
        match self {
            Self::List(owner) => format!("federated credentials of identity {}", owner.identity),
            Self::Put(owner, credential) | Self::Get(owner, credential) | Self::Delete(owner, credential) => {
                format!("federated credential {credential} of identity {}", owner.identity)
            }
        }
    }

    pub(super) async fn operate(self, asked: &Asked<'_>, body: Body) -> Result<Answer, ArmError> {
        let target = self.target();
        let (host, by, now) = (&asked.state.host, asked.by(), asked.context.now);
        let response = match self {
            Self::List(owner) => {
                owner.there(asked).await?;
                let all = host.federated(by, &owner.identity).await?;
                list(asked, all.iter().map(|view| shown(asked, view)).collect())?
            }
            Self::Put(owner, credential) => {
                owner.there(asked).await?;
                let new = read(credential, &object(body).await?)?;
                let (view, is_new) = host.put_federated(by, &owner.identity, new, now).await?;
                let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
                answer(status, &shown(asked, &view))
            }
            Self::Get(owner, credential) => {
                owner.there(asked).await?;
                match host.federated_named(by, &owner.identity, &credential).await {
                    Ok(view) => answer(StatusCode::OK, &shown(asked, &view)),
                    Err(error) => return Err(named(error, &owner, &credential)),
                }
            }
            Self::Delete(owner, credential) => delete(asked, &owner, &credential).await?,
        };
        Ok(Answer { target, response })
    }
}

impl Owner {
    /// Is the identity in that group?
    async fn there(&self, asked: &Asked<'_>) -> Result<(), ArmError> {
        identities::found(asked, &self.group, &self.identity).await.map(drop)
    }
}

async fn delete(asked: &Asked<'_>, owner: &Owner, credential: &str) -> Result<Response, ArmError> {
    owner.there(asked).await?;
    let deleted =
        asked.state.host.delete_federated(asked.by(), &owner.identity, credential, asked.context.now).await;
    match deleted {
        Ok(_) => Ok(empty(StatusCode::OK)),
        Err(HostError::FederatedNotFound(_)) => Ok(empty(StatusCode::NO_CONTENT)),
        Err(error) => Err(error.into()),
    }
}

/// What is missing is named as the path named it.
fn named(error: HostError, owner: &Owner, credential: &str) -> ArmError {
    match error {
        HostError::FederatedNotFound(_) => ArmError::no_such_resource(KIND, credential, owner.group.as_str()),
        error => error.into(),
    }
}

/// The name of a credential. Anything else in its place is not repeated, in answers nor in the audit log.
fn credential_name(segment: &str) -> Result<String, ArmError> {
    let is_name = (1..=limits::FEDERATED_NAME_CHARS_MAX).contains(&segment.len())
        && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    match is_name {
        true => Ok(segment.to_owned()),
        false => Err(ArmError::new(
            StatusCode::BAD_REQUEST,
            "InvalidResourceName",
            "The name of a federated identity credential is 1 to 120 letters, digits, '-' and '_'.",
        )),
    }
}

/// What a body says of a credential. What is not said of the audience is the usual one.
fn read(name: String, members: &Map<String, Value>) -> Result<NewFederatedCredential, ArmError> {
    let empty = Map::new();
    let properties = match members.get("properties") {
        None | Some(Value::Null) => &empty,
        Some(Value::Object(properties)) => properties,
        Some(_) => return Err(ArmError::bad_content("The properties are no object.")),
    };
    let text = |member: &str| match properties.get(member) {
        Some(Value::String(text)) => Ok(text.clone()),
        _ => Err(ArmError::bad_content(format!("The property '{member}' is required, and is a string."))),
    };
    let one = "The property 'audiences' is an array of exactly one string.";
    let audience = match properties.get("audiences") {
        None | Some(Value::Null) => None,
        Some(Value::Array(audiences)) => match &**audiences {
            [Value::String(audience)] => Some(audience.clone()),
            _ => return Err(ArmError::bad_content(one)),
        },
        Some(_) => return Err(ArmError::bad_content(one)),
    };
    Ok(NewFederatedCredential {
        name,
        issuer: text("issuer")?,
        subject: text("subject")?,
        audience,
        ..NewFederatedCredential::default()
    })
}

fn shown(asked: &Asked<'_>, view: &FederatedView) -> Value {
    let FederatedView { identity, credential } = view;
    json!({
        "id": format!("{}/federatedIdentityCredentials/{}", identities::id(asked, identity), credential.name),
        "name": credential.name,
        "type": KIND,
        "properties": {
            "issuer": credential.issuer,
            "subject": credential.subject,
            "audiences": [credential.audience],
        },
    })
}

/// The directory's refusals of a credential that is to be.
pub(super) fn refused(error: &DirectoryError) -> Option<ArmError> {
    Some(match error {
        DirectoryError::FederatedInvalid { rule } => {
            let message = format!("The federated identity credential is not valid: {rule}.");
            ArmError::new(StatusCode::BAD_REQUEST, "BadRequest", message)
        }
        DirectoryError::FederatedTaken { what } => ArmError::conflict(format!(
            "The identity has a federated identity credential of this {what} already."
        )),
        DirectoryError::TooMany { what, limit } => {
            let message = format!("An identity has at most {limit} {what}.");
            ArmError::new(StatusCode::BAD_REQUEST, "BadRequest", message)
        }
        _ => return None,
    })
}
