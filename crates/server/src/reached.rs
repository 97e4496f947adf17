//! What requests of strangers reach of hosted apps: by threads that are not in the sandbox theirs are in (ADR 0026).
//!
//! What takes its time is a task of the runtime that hosts apps. It ends with the request that it is for: who hangs up while a package is
//! still arriving has deployed nothing.

use crate::{apps::Handle, hands::Hands, installation::Site};
use domain::{AppId, AppName, DeploymentId};
use host::Publishable;
use std::{future::Future, pin::Pin, sync::Arc};
use wire::{
    Named, Outside,
    admin::{
        Brought, Hosting, HostingFault, Installation as _, ObservedApp, ObservedDeployment, hosting::Answer,
    },
};

/// The whole of it.
pub(crate) struct Reached {
    hosting: Arc<Handed>,
    site: Arc<Site>,
}

/// Hosting, whose work is done by others.
struct Handed {
    handle: Arc<Handle>,
    hands: Hands,
}

impl Reached {
    /// `hands` are of the runtime that hosts apps.
    pub(crate) fn new(handle: Arc<Handle>, site: Arc<Site>, hands: Hands) -> Self {
        Self { hosting: Arc::new(Handed { handle, hands }), site }
    }
}

impl Outside for Reached {
    fn hosting(&self) -> Arc<dyn Hosting> {
        self.hosting.clone()
    }

    fn names_changed(&self, of: Named) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let site = self.site.clone();
        Box::pin(async move {
            if let Err(error) = self.hosting.hands.perform(async move { site.names_changed(of) }).await {
                tracing::error!(%error, "nobody could write down that names of vaults or apps are others");
            }
        })
    }
}

impl Handed {
    async fn perform<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, HostingFault>> + Send + 'static,
    ) -> Result<T, HostingFault> {
        let done = self.hands.perform(work).await;
        done.unwrap_or_else(|source| Err(HostingFault::File { what: "it was not done".to_owned(), source }))
    }
}

impl Hosting for Handed {
    fn take<'a>(
        &'a self,
        app: &'a Publishable,
        brought: Brought,
        command: Option<String>,
    ) -> Answer<'a, DeploymentId> {
        let (handle, app) = (self.handle.clone(), app.clone());
        Box::pin(self.perform(async move { handle.take(&app, brought, command).await }))
    }

    fn deployment(&self, app: AppId, deployment: DeploymentId) -> Option<ObservedDeployment> {
        self.handle.deployment(app, deployment)
    }

    fn latest(&self, app: AppId) -> Option<(DeploymentId, ObservedDeployment)> {
        self.handle.latest(app)
    }

    fn own_networks(&self) -> Answer<'_, ()> {
        let handle = self.handle.clone();
        Box::pin(self.perform(async move { handle.own_networks().await }))
    }

    fn azure_arc(&self, is_container: bool) -> Answer<'_, ()> {
        let handle = self.handle.clone();
        Box::pin(self.perform(async move { handle.azure_arc(is_container).await }))
    }

    fn changed(&self, app: &AppName) {
        self.handle.changed(app);
    }

    fn deleted(&self, name: &AppName, app: AppId) {
        self.handle.deleted(name, app);
    }

    fn observed(&self, app: AppId) -> ObservedApp {
        self.handle.observed(app)
    }

    fn log<'a>(&'a self, app: AppId, lines: usize, follow: bool) -> Answer<'a, axum::body::Body> {
        let handle = self.handle.clone();
        Box::pin(self.perform(async move { handle.log(app, lines, follow).await }))
    }
}
