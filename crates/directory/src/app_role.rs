//! App roles: what a resource lets principals do in it, who has which, and the `roles` claim that says so (Microsoft Graph: `appRoles`,
//! `appRoleAssignments`).
//!
//! Owns: the roles' rules, the records of who has them, in both directions in one commit. Owns not: what a role means, which the resource
//! knows; for our Graph that is `graph`.
//! An assignment of a principal that is gone gives nothing: tokens are made for principals that exist only, and their ids do not come again.

use crate::{
    DirectoryError, DirectoryService, Registration, RequestError,
    application::Application,
    audience::{GRAPH_APPLICATION, Resource},
    graph::builtin,
    registration::ClientIndex,
};
use access::{Group, Principal, PrincipalKind};
use domain::{ClientId, CredentialId, GroupId, PrincipalId, Timestamp, limits};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Decision, Halt, Key, Load, Record, View, query, transact};
use uuid::Uuid;

/// A role that a resource defines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppRole {
    /// Its id.
    pub id: CredentialId,
    /// What `roles` says, such as `Orders.Read.All`. A role without one says nothing in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// A name for people.
    pub display_name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// May users and groups have it?
    pub for_users: bool,
    /// May applications and managed identities have it?
    pub for_applications: bool,
    /// A disabled role is in no token, and nobody gets it.
    pub enabled: bool,
}

/// The role of those who are assigned without one.
pub const DEFAULT_ROLE: CredentialId = CredentialId::from_uuid(Uuid::nil());

/// The roles that one principal or group has at one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Assigned {
    resource: ClientId,
    subject: PrincipalId,
    roles: Vec<Given>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Given {
    role: CredentialId,
    since: Timestamp,
}

impl Record for Assigned {
    /// Resource, and who has the roles: a group by its own id.
    type Id = (ClientId, PrincipalId);

    fn key((resource, subject): &Self::Id) -> Key {
        Key::new(format!("app-role/{resource}/{subject}"))
    }
}

/// That a principal or group has roles at a resource: for listing them.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct AssignedAt {
    resource: ClientId,
}

impl Record for AssignedAt {
    type Id = (PrincipalId, ClientId);

    fn key((subject, resource): &Self::Id) -> Key {
        Key::new(format!("app-role-of/{subject}/{resource}"))
    }
}

/// One role that somebody has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleAssignment {
    /// Its id: 43 characters of base64url.
    pub id: String,
    /// At which resource, by its client id.
    pub resource: ClientId,
    /// Who: a principal, or a group.
    pub subject: PrincipalId,
    /// Which role.
    pub role: CredentialId,
    /// Since when.
    pub since: Timestamp,
}

impl RoleAssignment {
    fn of(assigned: &Assigned, given: Given) -> Self {
        let (resource, subject, role) = (assigned.resource, assigned.subject, given.role);
        let id = crypt::sha256(format!("{resource}/{subject}/{role}"));
        let id = crypt::encoding::base64url(id.bytes());
        Self { id, resource, subject, role, since: given.since }
    }
}

/// What can go wrong with app roles.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppRoleError {
    /// The resource gives tokens to those only who are assigned to it.
    #[error("the resource requires an assignment, and {principal} has none")]
    NotAssigned {
        /// Who asked.
        principal: PrincipalId,
        /// For what.
        resource: ClientId,
        /// Is it a user?
        is_user: bool,
    },
    /// The resource has no such role that this kind of principal can have.
    #[error("the resource has no enabled role {role} that such a principal can have")]
    RoleUnknown {
        /// As asked for.
        role: String,
    },
    /// There is no such assignment.
    #[error("the role assignment was not found")]
    AssignmentNotFound,
    /// The assignment is there already.
    #[error("the principal has this role already")]
    Taken,
    /// A role or scope that breaks a rule.
    #[error("the app role or scope is not valid: {rule}")]
    Invalid {
        /// Which one.
        rule: &'static str,
    },
}

impl From<AppRoleError> for Halt<DirectoryError> {
    fn from(error: AppRoleError) -> Self {
        Self::Refuse(error.into())
    }
}

