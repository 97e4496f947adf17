//! Microsoft.Web: App Service plans and apps, as `az webapp` and `az appservice` use them.
//!
//! Owns: paths below the provider, and what all of its operations share. One file for each kind of thing. Owns not: what is deployed and how
//! (`crate::scm`), what an app is (`host`), what is only told again (`resource`).
//! Spec: Azure App Service REST API; az 2.91 shows which part of it is needed.

mod config;
mod error;
mod identity;
mod plans;
mod publishing;
mod settings;
mod sites;
mod stacks;
mod state;

use super::{
    Answer, Asked, answer,
    error::ArmError,
    groups,
    path::{Level, is, name},
};
use access::{Around, Manager, Scope};
use axum::{body::Body, response::Response};
use domain::{AppName, Location, PlanName, ResourceGroupName};
use host::{App, AppView, HostError, PlanRef};
use http::{Method, StatusCode};
use plans::PlanOperation;
use serde::Serialize;
use serde_json::{Value, json};

/// What is asked for.
#[derive(Debug)]
pub(super) enum WebOperation {
    /// Runtimes that clients may choose from.
    Stacks,
    /// Is a name free?
    CheckName,
    /// All plans, or those of a group.
    Plans(Option<ResourceGroupName>),
    Plan(PlanRef, PlanOperation),
    /// All apps, or those of a group.
    Sites(Option<ResourceGroupName>),
    /// Apps of a plan.
    PlanSites(PlanRef),
    Site(ResourceGroupName, AppName, SiteOperation),
}

/// What is done to an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SiteOperation {
    Get,
    Put,
    Update,
    Delete,
    ListConfig,
    GetWeb,
    ChangeWeb,
    ListSettings,
    PutSettings,
    ListConnectionStrings,
    PutConnectionStrings,
    ListMetadata,
    PutMetadata,
    GetLogs,
    PutLogs,
    GetSlotNames,
    PutSlotNames,
    PublishingProfile,
    PublishingCredentials,
    ListBasic,
    GetBasic(&'static str),
    PutBasic(&'static str),
    Start,
    Stop,
    Restart,
    Instances,
    DeploymentStatus(String),
    Slots,
}

impl WebOperation {
    /// Below `…/providers/Microsoft.Web`.
    pub(super) fn route(method: &Method, level: &Level, rest: &[&str]) -> Result<Self, ArmError> {
        let group = match level {
            Level::Tenant => return Self::of_tenant(method, level, rest),
            Level::Subscription => None,
            Level::Group(group) => Some(group.clone()),
        };
        match (rest, group) {
            ([kind], group) if is(kind, "serverfarms") => only(method, &Method::GET, Self::Plans(group)),
            ([kind], group) if is(kind, "sites") => only(method, &Method::GET, Self::Sites(group)),
            ([kind], None) if is(kind, "checknameavailability") => {
                only(method, &Method::POST, Self::CheckName)
            }
            ([kind, plan], Some(group)) if is(kind, "serverfarms") => {
                let plan = PlanRef { group, name: name(plan, PlanName::parse)? };
                Ok(Self::Plan(plan, PlanOperation::route(method)?))
            }
            ([kind, plan, below], Some(group)) if is(kind, "serverfarms") && is(below, "sites") => {
                let plan = PlanRef { group, name: name(plan, PlanName::parse)? };
                only(method, &Method::GET, Self::PlanSites(plan))
            }
            ([kind, app, rest @ ..], Some(group)) if is(kind, "sites") => {
                Ok(Self::Site(group, name(app, AppName::parse)?, SiteOperation::route(method, rest)?))
            }
            _ => Err(ArmError::no_such_type("Microsoft.Web", level)),
        }
    }

    fn of_tenant(method: &Method, level: &Level, rest: &[&str]) -> Result<Self, ArmError> {
        match rest {
            [kind] if is(kind, "webAppStacks") => only(method, &Method::GET, Self::Stacks),
            _ => Err(ArmError::no_such_type("Microsoft.Web", level)),
        }
    }

    pub(super) fn action(&self) -> &'static str {
        match self {
            Self::Stacks => "stack.list",
            Self::CheckName => "site.check_name",
            Self::Plans(_) => "plan.list",
            Self::Plan(_, operation) => operation.action(),
            Self::Sites(_) | Self::PlanSites(_) => "site.list",
            Self::Site(_, _, operation) => operation.action(),
        }
    }

    pub(super) fn target(&self) -> String {
        match self {
            Self::Stacks => "stacks".to_owned(),
            Self::CheckName => "apps".to_owned(),
            Self::Plans(None) => "plans".to_owned(),
            Self::Plans(Some(group)) => format!("plans of resource group {group}"),
            Self::Plan(plan, _) => format!("plan {} of resource group {}", plan.name, plan.group),
            Self::Sites(None) => "apps".to_owned(),
            Self::Sites(Some(group)) => format!("apps of resource group {group}"),
            Self::PlanSites(plan) => format!("apps of plan {} of resource group {}", plan.name, plan.group),
            Self::Site(_, app, _) => format!("app {app}"),
        }
    }

    pub(super) async fn operate(self, asked: &Asked<'_>, body: Body) -> Result<Answer, ArmError> {
        let target = self.target();
        let response = match self {
            Self::Stacks => stacks::list(asked).await?,
            Self::CheckName => stacks::check_name(asked, body).await?,
            Self::Plans(group) => {
                groups::there(asked, resource::plan::READ, group.as_ref()).await?;
                plans::list(asked, group.as_ref()).await?
            }
            Self::Plan(plan, operation) => operation.operate(asked, &plan, body).await?,
            Self::Sites(group) => {
                groups::there(asked, sites::READ, group.as_ref()).await?;
                sites::list(asked, group.as_ref()).await?
            }
            Self::PlanSites(plan) => sites::list_of(asked, &plan).await?,
            Self::Site(group, app, operation) => {
                operation.operate(&Here { asked, group: &group, name: &app }, body).await?
            }
        };
        Ok(Answer { target, response })
    }
}

