//! The `identity` of a site: which managed identities an app is to have, and which it has.

use super::super::{Asked, error::ArmError, identities, path::segments, said::Said};
use access::{Around, Manager, Scope};
use domain::{IdentityName, ResourceGroupName, limits};
use host::{AppView, HostError, Others, WantedIdentities};
use serde_json::{Map, Value, json};

/// Giving an identity to an app.
const ASSIGN: &str = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action";

/// Which it is to have.
#[derive(Debug)]
pub(super) struct Wanted {
    is_system: bool,
    is_user: bool,
    /// User-assigned ones that are named, with their groups; `None`: nothing is said of them.
    named: Option<Vec<(ResourceGroupName, IdentityName)>>,
    /// Those that are said to go.
    gone: Vec<IdentityName>,
}

pub(super) fn read(asked: &Asked<'_>, identity: &Said, is_whole: bool) -> Result<Wanted, ArmError> {
    let Some(kinds) = identity.member("type").and_then(Said::text) else {
        return Err(ArmError::bad_content("The identity's type is missing."));
    };
    let mut wanted = Wanted { is_system: false, is_user: false, named: None, gone: Vec::new() };
    for kind in kinds.split(',').map(str::trim) {
        match kind.to_ascii_lowercase().as_str() {
            "none" => {}
            "systemassigned" => wanted.is_system = true,
            "userassigned" => wanted.is_user = true,
            _ => {
                let message =
                    "The identity's type is not one of None, SystemAssigned, UserAssigned, or both.";
                return Err(ArmError::bad_content(message));
            }
        }
    }
    let named = match identity.member("userAssignedIdentities").map(Said::members) {
        None => return Ok(wanted),
        Some(Some(named)) => named,
        Some(None) => return Err(ArmError::bad_content("userAssignedIdentities is no object.")),
    };
    let mut all = Vec::with_capacity(named.len());
    for (id, value) in named {
        let (group, name) = parse(asked, id)?;
        // In a change, null takes away; in a whole, what is not there is not to be there either.
        match value.is_nothing() && !is_whole {
            true => wanted.gone.push(name),
            false if value.is_nothing() => {}
            false => all.push((group, name)),
        }
    }
    wanted.named = Some(all);
    Ok(wanted)
}

fn parse(asked: &Asked<'_>, id: &str) -> Result<(ResourceGroupName, IdentityName), ArmError> {
    let malformed =
        || ArmError::bad_content("A name in userAssignedIdentities is no identity's resource id.");
    let segments = segments(id).map_err(|_| malformed())?;
    let group = super::group_of(asked, &segments, "Microsoft.ManagedIdentity", "userAssignedIdentities")
        .ok_or_else(malformed)?;
    let name = segments.last().and_then(|name| IdentityName::parse(name).ok()).ok_or_else(malformed)?;
    Ok((group, name))
}

impl Wanted {
    /// Are those that it names there, and may who asks give them? Asked again by the decisions that give them.
    pub(super) async fn check(&self, asked: &Asked<'_>) -> Result<(), ArmError> {
        let host = &asked.state.host;
        for (group, name) in self.named.iter().flatten() {
            // Under another group than it is in, it is not there; and who may give none of that group is told neither.
            let found = match host.identity_named(Manager::Administrator, name).await {
                Ok(found) => Some(found).filter(|found| found.identity.placement.group == *group),
                Err(HostError::IdentityNotFound(_)) => None,
                Err(error) => return Err(error.into()),
            };
            let scope = found.map(|found| Scope::Identity(found.principal.id));
            let around = match &scope {
                Some(scope) => Around::resource(scope, group),
                None => Around::group(group),
            };
            asked.state.resource.may(asked.by(), ASSIGN, &around).await?;
            if scope.is_none() {
                return Err(HostError::IdentityNotFound(name.clone()).into());
            }
        }
        let limit = limits::IDENTITIES_OF_APP_MAX;
        if self.is_user && self.named.iter().flatten().count() > limit {
            return Err(HostError::TooManyIdentities { limit }.into());
        }
        Ok(())
    }

    /// What an app is to have.
    pub(super) fn wanted(&self, is_whole: bool) -> WantedIdentities {
        let named = self.named.iter().flatten().filter(|_| self.is_user).map(|(_, name)| name.clone());
        let others = match self.is_user && !(is_whole && self.named.is_some()) {
            true => Others::StayBut(self.gone.clone()),
            false => Others::Go,
        };
        WantedIdentities { own: self.is_system, named: named.collect(), others }
    }
}

/// Which an app has; none: it has none.
pub(super) async fn shown(asked: &Asked<'_>, view: &AppView) -> Result<Option<Value>, ArmError> {
    let kind = match (&view.principal, view.user_assigned.is_empty()) {
        (None, true) => return Ok(None),
        (Some(_), true) => "SystemAssigned",
        (None, false) => "UserAssigned",
        (Some(_), false) => "SystemAssigned, UserAssigned",
    };
    let mut identity = Map::new();
    identity.insert("type".to_owned(), json!(kind));
    identity.insert("tenantId".to_owned(), json!(asked.state.directory.tenant().id));
    if let Some(principal) = &view.principal {
        identity.insert("principalId".to_owned(), json!(principal.id));
    }
    if !view.user_assigned.is_empty() {
        let mut named = Map::new();
        for (_, principal) in &view.user_assigned {
            let Ok(name) = IdentityName::parse(&principal.display_name) else { continue };
            let found = match asked.state.host.identity_named(Manager::Administrator, &name).await {
                Ok(found) => found,
                Err(HostError::IdentityNotFound(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            let id = identities::id(asked, &found.identity);
            named.insert(id, json!({"principalId": principal.id, "clientId": principal.client}));
        }
        identity.insert("userAssignedIdentities".to_owned(), Value::Object(named));
    }
    Ok(Some(Value::Object(identity)))
}
