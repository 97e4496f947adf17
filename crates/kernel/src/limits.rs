//! What an app may use of memory, processor and process ids: limits of its cgroup where the version 2 hierarchy has the controller, else
//! of a cgroup beside it in the controller's version 1 hierarchy (the kernel's `cgroup-v2.rst`, `cgroup-v1/`).
//!
//! A limit that was asked for is enforced or is said not to be, with why. Owns not: which limits an app has.

use crate::{
    AppCgroup, Hierarchy, KernelError, Process, Verdict,
    cgroup::{HELD_MAX, PROCESSES, remove_below, walk},
    hierarchy::{Mount, below},
    probe::chain,
};
use std::{
    collections::HashSet,
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{DirBuilderExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

/// What an app may use. Without a number there is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory, swapped out or not. A process that needs more is killed.
    pub memory_bytes: Option<u64>,
    /// Thousandths of one processor's time.
    pub cpu_thousandths: Option<u32>,
    /// Processes and threads.
    pub processes: Option<u32>,
}

/// What became of limits. A limit that was not asked for counts as enforced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedLimits {
    /// Of memory.
    pub memory: Verdict,
    /// Of processor time.
    pub cpu: Verdict,
    /// Of processes.
    pub processes: Verdict,
    /// The controllers that do it in hierarchies of version 1.
    pub version_1: Vec<&'static str>,
}

impl AppliedLimits {
    /// None at all, for one reason.
    pub(crate) fn no(why: &str, mend: &str) -> Self {
        let no = || Verdict::no(why, mend);
        Self { memory: no(), cpu: no(), processes: no(), version_1: Vec::new() }
    }

    /// Each with the name of what it limits and of its controller.
    pub(crate) fn each(&self) -> [(&'static str, &'static str, &Verdict); 3] {
        [
            ("memory", Controller::Memory.name(), &self.memory),
            ("processor", Controller::Cpu.name(), &self.cpu),
            ("process", Controller::Processes.name(), &self.processes),
        ]
    }
}

/// The limits of one app's cgroup.
#[derive(Debug)]
pub struct Limiter {
    applied: AppliedLimits,
    joins: Vec<OwnedFd>,
    /// Where the kernel counts the processes that it killed for memory.
    kills: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Controller {
    Memory,
    Cpu,
    Processes,
}

/// The length of time, in microseconds, over which processor time is counted.
const PERIOD: u64 = 100_000;
/// The kernel takes no smaller share of it.
const QUOTA_MIN: u64 = 1_000;
/// How often the processes of an app that runs already are looked for, until all are in the cgroup of the limit.
const PASSES_MAX: usize = 8;
/// Cgroups of a hierarchy of version 1 among which those of an earlier life are looked for.
const PLACES_MAX: usize = 16_384;
const MEND: &str = "run the server as root (in a container: from a cgroup below the root of the container's), on a kernel that has the controller (cgroup_enable=memory)";

/// A file to write, what, and what it means if that is refused.
type Setting = (&'static str, String, Refused);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// There is no limit.
    NoLimit,
    /// The limit is one of memory, and what is swapped out does not count. Nothing, where nothing is.
    SwapIsFree,
    /// Nothing: it is written once more.
    Nothing,
}

impl Controller {
    const ALL: [Self; 3] = [Self::Memory, Self::Cpu, Self::Processes];

