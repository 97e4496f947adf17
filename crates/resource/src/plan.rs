//! App Service plans: what clients want an app to be in. A plan is a name, a size that is told again, and what is in it; an app runs the same
//! in each. One is always there, in the group that is: apps are in it that were made without a plan.
//!
//! A plan that has apps is not deleted. Each app that comes into a plan counts in its record, so that of two that happen at once, an app's
//! coming and the plan's deletion, the second decides again.

use crate::{ResourceError, ResourceService, service::unless};
use access::{Around, Gone, Manager, ResourceGroup, Scope, Unmanaged, Vacated, may_hold};
use domain::{Location, Placement, PlanId, PlanName, ResourceGroupName, Tags, Timestamp, limits};
use host::{PlanRef, Site};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, sync::Arc};
use store::{Decision, Halt, Key, Record, StoreError, View, Write, delete, put, query, refuse, transact};
use uuid::Uuid;

/// Seeing a plan.
pub const READ: &str = "Microsoft.Web/serverfarms/read";
/// Making or changing one.
pub const WRITE: &str = "Microsoft.Web/serverfarms/write";
/// Deleting one.
pub const DELETE: &str = "Microsoft.Web/serverfarms/delete";
/// Having an app in one.
pub const JOIN: &str = "Microsoft.Web/serverfarms/join/action";

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Never used again. Of the one that is always there: all zeros.
    pub id: PlanId,
    /// As it was spelled when it was made.
    pub name: PlanName,
    /// Where it is.
    pub placement: Placement,
    /// Its size.
    pub size: Size,
    /// Is it for Linux? Everything here is; clients that made it for Windows are told so.
    pub is_linux: bool,
    /// Counts apps that came into it.
    #[serde(default)]
    pub joined: u64,
    /// When it was made.
    pub created: Timestamp,
}

/// What a plan is said to cost and give. It is told again and nothing else: limits of an app are its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Such as `B1`.
    pub name: String,
    /// Such as `Basic`.
    pub tier: String,
    /// How many machines.
    pub capacity: u32,
}

impl Default for Size {
    fn default() -> Self {
        Self { name: "F1".to_owned(), tier: "Free".to_owned(), capacity: 1 }
    }
}

/// A change of a plan; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct PlanChange {
    /// Where it is.
    pub location: Option<Location>,
    /// All of its tags.
    pub tags: Option<Tags>,
    /// Its size.
    pub size: Option<Size>,
    /// Is it for Linux?
    pub is_linux: Option<bool>,
}

impl Record for Plan {
    type Id = (ResourceGroupName, PlanName);

    fn key((group, name): &Self::Id) -> Key {
        Key::new(format!("plan/{}/{}", group.folded(), name.folded()))
    }
}

impl Plan {
    /// Below which all of them are.
    pub fn prefix() -> Key {
        Key::new("plan/")
    }

    /// By what apps name it.
    pub fn reference(&self) -> PlanRef {
        PlanRef { group: self.placement.group.clone(), name: self.name.clone() }
    }

    /// The one that is always there.
    pub fn always() -> Self {
        Self {
            id: PlanId::from_uuid(Uuid::nil()),
            name: PlanName::default(),
            placement: Placement::default(),
            size: Size::default(),
            is_linux: true,
            joined: 0,
            created: Timestamp::default(),
        }
    }

    pub(crate) fn is_always(reference: &PlanRef) -> bool {
        reference.group == ResourceGroupName::default() && reference.name == PlanName::default()
    }
}

/// A plan with how many apps are in it.
#[derive(Clone, Debug)]
pub struct PlanView {
    /// The plan.
    pub plan: Arc<Plan>,
    /// Apps in it.
    pub apps: usize,
}

impl ResourceService {
    /// Changes a plan that is there.
    ///
    /// # Errors
    /// [`ResourceError::Unmanaged`], [`ResourceError::PlanNotFound`], [`ResourceError::Group`].
    pub async fn change_plan(
        &self,
        by: Manager<'_>,
        plan: &PlanRef,
        change: &PlanChange,
        now: Timestamp,
    ) -> Result<PlanView, ResourceError> {
        let put =
            transact(&*self.store, &*self.entropy, |view| decide_put(view, by, plan, None, change, now))
                .await?;
        self.with_apps(put).await
    }

