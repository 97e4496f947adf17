//! `sites`: an app itself. PUT takes what it knows and leaves what was not said: clients send back the whole of what they were told, with one
//! thing changed.

use super::{
    super::{
        Asked, answer, date, empty, error::ArmError, list as listed, location, path::segments, said,
        said::Said, tags,
    },
    Here,
    config::{self, Config},
    identity, plan_id, settings, site_id,
};
use crate::outside::Named;
use access::{Around, Gone, Manager, Unmanaged};
use axum::{body::Body, response::Response};
use domain::{Location, Placement, PlanId, PlanName, ResourceGroupName, Tags};
use host::{App, AppView, DesiredState, HostError, PlanRef, Which};
use http::StatusCode;
use resource::{ResourceError, SiteChange, SiteView};
use serde_json::{Value, json};

/// Reading an app.
pub(super) const READ: &str = "Microsoft.Web/sites/read";
/// Making or changing one.
pub(super) const WRITE: &str = "Microsoft.Web/sites/write";
/// Deleting one.
const DELETE: &str = "Microsoft.Web/sites/delete";
/// Bytes of what is said of its kind. Ours.
const KIND_BYTES_MAX: usize = 64;

/// What a request wants of an app; what is `None` stays.
struct Wanted {
    location: Option<Location>,
    tags: Option<Tags>,
    /// What is only told again, and the plan.
    site: SiteChange,
    identity: Option<identity::Wanted>,
    settings: settings::OfConfig,
    running: config::Running,
}

pub(super) async fn get(here: &Here<'_>) -> Result<Response, ArmError> {
    let _there = here.app(READ).await?;
    let view = here.asked.state.host.app(here.asked.by(), here.name).await?;
    let site = site_of(here.asked, here.asked.by(), &view).await?;
    Ok(answer(StatusCode::OK, &shown(here.asked, &view, &site).await?))
}

/// Apps that may be read: all, or those of a group.
pub(super) async fn list(asked: &Asked<'_>, group: Option<&ResourceGroupName>) -> Result<Response, ArmError> {
    listed(asked, seen(asked, group, None).await?)
}

/// Those of a plan. Of others no more is read than whose plan they are in.
pub(super) async fn list_of(asked: &Asked<'_>, plan: &PlanRef) -> Result<Response, ArmError> {
    let there = asked.state.resource.plan_alone(asked.by(), plan).await?;
    listed(asked, seen(asked, None, Some(there.id)).await?)
}

async fn seen(
    asked: &Asked<'_>,
    group: Option<&ResourceGroupName>,
    plan: Option<PlanId>,
) -> Result<Vec<Value>, ArmError> {
    let mut values = Vec::new();
    for view in asked.state.host.apps(asked.by()).await? {
        if group.is_some_and(|group| *group != view.app.placement.group) {
            continue;
        }
        let value = match site_of(asked, asked.by(), &view).await {
            Ok(site) if plan.is_some_and(|plan| plan != site.plan.id) => continue,
            Ok(site) => shown(asked, &view, &site).await,
            Err(unshown) => Err(unshown),
        };
        match value {
            Ok(value) => values.push(value),
            // Deleted meanwhile, or not theirs to see any more.
            Err(Unshown::Unseen | Unshown::Gone(_)) => {}
            Err(Unshown::Error(error)) => return Err(error),
        }
    }
    Ok(values)
}

pub(super) async fn put(here: &Here<'_>, body: Body, is_whole: bool) -> Result<Response, ArmError> {
    let (asked, name) = (here.asked, here.name);
    let wanted = read(here, &said(body).await?, is_whole)?;
    let there = match here.found().await? {
        None if is_whole => None,
        _ => Some(here.app(WRITE).await?.app),
    };
    let new = match &there {
        Some(app) => wanted.stays(app).map(|()| None)?,
        None => Some(wanted.placement(here).await?),
    };
    let which = match (&there, &new) {
        (Some(app), _) => Which::There(app),
        (None, placement) => Which::New(placement.as_ref().ok_or_else(ArmError::no_location)?),
    };
    if let Some(identity) = &wanted.identity {
        identity.check(asked).await?;
    }
    let identities = wanted.identity.as_ref().map(|identity| identity.wanted(is_whole));
    let tags = wanted.tags.as_ref().filter(|_| there.is_some());
    let config = Config { settings: &wanted.settings, running: &wanted.running };
    let changed = config.change(here, (which, tags, identities.as_ref()), (WRITE, &wanted.site)).await?;
    if there.is_none() {
        asked.state.outside.names_changed(Named::App(name.clone())).await;
    }
    // What was just written is told to who wrote it, who need not be able to read it later. Another app of its name is not what they wrote.
    let view = asked.state.host.app(Manager::Administrator, name).await?;
    if view.app.id != changed.app.id {
        return Err(HostError::AppNotFound(name.clone()).into());
    }
    let site = site_of(asked, Manager::Administrator, &view).await?;
    Ok(answer(StatusCode::OK, &shown(asked, &view, &site).await?))
}