    const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Processes => "pids",
        }
    }

    /// What sets a limit in version 2, or lifts it.
    fn settings(self, limit: Option<u64>) -> Vec<Setting> {
        let number = |limit: Option<u64>| limit.map_or_else(|| "max".to_owned(), |limit| limit.to_string());
        match self {
            Self::Memory => vec![
                ("memory.max", number(limit), Refused::NoLimit),
                // Not everywhere there.
                ("memory.swap.max", number(limit.map(|_| 0)), Refused::SwapIsFree),
            ],
            Self::Cpu => {
                vec![("cpu.max", format!("{} {PERIOD}", number(limit.map(quota))), Refused::NoLimit)]
            }
            Self::Processes => vec![("pids.max", number(limit), Refused::NoLimit)],
        }
    }

    /// The same in version 1.
    fn settings_1(self, limit: Option<u64>) -> Vec<Setting> {
        let number = |limit: Option<u64>| limit.map_or_else(|| "-1".to_owned(), |limit| limit.to_string());
        match self {
            Self::Memory => vec![
                // Memory may not have more than memory with swap, so which comes first depends on what is set. The latter is not
                // everywhere there.
                ("memory.limit_in_bytes", number(limit), Refused::Nothing),
                ("memory.memsw.limit_in_bytes", number(limit), Refused::SwapIsFree),
                ("memory.limit_in_bytes", number(limit), Refused::NoLimit),
            ],
            Self::Cpu => vec![
                ("cpu.cfs_period_us", PERIOD.to_string(), Refused::NoLimit),
                ("cpu.cfs_quota_us", number(limit.map(quota)), Refused::NoLimit),
            ],
            Self::Processes => self.settings(limit),
        }
    }
}

/// Microseconds of a period.
fn quota(thousandths: u64) -> u64 {
    (thousandths.saturating_mul(PERIOD) / 1_000).max(QUOTA_MIN)
}

impl Limiter {
    /// Sets an app's limits, or changes them. If it runs already, as after a restart of ours, its processes come under them.
    pub fn apply(limits: &Limits, cgroup: &AppCgroup) -> Self {
        let mut limiter = Self {
            applied: AppliedLimits {
                memory: Verdict::Enforced,
                cpu: Verdict::Enforced,
                processes: Verdict::Enforced,
                version_1: Vec::new(),
            },
            joins: Vec::new(),
            kills: None,
        };
        let place = Place::find();
        let mut set = |controller: Controller, limit: Option<u64>| match &place {
            Ok(place) => limiter.set(place, controller, limit, cgroup),
            Err(why) => unenforced(controller, limit, why),
        };
        let memory = set(Controller::Memory, limits.memory_bytes);
        let cpu = set(Controller::Cpu, limits.cpu_thousandths.map(u64::from));
        let processes = set(Controller::Processes, limits.processes.map(u64::from));
        limiter.applied = AppliedLimits { memory, cpu, processes, ..limiter.applied };
        limiter
    }

    /// What became of the limits.
    pub fn applied(&self) -> &AppliedLimits {
        &self.applied
    }

    /// What a program must join to be under all of them ([`crate::Program::joins`]).
    pub fn joins(&self) -> Vec<BorrowedFd<'_>> {
        self.joins.iter().map(AsFd::as_fd).collect()
    }

    /// How many processes of the app were killed since its cgroup was made because it used all of its memory.
    pub fn memory_kills(&self) -> u64 {
        let counters = self.kills.as_ref().and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        let count = counters.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
    }

    /// Was any?
    pub fn was_killed_for_memory(&self) -> bool {
        self.memory_kills() > 0
    }

    fn set(
        &mut self,
        place: &Place,
        controller: Controller,
        limit: Option<u64>,
        cgroup: &AppCgroup,
    ) -> Verdict {
        let attempt = if place.has(controller) {
            place.set(controller, limit, cgroup).inspect(|_| {
                self.kills_of(controller, cgroup.path().join("memory.events"));
            })
        } else {
            place.set_1(controller, limit, cgroup).map(|group| {
                let (directory, join, reach) = group?;
                self.kills_of(controller, directory.join("memory.oom_control"));
                self.applied.version_1.push(controller.name());
                self.joins.push(join);
                reach
            })
        };
        match attempt {
            Ok(None) => Verdict::Enforced,
            Ok(Some(SwapIsFree(why))) if limit.is_some() => Verdict::no(
                format!("what of its memory is swapped out does not count: {why}"),
                "switch swap off (swapoff -a), or have the kernel count it (swapaccount=1 on its command line)",
            ),
            Ok(Some(_)) => Verdict::Enforced,
            Err(why) => unenforced(controller, limit, &why),
        }
    }

    fn kills_of(&mut self, controller: Controller, file: PathBuf) {
        if controller == Controller::Memory {
            self.kills = Some(file);
        }
    }
}

