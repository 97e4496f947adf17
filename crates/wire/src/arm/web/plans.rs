//! `serverfarms`: App Service plans. Each of the sizes that clients name is taken: apps run the same in all.

use super::{
    super::{Asked, answer, empty, error::ArmError, list as listed, location, object, tags},
    member, plan_id,
};
use axum::{body::Body, response::Response};
use domain::ResourceGroupName;
use host::PlanRef;
use http::{Method, StatusCode};
use resource::{PlanChange, PlanView, Size};
use serde_json::{Map, Value, json};

/// What is done to a plan.
#[derive(Clone, Copy, Debug)]
pub(in crate::arm) enum PlanOperation {
    Get,
    Put,
    Update,
    Delete,
}

/// Bytes of a size's name or tier. Ours.
const SIZE_BYTES_MAX: usize = 32;
/// Names of sizes by their first letters, and the tiers that they are of (App Service pricing tiers).
const TIERS: [(&str, &str); 10] = [
    ("F", "Free"),
    ("D", "Shared"),
    ("B", "Basic"),
    ("S", "Standard"),
    ("P0V3", "Premium0V3"),
    ("P1V2", "PremiumV2"),
    ("P2V2", "PremiumV2"),
    ("P3V2", "PremiumV2"),
    ("P", "PremiumV3"),
    ("I", "Isolated"),
];

impl PlanOperation {
    pub(super) fn route(method: &Method) -> Result<Self, ArmError> {
        match *method {
            Method::GET => Ok(Self::Get),
            Method::PUT => Ok(Self::Put),
            Method::PATCH => Ok(Self::Update),
            Method::DELETE => Ok(Self::Delete),
            _ => Err(ArmError::wrong_method("GET, PUT, PATCH, DELETE")),
        }
    }

    pub(super) const fn action(self) -> &'static str {
        match self {
            Self::Get => "plan.get",
            Self::Put | Self::Update => "plan.put",
            Self::Delete => "plan.delete",
        }
    }

    pub(super) async fn operate(
        self,
        asked: &Asked<'_>,
        plan: &PlanRef,
        body: Body,
    ) -> Result<Response, ArmError> {
        let resource = &asked.state.resource;
        match self {
            Self::Get => Ok(answer(StatusCode::OK, &shown(asked, &resource.plan(asked.by(), plan).await?))),
            Self::Put | Self::Update => {
                let members = object(body).await?;
                let change = change(&members)?;
                if matches!(self, Self::Update) {
                    // Only what is there is changed.
                    let _there = resource.plan(asked.by(), plan).await?;
                } else if change.location.is_none() {
                    return Err(ArmError::no_location());
                }
                let put = resource.put_plan(asked.by(), plan, &change, asked.context.now).await?;
                Ok(answer(StatusCode::OK, &shown(asked, &put)))
            }
            Self::Delete => match resource.delete_plan(asked.by(), plan).await {
                Ok(()) => Ok(empty(StatusCode::OK)),
                // It is as it is to be.
                Err(resource::ResourceError::PlanNotFound(_)) => Ok(empty(StatusCode::NO_CONTENT)),
                Err(error) => Err(error.into()),
            },
        }
    }
}

/// All that may be seen, or those of a group.
pub(super) async fn list(asked: &Asked<'_>, group: Option<&ResourceGroupName>) -> Result<Response, ArmError> {
    let plans = asked.state.resource.plans(asked.by()).await?;
    let plans = plans.iter().filter(|plan| group.is_none_or(|group| *group == plan.plan.placement.group));
    Ok(listed(plans.map(|plan| shown(asked, plan)).collect()))
}

fn change(members: &Map<String, Value>) -> Result<PlanChange, ArmError> {
    let whole = Value::Object(members.clone());
    let size = member(&whole, "sku").map(size).transpose()?.flatten();
    let is_linux = member(&whole, "properties").and_then(|properties| member(properties, "reserved"));
    let is_linux = match is_linux {
        None => None,
        Some(Value::Bool(is_linux)) => Some(*is_linux),
        Some(_) => return Err(ArmError::bad_content("The property reserved is no boolean.")),
    };
    Ok(PlanChange { location: location(members)?, tags: tags(members)?, size, is_linux })
}

fn size(sku: &Value) -> Result<Option<Size>, ArmError> {
    let text = |named: &str| match member(sku, named) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() && text.len() <= SIZE_BYTES_MAX => {
            Ok(Some(text.clone()))
        }
        Some(_) => Err(ArmError::bad_content(format!("The sku's {named} is not valid."))),
    };
    let Some(name) = text("name")? else { return Ok(None) };
    let upper = name.to_ascii_uppercase();
    let tier = TIERS.iter().find(|(start, _)| upper.starts_with(start)).map(|(_, tier)| (*tier).to_owned());
    let tier = text("tier")?.or(tier).unwrap_or_else(|| name.clone());
    let capacity = match member(sku, "capacity") {
        None => 1,
        Some(number) => number
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
            .ok_or_else(|| ArmError::bad_content("The sku's capacity is not valid."))?,
    };
    Ok(Some(Size { name, tier, capacity }))
}

fn shown(asked: &Asked<'_>, view: &PlanView) -> Value {
    let plan = &view.plan;
    let size = &plan.size;
    json!({
        "id": plan_id(asked, &plan.reference()),
        "name": plan.name,
        "type": "Microsoft.Web/serverfarms",
        "kind": if plan.is_linux { "linux" } else { "app" },
        "location": plan.placement.location,
        "tags": plan.placement.tags,
        "sku": {
            "name": size.name,
            "tier": size.tier,
            "size": size.name,
            "family": size.name.chars().take(1).collect::<String>(),
            "capacity": size.capacity,
        },
        "properties": {
            "status": "Ready",
            "provisioningState": "Succeeded",
            "subscription": asked.state.resource.subscription().id,
            "resourceGroup": plan.placement.group,
            "geoRegion": plan.placement.location,
            "numberOfSites": view.apps,
            "maximumNumberOfWorkers": domain::limits::INSTANCES_MAX,
            "numberOfWorkers": size.capacity,
            "reserved": plan.is_linux,
            "perSiteScaling": false,
            "elasticScaleEnabled": false,
            "isSpot": false,
            "isXenon": false,
            "hyperV": false,
            "zoneRedundant": false,
            "targetWorkerCount": 0,
            "targetWorkerSizeId": 0,
        },
    })
}
