//! A role definition as it is asked for, and as it is told.

use super::{
    super::{Asked, date, error::ArmError},
    scope,
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
    let text = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut role = NewRole { name: text("roleName"), description: text("description"), ..NewRole::default() };
    if said.get("type").and_then(Value::as_str).is_some_and(|kind| !kind.eq_ignore_ascii_case("CustomRole")) {
        return Err(ArmError::bad("The property \"type\" of a role that is made must be CustomRole."));
    }
    let none = Vec::new();
    for permission in said.get("permissions").and_then(Value::as_array).unwrap_or(&none) {
        if !matches!(permission.get("condition"), None | Some(Value::Null)) {
            return Err(ArmError::bad("Conditions of roles are not supported here."));
        }
        role.actions.extend(texts(permission, "actions")?);
        role.not_actions.extend(texts(permission, "notActions")?);
        role.data_actions.extend(texts(permission, "dataActions")?);
        role.not_data_actions.extend(texts(permission, "notDataActions")?);
    }
    let subscription = asked.state.resource.subscription().id;
    for scope in texts(&Value::Object(said.clone()), "assignableScopes")? {
        role.assignable.push(scope::parse(&scope, subscription)?);
    }
    Ok(role)
}

fn texts(members: &Value, name: &str) -> Result<Vec<String>, ArmError> {
    let wrong = || ArmError::bad_content(format!("The property \"{name}\" is no array of strings."));
    match members.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
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
