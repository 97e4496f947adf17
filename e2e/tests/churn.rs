//! Apps that come and go, at random, for as long as is wanted: nothing of them stays. Counted from outside of the product, as the kernel and
//! the file system have it.
//!
//! `KEYLESS_E2E_CHURN_SECONDS` says how long, `KEYLESS_E2E_CHURN_SEED` which steps; both are said in the end.

mod containers;

use crate::hosting::{Hosts, needs_root};
use e2e::{Answer, Server, server, setting, wait};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::Write as _,
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// How long, unless something else is said.
const SECONDS: u64 = 25;
/// An ordinary user's churn takes a part of that.
const USERS_PART: u64 = 3;
/// Until all has settled once everything is deleted: more than what the server waits for on its own.
const PATIENCE: Duration = Duration::from_secs(60);
/// Apps at a time: half of them belong to each of the two that make them come and go.
const APPS: u64 = 6;
/// Steps that those two do, and that are drawn with equal chances; deploying is the first three.
const STEPS: u64 = 15;
/// Threads for work that waits end when nothing has been to do for ten seconds; until then they are there.
const THREADS_IDLE: usize = 6;
/// Milliseconds between two steps of one of them, at most.
const PAUSE_MAX: u64 = 100;
/// The first account that is given to apps.
const ACCOUNT_FIRST: u64 = 1_879_048_192;

/// Steps of one seed are the same again; when they meet the server is another matter.
struct Chance(u64);

impl Chance {
    /// Splitmix64.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// By what a server's apps are known.
struct Traces {
    /// The folder of their cgroups.
    cgroups: PathBuf,
    /// How the names of these begin.
    prefix: String,
    /// Those that this installation gives; none where apps run as the server's user.
    accounts: Range<u64>,
}

/// Processes that were given an app's environment.
const PROCESSES: &str = "processes of apps";
/// Processes of the apps' accounts, whatever they have made of their environment.
const OF_ACCOUNTS: &str = "processes of their accounts";
const DEPLOYED: &str = "deployed";
const KILLED: &str = "killed";

/// How many there are of each kind of thing.
pub(crate) struct Counts(BTreeMap<String, usize>);

impl Counts {
    /// Descriptors of a process by what they are, and nothing else yet.
    fn of_descriptors(pid: u32) -> Self {
        let found = descriptors(&PathBuf::from(format!("/proc/{pid}")));
        Self(found.into_iter().map(|(kind, count)| (format!("descriptors {kind}"), count)).collect())
    }

    fn add(&mut self, kind: &str, count: usize) {
        self.0.insert(kind.to_owned(), count);
    }

    fn of(&self, kind: &str) -> usize {
        self.0.get(kind).copied().unwrap_or_default()
    }

