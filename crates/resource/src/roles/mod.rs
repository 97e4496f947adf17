//! Roles at every scope: who has which where, and what they allow (Azure RBAC: role assignments, role definitions).
//!
//! Owns: giving and taking away roles, the custom ones. Owns not: what roles allow (`access::role`), and the records that decisions read
//! (`access::assignment`). The names of assignments are their makers' to choose, and no record says where one is: those who look for one by
//! its name read all, which is what an installation has few of.

mod definitions;
mod fault;
mod place;
#[cfg(test)]
mod tests;

pub use definitions::NewRole;
pub use fault::RoleFault;
pub use place::Place;

use crate::{ResourceError, ResourceService, plan::Plan};
use access::{
    Definition, Gone, Group, ManagePermit, Manager, Principal, PrincipalKind, RoleAssignment,
    RoleAssignments, RoleRef, Scope, Unmanaged, Vacated, WideRoles, may_hold,
};
use domain::{AssignmentId, GroupId, PrincipalId, Timestamp, VaultId, limits};
use host::{App, UserAssigned};
use place::{Located, of_app, of_identity, of_plan, of_vault, permitted};
use std::collections::{BTreeMap, BTreeSet};
use store::{Decision, Halt, Load, View, Write, contract::WRITES_MAX, put, query, refuse, transact};
use vault::Vault;

/// Giving a role.
pub const ASSIGN: &str = "Microsoft.Authorization/roleAssignments/write";
/// Taking one away.
pub const UNASSIGN: &str = "Microsoft.Authorization/roleAssignments/delete";
/// Seeing who has which.
pub const READ: &str = "Microsoft.Authorization/roleAssignments/read";

/// To whom a role is given (Azure RBAC: `principalType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectKind {
    /// A person.
    User,
    /// A group of principals.
    Group,
    /// An app registration or a managed identity.
    ServicePrincipal,
    /// Somebody who is no more.
    Unknown,
}

impl SubjectKind {
    /// As Azure spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
            Self::ServicePrincipal => "ServicePrincipal",
            Self::Unknown => "Unknown",
        }
    }
}

/// A role that is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// Where, with the group.
    pub place: Place,
    /// To whom.
    pub principal: PrincipalId,
    /// What that is.
    pub kind: SubjectKind,
    /// Which one.
    pub id: AssignmentId,
    /// Which role.
    pub role: RoleRef,
    /// When.
    pub created: Timestamp,
}

/// A role to be given.
#[derive(Clone, Debug)]
pub struct NewAssignment {
    /// Its name, if it is to have one. The same role twice is one, then.
    pub id: Option<AssignmentId>,
    /// To whom.
    pub principal: PrincipalId,
    /// What who asks takes that for.
    pub kind: Option<SubjectKind>,
    /// Which role.
    pub role: RoleRef,
}

/// Which of the assignments that are seen from a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Which {
    /// Not those of what is in the place.
    pub not_below: bool,
    /// Only those of this very principal or group.
    pub of: Option<PrincipalId>,
    /// Only those that count for this principal: its own, and those of its groups.
    pub counting_for: Option<PrincipalId>,
}

/// An assignment as it is kept.
struct Kept {
    principal: PrincipalId,
    scope: Scope,
    assignment: RoleAssignment,
}

impl ResourceService {
    /// Gives a role. Says whether it is new.
    ///
    /// # Errors
    /// [`ResourceError::Unmanaged`], [`ResourceError::Role`].
    pub async fn assign(
        &self,
        by: Manager<'_>,
        place: &Place,
        new: &NewAssignment,
        now: Timestamp,
    ) -> Result<(Assigned, bool), ResourceError> {
        // Before anything is told of what else is there.
        query(&*self.store, |view| permitted(view, by, ASSIGN, place).map(drop)).await?;
        let known = match new.id {
            Some(id) => self.kept(|kept| kept.assignment.id == id).await?.pop(),
            None => None,
        };
        let id = new.id.unwrap_or_else(|| AssignmentId::random(&*self.entropy));
        transact(&*self.store, &*self.entropy, |view| {
            assign(view, by, place, new, known.as_ref(), (id, now), self.subscription().id)
        })
        .await
    }

