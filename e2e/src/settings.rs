//! What `cargo xtask e2e` tells us by the environment, and what we tell it: notes for `docs/compatibility.md`.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

/// A `KEYLESS_E2E_*` value; `None` means that the client is not on this machine.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the harness is a program of its own, told by xtask")]
pub fn setting(name: &str) -> Option<String> {
    std::env::var(format!("KEYLESS_E2E_{name}")).ok().filter(|value| !value.is_empty())
}

/// What the person who runs the tests has in the environment for pip and npm: which mirror, which proxy, whose certificates.
#[must_use]
pub fn building() -> Vec<(OsString, OsString)> {
    const KINDS: [&str; 2] = ["PIP_", "NPM_CONFIG_"];
    const NAMES: [&str; 9] = [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "ALL_PROXY",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
    ];
    let is_one = |name: &str| NAMES.contains(&name) || KINDS.iter().any(|kind| name.starts_with(kind));
    std::env::vars_os().filter(|(name, _)| is_one(&name.to_string_lossy().to_ascii_uppercase())).collect()
}

/// The binary under test.
///
/// # Panics
/// When `cargo xtask e2e` did not say where it is.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let folder =
        setting("BINARIES").expect("run the scenarios by `cargo xtask e2e`, which builds what they need");
    PathBuf::from(folder).join(name)
}

/// A program of `examples/rust`.
///
/// # Panics
/// When `cargo xtask e2e` did not say where they are.
#[must_use]
pub fn example_program(name: &str) -> PathBuf {
    PathBuf::from(setting("EXAMPLE_PROGRAMS").expect("run the scenarios by `cargo xtask e2e`")).join(name)
}

/// A file of `examples/`.
///
/// # Panics
/// When `cargo xtask e2e` did not say where they are.
#[must_use]
pub fn example(name: &str) -> PathBuf {
    PathBuf::from(setting("EXAMPLES").expect("run the scenarios by `cargo xtask e2e`")).join(name)
}

/// Says that a scenario was not run, past the capture of test output: it must be seen. `cargo xtask e2e` says it again at the end, and
/// fails by it where nothing excuses it.
///
/// # Panics
/// When it cannot be kept.
pub fn skip(why: &str) {
    let _closed = writeln!(std::io::stderr(), "\nskipped: {why}");
    keep("skipped", &format!("{why}\n"));
}

/// Notes what a client can do, as a row of `docs/compatibility.md`.
///
/// # Panics
/// When the note cannot be written.
pub fn note(client: &str, operation: &str, result: &str) {
    keep("rows", &format!("| {client} | {operation} | {result} |\n"));
}

fn keep(kind: &str, line: &str) {
    let Some(folder) = setting("NOTES") else { return };
    let file = PathBuf::from(folder).join(kind);
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
    // One small write to a file opened for appending is not torn by another test's.
    file.write_all(line.as_bytes()).unwrap();
}

/// Whether we are root: some thieves can only be played as root.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