/// What tokens for a resource say of a principal's roles.
pub(crate) fn claimed(
    view: &View,
    principal: &Principal,
    resource: &Resource,
) -> Result<Vec<String>, Halt<DirectoryError>> {
    let (client, required, defined) = match resource {
        Resource::Vaults | Resource::Management | Resource::Deployment => return Ok(Vec::new()),
        Resource::Graph => (graph_client(), false, builtin::graph_roles()),
        Resource::Registered(registration) => {
            let required = registration.assignment_required;
            if !required && registration.app_roles.is_empty() {
                return Ok(Vec::new());
            }
            (registration.client, required, registration.app_roles.clone())
        }
    };
    let has = had(view, principal, client)?;
    let is_user = principal.kind == PrincipalKind::User;
    if required && has.is_empty() {
        return Err(AppRoleError::NotAssigned { principal: principal.id, resource: client, is_user }.into());
    }
    let said = defined.into_iter().filter(|role| role.enabled && has.contains(&role.id));
    Ok(said
        .filter(|role| if is_user { role.for_users } else { role.for_applications })
        .filter_map(|role| role.value)
        .collect())
}

/// What id tokens for an application say of a user's roles in it.
pub(crate) fn told(
    view: &View,
    principal: &Principal,
    application: &Application,
) -> Result<Vec<String>, Halt<DirectoryError>> {
    match application {
        Application::Registered(registration) => {
            claimed(view, principal, &Resource::Registered(registration.clone()))
        }
        Application::FirstParty(_) => Ok(Vec::new()),
    }
}

/// Refuses a user to whom an application is closed: one that is disabled, or is only for those who have a role in it.
pub(crate) fn admits(
    view: &View,
    principal: &Principal,
    application: &Application,
) -> Result<(), Halt<DirectoryError>> {
    let Application::Registered(registration) = application else { return Ok(()) };
    // As it is now: what the page was made of may be older.
    let Some(registration) = view.get::<Registration>(&registration.id)? else { return Ok(()) };
    require_enabled(view, application)?;
    if !registration.assignment_required || !had(view, principal, registration.client)?.is_empty() {
        return Ok(());
    }
    let is_user = principal.kind == PrincipalKind::User;
    Err(AppRoleError::NotAssigned { principal: principal.id, resource: registration.client, is_user }.into())
}

/// Refuses what is asked for by an application that is disabled.
pub(crate) fn require_enabled(view: &View, application: &Application) -> Result<(), Halt<DirectoryError>> {
    let Application::Registered(registration) = application else { return Ok(()) };
    match view.get::<Principal>(&registration.principal)? {
        Some(principal) if !principal.enabled => {
            let client = registration.client;
            Err(Halt::Refuse(DirectoryError::Request(RequestError::ClientDisabled { client })))
        }
        _ => Ok(()),
    }
}

/// The roles that a principal has at a resource, its own and, as a user, those of its groups.
fn had(view: &View, principal: &Principal, resource: ClientId) -> Result<Vec<CredentialId>, Load> {
    let mut has = Vec::new();
    let mut take = |assigned: Option<Arc<Assigned>>| {
        has.extend(assigned.iter().flat_map(|assigned| assigned.roles.iter().map(|given| given.role)));
    };
    take(view.get::<Assigned>(&(resource, principal.id))?);
    if principal.kind == PrincipalKind::User {
        for group in &principal.member_of {
            let assigned = view.get::<Assigned>(&(resource, group.subject()))?;
            // A group that was deleted gives nothing.
            if assigned.is_some() && view.get::<Group>(group)?.is_some() {
                take(assigned);
            }
        }
    }
    Ok(has)
}

/// The values of the roles that an application has at our Graph, as they are now.
pub(crate) fn at_graph(view: &View, principal: PrincipalId) -> Result<Vec<&'static str>, Load> {
    let assigned = view.get::<Assigned>(&(graph_client(), principal))?;
    let roles = assigned.iter().flat_map(|assigned| &assigned.roles);
    Ok(roles.filter_map(|given| builtin::graph_role(given.role)).collect())
}

/// The client id of Microsoft Graph.
#[must_use]
pub fn graph_client() -> ClientId {
    ClientId::from_uuid(GRAPH_APPLICATION.parse().unwrap_or(Uuid::nil()))
}

