//! `cargo xtask conformance`: the Azure SDK for Python's own live test suites, out of its source packages and unmodified, against the product.
//!
//! Owns: what they need to be there (sources, Python packages, the binary). What is run and how it is judged is in `e2e`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::checks::{self, Profile};
use crate::process::{self, Failure};
use crate::{tools, workspace};

/// The suites by the names of their packages; their versions are in `requirements.txt`, once.
const SUITES: &[(&str, &str)] = &[
    ("secrets", "azure-keyvault-secrets"),
    ("keys", "azure-keyvault-keys"),
    ("certificates", "azure-keyvault-certificates"),
];

/// Runs the suites that are named, all by default; `--dev` with the debug binary.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    process::adopt_orphans()?;
    let is_dev = arguments.iter().any(|argument| argument == "--dev");
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let ours = workspace::root().join("e2e/conformance");
    let requirements = std::fs::read_to_string(ours.join("requirements.txt"))?;
    let bin = tools::python_environment("conformance", &requirements)?;
    let sources = workspace::target().join("tools/conformance-suites");
    for (suite, package) in SUITES {
        source(&bin, &requirements, package, &sources.join(suite))?;
    }
    authority(&bin, &ours, &sources.join("certificates/tests"))?;

    checks::build(&["cli"], if is_dev { Profile::Debug } else { Profile::Release })?;
    let results = workspace::target().join("conformance");
    let _absent = std::fs::remove_dir_all(&results);
    process::directory(&results)?;
    let mut suites = process::cargo();
    suites
        .args(["run", "--quiet", "--locked", "--package", "e2e", "--bin", "conformance", "--"])
        .args(wanted);
    suites
        .env("KEYLESS_E2E_BINARIES", workspace::target().join(if is_dev { "debug" } else { "release" }))
        .env("KEYLESS_E2E_PYTHON", bin.join("python"))
        .env("KEYLESS_E2E_CONFORMANCE", &ours)
        .env("KEYLESS_E2E_SUITES", &sources)
        .env("KEYLESS_E2E_RESULTS", &results);
    process::ended(process::run(&mut suites))
}

/// Fetches a package's source and unpacks it as `place`, unless it is there in this version.
fn source(bin: &Path, requirements: &str, package: &str, place: &Path) -> Result<(), Failure> {
    let pinned = requirements.lines().find(|line| line.split("==").next() == Some(package));
    let pinned = pinned.ok_or_else(|| Failure::new(format!("requirements.txt does not pin {package}")))?;
    let stamp = place.join("version.unpacked");
    if std::fs::read_to_string(&stamp).is_ok_and(|version| version == pinned) {
        return Ok(());
    }
    let _absent = std::fs::remove_dir_all(place);
    let fetched = place.join("fetched");
    process::directory(&fetched)?;
    let mut fetch = Command::new(bin.join("python"));
    fetch.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    fetch.args(["--no-binary", package, "--dest"]).arg(&fetched).arg(pinned);
    process::run(&mut fetch)?;
    let archive = only_entry(&fetched)?;
    let mut unpack = Command::new(bin.join("python"));
    unpack.args(["-m", "tarfile", "--extract"]).arg(&archive).arg(&fetched);
    process::run(&mut unpack)?;
    std::fs::remove_file(&archive)?;
    std::fs::rename(only_entry(&fetched)?.join("tests"), place.join("tests"))?;
    // Written last, so that an interrupted fetch is begun anew.
    std::fs::write(&stamp, pinned)?;
    Ok(())
}

/// The one thing in a folder.
fn only_entry(folder: &Path) -> Result<PathBuf, Failure> {
    let mut entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    match (entries.pop(), entries.is_empty()) {
        (Some(entry), true) => Ok(entry.path()),
        _ => Err(Failure::new(format!("{} should hold one thing", folder.display()))),
    }
}

/// Makes the certificate authority that a test reads from a file beside itself, which its package lacks.
fn authority(bin: &Path, ours: &Path, tests: &Path) -> Result<(), Failure> {
    if tests.join("ca.crt").exists() {
        return Ok(());
    }
    process::run(Command::new(bin.join("python")).arg(ours.join("make_ca.py")).arg(tests))
}
