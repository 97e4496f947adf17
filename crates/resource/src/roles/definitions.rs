//! Role definitions: the built-in ones, and those that people make, change and delete.

use super::{Place, RoleFault, place::permitted};
use crate::{ResourceError, ResourceService};
use access::{BUILT_IN_ROLES, CustomRole, CustomRoles, Definition, Manager, RoleRef};
use domain::{ResourceGroupName, RoleId, SubscriptionId, Timestamp, limits};
use store::{Decision, Halt, Load, StoreError, View, Write, put, query, refuse, transact};

/// Seeing roles.
const READ: &str = "Microsoft.Authorization/roleDefinitions/read";
/// Making and changing one.
const WRITE: &str = "Microsoft.Authorization/roleDefinitions/write";
/// Deleting one.
const DELETE: &str = "Microsoft.Authorization/roleDefinitions/delete";

/// Characters of a role's name, at most (Azure RBAC, custom roles).
const NAME_CHARS_MAX: usize = 512;

/// A role that is to be, or to be so.
#[derive(Clone, Debug, Default)]
pub struct NewRole {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Operations of the resource manager.
    pub actions: Vec<String>,
    /// Those of them that it does not allow.
    pub not_actions: Vec<String>,
    /// Operations on what is in resources.
    pub data_actions: Vec<String>,
    /// Those of them that it does not allow.
    pub not_data_actions: Vec<String>,
    /// The subscription, or resource groups.
    pub assignable: Vec<Place>,
}

impl ResourceService {
    /// The roles that can be assigned at a place, or with `below` also only in it: the built-in ones, then those that people made, each by its
    /// name.
    ///
    /// # Errors
    /// [`ResourceError::Unmanaged`], [`ResourceError::Role`].
    pub async fn roles(
        &self,
        by: Manager<'_>,
        place: &Place,
        below: bool,
    ) -> Result<Vec<Definition>, ResourceError> {
        let subscription = self.subscription().id;
        query(&*self.store, |view| {
            let (located, _permit) = permitted(view, by, READ, place)?;
            let mut built_in: Vec<_> = BUILT_IN_ROLES.iter().collect();
            built_in.sort_by_key(|role| role.name);
            let mut all: Vec<_> = built_in.into_iter().map(Definition::BuiltIn).collect();
            let mut custom = view.get::<CustomRoles>(&())?.map_or_else(Vec::new, |all| all.roles.clone());
            custom.retain(|role| {
                let is_below =
                    || places(role, subscription).iter().any(|scope| scope.is_within(&located.place));
                is_assignable(role, &located.place, subscription) || below && is_below()
            });
            custom.sort_by_key(|role| role.name.to_lowercase());
            all.extend(custom.into_iter().map(|role| Definition::Custom(Box::new(role))));
            Ok(all)
        })
        .await
    }

    /// One role, by its identifier. It need not be assignable there.
    ///
    /// # Errors
    /// [`ResourceError::Unmanaged`], [`ResourceError::Role`]: there is none.
    pub async fn role(
        &self,
        by: Manager<'_>,
        place: &Place,
        role: RoleRef,
    ) -> Result<Definition, ResourceError> {
        query(&*self.store, |view| {
            let _permit = permitted(view, by, READ, place)?;
            match role.defined(view)? {
                Some(found) => Ok(found),
                None => refuse(RoleFault::RoleNotFound(role.told()).into()),
            }
        })
        .await
    }

    /// Makes a role, or changes one. Who asks may write roles wherever it can be assigned, and could be before.
    ///
    /// # Errors
    /// [`ResourceError::Unmanaged`], [`ResourceError::Role`].
    pub async fn put_role(
        &self,
        by: Manager<'_>,
        role: RoleRef,
        new: &NewRole,
        now: Timestamp,
    ) -> Result<CustomRole, ResourceError> {
        let subscription = self.subscription().id;
        transact(&*self.store, &*self.entropy, |view| put_role(view, by, role, new, subscription, now)).await
    }

