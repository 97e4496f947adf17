//! What applications prove themselves by: `addPassword`, `removePassword`, `addKey`, `removeKey`, `federatedIdentityCredentials`. A service
//! principal has those of its application.

use super::{
    Answer, Asked, answer,
    applications::{certificate, check_key_kind},
    body::{self, Members},
    error::GraphError,
    no_content,
    route::{Key, named},
    types,
};
use axum::body::Body;
use directory::{CredentialKind, FederatedCredential, NewFederatedCredential, graph::Right};
use domain::{CredentialId, Timestamp};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Of an application, or by way of its service principal.
#[derive(Debug)]
pub(super) enum CredentialsOperation {
    AddPassword { of: Owner },
    RemovePassword { of: Owner },
    AddKey { of: Owner },
    RemoveKey { of: Owner },
    ListFederated { of: Owner },
    AddFederated { of: Owner },
    GetFederated { of: Owner, federated: String },
    UpdateFederated { of: Owner, federated: String },
    RemoveFederated { of: Owner, federated: String },
}

#[derive(Clone, Debug)]
pub(super) struct Owner {
    key: Key,
    is_service_principal: bool,
}

impl CredentialsOperation {
    pub(super) fn route(
        method: &Method,
        key: Option<&Key>,
        below: &[&str],
        is_service_principal: bool,
    ) -> Result<Option<Self>, GraphError> {
        let Some(key) = key else { return Ok(None) };
        let of = Owner { key: key.clone(), is_service_principal };
        Ok(Some(match (method, below) {
            (&Method::POST, ["addPassword"]) => Self::AddPassword { of },
            (&Method::POST, ["removePassword"]) => Self::RemovePassword { of },
            (&Method::POST, ["addKey"]) => Self::AddKey { of },
            (&Method::POST, ["removeKey"]) => Self::RemoveKey { of },
            (_, ["addPassword" | "removePassword" | "addKey" | "removeKey"]) => {
                return Err(GraphError::wrong_method("POST"));
            }
            // Only applications have these.
            (_, ["federatedIdentityCredentials", ..]) if is_service_principal => return Ok(None),
            (&Method::GET, ["federatedIdentityCredentials"]) => Self::ListFederated { of },
            (&Method::POST, ["federatedIdentityCredentials"]) => Self::AddFederated { of },
            (_, ["federatedIdentityCredentials"]) => return Err(GraphError::wrong_method("GET, POST")),
            (method, ["federatedIdentityCredentials", federated]) => {
                let federated = (*federated).to_owned();
                match *method {
                    Method::GET => Self::GetFederated { of, federated },
                    Method::PATCH => Self::UpdateFederated { of, federated },
                    Method::DELETE => Self::RemoveFederated { of, federated },
                    _ => return Err(GraphError::wrong_method("GET, PATCH, DELETE")),
                }
            }
            _ => return Ok(None),
        }))
    }

    pub(super) fn facts(&self) -> (&'static str, Right) {
        match self {
            Self::ListFederated { .. } | Self::GetFederated { .. } => {
                ("graph.application.credential.get", Right::ReadApplications)
            }
            Self::AddPassword { .. } | Self::AddKey { .. } | Self::AddFederated { .. } => {
                ("graph.application.credential.add", Right::WriteApplications)
            }
            Self::UpdateFederated { .. } => ("graph.application.credential.update", Right::WriteApplications),
            Self::RemovePassword { .. } | Self::RemoveKey { .. } | Self::RemoveFederated { .. } => {
                ("graph.application.credential.remove", Right::WriteApplications)
            }
        }
    }

    const fn of(&self) -> &Owner {
        match self {
            Self::AddPassword { of }
            | Self::RemovePassword { of }
            | Self::AddKey { of }
            | Self::RemoveKey { of }
            | Self::ListFederated { of }
            | Self::AddFederated { of }
            | Self::GetFederated { of, .. }
            | Self::UpdateFederated { of, .. }
            | Self::RemoveFederated { of, .. } => of,
        }
    }

