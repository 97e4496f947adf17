//! [`ManagePermit`]: the witness that a principal may do one operation of the resource manager, minted inside the view that also decides
//! what it does.
//!
//! Roles alone say so (Azure RBAC): those that are given at the resource, its group or the subscription.

use crate::{
    Caller, Group, Principal, ResourceGroup, RoleAssignment, Rule,
    assignment::{Scope, WideRoles},
    permit::by_roles,
    role::{Definition, Operation, RoleRef},
};
use domain::{ResourceGroupName, VaultId};
use std::sync::{Arc, Mutex, PoisonError};
use store::{Halt, Load, View};

/// Proof that a principal may do an operation at a scope, good for the decision that it was made in. Not `Clone`.
#[derive(Debug)]
#[must_use]
pub struct ManagePermit {
    operation: &'static str,
    /// None if it is the administrator's, or of the deletion of a group.
    rules: Vec<(Rule, Definition)>,
}

impl ManagePermit {
    /// What is allowed.
    pub const fn operation(&self) -> &'static str {
        self.operation
    }

    /// Why: what the audit log says.
    pub fn because(&self) -> String {
        let rule = self.rules.first();
        rule.map_or_else(|| "the administrator may do anything".to_owned(), |(rule, _)| rule.to_string())
    }

    /// May a role be given or taken away by it? Some who may assign roles may assign only some of them.
    #[must_use]
    pub fn may_assign(&self, role: RoleRef) -> bool {
        self.rules.is_empty() || self.rules.iter().any(|(_, by)| by.may_assign(role))
    }
}

/// Who asks for something to be managed: everything that changes a resource is done in somebody's name.
#[derive(Clone, Copy, Debug)]
pub enum Manager<'a> {
    /// Who is at the administrator's socket, as the kernel says.
    Administrator,
    /// Proven by a token for the resource manager.
    Caller(&'a Caller),
    /// The same, by a request that will be asked why it was allowed.
    Request(&'a Asking<'a>),
    /// The deletion of a resource group, which somebody was allowed. It deletes what is in that very group while it is going, and nothing else:
    /// neither what was made elsewhere under a name that was in it, nor another group of its name.
    Deletion(&'a ResourceGroup),
}

/// What the deletion of a group does with what is in it.
const BY_DELETION: [&str; 4] = [
    "Microsoft.Web/sites/delete",
    "Microsoft.Web/serverfarms/delete",
    "Microsoft.ManagedIdentity/userAssignedIdentities/delete",
    "Microsoft.KeyVault/vaults/delete",
];

/// A caller's request, with the rules by which it was allowed what it asked for: what the audit log says of it. A permit is asked for before
/// what it is for is decided, and sometimes twice: there may be rules among them by which nothing came about.
#[derive(Debug)]
pub struct Asking<'a> {
    caller: &'a Caller,
    by: Mutex<Told>,
}

/// The first of the rules.
#[derive(Debug)]
struct Told {
    rules: Vec<Rule>,
    /// Were there others?
    more: bool,
}

/// Rules that the audit log tells of one request. A list may be allowed by as many as it has items.
const RULES_TOLD_MAX: usize = 4;

impl<'a> Asking<'a> {
    /// Of who is proven by a token.
    #[must_use]
    pub const fn of(caller: &'a Caller) -> Self {
        Self { caller, by: Mutex::new(Told { rules: Vec::new(), more: false }) }
    }

    /// Why it was allowed, and that there were more reasons if there were; `None`: no role was needed.
    #[must_use]
    pub fn because(&self) -> Option<String> {
        let by = self.by.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told: Vec<String> = by.rules.iter().map(Rule::to_string).collect();
        if by.more {
            told.push("and more".to_owned());
        }
        (!told.is_empty()).then(|| told.join("; "))
    }

    fn note(&self, permit: &ManagePermit) {
        let Some((rule, _)) = permit.rules.first() else { return };
        let mut by = self.by.lock().unwrap_or_else(PoisonError::into_inner);
        if by.rules.contains(rule) {
            return;
        }
        match by.rules.len() < RULES_TOLD_MAX {
            true => by.rules.push(rule.clone()),
            false => by.more = true,
        }
    }
}