impl SiteOperation {
    /// Below `…/sites/{name}`.
    fn route(method: &Method, rest: &[&str]) -> Result<Self, ArmError> {
        let lower: Vec<String> = rest.iter().map(|segment| segment.to_ascii_lowercase()).collect();
        let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
        let (get, put, post) = (*method == Method::GET, *method == Method::PUT, *method == Method::POST);
        Ok(match lower.as_slice() {
            [] if get => Self::Get,
            [] if put => Self::Put,
            [] if *method == Method::PATCH => Self::Update,
            [] if *method == Method::DELETE => Self::Delete,
            [] => return Err(ArmError::wrong_method("GET, PUT, PATCH, DELETE")),
            ["config"] if get => Self::ListConfig,
            ["config", "web"] if get => Self::GetWeb,
            ["config", "web"] if put || *method == Method::PATCH => Self::ChangeWeb,
            ["config", "appsettings"] if put => Self::PutSettings,
            ["config", "appsettings", "list"] if post => Self::ListSettings,
            ["config", "connectionstrings"] if put => Self::PutConnectionStrings,
            ["config", "connectionstrings", "list"] if post => Self::ListConnectionStrings,
            ["config", "metadata"] if put => Self::PutMetadata,
            ["config", "metadata", "list"] if post => Self::ListMetadata,
            ["config", "logs"] if get => Self::GetLogs,
            ["config", "logs"] if put => Self::PutLogs,
            ["config", "slotconfignames"] if get => Self::GetSlotNames,
            ["config", "slotconfignames"] if put => Self::PutSlotNames,
            ["config", "publishingcredentials", "list"] if post => Self::PublishingCredentials,
            ["publishxml"] if post => Self::PublishingProfile,
            ["basicpublishingcredentialspolicies"] if get => Self::ListBasic,
            ["basicpublishingcredentialspolicies", policy] => {
                let policy = publishing::policy(policy).ok_or_else(ArmError::no_such_path)?;
                match (get, put) {
                    (true, _) => Self::GetBasic(policy),
                    (_, true) => Self::PutBasic(policy),
                    _ => return Err(ArmError::wrong_method("GET, PUT")),
                }
            }
            ["start"] if post => Self::Start,
            ["stop"] if post => Self::Stop,
            ["restart"] if post => Self::Restart,
            ["instances"] if get => Self::Instances,
            ["slots"] if get => Self::Slots,
            // Ids are told in lower case.
            ["deploymentstatus", id] if get => Self::DeploymentStatus((*id).to_owned()),
            _ => return Err(ArmError::no_such_path()),
        })
    }