/// Gives a role.
pub(crate) fn assign(
    view: &View,
    resource: ClientId,
    subject: PrincipalId,
    role: CredentialId,
    now: Timestamp,
) -> Result<Decision<RoleAssignment>, Halt<DirectoryError>> {
    let principal = view.get::<Principal>(&subject)?;
    let for_users = match &principal {
        Some(principal) => principal.kind == PrincipalKind::User,
        None if view.get::<Group>(&GroupId::from_uuid(subject.uuid()))?.is_some() => true,
        None => return Err(Halt::Refuse(DirectoryError::PrincipalNotFound { principal: subject })),
    };
    let defined = defined(view, resource)?;
    let fits = |known: &&AppRole| {
        known.id == role && known.enabled && if for_users { known.for_users } else { known.for_applications }
    };
    // Whoever is only to be let in needs no role, where there are none.
    let is_default = role == DEFAULT_ROLE && defined.is_empty();
    if !is_default && !defined.iter().any(|known| fits(&known)) {
        return Err(AppRoleError::RoleUnknown { role: role.to_string() }.into());
    }
    let known = view.get::<Assigned>(&(resource, subject))?;
    let mut assigned = known
        .map_or_else(|| Assigned { resource, subject, roles: Vec::new() }, |known| Assigned::clone(&known));
    if assigned.roles.iter().any(|given| given.role == role) {
        return Err(AppRoleError::Taken.into());
    }
    let given = Given { role, since: now };
    assigned.roles.push(given);
    let made = RoleAssignment::of(&assigned, given);
    let writes = vec![
        store::put::<Assigned>(&(resource, subject), &assigned),
        store::put::<AssignedAt>(&(subject, resource), &AssignedAt { resource }),
    ];
    Ok(Decision::of(made, writes))
}

/// Takes a role away.
pub(crate) fn unassign(
    view: &View,
    resource: ClientId,
    subject: PrincipalId,
    role: CredentialId,
) -> Result<Decision<RoleAssignment>, Halt<DirectoryError>> {
    let not_found = || Halt::from(AppRoleError::AssignmentNotFound);
    let mut assigned = Assigned::clone(&*view.get::<Assigned>(&(resource, subject))?.ok_or_else(not_found)?);
    let at = assigned.roles.iter().position(|given| given.role == role).ok_or_else(not_found)?;
    let given = assigned.roles.remove(at);
    let taken = RoleAssignment::of(&assigned, given);
    let writes = if assigned.roles.is_empty() {
        vec![
            store::delete::<Assigned>(&(resource, subject)),
            store::delete::<AssignedAt>(&(subject, resource)),
        ]
    } else {
        vec![store::put::<Assigned>(&(resource, subject), &assigned)]
    };
    Ok(Decision::of(taken, writes))
}

/// The roles that a resource defines.
fn defined(view: &View, resource: ClientId) -> Result<Vec<AppRole>, Halt<DirectoryError>> {
    if resource == graph_client() {
        return Ok(builtin::graph_roles());
    }
    let index = view.get::<ClientIndex>(&resource)?;
    let registration = match index {
        Some(index) => view.get::<Registration>(&index.registration)?,
        None => None,
    };
    match registration {
        Some(registration) => Ok(registration.app_roles.clone()),
        None => Err(Halt::Refuse(DirectoryError::ClientUnknown { client: resource })),
    }
}

