//! The same for containers, which are more than processes: images of ours, mounts, networks and podman's own monitors.

use super::{Chance, Counts, PATIENCE, ask, children, listed, name};
use crate::containers::Engine;
use e2e::{setting, wait};
use std::{
    collections::BTreeMap,
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// How long, unless something else is said: a container takes a second to come and go.
const SECONDS: u64 = 30;
const APPS: u64 = 2;
const STEPS: u64 = 8;
/// Milliseconds between two steps, at most: about what podman takes.
const PAUSE_MAX: u64 = 1_500;
const COMMAND: &str = "trap 'exit 0' TERM; httpd -f -p \"$PORT\" -h /tmp & wait";

/// What there is of a server's containers.
fn counted(engine: &Engine) -> Counts {
    // Podman's lists fail if an image is removed by the server while podman reads what it was made of.
    let lines = |arguments: &[&str]| {
        let mut told = engine.podman(arguments);
        wait::until("podman to tell what there is", PATIENCE, || {
            let is_told = told.status.success();
            if !is_told {
                told = engine.podman(arguments);
            }
            is_told
        });
        String::from_utf8(told.stdout).unwrap().lines().count()
    };
    let (pid, place) = (engine.server.pid(), engine.place().display().to_string());
    let apps = engine.server.place().join("data-apps");
    let is_zip = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "zip");
    let mut counts = Counts::of_descriptors(pid);
    counts.add("children", children(pid));
    counts.add("containers", lines(&["ps", "--all", "--quiet"]));
    counts.add("images", lines(&["images", "--all", "--quiet"]));
    counts.add("cgroups", engine.cgroups().len());
    // Network namespaces that some process is in.
    counts.add("networks", networks());
    // Of podman, its monitors and what they run, by the folder that podman has for itself.
    counts.add("processes", processes(&place));
    // Packages and tars of apps that wait.
    counts.add("packages", listed(&apps).map(|app| listed(&app).filter(is_zip).count()).sum());
    counts
}

/// Those of containers: of processes whose environment or command line is podman's of this scenario, or that were started in such a container.
fn networks() -> usize {
    let own = std::fs::metadata("/proc/self/ns/net").unwrap().ino();
    let of = |process: PathBuf| std::fs::metadata(process.join("ns/net")).ok().map(|found| found.ino());
    let is_apps = |process: &PathBuf| {
        std::fs::read(process.join("environ"))
            .is_ok_and(|environment| holds(&environment, b"WEBSITE_SITE_NAME=box-"))
    };
    let all = listed(Path::new("/proc")).filter(is_apps).filter_map(of).filter(|network| *network != own);
    all.collect::<std::collections::BTreeSet<_>>().len()
}

fn processes(place: &str) -> usize {
    let is_podmans = |process: &PathBuf| {
        let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
        let environment = std::fs::read(process.join("environ")).unwrap_or_default();
        // The server is given where podman's files are, too.
        let is_server = holds(&line, b"keyless\0up");
        !is_server
            && (holds(&line, place.as_bytes())
                || holds(&environment, place.as_bytes())
                || holds(&environment, b"WEBSITE_SITE_NAME=box-"))
    };
    listed(Path::new("/proc")).filter(is_podmans).count()
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|bytes| bytes == part)
}

struct Actor<'e> {
    engine: &'e Engine,
    /// A root file system, as it is sent.
    tar: Vec<u8>,
    chance: Chance,
    done: BTreeMap<&'static str, usize>,
}

