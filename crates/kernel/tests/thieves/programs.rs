//! Programs that the server starts for others: with which rights they run, and what programs of one user can do to each other.

use crate::world::{self, Actor, OTHER_USER, World};
use kernel::{Account, AppCgroup, Landlock, Program, Resources};
use std::{
    collections::HashMap,
    fs,
    os::{
        fd::AsFd,
        unix::fs::{PermissionsExt, chown},
    },
    sync::Arc,
};

fn account() -> Option<Account> {
    Account::new(OTHER_USER, OTHER_USER)
}

/// What `/proc/self/status` says of an actor.
fn status(actor: &mut Actor) -> HashMap<String, String> {
    let text = actor.tell("cat /proc/self/status");
    let lines = text.split("\\n").filter_map(|line| line.split_once(":"));
    lines.map(|(name, value)| (name.to_owned(), value.replace("\\t", " ").trim().to_owned())).collect()
}

#[test]
fn a_program_with_an_account_keeps_nothing_of_roots() {
    let Some(world) = world::as_root() else { return };
    let cgroup = world.cgroup("app");
    let log = fs::File::create(world.folder().join("log")).unwrap();
    // A descriptor of ours that a careless part of the server has left to be inherited.
    let careless = rustix::io::dup(&log).unwrap();
    rustix::io::fcntl_setfd(&careless, rustix::io::FdFlags::empty()).unwrap();
    let mut app = world.actor_with(&cgroup, &[], |program| {
        program.account = account();
        program.output = Some(log.as_fd());
        program.resources = Some(Resources { processes: Some(64), files: Some(128) });
    });
    let status = status(&mut app);
    let ids = format!("{OTHER_USER} {OTHER_USER} {OTHER_USER} {OTHER_USER}");
    for (name, value) in [
        ("Uid", ids.as_str()),
        ("Gid", ids.as_str()),
        ("Groups", ""),
        ("CapPrm", "0000000000000000"),
        ("CapEff", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
        ("NoNewPrivs", "1"),
        ("SigBlk", "0000000000000000"),
        ("Umask", "0077"),
    ] {
        assert_eq!(status.get(name).map(String::as_str), Some(value), "{name}");
    }
    let limits = app.tell("cat /proc/self/limits").replace("\\n", "\n");
    for (name, value) in [("Max processes", "64"), ("Max open files", "128"), ("Max core file size", "0")] {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let values: Vec<_> = line.split_whitespace().take(2).collect();
        assert_eq!(values, [value, value], "{name}");
    }
    assert_eq!(app.tell("link /proc/self/fd/0"), "/dev/null");
    for stream in [1, 2] {
        assert!(app.tell(&format!("link /proc/self/fd/{stream}")).ends_with("/log"));
    }
    let open = app.tell("list /proc/self/fd");
    // Its control socket, and the directory that is being listed.
    assert!(open.split(' ').count() <= 6, "{open}");
    for descriptor in open.split(' ').filter(|number| !["0", "1", "2"].contains(number)) {
        let target = app.attempt(&format!("link /proc/self/fd/{descriptor}"));
        assert!(!target.is_ok_and(|target| target.ends_with("/log")), "{descriptor} was inherited");
    }
    let stat = app.tell("cat /proc/self/stat");
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    assert_eq!((fields[2], fields[3]), (app.id().as_str(), app.id().as_str()), "its own group and session");
    app.fails(&format!("join {}", cgroup.path().display()), "PermissionDenied");
    assert!(app.tell("become 20002").contains("Prepare { step: Account"), "it can become nobody else");
}

#[test]
fn what_it_writes_goes_where_it_should_and_it_ignores_no_signal() {
    let (read, write) = rustix::pipe::pipe().unwrap();
    let script = "echo out; echo err >&2; cat; grep SigIgn /proc/self/status; kill -PIPE $$";
    // We ignore SIGPIPE, as every Rust program does.
    let command = Program {
        arguments: ["sh", "-c", script].map(Into::into).to_vec(),
        environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        output: Some(write.as_fd()),
        ..Program::default()
    };
    let ended = kernel::spawn(&command).unwrap().wait().unwrap();
    drop(write);
    let said = std::io::read_to_string(fs::File::from(read)).unwrap();
    assert_eq!(said, "out\nerr\nSigIgn:\t0000000000000000\n");
    assert_eq!(ended, kernel::Ended::Killed(13));
}

/// As whom a directory and a program are looked for: root could enter everything.
#[test]
fn its_directory_and_program_must_be_open_to_its_account() {
    let Some(world) = world::as_root() else { return };
    let closed = world.folder().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    fs::copy("/bin/true", closed.join("true")).unwrap();
    let program = |argument: &str| Program {
        arguments: vec![argument.into()],
        account: account(),
        ..Program::default()
    };
    let with_directory = Program { directory: Some(closed.clone()), ..program("/bin/true") };
    let failed = format!("{:?}", kernel::spawn(&with_directory).unwrap_err());
    assert!(failed.contains("step: Directory") && failed.contains("PermissionDenied"), "{failed}");
    let inside = closed.join("true");
    let failed = format!("{:?}", kernel::spawn(&program(inside.to_str().unwrap())).unwrap_err());
    assert!(failed.contains("Execute") && failed.contains("PermissionDenied"), "{failed}");
    assert_eq!(kernel::spawn(&program("/bin/true")).unwrap().wait().unwrap(), kernel::Ended::Exited(0));
}

/// glibc's wrappers wait for threads that are not in the new process; this is what would notice.
#[test]
fn many_threads_start_programs_with_accounts_at_once() {
    let Some(_world) = world::as_root() else { return };
    let start = |_| {
        std::thread::spawn(|| {
            let program =
                Program { arguments: vec!["/bin/true".into()], account: account(), ..Program::default() };
            for _ in 0..10 {
                assert_eq!(kernel::spawn(&program).unwrap().wait().unwrap(), kernel::Ended::Exited(0));
            }
        })
    };
    for thread in (0..8).map(start).collect::<Vec<_>>() {
        thread.join().unwrap();
    }
}

/// Two apps of one user in a part of the hierarchy that is delegated to that user, which is how it is on a laptop.
pub(crate) fn two_apps(world: &World) -> [Arc<AppCgroup>; 2] {
    let delegated = world.cgroup("delegated");
    let give = |cgroup: &AppCgroup| {
        for name in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
            chown(cgroup.path().join(name), Some(OTHER_USER), Some(OTHER_USER)).unwrap();
        }
    };
    give(&delegated);
    ["delegated/app", "delegated/other"].map(|name| {
        let cgroup = world.cgroup(name);
        give(&cgroup);
        cgroup
    })
}

