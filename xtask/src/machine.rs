//! `cargo xtask machine`: boots a small Debian of its own in QEMU and plays the checks of `e2e/machine` in it: on what most users have, a
//! systemd that runs the machine and cgroup v2 with its controllers, and through a boot.
//!
//! Owns: the guest's image, its run and its end. Owns no check: these are in `e2e/machine/checks.py`. Not part of `xtask ci`, whose time is
//! full. The guest has no network; what it runs comes on a second disk, and what it says goes out by a serial line.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::checks::{self, Profile};
use crate::process::{self, Failure};
use crate::{tools, workspace};

const RELEASE: &str = "bookworm";
const PACKAGES: &[&str] = &[
    "linux-image-cloud-amd64",
    "systemd-sysv",
    "dbus",
    "dbus-user-session",
    "libpam-systemd",
    "login",
    "passwd",
    "procps",
    "util-linux",
    "iproute2",
    "curl",
    "python3",
    "podman",
    "runc",
    "uidmap",
    "busybox-static",
];
/// The unit that starts the checks.
const UNIT: &str = "keyless-machine.service";
/// How long the guest may take, emulated as well. Ours: about three times what it takes.
const TIME_MAX: Duration = Duration::from_secs(30 * 60);
/// How long the kernel alone may take until it finds that it has no root file system. A second, where KVM works.
const PROBE_TIME_MAX: Duration = Duration::from_secs(10);

/// Boots the guest and plays the checks; `--binary FILE` is taken instead of one that is built.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let binary = match arguments {
        [] => checks::product(Profile::Release)?.join("keyless"),
        [option, file] if option == "--binary" => file.into(),
        _ => return Err(Failure::new("cargo xtask machine [--binary FILE]")),
    };
    tools::qemu()?;
    let machine = Machine { place: workspace::target().join("tools/machine") };
    machine.make()?;
    let accelerator = machine.accelerator()?;
    process::say(&format!("the guest runs by {accelerator}"));
    machine.pack(&binary)?;
    let began = Instant::now();
    let outcome = machine.play(accelerator);
    process::say(&format!(
        "{} s; its console: {}",
        began.elapsed().as_secs(),
        machine.at("console").display()
    ));
    outcome
}

struct Machine {
    /// Where all of it is kept.
    place: PathBuf,
}

impl Machine {
    fn at(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    /// Makes the guest's kernel and disk, unless they are there as they are wanted now.
    fn make(&self) -> Result<(), Failure> {
        let unit = std::fs::read_to_string(checks_folder().join(UNIT))?;
        let wanted = format!("{RELEASE} {}\n{unit}", PACKAGES.join(" "));
        let stamp = self.at("made");
        if std::fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
            return Ok(());
        }
        if !process::is_root() {
            return Err(Failure::new("making the guest's disk needs root, to which its files belong"));
        }
        let _absent = std::fs::remove_dir_all(&self.place);
        process::directory(&self.place)?;
        let root = self.at("root");
        process::say("making the guest: a minute or two");
        let mut bootstrap = Command::new("mmdebstrap");
        bootstrap.args(["--quiet", "--variant=minbase"]).arg(format!("--include={}", PACKAGES.join(",")));
        bootstrap.arg(RELEASE).arg(&root).args(tools::apt_sources(RELEASE)?);
        process::run(&mut bootstrap)?;
        let units = root.join("etc/systemd/system");
        let wants = units.join("multi-user.target.wants");
        process::directory(&wants)?;
        std::fs::write(units.join(UNIT), &unit)?;
        std::os::unix::fs::symlink(format!("../{UNIT}"), wants.join(UNIT))?;
        for (file, text) in
            [("hostname", "machine\n"), ("hosts", "127.0.0.1 localhost machine\n::1 localhost\n")]
        {
            std::fs::write(root.join("etc").join(file), text)?;
        }
        for (file, name) in [("vmlinuz", "kernel"), ("initrd.img", "initrd")] {
            // Links to the one that is installed.
            std::fs::copy(root.join(file), self.at(name))?;
        }
        let mut format = Command::new("mke2fs");
        format.args(["-q", "-t", "ext4", "-L", "machine", "-d"]).args([&root, &self.at("disk")]).arg("4G");
        process::run(&mut format)?;
        std::fs::remove_dir_all(&root)?;
        // Written last, so that what was interrupted is begun anew.
        Ok(std::fs::write(&stamp, wanted)?)
    }