    /// Deletes a role that is assigned to nobody; answers what was, `None` if there was none.
    ///
    /// # Errors
    /// [`ResourceError::Unmanaged`], [`ResourceError::Role`].
    pub async fn delete_role(
        &self,
        by: Manager<'_>,
        place: &Place,
        role: RoleRef,
    ) -> Result<Option<CustomRole>, ResourceError> {
        query(&*self.store, |view| permitted(view, by, DELETE, place).map(drop)).await?;
        let id = custom(role)?;
        for _ in 0..limits::TRANSACT_ATTEMPTS_MAX {
            let seen =
                query::<_, ResourceError>(&*self.store, |view| Ok(known(view)?.times_given(id))).await?;
            let uses = self.kept(|kept| kept.assignment.role == role).await?.len();
            let deleted = transact(&*self.store, &*self.entropy, |view| {
                delete_unused(view, by, place, (id, self.subscription().id), (seen, uses))
            });
            if let Some(deleted) = deleted.await? {
                return Ok(deleted);
            }
        }
        Err(StoreError::Unavailable("the role is given again and again".to_owned()).into())
    }
}

/// Deletes a role that was given `seen` times before its uses were counted. `None`: it was given meanwhile, and they must be counted again.
pub(super) fn delete_unused(
    view: &View,
    by: Manager<'_>,
    place: &Place,
    (id, subscription): (RoleId, SubscriptionId),
    (seen, uses): (Option<u64>, usize),
) -> Result<Decision<Option<Option<CustomRole>>>, Halt<ResourceError>> {
    let mut all = known(view)?;
    let Some(at) = all.roles.iter().position(|role| role.id == id) else {
        let _permit = permitted(view, by, DELETE, place)?;
        return Ok(Decision::read(Some(None)));
    };
    let gone = all.roles.remove(at);
    may_all(view, by, DELETE, &places(&gone, subscription))?;
    if uses > 0 {
        return refuse(RoleFault::RoleInUse(uses).into());
    }
    if Some(gone.given) != seen {
        return Ok(Decision::read(None));
    }
    Ok(Decision::of(Some(Some(gone)), vec![put::<CustomRoles>(&(), &all)]))
}

/// The write by which a role that people made is given once more: whoever deletes it at the same time decides again.
pub(super) fn given_once_more(view: &View, role: RoleRef) -> Result<Option<Write>, Halt<ResourceError>> {
    let RoleRef::Custom(id) = role else { return Ok(None) };
    let mut all = known(view)?;
    let Some(role) = all.roles.iter_mut().find(|role| role.id == id) else { return Ok(None) };
    role.given += 1;
    fitting(&all).map(Some)
}

/// The write of all roles, if a record has room for them.
fn fitting(all: &CustomRoles) -> Result<Write, Halt<ResourceError>> {
    let write = put::<CustomRoles>(&(), all);
    if write.fits() { Ok(write) } else { refuse(too_many()) }
}

fn too_many() -> ResourceError {
    let (what, limit) = ("the number of roles that people made", limits::CUSTOM_ROLES_MAX);
    RoleFault::TooMuchDefined { what, limit }.into()
}

fn custom(role: RoleRef) -> Result<RoleId, ResourceError> {
    match role {
        RoleRef::BuiltIn(role) => Err(RoleFault::RoleBuiltIn(role.name).into()),
        RoleRef::Custom(id) => Ok(id),
    }
}

fn known(view: &View) -> Result<CustomRoles, Load> {
    Ok(view.get::<CustomRoles>(&())?.map_or_else(CustomRoles::default, |all| (*all).clone()))
}

fn may_all(
    view: &View,
    by: Manager<'_>,
    operation: &'static str,
    places: &[Place],
) -> Result<(), Halt<ResourceError>> {
    for place in places {
        let _permit = permitted(view, by, operation, place)?;
    }
    Ok(())
}