/// Nobody misses a limit that nobody asked for.
fn unenforced(controller: Controller, limit: Option<u64>, why: &str) -> Verdict {
    match limit {
        Some(_) => {
            Verdict::no(format!("no limit by the cgroup controller {}: {why}", controller.name()), MEND)
        }
        None => Verdict::Enforced,
    }
}

/// Removes what limits of a cgroup have made in other hierarchies. It must be empty.
///
/// # Errors
/// [`KernelError::Cgroup`]: it is not, though the app's cgroup is: who is in the one need not be in the other.
pub(crate) fn remove(cgroup: &AppCgroup) -> Result<(), KernelError> {
    let Ok(mounts) = Mount::all() else { return Ok(()) };
    let is_its = |mount: &&Mount| {
        !mount.is_v2 && Controller::ALL.iter().any(|controller| mount.has(controller.name()))
    };
    for mount in mounts.iter().filter(is_its) {
        let Some(path) = made_1(mount, &name_1(cgroup)) else { continue };
        if let Ok(directory) = fs::File::open(&path) {
            remove_below(directory.as_fd());
        }
        match fs::remove_dir(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(KernelError::Cgroup { doing: "remove", path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Where limits of a cgroup are in a hierarchy of version 1: below our own place in it, or wherever an earlier life of ours was.
fn made_1(mount: &Mount, name: &str) -> Option<PathBuf> {
    let here = own_directory(mount, "self").map(|own| own.join(name)).filter(|path| path.exists());
    here.or_else(|| {
        let top = fs::File::open(&mount.point).ok()?;
        let mut found = None;
        walk(top.as_fd(), PLACES_MAX, &mut |path, _| {
            if path.ends_with(name) {
                let path = mount.point.join(path.strip_prefix(".").unwrap_or(path));
                // Whoever else has a part of the hierarchy may name cgroups as they like.
                let is_ours =
                    fs::symlink_metadata(&path).is_ok_and(|found| found.uid() == crate::effective_uid());
                found = is_ours.then_some(path);
            }
            found.is_none()
        });
        found
    })
}

/// Of an app's cgroup in hierarchies of version 1. Its id makes it one name wherever the app's cgroup is, and never another's.
fn name_1(cgroup: &AppCgroup) -> String {
    format!("keyless-{}", cgroup.id())
}

/// The directory in a hierarchy of version 1 of a process.
fn own_directory(mount: &Mount, process: &str) -> Option<PathBuf> {
    let own = fs::read_to_string(format!("/proc/{process}/cgroup")).ok()?;
    let path = own.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let is_it = !controllers.is_empty()
            && controllers.split(',').all(|one| mount.options.iter().any(|o| o == one));
        is_it.then_some(path)
    })?;
    below(mount, Path::new(path))
}

/// The hierarchies of this machine.
struct Place {
    hierarchy: Hierarchy,
    mounts: Vec<Mount>,
    has_swap: bool,
}

/// A limit of memory that leaves swap out, and why.
#[derive(Debug, PartialEq, Eq)]
struct SwapIsFree(String);

/// A cgroup of a limit in a hierarchy of version 1: its directory, what is to be joined, and what it leaves out.
type Group1 = (PathBuf, OwnedFd, Option<SwapIsFree>);

impl Place {
    fn find() -> Result<Self, String> {
        let hierarchy = Hierarchy::discover().map_err(|error: KernelError| chain(&error))?;
        let mounts = Mount::all().map_err(|error| error.to_string())?;
        let has_swap = match fs::read_to_string("/proc/swaps") {
            Ok(list) => is_any_listed(&list),
            // A kernel that cannot swap has no such file.
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        Ok(Self { hierarchy, mounts, has_swap })
    }

    /// Is a controller in the hierarchy of version 2?
    fn has(&self, controller: Controller) -> bool {
        is_listed(&self.hierarchy.mount.join("cgroup.controllers"), controller.name())
    }

    fn set(
        &self,
        controller: Controller,
        limit: Option<u64>,
        cgroup: &AppCgroup,
    ) -> Result<Option<SwapIsFree>, String> {
        let settings = controller.settings(limit);
        let is_there = || settings.first().is_some_and(|(file, ..)| cgroup.path().join(file).exists());
        if limit.is_some() && !is_there() {
            let refused = self.enable(controller.name(), cgroup.path());
            if !is_there() {
                return Err(refused.unwrap_or_else(|| "it does not come with the cgroup".to_owned()));
            }
        }
        if is_there() { write(cgroup.path(), &settings, self.has_swap) } else { Ok(None) }
    }

    /// Enables a controller from the top down to an app's cgroup; says the last refusal.
    fn enable(&self, controller: &str, cgroup: &Path) -> Option<String> {
        let mut above: Vec<_> =
            cgroup.ancestors().skip(1).take_while(|path| path.starts_with(&self.hierarchy.mount)).collect();
        above.reverse();
        let mut refused = None;
        for directory in above {
            let file = directory.join("cgroup.subtree_control");
            if is_listed(&file, controller) {
                continue;
            }
            let passed = if is_inhabited(directory) {
                Err("it has processes itself".to_owned())
            } else {
                fs::write(&file, format!("+{controller}")).map_err(|error| error.to_string())
            };
            if let Err(why) = passed {
                refused = Some(format!("{} does not pass it on: {why}", directory.display()));
            }
        }
        refused
    }

    /// Sets a limit in the controller's own hierarchy: in which directory, and what is to be joined.
    fn set_1(
        &self,
        controller: Controller,
        limit: Option<u64>,
        cgroup: &AppCgroup,
    ) -> Result<Option<Group1>, String> {
        let is_its = |mount: &&Mount| !mount.is_v2 && mount.has(controller.name());
        let mount = self.mounts.iter().find(is_its);
        let place = mount.and_then(|mount| Some((mount, directory_1(mount, cgroup)?)));
        let Some((mount, directory)) = place else { return Err("no hierarchy here has it".to_owned()) };
        if limit.is_none() && !directory.exists() {
            return Ok(None);
        }
        let fail = |error: io::Error| format!("{}: {error}", directory.display());
        match fs::DirBuilder::new().mode(0o755).create(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(fail(error)),
            _ => {}
        }
        let reach = write(&directory, &controller.settings_1(limit), self.has_swap)?;
        gather(mount, &directory, cgroup).map_err(fail)?;
        let join = fs::OpenOptions::new().write(true).open(directory.join(PROCESSES)).map_err(fail)?;
        Ok(Some((directory, join.into(), reach)))
    }
}

/// Where an app's cgroup is in a hierarchy of version 1: where an earlier life of ours has put its processes, else below our own one, so
/// that limits of ours bind the app as well.
fn directory_1(mount: &Mount, cgroup: &AppCgroup) -> Option<PathBuf> {
    let name = name_1(cgroup);
    let of_processes = cgroup.processes().into_iter().filter_map(|id| own_directory(mount, &id.to_string()));
    let earlier = of_processes.into_iter().find(|directory| directory.ends_with(&name));
    earlier.or_else(|| Some(own_directory(mount, "self")?.join(name)))
}

/// Has the processes that an app has already join the cgroup of its limit.
fn gather(mount: &Mount, directory: &Path, cgroup: &AppCgroup) -> io::Result<()> {
    let list = directory.join(PROCESSES);
    for _ in 0..PASSES_MAX {
        let inside = fs::read_to_string(&list)?;
        let inside: HashSet<u32> = inside.lines().filter_map(|line| line.parse().ok()).collect();
        let outside: Vec<_> = cgroup.processes().into_iter().filter(|id| !inside.contains(id)).collect();
        if outside.is_empty() {
            return Ok(());
        }
        for some in outside.chunks(HELD_MAX) {
            let held: Vec<_> = some.iter().filter_map(|id| Process::of_member(*id, || true)).collect();
            // Read once while all are held: an id in it is that of the process that is held, if that is still there.
            let members: HashSet<u32> = cgroup.processes().into_iter().collect();
            for process in held.iter().filter(|process| members.contains(&process.id())) {
                let home = own_directory(mount, &process.id().to_string());
                put(process, &list, home.map(|home| home.join(PROCESSES)).as_deref())?;
            }
        }
    }
    Err(io::Error::other("its processes fork faster than they can be moved"))
}

/// Has a process join a cgroup. These files know processes by their ids only: if its own is not its any more afterwards, the id may have been
/// another's already, who goes back to where the one of this id was.
fn put(process: &Process, list: &Path, home: Option<&Path>) -> io::Result<()> {
    let id = process.id().to_string();
    match fs::write(list, &id) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(()),
        written => written?,
    }
    if process.is_there() {
        return Ok(());
    }
    match home.map(|home| fs::write(home, &id)) {
        Some(Err(error)) if error.raw_os_error() != Some(libc::ESRCH) => Err(error),
        None => Err(io::Error::other("a process that is not the app's may have been moved")),
        _ => Ok(()),
    }
}

/// Does a cgroup hold processes, so that it cannot pass controllers on? One of memory the kernel refuses then; those that can count threads, as
/// of processor time and processes, it takes, and from then on nothing is started in any cgroup below (`cgroup-v2.rst`, "Threads"). The root
/// of all may hold some: it is no cgroup of any type.
fn is_inhabited(cgroup: &Path) -> bool {
    cgroup.join("cgroup.type").exists()
        && fs::read_to_string(cgroup.join(PROCESSES)).is_ok_and(|list| !list.is_empty())
}

fn is_listed(file: &Path, controller: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|list| list.split_whitespace().any(|one| one == controller))
}

/// Is there anything below the head of a text of `/proc/swaps`?
fn is_any_listed(swaps: &str) -> bool {
    swaps.lines().skip(1).any(|line| !line.trim().is_empty())
}

fn write(directory: &Path, settings: &[Setting], has_swap: bool) -> Result<Option<SwapIsFree>, String> {
    let mut reach = None;
    for (name, value, refused) in settings {
        let Err(error) = fs::write(directory.join(name), value) else { continue };
        let why = format!("cannot set {name} to {value}: {error}");
        match refused {
            Refused::NoLimit => return Err(why),
            Refused::SwapIsFree if has_swap => reach = Some(SwapIsFree(why)),
            Refused::SwapIsFree | Refused::Nothing => {}
        }
    }
    Ok(reach)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_written_as_each_version_wants_it() {
        let texts = |settings: Vec<Setting>| -> Vec<String> {
            settings.into_iter().map(|(file, value, _)| format!("{file}={value}")).collect()
        };
        assert_eq!(texts(Controller::Cpu.settings(Some(250))), ["cpu.max=25000 100000"]);
        assert_eq!(
            texts(Controller::Cpu.settings(Some(1))),
            ["cpu.max=1000 100000"],
            "as little as there may be"
        );
        assert_eq!(texts(Controller::Cpu.settings(None)), ["cpu.max=max 100000"]);
        assert_eq!(
            texts(Controller::Cpu.settings_1(Some(1_500))),
            ["cpu.cfs_period_us=100000", "cpu.cfs_quota_us=150000"]
        );
        assert_eq!(texts(Controller::Memory.settings(Some(7))), ["memory.max=7", "memory.swap.max=0"]);
        assert_eq!(texts(Controller::Processes.settings_1(None)), ["pids.max=max"]);
    }

    /// By plain files: what would be written into lists of processes.
    #[test]
    fn an_id_that_may_be_anothers_by_now_goes_back_to_where_it_was() {
        let folder = std::env::temp_dir().join(format!("keyless-put-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let [list, home] = ["list", "home"].map(|name| folder.join(name));
        let program = crate::Program {
            arguments: ["/bin/sleep", "60"].map(Into::into).to_vec(),
            ..crate::Program::default()
        };
        let child = crate::spawn(&program).unwrap();
        let id = child.id().to_string();
        put(&child, &list, Some(&home)).unwrap();
        assert_eq!(fs::read_to_string(&list).unwrap(), id);
        assert!(!home.exists(), "it is itself");
        child.signal(9).unwrap();
        while !child.has_ended().unwrap() {}
        put(&child, &list, Some(&home)).unwrap();
        assert!(!home.exists(), "nobody has waited for it: its id is its own");
        child.wait().unwrap();
        put(&child, &list, Some(&home)).unwrap();
        assert_eq!(fs::read_to_string(&home).unwrap(), id);
        assert!(put(&child, &list, None).is_err(), "where it was is not known");
        fs::remove_dir_all(&folder).unwrap();
    }

    /// By a tree of plain files: what a machine with these controllers in version 2 is asked to do.
    #[test]
    fn a_controller_is_passed_on_from_the_top_down_to_the_apps_cgroup() {
        let mount = std::env::temp_dir().join(format!("keyless-limits-{}", std::process::id()));
        let app = mount.join("keyless/app");
        fs::create_dir_all(&app).unwrap();
        let control = |directory: &Path| directory.join("cgroup.subtree_control");
        fs::write(control(&mount), "cpu memory\n").unwrap();
        fs::write(mount.join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        let hierarchy = Hierarchy { mount: mount.clone(), own: mount.clone() };
        let place = Place { hierarchy, mounts: Vec::new(), has_swap: false };
        assert!(place.has(Controller::Processes));
        assert_eq!(place.enable("memory", &app), None);
        let written = |directory: &Path| fs::read_to_string(control(directory)).ok();
        assert_eq!(written(&mount).as_deref(), Some("cpu memory\n"), "it had it");
        assert_eq!(written(&mount.join("keyless")).as_deref(), Some("+memory"));
        assert_eq!(written(&app), None, "what is below an app is the app's");
        fs::remove_dir_all(mount.join("keyless")).unwrap();
        let refused = place.enable("memory", &app).unwrap();
        assert!(refused.contains("keyless does not pass it on: No such file"), "{refused}");
        fs::remove_dir_all(&mount).unwrap();
    }

    /// As the cgroup of a user's server, which systemd has delegated with these controllers: with them nothing could be started below it.
    #[test]
    fn a_cgroup_with_processes_is_not_asked_to_pass_a_controller_on() {
        let mount = std::env::temp_dir().join(format!("keyless-inhabited-{}", std::process::id()));
        let (service, app) = (mount.join("keyless.service"), mount.join("keyless.service/app"));
        fs::create_dir_all(&app).unwrap();
        // The root of all has processes, and no type.
        fs::write(mount.join(PROCESSES), "1\n").unwrap();
        fs::write(service.join("cgroup.type"), "domain\n").unwrap();
        fs::write(service.join(PROCESSES), "4711\n").unwrap();
        let hierarchy = Hierarchy { mount: mount.clone(), own: service.clone() };
        let place = Place { hierarchy, mounts: Vec::new(), has_swap: false };
        let refused = place.enable("pids", &app).unwrap();
        assert!(
            refused.ends_with("keyless.service does not pass it on: it has processes itself"),
            "{refused}"
        );
        let control = |directory: &Path| fs::read_to_string(directory.join("cgroup.subtree_control")).ok();
        assert_eq!(control(&service), None, "nothing was written");
        assert_eq!(control(&mount).as_deref(), Some("+pids"));
        fs::write(service.join(PROCESSES), "").unwrap();
        assert_eq!(place.enable("pids", &app), None);
        assert_eq!(control(&service).as_deref(), Some("+pids"));
        fs::remove_dir_all(&mount).unwrap();
    }

    /// By the kernel, with a controller that few machines have in version 1: those of our limits are there on some, and then not here.
    #[test]
    fn the_kernel_passes_a_controller_of_version_2_on_and_takes_its_limit() {
        const CONTROLLER: &str = "hugetlb";
        let here = Place::find().ok().filter(|place| {
            crate::is_root() && is_listed(&place.hierarchy.mount.join("cgroup.controllers"), CONTROLLER)
        });
        let parent = here.as_ref().map(|place| crate::placement(&place.hierarchy));
        let (Some(place), Some(crate::Placement::Root { parent })) = (here, parent) else {
            return eprintln!(
                "skipped: needs root, and a kernel that has {CONTROLLER} in the version 2 hierarchy"
            );
        };
        let above = AppCgroup::create(&parent, &format!("limits-{}", std::process::id())).unwrap();
        let app = AppCgroup::create(above.path(), "app").unwrap();
        let limit = app.path().join("hugetlb.2MB.max");
        // A cgroup that holds a process itself passes nothing on.
        let program = crate::Program {
            arguments: ["/bin/sleep", "60"].map(Into::into).to_vec(),
            cgroup: Some(above.directory()),
            ..crate::Program::default()
        };
        let inhabitant = crate::spawn(&program).unwrap();
        let refused = place.enable(CONTROLLER, app.path()).unwrap();
        assert!(refused.ends_with("does not pass it on: it has processes itself"), "{refused}");
        assert!(!limit.exists());
        above.kill().unwrap();
        inhabitant.wait().unwrap();
        assert_eq!(place.enable(CONTROLLER, app.path()), None);
        let settings: [Setting; 1] = [("hugetlb.2MB.max", (4 << 20).to_string(), Refused::NoLimit)];
        assert_eq!(write(app.path(), &settings, false), Ok(None));
        assert_eq!(fs::read_to_string(&limit).unwrap().trim(), (4 << 20).to_string());
        above.remove().unwrap();
    }

    /// By plain files; a directory in the place of one is what cannot be written.
    #[test]
    fn a_limit_of_memory_that_leaves_swap_out_is_told_where_there_is_swap() {
        let folder = std::env::temp_dir().join(format!("keyless-swap-{}", std::process::id()));
        let (one, two) = (folder.join("1"), folder.join("2"));
        fs::create_dir_all(one.join("memory.memsw.limit_in_bytes")).unwrap();
        fs::create_dir_all(two.join("memory.swap.max")).unwrap();
        let memory = Controller::Memory;
        for (directory, settings) in [(&one, memory.settings_1(Some(7))), (&two, memory.settings(Some(7)))] {
            let SwapIsFree(why) = write(directory, &settings, true).unwrap().unwrap();
            assert!(why.contains("cannot set memory."), "{why}");
            assert_eq!(write(directory, &settings, false), Ok(None), "there is none to be used");
        }
        assert_eq!(fs::read_to_string(two.join("memory.max")).unwrap(), "7", "the rest is set");
        assert_eq!(fs::read_to_string(one.join("memory.limit_in_bytes")).unwrap(), "7");
        fs::remove_dir_all(&folder).unwrap();
        let head = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
        assert!(!is_any_listed(head) && !is_any_listed(""));
        assert!(is_any_listed(&format!("{head}/dev/zram0 partition 8388604 0 100\n")));
    }
}