pub(super) async fn delete(here: &Here<'_>) -> Result<Response, ArmError> {
    let asked = here.asked;
    let view = match here.app(DELETE).await {
        Ok(view) => view,
        // It is as it is to be.
        Err(error) if error.is_not_found() => return Ok(empty(StatusCode::NO_CONTENT)),
        Err(error) => return Err(error),
    };
    let plan = asked.state.resource.site(Manager::Administrator, &view.app).await?.plan.reference();
    let app = asked.state.host.delete_app(asked.by(), here.name, asked.context.now).await?;
    asked.state.outside.app_deleted(here.name, app).await;
    let mut gone = vec![Gone::App(app)];
    if !asked.query.keeps_plan {
        // As App Service does, and `az` says that it does: with its last app a plan goes, as far as who asks may delete it.
        match asked.state.resource.delete_plan(asked.by(), &plan).await {
            Ok(plan) => gone.push(Gone::Plan(plan)),
            Err(
                ResourceError::PlanInUse(_)
                | ResourceError::PlanStays(_)
                | ResourceError::PlanNotFound(_)
                | ResourceError::Unmanaged(_),
            ) => {}
            // The app is gone, and so says the answer. An empty plan is nobody's harm, and is deleted by its own name.
            Err(error) => {
                tracing::warn!(error = domain::chain(&error), "the plan of an app that is gone is left")
            }
        }
    }
    asked.state.forget_soon(&gone).await;
    Ok(empty(StatusCode::OK))
}

fn read(here: &Here<'_>, whole: &Said, is_whole: bool) -> Result<Wanted, ArmError> {
    let members = whole.plain(&["location", "tags"]);
    let kind = match whole.member("kind").map(Said::text) {
        None => None,
        Some(Some(kind)) if is_kind(kind) => Some(kind.to_owned()),
        Some(_) => return Err(ArmError::bad_content("The kind is not valid.")),
    };
    let properties = config::properties(whole)?;
    let config = config::object_at(properties, "siteConfig")?;
    let plan = match properties.member("serverFarmId").map(Said::text) {
        None => None,
        Some(Some(id)) => Some(plan(here, id)?),
        Some(None) => return Err(ArmError::bad_content("The serverFarmId is no string.")),
    };
    let mut values = config::read(config::SITE, properties)?;
    values.extend(config::read(config::WEB, config)?);
    let identity = whole.member("identity").map(|identity| identity::read(here.asked, identity, is_whole));
    Ok(Wanted {
        location: location(&members)?,
        tags: tags(&members)?,
        site: SiteChange { plan, kind, values, ..SiteChange::default() },
        identity: identity.transpose()?,
        settings: settings::of_config(config)?,
        running: config::running(config)?,
    })
}

impl Wanted {
    /// An app stays where it is.
    fn stays(&self, app: &App) -> Result<(), ArmError> {
        match self.location.as_ref().is_some_and(|location| *location != app.placement.location) {
            true => Err(ArmError::elsewhere(app.name.as_str(), &app.placement)),
            false => Ok(()),
        }
    }

    /// Where one is made. What is missing is told only to who may make one there; the decision that makes it asks again.
    async fn placement(&self, here: &Here<'_>) -> Result<Placement, ArmError> {
        let asked = here.asked;
        asked.state.resource.may(asked.by(), WRITE, &Around::group(here.group)).await?;
        let location = self.location.clone().ok_or_else(ArmError::no_location)?;
        let tags = self.tags.clone().unwrap_or_default();
        Ok(Placement { group: here.group.clone(), location, tags })
    }
}