    pub(super) fn target(&self) -> String {
        let Owner { key, is_service_principal } = self.of();
        named(if *is_service_principal { "service principal" } else { "application" }, key.text())
    }

    pub(super) async fn operate(self, asked: &Asked<'_>, body: Body) -> Result<Answer, GraphError> {
        let now = asked.context.now;
        let owner = asked.owner(self.of()).await?;
        let target = named("application", &owner);
        let about = |what: &str, id: CredentialId| format!("{what} {id} of {target}");
        let (target, response) = match self {
            Self::AddPassword { .. } => {
                let mut members = body::read(body).await?;
                let (name, lifetime) = match members.object("passwordCredential")? {
                    Some(password) => password_asked(password, now)?,
                    None => ("client secret".to_owned(), None),
                };
                members.finish()?;
                let made = asked.acting.add_secret(&owner, &name, lifetime, now).await?.value;
                let shown = types::password_credential(&made.credential, Some(made.secret.expose()));
                let response = asked.complex("microsoft.graph.passwordCredential", shown);
                (about("client secret", made.credential.id), response)
            }
            Self::RemovePassword { .. } => {
                let mut members = body::read(body).await?;
                let id = members.id("keyId")?;
                members.finish()?;
                asked.acting.remove_credential(&owner, CredentialKind::Secret, id, None, now).await?;
                (about("client secret", id), no_content())
            }
            Self::AddKey { .. } => {
                let mut members = body::read(body).await?;
                let Some(mut key) = members.object("keyCredential")? else {
                    return Err(GraphError::bad(
                        "A value is required for property 'keyCredential' of the body.",
                    ));
                };
                let name = key.optional("displayName")?.unwrap_or_else(|| "certificate".to_owned());
                check_key_kind(&mut key)?;
                let bytes = certificate(&key.required("key")?)?;
                key.finish()?;
                let proof = members.secret("proof")?;
                members.finish()?;
                let made = asked.acting.add_key(&owner, &name, &bytes, &proof, now).await?.value;
                let shown = types::key_credential(&made);
                (about("certificate", made.id), asked.complex("microsoft.graph.keyCredential", shown))
            }
            Self::RemoveKey { .. } => {
                let mut members = body::read(body).await?;
                let (id, proof) = (members.id("keyId")?, members.secret("proof")?);
                members.finish()?;
                let kind = CredentialKind::Certificate;
                asked.acting.remove_credential(&owner, kind, id, Some(&proof), now).await?;
                (about("certificate", id), no_content())
            }
            Self::ListFederated { .. } => {
                let all = asked.federated(&owner).await?;
                let objects = all.iter().map(|one| types::federated(one)).collect();
                let answer = asked.short("federatedIdentityCredentials", objects)?;
                (target, answer.response)
            }
            Self::GetFederated { federated, .. } => {
                let found = asked.federated_of(&owner, &federated).await?;
                let response =
                    asked.one(StatusCode::OK, "federatedIdentityCredentials", types::federated(&found));
                (about("federated credential", found.id), response)
            }
            Self::AddFederated { .. } => {
                let new = federated_asked(body::read(body).await?)?;
                let made = asked.acting.add_federated(&owner, new, now).await?.value;
                let shown = types::federated(&made);
                let response = asked.one(StatusCode::CREATED, "federatedIdentityCredentials", shown);
                (about("federated credential", made.id), response)
            }
            Self::UpdateFederated { federated, .. } => {
                let id = asked.federated_of(&owner, &federated).await?.id;
                let edit = FederatedEdit::read(body::read(body).await?)?;
                asked.acting.update_federated(&owner, id, |before| edit.applied(before), now).await?;
                (about("federated credential", id), no_content())
            }
            Self::RemoveFederated { federated, .. } => {
                let id = asked.federated_of(&owner, &federated).await?.id;
                asked.acting.remove_credential(&owner, CredentialKind::Federated, id, None, now).await?;
                (about("federated credential", id), no_content())
            }
        };
        Ok(Answer { target, response })
    }
}

