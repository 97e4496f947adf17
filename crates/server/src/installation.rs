//! What the installation says of itself to `keyless status` and `doctor`: what runs, what the kernel enforces, what to mend.

use crate::{
    config::Config,
    data::Layout,
    shadow::Shadows,
    test_clock::TestClock,
    trust::{NamesChange, Public},
};
use access::Manager;
use audit::{AuditLog, Missing};
use crypt::SlotKind;
use domain::{Clock, Timestamp};
use host::HostError;
use kernel::{Capabilities, Verdict};
use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};
use store::Condition;
use tokio::sync::{Mutex, watch};
use vault::VaultError;
use wire::{
    Named, Services,
    admin::{Installation, InstallationFacts, clock::Later},
};

pub use wire::admin::{Alarm, Capability, HostingFacts};

/// The running installation.
pub(crate) struct Site {
    started: Timestamp,
    listen: Vec<String>,
    layout: Layout,
    capabilities: Vec<Capability>,
    opened_by: SlotKind,
    shadows: Arc<Shadows>,
    /// Held from the reading of names until files have them. Have they all? Where one could not be written, the next time writes all.
    naming: Mutex<bool>,
    services: OnceLock<Weak<Services>>,
    test_clock: Option<Arc<TestClock>>,
    watched: OnceLock<Watched>,
}

/// What may come to be wrong.
struct Watched {
    store: watch::Receiver<Condition>,
    log: Arc<AuditLog>,
}

impl Site {
    pub(crate) fn new(
        config: &Config,
        addresses: &[SocketAddr],
        shadows: Arc<Shadows>,
        capabilities: &Capabilities,
        opened_by: SlotKind,
        started: Timestamp,
        test_clock: Option<Arc<TestClock>>,
    ) -> Self {
        Self {
            started,
            listen: addresses.iter().map(ToString::to_string).collect(),
            layout: Layout::of(&config.data_dir),
            capabilities: [named(capabilities), gate(config.connect_gate)].concat(),
            opened_by,
            shadows,
            naming: Mutex::default(),
            services: OnceLock::new(),
            test_clock,
            watched: OnceLock::new(),
        }
    }

