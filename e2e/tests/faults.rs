//! What a machine does to hosted apps: no room on the disk, no more processes. What serves goes on, what fails says why, and all is well again
//! by itself once the machine is.

use crate::hosting::{Hosts, is_alive, is_renewed, needs_root, ready};
use crate::restart::has_npm;
use e2e::{Server, skip, wait};
use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(60);
/// A log is rotated beyond 10 MiB, so that one does not fit twice.
const DISK: &str = "size=14m,mode=711";
/// Nobody else's, so that nobody else's processes count.
const USER: u32 = 65_531;

/// A small disk, gone with this value.
struct Disk(PathBuf);

impl Disk {
    fn mount(place: PathBuf) -> Option<Self> {
        Self::mount_by(Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "tmpfs"]), place)
    }

    /// What a file has in it.
    fn of_image(image: &Path, place: PathBuf) -> Option<Self> {
        Self::mount_by(Command::new("mount").args(["-o", "loop"]).arg(image), place)
    }

    fn mount_by(mount: &mut Command, place: PathBuf) -> Option<Self> {
        std::fs::create_dir(&place).unwrap();
        let mounted = wait::output(mount.arg(&place), b"");
        if !mounted.status.success() {
            skip(&format!("a disk of its own: {}", String::from_utf8_lossy(&mounted.stderr).trim()));
            return None;
        }
        Some(Self(place))
    }

    /// Takes all the room that there is.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("all-the-room");
        let mut file = File::create(&path).unwrap();
        while file.write_all(&[0; 4_096]).is_ok() {}
        while file.write_all(&[0]).is_ok() {}
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _gone = wait::output(Command::new("umount").arg("--lazy").arg(&self.0), b"");
    }
}

fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
}

#[test]
fn without_room_on_the_disk_what_serves_goes_on() {
    if needs_root() {
        return;
    }
    let hosts = Hosts::start("faults-disk");
    let Some(disk) = Disk::mount(hosts.server.place().join("data-apps")) else { return };
    hosts.deploy("web", &hosts.package("one", &[]));
    let room = disk.fill();
    assert_eq!(hosts.ask("web", "/who")["version"], "1");
    let folder = hosts.package("two", &[("more", &"x".repeat(100_000))]);
    for app in ["web", "other"] {
        let told = hosts.server.keyless(["app", "deploy", app, "--dir", &folder.to_string_lossy()]);
        assert!(
            told.code == Some(1) && told.stderr.contains("No space left on device"),
            "{app}: {}",
            told.said()
        );
    }
    let refused = hosts.ask("web", "/say?bytes=100000");
    assert!(
        refused["errno"].as_str().unwrap().contains("No space"),
        "what it says is lost, and it is told: {refused}"
    );
    // It ends and comes back, and with other settings too.
    let before = hosts.processes("web")[0];
    kill(before);
    hosts.settled("web", "another instance", |hosted| {
        ready(hosted) == 1 && hosted["instances"][0]["process"].as_u64() != Some(u64::from(before))
    });
    let _said = hosts.server.keyless(["app", "settings", "set", "web", "MORE=1"]).ok();
    hosts.settled("web", "the settings are there", is_renewed);
    assert_eq!(hosts.ask("web", "/env")["MORE"], "1");

    // Once there is room nobody has to do anything.
    std::fs::remove_file(room).unwrap();
    for app in ["web", "other"] {
        hosts.deploy(app, &folder);
        assert_eq!(hosts.ask(app, "/who")["version"], "1");
    }

    // An app that fills the disk with its log: there is no room to keep what it said, and the disk is not left full for that.
    // More than fits twice, as the log may be cut while it is written.
    let filled = hosts.ask("web", "/say?bytes=60000000");
    assert!(filled["errno"].as_str().is_some_and(|errno| errno.contains("No space")), "{filled}");
    wait::until("the log to be cut", PATIENCE, || free(&disk.0) > 2 << 20);
    assert_eq!(hosts.ask("other", "/say?bytes=1000")["said"], 1_000);
    hosts.deploy("web", &hosts.package("one", &[]));
    assert_eq!(hosts.ask("web", "/who")["version"], "1");
    // Its folder is busy for as long as the disk is mounted: what is left of it goes after that.
    let place = hosts.server.place().to_owned();
    drop(hosts);
    drop(disk);
    std::fs::remove_dir_all(place).unwrap();
}

