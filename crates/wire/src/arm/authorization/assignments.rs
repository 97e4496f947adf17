//! A role assignment as it is asked for, and as it is told.

use super::{
    super::{Asked, date, error::ArmError},
    role, scope, text,
};
use domain::AssignmentId;
use resource::roles::{Assigned, NewAssignment, SubjectKind};
use serde_json::{Map, Value, json};

/// Reads a body. What would narrow an assignment down is refused: without it, it would allow more.
pub(super) fn read(members: &Map<String, Value>, id: AssignmentId) -> Result<NewAssignment, ArmError> {
    let said = match members.get("properties") {
        Some(Value::Object(said)) => said,
        _ => return Err(ArmError::bad_content("The property \"properties\" is missing, or no object.")),
    };
    let part = |name: &str| said.get(name).and_then(Value::as_str);
    if !matches!(said.get("condition"), None | Some(Value::Null)) {
        return Err(ArmError::bad("Conditions of role assignments are not supported here."));
    }
    // It is not kept.
    let _description = text(said, "description")?;
    let principal = part("principalId").and_then(|id| id.parse().ok()).ok_or_else(|| {
        ArmError::bad_named("InvalidPrincipalId", "The property \"principalId\" is missing, or no object id.")
    })?;
    let kind = match said.get("principalType") {
        None | Some(Value::Null) => None,
        Some(said) => Some(kind(said.as_str().unwrap_or_default())?),
    };
    let definition = part("roleDefinitionId").unwrap_or_default();
    let role = role(definition.rsplit('/').next().unwrap_or_default())?;
    Ok(NewAssignment { id: Some(id), principal, kind, role })
}

fn kind(text: &str) -> Result<SubjectKind, ArmError> {
    let kinds = [SubjectKind::User, SubjectKind::Group, SubjectKind::ServicePrincipal];
    let found = kinds.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(text));
    found.ok_or_else(|| {
        ArmError::bad("The property \"principalType\" must be one of User, Group, ServicePrincipal.")
    })
}

/// As it is told.
pub(super) fn shown(asked: &Asked<'_>, assigned: &Assigned) -> Value {
    let scope = scope::id(asked, &assigned.place);
    let created = date(assigned.created);
    json!({
        "id": format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{}", assigned.id),
        "type": "Microsoft.Authorization/roleAssignments",
        "name": assigned.id,
        "properties": {
            "roleDefinitionId": format!(
                "{}/providers/Microsoft.Authorization/roleDefinitions/{}",
                asked.subscription_path(),
                assigned.role.id()
            ),
            "principalId": assigned.principal,
            "principalType": assigned.kind.as_str(),
            "scope": scope,
            "condition": null,
            "conditionVersion": null,
            "createdOn": created,
            "updatedOn": created,
            "createdBy": null,
            "updatedBy": null,
            "delegatedManagedIdentityResourceId": null,
            "description": null,
        },
    })
}
