//! [`Permit`]: the witness that a principal may do one thing in one vault, minted inside the view that also reads the thing.
//!
//! [`decide`] is the one decision, whoever asks: a request that wants a permit, or a person who wants it explained.

use crate::{
    AccessPolicy, Action, Caller, Encrypt, GetKey, Group, NetworkRules, Principal, RoleAssignment, Verify,
    WrapKey,
    action::{self, ActionName, Verb},
    assignment::{ObjectScope, RoleAssignments, Scope, WideRoles},
    manage::Around,
    role::{Definition, Operation},
};
use domain::{
    AssignmentId, ClientId, GroupId, ObjectName, PrincipalId, ResourceGroupName, VaultId, VaultName,
};
use std::{fmt, marker::PhantomData, net::IpAddr};
use store::{Halt, View};

/// Who asks, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// Proven by a token.
    pub caller: &'a Caller,
    /// The address of the peer, if the connection has one.
    pub address: Option<IpAddr>,
}

/// Which of the two models of access a vault follows (Key Vault: `enableRbacAuthorization`).
#[derive(Clone, Copy, Debug)]
pub enum Rules<'a> {
    /// Its own access policies.
    Policies(&'a [AccessPolicy]),
    /// Role assignments.
    Roles,
}

/// What a permit needs to know of a vault.
#[derive(Clone, Copy, Debug)]
pub struct VaultScope<'a> {
    /// The vault.
    pub id: VaultId,
    /// Its name, for refusals.
    pub name: &'a VaultName,
    /// The resource group that it is in: roles that are given there, or at the subscription, count in it.
    pub group: &'a ResourceGroupName,
    /// How it says who may what.
    pub rules: Rules<'a>,
    /// From where it may be asked.
    pub network: &'a NetworkRules,
}

/// The rule by which something is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The vault's access policy for the principal has the verb.
    Policy(Verb),
    /// A role assignment of the principal has the data action.
    Role {
        /// The role's name.
        role: String,
        /// The assignment.
        assignment: AssignmentId,
        /// Where it is given.
        scope: Scope,
        /// What it is narrowed down to, if it is.
        object: Option<ObjectScope>,
    },
    /// Such a rule for a group that the principal is in.
    Group {
        /// The group.
        group: GroupId,
        /// Its name for people.
        name: String,
        /// The group's own rule.
        rule: Box<Self>,
    },
}

/// What is said of a policy, before and after whom it is for.
const POLICY_HAS: [&str; 2] = ["the vault's access policy for ", " has "];
const THE_PRINCIPAL: &str = "the principal";

impl Rule {
    fn tell(&self, whom: &str, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(verb) => {
                let [start, middle] = POLICY_HAS;
                write!(formatter, "{start}{whom}{middle}{verb}")
            }
            Self::Group { group, name, rule } => {
                rule.tell(&format!("group \"{name}\" ({group}), which the principal is in,"), formatter)
            }
            Self::Role { role, assignment, scope, object } => {
                write!(formatter, "role \"{role}\" is assigned to {whom} for ")?;
                match object {
                    None => write!(formatter, "{scope} ({assignment})"),
                    Some(object) => write!(formatter, "{} {} ({assignment})", object.kind, object.name),
                }
            }
        }
    }
}

/// What the audit log says.
impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tell(THE_PRINCIPAL, formatter)
    }
}

/// Why nothing allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// There is no such principal (any more).
    #[error("the principal does not exist")]
    PrincipalGone,
    /// It is disabled.
    #[error("the principal is disabled")]
    PrincipalDisabled,
    /// What its token stands on is no more.
    #[error("the token's session has ended, or its credential was removed")]
    TokenRevoked,
    /// No access policy of the vault is for it.
    #[error("no access policy of the vault is for the principal")]
    NoPolicy,
    /// Its access policy lacks the verb.
    #[error("the vault's access policy for the principal lacks {0}")]
    VerbMissing(Verb),
    /// No role assignment of it that applies there has the data action.
    #[error("no role that is assigned to the principal there has {}{}", crate::role::DATA_ACTION_PREFIX, .0.data_action)]
    NoRole(ActionName),
}

