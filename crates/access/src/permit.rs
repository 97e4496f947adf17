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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PrincipalKind;
    use domain::{AppId, Entropy, SecretPermissions, TenantId, Timestamp};

    struct Fill(u8);
    impl Entropy for Fill {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(self.0);
        }
    }

    fn principal(number: u8) -> Principal {
        Principal {
            id: PrincipalId::random(&Fill(number)),
            client: ClientId::random(&Fill(number)),
            tenant: TenantId::random(&Fill(0)),
            kind: PrincipalKind::ManagedIdentity { app: AppId::random(&Fill(number)) },
            display_name: "shop".to_owned(),
            enabled: true,
            created: Timestamp::default(),
        }
    }

    fn caller(of: &Principal) -> Caller {
        Caller::fixture(of.id, of.client, of.tenant)
    }

    fn ask<A: Action>(
        view: &View,
        of: &Principal,
        verbs: Option<&[SecretPermission]>,
    ) -> Result<Permit<A>, Denied> {
        let name = VaultName::parse("shop").unwrap();
        let other = AccessPolicy { principal: principal(99).id, secrets: SecretPermissions::all_but_purge() };
        let own =
            verbs.map(|verbs| AccessPolicy { principal: of.id, secrets: verbs.iter().copied().collect() });
        let policies: Vec<_> = std::iter::once(other).chain(own).collect();
        let vault = VaultScope { id: VaultId::random(&Fill(7)), name: &name, policies: &policies };
        match permit::<A>(view, &caller(of), &vault) {
            Ok(permit) => Ok(permit),
            Err(Halt::Refuse(denied)) => Err(denied),
            Err(Halt::Load(load)) => panic!("{load:?}"),
        }
    }

    fn view(of: &Principal) -> View {
        View::fixture().with::<Principal>(&of.id, of)
    }

    #[test]
    fn each_verb_permits_its_own_actions_only() {
        use SecretPermission::{Get, List, Set};
        let one = principal(1);
        fn verbs(verb: &SecretPermission) -> Option<&[SecretPermission]> {
            Some(std::slice::from_ref(verb))
        }
        assert!(ask::<GetSecret>(&view(&one), &one, verbs(&Get)).is_ok());
        assert!(ask::<SetSecret>(&view(&one), &one, verbs(&Set)).is_ok());
        assert!(ask::<UpdateSecret>(&view(&one), &one, verbs(&Set)).is_ok());
        assert!(ask::<ListSecrets>(&view(&one), &one, verbs(&List)).is_ok());
        for verb in SecretPermission::ALL {
            let allowed = [
                (ask::<GetSecret>(&view(&one), &one, verbs(&verb)).is_ok(), Get),
                (ask::<SetSecret>(&view(&one), &one, verbs(&verb)).is_ok(), Set),
                (ask::<UpdateSecret>(&view(&one), &one, verbs(&verb)).is_ok(), Set),
                (ask::<ListSecrets>(&view(&one), &one, verbs(&verb)).is_ok(), List),
            ];
            for (is_allowed, needed) in allowed {
                assert_eq!(is_allowed, verb == needed, "{verb} for {needed}");
            }
        }
    }

    #[test]
    fn a_permit_says_who_where_and_why() {
        let one = principal(1);
        let permit = ask::<GetSecret>(&view(&one), &one, Some(&[SecretPermission::Get])).unwrap();
        assert_eq!((permit.principal(), permit.vault()), (one.id, VaultId::random(&Fill(7))));
        assert_eq!(permit.because(), format!("the vault's access policy for principal {} has get", one.id));
    }

    #[test]
    fn strangers_are_denied_each_with_its_reason() {
        let one = principal(1);
        let vault = VaultName::parse("shop").unwrap();
        let all: &[_] = &SecretPermission::ALL;
        assert_eq!(
            ask::<GetSecret>(&View::fixture(), &one, Some(all)).unwrap_err(),
            Denied::PrincipalGone { caller: caller(&one), vault: vault.clone() },
            "a deleted principal, whatever the policy says"
        );
        let disabled = Principal { enabled: false, ..principal(1) };
        assert_eq!(
            ask::<GetSecret>(&view(&disabled), &one, Some(all)).unwrap_err(),
            Denied::PrincipalDisabled { caller: caller(&one), vault: vault.clone() }
        );
        assert_eq!(
            ask::<GetSecret>(&view(&one), &one, None).unwrap_err(),
            Denied::NoPolicy { caller: caller(&one), vault: vault.clone() }
        );
        let denied = Denied::VerbMissing { caller: caller(&one), verb: SecretPermission::Get, vault };
        for verbs in [&[][..], &[SecretPermission::List, SecretPermission::Set]] {
            assert_eq!(ask::<GetSecret>(&view(&one), &one, Some(verbs)).unwrap_err(), denied);
        }
    }

    #[test]
    fn a_principal_that_is_not_loaded_is_asked_for() {
        let one = principal(1);
        let name = VaultName::parse("shop").unwrap();
        let vault = VaultScope { id: VaultId::random(&Fill(7)), name: &name, policies: &[] };
        assert!(matches!(permit::<GetSecret>(&View::default(), &caller(&one), &vault), Err(Halt::Load(_))));
    }
}
