//! The checks that are somebody else's tool: cargo, rustfmt, clippy, rustdoc, cargo-deny.

use std::path::PathBuf;

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

/// Clippy on all targets, warnings denied. "All" are those that `cargo test` runs, and the scenarios are none of these.
pub(crate) fn clippy() -> Result<(), Failure> {
    for targets in [&["--all-targets"][..], &["--test", "scenarios"]] {
        let mut cargo = process::cargo();
        cargo.args(["clippy", "--workspace", "--locked"]).args(targets).args(["--", "--deny", "warnings"]);
        process::run(&mut cargo)?;
    }
    Ok(())
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

/// Unit and integration tests, the simulated world's as well. The scenarios are not here: they need the product and other languages' clients.
pub(crate) fn test(arguments: &[String]) -> Result<(), Failure> {
    let mut cargo = process::cargo();
    cargo.args(["test", "--workspace", "--locked"]).args(arguments);
    require_kernel_tests(&mut cargo);
    process::run(&mut cargo)
}

/// The simulated world: without arguments the first seeds; `--seed N` tells the story of one seed, `--seeds N` runs so many, `--from N`
/// begins elsewhere.
pub(crate) fn sim(arguments: &[String]) -> Result<(), Failure> {
    let built = beside_tests("seeds", &["sim"])?;
    process::run(std::process::Command::new(built.join("sim")).current_dir(workspace::root()).args(arguments))
}

/// Rustdoc of our own crates, warnings denied: a broken link in a doc comment is a broken promise.
pub(crate) fn doc() -> Result<(), Failure> {
    process::run(
        process::cargo()
            .args(["doc", "--workspace", "--no-deps", "--locked"])
            .env("RUSTDOCFLAGS", "--deny warnings"),
    )
}

/// How the product is built.
#[derive(Clone, Copy)]
pub(crate) enum Profile {
    /// Quick to build, and looks for overflows: what is tried is this one.
    Debug,
    /// As users install it.
    Release,
    /// As quick as it can be: what is measured.
    Dist,
}

impl Profile {
    /// The debug one, unless these words have `--release`.
    pub(crate) fn of(arguments: &[String]) -> Self {
        let is_release = arguments.iter().any(|argument| argument == "--release");
        if is_release { Self::Release } else { Self::Debug }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Debug => "dev",
            Self::Release => "release",
            Self::Dist => "dist",
        }
    }

    /// Where its programs are.
    fn folder(self) -> PathBuf {
        workspace::target().join(match self {
            Self::Debug => "debug",
            Self::Release | Self::Dist => self.name(),
        })
    }
}

/// Builds the product by itself: with others, one's wishes would switch on features in what they share, and it would not be what users build.
/// Returns the folder in which it is.
pub(crate) fn product(profile: Profile) -> Result<PathBuf, Failure> {
    build("cli", profile)
}

fn build(package: &str, profile: Profile) -> Result<PathBuf, Failure> {
    process::run(process::cargo().args([
        "build",
        "--locked",
        "--bins",
        "--package",
        package,
        "--profile",
        profile.name(),
    ]))?;
    Ok(profile.folder())
}

/// Builds programs that are not the product, and this target of tests, with the features that all tests are built with: by themselves, most of
/// what they share with these would be built once more. Returns the folder in which the programs are.
pub(crate) fn beside_tests(tests: &str, programs: &[&str]) -> Result<PathBuf, Failure> {
    let mut cargo = process::cargo();
    cargo.args(["build", "--locked", "--workspace", "--test", tests]);
    programs.iter().for_each(|program| {
        cargo.args(["--bin", program]);
    });
    process::run(&mut cargo)?;
    Ok(Profile::Debug.folder())
}

/// Runs the measurements against the product; `--quick` only shows that they run, `--write` keeps them.
pub(crate) fn bench(arguments: &[String]) -> Result<(), Failure> {
    let has = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    if has("--quick") && has("--write") {
        return Err(Failure::new(
            "what --quick measures is not kept: it is measured with what is built for debugging",
        ));
    }
    // What is measured with is as quick as what is measured.
    let (product, bench) = if has("--quick") {
        let bench = beside_tests("scenarios", &["bench"])?;
        (product(Profile::Debug)?, bench)
    } else {
        // One after the other: together the product would be built anew, with what the measurements ask of its libraries.
        (product(Profile::Dist)?, build("bench", Profile::Dist)?)
    };
    let mut bench = std::process::Command::new(bench.join("bench"));
    bench.current_dir(workspace::root()).arg(product.join("keyless"));
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
        process::say("that was to see that it runs: it was built for debugging, so no ratio says anything");
    }
    Ok(())
}

/// The story of the README: the same command that a reader is told to type.
pub(crate) fn demo() -> Result<(), Failure> {
    process::run(process::cargo().args(["run", "--locked", "--", "demo"]))
}

/// As root nothing that the kernel tests need is missing, so a skipped one is a failure.
pub(crate) fn require_kernel_tests(command: &mut std::process::Command) {
    if process::is_root() {
        command.env("KEYLESS_REQUIRE_KERNEL_TESTS", "1");
    }
}
