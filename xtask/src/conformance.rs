//! `cargo xtask conformance`: the Azure SDK for Python's own live test suites, out of its source packages and unmodified, against the product.
//!
//! Owns: what they need to be there (sources, Python packages, the binary). What is run and how it is judged is in `e2e`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::checks::{self, Profile};
use crate::process::{self, Failure};
use crate::{tools, workspace};

/// The suites by the names of their packages, and the SHA-256 of each package's source. Versions are in `requirements.txt`, once: a new one needs
/// another hash here.
const SUITES: &[(&str, &str, &str)] = &[
    ("secrets", "azure-keyvault-secrets", "435ea0abb5280baaad9553da7a19e73e1b581048783b852210352bfcb0316aff"),
    ("keys", "azure-keyvault-keys", "abe258a46937ab69b148d1832150192f6a300578451d69304a0c3be24b9881aa"),
    (
        "certificates",
        "azure-keyvault-certificates",
        "ec5589c28889dce360d3ff9e9ec419db0fac4e127be1580f8a4a8e87384da4ea",
    ),
    ("identity", "azure-identity", "6a4c50e25e8e9a47b324a95ad024897e56cb3c6241e0094e93b126a2bf71edc5"),
];

/// Runs the suites that are named, all by default; `--release` with the binary as users install it.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    process::adopt_orphans()?;
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let ours = workspace::root().join("e2e/conformance");
    let requirements = std::fs::read_to_string(ours.join("requirements.txt"))?;
    let bin = tools::python_environment("conformance", &requirements)?;
    let sources = workspace::target().join("tools/conformance-suites");
    for (suite, package, hash) in SUITES {
        source(&bin, &requirements, (package, hash), &sources.join(suite))?;
    }
    authority(&bin, &ours, &sources.join("certificates/tests"))?;

    let product = checks::product(Profile::of(arguments))?;
    let programs = checks::beside_tests("scenarios", &["conformance"])?;
    let results = workspace::target().join("conformance");
    let _absent = std::fs::remove_dir_all(&results);
    process::directory(&results)?;
    let mut suites = Command::new(programs.join("conformance"));
    suites
        .current_dir(workspace::root())
        .args(wanted)
        .env("KEYLESS_E2E_BINARIES", product)
        .env("KEYLESS_E2E_PYTHON", bin.join("python"))
        .env("KEYLESS_E2E_CONFORMANCE", &ours)
        .env("KEYLESS_E2E_SUITES", &sources)
        .env("KEYLESS_E2E_RESULTS", &results);
    process::ended(process::run(&mut suites))
}

/// Fetches a package's source and unpacks it as `place`, unless it is there in this version.
fn source(
    bin: &Path,
    requirements: &str,
    (package, hash): (&str, &str),
    place: &Path,
) -> Result<(), Failure> {
    let pinned = requirements.lines().find(|line| line.split("==").next() == Some(package));
    let pinned = pinned.ok_or_else(|| Failure::new(format!("requirements.txt does not pin {package}")))?;
    let line = format!("{pinned} --hash=sha256:{hash}\n");
    let stamp = place.join("version.unpacked");
    if std::fs::read_to_string(&stamp).is_ok_and(|version| version == line) {
        return Ok(());
    }
    let _absent = std::fs::remove_dir_all(place);
    let fetched = place.join("fetched");
    process::directory(&fetched)?;
    // Pip takes a hash from a file only.
    let list = place.join("source.txt");
    std::fs::write(&list, &line)?;
    let mut fetch = Command::new(bin.join("python"));
    fetch.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    fetch.args(["--no-binary", package, "--require-hashes", "--dest"]).arg(&fetched);
    fetch.arg("--requirement").arg(&list);
    process::run(&mut fetch)?;
    let archive = only_entry(&fetched)?;
    let mut unpack = Command::new(bin.join("python"));
    unpack.args(["-m", "tarfile", "--extract"]).arg(&archive).arg(&fetched);
    process::run(&mut unpack)?;
    std::fs::remove_file(&archive)?;
    std::fs::rename(only_entry(&fetched)?.join("tests"), place.join("tests"))?;
    // Written last, so that an interrupted fetch is begun anew.
    std::fs::write(&stamp, line)?;
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
