//! The list of bugs (`e2e/mutants.txt`): reading it, and planting them in copies of the files that it names.

use crate::process::Failure;
use crate::workspace;

const LIST: &str = "e2e/mutants.txt";

/// Where the switch is: every crate of the product knows this one.
const SWITCH_FILE: &str = "crates/domain/src/lib.rs";

/// Which bug is switched on, told by the environment once.
const SWITCH: &str = r#"
/// Is this planted bug switched on?
#[allow(missing_docs, clippy::all)]
pub fn planted(name: &str) -> bool {
    static ON: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    ON.get_or_init(|| std::env::var("PLANTED_BUG").ok()).as_deref() == Some(name)
}
"#;

/// A bug that can be planted.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Bug {
    pub(super) name: String,
    pub(super) area: String,
    pub(super) file: String,
    pub(super) harm: String,
    old: Vec<String>,
    new: Vec<String>,
}

/// All bugs of the list.
pub(super) fn listed() -> Result<Vec<Bug>, Failure> {
    let text = std::fs::read_to_string(workspace::root().join(LIST))?;
    parsed(&text)
}

fn parsed(text: &str) -> Result<Vec<Bug>, Failure> {
    let mut bugs: Vec<Bug> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            bugs.push(Bug { name: name.to_owned(), ..Bug::default() });
            continue;
        }
        let strange = || Failure::new(format!("{LIST}:{}: what is {line:?}?", number + 1));
        let bug = bugs.last_mut().ok_or_else(strange)?;
        if let Some(old) = line.strip_prefix('-') {
            bug.old.push(old.to_owned());
        } else if let Some(new) = line.strip_prefix('+') {
            bug.new.push(new.to_owned());
        } else {
            match line.split_once(": ").ok_or_else(strange)? {
                ("area", area) => area.clone_into(&mut bug.area),
                ("file", file) => file.clone_into(&mut bug.file),
                ("harm", harm) => harm.clone_into(&mut bug.harm),
                _ => return Err(strange()),
            }
        }
    }
    Ok(bugs)
}

/// The files that the bugs name, with all bugs in them and the switch. `read` reads a file as it is.
pub(super) fn planted(
    bugs: &[Bug],
    read: impl Fn(&str) -> std::io::Result<String>,
) -> Result<Vec<(String, String)>, Failure> {
    let mut files = vec![(SWITCH_FILE.to_owned(), read(SWITCH_FILE)? + SWITCH)];
    for bug in bugs {
        if !files.iter().any(|(file, _)| *file == bug.file) {
            files.push((bug.file.clone(), read(&bug.file)?));
        }
        let Some((_, text)) = files.iter_mut().find(|(file, _)| *file == bug.file) else { continue };
        let old = format!("{}\n", bug.old.join("\n"));
        let places = text.matches(&old).count();
        if places != 1 {
            let Bug { name, file, .. } = bug;
            return Err(Failure::new(format!("{LIST}: what {name} changes is {places} times in {file}")));
        }
        let switch = format!("domain::planted({:?})", bug.name);
        *text = text.replacen(&old, &format!("{}\n", bug.new.join("\n").replace("PLANTED", &switch)), 1);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_has_its_place_in_the_product_and_says_what_it_does() {
        let bugs = listed().unwrap();
        assert!(bugs.len() >= 24, "{} bugs", bugs.len());
        for bug in &bugs {
            let is_whole = [&bug.name, &bug.area, &bug.file, &bug.harm].iter().all(|text| !text.is_empty());
            assert!(is_whole && bug.new.join("\n").contains("PLANTED"), "{bug:?}");
            assert_eq!(bugs.iter().filter(|other| other.name == bug.name).count(), 1, "{}", bug.name);
        }
        let read = |file: &str| std::fs::read_to_string(workspace::root().join(file));
        let files = planted(&bugs, read).unwrap();
        let switches: usize = files.iter().map(|(_, text)| text.matches("domain::planted(").count()).sum();
        assert!(switches >= bugs.len());
    }

    #[test]
    fn a_place_that_is_not_there_or_there_twice_is_a_fault() {
        let bugs = parsed("[b]\narea: a\nfile: f\nharm: h\n-one\n+two PLANTED\n").unwrap();
        let with = |text: &'static str| planted(&bugs, move |_| Ok(text.to_owned()));
        assert!(with("zero\n").is_err());
        assert!(with("one\none\n").is_err());
        let files = with("zero\none\n").unwrap();
        assert!(files.iter().any(|(file, text)| file == "f" && text == "zero\ntwo domain::planted(\"b\")\n"));
    }
}