    fn kinds(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Does the server hold no cgroup and no process?
    fn holds_no_app(&self) -> bool {
        !self.kinds().any(|kind| kind == "descriptors cgroup" || kind.contains("pidfd"))
    }

    /// Nothing more of anything than there was.
    fn is_within(&self, before: &Self) -> bool {
        self.kinds().all(|kind| self.of(kind) <= before.of(kind))
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}

/// What there is of a server and its apps.
fn counted(hosts: &Hosts, Traces { cgroups, prefix, accounts }: &Traces) -> Counts {
    let pid = hosts.server.pid();
    let folders = ["data-apps", "data/apps"].map(|name| hosts.server.place().join(name));
    let mut counts = Counts::of_descriptors(pid);
    counts.add("threads", listed(Path::new(&format!("/proc/{pid}/task"))).count());
    // Those that nobody has waited for, too.
    counts.add("children", children(pid));
    counts.add(PROCESSES, processes(hosts.server.place()).len());
    counts.add(OF_ACCOUNTS, of_accounts(accounts));
    counts.add("cgroups", listed(cgroups).filter(|path| name(path).starts_with(prefix)).count());
    // Of version 1, without one of version 2 that they belong to: each by its name, as others come and go.
    orphans().iter().for_each(|path| counts.add(&path.display().to_string(), 1));
    counts.add("files", folders.iter().map(|folder| files(folder)).sum());
    counts
}

fn listed(folder: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// By kind: `socket`, `anon_inode`, `net` for a network namespace, `cgroup` for a folder of one, else the file's name.
fn descriptors(process: &Path) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for target in listed(&process.join("fd")).filter_map(|link| std::fs::read_link(link).ok()) {
        let text = target.to_string_lossy();
        let kind = match text.split_once(':') {
            Some((kind, what)) if kind.starts_with("anon") => format!("{kind}:{what}"),
            Some((kind, _)) if !kind.starts_with('/') => kind.to_owned(),
            _ if text.contains("cgroup") => "cgroup".to_owned(),
            // Whatever start of the server and whichever app it belongs to.
            _ => name(&target).replace(|letter: char| letter.is_ascii_digit(), ""),
        };
        *all.entry(kind).or_default() += 1;
    }
    all
}

pub(crate) fn children(of: u32) -> usize {
    let parent = |process: &PathBuf| {
        let stat = std::fs::read_to_string(process.join("stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok()
    };
    listed(Path::new("/proc")).filter(|process| parent(process) == Some(of)).count()
}

/// Processes with a home among the apps of this server.
fn processes(place: &Path) -> Vec<PathBuf> {
    let home = format!("HOME={}/data", place.display()).into_bytes();
    let is_apps = |process: &PathBuf| {
        std::fs::read(process.join("environ")).is_ok_and(|environment| {
            environment.split(|byte| *byte == 0).any(|one| one.starts_with(&home) && one.ends_with(b"/home"))
        })
    };
    listed(Path::new("/proc")).filter(is_apps).collect()
}

/// But those that have ended and only wait to be noticed by whoever took them over from the server.
fn of_accounts(accounts: &Range<u64>) -> usize {
    let is_theirs = |process: &PathBuf| {
        let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
        let field =
            |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
        field("Uid:").and_then(|uid| uid.parse().ok()).is_some_and(|uid| accounts.contains(&uid))
            && field("State:") != Some("Z")
    };
    listed(Path::new("/proc")).filter(is_theirs).count()
}

fn files(folder: &Path) -> usize {
    let below = listed(folder).map(|path| match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => 1 + files(&path),
        _ => 1,
    });
    below.sum()
}

/// Folders of cgroups below one, by their numbers.
fn numbers(folder: &Path, into: &mut BTreeSet<u64>) {
    use std::os::unix::fs::MetadataExt as _;
    for path in listed(folder).filter(|path| path.is_dir()) {
        into.extend(path.metadata().map(|metadata| metadata.ino()));
        numbers(&path, into);
    }
}

/// Cgroups of version 1 that limit an app's cgroup which is no more.
fn orphans() -> BTreeSet<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let of_version_1 = mounts.lines().filter(|line| line.contains(" - cgroup "));
    let mut found: Vec<(PathBuf, u64)> = Vec::new();
    let mut folders: Vec<PathBuf> =
        of_version_1.filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from).collect();
    while let Some(folder) = folders.pop() {
        for path in listed(&folder).filter(|path| path.is_dir()) {
            match name(&path).strip_prefix("keyless-").and_then(|number| number.parse().ok()) {
                Some(number) => found.push((path, number)),
                None => folders.push(path),
            }
        }
    }
    // Looked at after them: one that was made meanwhile is known.
    let mut known = BTreeSet::new();
    numbers(&server::hierarchy(), &mut known);
    found
        .into_iter()
        .filter(|(path, number)| !known.contains(number) && path.exists())
        .map(|(path, _)| path)
        .collect()
}

fn resident_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

/// What is deployed: each ends in another way.
struct Packages(Vec<Vec<u8>>);

impl Packages {
    fn new(hosts: &Hosts) -> Self {
        let script = |name: &str, script: &str| {
            let folder = hosts.package(name, &[("Procfile", "web: sh ./go\n"), ("go", script)]);
            std::fs::remove_file(folder.join("app.py")).unwrap();
            folder
        };
        let all = [
            hosts.package("web", &[]),
            script("family", "(sleep 600 & sleep 600 & wait) & setsid sleep 600 & exec sleep 600\n"),
            script("short", "sleep 0.$(( $$ % 10 )); exit 3\n"),
            script("deaf", "trap '' TERM; while :; do sleep 1; done\n"),
            script("talks", "head -c 300000 /dev/zero | tr '\\0' x; exec sleep 600\n"),
        ];
        Self(all.iter().map(|folder| zipped(folder)).collect())
    }
}

fn zipped(folder: &Path) -> Vec<u8> {
    let zip = folder.with_extension("zip");
    let mut packing = Command::new("python3");
    packing.args(["-m", "zipfile", "-c"]).arg(&zip).args(listed(folder));
    let packed = wait::output(&mut packing, b"");
    assert!(packed.status.success(), "{packed:?}");
    std::fs::read(zip).unwrap()
}

/// Asks the administrator's socket: a command of ours is another process and takes its time.
fn ask(server: &Server, method: &str, path: &str, kind: &str, body: &[u8]) -> Answer {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    e2e::http::unix(&server.data().join("admin.sock"), &[head.as_bytes(), body].concat()).unwrap()
}

/// One that makes apps come and go.
struct Actor<'a> {
    hosts: &'a Hosts,
    packages: &'a Packages,
    chance: Chance,
    first: u64,
    done: BTreeMap<&'static str, usize>,
}

impl Actor<'_> {
    /// That an app is not there, or is busy, is an answer; a fault of the server's is none.
    fn asks(&self, method: &str, path: &str, body: &str) {
        let answer = ask(&self.hosts.server, method, path, "application/json", body.as_bytes());
        assert!(answer.status < 500, "{method} {path} {body}: {} {}", answer.status, answer.text());
    }

