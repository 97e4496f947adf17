//! The documented limits: who takes over an app for good is the app. They are tests so that the documents stay true.

use crate::{
    programs::two_apps,
    server::{Server, TOKEN, request},
    world::{self, OTHER_USER},
};
use kernel::{Account, Landlock};
use std::{fs, os::unix::fs::chown};

/// T12. Root of the host can write itself into any cgroup.
#[test]
fn root_joins_the_cgroup() {
    let Some(world) = world::as_root() else { return };
    let cgroup = world.cgroup("app");
    let server = Server::start(cgroup.clone());
    let mut root = world.actor(&world.cgroup("outside"));
    root.tell(&format!("join {}", cgroup.path().display()));
    assert!(root.tell(&format!("ask {} {}", server.address, request("root"))).contains(TOKEN));
}

/// T20. In a part of the hierarchy that is delegated to a user, any process of that user can move from one cgroup to another; not so from
/// outside of that part.
#[test]
fn same_user_joins_under_delegation() {
    let Some(world) = world::as_root() else { return };
    let (delegated, outside) = (world.cgroup("delegated"), world.cgroup("outside"));
    for name in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
        chown(delegated.path().join(name), Some(OTHER_USER), Some(OTHER_USER)).unwrap();
    }
    let app_path = delegated.path().join("app");
    let mut host = world.actor_of_other_user(&delegated);
    host.tell(&format!("mkdir {}", app_path.display()));
    let app = std::sync::Arc::new(kernel::AppCgroup::open(&app_path).unwrap());
    assert_eq!(
        fs::metadata(&app_path).map(|data| std::os::unix::fs::MetadataExt::uid(&data)).unwrap(),
        OTHER_USER
    );
    let server = Server::start(app.clone());
    let ask = format!("ask {} {}", server.address, request("same"));
    assert!(host.tell(&ask).contains("403"), "not before it has joined");
    host.tell(&format!("join {}", app_path.display()));
    assert!(host.tell(&ask).contains(TOKEN));
    let mut stranger = world.actor_of_other_user(&outside);
    stranger.fails(&format!("join {}", app_path.display()), "PermissionDenied");
    assert!(stranger.tell(&ask).contains("403"));
}

/// T20 under Landlock. A domain keeps a program from writing itself into another's cgroup, but a new process can be made in there by a
/// descriptor of its directory that is open for reading (`CLONE_INTO_CGROUP`), of which Landlock is not asked.
#[test]
fn same_user_clones_into_a_cgroup_from_under_landlock() {
    let Some(world) = world::as_root() else { return };
    if let Err(error) = Landlock::abi() {
        return world::skip(&format!("no Landlock: {error}"));
    }
    let [app, other] = two_apps(&world);
    let server = Server::start(app.clone());
    let landlock = Landlock::new().unwrap();
    let mut thief = world.actor_with(&other, &[], |program| {
        program.account = Account::new(OTHER_USER, OTHER_USER);
        program.landlock = Some(&landlock);
    });
    let ask = format!("ask {} {}", server.address, request("clone"));
    thief.fails(&format!("join {}", app.path().display()), "PermissionDenied");
    assert!(thief.tell(&ask).contains("403"));
    let call = world.call();
    thief.tell(&format!("clone {} {}", app.path().display(), call.path.display()));
    let mut inside = call.answered_by_foreign();
    assert!(inside.tell(&ask).contains(TOKEN));
    // Of another user the kernel takes neither.
    let mut stranger = world.actor_of_other_user(&world.cgroup("outside"));
    let call = world.call();
    let refused = stranger.attempt(&format!("clone {} {}", app.path().display(), call.path.display()));
    assert!(refused.is_err(), "from outside of what is delegated: {refused:?}");
}
