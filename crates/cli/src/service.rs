//! `keyless service`: the server as a service of systemd.
//!
//! Owns: the units' text and where they go. Owns not: starting them (`systemctl` does).
//!
//! What the unit takes away from the server it takes away from apps as well, which inherit it. So nothing is there that would break an app: no
//! filter of system calls, no ban of code that is made at run time (Node, the JVM), no namespaces refused. The server has its own for itself.

use crate::{failure::Failure, output};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command as Process,
};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Write the units, so that systemd starts the server at boot
    Install(Options),
    /// Print what `install` would write
    Show(Options),
    /// Stop the service and remove its units; data stays
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

const NAME: &str = "keyless.service";
const SOCKET: &str = "keyless.socket";

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
    systemctl(options.user, &["daemon-reload"])?;
    let what = if options.socket { SOCKET } else { NAME };
    let mut enable = vec!["enable"];
    if options.now {
        enable.push("--now");
    }
    enable.push(what);
    systemctl(options.user, &enable)?;
    let user = if options.user { "--user " } else { "" };
    output::note(format_args!(
        "At its first start it writes the recovery key to recovery.key in its data directory: move it to another place, and prove your copy with `keyless recover`. What it says besides: journalctl {user}-u {NAME}"
    ));
    Ok(())
}

fn uninstall(user: bool) -> Result<(), Failure> {
    let folder = folder(user)?;
    for name in [SOCKET, NAME] {
        let path = folder.join(name);
        if path.exists() {
            systemctl(user, &["disable", "--now", name])?;
            fs::remove_file(&path)?;
            output::note(format_args!("{} is removed", path.display()));
        }
    }
    systemctl(user, &["daemon-reload"])
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
        Ok(_) | Err(_) => Err(Failure::new(format!("systemctl {} did not do it", arguments.join(" ")))
            .next("The units are written; is this machine run by systemd?")),
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
    let socket = if facts.socket { format!("Requires={SOCKET}\nAfter={SOCKET}\n") } else { String::new() };
    let target = if facts.user { "default.target" } else { "multi-user.target" };
    let system = if facts.user {
        // A user's manager may do little of this.
        String::new()
    } else {
        "\
# The server's own; apps get accounts without any of these.
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_KILL CAP_SETUID CAP_SETGID CAP_NET_BIND_SERVICE CAP_NET_ADMIN CAP_SYS_ADMIN CAP_SYS_PTRACE CAP_SYS_RESOURCE CAP_BPF CAP_SYS_CHROOT
ProtectSystem=full
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectClock=yes
ProtectHostname=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
"
        .to_owned()
    };
    Ok(format!(
        "\
[Unit]
Description=Keyless: identities, vaults and apps
{socket}After=network.target
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={start}
Restart=on-failure
RestartSec=1
# Apps run on while the server is started again, and it goes on with them.
KillMode=process
Delegate=yes
LimitNOFILE=524288
LimitCORE=0
UMask=0077
NoNewPrivileges=yes
{system}
[Install]
WantedBy={target}
"
    ))
}

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
    fn the_socket_listens_where_the_server_would() {
        let socket = socket(&["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()], 8443);
        assert!(socket.contains("ListenStream=127.0.0.1:8443\nListenStream=[::1]:8443\n"), "{socket}");
    }

    /// systemd's own word on both, where it is installed.
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
            let verified = verify.arg(folder.join(NAME)).arg(folder.join(SOCKET)).output().unwrap();
            let said = String::from_utf8_lossy(&verified.stderr);
            // Of other units of the machine it may say anything.
            assert!(!said.lines().any(|line| line.contains("keyless")), "{said}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