/// T20 under Landlock: one app cannot write itself into another's cgroup, nor read or signal it. What is left is in `limits`.
#[test]
fn programs_of_one_user_under_landlock_neither_join_nor_read_nor_signal_each_other() {
    let Some(world) = world::as_root() else { return };
    let abi = match Landlock::abi() {
        Ok(abi) => abi,
        Err(error) => return world::skip(&format!("no Landlock: {error}")),
    };
    let [app, other] = two_apps(&world);
    let shared = world.folder().join("shared");
    for directory in [shared.clone(), shared.join("below")] {
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let landlock = Landlock::new().unwrap();
    let app_actor = world.actor_with(&app, &[], |program| {
        program.account = account();
        program.landlock = Some(&landlock);
    });
    let join = format!("join {}", app.path().display());
    let environment = format!("cat /proc/{}/environ", app_actor.id());
    let signal = format!("signal {} 18", app_actor.id());
    // Without, each of these would work: else this test would show nothing.
    let mut free = world.actor_with(&other, &[], |program| program.account = account());
    free.tell(&environment);
    free.tell(&signal);
    free.tell(&join);
    let mut thief = world.actor_with(&other, &[], |program| {
        program.account = account();
        program.landlock = Some(&landlock);
    });
    thief.fails(&join, "PermissionDenied");
    thief.fails(&environment, "PermissionDenied");
    thief.fails(&format!("mkdir {}/x", other.path().display()), "PermissionDenied");
    if abi >= 6 {
        thief.fails(&signal, "PermissionDenied");
    }
    // Otherwise it is a program as any.
    thief.tell(&format!("write {}/file", shared.display()));
    thief.tell(&format!("move {0}/file {0}/below/file", shared.display()));
    thief.tell("write /dev/null");
    thief.tell("cat /sys/kernel/mm/transparent_hugepage/enabled");
    assert!(app_actor.is_running());
}

#[test]
fn a_cgroup_knows_those_around_it() {
    let Some(world) = world::as_anyone() else { return };
    let cgroup = world.cgroup("app");
    let below = world.cgroup("app/below");
    let deeper = world.cgroup("app/below/deeper");
    let around = cgroup.lineage().unwrap();
    assert_eq!(around.first(), Some(&cgroup.id()));
    assert_eq!(below.lineage().unwrap(), [&[below.id()][..], around].concat());
    assert_eq!(deeper.lineage().unwrap(), [&[deeper.id(), below.id()][..], around].concat());
    // Up to the top: its files say that it is one.
    let levels = cgroup.path().ancestors().take_while(|path| path.join("cgroup.procs").exists()).count();
    assert_eq!(around.len(), levels);
}

#[test]
fn processes_of_a_subtree_are_listed() {
    let Some(world) = world::as_anyone() else { return };
    let cgroup = world.cgroup("app");
    let below = world.cgroup("app/below");
    let (one, two) = (world.actor(&cgroup), world.actor(&below));
    let mut expected = [one.id(), two.id()].map(|id| id.parse::<u32>().unwrap());
    let mut found = cgroup.processes();
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(below.processes(), [two.id().parse::<u32>().unwrap()]);
}

/// More cgroups than are looked at in one walk, as an app that makes them without end has.
#[test]
fn what_is_far_below_a_cgroup_is_within_it_and_goes_with_it() {
    let Some(world) = world::as_root() else { return };
    let (top, beside) = (world.cgroup("app"), world.cgroup("beside"));
    for number in 0..5_000 {
        fs::create_dir(top.path().join(number.to_string())).unwrap();
    }
    // Only the kernel knows in which order they are listed: one of these is not met.
    let is_missed = |number: &u32| {
        let cgroup = AppCgroup::open(&top.path().join(number.to_string())).unwrap();
        assert!(cgroup.is_within(top.id()).unwrap() && cgroup.is_within(cgroup.id()).unwrap());
        assert!(!cgroup.is_within(beside.id()).unwrap() && !top.is_within(cgroup.id()).unwrap());
        !top.contains(cgroup.id())
    };
    assert!([0, 4_999].iter().any(is_missed), "this shows nothing");
    let below = AppCgroup::open(&top.path().join("0")).unwrap();
    top.remove().unwrap();
    assert!(!top.path().exists());
    assert!(below.is_within(top.id()).unwrap(), "what it was in is known when it is gone, too");
}

/// Linux lists the processes of a cgroup in no time at all, but not once for each of them.
#[test]
fn to_signal_all_processes_takes_as_long_as_to_list_them_a_few_times() {
    let Some(world) = world::as_root() else { return };
    let top = world.cgroup("app");
    let below: Vec<_> = (0..200).map(|number| world.cgroup(&format!("app/{number}"))).collect();
    let started: Vec<_> = below
        .iter()
        .map(|cgroup| {
            let arguments = ["/bin/sleep", "60"].map(Into::into).to_vec();
            kernel::spawn(&Program { arguments, cgroup: Some(cgroup.directory()), ..Program::default() })
                .unwrap()
        })
        .collect();
    const SIGCONT: i32 = 18;
    let shortest = |action: &dyn Fn()| {
        let time = |_| {
            let begin = std::time::Instant::now();
            action();
            begin.elapsed()
        };
        (0..3).map(time).min().unwrap()
    };
    let to_list = shortest(&|| assert_eq!(top.processes().len(), 200));
    let to_signal = shortest(&|| top.signal(SIGCONT));
    assert!(to_signal < 10 * to_list, "{to_signal:?}, but {to_list:?} to list them");
    top.signal(15);
    for process in started {
        assert_eq!(process.wait().unwrap(), kernel::Ended::Killed(15));
    }
}
