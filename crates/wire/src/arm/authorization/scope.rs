//! Where a role is given, as a resource id; and the reverse.

use super::super::{
    Asked,
    error::ArmError,
    path::{is, name, segments},
};
use access::ObjectScope;
use domain::{
    AppName, IdentityName, ObjectKind, ObjectName, PlanName, ResourceGroupName, SubscriptionId, VaultName,
};
use resource::roles::Place;

/// Of the segments of a resource id. The tenant is as the subscription: there is one.
pub(super) fn read(segments: &[&str], subscription: SubscriptionId) -> Result<Place, ArmError> {
    let rest = match segments {
        [] => return Ok(Place::Subscription),
        [one, id, rest @ ..] if is(one, "subscriptions") => {
            if id.parse() != Ok(subscription) {
                return Err(ArmError::no_such_subscription(id));
            }
            rest
        }
        _ => return Err(ArmError::no_such_path()),
    };
    let (group, rest) = match rest {
        [] => return Ok(Place::Subscription),
        [one, group, rest @ ..] if is(one, "resourceGroups") => {
            (name(group, ResourceGroupName::parse)?, rest)
        }
        _ => return Err(ArmError::no_such_path()),
    };
    match rest {
        [] => Ok(Place::Group(group)),
        [one, namespace, kind, named, rest @ ..] if is(one, "providers") => {
            resource(group, namespace, kind, named, rest)
        }
        _ => Err(ArmError::no_such_path()),
    }
}

fn resource(
    group: ResourceGroupName,
    namespace: &str,
    kind: &str,
    named: &str,
    rest: &[&str],
) -> Result<Place, ArmError> {
    if rest.is_empty() && is(namespace, "Microsoft.Web") && is(kind, "serverfarms") {
        return Ok(Place::Plan(group, name(named, PlanName::parse)?));
    }
    let group = Some(group);
    match rest {
        [] if is(namespace, "Microsoft.KeyVault") && is(kind, "vaults") => {
            Ok(Place::Vault(group, name(named, VaultName::parse)?, None))
        }
        [of, object] if is(namespace, "Microsoft.KeyVault") && is(kind, "vaults") => {
            let kinds = [ObjectKind::Secret, ObjectKind::Key, ObjectKind::Certificate];
            let kind = kinds.into_iter().find(|kind| is(of, kind.plural()));
            let kind = kind.ok_or_else(ArmError::no_such_path)?;
            let object = ObjectScope { kind, name: name(object, ObjectName::parse)? };
            Ok(Place::Vault(group, name(named, VaultName::parse)?, Some(object)))
        }
        [] if is(namespace, "Microsoft.Web") && is(kind, "sites") => {
            Ok(Place::App(group, name(named, AppName::parse)?))
        }
        [] if is(namespace, "Microsoft.ManagedIdentity") && is(kind, "userAssignedIdentities") => {
            Ok(Place::Identity(group, name(named, IdentityName::parse)?))
        }
        _ => Err(ArmError::no_such_path()),
    }
}

/// Of a resource id in a body.
pub(super) fn parse(text: &str, subscription: SubscriptionId) -> Result<Place, ArmError> {
    let of_id = segments(text)?;
    read(&of_id.iter().map(String::as_str).collect::<Vec<_>>(), subscription)
}

/// The resource id of a place whose group is known.
pub(super) fn id(asked: &Asked<'_>, place: &Place) -> String {
    let subscription = asked.subscription_path();
    let Some(group) = place.group() else { return subscription };
    let group = format!("{subscription}/resourceGroups/{group}");
    match place {
        Place::Subscription | Place::Group(_) => group,
        Place::Vault(_, name, object) => {
            let object = object.as_ref().map(|object| format!("/{}/{}", object.kind.plural(), object.name));
            format!("{group}/providers/Microsoft.KeyVault/vaults/{name}{}", object.unwrap_or_default())
        }
        Place::App(_, name) => format!("{group}/providers/Microsoft.Web/sites/{name}"),
        Place::Identity(_, name) => {
            format!("{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}")
        }
        Place::Plan(_, name) => format!("{group}/providers/Microsoft.Web/serverfarms/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_at_every_level() {
        let id: SubscriptionId = "11111111-2222-4333-8444-555555555555".parse().unwrap();
        let group = || ResourceGroupName::parse("shop").unwrap();
        let of = |rest: &str| parse(&format!("/subscriptions/{id}{rest}"), id);
        assert_eq!(of("").unwrap(), Place::Subscription);
        assert_eq!(of("/resourcegroups/SHOP").unwrap(), Place::Group(group()));
        let vault = VaultName::parse("till").unwrap();
        let in_vault = "/resourceGroups/shop/providers/microsoft.keyvault/Vaults/till";
        assert_eq!(of(in_vault).unwrap(), Place::Vault(Some(group()), vault.clone(), None));
        let object = ObjectScope { kind: ObjectKind::Secret, name: ObjectName::parse("db").unwrap() };
        let secret = of(&format!("{in_vault}/secrets/db")).unwrap();
        assert_eq!(secret, Place::Vault(Some(group()), vault, Some(object)));
        let site = of("/resourceGroups/shop/providers/Microsoft.Web/sites/web").unwrap();
        assert!(matches!(site, Place::App(..)));
        let plan = of("/resourceGroups/shop/providers/Microsoft.Web/serverFarms/small").unwrap();
        assert_eq!(plan, Place::Plan(group(), PlanName::parse("small").unwrap()));
        for bad in [
            "/resourceGroups",
            "/resourceGroups/shop/providers",
            "/resourceGroups/shop/providers/Microsoft.KeyVault/vaults",
            "/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/till/secrets",
            "/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/till/tables/x",
            "/resourceGroups/shop/providers/Microsoft.Sql/servers/x",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
        assert!(parse("/subscriptions/11111111-2222-4333-8444-555555555556", id).is_err());
    }
}