    const fn action(&self) -> &'static str {
        match self {
            Self::Get => "site.get",
            Self::Put | Self::Update => "site.put",
            Self::Delete => "site.delete",
            Self::ListConfig | Self::GetWeb | Self::GetLogs | Self::GetSlotNames => "site.config.get",
            Self::ChangeWeb | Self::PutMetadata | Self::PutLogs | Self::PutSlotNames => "site.config.put",
            Self::ListSettings | Self::ListConnectionStrings | Self::ListMetadata => "site.settings.list",
            Self::PutSettings | Self::PutConnectionStrings => "site.settings.put",
            Self::PublishingProfile | Self::PublishingCredentials | Self::ListBasic | Self::GetBasic(_) => {
                "site.publishing.get"
            }
            Self::PutBasic(_) => "site.publishing.put",
            Self::Start => "site.start",
            Self::Stop => "site.stop",
            Self::Restart => "site.restart",
            Self::Instances | Self::Slots => "site.instances.list",
            Self::DeploymentStatus(_) => "site.deployment.get",
        }
    }

    async fn operate(self, here: &Here<'_>, body: Body) -> Result<Response, ArmError> {
        match self {
            Self::Get => sites::get(here).await,
            Self::Put => sites::put(here, body, true).await,
            Self::Update => sites::put(here, body, false).await,
            Self::Delete => sites::delete(here).await,
            Self::ListConfig => config::list(here).await,
            Self::GetWeb => config::get(here).await,
            Self::ChangeWeb => config::change(here, body).await,
            Self::ListSettings => settings::list(here).await,
            Self::PutSettings => settings::put(here, body).await,
            Self::ListConnectionStrings => settings::list_connections(here).await,
            Self::PutConnectionStrings => settings::put_connections(here, body).await,
            Self::ListMetadata => config::metadata(here).await,
            Self::PutMetadata => config::put_metadata(here, body).await,
            Self::GetLogs => config::logs(here).await,
            Self::PutLogs => config::put_logs(here, body).await,
            Self::GetSlotNames => config::slot_names(here).await,
            Self::PutSlotNames => config::put_slot_names(here, body).await,
            Self::PublishingProfile => publishing::profile(here).await,
            Self::PublishingCredentials => publishing::credentials(here).await,
            Self::ListBasic => publishing::list(here).await,
            Self::GetBasic(policy) => publishing::basic(here, policy).await,
            Self::PutBasic(policy) => publishing::put_basic(here, policy, body).await,
            Self::Start => state::start(here).await,
            Self::Stop => state::stop(here).await,
            Self::Restart => state::restart(here).await,
            Self::Instances => state::instances(here).await,
            Self::DeploymentStatus(id) => state::deployment_status(here, &id).await,
            Self::Slots => state::slots(here).await,
        }
    }
}

/// The app that a request is about, which need not be there.
struct Here<'a> {
    asked: &'a Asked<'a>,
    group: &'a ResourceGroupName,
    name: &'a AppName,
}

/// A part of an app's configuration. Written as it is, without a copy between: values of settings may be among the properties.
#[derive(Serialize)]
struct Part<'p, P> {
    id: String,
    location: &'p Location,
    name: &'p str,
    properties: P,
    r#type: String,
}

