//! Limits of memory, processor and processes: programs that take too much, in small.

use crate::world::{self, World};
use kernel::{Account, AppCgroup, Ended, Limiter, Limits, Process, Program, Verdict};
use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

const MEBIBYTE: u64 = 1 << 20;

/// A cgroup with limits that are enforced. Where a controller is nowhere, there is nothing to be tested.
fn limited(world: &World, name: &str, limits: Limits) -> Option<(Arc<AppCgroup>, Limiter)> {
    let cgroup = world.cgroup(name);
    let limiter = Limiter::apply(&limits, &cgroup);
    let applied = limiter.applied().clone();
    for verdict in [applied.memory, applied.cpu, applied.processes] {
        if let Verdict::Unenforced { why, .. } = verdict {
            world::skip(&why);
            return None;
        }
    }
    Some((cgroup, limiter))
}

fn start(cgroup: &AppCgroup, limiter: &Limiter, arguments: &[&str]) -> Process {
    let program = Program {
        arguments: arguments.iter().map(Into::into).collect(),
        environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        cgroup: Some(cgroup.directory()),
        joins: limiter.joins(),
        account: Account::new(world::OTHER_USER, world::OTHER_USER),
        ..Program::default()
    };
    kernel::spawn(&program).unwrap()
}

#[test]
fn a_program_that_forks_without_end_ends_at_its_limit() {
    let Some(world) = world::as_root() else { return };
    let limits = Limits { processes: Some(10), ..Limits::default() };
    let Some((cgroup, limiter)) = limited(&world, "forks", limits) else { return };
    // In small: sixty would be no harm either.
    let script = "i=0; while [ $i -lt 60 ]; do sleep 60 & i=$((i+1)); done 2>/dev/null; wait";
    let bomb = start(&cgroup, &limiter, &["sh", "-c", script]);
    let begin = Instant::now();
    let mut most = 0;
    while !bomb.has_ended().unwrap() && begin.elapsed() < Duration::from_secs(5) {
        most = most.max(cgroup.processes().len());
    }
    // It may have been quicker than the first look; those that it has started sleep on.
    most = most.max(cgroup.processes().len());
    assert!((2..=10).contains(&most), "{most} processes");
    // A shell that cannot fork gives up.
    assert_eq!(bomb.wait().unwrap(), Ended::Exited(2));
    assert!(cgroup.processes().len() < 10);
}

#[test]
fn a_program_that_takes_too_much_memory_is_killed_and_that_is_told() {
    let Some(world) = world::as_root() else { return };
    let limits = Limits { memory_bytes: Some(24 * MEBIBYTE), ..Limits::default() };
    let Some((cgroup, limiter)) = limited(&world, "hog", limits) else { return };
    let take = |amount: &str| {
        let size = format!("bs={amount}");
        start(&cgroup, &limiter, &["dd", "if=/dev/zero", "of=/dev/null", "status=none", "count=1", &size])
            .wait()
    };
    assert_eq!(take("8M").unwrap(), Ended::Exited(0));
    assert!(!limiter.was_killed_for_memory());
    assert_eq!(take("64M").unwrap(), Ended::Killed(9));
    assert_eq!(limiter.memory_kills(), 1);
    // More for the same app, and after it none.
    let more = Limiter::apply(&Limits { memory_bytes: Some(128 * MEBIBYTE), ..Limits::default() }, &cgroup);
    assert_eq!(more.applied().memory, Verdict::Enforced);
    assert_eq!(take("64M").unwrap(), Ended::Exited(0));
    Limiter::apply(&Limits { memory_bytes: Some(16 * MEBIBYTE), ..Limits::default() }, &cgroup);
    assert_eq!(take("64M").unwrap(), Ended::Killed(9));
    Limiter::apply(&Limits::default(), &cgroup);
    assert_eq!(take("64M").unwrap(), Ended::Exited(0));
    assert_eq!(limiter.memory_kills(), 2);
}

#[test]
fn a_program_that_only_computes_gets_its_share_of_a_processor() {
    let Some(world) = world::as_root() else { return };
    let limits = Limits { cpu_thousandths: Some(50), ..Limits::default() };
    let Some((slow, limiter)) = limited(&world, "slow", limits) else { return };
    let Some((free, no_limits)) = limited(&world, "free", Limits::default()) else { return };
    let spin = ["sh", "-c", "while :; do :; done"];
    let spinners = [start(&slow, &limiter, &spin), start(&free, &no_limits, &spin)];
    let begin = Instant::now();
    let share = |cgroup: &AppCgroup| {
        let text = fs::read_to_string(cgroup.path().join("cpu.stat")).unwrap();
        let used = text.lines().find_map(|line| line.strip_prefix("usage_usec ")).unwrap();
        Duration::from_micros(used.parse().unwrap()).as_secs_f64() / begin.elapsed().as_secs_f64()
    };
    // A first period may be too long. And on a machine that is busy the other has little, until the machine is less busy.
    let (slow_share, free_share) = loop {
        std::thread::sleep(Duration::from_millis(1_500));
        let shares = (share(&slow), share(&free));
        if shares.1 > 2.0 * shares.0 || begin.elapsed() > Duration::from_secs(20) {
            break shares;
        }
    };
    for spinner in spinners {
        spinner.signal(9).unwrap();
        assert_eq!(spinner.wait().unwrap(), Ended::Killed(9));
    }
    assert!(
        slow_share < 0.1 && free_share > 2.0 * slow_share,
        "{slow_share:.3} with a limit, {free_share:.3} without"
    );
}

