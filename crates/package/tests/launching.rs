//! What is started of which package, and what is done before.

use crate::Place;
use package::{PackageError, Runtime};

/// What is started, as `runtime: command`.
fn started(files: &[(&str, &str)]) -> Result<String, PackageError> {
    let (_place, contents) = Place::contents(files);
    contents.detect(None).map(|launch| format!("{:?}: {}", launch.runtime, launch.command))
}

#[test]
fn a_package_says_what_it_starts() {
    for (files, expected) in [
        (
            &[("Procfile", "web: gunicorn -b 0.0.0.0:$PORT app:app\n"), ("requirements.txt", "")][..],
            "Python: gunicorn -b 0.0.0.0:$PORT app:app",
        ),
        (
            &[("Procfile", "# a word\r\nworker: x\r\nweb:   node 'a b.js'  \r\nweb: other\r\n")],
            "Other: node 'a b.js'",
        ),
        (&[("app.py", ""), ("main.py", "")], "Python: python3 app.py"),
        (&[("requirements.txt", ""), ("application.py", "")], "Python: python3 application.py"),
        (&[("pyproject.toml", ""), ("main.py", ""), ("package.json", "{}")], "Python: python3 main.py"),
        (
            &[("package.json", r#"{"scripts":{"start":"next start"},"main":"x.js"}"#), ("x.js", "")],
            "Node: next start",
        ),
        (&[("package.json", r#"{"main":"./lib/a b"}"#), ("lib/a b.js", "")], "Node: node 'lib/a b.js'"),
        (&[("package.json", r#"{"main":"lib"}"#), ("lib/index.js", "")], "Node: node lib/index.js"),
        (&[("package.json", "\u{feff}{}"), ("index.js", ""), ("server.js", "")], "Node: node server.js"),
        (&[("package.json", r#"{"main":"../../etc/x.js"}"#), ("index.js", "")], "Node: node index.js"),
        (&[("index.js", "")], "Node: node index.js"),
        (&[("package.json", "{}"), ("app.py", ""), ("index.js", "")], "Node: node index.js"),
        (&[("startup.sh", "")], "Other: /bin/sh startup.sh"),
        (&[("Procfile", "worker: x\n"), ("app.py", "")], "Python: python3 app.py"),
    ] {
        assert_eq!(started(files).unwrap(), expected);
    }
}

#[test]
fn a_command_that_is_given_goes_first() {
    let (_place, contents) = Place::contents(&[("Procfile", "web: x\n"), ("requirements.txt", "")]);
    let launch = contents.detect(Some(" ./mine --port $PORT ")).unwrap();
    assert_eq!((&*launch.command, launch.runtime), ("./mine --port $PORT", Runtime::Python));
    assert_eq!(package::shell(&launch.command), ["/bin/sh", "-c", "exec ./mine --port $PORT"]);
    assert!(matches!(contents.detect(Some("a 'b")), Err(PackageError::Command { .. })));
}

#[test]
fn what_says_nothing_is_told_what_was_looked_for() {
    let said = started(&[("readme", ""), ("run", "not executable")]).unwrap_err().to_string();
    assert!(said.contains("Procfile") && said.contains("app.py") && said.contains("package.json"), "{said}");
    assert!(started(&[("requirements.txt", "")]).is_err());
    for broken in ["{", "7", r#"{"scripts":{"start":7}}"#] {
        assert!(
            matches!(started(&[("package.json", broken)]), Err(PackageError::Command { .. })),
            "{broken}"
        );
    }
    assert!(matches!(started(&[("Procfile", "web: 'x")]), Err(PackageError::Command { .. })));
    let two_lines = started(&[("package.json", r#"{"scripts":{"start":"node x\nforged"}}"#)]).unwrap_err();
    assert_eq!(two_lines.to_string(), "scripts.start of package.json has more than one line");
}

#[test]
fn an_executable_at_the_top_is_started() {
    use crate::raw::{Entry, archive, file};
    let place = Place::new();
    let contents =
        place.unpack(&archive(&[Entry { mode: 0o100_755, ..file("run", "") }, file("start", "")])).unwrap();
    assert_eq!(contents.detect(None).unwrap().command, "./run");
}

#[test]
fn what_is_built_is_what_the_package_lacks() {
    let steps = |files: &[(&str, &str)], runtime| -> Vec<String> {
        let (_place, contents) = Place::contents(files);
        let root = contents.root().to_str().unwrap().to_owned();
        contents
            .build_steps(runtime)
            .iter()
            .map(|step| {
                assert_eq!(step.directory, contents.root());
                format!("{} {}", step.program.display(), step.arguments.join(" ")).replace(&root, "{root}")
            })
            .collect()
    };
    assert_eq!(
        steps(&[("requirements.txt", "flask")], Runtime::Python),
        ["python3 -m venv --clear .venv", "{root}/.venv/bin/python -m pip install -r requirements.txt"]
    );
    assert_eq!(
        steps(&[("package.json", "{}"), ("package-lock.json", "{}")], Runtime::Node),
        ["npm ci --omit=dev"]
    );
    assert_eq!(steps(&[("package.json", "{}")], Runtime::Node), ["npm install --omit=dev"]);
    assert!(steps(&[("package.json", "{}"), ("node_modules/x/index.js", "")], Runtime::Node).is_empty());
    assert!(steps(&[("app.py", "")], Runtime::Python).is_empty());
    assert!(steps(&[("start", "")], Runtime::Other).is_empty());
}

#[test]
fn the_search_path_begins_with_the_packages_own_programs() {
    let (_place, contents) = Place::contents(&[("x", "")]);
    assert_eq!(contents.search_path(Runtime::Python), [contents.root().join(".venv/bin")]);
    assert_eq!(contents.search_path(Runtime::Node), [contents.root().join("node_modules/.bin")]);
    assert!(contents.search_path(Runtime::Other).is_empty());
}