    /// Takes a role away; answers what was, `None` if there was none of this name there.
    ///
    /// # Errors
    /// [`ResourceError::Unmanaged`], [`ResourceError::Role`].
    pub async fn unassign(
        &self,
        by: Manager<'_>,
        place: &Place,
        id: AssignmentId,
    ) -> Result<Option<Assigned>, ResourceError> {
        let located = query(&*self.store, |view| Ok(permitted(view, by, UNASSIGN, place)?.0)).await?;
        // Of those there: two at once may have chosen one name for two places.
        let of_it = |kept: &Kept| kept.assignment.id == id && is_there(kept, &located);
        let Some(known) = self.kept(of_it).await?.pop() else { return Ok(None) };
        transact(&*self.store, &*self.entropy, |view| unassign(view, by, place, known.principal, id)).await
    }

    /// One assignment, by its name.
    ///
    /// # Errors
    /// [`ResourceError::Unmanaged`], [`ResourceError::Role`].
    pub async fn assignment(
        &self,
        by: Manager<'_>,
        place: &Place,
        id: AssignmentId,
    ) -> Result<Assigned, ResourceError> {
        let located = query(&*self.store, |view| Ok(permitted(view, by, READ, place)?.0)).await?;
        let found = self.kept(|kept| kept.assignment.id == id && is_there(kept, &located)).await?.pop();
        let Some(kept) = found else {
            return Err(RoleFault::AssignmentNotFound(id).into());
        };
        query(&*self.store, |view| Ok::<_, Halt<ResourceError>>(told(view, &located, &kept)?)).await
    }

    /// The assignments that are seen from a place: those there, those around it, and those of what is in it.
    ///
    /// # Errors
    /// [`ResourceError::Unmanaged`], [`ResourceError::Role`].
    pub async fn assignments(
        &self,
        by: Manager<'_>,
        place: &Place,
        which: Which,
    ) -> Result<Vec<Assigned>, ResourceError> {
        let at = query(&*self.store, |view| Ok(permitted(view, by, READ, place)?.0)).await?.place;
        let mut subjects: BTreeSet<_> = which.of.into_iter().collect();
        if let Some(principal) = which.counting_for {
            subjects.extend(self.subjects(principal).await?);
        }
        let is_any = which.of.is_none() && which.counting_for.is_none();
        let kept = self.kept(|kept| is_any || subjects.contains(&kept.principal)).await?;
        let places = self.places().await?;
        let mut seen = Vec::new();
        for kept in kept {
            // What is given at something that is gone is nothing.
            let Some(mut located) = places.find(&kept.scope) else { continue };
            if let Place::Vault(_, _, object) = &mut located.place {
                object.clone_from(&kept.assignment.object);
            }
            let is_seen = at.is_within(&located.place) || !which.not_below && located.place.is_within(&at);
            if is_seen {
                let one =
                    query(&*self.store, |view| Ok::<_, Halt<ResourceError>>(told(view, &located, &kept)?));
                seen.push(one.await?);
            }
        }
        seen.sort_by_key(|assigned| (assigned.created, assigned.id));
        Ok(seen)
    }

    /// What was given at what is gone goes, too: ids never come again, and what they say counts against what one may have. All by one look at
    /// who has which roles.
    ///
    /// # Errors
    /// The store's. What is left then goes with the next [`ResourceService::sweep`].
    pub async fn forget(&self, gone: &[Gone]) -> Result<(), ResourceError> {
        if gone.is_empty() {
            return Ok(());
        }
        let scopes: Vec<Scope> = gone.iter().map(|gone| gone.scope()).collect();
        self.take_all_at(&scopes, |_| Ok(true)).await?;
        for some in gone.chunks(WRITES_MAX) {
            transact::<_, ResourceError>(&*self.store, &*self.entropy, |_| {
                Ok(Decision::of((), some.iter().map(store::delete::<Vacated>).collect()))
            })
            .await?;
        }
        Ok(())
    }

    /// Takes away what is left of roles at what is gone: of that whose deletion was not followed by [`ResourceService::forget`].
    ///
    /// # Errors
    /// The store's.
    pub async fn sweep(&self) -> Result<(), ResourceError> {
        let left = self.all::<Vacated>(&Vacated::prefix()).await?;
        let gone: Vec<Gone> = left.iter().map(|(_, vacated)| vacated.gone).collect();
        self.forget(&gone).await
    }

