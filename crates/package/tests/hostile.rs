//! Archives that want something else than to be unpacked. Each is refused, says why, and leaves nothing behind.

use crate::{
    Place, all,
    raw::{self, Entry, archive, directory, file, link},
};
use package::Limits;
use std::{fs, io::Write as _};
use zip::{ZipWriter, write::SimpleFileOptions};

/// One file in front, so that there would be something to leave behind.
fn with(entries: &[Entry]) -> Vec<u8> {
    let mut all = vec![file("first", "of all")];
    all.extend_from_slice(entries);
    archive(&all)
}

fn small() -> Limits {
    Limits { zip_bytes: 100_000, bytes: 10_000, entries: 10 }
}

#[test]
fn names_that_lead_elsewhere() {
    let place = Place::new();
    for name in [
        "../evil",
        "../../evil",
        "a/../../evil",
        "/evil",
        "//evil",
        "..\\evil",
        "a\\..\\..\\evil",
        "C:\\evil",
        "c:evil",
        "./../evil",
        "a//b",
        "evil\0.txt",
        "evil\n",
        "..",
        ".",
        "a/.",
        "\u{1b}[2J",
    ] {
        let said = place.refused(&with(&[file(name, "x")]));
        assert!(said.contains("entry"), "{name:?}: {said}");
        assert!(!said.contains(['\n', '\0', '\u{1b}']), "shown as text: {said:?}");
    }
    assert!(place.refused(&with(&[file(b"\xff\xfe", "x")])).contains("UTF-8"));
    assert!(place.refused(&with(&[file("x".repeat(300), "x")])).contains("too long"));
    assert!(place.refused(&with(&[file("d/".repeat(65) + "x", "x")])).contains("inside each other"));
}

#[test]
fn links_that_lead_elsewhere_or_are_gone_through() {
    let place = Place::new();
    for (name, target) in [
        ("l", "/etc"),
        ("l", ".."),
        ("l", "../.."),
        ("d/l", "../../x"),
        ("l", "a/../.."),
        ("l", ""),
        ("l", "x\0y"),
        ("l", "x\ny"),
    ] {
        assert!(place.refused(&with(&[link(name, target)])).contains("is a link"), "{target:?}");
    }
    // In whichever order they come.
    for order in [[link("l", "d"), file("l/x", "")], [file("l/x", ""), link("l", "d")]] {
        assert!(place.refused(&with(&order)).contains("below another"));
    }
    assert!(place.refused(&with(&[file("l", ""), file("l/a/b", "")])).contains("below another"));
    assert!(place.refused(&with(&[link("l", "x".repeat(5_000))])).contains("impossible"));
}

#[test]
fn the_same_name_twice_but_not_in_another_case() {
    let place = Place::new();
    place.refused(&with(&[file("x", "1"), file("x", "2")]));
    place.refused(&with(&[file("x", "1"), directory("x/")]));
    place.refused(&with(&[directory("x/"), link("x", "first")]));
    place.unpack(&with(&[file("x", "1"), file("X", "2")])).unwrap();
    assert_eq!(all(&place.inside()), ["X", "first", "x"]);
}

#[test]
fn what_is_neither_file_nor_directory_nor_link() {
    let place = Place::new();
    for mode in [0o010_644, 0o020_644, 0o060_644, 0o140_644] {
        assert!(place.refused(&with(&[Entry { mode, ..file("x", "") }])).contains("neither"), "{mode:o}");
    }
    place.refused(&with(&[Entry { mode: 0o100_644, ..file("x/", "") }]));
    place.refused(&with(&[Entry { mode: 0o040_755, ..file("x", "") }]));
    place.refused(&with(&[Entry { mode: 0o040_755, ..file("x/", "with bytes") }]));
}

#[test]
fn what_is_encrypted_or_compressed_by_something_else() {
    let place = Place::new();
    assert!(place.refused(&with(&[Entry { flags: 1, ..file("x", "x") }])).contains("encrypted"));
    for method in [1, 9, 12, 14, 93, 95, 99] {
        place.refused(&with(&[Entry { method, ..file("x", "x") }]));
    }
}

#[test]
fn bytes_that_are_not_what_they_say() {
    let place = Place::new();
    place.refused(&with(&[Entry { crc: 7, ..file("x", "abc") }]));
    place.refused(&with(&[Entry { size: 2, ..file("x", "abc") }]));
    place.refused(&with(&[Entry { size: 4, ..file("x", "abc") }]));
    place.refused(&with(&[Entry { method: 8, ..file("x", "no deflate at all") }]));
    // The list says one name, the entry itself another.
    place.refused(&with(&[Entry { local_name: Some(b"y".to_vec()), ..file("x", "abc") }]));
    // Sizes that stand in a field for large files, and are impossible.
    for large in [[0xff; 16], [0; 16], [0x7f; 16]] {
        let mut extra = vec![1, 0, 16, 0];
        extra.extend(large);
        place.refused(&with(&[Entry { size: u32::MAX, extra, ..file("x", "abc") }]));
    }
}

#[test]
fn two_entries_that_share_their_bytes() {
    let place = Place::new();
    let shared = Entry { offset: Some(0), ..file("first", "of all") };
    let said = place.refused(&with(&[Entry { name: b"other".to_vec(), ..shared.clone() }]));
    assert!(said.contains("sound"), "{said}");
    // One that begins in the middle of the other's bytes, and ends with them.
    let inner = archive(&[file("y", "inner")]);
    let outer = file("x", &inner[..30 + 1 + 5]);
    let overlap = Entry { offset: Some(30 + 1), ..file("y", "inner") };
    place.refused(&archive(&[outer, overlap]));
}

