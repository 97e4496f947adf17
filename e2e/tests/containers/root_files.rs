//! Root file systems as containers: a folder or a tar is served, its image goes with its deployment, and what is none or hostile is told or
//! comes to nothing outside.

use super::{Engine, PATIENCE, SCRIPT, rootless::users};
use e2e::{Ended, wait};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

impl Engine {
    fn deploy_root(&self, root: &Path, command: &str) -> Ended {
        let root = root.to_string_lossy();
        let deploy = ["app", "deploy", "web", "--rootfs", &root, "--command", command, "--timeout", "60"];
        self.server.keyless(deploy)
    }

    /// The images of deployments.
    fn own_images(&self) -> Vec<String> {
        let listed = self.podman(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
        let text = String::from_utf8(listed.stdout).unwrap();
        text.lines()
            .filter(|name| name.starts_with("localhost/keyless-") && !name.contains("e2e"))
            .map(str::to_owned)
            .collect()
    }

    /// A tar that GNU tar makes with these arguments.
    fn tar(&self, name: &str, arguments: &[&str]) -> PathBuf {
        let path = self.place().join(name);
        let mut command = Command::new("tar");
        command.arg("--create").arg("--file").arg(&path).args(arguments).current_dir(self.place());
        let packed = wait::output(&mut command, b"");
        assert!(packed.status.success(), "{packed:?}");
        path
    }
}

#[test]
fn a_root_file_system_is_served_and_its_image_goes_with_its_deployment() {
    let Some(mut engine) = Engine::start("root-files") else { return };
    // Of root's folder files keep their owners.
    let owned = engine.place().join("rootfs/owned");
    std::fs::write(&owned, "").unwrap();
    std::os::unix::fs::chown(&owned, Some(1_234), Some(5_678)).unwrap();
    serves_and_is_removed(&mut engine, "1234 5678");
}

/// Of an ordinary user's they all become root's, who is that user.
#[test]
fn a_root_file_system_of_an_ordinary_user_is_served_and_goes_too() {
    let Some(mut engine) = Engine::start_for_user("root-files-user", &users()) else { return };
    std::fs::write(engine.place().join("rootfs/owned"), "").unwrap();
    serves_and_is_removed(&mut engine, "0 0");
}

fn serves_and_is_removed(engine: &mut Engine, owned: &str) {
    // Without a word on how it is started.
    let root = engine.place().join("rootfs");
    let said = engine.server.keyless(["app", "deploy", "web", "--rootfs", &root.to_string_lossy()]);
    assert!(said.code == Some(1) && said.stderr.contains("--command"), "{said:?}");
    assert_eq!(engine.own_images(), Vec::<String>::new());

    let _said = engine.deploy_root(&root, SCRIPT).ok();
    assert_eq!(engine.served("web").text().trim(), "served");
    assert_eq!(engine.inside("stat -c '%u %g' /owned").trim(), owned);
    let shown = engine.server.keyless(["app", "show", "web"]).ok();
    assert!(shown.contains("container: a network of its own"), "{shown}");
    let first = engine.own_images();
    assert_eq!(first.len(), 1, "{first:?}");

    // The next one, from a tar; what the first one was made of goes once nothing runs from it.
    let tar = engine.place().join("image.tar");
    let _said = engine.deploy_root(&tar, &SCRIPT.replace("served", "again")).ok();
    wait::until("the next one to serve", PATIENCE, || engine.served("web").text().trim() == "again");
    wait::until("the first image to be gone", PATIENCE, || {
        let images = engine.own_images();
        images.len() == 1 && images != first
    });
    // It is kept where it is needed: also while the app is stopped, and when the server comes again.
    let second = engine.own_images();
    let _said = engine.server.keyless(["app", "stop", "web"]).ok();
    engine.nothing_is_left();
    engine.server.kill();
    engine.server.start_again();
    assert_eq!(engine.own_images(), second);
    let _said = engine.server.keyless(["app", "start", "web"]).ok();
    assert_eq!(engine.served("web").text().trim(), "again");
    let _said = engine.server.keyless(["app", "delete", "web"]).ok();
    engine.nothing_is_left();
    wait::until("the image to be gone", PATIENCE, || engine.own_images().is_empty());
}

#[test]
fn a_root_file_system_that_is_none_or_hostile_is_told_or_comes_to_nothing() {
    let Some(engine) = Engine::start("root-files-hostile") else { return };
    let refused = |root: &Path, why: &str| {
        let said = engine.deploy_root(root, SCRIPT);
        assert!(said.code == Some(1) && said.stderr.contains(why), "{}: {said:?}", root.display());
    };
    let place = engine.place().to_owned();
    let text = place.join("text");
    std::fs::write(&text, "no tar at all\n".repeat(100)).unwrap();
    refused(&text, "it is no tar");
    refused(&engine.tar("pressed.tar.gz", &["--gzip", "rootfs"]), "compressed");
    refused(&place.join("nothing"), "nothing: ");
    // A file of a tebibyte in a tar of some kilobytes.
    std::fs::File::create(place.join("hole")).unwrap().set_len(1 << 40).unwrap();
    refused(&engine.tar("hole.tar", &["--sparse", "hole"]), "holes");
    refused(&engine.tar("hole-pax.tar", &["--sparse", "--format=pax", "hole"]), "holes");
    let whole = std::fs::read(place.join("image.tar")).unwrap();
    let cut = place.join("cut.tar");
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    refused(&cut, "it ends in the middle");
    assert_eq!(engine.own_images(), Vec::<String>::new());

    // Names and links that lead elsewhere: podman confines what it unpacks to the image's own folder.
    let outside = place.join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(place.join("escaped"), "x").unwrap();
    std::os::unix::fs::symlink(&outside, place.join("link")).unwrap();
    let up = format!("{}{}", "../".repeat(20), &outside.to_string_lossy()[1..]);
    let renamed = |to: &str| format!("--transform=flags=r;s,^escaped$,{to}/escaped,");
    let hostile = [
        engine.tar("up.tar", &["-P", &renamed(&up), "escaped"]),
        engine.tar("absolute.tar", &["-P", &renamed(&outside.to_string_lossy()), "escaped"]),
        engine.tar("link.tar", &["-P", &renamed("link"), "link", "escaped"]),
    ];
    for tar in hostile {
        let _either = engine.server.keyless([
            "app",
            "deploy",
            "web",
            "--rootfs",
            &tar.to_string_lossy(),
            "--command",
            "true",
            "--timeout",
            "2",
        ]);
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "{}", tar.display());
    }

    // A device of the host's in it opens nothing: the container's cgroup has no right to it.
    let disk = place.join("rootfs/disk");
    let made = wait::output(Command::new("mknod").args(["-m", "666"]).arg(&disk).args(["b", "7", "0"]), b"");
    assert!(made.status.success(), "{made:?}");
    let read = format!("cat /disk > /dev/null; echo \"ended with $?\"; {SCRIPT}");
    let _said = engine.deploy_root(&place.join("rootfs"), &read).ok();
    let log = engine.server.keyless(["app", "logs", "web"]).ok();
    assert!(log.contains("Operation not permitted") && log.contains("ended with 1"), "{log}");
}