    /// Takes away what was given at places themselves, none of them a vault, from each as long as `is_due` says so in the same decision.
    pub(crate) async fn take_all_at(
        &self,
        scopes: &[Scope],
        is_due: impl Fn(&View) -> Result<bool, Load> + Sync,
    ) -> Result<(), ResourceError> {
        for (key, roles) in self.all::<WideRoles>(&WideRoles::prefix()).await? {
            let Some(principal) = WideRoles::of_key(&key) else { continue };
            if !roles.assignments.iter().any(|(at, _)| scopes.contains(at)) {
                continue;
            }
            transact::<_, ResourceError>(&*self.store, &*self.entropy, |view| {
                let Some(roles) = view.get::<WideRoles>(&principal)? else { return Ok(Decision::read(())) };
                if !is_due(view)? {
                    return Ok(Decision::read(()));
                }
                let mut left = WideRoles::clone(&roles);
                left.assignments.retain(|(at, _)| !scopes.contains(at));
                Ok(Decision::of((), vec![wide(&principal, &left)]))
            })
            .await?;
        }
        Ok(())
    }

    /// Has a principal, or a group of it, a role in some vault?
    pub(crate) async fn has_role_in_vault(&self, principal: PrincipalId) -> Result<bool, ResourceError> {
        let subjects = self.subjects(principal).await?;
        let mut after = None;
        // Page by page, to the first that is found: there may be one for each principal in each vault.
        loop {
            let page = self.page::<RoleAssignments>(&RoleAssignments::everywhere(), after.as_ref()).await?;
            let mut holders = page.items.iter().filter_map(|(key, _)| RoleAssignments::of_key(key));
            if holders.any(|(_, holder)| subjects.contains(&holder)) {
                return Ok(true);
            }
            after = page.items.last().map(|(key, _)| key.clone());
            if !page.more {
                return Ok(false);
            }
        }
    }

    async fn subjects(&self, principal: PrincipalId) -> Result<Vec<PrincipalId>, ResourceError> {
        query::<_, ResourceError>(&*self.store, |view| {
            let mut subjects = vec![principal];
            for id in view.get::<Principal>(&principal)?.iter().flat_map(|found| &found.member_of) {
                if view.get::<Group>(id)?.is_some() {
                    subjects.push(id.subject());
                }
            }
            Ok(subjects)
        })
        .await
    }

    /// All assignments that are wanted.
    async fn kept(&self, wanted: impl Fn(&Kept) -> bool) -> Result<Vec<Kept>, ResourceError> {
        let mut all = Vec::new();
        for (key, roles) in self.all::<WideRoles>(&WideRoles::prefix()).await? {
            let Some(principal) = WideRoles::of_key(&key) else { continue };
            all.extend(roles.assignments.iter().map(|(scope, assignment)| Kept {
                principal,
                scope: scope.clone(),
                assignment: assignment.clone(),
            }));
        }
        for (key, roles) in self.all::<RoleAssignments>(&RoleAssignments::everywhere()).await? {
            let Some((vault, principal)) = RoleAssignments::of_key(&key) else { continue };
            all.extend(roles.assignments.iter().map(|assignment| Kept {
                principal,
                scope: Scope::Vault(vault),
                assignment: assignment.clone(),
            }));
        }
        all.retain(wanted);
        Ok(all)
    }

    async fn places(&self) -> Result<Places, ResourceError> {
        let mut places = Places::default();
        for (_, vault) in self.all::<Vault>(&Vault::prefix()).await? {
            places.vaults.insert(vault.id, of_vault(&vault, None));
        }
        for (_, app) in self.all::<App>(&App::prefix()).await? {
            places.others.push(of_app(&app));
        }
        for (_, identity) in self.all::<UserAssigned>(&UserAssigned::prefix()).await? {
            places.others.push(of_identity(&identity));
        }
        // One that was changed has a record of the same id.
        places.others.push(of_plan(&Plan::always()));
        for (_, plan) in self.all::<Plan>(&Plan::prefix()).await? {
            places.others.push(of_plan(&plan));
        }
        Ok(places)
    }
}

/// All that is there, by what scopes name it by.
#[derive(Default)]
struct Places {
    vaults: BTreeMap<VaultId, Located>,
    others: Vec<Located>,
}