#[test]
fn more_than_there_may_be() {
    let place = Place::new();
    let many: Vec<_> = (0..11).map(|number| file(format!("{number}"), "")).collect();
    assert!(place.refused_within(&archive(&many), small()).contains("10 files"));
    let said = place.refused_within(&with(&[file("x", vec![0; 9_000]), file("y", vec![0; 1_000])]), small());
    assert!(said.contains("10000 bytes unpacked"), "{said}");
    assert!(place.refused_within(&with(&[file("x", vec![0; 100_000])]), small()).contains("100000 bytes"));
    // A list that would fill the memory before it can be counted.
    let extra = [&[0x99, 0x99, 0x60, 0xea][..], &[0; 60_000]].concat();
    let long: Vec<_> =
        (0..300).map(|number| Entry { extra: extra.clone(), ..file(format!("{number}"), "") }).collect();
    let said = place.refused(&archive(&long));
    assert!(said.contains("too long"), "{said}");
}

#[test]
fn directories_that_nobody_lists_count_too() {
    let place = Place::new();
    // One file, and nine directories above it: ten.
    let deep = "d/".repeat(9) + "x";
    place.unpack_within(&archive(&[file(&deep, "")]), small()).unwrap();
    assert_eq!(all(&place.inside()).len(), 10);
    let place = Place::new();
    let said = place.refused_within(&archive(&[file("d/".repeat(10) + "x", "")]), small());
    assert!(said.contains("more than 10 files and directories"), "{said}");
    // Few files that have no directory in common; and some that have, in whichever order they come.
    let apart: Vec<_> = (0..4).map(|number| file(format!("{number}/a/x"), "")).collect();
    assert!(place.refused_within(&archive(&apart), small()).contains("10 files and directories"));
    let together = ["a/b/1", "c/d/e/2", "a/b/3", "c/4", "a-/5"].map(|name| file(name, ""));
    assert!(place.refused_within(&archive(&together), small()).contains("10 files and directories"));
    let listed: Vec<_> =
        [directory("c/"), directory("a/b/")].into_iter().chain(together[..4].to_vec()).collect();
    place.unpack_within(&archive(&listed), Limits { entries: 9, ..small() }).unwrap();
    assert_eq!(all(&place.inside()), ["a", "a/b", "a/b/1", "a/b/3", "c", "c/4", "c/d", "c/d/e", "c/d/e/2"]);
}

/// A megabyte of nothing, deflated: about a thousand bytes.
fn bomb() -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("bomb", SimpleFileOptions::default()).unwrap();
    zip.write_all(&vec![0; 1_000_000]).unwrap();
    zip.finish().unwrap().into_inner()
}

#[test]
fn a_bomb_that_says_so_and_one_that_lies() {
    let place = Place::new();
    let honest = bomb();
    assert!(honest.len() < 2_000);
    assert!(place.refused_within(&honest, small()).contains("bytes unpacked"));
    // Both heads say that it holds ten bytes.
    let (from, to) = (1_000_000_u32.to_le_bytes(), 10_u32.to_le_bytes());
    let mut lying = honest.clone();
    let places: Vec<_> = (0..honest.len() - 4).filter(|at| honest[*at..at + 4] == from).collect();
    assert_eq!(places.len(), 2);
    places.iter().for_each(|at| lying[*at..at + 4].copy_from_slice(&to));
    let said = place.refused_within(&lying, small());
    assert!(said.contains("larger than its declared"), "{said}");
    // An archive in an archive is a file like any other.
    place.unpack_within(&archive(&[file("inner.zip", &honest)]), small()).unwrap();
    assert_eq!(fs::read(place.inside().join("inner.zip")).unwrap(), honest);
}

#[test]
fn what_is_cut_off_or_no_archive_at_all() {
    let place = Place::new();
    let good = archive(&[file("a", "some text"), link("l", "a"), directory("d/")]);
    for length in 0..good.len() {
        place.refused(&good[..length]);
    }
    for garbage in [&b"PK"[..], b"\x1f\x8b\x08tar", &[0; 4_096], &[b'P'; 70_000]] {
        assert!(place.refused(garbage).contains("sound zip file"));
    }
}

#[test]
fn no_single_wrong_byte_gets_anything_out() {
    let good = archive(&[file("a", "some text"), link("d/l", "../a"), directory("d/")]);
    for at in 0..good.len() {
        let place = Place::new();
        let mut changed = good.clone();
        changed[at] ^= 0x2e;
        let _either = place.unpack(&changed);
        let outside = all(&place.0).into_iter().filter(|name| !name.starts_with("a/b/inside/"));
        assert_eq!(outside.collect::<Vec<_>>(), ["a", "a/b", "a/b/inside"], "byte {at}");
    }
}

#[test]
fn a_directory_that_is_not_empty_is_left_alone() {
    let place = Place::new();
    fs::write(place.inside().join("mine"), "").unwrap();
    assert!(place.unpack(&with(&[])).unwrap_err().to_string().contains("not empty"));
    assert_eq!(all(&place.inside()), ["mine"]);
    assert_eq!(raw::crc32(b"123456789"), 0xcbf4_3926, "the checksum of these tests is the right one");
}
