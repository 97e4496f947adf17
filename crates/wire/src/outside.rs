//! What requests of strangers need done where they may not: starting what is deployed, files of apps, names of hosts. Threads that read requests
//! are in a sandbox (ADR 0026); `server` implements [`Outside`] so that the work is done by others.
//!
//! The services are there before whoever does this is, so that they hold an empty place for it at first. Where it stays empty, nothing is
//! hosted.

use crate::admin::{Hosting, HostingFault};
use domain::{AppId, AppName, VaultName};
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock, Weak},
};

/// Whose names of hosts are to be looked at again: it came to be, or is no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// One app.
    App(AppName),
    /// One vault.
    Vault(VaultName),
    /// Several, which nobody has counted.
    Any,
}

/// Does it.
pub trait Outside: Send + Sync {
    /// Hosts apps. What it answers later is worked on outside.
    fn hosting(&self) -> Arc<dyn Hosting>;

    /// There is a vault or an app more, or less: whoever must know its name does once this has ended.
    fn names_changed(&self, of: Named) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Its place in the services. It does not hold it: it has the services itself.
#[derive(Default)]
pub struct OutsidePlace(OnceLock<Weak<dyn Outside>>);

impl OutsidePlace {
    /// Fills it. The first that does stays.
    pub fn fill(&self, outside: &Arc<dyn Outside>) {
        let _first_stays = self.0.set(Arc::downgrade(outside));
    }

    /// Hosts apps.
    ///
    /// # Errors
    /// [`HostingFault::Unavailable`]: nobody does here.
    pub fn hosting(&self) -> Result<Arc<dyn Hosting>, HostingFault> {
        let outside = self.there();
        outside
            .map(|outside| outside.hosting())
            .ok_or_else(|| HostingFault::Unavailable("no apps are hosted here".to_owned()))
    }

    /// Something about this app is another: what runs is to follow.
    pub fn changed(&self, app: &AppName) {
        if let Some(outside) = self.there() {
            outside.hosting().changed(app);
        }
    }

    /// An app was deleted, and all that is left of it is to go; of names that are others is told later.
    pub fn hosting_forgets(&self, name: &AppName, app: AppId) {
        if let Ok(hosting) = self.hosting() {
            hosting.deleted(name, app);
        }
    }

    /// An app was deleted, and all that is left of it is to go.
    pub async fn app_deleted(&self, name: &AppName, app: AppId) {
        self.hosting_forgets(name, app);
        self.names_changed(Named::App(name.clone())).await;
    }

    /// There is a vault or an app more, or less.
    pub async fn names_changed(&self, of: Named) {
        if let Some(outside) = self.there() {
            outside.names_changed(of).await;
        }
    }

    fn there(&self) -> Option<Arc<dyn Outside>> {
        self.0.get().and_then(Weak::upgrade)
    }
}