impl<'a> Manager<'a> {
    /// Whose token it is proven by, if it is by one.
    #[must_use]
    pub const fn caller(self) -> Option<&'a Caller> {
        match self {
            Self::Caller(caller) => Some(caller),
            Self::Request(asking) => Some(asking.caller),
            Self::Administrator | Self::Deletion(_) => None,
        }
    }

    /// Asks for a permit, in the view of the decision that it is for.
    ///
    /// # Errors
    /// [`Unmanaged`]; what must be loaded first.
    pub fn may(
        self,
        view: &View,
        operation: &'static str,
        around: &Around<'_>,
    ) -> Result<ManagePermit, Halt<Unmanaged>> {
        match self {
            Self::Administrator => Ok(ManagePermit { operation, rules: Vec::new() }),
            Self::Caller(caller) => manage(view, caller, operation, around),
            Self::Request(asking) => {
                let permit = manage(view, asking.caller, operation, around)?;
                asking.note(&permit);
                Ok(permit)
            }
            Self::Deletion(group) => {
                let is_in = around.is_within(&Scope::Group(group.name.clone()));
                if BY_DELETION.contains(&operation) && is_in && group.is_going_still(view)? {
                    return Ok(ManagePermit { operation, rules: Vec::new() });
                }
                Err(Halt::Refuse(Unmanaged::NoRole(operation)))
            }
        }
    }

    /// Is any role given to it, itself or by a group, anywhere but in a vault? Who has none is not told that there is anything.
    ///
    /// # Errors
    /// [`Unmanaged`]; what must be loaded first.
    pub fn has_any_role(self, view: &View) -> Result<bool, Halt<Unmanaged>> {
        let Some(caller) = self.caller() else { return Ok(matches!(self, Self::Administrator)) };
        let found = standing(view, caller)?.map_err(Halt::Refuse)?;
        let mut subjects = vec![caller.principal()];
        for id in &found.member_of {
            if view.get::<Group>(id)?.is_some() {
                subjects.push(id.subject());
            }
        }
        for subject in subjects {
            if view.get::<WideRoles>(&subject)?.is_some_and(|roles| !roles.assignments.is_empty()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A principal that may act now, with this token.
fn standing(view: &View, token: &Caller) -> Result<Result<Arc<Principal>, Unmanaged>, Load> {
    let Some(found) = view.get::<Principal>(&token.principal())? else {
        return Ok(Err(Unmanaged::PrincipalGone));
    };
    if !found.enabled {
        return Ok(Err(Unmanaged::PrincipalDisabled));
    }
    if found.revocations.refuse_caller(token) {
        return Ok(Err(Unmanaged::TokenRevoked));
    }
    Ok(Ok(found))
}

/// Why there is no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmanaged {
    /// There is no such principal (any more).
    #[error("the principal does not exist")]
    PrincipalGone,
    /// It is disabled.
    #[error("the principal is disabled")]
    PrincipalDisabled,
    /// What its token stands on is no more.
    #[error("the token's session has ended, or its credential was removed")]
    TokenRevoked,
    /// No role assignment of it that applies there has the action.
    #[error("no role that is assigned to the principal there has {0}")]
    NoRole(&'static str),
}

/// What roles must be given for to count: a resource, its group, or the subscription.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    resource: Option<&'a Scope>,
    group: Option<&'a ResourceGroupName>,
    vault: Option<VaultId>,
}

impl<'a> Around<'a> {
    /// The subscription itself.
    #[must_use]
    pub const fn subscription() -> Self {
        Self { resource: None, group: None, vault: None }
    }

    /// A resource group.
    #[must_use]
    pub const fn group(name: &'a ResourceGroupName) -> Self {
        Self { resource: None, group: Some(name), vault: None }
    }

    /// A vault in a group.
    #[must_use]
    pub const fn vault(vault: VaultId, group: &'a ResourceGroupName) -> Self {
        Self { resource: None, group: Some(group), vault: Some(vault) }
    }

    /// Another resource in a group.
    #[must_use]
    pub const fn resource(resource: &'a Scope, group: &'a ResourceGroupName) -> Self {
        Self { resource: Some(resource), group: Some(group), vault: None }
    }

    /// The vault, if it is one.
    pub(crate) const fn of_vault(&self) -> Option<VaultId> {
        self.vault
    }

    /// Does what is given there hold here?
    pub(crate) fn is_within(&self, scope: &Scope) -> bool {
        match scope {
            Scope::Subscription => true,
            Scope::Group(name) => self.group == Some(name),
            Scope::Vault(vault) => self.vault == Some(*vault),
            Scope::App(_) | Scope::Identity(_) | Scope::Plan(_) => self.resource == Some(scope),
        }
    }
}

/// Asks for a permit. A principal's own rules count before those of its groups.
///
/// # Errors
/// [`Unmanaged`]; what must be loaded first.
pub fn manage(
    view: &View,
    caller: &Caller,
    operation: &'static str,
    around: &Around<'_>,
) -> Result<ManagePermit, Halt<Unmanaged>> {
    let found = standing(view, caller)?.map_err(Halt::Refuse)?;
    let asked = Operation::named(operation);
    // One that is narrowed down to an object is about what is in the vault.
    let covers = |assignment: &RoleAssignment| assignment.object.is_none();
    let by = |subject| by_roles(view, subject, around, usize::MAX, covers, |role| role.allows(asked));
    let mut rules = by(caller.principal())?;
    for id in &found.member_of {
        // What one rule does not allow to be assigned another may; beside one that allows all of it no other says more.
        if rules.iter().any(|(_, role)| role.assigns_any()) {
            break;
        }
        let mut more = by(id.subject())?;
        more.retain(|(_, role)| !rules.iter().any(|(_, known)| known.name() == role.name()));
        // A group that was deleted allows nobody, whatever still names it. One that says nothing more is not read: somebody of an older store
        // may be in more groups than there is room for.
        if more.is_empty() {
            continue;
        }
        let Some(group) = view.get::<Group>(id)? else { continue };
        rules.extend(more.into_iter().map(|(rule, role)| {
            let name = group.display_name.clone();
            (Rule::Group { group: *id, name, rule: Box::new(rule) }, role)
        }));
    }
    match rules.is_empty() {
        true => Err(Halt::Refuse(Unmanaged::NoRole(operation))),
        false => Ok(ManagePermit { operation, rules }),
    }
}

#[cfg(test)]
mod tests;