    /// KVM where it can run a kernel, which a machine that is virtual itself may only claim.
    fn accelerator(&self) -> Result<&'static str, Failure> {
        let mut probe = self.qemu("kvm");
        probe.args(["-append", "panic=-1 root=/dev/none", "-no-reboot", "-serial", "null"]);
        probe.stdout(Stdio::null()).stderr(Stdio::null());
        let mut guest = Guest(probe.spawn()?);
        let ends = Instant::now() + PROBE_TIME_MAX;
        while Path::new("/dev/kvm").exists() && Instant::now() < ends {
            if let Some(status) = guest.0.try_wait()? {
                return Ok(if status.success() { "kvm" } else { "tcg" });
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok("tcg")
    }

    /// What the guest unpacks: the product, the checks, and the app of the scenarios.
    fn pack(&self, binary: &Path) -> Result<(), Failure> {
        let (app, folder) = (workspace::root().join("e2e/tests/hosting/app.py"), self.at("checks"));
        process::directory(&folder)?;
        std::fs::copy(binary, folder.join("keyless"))?;
        std::fs::copy(app, folder.join("app.py"))?;
        for file in ["checks.py", "guest.py"] {
            std::fs::copy(checks_folder().join(file), folder.join(file))?;
        }
        process::run(
            Command::new("tar").arg("-C").arg(&folder).arg("-cf").arg(self.at("checks.tar")).arg("."),
        )
    }

    fn qemu(&self, accelerator: &str) -> Command {
        // It ends with us, however we end; and others have the processors first.
        let mut qemu = Command::new("setpriv");
        qemu.args([
            "--pdeathsig",
            "KILL",
            "nice",
            "-n",
            "10",
            "qemu-system-x86_64",
            "-nodefaults",
            "-nographic",
        ]);
        qemu.args(["-accel", accelerator, "-smp", "2", "-m", "2048", "-no-user-config"]);
        qemu.args(["-cpu", if accelerator == "kvm" { "host" } else { "max" }]);
        qemu.arg("-kernel").arg(self.at("kernel")).stdin(Stdio::null());
        qemu
    }

    fn play(&self, accelerator: &str) -> Result<(), Failure> {
        let mut qemu = self.qemu(accelerator);
        qemu.arg("-initrd").arg(self.at("initrd"));
        qemu.args(["-append", "console=ttyS0 root=LABEL=machine rw"]).args(["-device", "virtio-rng-pci"]);
        // What it writes is forgotten with it.
        for (file, snapshot) in [("disk", "on"), ("checks.tar", "on")] {
            let file = self.at(file);
            qemu.arg("-drive");
            qemu.arg(format!("file={},format=raw,if=virtio,snapshot={snapshot}", file.display()));
        }
        qemu.arg("-serial").arg(format!("file:{}", self.at("console").display())).args(["-serial", "stdio"]);
        let mut guest = Guest(qemu.stdout(Stdio::piped()).spawn()?);
        let said = guest.0.stdout.take().ok_or_else(|| Failure::new("the guest has no line out"))?;
        let (hear, heard) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                let _nobody_listens = hear.send(line);
            }
        });
        judge(&heard, Instant::now() + TIME_MAX, process::say)
    }
}

/// Prints what the guest says until it is switched off, and says whether all was well.
fn judge(heard: &Receiver<String>, ends: Instant, say: impl Fn(&str)) -> Result<(), Failure> {
    let (mut failed, mut is_whole) = (0, false);
    loop {
        match heard.recv_timeout(ends.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                let line = line.trim_end();
                failed += usize::from(line.starts_with("FAILED"));
                is_whole |= line.starts_with("machine: ");
                say(line);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                return Err(Failure::new("the guest took too long, and was ended"));
            }
        }
    }
    match (failed, is_whole) {
        (0, true) => Ok(()),
        (0, false) => Err(Failure::new("the guest ended before its checks did")),
        (failed, _) => Err(Failure::new(format!("{failed} checks failed"))),
    }
}

/// Ends with this value.
struct Guest(Child);

impl Drop for Guest {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn checks_folder() -> PathBuf {
    workspace::root().join("e2e/machine")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_good_if_no_check_failed_and_it_came_to_its_end() {
        let outcome = |lines: &[&str]| {
            let (hear, heard) = mpsc::channel();
            lines.iter().for_each(|line| hear.send((*line).to_owned()).unwrap());
            drop(hear);
            judge(&heard, Instant::now() + Duration::from_secs(5), |_| {}).map_err(|why| why.to_string())
        };
        assert_eq!(outcome(&["ok       one\r", "machine: 1 passed, 0 failed\r"]), Ok(()));
        assert!(outcome(&["ok       one"]).unwrap_err().contains("before"));
        let failed = ["FAILED   one", "         | why", "ok       two", "machine: 1 passed, 1 failed"];
        assert!(outcome(&failed).unwrap_err().contains("1 checks failed"));
        let (_guest_is_silent, heard) = mpsc::channel();
        assert!(judge(&heard, Instant::now(), |_| {}).unwrap_err().to_string().contains("too long"));
    }
}