    /// Makes a plan, or changes one.
    ///
    /// # Errors
    /// [`ResourceError::Unmanaged`], [`ResourceError::Group`].
    pub async fn put_plan(
        &self,
        by: Manager<'_>,
        plan: &PlanRef,
        change: &PlanChange,
        now: Timestamp,
    ) -> Result<PlanView, ResourceError> {
        let id = Some(PlanId::random(&*self.entropy));
        let put = transact(&*self.store, &*self.entropy, |view| decide_put(view, by, plan, id, change, now))
            .await?;
        self.with_apps(put).await
    }

    /// One plan.
    ///
    /// # Errors
    /// [`ResourceError::Unmanaged`], [`ResourceError::PlanNotFound`].
    pub async fn plan(&self, by: Manager<'_>, plan: &PlanRef) -> Result<PlanView, ResourceError> {
        self.with_apps(self.plan_alone(by, plan).await?).await
    }

    /// The same, for who need not know how many apps are in it: they are all counted for that.
    ///
    /// # Errors
    /// [`ResourceError::Unmanaged`], [`ResourceError::PlanNotFound`].
    pub async fn plan_alone(&self, by: Manager<'_>, plan: &PlanRef) -> Result<Arc<Plan>, ResourceError> {
        query(&*self.store, |view| allowed(view, by, READ, plan)).await
    }

