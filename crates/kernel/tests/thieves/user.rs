//! Everything as an ordinary user: where the cgroup is delegated all of it works, where not it says so.

use crate::{
    server::{Server, TOKEN, request},
    world::{self, OTHER_USER},
};
use std::{fs, os::unix::fs::chown, sync::Arc};

#[test]
fn with_delegation_everything_is_enforced_and_an_app_is_started_with_its_own_names() {
    let Some(world) = world::as_root() else { return };
    let delegated = world.cgroup("delegated");
    for name in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
        chown(delegated.path().join(name), Some(OTHER_USER), Some(OTHER_USER)).unwrap();
    }
    let mut user = world.actor_of_other_user(&delegated);
    assert_eq!(
        user.tell("placement"),
        format!("Delegated {{ parent: \\\"{}\\\" }}", delegated.path().display())
    );
    let capabilities = user.tell("capabilities");
    if capabilities.contains("private_names: Unenforced") {
        world::skip(&format!("an ordinary user cannot have names of their own here: {capabilities}"));
        return;
    }
    assert!(!capabilities.contains("Unenforced"), "{capabilities}");
    let hosting = user.tell("hosting");
    for name in ["account", "connect_gate"] {
        assert!(hosting.contains(&format!("{name}: Unenforced")), "{name} in {hosting}");
    }
    // Where a user may have names of their own they may have networks, too.
    assert!(hosting.contains("network: Enforced"), "{hosting}");
    let hosts = world.folder().join("hosts");
    fs::write(&hosts, "127.0.0.1 shop.vault.example\n").unwrap();
    let call = world.call();
    user.tell(&format!("start app-of-user {} {}", call.path.display(), hosts.display()));
    let mut app = call.answered_by_foreign();
    assert_eq!(app.tell("cat /etc/hosts"), "127.0.0.1 shop.vault.example\\n");
    assert_ne!(user.tell("cat /etc/hosts"), "127.0.0.1 shop.vault.example\\n", "only the app sees it");
    // The file is the same one, not a copy: names can be added while the app runs.
    fs::write(&hosts, "127.0.0.1 shop.vault.example more.vault.example\n").unwrap();
    assert!(app.tell("cat /etc/hosts").contains("more.vault.example"));
    assert_eq!(app.tell("id"), format!("{OTHER_USER} {OTHER_USER}"), "it is the same user to itself");
    let cgroup = Arc::new(kernel::AppCgroup::open(&delegated.path().join("app-of-user")).unwrap());
    let server = Server::start(cgroup);
    let ask = format!("ask {} {}", server.address, request("user"));
    let answer = app.tell(&ask);
    assert!(answer.contains(TOKEN), "{answer} {:?}", server.outcomes());
    assert!(user.tell(&ask).contains("403"));
    user.tell("stop");
}

/// As the server of an ordinary user is: it may not be dumped.
#[test]
fn a_hardened_user_gives_an_app_names_and_a_domain_by_a_stage() {
    let Some(world) = world::as_root() else { return };
    if let Err(error) = kernel::Landlock::abi() {
        return world::skip(&format!("no Landlock: {error}"));
    }
    let hosts = world.folder().join("hosts");
    fs::write(&hosts, "127.0.0.1 shop.vault.example\n").unwrap();
    let mut user = world.actor_of_other_user(&world.cgroup("app"));
    user.tell("harden");
    let call = world.call();
    user.tell(&format!("stage {}", call.path.display()));
    let mut stage = call.answered_by_foreign();
    let call = world.call();
    let replace = format!("replace {} {}", call.path.display(), hosts.display());
    let why = user.attempt(&replace).unwrap_err();
    assert!(why.contains("own names"), "itself it cannot: {why}");
    stage.begin(&replace);
    let mut app = call.answered_by_foreign();
    assert_eq!(app.tell("cat /etc/hosts"), "127.0.0.1 shop.vault.example\\n");
    app.fails(&format!("cat /proc/{}/environ", user.id()), "PermissionDenied");
    assert!(app.tell("cat /proc/self/status").contains("NoNewPrivs:\\t1"));
}

#[test]
fn without_delegation_it_says_so() {
    let Some(world) = world::as_root() else { return };
    let mut user = world.actor_of_other_user(&world.cgroup("not-delegated"));
    let placement = user.tell("placement");
    assert!(placement.starts_with("NotDelegated") && placement.contains("Delegate=yes"), "{placement}");
    let capabilities = user.tell("capabilities");
    assert!(capabilities.contains("attestation: Enforced"), "{capabilities}");
    assert!(capabilities.contains("cgroup: Unenforced"), "{capabilities}");
}