    /// Answers what came of it: somebody else may have deleted the app, or be deploying it.
    fn deploy(&mut self, name_of: &str) -> &'static str {
        let app = format!("/v1/apps/{name_of}");
        let which = usize::try_from(self.chance.below(self.packages.0.len() as u64)).unwrap();
        self.asks("POST", "/v1/apps", &format!("{{\"name\":\"{name_of}\"}}"));
        self.asks("PUT", &format!("{app}/identity"), "");
        // What is no web server serves nobody.
        let health = if which == 0 { "port" } else { "process" };
        self.asks("PATCH", &format!("{app}/desired"), &format!("{{\"health\":\"{health}\"}}"));
        let (path, zip) = (format!("{app}/deployments"), &self.packages.0[which]);
        let answer = ask(&self.hosts.server, "POST", &path, "application/zip", zip);
        assert!(answer.status < 500, "{path}: {} {}", answer.status, answer.text());
        if answer.status < 300 { DEPLOYED } else { "refused a deployment" }
    }

    fn step(&mut self) {
        let name_of = format!("churn-{}", self.first + self.chance.below(APPS / 2));
        let app = format!("/v1/apps/{name_of}");
        let desired = format!("{app}/desired");
        let what = match self.chance.below(STEPS) {
            0..=2 => self.deploy(&name_of),
            13 => {
                let _either = self.deploy(&name_of);
                // While it is unpacked, or its process is being started.
                std::thread::sleep(Duration::from_millis(self.chance.below(PAUSE_MAX)));
                self.asks("DELETE", &app, "");
                "deployed and deleted"
            }
            3 => {
                let instances = 1 + self.chance.below(3);
                self.asks("PATCH", &desired, &format!("{{\"instances\":{instances}}}"));
                "scaled"
            }
            4 => {
                self.asks("PATCH", &desired, "{\"state\":\"stopped\"}");
                "stopped"
            }
            5 => {
                self.asks("PATCH", &desired, "{\"state\":\"running\"}");
                "started"
            }
            6 => {
                self.asks("PATCH", &desired, "{\"restart\":true}");
                "restarted"
            }
            7 => {
                let value = self.chance.below(100);
                let set = format!("{{\"set\":{{\"N\":{{\"value\":\"{value}\"}}}}}}");
                self.asks("PATCH", &format!("{app}/settings"), &set);
                "set"
            }
            8 => {
                self.asks("DELETE", &format!("{app}/identity"), "");
                self.asks("PUT", &format!("{app}/identity"), "");
                "given another identity"
            }
            9 => {
                let _any = self.hosts.get(&name_of, "/who");
                "visited"
            }
            10..=12 => {
                let all = processes(self.hosts.server.place());
                match u64::try_from(all.len()).ok().filter(|count| *count > 0) {
                    Some(count) => {
                        let pid = name(&all[usize::try_from(self.chance.below(count)).unwrap()]);
                        let _gone = wait::output(Command::new("kill").args(["-9", &pid]), b"");
                        KILLED
                    }
                    None => "found nothing to kill",
                }
            }
            _ => {
                self.asks("DELETE", &app, "");
                "deleted"
            }
        };
        *self.done.entry(what).or_default() += 1;
        // Something of it should come about before the next one.
        std::thread::sleep(Duration::from_millis(self.chance.below(PAUSE_MAX)));
    }
}

