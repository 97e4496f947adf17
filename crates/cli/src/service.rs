//! `keyless service`: the server as a service of systemd.
//!
//! Owns: the units' text and where they go. Owns not: starting them (`systemctl` does).
//!
//! What the unit takes away from the server it takes away from apps as well, which inherit it, and from podman. So nothing is there that would
//! break one: no filter of system calls, and so none of the settings of systemd that are made of one (setuid bits of an image's files, a host
//! name of a container), no ban of code that is made at run time (Node, the JVM), no namespaces refused. What such settings keep from root the
//! server has no capability for.

use crate::{
    failure::{Failure, NOT_APPLIED, USAGE},
    output,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command as Process,
    time::{Duration, Instant},
};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Write the units, so that systemd starts the server at boot
    Install(Options),
    /// Print what `install` would write
    Show(Options),
    /// End hosted apps, stop the service and remove its units; data stays
    Uninstall {
        /// Of the user, not of the system
        #[arg(long)]
        user: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A service of the user, with what the user may: `loginctl enable-linger` keeps it running
    #[arg(long)]
    user: bool,
    /// Let systemd hold the public port, so that no connection is refused while the server starts again
    #[arg(long)]
    socket: bool,
    /// Start it now
    #[arg(long)]
    now: bool,
}

const NAME: &str = kernel::SERVER_UNIT;
/// Of a user: where the apps are. Root's are below the hierarchy's root.
const APPS: &str = kernel::APPS_UNIT;
const SOCKET: &str = "keyless.socket";
/// How long the server may take to end with its apps. Ours: it gives up itself before.
const END_TIME_MAX: Duration = Duration::from_secs(60);

/// What the units are made of.
struct Facts<'a> {
    binary: &'a Path,
    data: &'a Path,
    config: Option<&'a Path>,
    port: u16,
    user: bool,
    socket: bool,
}

pub(crate) fn service(global: &crate::Global, command: Command) -> Result<(), Failure> {
    match command {
        Command::Show(options) => {
            for (name, text) in units(global, &options)? {
                output::line(format_args!("# {name}\n{text}"));
            }
            Ok(())
        }
        Command::Install(options) => install(global, &options),
        Command::Uninstall { user } => uninstall(user),
    }
}

fn units(global: &crate::Global, options: &Options) -> Result<Vec<(&'static str, String)>, Failure> {
    let config = global.config(Vec::new())?;
    let binary = std::env::current_exe()?;
    let given = global.config.as_deref().map(std::path::absolute).transpose()?;
    let facts = Facts {
        binary: &binary,
        data: &config.data_dir,
        config: given.as_deref(),
        port: config.port,
        user: options.user,
        socket: options.socket,
    };
    let mut units = vec![(NAME, unit(&facts)?)];
    if options.user {
        units.push((APPS, APPS_TEXT.to_owned()));
    }
    if options.socket {
        units.push((SOCKET, socket(&config.listen, facts.port)));
    }
    Ok(units)
}

fn install(global: &crate::Global, options: &Options) -> Result<(), Failure> {
    if !options.user && !kernel::is_root() {
        return Err(Failure::new("a service of the system is root's to install")
            .next("sudo keyless service install, or a service of your own: keyless service install --user"));
    }
    let folder = folder(options.user)?;
    fs::create_dir_all(&folder)?;
    for (name, text) in units(global, options)? {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        output::line(path.display());
    }
    let written = |failure: Failure| failure.next(format!("The units are written; {}", whose(options.user)));
    systemctl(options.user, &["daemon-reload"]).map_err(written)?;
    systemctl(options.user, &enable(options)).map_err(written)?;
    let user = if options.user { "--user " } else { "" };
    output::note(format_args!(
        "At its first start it writes the recovery key to recovery.key in its data directory: move it to another place, and prove your copy with `keyless recover`. What it says besides: journalctl {user}-u {NAME}"
    ));
    Ok(())
}

/// The service too, not only its socket: apps are to run after a boot, and not only once somebody connects.
fn enable(options: &Options) -> Vec<&'static str> {
    let mut enable = vec!["enable"];
    enable.extend(options.now.then_some("--now"));
    enable.extend(options.socket.then_some(SOCKET));
    enable.push(NAME);
    enable
}

fn uninstall(user: bool) -> Result<(), Failure> {
    let there =
        |failure: Failure| failure.next(format!("What was not removed is there still; {}", whose(user)));
    let do_it = |arguments: &[&str]| systemctl(user, arguments).map_err(there);
    uninstall_by(&folder(user)?, END_TIME_MAX, &do_it, &|| state(user))
}