fn put_role(
    view: &View,
    by: Manager<'_>,
    role: RoleRef,
    new: &NewRole,
    subscription: SubscriptionId,
    now: Timestamp,
) -> Result<Decision<CustomRole>, Halt<ResourceError>> {
    let mut all = known(view)?;
    // Who may write none is told nothing of those that are there.
    may_all(view, by, WRITE, &new.assignable)?;
    let id = custom(role).map_err(Halt::Refuse)?;
    check(new).map_err(|fault| Halt::Refuse(fault.into()))?;
    let before = all.roles.iter().position(|role| role.id == id);
    if let Some(before) = before.and_then(|at| all.roles.get(at)) {
        may_all(view, by, WRITE, &places(before, subscription))?;
    }
    let is_named = |name: &str| name.to_lowercase() == new.name.to_lowercase();
    let is_taken = BUILT_IN_ROLES.iter().any(|role| is_named(role.name))
        || all.roles.iter().any(|role| role.id != id && is_named(&role.name));
    if is_taken {
        return refuse(RoleFault::RoleNameTaken(new.name.clone()).into());
    }
    let (created, given) =
        before.and_then(|at| all.roles.get(at)).map_or((now, 0), |role| (role.created, role.given));
    let role = CustomRole {
        id,
        name: new.name.clone(),
        description: new.description.clone(),
        actions: new.actions.clone(),
        not_actions: new.not_actions.clone(),
        data_actions: new.data_actions.clone(),
        not_data_actions: new.not_data_actions.clone(),
        assignable_scopes: new.assignable.iter().map(|place| text(place, subscription)).collect(),
        created,
        changed: now,
        given,
    };
    // One that an older store has may be longer: it may stay so, and not grow.
    let before_bytes = before.and_then(|at| all.roles.get(at)).map_or(0, CustomRole::bytes);
    if role.bytes() > before_bytes.max(limits::CUSTOM_ROLE_BYTES_MAX) {
        let (what, limit) = ("the number of bytes of a role, as JSON,", limits::CUSTOM_ROLE_BYTES_MAX);
        return refuse(RoleFault::TooMuchDefined { what, limit }.into());
    }
    match before.and_then(|at| all.roles.get_mut(at)) {
        Some(before) => *before = role.clone(),
        None => all.roles.push(role.clone()),
    }
    // An older store may have more of them.
    if before.is_none() && all.roles.len() > limits::CUSTOM_ROLES_MAX {
        return refuse(too_many());
    }
    Ok(Decision::of(role, vec![fitting(&all)?]))
}

fn check(new: &NewRole) -> Result<(), RoleFault> {
    let invalid = |what, rule| Err(RoleFault::RoleInvalid { what, rule });
    let is_name = (1..=NAME_CHARS_MAX).contains(&new.name.chars().count())
        && new.name.trim() == new.name
        && !new.name.chars().any(char::is_control);
    if !is_name {
        return invalid("the role's name", "must have 1 to 512 characters, none of them a control character");
    }
    for patterns in [&new.actions, &new.not_actions, &new.data_actions, &new.not_data_actions] {
        if !patterns.iter().all(|pattern| is_pattern(pattern)) {
            return invalid(
                "an operation of the role",
                "must be one such as Microsoft.KeyVault/vaults/read, in which * stands for any characters",
            );
        }
    }
    if new.assignable.is_empty() {
        return invalid("the role's assignable scopes", "must be at least one");
    }
    let is_wide = |place: &Place| matches!(place, Place::Subscription | Place::Group(_));
    if !new.assignable.iter().all(is_wide) {
        return invalid("an assignable scope of the role", "must be the subscription or a resource group");
    }
    Ok(())
}

fn is_pattern(text: &str) -> bool {
    let is_of_one =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/' | b'*' | b'_' | b'-');
    (1..=limits::ROLE_PATTERN_BYTES_MAX).contains(&text.len())
        && text.bytes().all(is_of_one)
        && (text.contains('/') || text.contains('*'))
}

/// As an assignable scope is kept and told.
fn text(place: &Place, subscription: SubscriptionId) -> String {
    match place.group() {
        None => format!("/subscriptions/{subscription}"),
        Some(group) => format!("/subscriptions/{subscription}/resourceGroups/{group}"),
    }
}

/// Where a role can be assigned.
fn places(role: &CustomRole, subscription: SubscriptionId) -> Vec<Place> {
    let of = text(&Place::Subscription, subscription);
    let place = |scope: &String| {
        let rest = scope.strip_prefix(&of)?;
        match rest.strip_prefix("/resourceGroups/") {
            Some(group) => ResourceGroupName::parse(group).ok().map(Place::Group),
            None => rest.is_empty().then_some(Place::Subscription),
        }
    };
    role.assignable_scopes.iter().filter_map(place).collect()
}

/// Can it be assigned there?
pub(super) fn is_assignable(role: &CustomRole, place: &Place, subscription: SubscriptionId) -> bool {
    places(role, subscription).iter().any(|wide| place.is_within(wide))
}
