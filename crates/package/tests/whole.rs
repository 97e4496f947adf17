//! What is packed comes out again: files, executable bits, links; and nothing else of a mode.

use crate::{
    Place, all,
    raw::{Entry, archive, directory, file, link},
};
use package::{Limits, pack, unpack};
use std::{
    fs,
    io::Cursor,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn files_directories_and_inner_links_come_out() {
    let place = Place::new();
    let zip = archive(&[
        file("node_modules/x/bin.js", "text"),
        link("node_modules/.bin/x", "../x/bin.js"),
        Entry { mode: 0o106_777, ..file("run", "#!/bin/sh") },
        Entry { mode: 0o100_000, ..file("no mode", "readable") },
        Entry { mode: 0, ..file("from elsewhere", "") },
        directory("empty/"),
        link("to a directory", "empty"),
    ]);
    let contents = place.unpack(&zip).unwrap();
    let root = contents.root();
    assert_eq!(fs::read_to_string(root.join("node_modules/.bin/x")).unwrap(), "text");
    assert_eq!(mode(root), 0o700);
    let modes = [
        ("run", 0o700),
        ("no mode", 0o600),
        ("from elsewhere", 0o600),
        ("empty", 0o700),
        ("node_modules", 0o700),
        ("node_modules/x/bin.js", 0o600),
    ];
    for (name, expected) in modes {
        assert_eq!(mode(&root.join(name)), expected, "{name}");
    }
    assert!(root.join("to a directory").is_dir());
}

#[test]
fn a_directory_is_packed_and_comes_out_as_it_was() {
    let place = Place::new();
    let from = place.0.join("from");
    fs::create_dir_all(from.join("src/deep")).unwrap();
    fs::create_dir_all(from.join(".git/objects")).unwrap();
    fs::create_dir_all(from.join("empty")).unwrap();
    fs::write(from.join("src/deep/é.py"), "print('x')\n".repeat(1_000)).unwrap();
    fs::write(from.join("run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(from.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("src/deep", from.join("inner")).unwrap();
    symlink("../../outer", from.join("src/outer")).unwrap();
    symlink("/etc/passwd", from.join("absolute")).unwrap();
    fs::write(from.join("a\\b"), "").unwrap();
    let pack_once = || {
        let mut zip = Cursor::new(Vec::new());
        let packed = pack(&from, &mut zip).unwrap();
        (zip.into_inner(), packed)
    };
    let (zip, packed) = pack_once();
    assert!(zip.len() < 3_000, "compressed: {}", zip.len());
    assert_eq!(packed.files, 3);
    let skipped: Vec<_> =
        packed.skipped.iter().map(|(path, _)| path.strip_prefix(&from).unwrap().to_str().unwrap()).collect();
    assert_eq!(skipped, [".git", "a\\b", "absolute", "src/outer"]);
    assert_eq!(pack_once(), (zip.clone(), packed), "the same each time");

    let contents = unpack(Cursor::new(zip), &place.inside(), Limits::default()).unwrap();
    assert_eq!(all(contents.root()), ["empty", "inner", "run.sh", "src", "src/deep", "src/deep/é.py"]);
    assert_eq!(mode(&contents.root().join("run.sh")), 0o700);
    assert_eq!(fs::read_to_string(contents.root().join("inner/é.py")).unwrap().len(), 11_000);
}

#[test]
fn many_small_files_come_out() {
    let place = Place::new();
    let entries: Vec<_> =
        (0..5_000).map(|number| file(format!("d{}/{number}.js", number % 70), format!("{number}"))).collect();
    place.unpack(&archive(&entries)).unwrap();
    assert_eq!(all(&place.inside()).len(), 5_070);
    assert_eq!(fs::read_to_string(place.inside().join("d69/4969.js")).unwrap(), "4969");
}

#[test]
fn all_of_it_can_be_given_to_a_user() {
    let place = Place::new();
    let contents = place.unpack(&archive(&[file("d/x", ""), link("l", "d/x")])).unwrap();
    let (uid, gid) = (fs::metadata(&place.0).unwrap().uid(), fs::metadata(&place.0).unwrap().gid());
    // Only root may give to others; to oneself anybody may.
    let (uid, gid) = if uid == 0 { (40_001, 40_002) } else { (uid, gid) };
    contents.give(uid, gid).unwrap();
    for name in ["", "d", "d/x", "l"] {
        let found = fs::symlink_metadata(contents.root().join(name)).unwrap();
        assert_eq!((found.uid(), found.gid()), (uid, gid), "{name}");
    }
}
