//! What the build of a package is told: where its tools get packages and whose certificates are good there, by the operator for all apps
//! (the server's environment) or for one (the app's settings, which go first). Nothing else of either is a package's business.

use super::{Apps, references};
use access::Manager;
use domain::{AppId, AppName, Secret};
use host::HostError;
use kernel::Placement;
use std::{collections::BTreeMap, ffi::OsString, path::Path, sync::Arc};
use wire::admin::ObservedReference;

/// Variables by which tools of building find packages, whatever the tool.
const NAMES: [&str; 9] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
];
/// Of pip and npm.
const PREFIXES: [&str; 2] = ["PIP_", "NPM_CONFIG_"];

/// Proxies and npm's are read in either case, the others as they are written.
fn folded(name: &str) -> String {
    const PROXIES: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"];
    let upper = name.to_ascii_uppercase();
    let is_either = PROXIES.contains(&upper.as_str()) || upper.starts_with("NPM_CONFIG_");
    if is_either { upper } else { name.to_owned() }
}

fn is_told(name: &str) -> bool {
    let name = folded(name);
    NAMES.contains(&name.as_str()) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Below which directory a build gets its cgroup. An ordinary user's does without where there is none: what it leaves running is that user's, as
/// the server is. Of root's it would be the app's account's, and whoever has the account next would have it.
pub(super) fn place(placement: &Placement, is_root: bool) -> Result<Option<&Path>, String> {
    match placement {
        Placement::Root { parent } | Placement::Delegated { parent } => Ok(Some(parent)),
        Placement::NotDelegated { why, mend } if is_root => Err(format!(
            "there is no cgroup for it, so that nothing could end what it leaves running: {why}; {mend}"
        )),
        Placement::NotDelegated { .. } => Ok(None),
    }
}

/// Why a build is not begun.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTold {
    #[error(transparent)]
    Host(#[from] HostError),
    /// Without it packages would come from somewhere else than is meant.
    #[error("setting {setting}: its reference is not resolved: {status} ({advice})")]
    Reference { setting: String, status: &'static str, advice: String },
}

/// What the build of an app's package is told: [`environment`] of it.
pub(super) struct Told(BTreeMap<String, Secret<String>>);

impl Told {
    /// Reads the app's settings. References are resolved by its identity as at a start, only those that are told.
    pub(super) async fn of(apps: &Arc<Apps>, name: &AppName, app: AppId) -> Result<Self, NotTold> {
        let host = &apps.services.host;
        let gone = || HostError::AppNotFound(name.clone());
        let mut settings = host.settings_of(name, app).await?.ok_or_else(gone)?;
        let view = host.app(Manager::Administrator, name).await?;
        if view.app.id != app {
            return Err(gone().into());
        }
        settings.retain(|setting| is_told(&setting.name));
        let resolved = references::resolve(&apps.services, &view, settings, apps.now()).await;
        match resolved.references.into_iter().find(|reference| !reference.advice.is_empty()) {
            Some(ObservedReference { setting, status, advice }) => {
                Err(NotTold::Reference { setting, status, advice })
            }
            None => Ok(Self(resolved.environment)),
        }
    }

    /// The variables of a step, given the server's.
    pub(super) fn variables(
        &self,
        servers: impl Iterator<Item = (OsString, OsString)>,
    ) -> Vec<(OsString, OsString)> {
        let is_the_apps = |name: &str| self.0.keys().any(|own| folded(own) == folded(name));
        let servers = servers.filter(|(name, _)| {
            let name = name.to_string_lossy();
            is_told(&name) && !is_the_apps(&name)
        });
        let own = self.0.iter().map(|(name, value)| (name.into(), value.expose().into()));
        servers.chain(own).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_server_builds_in_a_cgroup_or_not_at_all() {
        let parent = || "/sys/fs/cgroup/keyless".into();
        let none = Placement::NotDelegated { why: "none is mounted".into(), mend: "mount cgroup2".into() };
        assert!(place(&Placement::Root { parent: parent() }, true).unwrap().is_some());
        assert!(place(&Placement::Delegated { parent: parent() }, false).unwrap().is_some());
        assert_eq!(place(&none, false), Ok(None));
        let refused = place(&none, true).unwrap_err();
        assert!(refused.contains("none is mounted; mount cgroup2"), "{refused}");
    }

    #[test]
    fn a_build_is_told_of_its_tools_alone_and_the_app_goes_before_the_server() {
        let own = ["PIP_INDEX_URL", "https_proxy", "NPM_CONFIG_REGISTRY"];
        let told = Told(own.map(|name| (name.to_owned(), Secret::new("app".to_owned()))).into());
        let servers = [
            ("PIP_INDEX_URL", "server"),
            ("PIP_CERT", "server"),
            ("pip_proxy", "server"),
            ("NO_PROXY", "server"),
            ("npm_config_registry", "server"),
            ("HTTPS_PROXY", "server"),
            ("KEYLESS_KEY", "server"),
            ("PIPX", "server"),
            ("AZURE_CLIENT_SECRET", "server"),
        ];
        let variables = told.variables(servers.map(|(name, value)| (name.into(), value.into())).into_iter());
        let mut shown: Vec<_> = variables
            .iter()
            .map(|(name, value)| format!("{}={}", name.to_string_lossy(), value.to_string_lossy()))
            .collect();
        shown.sort();
        let expected = [
            "NO_PROXY=server",
            "NPM_CONFIG_REGISTRY=app",
            "PIP_CERT=server",
            "PIP_INDEX_URL=app",
            "https_proxy=app",
        ];
        assert_eq!(shown, expected);
    }
}
