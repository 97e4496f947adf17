//! An app made or changed as a whole: what is written on it, its settings, how it runs, its identities, and what others keep beside it. It is one
//! commit: of a refusal nothing is left, and nobody sees a part of it.

use crate::{
    App, AppView, Change, Desired, HostError, HostService, WantedIdentities, app, desired,
    identities::{self, New},
    settings::{self, Meant, Wanted},
};
use access::Manager;
use domain::{AppId, AppName, Placement, Tags, Timestamp};
use store::{Decision, Halt, StoreError, View, refuse, transact};

/// Which app is meant.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// One that is to be made, and where.
    New(&'a Placement),
    /// This very one, and no other of its name.
    There(&'a App),
}

/// How an app is to run, seen from how it does; nothing: as it does. Repeated as often as it must be.
pub type Run<'a> = &'a (dyn Fn(Option<&Desired>) -> Option<Change> + Sync);

/// All that is to be so; what is not said stays.
#[derive(Clone, Copy)]
pub struct Whole<'a> {
    /// The app.
    pub which: Which<'a>,
    /// What is written on it.
    pub tags: Option<&'a Tags>,
    /// Settings that replace those that are meant, and which these are.
    pub settings: &'a [(&'a [Wanted], Meant<'a>)],
    /// How it runs.
    pub run: Option<Run<'a>>,
    /// Which identities it has.
    pub identities: Option<&'a WantedIdentities>,
}

impl HostService {
    /// Makes all of it so, and what `beside` decides of the app as it is then.
    ///
    /// # Errors
    /// What `beside` refuses, and as those for one of these alone: [`HostError::AppExists`], [`HostError::AppNotFound`], [`HostError::Unmanaged`],
    /// [`HostError::Group`], [`HostError::SettingInvalid`], [`HostError::SettingReserved`], [`HostError::SettingNotFound`],
    /// [`HostError::NoAccountLeft`], [`HostError::IdentityNotFound`], [`HostError::TooManyIdentities`].
    pub async fn change_whole<E: From<HostError> + From<StoreError>>(
        &self,
        by: Manager<'_>,
        name: &AppName,
        whole: &Whole<'_>,
        beside: impl Fn(&View<'_>, &App) -> Result<Decision<()>, Halt<E>> + Send + Sync,
        now: Timestamp,
    ) -> Result<AppView, E> {
        let (id, new) =
            (AppId::random(&*self.entropy), whole.identities.map(|wanted| self.new_of(wanted, now)));
        let is_run = !whole.settings.is_empty() || whole.run.is_some();
        let block = if is_run { self.account_block()? } else { 0 };
        let _turn = match (is_run, whole.which) {
            (false, _) => None,
            (true, Which::New(_)) => Some(self.giving.lock().await),
            (true, Which::There(_)) => self.turn(name).await?,
        };
        let (key, entropy) = (&self.settings.settings_key, &*self.entropy);
        let decide = |view: &View<'_>| {
            let app = match whole.which {
                Which::New(placement) => view.adopt(app::create(view, by, id, name, placement, now)?),
                Which::There(app) => this(view, app)?,
            };
            if let Some(tags) = whole.tags {
                view.adopt(app::tag(view, by, name, tags, now)?);
            }
            Ok(app)
        };
        let decide_rest = |view: &View<'_>, app: &App| {
            for (wanted, are_meant) in whole.settings {
                let given = (*wanted, *are_meant);
                view.adopt(settings::replace(view, by, name, given, key, (entropy, block), now)?);
            }
            if let Some(run) = whole.run
                && let Some(change) = run(desired::of_app(view, app)?.as_deref())
            {
                view.adopt(desired::change(view, by, name, &change, block, now)?);
            }
            let mut removed = None;
            if let (Some(wanted), Some(new)) = (whole.identities, &new) {
                (_, removed) = view.adopt(identities::set(view, by, (name, app.id), wanted, new, now)?);
            }
            Ok((app::show(view, name)?, removed))
        };
        let ours = |halt: Halt<HostError>| halt.map(E::from);
        let (view, removed) = transact(&*self.store, entropy, |view| {
            let app = decide(view).map_err(ours)?;
            view.adopt(beside(view, &app)?);
            let changed = decide_rest(view, &app).map_err(ours)?;
            Ok::<_, Halt<E>>(view.adopted(changed))
        })
        .await?;
        if let Some(principal) = removed {
            self.identity.forget(principal);
        }
        Ok(view)
    }

    /// What is new with identities that an app is given.
    fn new_of(&self, wanted: &WantedIdentities, now: Timestamp) -> New {
        New::random(
            &*self.entropy,
            self.directory.tenant().id,
            wanted,
            now.plus(self.directory.token_lifetime()),
        )
    }
}

/// This very app.
fn this(view: &View<'_>, app: &App) -> Result<std::sync::Arc<App>, Halt<HostError>> {
    let found = app::existing(view, &app.name)?;
    match found.id == app.id {
        true => Ok(found),
        false => refuse(HostError::AppNotFound(app.name.clone())),
    }
}
