//! Packages that would harm whoever unpacks them: refused as a whole, with words, while what serves goes on.

use crate::hosting::{Hosts, needs_root};
use e2e::wait;
use std::{path::Path, process::Command};

/// How each zip of `hostile.py` is called, and what of its refusal the person who deploys it must see.
const REFUSED: [(&str, &str); 9] = [
    ("traversal", "has a path with an empty part, . or .."),
    ("absolute", "has an absolute path"),
    ("backslash", "has a backslash in its name"),
    ("link-out", "is a link to an absolute path"),
    ("link-up", "is a link that leads out of the package"),
    ("through", "is below another entry that is no directory"),
    ("twice", "duplicate file names"),
    ("many", "more than 100000"),
    ("bomb", "more than 2147483648"),
];

/// All files below a folder whose name is this.
fn named(folder: &Path, name: &str) -> usize {
    let found = wait::output(Command::new("find").arg(folder).args(["-name", name]), b"");
    String::from_utf8_lossy(&found.stdout).lines().count()
}

#[test]
fn a_hostile_zip_is_refused_as_a_whole_and_what_serves_goes_on() {
    if needs_root() {
        return;
    }
    let hosts = Hosts::start("packages");
    hosts.deploy("web", &hosts.package("one", &[]));
    let before = hosts.show("web")["hosted"]["deployment"].clone();
    let mut making = Command::new("python3");
    making.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packages/hostile.py")).arg(hosts.packages.path());
    let made = wait::output(&mut making, b"");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    for (name, words) in REFUSED {
        let zip = hosts.packages.path().join(format!("{name}.zip"));
        let told = hosts.server.keyless(["app", "deploy", "web", "--zip", &zip.to_string_lossy()]);
        assert!(told.code != Some(0) && told.stderr.contains(words), "{name}: {}", told.said());
        assert_eq!(hosts.ask("web", "/who")["version"], "1", "{name}: what serves goes on");
    }
    assert_eq!(hosts.show("web")["hosted"]["deployment"], before);
    assert_eq!(named(hosts.server.place(), "*escaped*"), 0, "nothing was written anywhere");
    assert_eq!(named(hosts.server.place(), "zeros-*"), 0, "nothing of it was unpacked");
    assert!(!Path::new("/tmp/keyless-escaped").exists());
}
