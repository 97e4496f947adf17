//! Whether an app runs: start, stop, restart; its instances; and what became of a deployment.

use super::{
    super::{empty, error::ArmError, list as listed},
    Here,
    sites::READ,
};
use axum::response::Response;
use domain::DeploymentId;
use host::{Change, DesiredState};
use http::StatusCode;
use serde_json::{Value, json};

pub(super) async fn start(here: &Here<'_>) -> Result<Response, ArmError> {
    let state = Some(DesiredState::Running);
    change(here, "Microsoft.Web/sites/start/Action", Change { state, ..Change::default() }).await
}

pub(super) async fn stop(here: &Here<'_>) -> Result<Response, ArmError> {
    let state = Some(DesiredState::Stopped);
    change(here, "Microsoft.Web/sites/stop/Action", Change { state, ..Change::default() }).await
}

pub(super) async fn restart(here: &Here<'_>) -> Result<Response, ArmError> {
    change(here, "Microsoft.Web/sites/restart/Action", Change { restart: true, ..Change::default() }).await
}

async fn change(here: &Here<'_>, operation: &'static str, change: Change) -> Result<Response, ArmError> {
    let view = here.app(operation).await?;
    let change = Change { of: Some(view.app.id), ..change };
    let asked = here.asked;
    asked.state.host.change_desired(asked.by(), here.name, &change, asked.context.now).await?;
    here.changed();
    Ok(empty(StatusCode::OK))
}

pub(super) async fn instances(here: &Here<'_>) -> Result<Response, ArmError> {
    let view = here.app("Microsoft.Web/sites/instances/read").await?;
    let observed = here.asked.state.outside.hosting()?.observed(view.app.id);
    let shown = |id: &String, state: &str| {
        json!({
            "id": format!("{}/instances/{id}", here.id(&view.app)),
            "name": id,
            "type": "Microsoft.Web/sites/instances",
            "location": view.app.placement.location,
            "properties": {"state": if state == "ready" { "READY" } else { "UNKNOWN" }},
        })
    };
    let running = observed.instances.iter().filter(|one| one.state != "ended");
    listed(here.asked, running.map(|one| shown(&one.id, one.state)).collect())
}

/// There are none here.
pub(super) async fn slots(here: &Here<'_>) -> Result<Response, ArmError> {
    let _there = here.app("Microsoft.Web/sites/slots/read").await?;
    listed(here.asked, Vec::new())
}

/// `deploymentStatus/{id}`: what was built, and whether it runs.
pub(super) async fn deployment_status(here: &Here<'_>, id: &str) -> Result<Response, ArmError> {
    let view = here.app(READ).await?;
    let (app, asked) = (view.app.id, here.asked);
    let unknown =
        || ArmError::no_such_resource("Microsoft.Web/sites/deploymentStatus", id, here.group.as_str());
    let deployment: DeploymentId = id.parse().map_err(|_| unknown())?;
    let desired = asked.state.host.desired_of(&view.app).await?;
    let hosting = asked.state.outside.hosting()?;
    let is_in_place = desired
        .as_ref()
        .and_then(|desired| desired.deployment.as_ref())
        .is_some_and(|known| known.id == deployment);
    let (told, observed) = (hosting.deployment(app, deployment), hosting.observed(app));
    let is_current = |revision: u64| desired.as_ref().is_some_and(|desired| desired.revision == revision);
    let counted = |state: &dyn Fn(&str) -> bool| {
        observed.instances.iter().filter(|one| is_current(one.revision) && state(one.state)).count()
    };
    let ready = counted(&|state| state == "ready");
    let (status, errors) = match told {
        Some(told) if told.state == "failed" => ("BuildFailed", Some(told.text)),
        Some(told) if told.state != "deployed" => ("BuildInProgress", None),
        // It is not in place any more: another is.
        None if !is_in_place => return Err(unknown()),
        _ if ready > 0 => ("RuntimeSuccessful", None),
        _ if desired.as_ref().is_some_and(|desired| desired.state == DesiredState::Stopped) => {
            ("RuntimeSuccessful", None)
        }
        _ if observed.failures > 0 => ("RuntimeFailed", observed.last_failure.clone()),
        _ => ("RuntimeStarting", None),
    };
    let errors: Vec<Value> =
        errors.iter().map(|text| json!({"extendedCode": status, "message": text})).collect();
    let properties = json!({
        "deploymentId": id,
        "status": status,
        "numberOfInstancesInProgress": counted(&|state| state == "starting"),
        "numberOfInstancesSuccessful": ready,
        "numberOfInstancesFailed": observed.failures,
        "failedInstancesLogs": [],
        "errors": errors,
    });
    Ok(here.part(&view.app, &format!("deploymentStatus/{id}"), properties))
}