    /// The plans that somebody may see, but for the one that is always there.
    ///
    /// # Errors
    /// The store's.
    pub async fn plans(&self, by: Manager<'_>) -> Result<Vec<PlanView>, ResourceError> {
        let mut plans = Vec::new();
        for (_, plan) in self.all::<Plan>(&Plan::prefix()).await? {
            match query(&*self.store, |view| allowed(view, by, READ, &plan.reference())).await {
                Ok(plan) => plans.push(PlanView { plan, apps: 0 }),
                // Not for them to see, or deleted meanwhile.
                Err(ResourceError::Unmanaged(Unmanaged::NoRole(_)) | ResourceError::PlanNotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if plans.is_empty() {
            return Ok(plans);
        }
        // Once for all of them: there are more sites than plans.
        let sites = self.all::<Site>(&Site::prefix()).await?;
        let mut counted: HashMap<String, Vec<&Site>> = HashMap::new();
        for (_, site) in &sites {
            let Some(plan) = &site.plan else { continue };
            counted.entry(plan.group.folded() + "/" + &plan.name.folded()).or_default().push(site);
        }
        for view in &mut plans {
            let name = view.plan.placement.group.folded() + "/" + &view.plan.name.folded();
            let there = counted.get(&name).into_iter().flatten();
            view.apps = there.filter(|site| site.is_in(view.plan.id)).count();
        }
        Ok(plans)
    }

    /// Deletes a plan in which no app is. Answers what is gone, at which roles may be left.
    ///
    /// # Errors
    /// [`ResourceError::Unmanaged`], [`ResourceError::PlanNotFound`], [`ResourceError::PlanInUse`], [`ResourceError::PlanStays`].
    pub async fn delete_plan(&self, by: Manager<'_>, plan: &PlanRef) -> Result<PlanId, ResourceError> {
        for _ in 0..limits::TRANSACT_ATTEMPTS_MAX {
            let seen = query(&*self.store, |view| allowed(view, by, DELETE, plan)).await?;
            if Plan::is_always(plan) {
                return Err(ResourceError::PlanStays(plan.name.clone()));
            }
            if self.apps_in(&seen).await? > 0 {
                return Err(ResourceError::PlanInUse(plan.name.clone()));
            }
            let id = (plan.group.clone(), plan.name.clone());
            let is_done = transact::<_, ResourceError>(&*self.store, &*self.entropy, |view| {
                // An app came into it meanwhile, or it is another of its name.
                let found = allowed(view, by, DELETE, plan)?;
                if (found.id, found.joined) != (seen.id, seen.joined) {
                    return Ok(Decision::read(false));
                }
                Ok(Decision::of(true, gone(&id, &seen)))
            });
            if is_done.await? {
                return Ok(seen.id);
            }
        }
        Err(StoreError::Unavailable("apps come into the plan again and again".to_owned()).into())
    }

    /// The plans of a group that is going.
    ///
    /// # Errors
    /// The store's.
    pub async fn plans_in(&self, group: &ResourceGroup) -> Result<Vec<Arc<Plan>>, ResourceError> {
        let all = self.all::<Plan>(&Plan::prefix()).await?.into_iter().map(|(_, plan)| plan);
        Ok(all.filter(|plan| plan.placement.group == group.name).collect())
    }

    /// Deletes such a plan. An app of another group that is in it is told as being in the one that is always there. Says whether it was there
    /// still, and the group going.
    ///
    /// # Errors
    /// The store's.
    pub async fn delete_plan_in(&self, group: &ResourceGroup, plan: &Plan) -> Result<bool, ResourceError> {
        let id = (group.name.clone(), plan.name.clone());
        let done = transact(&*self.store, &*self.entropy, |view| {
            let around = Around::group(&group.name);
            let _permit = Manager::Deletion(group).may(view, DELETE, &around).map_err(unless)?;
            match view.get::<Plan>(&id)? {
                Some(found) if found.id == plan.id => Ok(Decision::of(true, gone(&id, &found))),
                _ => Ok(Decision::read(false)),
            }
        });
        match done.await {
            // Another deletion of the group has come to its end.
            Err(ResourceError::Unmanaged(Unmanaged::NoRole(_))) => Ok(false),
            done => done,
        }
    }

    async fn with_apps(&self, plan: Arc<Plan>) -> Result<PlanView, ResourceError> {
        let apps = self.apps_in(&plan).await?;
        Ok(PlanView { plan, apps })
    }

    async fn apps_in(&self, plan: &Plan) -> Result<usize, ResourceError> {
        let (sites, name) = (self.all::<Site>(&Site::prefix()).await?, plan.reference());
        let is_in = |site: &Site| site.plan.as_ref() == Some(&name) && site.is_in(plan.id);
        Ok(sites.iter().filter(|(_, site)| is_in(site)).count())
    }
}

/// Changes a plan, or makes one of this id if there is none; without an id only what is there is changed.
fn decide_put(
    view: &View,
    by: Manager<'_>,
    reference: &PlanRef,
    id: Option<PlanId>,
    change: &PlanChange,
    now: Timestamp,
) -> Result<Decision<Arc<Plan>>, Halt<ResourceError>> {
    let (before, mut plan) = match (allowed(view, by, WRITE, reference), id) {
        (Ok(plan), _) => (Some(plan.clone()), Plan::clone(&plan)),
        (Err(Halt::Refuse(ResourceError::PlanNotFound(_))), Some(id)) => {
            let new = Plan {
                id,
                name: reference.name.clone(),
                placement: Placement { group: reference.group.clone(), ..Placement::default() },
                created: now,
                ..Plan::always()
            };
            (None, new)
        }
        (Err(halt), _) => return Err(halt),
    };
    may_hold(view, &reference.group)?.map_err(|fault| Halt::Refuse(fault.into()))?;
    if let Some(location) = &change.location {
        if before.is_some() && *location != plan.placement.location {
            let (name, placement) = (plan.name, Box::new(plan.placement));
            return refuse(ResourceError::PlanElsewhere { name, placement });
        }
        plan.placement.location = location.clone();
    }
    if let Some(tags) = &change.tags {
        plan.placement.tags = tags.clone();
    }
    if let Some(size) = &change.size {
        plan.size = size.clone();
    }
    if let Some(is_linux) = change.is_linux {
        plan.is_linux = is_linux;
    }
    if before.as_deref() == Some(&plan) {
        return Ok(Decision::read(Arc::new(plan)));
    }
    let write = put::<Plan>(&(reference.group.clone(), reference.name.clone()), &plan);
    Ok(Decision::of(Arc::new(plan), vec![write]))
}

/// What is written when a plan goes.
fn gone(id: &(ResourceGroupName, PlanName), plan: &Plan) -> Vec<Write> {
    vec![delete::<Plan>(id), Vacated::mark(Gone::Plan(plan.id))]
}

/// A plan to which somebody may do this. Whether there is one is told only to who may do it in its group.
pub(crate) fn allowed(
    view: &View,
    by: Manager<'_>,
    operation: &'static str,
    reference: &PlanRef,
) -> Result<Arc<Plan>, Halt<ResourceError>> {
    let found = match view.get::<Plan>(&(reference.group.clone(), reference.name.clone()))? {
        None if Plan::is_always(reference) => Some(Arc::new(Plan::always())),
        found => found,
    };
    let scope = found.as_ref().map(|plan| Scope::Plan(plan.id));
    let around = match &scope {
        Some(scope) => Around::resource(scope, &reference.group),
        None => Around::group(&reference.group),
    };
    let _permit = by.may(view, operation, &around).map_err(unless)?;
    match found {
        Some(plan) => Ok(plan),
        None => refuse(ResourceError::PlanNotFound(reference.name.clone())),
    }
}

#[cfg(test)]
mod tests;