fn is_kind(kind: &str) -> bool {
    kind.len() <= KIND_BYTES_MAX
        && kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b',' | b'.' | b'-'))
}

/// A plan, by its resource id or by its name in the app's own group.
fn plan(here: &Here<'_>, id: &str) -> Result<PlanRef, ArmError> {
    let malformed = || ArmError::bad_content("The serverFarmId is no plan's id.");
    let named = |name: &str| PlanName::parse(name).map_err(|_| malformed());
    if !id.contains('/') {
        return Ok(PlanRef { group: here.group.clone(), name: named(id)? });
    }
    let segments = segments(id).map_err(|_| malformed())?;
    let group =
        super::group_of(here.asked, &segments, "Microsoft.Web", "serverfarms").ok_or_else(malformed)?;
    Ok(PlanRef { group, name: named(segments.last().map_or("", String::as_str))? })
}

/// Why an app is not shown.
enum Unshown {
    /// Who asks may not see it any more.
    Unseen,
    /// It was deleted meanwhile.
    Gone(HostError),
    Error(ArmError),
}

impl From<Unshown> for ArmError {
    fn from(unshown: Unshown) -> Self {
        match unshown {
            Unshown::Unseen => Self::not_authorized(READ),
            Unshown::Gone(error) => error.into(),
            Unshown::Error(error) => error,
        }
    }
}

async fn site_of(asked: &Asked<'_>, by: Manager<'_>, view: &AppView) -> Result<SiteView, Unshown> {
    asked.state.resource.site(by, &view.app).await.map_err(|error| match error {
        ResourceError::Unmanaged(Unmanaged::NoRole(_)) => Unshown::Unseen,
        error => Unshown::Error(error.into()),
    })
}

async fn shown(asked: &Asked<'_>, view: &AppView, site: &SiteView) -> Result<Value, Unshown> {
    let app = &view.app;
    let desired = match asked.state.host.desired_of(app).await {
        Ok(desired) => desired,
        Err(error @ HostError::AppNotFound(_)) => return Err(Unshown::Gone(error)),
        Err(error) => return Err(Unshown::Error(error.into())),
    };
    let identity = identity::shown(asked, view).await.map_err(Unshown::Error)?;
    let names = asked.context.names(asked.state);
    let without_scheme = |url: String| url.strip_prefix("https://").map_or(url.clone(), str::to_owned);
    let host = without_scheme(names.app_url(&app.name));
    let scm = without_scheme(names.scm_url(&app.name));
    let is_stopped = desired.as_ref().is_some_and(|desired| desired.state == DesiredState::Stopped);
    let kind = match (&*site.site.kind, site.plan.is_linux) {
        ("" | "app", true) => "app,linux",
        ("", false) => "app",
        (kind, _) => kind,
    };
    let mut properties = json!({
        "name": app.name,
        "state": if is_stopped { "Stopped" } else { "Running" },
        "enabled": true,
        "adminEnabled": true,
        "availabilityState": "Normal",
        "usageState": "Normal",
        "hostNames": [host],
        "enabledHostNames": [host, scm],
        "defaultHostName": host,
        "hostNameSslStates": [
            {"name": host, "sslState": "SniEnabled", "hostType": "Standard"},
            {"name": scm, "sslState": "SniEnabled", "hostType": "Repository"},
        ],
        "repositorySiteName": app.name,
        "serverFarmId": plan_id(asked, &site.plan.reference()),
        "sku": site.plan.size.tier,
        "resourceGroup": app.placement.group,
        "reserved": site.plan.is_linux,
        "isXenon": false,
        "hyperV": false,
        "scmSiteAlsoStopped": false,
        "redundancyMode": "None",
        "containerSize": 0,
        "lastModifiedTimeUtc": date(app.changed),
        "siteConfig": config::web(&site.site, desired.as_deref()),
    });
    if let Value::Object(properties) = &mut properties {
        properties.extend(config::told(config::SITE, &site.site));
    }
    let mut shown = json!({
        "id": site_id(asked, app),
        "name": app.name,
        "type": "Microsoft.Web/sites",
        "kind": kind,
        "location": app.placement.location,
        "tags": app.placement.tags,
        "properties": properties,
    });
    if let (Some(identity), Value::Object(shown)) = (identity, &mut shown) {
        shown.insert("identity".to_owned(), identity);
    }
    Ok(shown)
}