impl Places {
    fn find(&self, scope: &Scope) -> Option<Located> {
        let wide = |place| Some(Located { place, scope: scope.clone(), object: None });
        match scope {
            Scope::Subscription => wide(Place::Subscription),
            Scope::Group(name) => wide(Place::Group(name.clone())),
            Scope::Vault(vault) => self.vaults.get(vault).cloned(),
            scope => self.others.iter().find(|other| other.scope == *scope).cloned(),
        }
    }
}

fn assign(
    view: &View,
    by: Manager<'_>,
    place: &Place,
    new: &NewAssignment,
    known: Option<&Kept>,
    (id, now): (AssignmentId, Timestamp),
    subscription: domain::SubscriptionId,
) -> Result<Decision<(Assigned, bool)>, Halt<ResourceError>> {
    let (located, permit) = permitted(view, by, ASSIGN, place)?;
    let Some(role) = new.role.defined(view)? else {
        return refuse(RoleFault::RoleNotFound(new.role.told()).into());
    };
    may_give(&permit, new.role)?;
    if let Definition::Custom(custom) = &role
        && !definitions::is_assignable(custom, &located.place, subscription)
    {
        return refuse(RoleFault::NotAssignable(custom.name.clone()).into());
    }
    if let Place::Group(name) = &located.place {
        may_hold(view, name)?.map_err(|fault| Halt::Refuse(fault.into()))?;
    }
    check_kind(view, new)?;
    let is_same = |one: &RoleAssignment| one.role == new.role && one.object == located.object;
    let same = given(view, &located.scope, new.principal)?.into_iter().find(is_same);
    if known.is_some_and(|known| {
        known.principal != new.principal || !is_there(known, &located) || known.assignment.role != new.role
    }) {
        return refuse(RoleFault::AssignmentOther(id).into());
    }
    if let Some(same) = same {
        if new.id.is_some_and(|id| id != same.id) {
            return refuse(RoleFault::AssignmentExists(same.id).into());
        }
        let kept = Kept { principal: new.principal, scope: located.scope.clone(), assignment: same };
        return Ok(Decision::read((told(view, &located, &kept)?, false)));
    }
    let assignment = RoleAssignment { id, role: new.role, object: located.object.clone(), created: now };
    let mut writes = vec![with_one_more(view, &located.scope, new.principal, &assignment)?];
    writes.extend(definitions::given_once_more(view, new.role)?);
    let kept = Kept { principal: new.principal, scope: located.scope.clone(), assignment };
    Ok(Decision::of((told(view, &located, &kept)?, true), writes))
}

fn unassign(
    view: &View,
    by: Manager<'_>,
    place: &Place,
    principal: PrincipalId,
    id: AssignmentId,
) -> Result<Decision<Option<Assigned>>, Halt<ResourceError>> {
    let (located, permit) = permitted(view, by, UNASSIGN, place)?;
    // One vault may have others of its id: older servers let two at once choose it for two objects.
    let is_it = |one: &RoleAssignment| one.id == id && one.object == located.object;
    let Some(assignment) = given(view, &located.scope, principal)?.into_iter().find(is_it) else {
        return Ok(Decision::read(None));
    };
    may_give(&permit, assignment.role)?;
    let write = match &located.scope {
        Scope::Vault(vault) => {
            let mut left = in_vault(view, *vault, principal)?;
            left.assignments.retain(|one| !is_it(one));
            vaults(&(*vault, principal), &left)
        }
        scope => {
            let mut left = everywhere(view, principal)?;
            left.assignments.retain(|(at, one)| at != scope || !is_it(one));
            wide(&principal, &left)
        }
    };
    let kept = Kept { principal, scope: located.scope.clone(), assignment };
    Ok(Decision::of(Some(told(view, &located, &kept)?), vec![write]))
}

/// Does the permit reach so far that this very role may be given or taken away by it?
fn may_give(permit: &ManagePermit, role: RoleRef) -> Result<(), Halt<ResourceError>> {
    match permit.may_assign(role) {
        true => Ok(()),
        false => refuse(Unmanaged::NoRole(permit.operation()).into()),
    }
}

/// Is it given just there?
fn is_there(kept: &Kept, located: &Located) -> bool {
    kept.scope == located.scope && kept.assignment.object == located.object
}