/// Are the roles and scopes of a registration as they may be?
pub(crate) fn check(registration: &Registration) -> Result<(), AppRoleError> {
    let invalid = |rule| Err(AppRoleError::Invalid { rule });
    let is_value = |text: &str| {
        (1..=limits::APP_ROLE_VALUE_CHARS_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
    };
    let is_text = |text: &str| {
        text.chars().count() <= limits::GROUP_DESCRIPTION_CHARS_MAX && !text.chars().any(char::is_control)
    };
    let (roles, scopes) = (&registration.app_roles, &registration.scopes);
    if roles.len() > limits::APP_ROLES_MAX || scopes.len() > limits::EXPOSED_SCOPES_MAX {
        return invalid("at most 64 app roles, and 64 scopes");
    }
    let values = roles.iter().filter_map(|role| role.value.as_deref());
    if !values.chain(scopes.iter().map(|scope| &*scope.value)).all(is_value) {
        return invalid("a value is 1 to 120 printable ASCII characters without spaces");
    }
    let texts = roles.iter().flat_map(|role| [&role.display_name, &role.description]);
    if !texts.chain(scopes.iter().map(|scope| &scope.description)).all(|text| is_text(text)) {
        return invalid("a name or description is at most 1,024 characters without control characters");
    }
    if roles.iter().any(|role| !role.for_users && !role.for_applications) {
        return invalid("a role is for users, for applications, or for both");
    }
    let mut ids: Vec<_> =
        roles.iter().map(|role| role.id).chain(scopes.iter().map(|scope| scope.id)).collect();
    let mut said: Vec<_> = roles.iter().filter_map(|role| role.value.as_deref()).collect();
    let mut asked: Vec<_> = scopes.iter().map(|scope| scope.value.to_ascii_lowercase()).collect();
    let (count, values, scopes) = (ids.len(), said.len(), asked.len());
    ids.sort_unstable();
    ids.dedup();
    said.sort_unstable();
    said.dedup();
    asked.sort_unstable();
    asked.dedup();
    if (said.len(), asked.len()) != (values, scopes) {
        return invalid("there is already one with this value");
    }
    if ids.len() != count || ids.contains(&DEFAULT_ROLE) {
        return invalid("no id twice, and no id of zeros");
    }
    Ok(())
}

impl DirectoryService {
    /// Gives a role at a resource, named by its id or its value; [`DEFAULT_ROLE`] only lets in.
    ///
    /// # Errors
    /// [`AppRoleError::RoleUnknown`], [`AppRoleError::Taken`], [`DirectoryError::PrincipalNotFound`], [`DirectoryError::ClientUnknown`].
    pub async fn assign_app_role(
        &self,
        resource: ClientId,
        subject: PrincipalId,
        role: &str,
        now: Timestamp,
    ) -> Result<RoleAssignment, DirectoryError> {
        transact(&*self.store, &*self.entropy, |view| {
            assign(view, resource, subject, role_named(view, resource, role)?, now)
        })
        .await
    }

    /// Takes a role at a resource away: tokens from now on do not say it any more.
    ///
    /// # Errors
    /// [`AppRoleError::AssignmentNotFound`], [`AppRoleError::RoleUnknown`], [`DirectoryError::ClientUnknown`].
    pub async fn unassign_app_role(
        &self,
        resource: ClientId,
        subject: PrincipalId,
        role: &str,
    ) -> Result<RoleAssignment, DirectoryError> {
        transact(&*self.store, &*self.entropy, |view| {
            unassign(view, resource, subject, role_named(view, resource, role)?)
        })
        .await
    }

    /// Who has which role at a resource. Those who are gone are not told of.
    ///
    /// # Errors
    /// The store's.
    pub async fn assigned_to(&self, resource: ClientId) -> Result<Vec<RoleAssignment>, DirectoryError> {
        let mut all = Vec::new();
        for assigned in self.all::<Assigned>(&format!("app-role/{resource}/")).await? {
            let subject = assigned.subject;
            let is_there = query(&*self.store, |view| -> Result<bool, Halt<DirectoryError>> {
                Ok(access::is_subject(view, subject)?)
            });
            if is_there.await? {
                all.extend(assigned.roles.iter().map(|given| RoleAssignment::of(&assigned, *given)));
            }
        }
        Ok(all)
    }

    /// The roles that a principal or a group itself has.
    ///
    /// # Errors
    /// The store's.
    pub async fn assignments_of(&self, subject: PrincipalId) -> Result<Vec<RoleAssignment>, DirectoryError> {
        let mut all = Vec::new();
        for at in self.all::<AssignedAt>(&format!("app-role-of/{subject}/")).await? {
            let id = (at.resource, subject);
            let assigned = query(&*self.store, |view| -> Result<_, Halt<DirectoryError>> {
                Ok(view.get::<Assigned>(&id)?)
            });
            if let Some(assigned) = assigned.await? {
                all.extend(assigned.roles.iter().map(|given| RoleAssignment::of(&assigned, *given)));
            }
        }
        Ok(all)
    }

    /// The `roles` claim of a managed identity's tokens for a resource.
    ///
    /// # Errors
    /// [`AppRoleError::NotAssigned`].
    pub async fn roles_of(
        &self,
        principal: &Principal,
        audience: &crate::Audience,
    ) -> Result<Vec<String>, DirectoryError> {
        query(&*self.store, |view| claimed(view, principal, &audience.resource)).await
    }

    /// Removes what one that is deleted for good has had.
    pub(crate) async fn sweep_assignments(&self, subject: PrincipalId) -> Result<(), DirectoryError> {
        for at in self.all::<AssignedAt>(&format!("app-role-of/{subject}/")).await? {
            let resource = at.resource;
            transact(&*self.store, &*self.entropy, |_| -> Result<Decision<()>, Halt<DirectoryError>> {
                let writes = vec![
                    store::delete::<Assigned>(&(resource, subject)),
                    store::delete::<AssignedAt>(&(subject, resource)),
                ];
                Ok(Decision::of((), writes))
            })
            .await?;
        }
        Ok(())
    }
}

fn role_named(view: &View, resource: ClientId, role: &str) -> Result<CredentialId, Halt<DirectoryError>> {
    if let Ok(id) = role.parse() {
        return Ok(id);
    }
    let defined = defined(view, resource)?;
    let found = defined.iter().find(|known| known.value.as_deref() == Some(role));
    found
        .map(|known| known.id)
        .ok_or_else(|| AppRoleError::RoleUnknown { role: crate::tenant::shown(role) }.into())
}
