//! What each page holds, as a file: `UPDATE_GOLDEN=1` writes what it holds now; the diff is the review.

use super::browser::Shown;
use crate::support::World;
use std::{fs, path::Path};

/// Compares a page's content with its file. What is fresh in each run has a name there.
pub(super) fn same(name: &str, page: &Shown, world: &World) {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sign_in").join(format!("{name}.html"));
    let (_, main) = page.body.split_once("<main>").unwrap();
    let mut text = main.split_once("</main>").unwrap().0.to_owned();
    for (begin, name) in [
        ("name=\"form_token\" value=\"", "form_token"),
        ("name=\"ticket\" value=\"", "ticket"),
        ("name=\"passkey_challenge\" value=\"", "challenge"),
        ("data-challenge=\"", "challenge"),
        ("<p class=\"who secret\"><span>", "secret"),
    ] {
        let mut parts = text.split(begin);
        let first = parts.next().unwrap().to_owned();
        text = parts.fold(first, |all, part| {
            let end = part.find(if name == "secret" { "</p>" } else { "\"" }).unwrap();
            format!("{all}{begin}{{{name}}}{}", &part[end..])
        });
    }
    text = text.replace(include_str!("../../src/sign_in/passkey.js"), "{script}");
    text = text.replace(page.header("x-ms-request-id"), "{request}");
    let lines = text.replace('<', "\n<").replace("\n</", "</");
    let actual = format!("{}\n{}\n", page.status, world.unname(lines.trim()));
    if crate::golden::is_update() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, &actual).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(actual, expected, "{}: UPDATE_GOLDEN=1 rewrites it", file.display());
}