#[test]
fn limits_come_over_an_app_that_runs_already_and_go_with_its_cgroup() {
    let Some(world) = world::as_root() else { return };
    let cgroup = world.cgroup("running");
    let unlimited = Limiter::apply(&Limits::default(), &cgroup);
    let [app, another] = [(); 2].map(|()| start(&cgroup, &unlimited, &["sleep", "60"]));
    let limits =
        Limits { memory_bytes: Some(64 * MEBIBYTE), cpu_thousandths: Some(500), processes: Some(10) };
    let limiter = Limiter::apply(&limits, &cgroup);
    let name = format!("/keyless-{}", cgroup.id());
    let groups = |process: &Process| {
        let groups = fs::read_to_string(format!("/proc/{}/cgroup", process.id())).unwrap();
        groups.lines().filter(|line| line.ends_with(&name)).count()
    };
    let version_1 = limiter.applied().version_1.len();
    assert_eq!([groups(&app), groups(&another)], [version_1; 2]);
    assert_eq!(limiter.joins().len(), version_1);
    let group_directories = || {
        let hierarchies = fs::read_dir("/sys/fs/cgroup").unwrap().flatten();
        let mut found = 0;
        let mut folders: Vec<_> =
            hierarchies.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        while let Some(folder) = folders.pop() {
            found += usize::from(folder.to_string_lossy().ends_with(&name));
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            folders.extend(
                entries.flatten().filter(|entry| entry.file_type().unwrap().is_dir()).map(|e| e.path()),
            );
        }
        found
    };
    assert_eq!(group_directories(), version_1);
    cgroup.kill().unwrap();
    for process in [app, another] {
        assert_eq!(process.wait().unwrap(), Ended::Killed(9));
    }
    cgroup.remove().unwrap();
    assert_eq!(group_directories(), 0);
}

/// A server that is in another place of the old hierarchies than its earlier life was.
#[test]
fn limits_of_an_earlier_life_are_found_where_it_made_them() {
    let Some(world) = world::as_root() else { return };
    let cgroup = world.cgroup("app");
    let elsewhere =
        std::path::Path::new("/sys/fs/cgroup/pids").join(format!("keyless-test-{}", std::process::id()));
    if fs::create_dir(&elsewhere).is_err() {
        return world::not_here("no pids controller of version 1, so nothing to be found in it");
    }
    let mut earlier = world.actor(&world.cgroup("earlier"));
    earlier.tell(&format!("join {}", elsewhere.display()));
    let app = start(&cgroup, &Limiter::apply(&Limits::default(), &cgroup), &["sleep", "60"]);
    earlier.tell(&format!("limit {}", cgroup.path().display()));
    drop(earlier);
    let group = || fs::read_to_string(format!("/proc/{}/cgroup", app.id())).unwrap();
    let line = || group().lines().find(|line| line.contains(":pids:")).unwrap().to_owned();
    let before = line();
    assert!(before.ends_with(&format!("/keyless-{}", cgroup.id())), "{before}");
    Limiter::apply(&Limits { processes: Some(7), ..Limits::default() }, &cgroup);
    assert_eq!(line(), before);
    let directory = elsewhere.join(format!("keyless-{}", cgroup.id()));
    assert_eq!(fs::read_to_string(directory.join("pids.max")).unwrap().trim(), "7");
    app.signal(9).unwrap();
    app.wait().unwrap();
    // Nobody is in the app's cgroup any more who would tell where it is.
    cgroup.remove().unwrap();
    assert!(!directory.exists());
    fs::remove_dir(elsewhere).unwrap();
}

/// As podman and its helpers are: under the limits of a container, and not in its cgroup.
#[test]
fn a_cgroup_stays_as_long_as_its_limits_are_used() {
    let Some(world) = world::as_root() else { return };
    let cgroup = world.cgroup("app");
    let limiter = Limiter::apply(&Limits { processes: Some(7), ..Limits::default() }, &cgroup);
    if limiter.joins().is_empty() {
        return world::not_here("no limits by version 1, which alone have cgroups beside the app's");
    }
    let helper = start(&world.cgroup("elsewhere"), &limiter, &["sleep", "60"]);
    let refused = format!("{:?}", cgroup.remove().unwrap_err());
    assert!(refused.contains("ResourceBusy"), "{refused}");
    assert!(cgroup.path().exists(), "it is what leads to the other one");
    helper.signal(9).unwrap();
    helper.wait().unwrap();
    cgroup.remove().unwrap();
    assert!(!cgroup.path().exists());
    let name = format!("keyless-{}", cgroup.id());
    let left = std::process::Command::new("find").args(["/sys/fs/cgroup", "-name", &name]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
}

/// An ordinary user, to whom no controller is delegated.
#[test]
fn a_limit_that_cannot_be_set_says_so() {
    let Some(world) = world::as_root() else { return };
    let mut user = world.actor_of_other_user(&world.cgroup("not-delegated"));
    let limits = user.tell(&format!("limit {}", world.cgroup("app").path().display()));
    for name in ["memory", "cpu", "processes"] {
        assert!(limits.contains(&format!("{name}: Unenforced {{ why: ")), "{name} in {limits}");
    }
}
