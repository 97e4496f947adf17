//! `serverfarms`: App Service plans. Each of the sizes that clients name is taken: apps run the same in all.

use super::{
    super::{Asked, answer, empty, error::ArmError, list as listed, location, said, said::Said, tags},
    plan_id,
};
use access::Gone;
use axum::{body::Body, response::Response};
use domain::ResourceGroupName;
use host::PlanRef;
use http::{Method, StatusCode};
use resource::{PlanChange, PlanView, Size};
use serde_json::{Value, json};

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
/// Names of sizes without their number, and the tiers that they are of (App Service pricing tiers). `0` is a number of its own.
const TIERS: [(&str, &str); 19] = [
    ("F", "Free"),
    ("D", "Shared"),
    ("B", "Basic"),
    ("S", "Standard"),
    ("P", "Premium"),
    ("Pv2", "PremiumV2"),
    ("P0v3", "Premium0V3"),
    ("Pv3", "PremiumV3"),
    ("Pmv3", "PremiumMV3"),
    ("Pv4", "PremiumV4"),
    ("Pmv4", "PremiumMV4"),
    ("PC", "PremiumContainer"),
    ("EP", "ElasticPremium"),
    ("Y", "Dynamic"),
    ("FC", "FlexConsumption"),
    ("WS", "WorkflowStandard"),
    ("I", "Isolated"),
    ("Iv2", "IsolatedV2"),
    ("Imv2", "IsolatedMV2"),
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
                let change = change(&said(body).await?)?;
                let (by, now) = (asked.by(), asked.context.now);
                let put = match self {
                    Self::Update => resource.change_plan(by, plan, &change, now).await?,
                    _ if change.location.is_none() => return Err(ArmError::no_location()),
                    _ => resource.put_plan(by, plan, &change, now).await?,
                };
                Ok(answer(StatusCode::OK, &shown(asked, &put)))
            }
            Self::Delete => match resource.delete_plan(asked.by(), plan).await {
                Ok(gone) => {
                    asked.state.forget_soon(&[Gone::Plan(gone)]).await;
                    Ok(empty(StatusCode::OK))
                }
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
    listed(asked, plans.map(|plan| shown(asked, plan)).collect())
}

fn change(whole: &Said) -> Result<PlanChange, ArmError> {
    let members = whole.plain(&["location", "tags"]);
    let size = whole.member("sku").map(size).transpose()?.flatten();
    let is_linux = whole.member("properties").and_then(|properties| properties.member("reserved"));
    let is_linux = match is_linux.map(Said::flag) {
        None => None,
        Some(Some(is_linux)) => Some(is_linux),
        Some(None) => return Err(ArmError::bad_content("The property reserved is no boolean.")),
    };
    Ok(PlanChange { location: location(&members)?, tags: tags(&members)?, size, is_linux })
}

fn size(sku: &Said) -> Result<Option<Size>, ArmError> {
    let text = |named: &str| match sku.member(named).map(Said::text) {
        None => Ok(None),
        Some(Some(text)) if !text.is_empty() && text.len() <= SIZE_BYTES_MAX => Ok(Some(text.to_owned())),
        Some(_) => Err(ArmError::bad_content(format!("The sku's {named} is not valid."))),
    };
    let Some(name) = text("name")? else { return Ok(None) };
    // Clients spell tiers as they like.
    let tier = match (tier(&name), text("tier")?) {
        (Some(tier), _) => tier.to_owned(),
        (None, said) => said.unwrap_or_else(|| name.clone()),
    };
    let capacity = match sku.member("capacity") {
        None => 1,
        Some(number) => number
            .count()
            .and_then(|number| u32::try_from(number).ok())
            .ok_or_else(|| ArmError::bad_content("The sku's capacity is not valid."))?,
    };
    Ok(Some(Size { name, tier, capacity }))
}

/// The tier of a size, if it is one of App Service's.
fn tier(name: &str) -> Option<&'static str> {
    let of = |wanted: &str| {
        TIERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(wanted)).map(|(_, tier)| *tier)
    };
    of(name).or_else(|| of(&family(name)))
}

/// The name of a size without its number: `Iv2` of `I1v2`.
fn family(name: &str) -> String {
    let (letters, rest) = name.split_at(name.find(|one: char| one.is_ascii_digit()).unwrap_or(name.len()));
    [letters, rest.trim_start_matches(|one: char| one.is_ascii_digit())].concat()
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
            "family": family(&size.name),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_of_the_tiers_that_clients_know() {
        for (name, known, of) in [
            ("F1", "Free", "F"),
            ("d1", "Shared", "d"),
            ("B3", "Basic", "B"),
            ("S1", "Standard", "S"),
            ("P1", "Premium", "P"),
            ("P1v2", "PremiumV2", "Pv2"),
            ("P0V3", "Premium0V3", "PV3"),
            ("P1v3", "PremiumV3", "Pv3"),
            ("P5mv3", "PremiumMV3", "Pmv3"),
            ("P0v4", "PremiumV4", "Pv4"),
            ("EP1", "ElasticPremium", "EP"),
            ("Y1", "Dynamic", "Y"),
            ("FC1", "FlexConsumption", "FC"),
            ("WS2", "WorkflowStandard", "WS"),
            ("I1", "Isolated", "I"),
            ("I1v2", "IsolatedV2", "Iv2"),
        ] {
            assert_eq!((tier(name), family(name).as_str()), (Some(known), of), "{name}");
        }
        assert_eq!(tier("X1"), None);
        let sku = |json: &str| size(&serde_json::from_str(json).unwrap()).unwrap().unwrap();
        assert_eq!(sku(r#"{"name": "B1", "tier": "BASIC", "capacity": 2}"#).tier, "Basic");
        assert_eq!(sku(r#"{"name": "X1", "tier": "Extra"}"#).tier, "Extra");
    }
}