/// Proof that a principal may do `A` in a vault, good for the decision that it was made in. Not `Clone`.
#[must_use]
pub struct Permit<A> {
    principal: PrincipalId,
    client: ClientId,
    vault: VaultId,
    rule: Rule,
    action: PhantomData<fn() -> A>,
}

impl<A: Action> Permit<A> {
    /// Who may.
    pub const fn principal(&self) -> PrincipalId {
        self.principal
    }

    /// Where.
    pub const fn vault(&self) -> VaultId {
        self.vault
    }

    /// Why: what the audit log says.
    pub fn because(&self) -> String {
        match &self.rule {
            // On the way of most requests: no formatting.
            Rule::Policy(verb) => {
                let [start, middle] = POLICY_HAS;
                [start, THE_PRINCIPAL, middle, verb.kind().plural(), " ", verb.as_str()].concat()
            }
            rule @ (Rule::Role { .. } | Rule::Group { .. }) => rule.to_string(),
        }
    }
}

impl<A: Action> fmt::Debug for Permit<A> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Permit({}, {} by {}, {})", A::NAME, self.principal, self.client, self.vault)
    }
}

/// Why there is no permit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The vault's network rules do not let the address in.
    #[error("the network rules of vault {vault} do not allow the address {}", address.map_or("(unknown)".to_owned(), |address| address.to_string()))]
    Address {
        /// From where it was asked.
        address: Option<IpAddr>,
        /// Who asked.
        caller: Caller,
        /// The vault.
        vault: VaultName,
    },
    /// Nothing allows it.
    #[error("principal {} may not: {why} (vault {vault})", caller.principal())]
    Lacking {
        /// What is missing.
        why: Lack,
        /// Who asked.
        caller: Caller,
        /// The vault.
        vault: VaultName,
        /// The object that it was asked of, if it was one.
        object: Option<ObjectName>,
    },
}

/// May this caller do `A` in this vault, with this object of it (`None`: with none or many)? Reads the principal through the view, so that
/// its existence and enabledness are of the same moment as what the permit is for.
///
/// # Errors
/// [`Denied`], or what must be loaded first.
pub fn permit<A: Action>(
    view: &View,
    asker: &Asker<'_>,
    vault: &VaultScope<'_>,
    object: Option<&ObjectName>,
) -> Result<Permit<A>, Halt<Denied>> {
    let caller = asker.caller;
    if !vault.network.allow(asker.address) {
        let (address, caller, vault) = (asker.address, caller.clone(), vault.name.clone());
        return Err(Halt::Refuse(Denied::Address { address, caller, vault }));
    }
    let principal = caller.principal();
    match decide(view, principal, Some(caller), &ActionName::of::<A>(), vault, object)? {
        Ok(rule) => {
            Ok(Permit { principal, client: caller.client(), vault: vault.id, rule, action: PhantomData })
        }
        Err(why) => {
            let (caller, vault, object) = (caller.clone(), vault.name.clone(), object.cloned());
            Err(Halt::Refuse(Denied::Lacking { why, caller, vault, object }))
        }
    }
}

/// By which rule a principal may do something in a vault, or why not. Where somebody really asks, their token counts too. Its own rules are looked at first, then those of its groups: one that
/// is in none costs nothing more. A lack is told of its own rules.
///
/// # Errors
/// What must be loaded first.
pub fn decide(
    view: &View,
    principal: PrincipalId,
    token: Option<&Caller>,
    asked: &ActionName,
    vault: &VaultScope<'_>,
    object: Option<&ObjectName>,
) -> Result<Result<Rule, Lack>, store::Load> {
    let Some(found) = view.get::<Principal>(&principal)? else { return Ok(Err(Lack::PrincipalGone)) };
    if !found.enabled {
        return Ok(Err(Lack::PrincipalDisabled));
    }
    if token.is_some_and(|token| found.revocations.refuse_caller(token)) {
        return Ok(Err(Lack::TokenRevoked));
    }
    let lack = match by_rules(view, principal, asked, vault, object)? {
        Ok(rule) => return Ok(Ok(rule)),
        Err(lack) => lack,
    };
    for id in &found.member_of {
        let Ok(rule) = by_rules(view, id.subject(), asked, vault, object)? else { continue };
        // A group that was deleted allows nobody, whatever still names it.
        if let Some(group) = view.get::<Group>(id)? {
            let name = group.display_name.clone();
            return Ok(Ok(Rule::Group { group: *id, name, rule: Box::new(rule) }));
        }
    }
    Ok(Err(lack))
}

