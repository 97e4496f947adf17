//! A role definition as it is asked for, and as it is told.

use super::{
    super::{Asked, date, error::ArmError},
    scope, text,
};
use access::Definition;
use resource::roles::NewRole;
use serde_json::{Map, Value, json};

/// `type` of a role.
pub(super) const fn kind(role: &Definition) -> &'static str {
    match role {
        Definition::BuiltIn(_) => "BuiltInRole",
        Definition::Custom(_) => "CustomRole",
    }
}

/// Reads a body.
pub(super) fn read(asked: &Asked<'_>, members: &Map<String, Value>) -> Result<NewRole, ArmError> {
    let said = match members.get("properties") {
        Some(Value::Object(said)) => said,
        _ => return Err(ArmError::bad_content("The property \"properties\" is missing, or no object.")),
    };
    let part = |name: &str| text(said, name).map(|text| text.unwrap_or_default().to_owned());
    let mut role =
        NewRole { name: part("roleName")?, description: part("description")?, ..NewRole::default() };
    if text(said, "type")?.is_some_and(|kind| !kind.eq_ignore_ascii_case("CustomRole")) {
        return Err(ArmError::bad("The property \"type\" of a role that is made must be CustomRole."));
    }
    permissions(said, &mut role)?;
    let subscription = asked.state.resource.subscription().id;
    for scope in texts(said, "assignableScopes")?.unwrap_or_default() {
        role.assignable.push(scope::parse(&scope, subscription)?);
    }
    Ok(role)
}

/// What an object in `permissions` may have.
const OF_PERMISSION: [&str; 6] =
    ["actions", "notActions", "dataActions", "notDataActions", "condition", "conditionVersion"];

/// What a role allows. A body that does not say it, or not in a way that is understood, is refused: whoever has the role would lose what it
/// allows now, and what is only to be taken away would be granted.
fn permissions(said: &Map<String, Value>, role: &mut NewRole) -> Result<(), ArmError> {
    let parts = match said.get("permissions") {
        Some(Value::Array(parts)) if !parts.is_empty() => parts,
        _ => {
            return Err(ArmError::bad_content(
                "The property \"permissions\" is missing, or no array with an object in it.",
            ));
        }
    };
    for part in parts {
        let Value::Object(part) = part else {
            return Err(ArmError::bad_content(
                "The property \"permissions\" has a member that is no object.",
            ));
        };
        if !matches!(part.get("condition"), None | Some(Value::Null)) {
            return Err(ArmError::bad("Conditions of roles are not supported here."));
        }
        if part.iter().any(|(name, value)| !value.is_null() && !OF_PERMISSION.contains(&name.as_str())) {
            return Err(ArmError::bad_content(
                "An object in \"permissions\" may have actions, notActions, dataActions and notDataActions, and nothing else.",
            ));
        }
        let (actions, data_actions) = (texts(part, "actions")?, texts(part, "dataActions")?);
        if actions.is_none() && data_actions.is_none() {
            return Err(ArmError::bad_content(
                "An object in \"permissions\" has neither actions nor dataActions.",
            ));
        }
        role.actions.extend(actions.unwrap_or_default());
        role.not_actions.extend(texts(part, "notActions")?.unwrap_or_default());
        role.data_actions.extend(data_actions.unwrap_or_default());
        role.not_data_actions.extend(texts(part, "notDataActions")?.unwrap_or_default());
    }
    // Azure evaluates each object by itself. All in one are the same only if none of them takes anything away.
    if parts.len() > 1 && !(role.not_actions.is_empty() && role.not_data_actions.is_empty()) {
        return Err(ArmError::bad(
            "Of several objects in \"permissions\" none may have notActions or notDataActions here: make a role of each, or one object of all.",
        ));
    }
    Ok(())
}

/// A list of texts, if it is said.
fn texts(members: &Map<String, Value>, name: &str) -> Result<Option<Vec<String>>, ArmError> {
    let wrong = || ArmError::bad_content(format!("The property \"{name}\" is no array of strings."));
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong));
            texts.collect::<Result<_, _>>().map(Some)
        }
        Some(_) => Err(wrong()),
    }
}

/// As it is told.
pub(super) fn shown(asked: &Asked<'_>, role: &Definition) -> Value {
    let subscription = asked.subscription_path();
    let (id, description, permission, scopes, times) = match role {
        Definition::BuiltIn(role) => (
            role.id.to_owned(),
            "",
            json!({
                "actions": role.actions,
                "notActions": role.not_actions,
                "dataActions": role.data_actions,
                "notDataActions": [],
            }),
            json!(["/"]),
            None,
        ),
        Definition::Custom(role) => (
            role.id.to_string(),
            &*role.description,
            json!({
                "actions": role.actions,
                "notActions": role.not_actions,
                "dataActions": role.data_actions,
                "notDataActions": role.not_data_actions,
            }),
            json!(role.assignable_scopes),
            Some((date(role.created), date(role.changed))),
        ),
    };
    let (created, updated) = times.unzip();
    json!({
        "id": format!("{subscription}/providers/Microsoft.Authorization/roleDefinitions/{id}"),
        "type": "Microsoft.Authorization/roleDefinitions",
        "name": id,
        "properties": {
            "roleName": role.name(),
            "type": kind(role),
            "description": description,
            "assignableScopes": scopes,
            "permissions": [permission],
            "createdOn": created,
            "updatedOn": updated,
            "createdBy": null,
            "updatedBy": null,
        },
    })
}
