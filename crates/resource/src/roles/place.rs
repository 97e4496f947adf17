//! Where a role is given, by names; and what the names stand for in the view of a decision.

use super::RoleFault;
use crate::{ResourceError, plan::Plan};
use access::{Around, ManagePermit, Manager, ObjectScope, Scope};
use domain::{AppName, IdentityName, PlanName, ResourceGroupName, VaultName};
use host::{App, PlanRef, UserAssigned};
use std::fmt;
use store::{Halt, Load, View, refuse};
use vault::Vault;

/// A place in the tree of everything. A group that is not said is whichever the thing is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The subscription.
    Subscription,
    /// A resource group.
    Group(ResourceGroupName),
    /// A vault, or one object of it.
    Vault(Option<ResourceGroupName>, VaultName, Option<ObjectScope>),
    /// An app.
    App(Option<ResourceGroupName>, AppName),
    /// A user-assigned identity.
    Identity(Option<ResourceGroupName>, IdentityName),
    /// An App Service plan. Two groups may have one of the same name.
    Plan(ResourceGroupName, PlanName),
}

impl Place {
    /// The group that it is, or is said to be in.
    pub const fn group(&self) -> Option<&ResourceGroupName> {
        match self {
            Self::Subscription => None,
            Self::Group(name) | Self::Plan(name, _) => Some(name),
            Self::Vault(group, ..) | Self::App(group, _) | Self::Identity(group, _) => group.as_ref(),
        }
    }

    /// What it is in, next.
    fn parent(&self) -> Option<Self> {
        match self {
            Self::Subscription => None,
            Self::Group(_) => Some(Self::Subscription),
            Self::Vault(group, name, Some(_)) => Some(Self::Vault(group.clone(), name.clone(), None)),
            Self::Vault(group, _, None) | Self::App(group, _) | Self::Identity(group, _) => {
                Some(group.clone().map_or(Self::Subscription, Self::Group))
            }
            Self::Plan(group, _) => Some(Self::Group(group.clone())),
        }
    }

    /// Is it that place, or in it? Both with their groups.
    pub fn is_within(&self, other: &Self) -> bool {
        self == other || self.parent().is_some_and(|parent| parent.is_within(other))
    }

    fn absent(&self) -> RoleFault {
        let (kind, name) = match self {
            Self::Subscription => ("subscription", String::new()),
            Self::Group(name) => ("resource group", name.to_string()),
            Self::Vault(_, name, _) => ("vault", name.to_string()),
            Self::App(_, name) => ("app", name.to_string()),
            Self::Identity(_, name) => ("identity", name.to_string()),
            Self::Plan(_, name) => ("plan", name.to_string()),
        };
        let group = if matches!(self, Self::Group(_)) { None } else { self.group().cloned() };
        RoleFault::NoSuchPlace { kind, name, group }
    }
}

/// As people are told it.
impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscription => formatter.write_str("the subscription"),
            Self::Group(name) => write!(formatter, "resource group {name}"),
            Self::Vault(_, name, None) => write!(formatter, "vault {name}"),
            Self::Vault(_, name, Some(object)) => {
                write!(formatter, "vault {name}/{}/{}", object.kind.plural(), object.name)
            }
            Self::App(_, name) => write!(formatter, "app {name}"),
            Self::Identity(_, name) => write!(formatter, "identity {name}"),
            Self::Plan(group, name) => write!(formatter, "plan {name} of resource group {group}"),
        }
    }
}

/// A place that is there.
#[derive(Clone, Debug)]
pub(super) struct Located {
    /// With its group, and its name as it was spelled when it was made.
    pub(super) place: Place,
    pub(super) scope: Scope,
    pub(super) object: Option<ObjectScope>,
}

impl Located {
    /// What roles must be given for to count there.
    fn around(&self) -> Around<'_> {
        match (&self.scope, self.place.group()) {
            (Scope::Subscription, _) | (_, None) => Around::subscription(),
            (Scope::Group(name), _) => Around::group(name),
            (Scope::Vault(vault), Some(group)) => Around::vault(*vault, group),
            (scope, Some(group)) => Around::resource(scope, group),
        }
    }
}

/// Finds a place. Of a group that is there always, or not at all, that is for others to say: a role counts by the group's name.
fn locate(view: &View, place: &Place) -> Result<Option<Located>, Load> {
    let is_in = |group: &ResourceGroupName| place.group().is_none_or(|said| said == group);
    Ok(match place {
        Place::Subscription => {
            Some(Located { place: place.clone(), scope: Scope::Subscription, object: None })
        }
        Place::Group(name) => {
            Some(Located { place: place.clone(), scope: Scope::Group(name.clone()), object: None })
        }
        Place::Vault(_, name, object) => {
            let found = view.get::<Vault>(name)?.filter(|vault| is_in(&vault.placement.group));
            found.map(|vault| of_vault(&vault, object.clone()))
        }
        Place::App(_, name) => view.get::<App>(name)?.map(|app| of_app(&app)).filter(located_in(is_in)),
        Place::Identity(_, name) => {
            let found = view.get::<UserAssigned>(name)?;
            found.map(|identity| of_identity(&identity)).filter(located_in(is_in))
        }
        Place::Plan(group, name) => {
            let reference = PlanRef { group: group.clone(), name: name.clone() };
            match view.get::<Plan>(&(group.clone(), name.clone()))? {
                None if Plan::is_always(&reference) => Some(of_plan(&Plan::always())),
                found => found.map(|plan| of_plan(&plan)),
            }
        }
    })
}

fn located_in(is_in: impl Fn(&ResourceGroupName) -> bool) -> impl FnOnce(&Located) -> bool {
    move |located| located.place.group().is_none_or(is_in)
}

pub(super) fn of_vault(vault: &Vault, object: Option<ObjectScope>) -> Located {
    let place = Place::Vault(Some(vault.placement.group.clone()), vault.name.clone(), object.clone());
    Located { place, scope: Scope::Vault(vault.id), object }
}

pub(super) fn of_app(app: &App) -> Located {
    let place = Place::App(Some(app.placement.group.clone()), app.name.clone());
    Located { place, scope: Scope::App(app.id), object: None }
}

pub(super) fn of_identity(identity: &UserAssigned) -> Located {
    let place = Place::Identity(Some(identity.placement.group.clone()), identity.name.clone());
    Located { place, scope: Scope::Identity(identity.principal), object: None }
}

pub(super) fn of_plan(plan: &Plan) -> Located {
    let place = Place::Plan(plan.placement.group.clone(), plan.name.clone());
    Located { place, scope: Scope::Plan(plan.id), object: None }
}

/// A place where who asks may do this. Who may not do it around there is not told what is there.
pub(super) fn permitted(
    view: &View,
    by: Manager<'_>,
    operation: &'static str,
    place: &Place,
) -> Result<(Located, ManagePermit), Halt<ResourceError>> {
    let refused = |halt: Halt<access::Unmanaged>| halt.map(ResourceError::from);
    match locate(view, place)? {
        Some(located) => {
            let permit = by.may(view, operation, &located.around()).map_err(refused)?;
            Ok((located, permit))
        }
        None => {
            let around = place.group().map_or_else(Around::subscription, Around::group);
            let _permit = by.may(view, operation, &around).map_err(refused)?;
            refuse(place.absent().into())
        }
    }
}