impl Part<'_, Value> {
    /// As an item of a list: one without secrets.
    fn item(self) -> Value {
        let Self { id, location, name, properties, r#type } = self;
        json!({"id": id, "location": location, "name": name, "properties": properties, "type": r#type})
    }
}

impl Here<'_> {
    /// The app, if it is in this group. Whether it is there is told only to who may do what was asked for. What is done to it asks again, in
    /// the decision that does it.
    async fn app(&self, operation: &'static str) -> Result<AppView, ArmError> {
        let view = self.found().await?;
        let scope = view.as_ref().map(|view| Scope::App(view.app.id));
        let around = match &scope {
            Some(scope) => Around::resource(scope, self.group),
            None => Around::group(self.group),
        };
        self.asked.state.resource.may(self.asked.by(), operation, &around).await?;
        match view {
            Some(view) => Ok(view),
            None => {
                let _there = self.asked.state.resource.group(Manager::Administrator, self.group).await?;
                Err(ArmError::no_such_resource(
                    "Microsoft.Web/sites",
                    self.name.as_str(),
                    self.group.as_str(),
                ))
            }
        }
    }

    /// The app, if it is there at all and in this group.
    async fn found(&self) -> Result<Option<AppView>, ArmError> {
        match self.asked.state.host.app(Manager::Administrator, self.name).await {
            Ok(view) => Ok((view.app.placement.group == *self.group).then_some(view)),
            Err(HostError::AppNotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The resource id of an app.
    fn id(&self, app: &App) -> String {
        site_id(self.asked, app)
    }

    /// A part of an app's configuration, in the form that all have.
    fn part(&self, app: &App, part: &str, properties: impl Serialize) -> Response {
        answer(StatusCode::OK, &self.part_shown(app, part, properties))
    }

    fn part_shown<'p, P>(&self, app: &'p App, part: &'p str, properties: P) -> Part<'p, P> {
        let kind = part.split('/').next().unwrap_or_default();
        Part {
            id: format!("{}/{part}", self.id(app)),
            location: &app.placement.location,
            name: part.rsplit('/').next().unwrap_or_default(),
            properties,
            r#type: format!("Microsoft.Web/sites/{kind}"),
        }
    }

    /// Has what runs follow.
    fn changed(&self) {
        self.asked.state.outside.changed(self.name);
    }
}

fn site_id(asked: &Asked<'_>, app: &App) -> String {
    let group = &app.placement.group;
    format!("{}/resourceGroups/{group}/providers/Microsoft.Web/sites/{}", asked.subscription_path(), app.name)
}

fn plan_id(asked: &Asked<'_>, plan: &PlanRef) -> String {
    format!(
        "{}/resourceGroups/{}/providers/Microsoft.Web/serverfarms/{}",
        asked.subscription_path(),
        plan.group,
        plan.name
    )
}

/// The group of a resource id: of such a type, in this subscription.
fn group_of(asked: &Asked<'_>, id: &[String], namespace: &str, kind: &str) -> Option<ResourceGroupName> {
    let id: Vec<&str> = id.iter().map(String::as_str).collect();
    match id.as_slice() {
        [one, subscription, groups, group, providers, of, wanted, _name]
            if is(one, "subscriptions")
                && subscription.parse() == Ok(asked.state.resource.subscription().id)
                && is(groups, "resourceGroups")
                && is(providers, "providers")
                && is(of, namespace)
                && is(wanted, kind) =>
        {
            ResourceGroupName::parse(group).ok()
        }
        _ => None,
    }
}

fn only(method: &Method, wanted: &Method, operation: WebOperation) -> Result<WebOperation, ArmError> {
    match (method == wanted, *wanted == Method::GET) {
        (true, _) => Ok(operation),
        (false, true) => Err(ArmError::wrong_method("GET")),
        (false, false) => Err(ArmError::wrong_method("POST")),
    }
}

#[cfg(test)]
mod tests;
