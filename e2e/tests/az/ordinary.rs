//! README's lines on the Azure CLI, as they stand there, by an ordinary user: nothing of it is root's, and only the server's user finds it.

use super::noted;
use e2e::{Ended, Server, setting, settings, skip, wait};
use serde_json::Value;
use std::{
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

const README: &str = include_str!("../../../README.md");
/// Nobody in particular, and somebody else.
const USER: u32 = 65_534;
const OTHER: u32 = 65_533;

/// The lines of README's part, each without what it says about itself.
fn lines() -> Vec<&'static str> {
    let part = README.split_once("### Use the Azure CLI\n").unwrap().1;
    let block = part.split_once("```sh\n").unwrap().1.split_once("```").unwrap().0;
    block.lines().map(|line| line.split(" #").next().unwrap().trim_end()).collect()
}

/// A program of this user, in a shell that finds `keyless` and `az`.
fn shell(server: &Server, user: u32, az: &Path, line: &str) -> Command {
    let mut shell = Command::new("sh");
    let path = format!("{}:{}:/usr/bin:/bin", server.place().display(), az.display());
    shell.args(["-c", line]).uid(user).gid(user).env_clear().env("PATH", path).current_dir(server.place());
    shell.env("HOME", home(server, user)).env("LANG", "C.UTF-8");
    shell.env("KEYLESS_DATA_DIR", server.data()).env("KEYLESS_PORT", server.port().to_string());
    shell
}

/// Where a user has what is its own.
fn home(server: &Server, user: u32) -> PathBuf {
    if user == USER { server.place().to_owned() } else { server.place().join("others-home") }
}

fn ended(server: &Server, user: u32, az: &Path, line: &str) -> Ended {
    Ended::from(wait::output(&mut shell(server, user, az, line), b""))
}

/// The folder of an `az` that the user may run: the one that was installed, or its packages by the system's Python.
fn az_of(server: &Server) -> Option<PathBuf> {
    let installed = PathBuf::from(setting("AZ")?);
    let packages: Vec<String> = std::fs::read_dir(installed.parent()?.join("lib"))
        .ok()?
        .flatten()
        .map(|version| version.path().join("site-packages").display().to_string())
        .collect();
    let by_system = server.place().join("by-system");
    std::fs::create_dir(&by_system).unwrap();
    let text =
        format!("#!/bin/sh\nPYTHONPATH={} exec /usr/bin/python3 -m azure.cli \"$@\"\n", packages.join(":"));
    std::fs::write(by_system.join("az"), text).unwrap();
    std::fs::set_permissions(by_system.join("az"), std::fs::Permissions::from_mode(0o755)).unwrap();
    [installed, by_system]
        .into_iter()
        .find(|az| ended(server, USER, az, "az version -o none").code == Some(0))
}

/// What stands beside a name in what a command told.
fn told<'a>(text: &'a str, name: &str) -> &'a str {
    let value = text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    value.unwrap_or_else(|| panic!("{name}: {text}"))
}

#[test]
fn readmes_lines_do_as_they_say_for_an_ordinary_user() {
    if !settings::is_root() {
        return skip("another user's server: needs root");
    }
    let server = Server::start_as("az-ordinary", USER);
    let Some(az) = az_of(&server) else { return skip("no az that an ordinary user may run") };
    // What README's lines before these have made.
    let _said = server.keyless(["app", "create", "web"]).ok();
    let lines = lines();
    let [create, add, assign, login, enable] = lines[..] else { panic!("README has other lines: {lines:?}") };
    let run = |line: &str| {
        let ended = ended(&server, USER, &az, line);
        assert_eq!(ended.code, Some(0), "{}: {}", line.split(" --password").next().unwrap(), ended.said());
        if let Some((_, words)) = line.split_once("keyless az -- ") {
            noted(words, 0, "");
        }
        ended.stdout
    };
    let made = run(create);
    let (id, tenant) = (told(&made, "client id"), told(&made, "tenant"));
    let secret = run(&add.replace("ID", id));
    let secret = told(&secret, "secret");
    let before = ended(&server, USER, &az, enable);
    assert!(before.code == Some(1) && before.said().contains("az login"), "{}", before.said());
    let _said = run(&assign.replace("ID", id));
    let account = run(&login.replace("ID", id).replace("TENANT", tenant).replace("SECRET", secret));
    assert!(account.contains(tenant) && account.contains("Keyless"), "{account}");
    let identity: Value = serde_json::from_str(&run(enable)).unwrap();
    let shown: Value = serde_json::from_str(&server.keyless_json(["app", "show", "web"])).unwrap();
    assert_eq!(shown["identity"]["principal"], identity["principalId"], "{shown}");

    // Nobody else of this machine is told where anything is, nor reads what az keeps.
    let others = home(&server, OTHER);
    std::fs::create_dir(&others).unwrap();
    std::os::unix::fs::chown(&others, Some(OTHER), Some(OTHER)).unwrap();
    let other = ended(&server, OTHER, &az, enable);
    let says = format!("the server's data directory {} is another user's", server.data().display());
    assert!(other.code == Some(1) && other.stderr.contains(&says), "{}", other.said());
    let kept = server.place().join(".local/state/keyless/az");
    let reads = ended(&server, OTHER, &az, &format!("find {} -type f -name 'msal*'", kept.display()));
    assert_eq!(reads.stdout, "", "{}", reads.said());
    let own = ended(&server, USER, &az, &format!("find {} -type f -name 'msal*'", kept.display()));
    assert!(own.stdout.contains("msal_token_cache"), "{}", own.said());
}
