//! What the administrator asks of hosted apps, and is told.

use super::{Apps, Isolation, deploy, log};
use domain::{AppId, AppName, DeploymentId};
use host::{Publishable, plan::Phase};
use std::sync::Arc;
use wire::admin::{
    Brought, Hosting, HostingFault, ObservedApp, ObservedDeployment, ObservedInstance, hosting::Answer,
};

impl Hosting for Handle {
    fn take<'a>(
        &'a self,
        app: &'a Publishable,
        brought: Brought,
        command: Option<String>,
    ) -> Answer<'a, DeploymentId> {
        Box::pin(deploy::take(&self.0, app, brought, command))
    }

    fn deployment(&self, app: AppId, deployment: DeploymentId) -> Option<ObservedDeployment> {
        self.0.deployments.told(app, deployment)
    }

    fn latest(&self, app: AppId) -> Option<(DeploymentId, ObservedDeployment)> {
        self.0.deployments.latest(app)
    }

    fn own_networks(&self) -> Answer<'_, ()> {
        let apps = self.0.clone();
        Box::pin(tried("a network of its own", move || apps.launcher.own_networks()))
    }

    fn azure_arc(&self, is_container: bool) -> Answer<'_, ()> {
        let apps = self.0.clone();
        Box::pin(tried("Azure Arc's protocol", move || apps.launcher.may_have_azure_arc(is_container)))
    }

    fn changed(&self, app: &AppName) {
        self.0.touch(app);
    }

    fn deleted(&self, name: &AppName, app: AppId) {
        // Something may be there of an app that never ran: a package that came to nothing, or one that is being built.
        self.0.state().entry(app, name);
        self.0.touch(name);
    }

    fn observed(&self, app: AppId) -> ObservedApp {
        let now = self.0.elapsed();
        let states = self.0.state();
        let Some(state) = states.get(&app) else { return ObservedApp::default() };
        let instances = state.instances.iter().map(|one| ObservedInstance {
            id: one.workload.to_string(),
            state: word(one.phase),
            revision: one.revision,
            port: one.port,
            process: (one.phase != Phase::Ended).then(|| one.process.id()),
            seconds: now.saturating_sub(one.since).as_secs(),
            unwell: one.unwell.clone().filter(|_| matches!(one.phase, Phase::Starting | Phase::Ready)),
        });
        ObservedApp {
            instances: instances.collect(),
            isolation: state.isolation.as_ref().map(|isolation| self.0.told(isolation)),
            enforced: state.isolation.as_ref().map(|isolation| isolation.enforced),
            unenforced: state.isolation.as_ref().map(|it| it.unenforced.clone()).unwrap_or_default(),
            failures: state.restarts.failures,
            last_failure: state.last_failure.clone(),
            references: state.references.clone(),
            notices: state.notices.clone(),
        }
    }

    fn log<'a>(&'a self, app: AppId, lines: usize, follow: bool) -> Answer<'a, axum::body::Body> {
        let follow = follow.then(|| (app, self.0.gone.subscribe()));
        let told = log::tell(&self.0.files.app(app), lines, follow);
        Box::pin(async move {
            told.map_err(|source| HostingFault::File { what: "the log cannot be read".to_owned(), source })
        })
    }
}

/// Whether something can be had is known to who has tried, which may start a program and wait for it: not on a thread that answers others.
async fn tried(
    what: &'static str,
    work: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> Result<(), HostingFault> {
    let told = |why| HostingFault::Unavailable(format!("{what} {why}"));
    match tokio::task::spawn_blocking(work).await {
        Ok(tried) => tried.map_err(told),
        Err(error) => Err(told(format!("is not to be had: {error}"))),
    }
}

/// The administrator's hold on [`Apps`].
pub(crate) struct Handle(pub(crate) Arc<Apps>);

impl Apps {
    /// The claim, with the gate where it is before the app's endpoint.
    fn told(&self, isolation: &Isolation) -> String {
        let is_gated = isolation.enforced && self.launcher.endpoints.has_gate();
        let gate = if is_gated { "; nobody else can connect to its endpoint" } else { "" };
        format!("{}{gate}", self.claim(isolation))
    }

    /// What is claimed of an app's isolation, and no more.
    fn claim(&self, isolation: &Isolation) -> &'static str {
        if isolation.is_container {
            return match isolation.enforced {
                true if !kernel::is_root() => {
                    "container: a network of its own, with no way out but to this server's vaults, and a cgroup of your account's; other users and other containers do not get its tokens, a program of your own account, another hosted app among them, can take it over"
                }
                true => {
                    "container: a network of its own, with no way out but to this server's vaults, and a cgroup of root's; nobody but its own processes and root gets its tokens"
                }
                false => {
                    "container: a network of its own, with no way out but to this server's vaults; whoever comes into it with its endpoint secret gets its tokens"
                }
            };
        }
        if isolation.has_own_network && !kernel::is_root() {
            return "user: a network of its own, with no way out but to this server's vaults, and a cgroup of its own; other users do not get its tokens, a program of your own account, another hosted app among them, can take it over";
        }
        if isolation.has_own_network {
            return "server: a network of its own, with no way out but to this server's vaults, its own account and a cgroup of root's; nobody but its own processes and root gets its tokens";
        }
        match (isolation.enforced, kernel::is_root(), self.launcher.landlock.is_some()) {
            (true, true, _) => {
                "server: its own account and a cgroup of root's; nobody but its own processes and root gets its tokens"
            }
            (true, false, true) => {
                "user: a cgroup of its own and a Landlock domain; other users do not get its tokens, a program of your own account, another hosted app among them, can take it over"
            }
            (true, false, false) => {
                "user: a cgroup of its own; other users do not get its tokens, a program of your own account can take it over"
            }
            (false, ..) => "unenforced: whoever gets hold of its endpoint secret gets its tokens",
        }
    }
}

const fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Ready => "ready",
        Phase::Draining => "draining",
        Phase::Stopping => "stopping",
        Phase::Killing => "killing",
        Phase::Ended => "ended",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, time::Duration};

    #[tokio::test]
    async fn others_are_answered_while_something_is_tried() {
        let (done, waited) = mpsc::channel();
        let work = move || waited.recv_timeout(Duration::from_secs(10)).map_err(|error| error.to_string());
        let (had, ()) = tokio::join!(tried("it", work), async { done.send(()).unwrap() });
        had.unwrap();
        let refused = tried("it", || Err("is not".to_owned())).await;
        assert_eq!(refused.unwrap_err().to_string(), "it is not");
    }
}