/// By `do_it`, which is systemctl; `state` says how the service is.
fn uninstall_by(
    folder: &Path,
    time_max: Duration,
    do_it: &dyn Fn(&[&str]) -> Result<(), Failure>,
    state: &dyn Fn() -> String,
) -> Result<(), Failure> {
    // The socket first: nobody starts the service again by a connection. What is left of apps, as of a server that does not run, ends with
    // the unit that they are in.
    for name in [SOCKET, NAME, APPS] {
        let path = folder.join(name);
        if path.exists() {
            if name == NAME {
                end_apps(folder.join(APPS).exists(), time_max, do_it, state)?;
            }
            let stop: &[&str] = if name == APPS { &["stop", APPS] } else { &["disable", "--now", name] };
            do_it(stop)?;
            fs::remove_file(&path)?;
            output::note(format_args!("{} is removed", path.display()));
        }
    }
    do_it(&["daemon-reload"])
}

/// A service that is stopped leaves apps running for the next start, which does not come any more. Interrupted, it ends them. Where it does not
/// run, nobody does, unless they have a unit.
fn end_apps(
    has_unit: bool,
    time_max: Duration,
    do_it: &dyn Fn(&[&str]) -> Result<(), Failure>,
    state: &dyn Fn() -> String,
) -> Result<(), Failure> {
    let is_over = || matches!(&*state(), "inactive" | "failed" | "");
    if is_over() {
        if !has_unit {
            output::warn("the service does not run: apps that it left running when it was stopped run on");
        }
        return Ok(());
    }
    output::note("ending hosted apps; a server that is started again on the same data starts them again");
    // Only the server: systemd would send it to all processes of the unit otherwise.
    do_it(&["kill", "--kill-who=main", "--signal=INT", NAME])?;
    let begin = Instant::now();
    while !is_over() {
        if begin.elapsed() > time_max {
            return Err(Failure::new("the service does not end, and its units stay")
                .next(format!("`systemctl status {NAME}` says how it is.")));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// As systemd says it: nothing where there is no systemd.
fn state(user: bool) -> String {
    let mut command = Process::new("systemctl");
    command.args(user.then_some("--user")).args(["show", "--property=ActiveState", "--value", NAME]);
    let told = command.output().map(|told| String::from_utf8_lossy(&told.stdout).trim().to_owned());
    told.unwrap_or_default()
}

fn folder(user: bool) -> Result<PathBuf, Failure> {
    if !user {
        return Ok(PathBuf::from("/etc/systemd/system"));
    }
    let config = crate::variable("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = || crate::variable("HOME").map(|home| PathBuf::from(home).join(".config"));
    let config =
        config.or_else(home).ok_or_else(|| Failure::new("neither XDG_CONFIG_HOME nor HOME is set"))?;
    Ok(config.join("systemd/user"))
}

fn systemctl(user: bool, arguments: &[&str]) -> Result<(), Failure> {
    let mut command = Process::new("systemctl");
    if user {
        command.arg("--user");
    }
    let ended = command.args(arguments).status();
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(_) | Err(_) => Err(Failure::new(format!("systemctl {} did not do it", arguments.join(" ")))),
    }
}

/// What to look at if systemctl does nothing.
const fn whose(user: bool) -> &'static str {
    match user {
        true => {
            "is this machine run by systemd, and does this user's own run? It is found by XDG_RUNTIME_DIR, which a login sets and `su` does not: log in as this user, and do it again."
        }
        false => "is this machine run by systemd?",
    }
}

/// A path as a unit has it (systemd.service(5), "Command lines").
fn quoted(path: &Path) -> Result<String, Failure> {
    let text = path.to_str().filter(|text| !text.chars().any(char::is_control));
    let text = text.ok_or_else(|| {
        Failure::new("a path that no unit can name").next("Use one of printable characters.")
    })?;
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    Ok(format!("\"{escaped}\""))
}

fn unit(facts: &Facts<'_>) -> Result<String, Failure> {
    let config = match facts.config {
        Some(config) => format!(" --config {}", quoted(config)?),
        None => String::new(),
    };
    let start = format!("{} --data-dir {}{config} up", quoted(facts.binary)?, quoted(facts.data)?);
    // Not required: the service would be stopped with its socket, before it can be interrupted.
    let wants = |name: &str| format!("Wants={name}\nAfter={name}\n");
    let wanted = [facts.socket.then(|| wants(SOCKET)), facts.user.then(|| wants(APPS))];
    let wanted: String = wanted.into_iter().flatten().collect();
    let target = if facts.user { "default.target" } else { "multi-user.target" };
    let system = if facts.user {
        // A user's manager may do little of this; and podman gets the users of its containers by a program that is root's (newuidmap).
        String::new()
    } else {
        "\
# The server's own, and podman's, which unpacks images with them; apps get accounts without any of these.
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETUID CAP_SETGID CAP_SETPCAP CAP_SETFCAP CAP_MKNOD CAP_NET_BIND_SERVICE CAP_NET_ADMIN CAP_SYS_ADMIN CAP_SYS_PTRACE CAP_SYS_RESOURCE CAP_BPF CAP_SYS_CHROOT
ProtectSystem=full
NoNewPrivileges=yes
"
        .to_owned()
    };
    Ok(format!(
        "\
[Unit]
Description=Keyless: identities, vaults and apps
{wanted}After=network.target
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={start}
Restart=on-failure
RestartSec=1
# A configuration, or a file to apply (up --apply), that is wrong: another start comes to the same.
RestartPreventExitStatus={USAGE} {NOT_APPLIED}
# Apps run on while the server is started again, and it goes on with them.
KillMode=process
Delegate=yes
LimitNOFILE=524288
LimitCORE=0
UMask=0077
{system}
[Install]
WantedBy={target}
"
    ))
}

/// A unit with a cgroup for apps. systemd removes one without any process (version 252), and one with processes cannot limit what is below: so a
/// process that does nothing is in a cgroup of its own there.
const APPS_TEXT: &str = r#"[Unit]
Description=Keyless: where apps run

[Service]
Type=forking
ExecStart=/bin/sh -c 'd=/sys/fs/cgroup$$(sed -n s/^0:://p /proc/self/cgroup)/idle; mkdir "$$d" && echo $$$$ > "$$d/cgroup.procs" && { sleep infinity & }'
Delegate=yes
"#;

fn socket(listen: &[std::net::IpAddr], port: u16) -> String {
    let addresses: String = listen
        .iter()
        .map(|address| format!("ListenStream={}\n", std::net::SocketAddr::new(*address, port)))
        .collect();
    format!(
        "\
[Unit]
Description=Keyless: the public port

[Socket]
{addresses}Backlog=1024
NoDelay=yes

[Install]
WantedBy=sockets.target
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(user: bool) -> Facts<'static> {
        Facts {
            binary: Path::new("/usr/local/bin/keyless"),
            data: Path::new("/var/lib/key \"less\" %h"),
            config: None,
            port: 8443,
            user,
            socket: true,
        }
    }

    #[test]
    fn paths_are_what_they_are_also_if_strange() {
        let unit = unit(&facts(false)).unwrap();
        let expected = r#"ExecStart="/usr/local/bin/keyless" --data-dir "/var/lib/key \"less\" %%h" up"#;
        assert!(unit.lines().any(|line| line == expected), "{unit}");
        assert!(quoted(Path::new("/a\nExecStartPre=/bin/evil")).is_err());
    }

    #[test]
    fn what_a_restart_does_not_mend_is_not_tried_each_second() {
        let unit = unit(&facts(false)).unwrap();
        let failed = crate::failure::Failure::from(
            server::Config::load(&server::Sources {
                file: Some("/nowhere/keyless.toml".into()),
                ..server::Sources::default()
            })
            .unwrap_err(),
        );
        let prevented = unit.lines().find_map(|line| line.strip_prefix("RestartPreventExitStatus=")).unwrap();
        let prevented: Vec<u8> = prevented.split(' ').map(|code| code.parse().unwrap()).collect();
        assert_eq!(prevented, [failed.exit_code(), NOT_APPLIED]);
        assert!(
            !prevented.contains(&Failure::new("the store is away").exit_code()),
            "what may pass is tried again"
        );
    }

    #[test]
    fn the_socket_listens_where_the_server_would() {
        let socket = socket(&["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()], 8443);
        assert!(socket.contains("ListenStream=127.0.0.1:8443\nListenStream=[::1]:8443\n"), "{socket}");
    }

    /// Each of these is a filter of system calls (systemd.exec(5)), which apps and podman inherit.
    #[test]
    fn the_unit_filters_no_system_calls() {
        let unit = unit(&facts(false)).unwrap();
        let filters =
            ["SystemCall", "Restrict", "LockPersonality", "MemoryDeny", "PrivateDevices", "ProtectClock"];
        for filter in filters.into_iter().chain(["ProtectHostname", "ProtectKernel"]) {
            assert!(!unit.contains(filter), "{filter}");
        }
        for needed in ["CAP_SETFCAP", "CAP_FSETID", "CAP_MKNOD"] {
            assert!(unit.contains(needed), "to unpack an image: {needed}");
        }
    }

    #[test]
    fn the_service_starts_at_boot_also_where_a_socket_does() {
        let enabled = |socket, now| enable(&Options { user: false, socket, now });
        assert_eq!(enabled(false, false), ["enable", NAME]);
        assert_eq!(enabled(true, true), ["enable", "--now", SOCKET, NAME]);
    }

    /// What is done to systemd while units are removed, of a service that takes a while to end, or none.
    fn uninstalled(units: [&str; 2], states: &[&str]) -> (Vec<String>, bool) {
        let name = format!("keyless-gone-{}-{}-{}", std::process::id(), units[1], states.len());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        for name in units {
            fs::write(folder.join(name), "").unwrap();
        }
        let (done, asked) = (std::cell::RefCell::new(Vec::new()), std::cell::Cell::new(0));
        let do_it = |arguments: &[&str]| {
            done.borrow_mut().push(arguments.join(" "));
            Ok(())
        };
        let state = || {
            let which = asked.replace(asked.get() + 1).min(states.len() - 1);
            states[which].to_owned()
        };
        let is_done = uninstall_by(&folder, Duration::from_millis(200), &do_it, &state).is_ok();
        assert_eq!(folder.join(NAME).exists(), !is_done);
        fs::remove_dir_all(&folder).unwrap();
        (done.into_inner(), is_done)
    }

    #[test]
    fn apps_are_ended_before_nobody_is_there_to_look_after_them() {
        let (socket, service) = (format!("disable --now {SOCKET}"), format!("disable --now {NAME}"));
        let kill = format!("kill --kill-who=main --signal=INT {NAME}");
        let systems = [SOCKET, NAME];
        let (done, is_done) = uninstalled(systems, &["active", "active", "deactivating", "inactive"]);
        assert!(is_done);
        assert_eq!(done, [&*socket, &kill, &service, "daemon-reload"]);
        let (done, is_done) = uninstalled(systems, &["inactive"]);
        assert!(is_done && done == [&*socket, &service, "daemon-reload"], "{done:?}");
        let (done, is_done) = uninstalled(systems, &["active", "active"]);
        assert!(!is_done && done == [&*socket, &kill], "it does not end: {done:?}");
        let unit = unit(&facts(false)).unwrap();
        assert!(unit.contains("Wants=keyless.socket") && !unit.contains("Requires="), "{unit}");
        // A user's containers need a program that gains rights; what root's server starts gains none.
        assert!(unit.contains("\nNoNewPrivileges=yes\n"), "{unit}");
        assert!(!super::unit(&facts(true)).unwrap().contains("NoNewPrivileges"));
    }

    #[test]
    fn a_users_apps_are_in_a_unit_of_their_own_that_ends_after_the_server() {
        let (done, is_done) = uninstalled([NAME, APPS], &["active", "inactive"]);
        let kill = format!("kill --kill-who=main --signal=INT {NAME}");
        assert!(is_done);
        assert_eq!(
            done,
            [&*kill, &format!("disable --now {NAME}"), &format!("stop {APPS}"), "daemon-reload"]
        );
        let unit = |user| unit(&facts(user)).unwrap();
        let wanted = "Wants=keyless.socket\nAfter=keyless.socket\nWants=keyless-apps.service\nAfter=keyless-apps.service\n";
        assert!(unit(true).contains(wanted) && !unit(false).contains(APPS), "{}", unit(true));
        assert!(APPS_TEXT.contains("\nDelegate=yes\n"));
    }

    /// systemd's own word on them, where it is installed.
    #[test]
    fn systemd_understands_the_units() {
        if Process::new("systemd-analyze").arg("--version").output().is_err() {
            return;
        }
        let folder = std::env::temp_dir().join(format!("keyless-units-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for user in [false, true] {
            // A program that is there: systemd looks.
            let facts =
                Facts { binary: Path::new("/bin/true"), data: Path::new("/var/lib/keyless"), ..facts(user) };
            fs::write(folder.join(NAME), unit(&facts).unwrap()).unwrap();
            fs::write(folder.join(SOCKET), socket(&["127.0.0.1".parse().unwrap()], 8443)).unwrap();
            let mut verify = Process::new("systemd-analyze");
            verify.args(["verify", "--man=no", if user { "--user" } else { "--system" }]);
            fs::write(folder.join(APPS), APPS_TEXT).unwrap();
            verify.args([NAME, SOCKET, APPS].map(|name| folder.join(name)));
            let verified = verify.output().unwrap();
            let said = String::from_utf8_lossy(&verified.stderr);
            // Of other units of the machine it may say anything.
            assert!(!said.lines().any(|line| line.contains("keyless")), "{said}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