/// What a principal or a group has at a scope itself, and for objects in it.
fn given(view: &View, scope: &Scope, principal: PrincipalId) -> Result<Vec<RoleAssignment>, Load> {
    match scope {
        Scope::Vault(vault) => Ok(in_vault(view, *vault, principal)?.assignments),
        scope => {
            let all = everywhere(view, principal)?.assignments.into_iter();
            Ok(all.filter(|(at, _)| at == scope).map(|(_, one)| one).collect())
        }
    }
}

fn in_vault(view: &View, vault: VaultId, principal: PrincipalId) -> Result<RoleAssignments, Load> {
    Ok(view.get::<RoleAssignments>(&(vault, principal))?.map_or_else(Default::default, |all| (*all).clone()))
}

fn everywhere(view: &View, principal: PrincipalId) -> Result<WideRoles, Load> {
    Ok(view.get::<WideRoles>(&principal)?.map_or_else(Default::default, |all| (*all).clone()))
}

/// The write by which somebody has one more. What has its id already is another: `known` was looked for before this view.
fn with_one_more(
    view: &View,
    scope: &Scope,
    principal: PrincipalId,
    assignment: &RoleAssignment,
) -> Result<Write, Halt<ResourceError>> {
    let (is_taken, count, write) = match scope {
        Scope::Vault(vault) => {
            let mut all = in_vault(view, *vault, principal)?;
            let is_taken = all.assignments.iter().any(|one| one.id == assignment.id);
            all.assignments.push(assignment.clone());
            (is_taken, all.assignments.len(), vaults(&(*vault, principal), &all))
        }
        scope => {
            let mut all = everywhere(view, principal)?;
            let is_taken = all.assignments.iter().any(|(_, one)| one.id == assignment.id);
            all.assignments.push((scope.clone(), assignment.clone()));
            (is_taken, all.assignments.len(), wide(&principal, &all))
        }
    };
    if is_taken {
        return refuse(RoleFault::AssignmentOther(assignment.id).into());
    }
    if count > limits::ROLE_ASSIGNMENTS_MAX || !write.fits() {
        let (what, limit) = ("the number of role assignments of one principal", limits::ROLE_ASSIGNMENTS_MAX);
        return refuse(RoleFault::TooMany { what, limit }.into());
    }
    Ok(write)
}

fn vaults(id: &(VaultId, PrincipalId), all: &RoleAssignments) -> Write {
    match all.assignments.is_empty() {
        true => store::delete::<RoleAssignments>(id),
        false => put::<RoleAssignments>(id, all),
    }
}

fn wide(id: &PrincipalId, all: &WideRoles) -> Write {
    match all.assignments.is_empty() {
        true => store::delete::<WideRoles>(id),
        false => put::<WideRoles>(id, all),
    }
}

/// Is there somebody of this id, and of the kind that was said?
fn check_kind(view: &View, new: &NewAssignment) -> Result<(), Halt<ResourceError>> {
    let is = kind(view, new.principal)?;
    if is == SubjectKind::Unknown {
        return refuse(RoleFault::PrincipalNotFound(new.principal).into());
    }
    match new.kind {
        Some(said) if said != is => {
            let (is, said) = (is.as_str(), said.as_str());
            refuse(RoleFault::PrincipalOther { id: new.principal, is, said }.into())
        }
        _ => Ok(()),
    }
}

fn kind(view: &View, id: PrincipalId) -> Result<SubjectKind, Load> {
    Ok(match view.get::<Principal>(&id)? {
        Some(found) => match found.kind {
            PrincipalKind::User => SubjectKind::User,
            PrincipalKind::Application { .. }
            | PrincipalKind::ManagedIdentity { .. }
            | PrincipalKind::UserAssignedIdentity => SubjectKind::ServicePrincipal,
        },
        None if view.get::<Group>(&GroupId::from_uuid(id.uuid()))?.is_some() => SubjectKind::Group,
        None => SubjectKind::Unknown,
    })
}

fn told(view: &View, located: &Located, kept: &Kept) -> Result<Assigned, Load> {
    Ok(Assigned {
        place: located.place.clone(),
        principal: kept.principal,
        kind: kind(view, kept.principal)?,
        id: kept.assignment.id,
        role: kept.assignment.role,
        created: kept.assignment.created,
    })
}
