//! Hosted apps on [`HostService`]: what is desired of them, their settings, and the records of their instances.

use crate::{
    App, HostError, HostService, WorkloadRecord, account, app,
    desired::{self, Change, Desired},
    settings::{self, Meant, Setting, Wanted},
    workload::{self, InstanceRecord},
};
use access::{Around, Caller, Manager};
use crypt::MacKey;
use domain::{AppId, AppName, Secret, Timestamp, WorkloadId};
use std::{collections::BTreeSet, sync::Arc};
use store::{query, refuse, transact};
use tokio::sync::MutexGuard;

/// Proof that somebody may deploy to an app, asked for before a package is taken in. For this app and no other of its name. That takes its time,
/// so each step that changes something asks again, in the same name.
#[derive(Clone, Debug)]
pub struct Publishable {
    app: Arc<App>,
    /// None: the administrator.
    by: Option<Caller>,
    because: String,
}

impl Publishable {
    /// The app.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Why it may be: what the audit log says.
    pub fn because(&self) -> &str {
        &self.because
    }

    /// In whose name it is deployed.
    pub fn by(&self) -> Manager<'_> {
        self.by.as_ref().map_or(Manager::Administrator, Manager::Caller)
    }
}

impl HostService {
    /// Changes what is desired of an app.
    ///
    /// # Errors
    /// [`HostError::AppNotFound`], [`HostError::Unmanaged`], [`HostError::SettingInvalid`], [`HostError::NoAccountLeft`].
    pub async fn change_desired(
        &self,
        by: Manager<'_>,
        name: &AppName,
        change: &Change,
        now: Timestamp,
    ) -> Result<Arc<Desired>, HostError> {
        let block = self.account_block()?;
        let _turn = self.turn(name).await?;
        transact(&*self.store, &*self.entropy, |view| desired::change(view, by, name, change, block, now))
            .await
    }

    /// A keyed hash of what a setting of an app came to, by which another value is told from it. It says nothing of the value.
    pub fn fingerprint(&self, app: AppId, setting: &str, value: &Secret<String>) -> String {
        let key =
            MacKey::new(self.settings.settings_key.derive("keyless host: what references came to").expose());
        let scope = format!("{app}/{setting}/");
        crypt::encoding::hex(&key.mac(&[scope.as_bytes(), value.expose().as_bytes()]))
    }

    /// What the token file of an instance holds from now on.
    ///
    /// # Errors
    /// [`HostError::Directory`].
    pub fn workload_token(
        &self,
        app: AppId,
        workload: WorkloadId,
        now: Timestamp,
    ) -> Result<Secret<String>, HostError> {
        Ok(self.directory.workload_token(app, workload, now)?)
    }

    /// Where a token file is exchanged: the tenant, and the authority as SDKs are told it.
    pub fn authority(&self) -> (String, String) {
        (self.directory.tenant().id.to_string(), format!("{}/", self.directory.names().login_base()))
    }

    /// Is the account under which an app is to run one of this installation's?
    ///
    /// # Errors
    /// [`HostError::Accounts`].
    pub fn has_account(&self, desired: &Desired) -> Result<bool, HostError> {
        Ok(account::is_of(desired.account, self.account_block()?))
    }

