//! The steps of a plan, done one after the other by the administrator's socket, and values of secrets by the Key Vault API.

use super::{
    found::Registration,
    plan::{Act, Step},
    rules::Whom,
    stack::Vault,
    values::Values,
    verbs::Verbs,
};
use crate::{
    admin::{Admin, segment},
    app::List,
    collection::{Ask, Collection},
    failure::Failure,
    host::{self, SentSettings},
    secret::NewSecret,
};
use domain::{ObjectKind, ObjectName, Secret, VaultName};
use http::Method;
use serde::{Serialize, de::IgnoredAny};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Does steps, and keeps what several of them need.
pub(super) struct Actor<'a> {
    admin: &'a Admin,
    values: &'a Values,
    /// The vault whose secrets were set last.
    open: Option<Collection<'a>>,
}

/// Whom a rule is for, as it is sent.
#[derive(Serialize)]
#[serde(untagged)]
enum SentWhom<'a> {
    App { app: &'a str },
    Identity { identity: &'a str },
    User { user: &'a str },
    Group { group: &'a str },
    Principal { principal: String },
}

#[derive(Serialize)]
struct SentPolicy<'a> {
    #[serde(flatten)]
    whom: SentWhom<'a>,
    #[serde(flatten)]
    verbs: &'a Verbs,
}

#[derive(Serialize)]
struct SentRole<'a> {
    role: &'a str,
    #[serde(flatten)]
    whom: SentWhom<'a>,
    #[serde(flatten)]
    object: BTreeMap<&'static str, &'a ObjectName>,
}

impl<'a> Actor<'a> {
    pub(super) const fn new(admin: &'a Admin, values: &'a Values) -> Self {
        Self { admin, values, open: None }
    }

    /// Does one step.
    pub(super) async fn act(&mut self, step: &Step<'_>) -> Result<(), Failure> {
        let app = |name: &str| format!("/v1/apps/{}", segment(name));
        match &step.act {
            Act::CreateRegistration(one) => {
                let new = json!({
                    "display_name": one.name,
                    "identifier_uris": one.identifier_uris.as_deref().unwrap_or_default(),
                    "redirect_uris": one.redirect_uris.as_deref().unwrap_or_default(),
                    "is_public": one.public.unwrap_or_default(),
                });
                self.ask(Method::POST, "/v1/registrations", &new).await
            }
            Act::ChangeRegistration { id, change } => {
                self.ask(Method::PATCH, &format!("/v1/registrations/{id}"), change).await
            }
            Act::Federate { registration, replaced, credential } => {
                let place =
                    format!("/v1/registrations/{}/federated", self.registration(registration).await?.id);
                match replaced {
                    Some(old) => self.ask(Method::PUT, &format!("{place}/{old}"), credential).await,
                    None => self.ask(Method::POST, &place, credential).await,
                }
            }
            Act::CreateIdentity(name) => {
                self.ask(Method::POST, "/v1/identities", &json!({"name": name})).await
            }
            Act::CreateApp(name) => self.ask(Method::POST, "/v1/apps", &json!({"name": name})).await,
            Act::AssignIdentity(name) => {
                self.ask(Method::PUT, &format!("{}/identity", app(name.as_str())), &json!({})).await
            }
            Act::AttachIdentity(name, identity) => {
                let path = format!("{}/identities/{}", app(name.as_str()), segment(identity.as_str()));
                self.ask(Method::PUT, &path, &json!({})).await
            }
            Act::CreateGroup(group) => {
                let new = json!({"display_name": group.name, "description": group.description});
                self.ask(Method::POST, "/v1/groups", &new).await
            }
            Act::DescribeGroup { id, description } => {
                let change = json!({"description": description});
                self.ask(Method::PATCH, &format!("/v1/groups/{id}"), &change).await
            }
            Act::AddMember { group, whom } => {
                let whom = self.whom(whom).await?;
                self.ask(Method::POST, &format!("/v1/groups/{}/members", segment(group)), &whom).await
            }
            Act::CreateVault(vault) => self.ask::<Vault>(Method::POST, "/v1/vaults", vault).await,
            Act::ChangeVault { vault, change } => self.ask(Method::PATCH, &path(vault), change).await,
            Act::SetPolicy { vault, policy } => {
                let sent = SentPolicy { whom: self.whom(&policy.whom).await?, verbs: &policy.verbs };
                self.ask(Method::PUT, &format!("{}/policies", path(vault)), &sent).await
            }
            Act::AssignRole { vault, role } => {
                let object = role.object.iter().map(|(kind, name)| (*kind, name)).collect();
                let sent = SentRole { role: &role.role, whom: self.whom(&role.whom).await?, object };
                self.ask(Method::POST, &format!("{}/roles", path(vault)), &sent).await
            }
            Act::SetSecret { vault, secret, content_type, tags, attributes } => {
                let new = NewSecret {
                    value: self.values.of(&secret.from_file)?.expose(),
                    content_type: content_type.as_deref(),
                    tags,
                    attributes,
                };
                let body = new.body()?;
                self.write(vault, &secret.name, Method::PUT, body).await
            }
            Act::DescribeSecret { vault, secret } => {
                let mut body = Map::new();
                body.extend(secret.content_type.as_ref().map(|text| ("contentType".to_owned(), json!(text))));
                body.extend(secret.tags.as_ref().map(|tags| ("tags".to_owned(), json!(tags))));
                let body = Secret::new(Value::Object(body).to_string().into_bytes());
                self.write(vault, &secret.name, Method::PATCH, body).await
            }
            Act::ChangeSettings { app: one, names } => {
                let set = one.settings.iter().filter(|(name, _)| names.contains(&name.as_str()));
                let set = self.values.settings(set)?;
                host::send_settings(self.admin, &one.name, &SentSettings { set, remove: &[] }).await
            }
        }
    }

    async fn ask<T: Serialize>(&self, method: Method, path: &str, body: &T) -> Result<(), Failure> {
        self.admin.ask::<IgnoredAny>(method, path, body).await.map(drop)
    }

    async fn write(
        &mut self,
        vault: &VaultName,
        name: &ObjectName,
        method: Method,
        body: Secret<Vec<u8>>,
    ) -> Result<(), Failure> {
        let secrets = match self.open.take().filter(|open| open.name() == vault) {
            Some(open) => open,
            None => Collection::of_administrator(self.admin, ObjectKind::Secret, vault).await?,
        };
        let secrets = self.open.insert(secrets);
        // An update without a version is one of the latest.
        let path = secrets.path(name, if method == Method::PATCH { "/" } else { "" });
        let ask = Ask { verb: "set", method, name: Some(name), path, body: Some(body) };
        secrets.ask::<IgnoredAny>(ask).await.map(drop)
    }

    async fn whom<'w>(&self, whom: &'w Whom) -> Result<SentWhom<'w>, Failure> {
        Ok(match whom {
            Whom::App(name) => SentWhom::App { app: name.as_str() },
            Whom::Identity(name) => SentWhom::Identity { identity: name.as_str() },
            Whom::User(user) => SentWhom::User { user },
            Whom::Group(group) => SentWhom::Group { group },
            Whom::Registration(name) => {
                SentWhom::Principal { principal: self.registration(name).await?.principal }
            }
        })
    }

    /// The registration of this name, which an earlier step may have made.
    async fn registration(&self, name: &str) -> Result<Registration, Failure> {
        let all: List<Registration> = self.admin.get("/v1/registrations").await?;
        let found = all.value.into_iter().find(|one| one.display_name == name);
        found.ok_or_else(|| Failure::new(format!("there is no registration {name} any more")))
    }
}

fn path(vault: &VaultName) -> String {
    format!("/v1/vaults/{}", segment(vault.as_str()))
}
