//! Consents as Graph tells them (`oauth2PermissionGrants`): one for each client, resource, and user or all users.

use super::{Acting, Done, GraphError, Right, builtin::Builtin};
use crate::{
    DirectoryError, DirectoryService, Registration,
    consent::{Consent, OPENID, Whose},
    registration::ClientIndex,
    scope::OPENID_SCOPES,
};
use access::Principal;
use domain::{ClientId, PrincipalId, limits};
use store::{Decision, Halt, Key, Load, View, all_records};

/// What one client may do at one resource in the name of a user, or of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermissionGrant {
    /// Its id.
    pub id: String,
    /// The client.
    pub client: ClientId,
    /// The resource.
    pub resource: ClientId,
    /// Whose name it is; `None`: everybody's.
    pub user: Option<PrincipalId>,
    /// The scopes, those of OpenID Connect too where they were written.
    pub scopes: Vec<String>,
}

fn key_of(resource: ClientId) -> String {
    let builtin = Builtin::ALL.into_iter().find(|one| one.client() == resource);
    builtin.map_or_else(|| resource.to_string(), |one| one.key().to_owned())
}

fn resource_of(key: &str) -> Option<ClientId> {
    let builtin = Builtin::ALL.into_iter().find(|one| one.key() == key);
    builtin.map(Builtin::client).or_else(|| key.parse().ok())
}

fn whose(user: Option<PrincipalId>) -> Whose {
    user.map_or(Whose::Everybody, Whose::User)
}

fn grant(
    client: ClientId,
    resource: ClientId,
    user: Option<PrincipalId>,
    scopes: Vec<String>,
) -> PermissionGrant {
    let whose = user.map_or_else(|| "all".to_owned(), |user| user.to_string());
    let id = crypt::sha256(format!("{client}/{resource}/{whose}"));
    let id = crypt::encoding::base64url(id.bytes());
    PermissionGrant { id, client, resource, user, scopes }
}

/// Does the resource offer the scope? The words of OpenID Connect are of no resource.
fn offers(view: &View, resource: ClientId, scope: &str) -> Result<bool, Load> {
    if let Some(builtin) = Builtin::ALL.into_iter().find(|one| one.client() == resource) {
        return Ok(builtin.scopes().iter().any(|(_, known)| *known == scope));
    }
    let Some(index) = view.get::<ClientIndex>(&resource)? else { return Ok(false) };
    let registration = view.get::<Registration>(&index.registration)?;
    Ok(registration
        .is_some_and(|found| found.scopes.iter().any(|known| known.enabled && known.value == scope)))
}

fn is_openid(scope: &str) -> bool {
    OPENID_SCOPES.contains(&scope)
}

impl DirectoryService {
    /// All consents, those of users who are gone left out.
    ///
    /// # Errors
    /// The store's.
    pub async fn permission_grants(&self) -> Result<Vec<PermissionGrant>, DirectoryError> {
        let mut all = Vec::new();
        for (key, consent) in all_records::<Consent>(&*self.store, &Key::new("consent/")).await? {
            let key = String::from_utf8_lossy(key.as_bytes());
            let mut parts = key.split('/').skip(1);
            let Some(client) = parts.next().and_then(|id| id.parse().ok()) else { continue };
            let user = match parts.next() {
                Some("all") => None,
                Some(user) => match user.parse::<PrincipalId>() {
                    Ok(user) if self.principal(user).await.is_ok() => Some(user),
                    _ => continue,
                },
                None => continue,
            };
            let known = consent.scopes.keys().map(|key| (key, consent.told(key)));
            all.extend(known.filter(|(_, told)| !told.is_empty()).filter_map(|(key, told)| {
                resource_of(key).map(|resource| grant(client, resource, user, told))
            }));
        }
        Ok(all)
    }
}

impl Acting<'_> {
    /// Agrees for a user or for all: `scopes` are all of that resource from now on; none takes the consent away.
    ///
    /// # Errors
    /// [`DirectoryError::ScopeUnknown`], [`DirectoryError::PrincipalNotFound`], [`GraphError::ForItself`], [`GraphError::Taken`].
    pub async fn set_consent(
        &self,
        client: ClientId,
        resource: ClientId,
        user: Option<PrincipalId>,
        scopes: &[String],
        is_new: bool,
    ) -> Result<Done<PermissionGrant>, DirectoryError> {
        self.change(Right::WriteConsents, |view, permit| {
            // What a client may do for users is more than an application has by itself.
            if !scopes.is_empty() && client == permit.principal().client && !permit.is_administrators() {
                return Err(GraphError::ForItself.into());
            }
            if let Some(user) = user
                && view.get::<Principal>(&user)?.is_none()
            {
                return Err(Halt::Refuse(DirectoryError::PrincipalNotFound { principal: user }));
            }
            let mut agreed = Vec::new();
            for scope in scopes.iter().filter(|scope| !is_openid(scope)) {
                if !offers(view, resource, scope)? {
                    let scope = crate::tenant::shown(scope);
                    return Err(Halt::Refuse(DirectoryError::ScopeUnknown { scope }));
                }
                agreed.push(scope.clone());
            }
            let (id, key) = ((client, whose(user)), key_of(resource));
            let known = view.get::<Consent>(&id)?;
            let mut consent = known.map_or_else(Consent::default, |known| Consent::clone(&known));
            let has_some = !consent.told(&key).is_empty();
            if is_new && has_some {
                return Err(GraphError::Taken { what: "such a grant" }.into());
            }
            if !is_new && !has_some {
                return Err(GraphError::NotFound { named: "the grant".to_owned() }.into());
            }
            consent.written.remove(&key);
            if scopes.is_empty() {
                // The words of OpenID Connect go with the last of it, so that the user is asked again.
                consent.scopes.remove(&key);
                if consent.scopes.keys().all(|key| key == OPENID) {
                    consent.scopes.clear();
                }
            } else {
                if scopes.iter().any(|scope| is_openid(scope)) {
                    consent.written.insert(key.clone(), scopes.to_vec());
                }
                // None of the resource, if only a sign-in is agreed to: the entry counts all the same, and is listed.
                consent.scopes.insert(key, agreed);
            }
            if consent.scopes.len() > limits::CONSENT_RESOURCES_MAX {
                let (what, limit) =
                    ("resources that one client is agreed to for", limits::CONSENT_RESOURCES_MAX);
                return Err(Halt::Refuse(DirectoryError::TooMany { what, limit }));
            }
            let write = match consent.scopes.is_empty() {
                true => store::delete::<Consent>(&id),
                false => store::put::<Consent>(&id, &consent),
            };
            Ok(Decision::of(grant(client, resource, user, scopes.to_vec()), vec![write]))
        })
        .await
    }
}