    /// Tells whether the store writes, and where the audit log is. Once.
    pub(crate) fn watch(&self, store: watch::Receiver<Condition>, log: Arc<AuditLog>) {
        let _only_once = self.watched.set(Watched { store, log });
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

    pub(crate) fn files(&self) -> &Public {
        self.shadows.files()
    }

    pub(crate) fn hosts_file(&self) -> &Path {
        self.files().hosts().path()
    }

    /// The time that a test clock shows, and by how much it is ahead.
    pub(crate) fn test_time(&self) -> Option<(Timestamp, Duration)> {
        let clock = self.test_clock.as_ref()?;
        Some((clock.now(), clock.ahead().unwrap_or_default()))
    }

    /// Public files that somebody has removed.
    fn restore_files(&self) {
        let folder = self.files().folder().display();
        match self.files().restore() {
            Ok(false) => {}
            Ok(true) => tracing::warn!(
                %folder,
                "the files were gone by which programs trust this server and find it, and are made again: start what runs again to have new names"
            ),
            Err(error) => {
                let error = domain::chain(&error);
                tracing::error!(%folder, error, "the files are gone by which programs trust this server, and cannot be made again");
            }
        }
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

    fn alarms(&self) -> Vec<Alarm> {
        let Some(Watched { store, log }) = self.watched.get() else { return Vec::new() };
        let condition = store.borrow().clone();
        alarms(&self.layout.store(), &condition, log.missing())
    }

    fn hosting_facts(&self) -> Later<'_, Result<HostingFacts, String>> {
        Box::pin(async {
            let tried = tokio::task::spawn_blocking(try_hosting).await;
            tried.unwrap_or_else(|error| Err(error.to_string()))
        })
    }

    /// Before the change is answered: a program that is started next must find a new vault's or app's name, and a deleted one's no more.
    fn names_changed(&self, of: Named) {
        let Some(services) = self.services.get().and_then(Weak::upgrade) else { return };
        let renewed = tokio::task::block_in_place(|| {
            if matches!(of, Named::Any) {
                self.restore_files();
            }
            let read = |of| names(&services, of);
            let renewed = renew(&self.naming, of, read, |names| self.shadows.set_names(names));
            tokio::runtime::Handle::current().block_on(renewed)
        });
        if let Err(error) = renewed {
            tracing::error!(%error, "a hosts file for apps cannot be changed: it has not the names of the vaults and apps that there are");
        }
    }

    fn test_clock(&self) -> Option<Arc<dyn wire::admin::TestClock>> {
        self.test_clock.clone().map(|clock| clock as Arc<dyn wire::admin::TestClock>)
    }
}

/// What is wrong, the worst first.
fn alarms(store: &Path, condition: &Condition, missing: Option<Missing>) -> Vec<Alarm> {
    let alarm =
        |name: &str, what: String, mend: &str| Alarm { name: name.to_owned(), what, mend: mend.to_owned() };
    let store = store.display();
    let stopped = condition.stopped.as_ref().map(|why| {
        let what =
            format!("the store {store} DOES NOT WRITE any more, so that all changes are refused: {why}");
        alarm(
            "store-stopped",
            what,
            "look at its disk, then start the server again: until then it writes nothing",
        )
    });
    let full = condition.is_full().then(|| {
        let what =
            format!("the store {store} finds no room on its disk: changes are refused, or will be soon");
        alarm("store-full", what, "make room: it goes on by itself then")
    });
    let cut = missing.map(|missing| {
        let mend =
            "find out who did that, or put the files back if you did: `keyless audit verify` tells more";
        alarm("audit-cut", missing.to_string(), mend)
    });
    stopped.into_iter().chain(full).chain(cut).collect()
}

/// What a program of this binary prints that says what it could give to an app: [`HostingFacts`], as JSON.
pub const PROBE: &str = "probe";

/// Has it tried by a program in our own place, with all that we may do: we may not be dumped, and so may not make a user namespace ourselves.
fn try_hosting() -> Result<HostingFacts, String> {
    let mut command = Command::new("/proc/self/exe");
    command.arg(PROBE).env_clear().current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let tried = command.output().map_err(|error| format!("no program can be started: {error}"))?;
    found(&tried)
}

/// What such a program has found.
fn found(tried: &Output) -> Result<HostingFacts, String> {
    let said = || String::from_utf8_lossy(&tried.stderr).trim().to_owned();
    serde_json::from_slice(&tried.stdout)
        .map_err(|_| format!("the program that tries it ended with {}: {}", tried.status, said()))
}

/// What this very process could give to an app that it starts. Tens of milliseconds.
pub fn hosting_facts() -> HostingFacts {
    let hosting = kernel::hosting();
    let capabilities = hosting.named().into_iter().map(|(name, verdict)| capability(&name, verdict));
    HostingFacts {
        capabilities: capabilities.collect(),
        connect_gate: capability(CONNECT_GATE, &hosting.connect_gate),
    }
}

/// What keeps the hosted apps of root's server from their files, if something does, and what to do about it.
pub fn closed_to_apps(config: &Config) -> Option<String> {
    crate::apps::why_closed(&crate::Layout::of(&config.data_dir), config.apps_dir.as_deref())
}

/// What hosts files are to have of names that may be others.
async fn names(services: &Services, of: Named) -> io::Result<NamesChange> {
    let by = Manager::Administrator;
    match of {
        Named::App(name) => {
            let is_there = match services.host.app(by, &name).await {
                Ok(_) => true,
                Err(HostError::AppNotFound(_)) => false,
                Err(error) => return Err(io::Error::other(error)),
            };
            Ok(NamesChange::One { name: services.names.app_host(&name), is_there })
        }
        Named::Vault(name) => {
            let is_there = match services.vault.show_vault(by, &name).await {
                Ok(_) => true,
                Err(VaultError::VaultNotFound { .. }) => false,
                Err(error) => return Err(io::Error::other(error)),
            };
            Ok(NamesChange::One { name: services.names.vault_host(&name), is_there })
        }
        Named::Any => {
            let vaults = services.vault.list_vaults(by).await.map_err(io::Error::other)?;
            let apps = services.host.apps(by).await.map_err(io::Error::other)?;
            let vaults = vaults.iter().map(|vault| services.names.vault_host(&vault.name));
            let apps = apps.iter().map(|view| services.names.app_host(&view.app.name));
            Ok(NamesChange::All(vaults.chain(apps).collect()))
        }
    }
}

/// Reads names and sets them, one after the other: what has become old meanwhile would strike out a name that is new.
async fn renew<R: Future<Output = io::Result<NamesChange>>>(
    naming: &Mutex<bool>,
    of: Named,
    read: impl FnOnce(Named) -> R,
    set: impl FnOnce(&NamesChange) -> io::Result<()>,
) -> io::Result<()> {
    // One at a time.
    let mut has_all = naming.lock().await;
    let of = if std::mem::take(&mut *has_all) { of } else { Named::Any };
    set(&read(of).await?)?;
    *has_all = true;
    Ok(())
}

/// The name of the gate before endpoints.
pub const CONNECT_GATE: &str = "connect gate";

/// Told where it is asked for: without it there is no server then, and elsewhere nobody misses it.
fn gate(is_wanted: bool) -> Vec<Capability> {
    let gate = capability(CONNECT_GATE, &Verdict::Enforced);
    is_wanted.then_some(gate).into_iter().collect()
}

/// The kernel's capabilities under the names that people are told.
pub fn named(capabilities: &Capabilities) -> Vec<Capability> {
    // `keyless run` asks systemd for a cgroup of its own, so the one of this process does not matter.
    let cgroup = if has_user_manager() { &Verdict::Enforced } else { &capabilities.cgroup };
    vec![
        capability("attestation", &capabilities.attestation),
        capability("cgroup", cgroup),
        capability("private names", &capabilities.private_names),
        capability("sandbox", &capabilities.sandbox),
    ]
}

fn capability(name: &str, verdict: &Verdict) -> Capability {
    let (why, mend) = match verdict {
        Verdict::Enforced => (None, None),
        Verdict::Unenforced { why, mend } => (Some(why.clone()), Some(mend.clone())),
    };
    Capability { name: name.to_owned(), enforced: verdict.is_enforced(), why, mend }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;

    #[test]
    fn what_was_found_is_what_was_printed_and_a_program_that_fails_is_told_of() {
        let tried = |stdout: &[u8], stderr: &[u8], status| Output {
            status: std::process::ExitStatus::from_raw(status),
            stdout: stdout.to_vec(),
            stderr: stderr.to_vec(),
        };
        let facts = HostingFacts {
            capabilities: vec![capability("account", &Verdict::Enforced)],
            connect_gate: capability(
                CONNECT_GATE,
                &Verdict::Unenforced { why: "no BPF".to_owned(), mend: "be root".to_owned() },
            ),
        };
        let printed = serde_json::to_vec(&facts).unwrap();
        let again = found(&tried(&printed, b"", 0)).unwrap();
        assert_eq!(serde_json::to_vec(&again).unwrap(), printed);
        let gate = again.connect_gate;
        assert!(!gate.enforced && gate.why.as_deref() == Some("no BPF"), "{gate:?}");
        let why = found(&tried(b"", b"keyless: no\n", 2 << 8)).unwrap_err();
        assert_eq!(why, "the program that tries it ended with exit status: 2: keyless: no");
    }

    #[test]
    fn a_store_that_does_not_write_and_an_audit_log_that_was_cut_are_alarms() {
        let (store, fine) = (Path::new("/data/keyless.redb"), Condition::default());
        assert!(alarms(store, &fine, None).is_empty());
        let mut stopped = fine.clone();
        stopped.stopped = Some("its commit log: no disk (os error 5)".into());
        let cut = Missing::Cut { dir: "/data/audit".into(), cut: audit::Cut { anchor: 9, found: 4 } };
        let told = alarms(store, &stopped, Some(cut));
        let [stopped, cut] = told.as_slice() else { panic!("{told:?}") };
        let (what, mend) = (&stopped.what, &stopped.mend);
        assert!(what.contains("/data/keyless.redb") && what.contains("os error 5"), "{what}");
        assert!(mend.contains("start the server again"), "{mend}");
        assert_eq!((&*stopped.name, &*cut.name), ("store-stopped", "audit-cut"));
        assert!(cut.what.contains("records 5 to 9 are missing"), "{cut:?}");
    }

    fn app(name: &str) -> Named {
        Named::App(name.parse().unwrap())
    }

    #[tokio::test]
    async fn what_has_become_old_strikes_out_no_new_name() {
        let (naming, is_there) = (Mutex::new(true), std::sync::Mutex::new(false));
        let files = std::sync::Mutex::new(Vec::new());
        let read = || {
            let is_there = *is_there.lock().unwrap();
            Ok(NamesChange::One { name: "late".to_owned(), is_there })
        };
        let set = |change: &NamesChange| {
            files.lock().unwrap().push(change.clone());
            Ok(())
        };
        let (has_read, goes_on) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
        let first = renew(
            &naming,
            app("late"),
            async |_| {
                let old = read();
                has_read.notify_one();
                goes_on.notified().await;
                old
            },
            set,
        );
        let second = async {
            has_read.notified().await;
            *is_there.lock().unwrap() = true;
            // Polled first, so that it would be done before the other one goes on.
            let renewed = renew(&naming, app("late"), async |_| read(), set);
            let (renewed, ()) = tokio::join!(biased; renewed, async { goes_on.notify_one() });
            renewed
        };
        let (first, second) = tokio::join!(first, second);
        assert!(first.is_ok() && second.is_ok());
        let told = |is_there| NamesChange::One { name: "late".to_owned(), is_there };
        assert_eq!(*files.lock().unwrap(), [told(false), told(true)]);
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_made_good_by_the_next_change() {
        let naming = Mutex::default();
        let asked = std::sync::Mutex::new(Vec::new());
        let renewed = async |of: Named, is_read: bool, is_set: bool| {
            let fails = || io::Error::other("the disk is full");
            let read = async |of: Named| {
                asked.lock().unwrap().push(of);
                if is_read { Ok(NamesChange::All(Vec::new())) } else { Err(fails()) }
            };
            let set = |_: &NamesChange| if is_set { Ok(()) } else { Err(fails()) };
            renew(&naming, of, read, set).await.is_ok()
        };
        assert!(renewed(app("first"), true, true).await, "a start has nothing yet");
        assert!(renewed(app("aa"), true, true).await);
        assert!(!renewed(app("bb"), true, false).await);
        assert!(!renewed(app("cc"), false, true).await);
        assert!(renewed(app("dd"), true, true).await);
        assert!(renewed(app("ee"), true, true).await);
        let any = || Named::Any;
        assert_eq!(*asked.lock().unwrap(), [any(), app("aa"), app("bb"), any(), any(), app("ee")]);
    }
}
