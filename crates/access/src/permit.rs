//! [`Permit`]: the witness that a principal may do one thing in one vault, minted inside the view that also reads the thing.

use crate::{AccessPolicy, Caller, Principal};
use domain::{ClientId, PrincipalId, SecretPermission, VaultId, VaultName};
use std::{fmt, marker::PhantomData};
use store::{Halt, View};

mod sealed {
    pub trait Sealed {}
}

/// Something that a caller can do in a vault. Actions are types, so that a permit for one is no permit for another.
pub trait Action: sealed::Sealed + 'static {
    /// The verb that an access policy must have.
    const VERB: SecretPermission;
    /// The name in the audit log.
    const NAME: &'static str;
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident $verb:ident $text:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}
        impl sealed::Sealed for $name {}
        impl Action for $name {
            const VERB: SecretPermission = SecretPermission::$verb;
            const NAME: &'static str = $text;
        }
    )*};
}

actions! {
    /// Read a secret's value.
    GetSecret Get "secret.get";
    /// Make a secret, or a new version of one.
    SetSecret Set "secret.set";
    /// List secrets or versions, without values.
    ListSecrets List "secret.list";
    /// Change a version's attributes, tags and content type (Key Vault: needs the set permission).
    UpdateSecret Set "secret.update";
}

/// What a permit needs to know of a vault.
#[derive(Clone, Copy, Debug)]
pub struct VaultScope<'a> {
    /// The vault.
    pub id: VaultId,
    /// Its name, for refusals.
    pub name: &'a VaultName,
    /// Its access policies.
    pub policies: &'a [AccessPolicy],
}

/// Proof that a principal may do `A` in a vault, good for the decision that it was made in. Not `Clone`.
#[must_use]
pub struct Permit<A> {
    principal: PrincipalId,
    client: ClientId,
    vault: VaultId,
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
        format!("the vault's access policy for principal {} has {}", self.principal, A::VERB)
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
    /// The token's principal does not exist (any more).
    #[error("principal {} does not exist", caller.principal())]
    PrincipalGone {
        /// Whose token it was.
        caller: Caller,
        /// The vault.
        vault: VaultName,
    },
    /// The token's principal is disabled.
    #[error("principal {} is disabled", caller.principal())]
    PrincipalDisabled {
        /// Whose token it was.
        caller: Caller,
        /// The vault.
        vault: VaultName,
    },
    /// No access policy of the vault is for this principal.
    #[error("no access policy of vault {vault} is for principal {}", caller.principal())]
    NoPolicy {
        /// Who asked.
        caller: Caller,
        /// The vault.
        vault: VaultName,
    },
    /// The vault's access policy for this principal lacks the verb.
    #[error("the access policy of vault {vault} for principal {} lacks {verb}", caller.principal())]
    VerbMissing {
        /// Who asked.
        caller: Caller,
        /// What it lacks.
        verb: SecretPermission,
        /// The vault.
        vault: VaultName,
    },
}

/// May this caller do `A` in this vault? Reads the principal through the view, so that its existence and enabledness are of the
/// same moment as what the permit is for.
///
/// # Errors
/// [`Denied`], or what must be loaded first.
pub fn permit<A: Action>(
    view: &View,
    caller: &Caller,
    vault: &VaultScope<'_>,
) -> Result<Permit<A>, Halt<Denied>> {
    let refuse = |denied| Err(Halt::Refuse(denied));
    let (caller_of, name) = (|| caller.clone(), || vault.name.clone());
    let Some(principal) = view.get::<Principal>(&caller.principal())? else {
        return refuse(Denied::PrincipalGone { caller: caller_of(), vault: name() });
    };
    if !principal.enabled {
        return refuse(Denied::PrincipalDisabled { caller: caller_of(), vault: name() });
    }
    let Some(policy) = vault.policies.iter().find(|policy| policy.principal == principal.id) else {
        return refuse(Denied::NoPolicy { caller: caller_of(), vault: name() });
    };
    if !policy.secrets.contains(A::VERB) {
        return refuse(Denied::VerbMissing { caller: caller_of(), verb: A::VERB, vault: name() });
    }
    Ok(Permit { principal: principal.id, client: caller.client(), vault: vault.id, action: PhantomData })
}