impl Asked<'_> {
    /// The object id of the application whose credentials these are.
    async fn owner(&self, owner: &Owner) -> Result<String, GraphError> {
        if !owner.is_service_principal {
            return Ok(self.application(&owner.key).await?.id.to_string());
        }
        let principal = self.service_principal(&owner.key).await?;
        match principal.registration {
            Some(registration) => Ok(registration.id.to_string()),
            None => Err(GraphError::bad("This service principal has no credentials of its own.")),
        }
    }

    async fn federated(&self, owner: &str) -> Result<Vec<std::sync::Arc<FederatedCredential>>, GraphError> {
        let id = self.state.directory.registration(owner).await?.id;
        Ok(self.state.directory.federated(id).await?)
    }

    /// A federated credential by its id or its name.
    async fn federated_of(
        &self,
        owner: &str,
        named: &str,
    ) -> Result<std::sync::Arc<FederatedCredential>, GraphError> {
        let all = self.federated(owner).await?;
        let found = all.into_iter().find(|one| one.id.to_string() == named || one.name == named);
        found.ok_or_else(|| GraphError::not_found(named))
    }

    /// A value of a complex type, which is no object of the directory.
    fn complex(&self, kind: &str, value: Value) -> http::Response<Body> {
        let mut shown = match value {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        shown.insert("@odata.context".to_owned(), json!(format!("{}/v1.0/$metadata#{kind}", self.base)));
        answer(StatusCode::OK, &shown)
    }
}

/// Name and lifetime of a new secret. It begins now, whenever it was meant to begin: one that is not good yet is of no use before.
fn password_asked(mut password: Members, now: Timestamp) -> Result<(String, Option<Duration>), GraphError> {
    let name = password.optional("displayName")?.filter(|name| !name.is_empty());
    password.time("startDateTime")?;
    let lifetime = match password.time("endDateTime")? {
        None => None,
        Some(end) => {
            let seconds = u64::try_from(end.seconds_since(now)).ok().filter(|seconds| *seconds > 0);
            let ended = || GraphError::bad("The endDateTime of a password credential is in the future.");
            Some(Duration::from_secs(seconds.ok_or_else(ended)?))
        }
    };
    password.take("customKeyIdentifier");
    // Who makes the secret up, if not we, would send it here.
    password.finish()?;
    Ok((name.unwrap_or_else(|| "client secret".to_owned()), lifetime))
}

fn federated_asked(mut members: Members) -> Result<NewFederatedCredential, GraphError> {
    let new = NewFederatedCredential {
        name: members.required("name")?,
        issuer: members.required("issuer")?,
        subject: members.required("subject")?,
        audience: one_audience(&mut members)?,
        description: members.optional("description")?.unwrap_or_default(),
        key_set: None,
    };
    members.finish()?;
    Ok(new)
}

fn one_audience(members: &mut Members) -> Result<Option<String>, GraphError> {
    let mut audiences = members.texts("audiences")?.unwrap_or_default().into_iter();
    let audience = audiences.next();
    match audiences.next() {
        None => Ok(audience),
        Some(_) => Err(GraphError::bad("A federated credential has one audience.")),
    }
}

/// What should change of a federated credential. Its name stays.
struct FederatedEdit {
    issuer: Option<String>,
    subject: Option<String>,
    audience: Option<String>,
    description: Option<String>,
}

impl FederatedEdit {
    fn read(mut members: Members) -> Result<Self, GraphError> {
        members.take("name");
        let edit = Self {
            issuer: members.optional("issuer")?,
            subject: members.optional("subject")?,
            audience: one_audience(&mut members)?,
            description: members.text("description")?.map(Option::unwrap_or_default),
        };
        members.finish()?;
        Ok(edit)
    }

    fn applied(&self, before: &FederatedCredential) -> NewFederatedCredential {
        let or = |new: &Option<String>, old: &String| new.as_ref().unwrap_or(old).clone();
        NewFederatedCredential {
            name: before.name.clone(),
            issuer: or(&self.issuer, &before.issuer),
            subject: or(&self.subject, &before.subject),
            audience: Some(or(&self.audience, &before.audience)),
            description: or(&self.description, &before.description),
            key_set: None,
        }
    }
}