/// By which rule for this very principal or group, or why by none.
fn by_rules(
    view: &View,
    subject: PrincipalId,
    asked: &ActionName,
    vault: &VaultScope<'_>,
    object: Option<&ObjectName>,
) -> Result<Result<Rule, Lack>, store::Load> {
    match vault.rules {
        Rules::Policies(policies) => Ok(by_policy(policies, subject, asked.verb)),
        Rules::Roles => {
            let around = Around::vault(vault.id, vault.group);
            let operation = Operation::on_vault_data(asked.data_action);
            let covers = |assignment: &RoleAssignment| assignment.covers(asked.verb.kind(), object);
            let found = by_roles(view, subject, &around, 1, covers, |role| role.allows_data(operation))?;
            Ok(found.into_iter().next().map(|(rule, _)| rule).ok_or(Lack::NoRole(*asked)))
        }
    }
}

/// The roles of this very principal or group, there and around, that allow it; no more than are wanted. What a role allows is looked up only
/// where its assignment covers what is asked for.
pub(crate) fn by_roles(
    view: &View,
    subject: PrincipalId,
    around: &Around<'_>,
    wanted: usize,
    covers: impl Fn(&RoleAssignment) -> bool,
    allows: impl Fn(&Definition) -> bool,
) -> Result<Vec<(Rule, Definition)>, store::Load> {
    let mut found = Vec::new();
    let mut look = |scope: &Scope, assignment: &RoleAssignment| {
        if !covers(assignment) {
            return Ok(false);
        }
        // A custom role that is no more allows nothing, whatever still names it.
        let Some(role) = assignment.role.defined(view)? else { return Ok(false) };
        if allows(&role) {
            let rule = Rule::Role {
                role: role.name().to_owned(),
                assignment: assignment.id,
                scope: scope.clone(),
                object: assignment.object.clone(),
            };
            found.push((rule, role));
        }
        Ok(found.len() == wanted)
    };
    if let Some(vault) = around.of_vault()
        && let Some(assigned) = view.get::<RoleAssignments>(&(vault, subject))?
    {
        for assignment in &assigned.assignments {
            if look(&Scope::Vault(vault), assignment)? {
                return Ok(found);
            }
        }
    }
    if let Some(wide) = view.get::<WideRoles>(&subject)? {
        for (scope, assignment) in wide.assignments.iter().filter(|(scope, _)| around.is_within(scope)) {
            if look(scope, assignment)? {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

/// Which other action stands in for one that is lacking. Where roles decide, who may see an asymmetric key has its public half anyway, and
/// may use it here as well (Azure RBAC: "encrypt ... with the key. If the key is asymmetric, this operation can be performed by principals
/// with read access"). Access policies know no such thing.
#[must_use]
pub fn by_seeing(asked: &ActionName, lack: &Lack) -> Option<ActionName> {
    let of_public_half =
        [ActionName::of::<Encrypt>(), ActionName::of::<WrapKey>(), ActionName::of::<Verify>()];
    let stands_in = matches!(lack, Lack::NoRole(_)) && of_public_half.contains(asked);
    stands_in.then(ActionName::of::<GetKey>)
}

fn by_policy(policies: &[AccessPolicy], principal: PrincipalId, verb: Verb) -> Result<Rule, Lack> {
    let policy = policies.iter().find(|policy| policy.principal == principal).ok_or(Lack::NoPolicy)?;
    let allowed = &policy.permissions;
    let has = match verb {
        Verb::Secret(verb) => allowed.secrets.contains(verb),
        Verb::Key(verb) => allowed.keys.contains(verb),
        Verb::Certificate(verb) => {
            allowed.certificates.contains(verb)
                || action::is_of_issuers(verb) && allowed.certificates.contains(action::MANAGE_ISSUERS)
        }
    };
    if has { Ok(Rule::Policy(verb)) } else { Err(Lack::VerbMissing(verb)) }
}

#[cfg(test)]
mod tests;