    /// Waits for its turn if the app has no account yet.
    pub(crate) async fn turn(&self, name: &AppName) -> Result<Option<MutexGuard<'_, ()>>, HostError> {
        let has_account = match self.desired(name).await? {
            Some(desired) => self.has_account(&desired)?,
            None => false,
        };
        Ok(if has_account { None } else { Some(self.giving.lock().await) })
    }

    pub(crate) fn account_block(&self) -> Result<u32, HostError> {
        self.kernel.account_block().map_err(HostError::Accounts)
    }

    /// Was it started in this boot of the machine? What a record says of processes means nothing in another.
    pub fn is_of_this_boot(&self, record: &WorkloadRecord) -> bool {
        record.boot == self.settings.boot
    }

    /// What is desired of an app; `None` if nothing was ever deployed or set.
    ///
    /// # Errors
    /// [`HostError::AppNotFound`].
    pub async fn desired(&self, name: &AppName) -> Result<Option<Arc<Desired>>, HostError> {
        query(&*self.store, |view| desired::of(view, name)).await
    }

    /// What is desired of this very app, for whoever was allowed to see it; `None` if nothing was ever deployed or set.
    ///
    /// # Errors
    /// [`HostError::AppNotFound`]: it is gone, also where there is another of its name.
    pub async fn desired_of(&self, app: &App) -> Result<Option<Arc<Desired>>, HostError> {
        query(&*self.store, |view| desired::of_app(view, app)).await
    }

    /// The names of all apps of which something is desired.
    ///
    /// # Errors
    /// The store's.
    pub async fn hosted(&self) -> Result<Vec<AppName>, HostError> {
        let mut hosted = Vec::new();
        for app in self.list::<App>(&App::prefix()).await? {
            match self.desired(&app.name).await {
                Ok(Some(_)) => hosted.push(app.name.clone()),
                Ok(None) | Err(HostError::AppNotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(hosted)
    }

    /// An app's settings, in the order of their names.
    ///
    /// # Errors
    /// [`HostError::AppNotFound`], [`HostError::Unmanaged`].
    pub async fn settings(&self, by: Manager<'_>, name: &AppName) -> Result<Vec<Setting>, HostError> {
        query(&*self.store, |view| settings::read(view, by, name, &self.settings.settings_key)).await
    }

    /// The settings of this app and of no other of its name, such as one that was made since; `None` if there is none such any more.
    ///
    /// # Errors
    /// The store's; a setting that does not open.
    pub async fn settings_of(&self, name: &AppName, app: AppId) -> Result<Option<Vec<Setting>>, HostError> {
        let settings = query(&*self.store, |view| {
            // Both in one view.
            match view.get::<App>(name)? {
                Some(now) if now.id == app => settings::of(view, name, &self.settings.settings_key).map(Some),
                _ => Ok(None),
            }
        });
        settings.await
    }

    /// Sets and removes settings of an app, in one commit.
    ///
    /// # Errors
    /// [`HostError::AppNotFound`], [`HostError::Unmanaged`], [`HostError::SettingInvalid`], [`HostError::SettingReserved`],
    /// [`HostError::SettingNotFound`].
    pub async fn change_settings(
        &self,
        by: Manager<'_>,
        name: &AppName,
        set: &[Setting],
        remove: &[String],
        now: Timestamp,
    ) -> Result<Arc<Desired>, HostError> {
        let (key, entropy, block) = (&self.settings.settings_key, &*self.entropy, self.account_block()?);
        let _turn = self.turn(name).await?;
        transact(&*self.store, entropy, |view| {
            settings::change(view, by, name, (set, remove), key, (entropy, block), now)
        })
        .await
    }

    /// Makes these all the settings of an app whose names `are_meant`, in one commit; nothing happens if they are so already and no secret one
    /// is said.
    ///
    /// # Errors
    /// [`HostError::AppNotFound`], [`HostError::Unmanaged`], [`HostError::SettingInvalid`], [`HostError::SettingReserved`],
    /// [`HostError::SettingNotFound`].
    pub async fn replace_settings(
        &self,
        by: Manager<'_>,
        name: &AppName,
        wanted: &[Wanted],
        are_meant: Meant<'_>,
        now: Timestamp,
    ) -> Result<BTreeSet<String>, HostError> {
        let (key, entropy, block) = (&self.settings.settings_key, &*self.entropy, self.account_block()?);
        let _turn = self.turn(name).await?;
        transact(&*self.store, entropy, |view| {
            settings::replace(view, by, name, (wanted, are_meant), key, (entropy, block), now)
        })
        .await
    }

    /// May something be deployed to an app by whoever asks?
    ///
    /// # Errors
    /// [`HostError::AppNotFound`], [`HostError::Unmanaged`].
    pub async fn publishable(&self, by: Manager<'_>, name: &AppName) -> Result<Publishable, HostError> {
        let asked = query(&*self.store, |view| {
            let Some(app) = view.get::<App>(name)? else {
                // Who may deploy nowhere is not told which apps there are.
                let all = Around::subscription();
                let _permit =
                    by.may(view, desired::PUBLISH, &all).map_err(|halt| halt.map(HostError::from))?;
                return refuse(HostError::AppNotFound(name.clone()));
            };
            let because = app::may(view, by, desired::PUBLISH, &app)?.because();
            Ok(Publishable { app, by: by.caller().cloned(), because })
        });
        asked.await
    }

    /// Keeps which process an instance's is, so that a later run of the server finds it.
    ///
    /// # Errors
    /// [`HostError::WorkloadNotFound`].
    pub async fn keep_instance(&self, id: WorkloadId, instance: &InstanceRecord) -> Result<(), HostError> {
        transact(&*self.store, &*self.entropy, |view| workload::keep_instance(view, id, instance)).await
    }

    /// The kept instances of all apps, running or not.
    ///
    /// # Errors
    /// The store's.
    pub async fn instances(&self) -> Result<Vec<Arc<WorkloadRecord>>, HostError> {
        let mut records = self.list::<WorkloadRecord>(&WorkloadRecord::prefix()).await?;
        records.retain(|record| record.instance.is_some());
        Ok(records)
    }
}
