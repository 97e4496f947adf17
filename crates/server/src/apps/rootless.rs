//! Containers of a server that runs as an ordinary user: what podman needs for them, and their network.
//!
//! Podman has one user namespace for all containers of a user. A program that it starts in there tells us which it is, and stays until we
//! hold it; then the network is made in it before the container is ([`kernel::Network::create_in`]), as root's is: at no moment is there a
//! container without its endpoint. Owns not: what podman is told of a container (`container`).

use super::container::{ASK_TIME_MAX, CGROUPS, Podman, said, wait};
use kernel::{Hierarchy, Network, NetworkPorts, Placement, UserNamespace};
use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::Stdio,
    sync::mpsc::{self, Receiver},
    thread,
    time::Instant,
};

/// Says which users there are, and then its id; and stays as long as somebody may write to it.
const SAY: &str = "cat /proc/self/uid_map && echo $$ && exec cat";

/// Below which cgroup containers are, or what an ordinary user lacks for them.
pub(super) fn parent(placement: &Placement, hierarchy: &Hierarchy) -> Result<PathBuf, String> {
    let parent = match placement {
        Placement::Root { parent } | Placement::Delegated { parent } => parent,
        Placement::NotDelegated { why, mend } => {
            return Err(format!("containers need cgroups of their own: {why}; {mend}"));
        }
    };
    if hierarchy.mount != Path::new(CGROUPS) {
        return Err(format!(
            "podman finds cgroup v2 at {CGROUPS} only, and here it is at {}: boot with systemd.unified_cgroup_hierarchy=1, or run the server as root",
            hierarchy.mount.display()
        ));
    }
    Ok(parent.clone())
}

impl Podman {
    /// A network for a container of an ordinary user. Blocks.
    pub(super) fn network_of_user(&self, ports: &NetworkPorts) -> Result<Network, String> {
        Network::create_in(&self.users()?, ports).map_err(|error| domain::chain(&error))
    }

    /// The user namespace of this user's containers, or what is missing for there to be one. Blocks.
    pub(super) fn users(&self) -> Result<UserNamespace, String> {
        let failed = |error: &dyn std::error::Error| format!("podman: {}", domain::chain(error));
        let mut command = self.command(&["unshare", "sh", "-c", SAY])?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| failed(&error))?;
        let until = Instant::now() + ASK_TIME_MAX;
        let (told, why) = (told(child.stdout.take()), said(child.stderr.take()));
        let found = told.recv_timeout(ASK_TIME_MAX).ok();
        // While it is there its id is nobody else's.
        let found = found.map(|(pid, users)| (UserNamespace::of(pid), users));
        drop(child.stdin.take());
        let _ended = wait(&mut child, until).map_err(|error| failed(&error))?;
        let why = || why.recv_timeout(until.saturating_duration_since(Instant::now())).unwrap_or_default();
        let Some((users, mapped)) = found else {
            return Err(format!("podman: {}", String::from_utf8_lossy(&why()).trim()));
        };
        if mapped < 2 {
            return Err(lacks_users());
        }
        let users = users.map_err(|error| failed(&error))?;
        match users.is_own() {
            Ok(false) => Ok(users),
            Ok(true) => Err("podman has made no user namespace".to_owned()),
            Err(error) => Err(failed(&error)),
        }
    }
}

fn lacks_users() -> String {
    let own = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if own.lines().any(|line| line.split_whitespace().eq(["NoNewPrivs:", "1"])) {
        return "podman may not give containers users of their own, as nothing that this server starts may gain rights (NoNewPrivileges of its unit; `keyless service install --user` writes one without)".to_owned();
    }
    let user = kernel::effective_uid();
    format!(
        "user {user} has no users of its own for containers (/etc/subuid, /etc/subgid): install uidmap, and have root run `usermod --add-subuids 100000-165535 --add-subgids 100000-165535` with the user's name, and the user `podman system migrate`"
    )
}

/// The id of the process that says so, and how many ranges of users there are.
fn told(pipe: Option<impl Read + Send + 'static>) -> Receiver<(u32, usize)> {
    let (tell, receiver) = mpsc::channel();
    thread::spawn(move || {
        let lines = pipe.into_iter().flat_map(|pipe| BufReader::new(pipe).lines().map_while(Result::ok));
        let mut ranges = 0;
        for line in lines {
            match line.trim().parse() {
                Ok(pid) => drop(tell.send((pid, ranges))),
                Err(_) => ranges += 1,
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_nothing_or_only_half_is_no_user_namespace() {
        let told = |text: &'static str| told(Some(text.as_bytes())).recv().ok();
        assert_eq!(told("   0 1000 1\n   1 100000 65536\n4711\n"), Some((4711, 2)));
        assert_eq!(told("   0 1000 1\n4711\n"), Some((4711, 1)));
        assert_eq!(told("   0 1000 1\n"), None);
        assert_eq!(told(""), None);
    }

    #[test]
    fn where_there_is_no_place_for_containers_it_is_said_what_to_do() {
        let at = |mount: &str| Hierarchy { mount: mount.into(), own: mount.into() };
        let delegated = Placement::Delegated { parent: "/sys/fs/cgroup/user".into() };
        assert_eq!(parent(&delegated, &at(CGROUPS)).unwrap(), Path::new("/sys/fs/cgroup/user"));
        let why = parent(&delegated, &at("/sys/fs/cgroup/unified")).unwrap_err();
        assert!(why.contains("unified_cgroup_hierarchy"), "{why}");
        let none = Placement::NotDelegated { why: "none was given".into(), mend: "ask for one".into() };
        let why = parent(&none, &at(CGROUPS)).unwrap_err();
        assert!(why.contains("none was given") && why.contains("ask for one"), "{why}");
    }
}