impl Actor<'_> {
    fn asks(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> u16 {
        let answer = ask(&self.engine.server, method, path, kind, body);
        assert!(answer.status < 500, "{method} {path}: {} {}", answer.status, answer.text());
        answer.status
    }

    fn deploy(&self, name_of: &str) -> &'static str {
        let app = format!("/v1/apps/{name_of}");
        let _there = self.asks(
            "POST",
            "/v1/apps",
            "application/json",
            format!("{{\"name\":\"{name_of}\"}}").as_bytes(),
        );
        let _given = self.asks("PUT", &format!("{app}/identity"), "application/json", b"");
        let command: String = COMMAND.bytes().map(|byte| format!("%{byte:02X}")).collect();
        // By turns.
        let is_tar = self.done.values().sum::<usize>() % 2 == 0;
        let (query, body) = match is_tar {
            true => ("rootfs=true", self.tar.as_slice()),
            false => ("image=keyless-e2e", b"".as_slice()),
        };
        let path = format!("{app}/deployments?{query}&command={command}");
        let status = self.asks("POST", &path, "application/octet-stream", body);
        if status < 300 { "deployed" } else { "refused a deployment" }
    }

    fn step(&mut self) {
        let name_of = format!("box-{}", self.chance.below(APPS));
        let app = format!("/v1/apps/{name_of}");
        let step = self.chance.below(STEPS);
        let desire =
            |body: &str| self.asks("PATCH", &format!("{app}/desired"), "application/json", body.as_bytes());
        let what = match step {
            0..=2 => self.deploy(&name_of),
            3 => {
                let _any = desire("{\"state\":\"stopped\"}");
                "stopped"
            }
            4 => {
                let _any = desire("{\"state\":\"running\"}");
                "started"
            }
            5 => {
                let _any = desire("{\"restart\":true}");
                "restarted"
            }
            6 => {
                let listed = self.engine.podman(&["ps", "--quiet", "--format", "{{.Pid}}"]);
                let text = String::from_utf8(listed.stdout).unwrap();
                // One that has just ended has none.
                match text.lines().find(|pid| *pid != "0") {
                    Some(pid) => {
                        let _gone = wait::output(Command::new("kill").args(["-9", pid]), b"");
                        "killed"
                    }
                    None => "found nothing to kill",
                }
            }
            _ => {
                let _any = self.asks("DELETE", &app, "application/json", b"");
                "deleted"
            }
        };
        *self.done.entry(what).or_default() += 1;
        std::thread::sleep(Duration::from_millis(self.chance.below(PAUSE_MAX)));
    }
}

#[test]
fn containers_come_and_go_and_nothing_of_them_stays() {
    let Some(mut engine) = Engine::start("churn-containers") else { return };
    let tar = std::fs::read(engine.place().join("image.tar")).unwrap();
    let seconds = setting("CHURN_SECONDS").map_or(SECONDS, |seconds| seconds.parse().unwrap());
    let seed =
        setting("CHURN_SEED").map_or_else(|| u64::from(engine.server.port()), |seed| seed.parse().unwrap());
    // What is made once and stays is there once an app has come and gone; and what is there is seen.
    let mut actor = Actor { engine: &engine, tar: tar.clone(), chance: Chance(seed), done: BTreeMap::new() };
    assert_eq!(actor.deploy("box-0"), "deployed");
    let mut seen = counted(&engine);
    wait::until("the first container", PATIENCE, || {
        seen = counted(&engine);
        seen.of("containers") == 1 && seen.of("networks") == 1
    });
    for kind in ["images", "cgroups", "processes"] {
        assert!(seen.of(kind) > 1, "{kind}: what is there is seen: {seen}");
    }
    let _gone = actor.asks("DELETE", "/v1/apps/box-0", "application/json", b"");
    let mut before = counted(&engine);
    wait::until("the first container to be gone", PATIENCE, || {
        before = counted(&engine);
        let gone = ["containers", "cgroups", "processes", "children"];
        before.holds_no_app() && gone.iter().all(|kind| before.of(kind) == 0) && before.of("images") == 1
    });

    let half = Duration::from_secs(seconds) / 2;
    let until = Instant::now() + half;
    while Instant::now() < until {
        actor.step();
    }
    let mut done = actor.done;
    // In the middle of whatever it does.
    engine.server.kill();
    engine.server.start_again();
    let mut actor = Actor { engine: &engine, tar, chance: Chance(seed ^ 1), done: BTreeMap::new() };
    let until = Instant::now() + half;
    while Instant::now() < until {
        actor.step();
    }
    for (what, count) in std::mem::take(&mut actor.done) {
        *done.entry(what).or_default() += count;
    }
    let most = counted(&engine);
    for number in 0..APPS {
        let _gone = actor.asks("DELETE", &format!("/v1/apps/box-{number}"), "application/json", b"");
    }
    let (mut after, settling) = (counted(&engine), Instant::now());
    while !after.is_within(&before) && settling.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(200));
        after = counted(&engine);
    }
    let told = format!(
        "churn of containers: seed {seed}, {seconds} s {done:?}\n  before: {before}\n  in the midst: {most}\n  after: {after}\n  settled after {:?}",
        settling.elapsed()
    );
    let _closed = writeln!(std::io::stderr(), "\n{told}");
    assert!(done.contains_key("deployed"), "nothing came and went\n{told}");
    assert!(after.is_within(&before), "something is left\n{told}");
    assert!(!engine.server.logs().contains("panicked"));
    let apps = engine.server.place().join("data-apps");
    let folders = listed(&apps).filter(|path| path.is_dir()).map(|path| name(&path));
    assert_eq!(folders.collect::<Vec<_>>(), Vec::<String>::new(), "folders of apps");
}
