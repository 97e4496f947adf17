//! The checks that are somebody else's tool: cargo, rustfmt, clippy, rustdoc, cargo-deny.

use crate::process::{self, Failure};
use crate::{tools, workspace};

/// Formatting; `--write` changes the files.
pub(crate) fn fmt(arguments: &[String]) -> Result<(), Failure> {
    let mut cargo = process::cargo();
    cargo.args(["fmt", "--all"]);
    if !arguments.iter().any(|argument| argument == "--write") {
        cargo.arg("--check");
    }
    process::run(&mut cargo)
}

/// Clippy on all targets, warnings denied.
pub(crate) fn clippy() -> Result<(), Failure> {
    process::run(process::cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "--deny",
        "warnings",
    ]))
}

/// Licences, bans and sources. Not advisories: their database is not on a package registry; `cargo deny check advisories` needs
/// the internet, and runs where there is one.
pub(crate) fn deny() -> Result<(), Failure> {
    let deny = tools::cargo_deny()?;
    // cargo-deny reads every package of the lock file, also those of other systems, which no build here has downloaded.
    process::run(process::cargo().args(["fetch", "--quiet", "--locked"]))?;
    let mut command = std::process::Command::new(deny);
    command.current_dir(workspace::root()).args([
        "--offline",
        "--locked",
        "check",
        "bans",
        "licenses",
        "sources",
    ]);
    process::run(&mut command)
}

/// Unit and integration tests. `e2e` is not here: it needs the built binary and other languages' clients.
pub(crate) fn test(arguments: &[String]) -> Result<(), Failure> {
    let mut cargo = process::cargo();
    cargo.args(["test", "--workspace", "--exclude", "e2e", "--exclude", "sim", "--locked"]).args(arguments);
    require_kernel_tests(&mut cargo);
    process::run(&mut cargo)
}

/// The simulated world: without arguments its tests, with the lies that its checkers must see, and then the first seeds; `--seed N` tells
/// the story of one seed, `--seeds N` runs so many, `--from N` begins elsewhere.
pub(crate) fn sim(arguments: &[String]) -> Result<(), Failure> {
    if arguments.is_empty() {
        process::run(process::cargo().args(["test", "--package", "sim", "--locked"]))?;
    }
    process::run(
        process::cargo().args(["run", "--quiet", "--package", "sim", "--locked", "--"]).args(arguments),
    )
}

/// Rustdoc of our own crates, warnings denied: a broken link in a doc comment is a broken promise.
pub(crate) fn doc() -> Result<(), Failure> {
    process::run(
        process::cargo()
            .args(["doc", "--workspace", "--no-deps", "--locked"])
            .env("RUSTDOCFLAGS", "--deny warnings"),
    )
}

/// How a program is built.
#[derive(Clone, Copy)]
pub(crate) enum Profile {
    /// Quick to build.
    Debug,
    /// As released.
    Release,
}

/// Builds the programs of packages, each by itself: together, one's wishes would switch on features in what they share, and the
/// product would not be what users build.
pub(crate) fn build(packages: &[&str], profile: Profile) -> Result<(), Failure> {
    for package in packages {
        let mut cargo = process::cargo();
        cargo.args(["build", "--locked", "--bins", "--package", package]);
        if matches!(profile, Profile::Release) {
            cargo.arg("--release");
        }
        process::run(&mut cargo)?;
    }
    Ok(())
}

/// Builds the product as released and runs the measurements against it; `--quick` only shows that they run, `--write` keeps them.
pub(crate) fn bench(arguments: &[String]) -> Result<(), Failure> {
    let has = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    if has("--quick") && has("--write") {
        return Err(Failure::new(
            "what --quick measures is not kept: it is measured with a bench that is built for debugging",
        ));
    }
    // One after the other: together the product would be built anew, with what the measurements ask of its libraries.
    build(&["cli"], Profile::Release)?;
    // What is measured with is as quick as what is measured, where figures count.
    let (profile, folder) =
        if has("--quick") { (Profile::Debug, "debug") } else { (Profile::Release, "release") };
    build(&["bench"], profile)?;
    let mut bench = std::process::Command::new(workspace::target().join(folder).join("bench"));
    bench.current_dir(workspace::root()).arg(workspace::target().join("release/keyless"));
    if let Some(nginx) = tools::nginx() {
        bench.arg("--nginx").arg(nginx);
    }
    if has("az") || !has("--only") && !has("--quick") {
        bench.arg("--az").arg(tools::az()?);
    }
    for argument in arguments {
        match argument.as_str() {
            "--write" => bench.arg("--write").arg("docs/benchmarks.md"),
            other => bench.arg(other),
        };
    }
    process::run(&mut bench)?;
    if has("--quick") {
        process::say(
            "that was to see that it runs: what is held against us was built for debugging, so no ratio says anything",
        );
    }
    Ok(())
}

/// The story of the README: the same command that a reader is told to type.
pub(crate) fn demo() -> Result<(), Failure> {
    process::run(process::cargo().args(["run", "--release", "--locked", "--", "demo"]))
}

/// As root nothing that the kernel tests need is missing, so a skipped one is a failure.
pub(crate) fn require_kernel_tests(command: &mut std::process::Command) {
    if process::is_root() {
        command.env("KEYLESS_REQUIRE_KERNEL_TESTS", "1");
    }
}
