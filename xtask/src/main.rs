//! `cargo xtask COMMAND`: everything that checks, tests or shows the project. `cargo xtask ci` is what CI runs, all of it.
//!
//! Owns: the commands, their order and what each needs to be installed. Owns no check of behaviour: that is in tests.
//! A check that fails says why the rule exists, so that a newcomer can judge it.
#![forbid(unsafe_code)]

mod arrows;
mod checks;
mod ci;
mod conformance;
mod e2e;
mod fuzz;
mod limits;
mod machine;
mod model;
mod process;
mod tidy;
mod tools;
mod workspace;

use std::process::ExitCode;

use process::Failure;

const HELP: &str = "\
cargo xtask COMMAND

  ci                 everything below that proves something, in order, with a summary
  fmt [--write]      formatting
  arrows             which crate may use which, and what is absent
  tidy [--write]     module docs, links, limits.md, long files
  clippy             lints, warnings denied
  deny               licences, banned crates, sources
  test [ARGS]        unit and integration tests of the workspace
  sim [--seed N | --seeds N] [--from N]
                     the simulated world; --seed tells the story of one
  doc                rustdoc, warnings denied
  e2e [WHAT]         unmodified clients against the real binary; WHAT: python node rust curl go java, or part of a
                     scenario's name; --release (also of conformance and model): as users install it
  conformance [SUITE]
                     Azure's own live test suites for Python, unmodified; SUITE: secrets keys certificates
  fuzz TARGET [--seconds N] [--keep]
                     libFuzzer around a target of fuzz/; --keep puts what reached new code into its corpus
  model [--seed N | --seeds N]
                     the vault against a model of Key Vault, one client and several; --mutants: against planted bugs, one
                     of them if it is named, --write keeps the table in docs/model.md
  machine [--binary FILE]
                     the service of systemd in a Debian of its own, by QEMU: its units, limits of cgroup v2, a reboot
  bench [--write|--quick]
                     measures against raw limits; --write keeps the table in docs/benchmarks.md, --quick only shows that it runs
  demo               the story of the README
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    match run(command, rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            process::say(&format!("\nxtask {command}: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: &str, rest: &[String]) -> Result<(), Failure> {
    match command {
        "help" | "--help" | "-h" => {
            process::say(HELP);
            Ok(())
        }
        "ci" => ci::run(),
        "fmt" => checks::fmt(rest),
        "arrows" => arrows::run(),
        "tidy" => tidy::run(rest),
        "clippy" => checks::clippy(),
        "deny" => checks::deny(),
        "test" => checks::test(rest),
        "sim" => checks::sim(rest),
        "doc" => checks::doc(),
        "e2e" => e2e::run(rest),
        "conformance" => conformance::run(rest),
        "fuzz" => fuzz::run(rest),
        "machine" => machine::run(rest),
        "model" => model::run(rest),
        "bench" => checks::bench(rest),
        "demo" => checks::demo(),
        unknown => Err(Failure::new(format!("no such command: {unknown}\n\n{HELP}"))),
    }
}
