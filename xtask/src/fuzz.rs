//! `cargo xtask fuzz TARGET`: libFuzzer around one of the targets of `fuzz/`, on the stable toolchain.
//!
//! Owns: how the runner is built, where finds go, how they get into the corpus. Owns not: the targets and what they promise (`fuzz/`).
//! The compiler can instrument code for coverage, but its option has no stable name: hence `RUSTC_BOOTSTRAP`, for this build only.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{self, Failure};
use crate::workspace;

/// What libFuzzer needs to be in the code: counters of edges, their table, and the operands of comparisons.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";
/// Files of one target's corpus: each is replayed, with its changes, by every `cargo test`.
const CORPUS_FILES_MAX: usize = 60;
/// Bytes of an input.
const INPUT_BYTES_MAX: usize = 8 * 1024;
/// Bytes of an input that is kept.
const KEPT_BYTES_MAX: usize = 1024;

/// Builds the runner, and runs it on one target; `--seconds N` for so long (60), `--keep` puts what reached new code into the corpus.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let (mut target, mut seconds, mut keep) = (None, 60_u32, false);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--keep" => keep = true,
            "--seconds" => {
                let number = rest.next().and_then(|number| number.parse().ok());
                seconds = number.ok_or_else(|| Failure::new("--seconds needs a number"))?;
            }
            name if !name.starts_with('-') && target.is_none() => target = Some(name.to_owned()),
            other => return Err(Failure::new(format!("what is {other}?"))),
        }
    }
    let fuzz = workspace::root().join("fuzz");
    let target =
        target.ok_or_else(|| Failure::new(format!("name a target: {}", targets(&fuzz).join(" "))))?;
    let corpus = fuzz.join("corpus").join(&target);
    if !corpus.is_dir() {
        return Err(Failure::new(format!("there is no {target}: {}", targets(&fuzz).join(" "))));
    }
    let runner = build(&fuzz)?;
    let found = workspace::target().join("fuzz-found").join(&target);
    let crashes = workspace::target().join("fuzz-crashes").join(&target);
    process::directory(&found)?;
    process::directory(&crashes)?;

    let mut fuzzer = libfuzzer(&runner, &target);
    fuzzer
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .arg(format!("-artifact_prefix={}/", crashes.display()))
        .args(["-timeout=60", "-rss_limit_mb=4096", "-print_final_stats=1"])
        .args([&found, &corpus]);
    process::run(&mut fuzzer).map_err(|why| {
        Failure::new(format!(
            "{why}\nthe input is in {}; once mended, it belongs to fuzz/crashes-mended/{target}",
            crashes.display()
        ))
    })?;
    if keep { merge(&runner, &target, &found, &corpus) } else { Ok(()) }
}

/// The targets that have a corpus.
fn targets(fuzz: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(fuzz.join("corpus")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The path of the runner, built.
fn build(fuzz: &Path) -> Result<PathBuf, Failure> {
    let (host, target) = (workspace::host_platform()?, workspace::target());
    if !process::answers("c++", "--version") {
        return Err(Failure::new("libFuzzer is built from C++: install a C++ compiler (g++ or clang)"));
    }
    let mut cargo = process::cargo();
    // A platform that is named keeps build scripts and macros, which run here, from being instrumented.
    cargo
        .args(["build", "--locked", "--target", &host, "--manifest-path"])
        .arg(fuzz.join("runner/Cargo.toml"))
        .env("CARGO_TARGET_DIR", &target)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", FLAGS);
    process::run(&mut cargo)?;
    Ok(target.join(host).join("debug/fuzz-runner"))
}

fn libfuzzer(runner: &Path, target: &str) -> Command {
    let mut command = Command::new(runner);
    command.env("KEYLESS_FUZZ_TARGET", target);
    command
}

/// Puts into the corpus what of the finds reaches new code, as far as it is small and there is room.
fn merge(runner: &Path, target: &str, found: &Path, corpus: &Path) -> Result<(), Failure> {
    let before = files(corpus)?;
    let mut fuzzer = libfuzzer(runner, target);
    fuzzer.arg("-merge=1").arg(format!("-max_len={KEPT_BYTES_MAX}")).args([corpus, found]);
    process::run(&mut fuzzer)?;
    let mut new: Vec<PathBuf> = files(corpus)?.into_iter().filter(|file| !before.contains(file)).collect();
    new.sort_by_key(|file| std::fs::metadata(file).map_or(u64::MAX, |metadata| metadata.len()));
    // Some of each size: the smallest say little, and the largest would be all that there is room for.
    let room = CORPUS_FILES_MAX.saturating_sub(before.len()).min(new.len());
    let kept: Vec<usize> = (0..room).map(|place| place * new.len() / room).collect();
    for (_, file) in new.iter().enumerate().filter(|(place, _)| !kept.contains(place)) {
        std::fs::remove_file(file)?;
    }
    process::say(&format!("{target}: {} files in the corpus", files(corpus)?.len()));
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(folder)?;
    Ok(entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect())
}
