//! Habits that no compiler holds: module docs, no notes to self, reasons for long files, living links, fresh generated pages.

use std::path::Path;

use crate::process::{self, Failure};
use crate::{e2e, limits, workspace};

/// The page that goes through RFC 9700.
const SECURITY: &str = "docs/oauth-security.md";

/// A file longer than this says at its top why it stays whole.
const LINES_MAX: usize = 800;

/// Checks; `--write` first renews what is generated.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let root = workspace::root();
    let fresh = limits::page(&std::fs::read_to_string(root.join(limits::SOURCE))?);
    if arguments.iter().any(|argument| argument == "--write") {
        std::fs::write(root.join(limits::PAGE), &fresh)?;
    }
    let mut faults = Vec::new();
    if std::fs::read_to_string(root.join(limits::PAGE)).unwrap_or_default() != fresh {
        faults.push(format!(
            "{} is not what {} says: cargo xtask tidy --write",
            limits::PAGE,
            limits::SOURCE
        ));
    }
    let files = workspace::files()?;
    for path in &files {
        // What is not text has no habits.
        let Ok(text) = std::fs::read_to_string(root.join(path)) else { continue };
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if extension == "rs" {
            check_rust(path, &text, &mut faults);
        }
        if extension == "md" {
            check_links(&root, path, &text, &mut faults);
        }
        if path.file_name().is_some_and(|name| name != "Cargo.lock") {
            check_places(path, &text, &mut faults);
        }
    }
    check_scenarios(&root, &mut faults)?;
    check_modules(&root, &mut faults)?;
    check_named_tests(&root, &files, &mut faults);
    if faults.is_empty() {
        process::say(&format!("tidy: {} files", files.len()));
        return Ok(());
    }
    faults.iter().for_each(|fault| process::say(fault));
    Err(Failure::new(format!("{} faults", faults.len())))
}

fn check_rust(path: &Path, text: &str, faults: &mut Vec<String>) {
    let shown = path.display();
    if !text.starts_with("//!") {
        faults.push(format!(
            "{shown}: opens without `//!`: say what the file owns, what it does not, and the spec it follows"
        ));
    }
    // Spelled in halves, so that this file has none of them.
    let notes = [
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["todo", "!("].concat(),
        ["unimplemented", "!("].concat(),
    ];
    for (number, line) in text.lines().enumerate() {
        if let Some(note) = notes.iter().find(|note| line.contains(note.as_str())) {
            faults.push(format!(
                "{shown}:{}: has {note}: do it, or file an issue and say what holds until then",
                number + 1
            ));
        }
    }
    let lines = text.lines().count();
    let header = text.lines().take_while(|line| line.starts_with("//!")).collect::<String>();
    if lines > LINES_MAX && !header.contains("whole") {
        faults.push(format!(
            "{shown}: {lines} lines and no word at the top on why it stays whole: look for the second idea"
        ));
    }
}

/// Relative links of a page lead somewhere.
fn check_links(root: &Path, path: &Path, text: &str, faults: &mut Vec<String>) {
    for link in links(text) {
        let place = link.split('#').next().unwrap_or_default();
        if place.is_empty() || link.contains("://") || link.starts_with("mailto:") {
            continue;
        }
        let from = path.parent().unwrap_or(Path::new(""));
        if !root.join(from).join(place).exists() {
            faults.push(format!("{}: links to {link}, which is not there", path.display()));
        }
    }
}

/// Targets of `[text](target)` outside of code blocks.
fn links(text: &str) -> Vec<&str> {
    let mut is_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            found.extend(
                line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target),
            );
        }
    }
    found
}

/// Nothing names one machine's folders, or the host of a package registry: clients are set up by whoever builds.
fn check_places(path: &Path, text: &str, faults: &mut Vec<String>) {
    let folders = [["/wo", "rk/"].concat(), ["/ro", "ot/"].concat()];
    let hosts = [
        ["registry.npm", "js.org"].concat(),
        ["py", "pi.org"].concat(),
        ["pythonhosted", ".org"].concat(),
        ["index.crates", ".io"].concat(),
        ["static.crates", ".io"].concat(),
        ["proxy.go", "lang.org"].concat(),
        ["repo.maven", ".apache.org"].concat(),
        ["repo1.maven", ".org"].concat(),
        ["deb.debian", ".org"].concat(),
    ];
    for (number, line) in text.lines().enumerate() {
        for host in hosts.iter().filter(|host| line.contains(host.as_str())) {
            faults.push(format!(
                "{}:{}: names {host}: leave registries to the client's own settings",
                path.display(),
                number + 1
            ));
        }
        for folder in &folders {
            // A part of a longer path is somebody's own folder; one that starts a path is a machine's.
            let starts = line.match_indices(folder.as_str()).any(|(at, _)| {
                !line
                    .get(..at)
                    .and_then(|before| before.chars().next_back())
                    .is_some_and(|c| c.is_alphanumeric() || "._-/}".contains(c))
            });
            if starts {
                faults.push(format!(
                    "{}:{}: names {folder}, a folder of one machine",
                    path.display(),
                    number + 1
                ));
            }
        }
    }
}