/// What is told to be deployed is there after a cut of power, and what its build has made, too. A copy of the disk has what such a cut leaves:
/// what the kernel has only in memory is not in it.
#[test]
fn what_was_built_is_there_after_a_cut_of_power() {
    if needs_root() {
        return;
    }
    if !has_npm() {
        return skip("a build before a cut of power: no npm where hosted apps look for it");
    }
    let hosts = Hosts::start("faults-power");
    let place = hosts.server.place().to_owned();
    let (image, copy) = (place.join("image"), place.join("copy"));
    File::create(&image).unwrap().set_len(256 << 20).unwrap();
    let made = wait::output(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image), b"");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let Some(disk) = Disk::of_image(&image, place.join("data-apps")) else { return };
    // In the end nothing is to be left of the apps.
    std::fs::remove_dir(disk.0.join("lost+found")).unwrap();
    let install = "for number in 1 2 3 4 5 6 7 8; do echo built >built-$number; done";
    let manifest = format!(
        r#"{{"name": "web", "version": "1.0.0", "scripts": {{"preinstall": "{install}", "start": "python3 app.py"}}}}"#
    );
    hosts.deploy("web", &hosts.package("one", &[("package.json", &manifest)]));
    std::fs::copy(&image, &copy).unwrap();

    let Some(left) = Disk::of_image(&copy, place.join("left")) else { return };
    let inside = |folder: &Path| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let app = inside(&left.0).find(|path| path.join("deployments").is_dir()).unwrap();
    let deployment = inside(&app.join("deployments")).next().unwrap();
    for number in 1..=8 {
        let built = std::fs::read_to_string(deployment.join(format!("built-{number}")));
        assert_eq!(built.unwrap(), "built\n", "{number}");
    }
    assert!(std::fs::metadata(deployment.join("app.py")).unwrap().len() > 0);
    // Their folders are busy for as long as they are mounted: what is left of them goes after that.
    drop(hosts);
    drop((disk, left));
    std::fs::remove_dir_all(place).unwrap();
}

fn free(place: &Path) -> u64 {
    let disk = rustix::fs::statvfs(place).unwrap();
    disk.f_bavail * disk.f_frsize
}

#[test]
fn where_no_process_can_be_started_it_is_said_and_tried_again() {
    if needs_root() {
        return;
    }
    let server = Server::start_delegated("faults-fork", USER);
    let hosts = Hosts::of(server, "faults-fork");
    hosts.deploy("web", &hosts.package("one", &[]));
    hosts.deploy("other", &hosts.package("one", &[]));
    let may_have = |processes: &str| {
        // By the same user: nobody else may, root in a container neither.
        let mut limiting = hosts.server.users_program(Path::new("prlimit"));
        limiting.args(["--pid", &hosts.server.pid().to_string(), &format!("--nproc={processes}:")]);
        let limited = wait::output(&mut limiting, b"");
        assert!(limited.status.success(), "{limited:?}");
    };
    may_have("1");
    let before = hosts.processes("web")[0];
    kill(before);
    // The third start waits for a second, the fourth for two, and so on.
    let failing =
        hosts.settled("web", "it is tried again, and again", |hosted| hosted["failures"].as_u64() >= Some(4));
    let why = failing["last_failure"].as_str().unwrap();
    assert!(why.contains("cannot be started") && why.contains("temporarily unavailable"), "{why}");
    assert_eq!(ready(&failing), 0, "{failing}");
    assert_eq!(hosts.get("web", "/who").status, 503);
    assert_eq!(hosts.ask("other", "/who")["version"], "1", "what serves goes on");
    assert!(!is_alive(before));

    may_have("10000");
    hosts.settled("web", "it has come back by itself", |hosted| ready(hosted) == 1);
    assert_eq!(hosts.ask("web", "/who")["version"], "1");
    let log = hosts.server.keyless(["app", "logs", "web"]).ok();
    assert!(log.contains("an instance cannot be started"), "{log}");
    assert!(!hosts.server.logs().contains("panicked"), "{}", hosts.server.logs());
}