fn churn(hosts: &mut Hosts, cgroups: &Path, seconds: u64) {
    let status: Value = serde_json::from_str(&hosts.server.keyless_json(["status"])).unwrap();
    let prefix = format!("keyless-hosted.{}.", status["tenant"].as_str().unwrap());
    let packages = Packages::new(hosts);
    let seed = setting("CHURN_SEED").map_or_else(
        || u64::from(std::process::id()) << 32 | u64::from(hosts.server.port()),
        |seed| seed.parse().unwrap(),
    );
    // What is made once and stays is there once an app has come and gone.
    hosts.deploy("first", &hosts.package("web", &[]));
    let uid = hosts.ask("first", "/who")["uid"].as_u64().unwrap();
    let accounts = if uid < ACCOUNT_FIRST { 0..0 } else { uid..uid + 1_000 };
    let traces = Traces { cgroups: cgroups.to_owned(), prefix, accounts };
    let seen = counted(hosts, &traces);
    let is_seen = seen.of(PROCESSES) >= 1 && seen.of("cgroups") >= 1 && seen.of("files") > 1;
    assert!(is_seen, "what is there is seen: {seen}");
    assert!(seen.of(OF_ACCOUNTS) >= 1 || uid < ACCOUNT_FIRST, "what is there is seen: {seen}");
    let _said = hosts.server.keyless(["app", "delete", "first"]).ok();
    let mut before = counted(hosts, &traces);
    wait::until("the first app to be gone", PATIENCE, || {
        before = counted(hosts, &traces);
        // What is no folder is the server's own.
        let folders = ["data-apps", "data/apps"].map(|name| hosts.server.place().join(name));
        let apps: usize =
            folders.iter().map(|folder| listed(folder).filter(|path| path.is_dir()).count()).sum();
        before.holds_no_app()
            && [PROCESSES, OF_ACCOUNTS, "cgroups"].iter().all(|kind| before.of(kind) == 0)
            && apps == 0
    });
    before.add("threads", before.of("threads") + THREADS_IDLE);
    let empty_mib = resident_mib(hosts.server.pid());

    let part = Duration::from_secs(seconds) / 3;
    let mut done = between(hosts, &packages, seed, part);
    // In the middle of whatever it does.
    hosts.server.kill();
    hosts.server.start_again();
    let warm = between(hosts, &packages, seed ^ 1, part);
    let warm_mib = resident_mib(hosts.server.pid());
    let last = between(hosts, &packages, seed ^ 2, part);
    let end_mib = resident_mib(hosts.server.pid());
    for (what, count) in warm.into_iter().chain(last) {
        *done.entry(what).or_default() += count;
    }
    let most = counted(hosts, &traces);
    let listed: Value = serde_json::from_str(&hosts.server.keyless_json(["app", "list"])).unwrap();
    for app in listed.as_array().unwrap() {
        let _said = hosts.server.keyless(["app", "delete", app["name"].as_str().unwrap()]).ok();
    }
    let (mut after, settling) = (counted(hosts, &traces), Instant::now());
    while !after.is_within(&before) && settling.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(100));
        after = counted(hosts, &traces);
    }
    let steps: usize = done.values().sum();
    let told = format!(
        "churn: seed {seed}, {steps} steps in {seconds} s {done:?}\n  before: {before}\n  in the midst: {most}\n  after: {after}\n  \
         resident: {empty_mib} MiB without apps, {warm_mib} MiB after two thirds, {end_mib} MiB at the end; settled after {:?}",
        settling.elapsed()
    );
    let _closed = writeln!(std::io::stderr(), "\n{told}");
    assert!([DEPLOYED, KILLED].iter().all(|what| done.contains_key(what)), "nothing came and went\n{told}");
    assert!(after.is_within(&before), "something is left\n{told}");
    assert!(end_mib <= warm_mib + warm_mib / 4 + 16, "it grows\n{told}");
    let logs = hosts.server.logs();
    assert!(!logs.contains("panicked"), "{logs}");
}

/// Two at a time, for so long. Answers what they did.
fn between(hosts: &Hosts, packages: &Packages, seed: u64, time: Duration) -> BTreeMap<&'static str, usize> {
    let until = Instant::now() + time;
    let act = |first: u64| {
        let mut actor =
            Actor { hosts, packages, chance: Chance(seed ^ (first << 8)), first, done: BTreeMap::new() };
        while Instant::now() < until {
            actor.step();
        }
        actor.done
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| act(APPS / 2));
        let mut done = act(0);
        for (what, count) in other.join().unwrap() {
            *done.entry(what).or_default() += count;
        }
        done
    })
}

fn seconds() -> u64 {
    setting("CHURN_SECONDS").map_or(SECONDS, |seconds| seconds.parse().unwrap())
}

#[test]
fn apps_come_and_go_and_nothing_of_them_stays() {
    if needs_root() {
        return;
    }
    let mut hosts = Hosts::start("churn");
    churn(&mut hosts, &server::hierarchy().join("keyless"), seconds());
}

#[test]
fn an_ordinary_users_apps_come_and_go_and_nothing_of_them_stays() {
    if needs_root() {
        return;
    }
    let mut hosts = Hosts::of(Server::start_delegated("churn-user", 65_534), "churn-user");
    let cgroups = hosts.server.delegated().unwrap().to_owned();
    churn(&mut hosts, &cgroups, (seconds() / USERS_PART).max(3));
}