/// `e2e/scenarios.md` and the tests name each other: a promise without a test is seen, and so is a test without a promise.
fn check_scenarios(root: &Path, faults: &mut Vec<String>) -> Result<(), Failure> {
    let page = std::fs::read_to_string(root.join("e2e/scenarios.md")).unwrap_or_default();
    let mut tests = Vec::new();
    for entry in std::fs::read_dir(root.join("e2e/tests"))? {
        let path = entry?.path();
        let module = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        if path.is_file() {
            let text = std::fs::read_to_string(&path)?;
            tests.extend(test_names(&text).map(|name| format!("{module}::{name}")));
            continue;
        }
        // A module's folder has modules of it, and the programs that its scenarios use.
        for entry in std::fs::read_dir(&path)? {
            let path = entry?.path();
            let inner = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path)?;
                tests.extend(test_names(&text).map(|name| format!("{module}::{inner}::{name}")));
            }
        }
    }
    for test in tests.iter().filter(|test| !page.contains(&format!("`{test}`"))) {
        faults.push(format!("e2e/scenarios.md: does not list `{test}`"));
    }
    let named = page.split('`').skip(1).step_by(2).filter(|name| name.contains("::"));
    for name in named.filter(|name| !tests.iter().any(|test| test == name)) {
        faults.push(format!("e2e/scenarios.md: lists `{name}`, which is no test"));
    }
    Ok(())
}

/// `cargo xtask e2e` knows the files of scenarios by name: what it does not know installs everything, and chooses by letters.
fn check_modules(root: &Path, faults: &mut Vec<String>) -> Result<(), Failure> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root.join("e2e/tests"))? {
        let path = entry?.path();
        let is_module = path.extension().is_some_and(|extension| extension == "rs");
        files
            .extend(path.file_stem().and_then(|stem| stem.to_str()).filter(|_| is_module).map(str::to_owned));
    }
    faults.extend(differing_modules(&files, e2e::MODULES));
    Ok(())
}

fn differing_modules(files: &[String], known: &[&str]) -> Vec<String> {
    let files: Vec<&str> = files.iter().map(String::as_str).filter(|file| *file != "main").collect();
    let unknown = files.iter().filter(|file| !known.contains(file));
    let gone = known.iter().filter(|name| !files.contains(name));
    unknown
        .map(|file| format!("xtask/src/e2e.rs: MODULES lacks {file} of e2e/tests"))
        .chain(
            gone.map(|name| format!("xtask/src/e2e.rs: MODULES has {name}, which is no file of e2e/tests")),
        )
        .collect()
}

/// A page that says which tests hold its promises names tests that there are.
fn check_named_tests(root: &Path, files: &[std::path::PathBuf], faults: &mut Vec<String>) {
    let page = std::fs::read_to_string(root.join(SECURITY)).unwrap_or_default();
    let rust = files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let code: String = rust.filter_map(|path| std::fs::read_to_string(root.join(path)).ok()).collect();
    let is_name = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let quoted = page.split('`').skip(1).step_by(2);
    let named = quoted
        .filter_map(|name| Some((name, name.rsplit_once("::")?.1)))
        .filter(|(_, function)| is_name(function));
    for (name, _) in named.filter(|(_, function)| !code.contains(&format!("fn {function}()"))) {
        faults.push(format!("{SECURITY}: names `{name}`, which is no test"));
    }
}

fn test_names(text: &str) -> impl Iterator<Item = &str> {
    let mut lines = text.lines().map(str::trim_start);
    std::iter::from_fn(move || {
        lines.find(|line| *line == "#[test]")?;
        let function = lines.find(|line| line.starts_with("fn "))?;
        function.strip_prefix("fn ")?.split('(').next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_in_code_are_not_links() {
        assert_eq!(links("a [b](c.md) [d](e#f)\n```\n[x](y)\n```\n"), ["c.md", "e#f"]);
    }

    #[test]
    fn tests_are_found_by_name() {
        assert_eq!(
            test_names("#[test]\n#[ignore]\nfn one() {\n}\nfn two() {}\n#[test]\nfn three() {")
                .collect::<Vec<_>>(),
            ["one", "three"]
        );
    }

    #[test]
    fn scenarios_that_are_not_known_by_name_are_seen() {
        let files = ["main", "python", "shadow"].map(str::to_owned);
        assert!(differing_modules(&files, &["python", "shadow"]).is_empty());
        let faults = differing_modules(&files, &["python", "attach"]).join("\n");
        assert!(faults.contains("lacks shadow") && faults.contains("has attach"), "{faults}");
    }
}
