//! Apps as the resource manager's clients know them: what they set that changes nothing of how an app runs, and the plan that it is in.

use crate::{
    ResourceError, ResourceService,
    plan::{JOIN, Plan, allowed},
    service::unless,
};
use access::{Around, Manager, Scope};
use domain::{AppId, AppName, Timestamp, limits};
use host::{App, AppView, HostService, PlanRef, Site, SiteValue, Whole};
use std::{collections::BTreeMap, sync::Arc};
use store::{Decision, Halt, View, Write, put, query, refuse, transact};

/// A change; what is `None` or not named stays.
#[derive(Clone, Debug, Default)]
pub struct SiteChange {
    /// The plan that it is in.
    pub plan: Option<PlanRef>,
    /// Its kind.
    pub kind: Option<String>,
    /// Values; `None` takes one away.
    pub values: BTreeMap<String, Option<SiteValue>>,
    /// Settings that stay in their slot.
    pub slot_settings: Option<Vec<String>>,
    /// Connection strings that stay in their slot.
    pub slot_connection_strings: Option<Vec<String>>,
}

impl SiteChange {
    /// All but the plan, which must be there.
    fn apply(&self, site: &mut Site) {
        if let Some(kind) = &self.kind {
            site.kind.clone_from(kind);
        }
        for (name, value) in &self.values {
            match value {
                Some(value) => drop(site.values.insert(name.clone(), value.clone())),
                None => drop(site.values.remove(name)),
            }
        }
        if let Some(names) = &self.slot_settings {
            site.slot_settings.clone_from(names);
        }
        if let Some(names) = &self.slot_connection_strings {
            site.slot_connection_strings.clone_from(names);
        }
    }
}

/// An app's site and its plan.
#[derive(Clone, Debug)]
pub struct SiteView {
    /// What was set.
    pub site: Arc<Site>,
    /// Its plan.
    pub plan: Arc<Plan>,
}

impl ResourceService {
    /// What is known of an app's site, for who may read the app.
    ///
    /// # Errors
    /// [`ResourceError::Unmanaged`].
    pub async fn site(&self, by: Manager<'_>, app: &App) -> Result<SiteView, ResourceError> {
        query(&*self.store, |view| {
            may(view, by, "Microsoft.Web/sites/read", app)?;
            let site = view.get::<Site>(&app.id)?.unwrap_or_default();
            let plan = plan_of(view, &site)?;
            Ok(SiteView { site, plan })
        })
        .await
    }

    /// Changes it.
    ///
    /// # Errors
    /// [`ResourceError::Unmanaged`], [`ResourceError::PlanNotFound`], [`ResourceError::AppGone`], [`ResourceError::TooMuch`].
    pub async fn change_site(
        &self,
        by: Manager<'_>,
        operation: &'static str,
        app: &App,
        change: &SiteChange,
    ) -> Result<(), ResourceError> {
        transact(&*self.store, &*self.entropy, |view| decide(view, by, operation, app, change)).await
    }

    /// Changes it with all that the host makes of the app, or makes the app so, in one commit.
    ///
    /// # Errors
    /// As [`Self::change_site`]; [`ResourceError::Host`].
    pub async fn change_app(
        &self,
        host: &HostService,
        by: Manager<'_>,
        name: &AppName,
        (whole, operation, change): (&Whole<'_>, &'static str, &SiteChange),
        now: Timestamp,
    ) -> Result<AppView, ResourceError> {
        host.change_whole(by, name, whole, |view, app| decide(view, by, operation, app, change), now).await
    }
}

fn decide(
    view: &View,
    by: Manager<'_>,
    operation: &'static str,
    app: &App,
    change: &SiteChange,
) -> Result<Decision<()>, Halt<ResourceError>> {
    may(view, by, operation, app)?;
    // It may have been deleted meanwhile: its site would be left.
    if view.get::<App>(&app.name)?.is_none_or(|found| found.id != app.id) {
        return refuse(ResourceError::AppGone(app.name.clone()));
    }
    let before = view.get::<Site>(&app.id)?.unwrap_or_default();
    let (mut site, mut writes) = (Site::clone(&before), Vec::new());
    if let Some(reference) = &change.plan
        && *reference != plan_of(view, &before)?.reference()
    {
        let plan = allowed(view, by, JOIN, reference)?;
        (site.plan, site.plan_id) = (None, None);
        if !Plan::is_always(reference) {
            let joined = Plan { joined: plan.joined + 1, ..Plan::clone(&plan) };
            writes.push(put::<Plan>(&(reference.group.clone(), reference.name.clone()), &joined));
            (site.plan, site.plan_id) = (Some(plan.reference()), Some(plan.id));
        }
    }
    change.apply(&mut site);
    let write = fitting(&app.id, &site).map_err(Halt::Refuse)?;
    if site == *before {
        return Ok(Decision::read(()));
    }
    writes.push(write);
    Ok(Decision::of((), writes))
}

/// The write of a site, if it may be so. Within each of its limits it may still be more than a record has room for.
fn fitting(app: &AppId, site: &Site) -> Result<Write, ResourceError> {
    check(site)?;
    let write = put::<Site>(app, site);
    if write.fits() { Ok(write) } else { Err(ResourceError::TooMuch) }
}

/// The plan of a site. One that was deleted in spite of it, such as with its group, is told as the one that is always there, also where there is
/// another of its name.
fn plan_of(view: &View, site: &Site) -> Result<Arc<Plan>, Halt<ResourceError>> {
    let found = match &site.plan {
        Some(plan) => view.get::<Plan>(&(plan.group.clone(), plan.name.clone()))?,
        None => None,
    };
    Ok(found.filter(|plan| site.is_in(plan.id)).unwrap_or_else(|| Arc::new(Plan::always())))
}

fn may(view: &View, by: Manager<'_>, operation: &'static str, app: &App) -> Result<(), Halt<ResourceError>> {
    let scope = Scope::App(app.id);
    let around = Around::resource(&scope, &app.placement.group);
    by.may(view, operation, &around).map(drop).map_err(unless)
}

fn check(site: &Site) -> Result<(), ResourceError> {
    let is_long = |text: &String| text.len() > limits::SITE_VALUE_BYTES_MAX;
    let is_value_long = |value: &SiteValue| matches!(value, SiteValue::Text(text) if is_long(text));
    let names = || site.slot_settings.iter().chain(&site.slot_connection_strings);
    let is_too_much = site.values.len() > limits::SITE_VALUES_MAX
        || site.values.values().any(is_value_long)
        || is_long(&site.kind)
        || names().count() > limits::APP_SETTINGS_MAX
        || names().any(|name| name.len() > limits::APP_SETTING_NAME_BYTES_MAX);
    if is_too_much { Err(ResourceError::TooMuch) } else { Ok(()) }
}
