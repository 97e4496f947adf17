//! What the installation says of itself to `keyless status` and `doctor`: what runs, what the kernel enforces, what to mend.

use crate::{config::Config, data::Layout, test_clock::TestClock, trust::Public};
use crypt::SlotKind;
use domain::{Clock, Timestamp};
use kernel::{Capabilities, Verdict};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};
use wire::{
    Services,
    admin::{Installation, InstallationFacts},
};

pub use wire::admin::Capability;

/// The running installation.
pub(crate) struct Site {
    started: Timestamp,
    listen: Vec<String>,
    layout: Layout,
    capabilities: Vec<Capability>,
    opened_by: SlotKind,
    files: Public,
    services: OnceLock<Weak<Services>>,
    test_clock: Option<Arc<TestClock>>,
}

impl Site {
    pub(crate) fn new(
        config: &Config,
        addresses: &[SocketAddr],
        files: Public,
        capabilities: &Capabilities,
        opened_by: SlotKind,
        started: Timestamp,
        test_clock: Option<Arc<TestClock>>,
    ) -> Self {
        Self {
            started,
            listen: addresses.iter().map(ToString::to_string).collect(),
            layout: Layout::of(&config.data_dir),
            capabilities: named(capabilities),
            opened_by,
            files,
            services: OnceLock::new(),
            test_clock,
        }
    }

    /// Tells which services know the vaults. Once.
    pub(crate) fn serve_with(&self, services: &Arc<Services>) {
        let _only_once = self.services.set(Arc::downgrade(services));
        if let Some(clock) = &self.test_clock {
            clock.serve_with(services);
        }
    }

    pub(crate) fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }

    pub(crate) const fn files(&self) -> &Public {
        &self.files
    }

    pub(crate) fn hosts_file(&self) -> &Path {
        self.files.hosts().path()
    }

    /// The time that a test clock shows, and by how much it is ahead.
    pub(crate) fn test_time(&self) -> Option<(Timestamp, Duration)> {
        let clock = self.test_clock.as_ref()?;
        Some((clock.now(), clock.ahead().unwrap_or_default()))
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.opened_by == SlotKind::KeyFile {
            warnings.push(format!(
                "the root key is opened by the key file {}: a copy of both it and the store opens every secret; \
                 `keyless recover --passphrase-file FILE` changes to a passphrase",
                self.layout.key_file().display()
            ));
        }
        warnings
    }
}

impl Installation for Site {
    fn facts(&self) -> InstallationFacts {
        InstallationFacts {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started,
            listen: self.listen.clone(),
            data: self.layout.root().display().to_string(),
            hosts_file: self.hosts_file().display().to_string(),
            capabilities: self.capabilities.clone(),
            warnings: self.warnings(),
        }
    }

    /// Before the change is answered: a program that is started next must find a new vault's or app's name, and a deleted one's no more.
    fn names_changed(&self) {
        let Some(services) = self.services.get().and_then(Weak::upgrade) else { return };
        let listed = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                let vaults = services.vault.list_vaults().await.map_err(std::io::Error::other)?;
                let apps = services.host.apps().await.map_err(std::io::Error::other)?;
                let vaults = vaults.iter().map(|vault| services.names.vault_host(&vault.name));
                let apps = apps.iter().map(|view| services.names.app_host(&view.app.name));
                Ok(vaults.chain(apps).collect::<Vec<_>>())
            })
        });
        if let Err(error) = listed.and_then(|names| self.files.hosts().set_names(names)) {
            tracing::error!(%error, "the hosts file for apps cannot be changed: it has not the names of the vaults and apps that there are");
        }
    }

    fn test_clock(&self) -> Option<Arc<dyn wire::admin::TestClock>> {
        self.test_clock.clone().map(|clock| clock as Arc<dyn wire::admin::TestClock>)
    }
}

/// The kernel's capabilities under the names that people are told.
pub fn named(capabilities: &Capabilities) -> Vec<Capability> {
    let one = |name: &str, verdict: &Verdict| match verdict {
        Verdict::Enforced => Capability { name: name.into(), enforced: true, why: None, mend: None },
        Verdict::Unenforced { why, mend } => Capability {
            name: name.into(),
            enforced: false,
            why: Some(why.clone()),
            mend: Some(mend.clone()),
        },
    };
    // `keyless run` asks systemd for a cgroup of its own, so the one of this process does not matter.
    let cgroup = if has_user_manager() { &Verdict::Enforced } else { &capabilities.cgroup };
    vec![
        one("attestation", &capabilities.attestation),
        one("cgroup", cgroup),
        one("private names", &capabilities.private_names),
    ]
}

/// Does a systemd of this user run, which delegates cgroups?
#[expect(
    clippy::disallowed_methods,
    reason = "only the environment says where a user's runtime directory is"
)]
pub fn has_user_manager() -> bool {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    !kernel::is_root() && runtime.is_some_and(|folder| folder.join("systemd/private").exists())
}
