//! `keyless demo`: the README's story with real parts, in a temporary directory on free ports. Each step checks what it claims, so that
//! the story cannot rot; the first claim that does not hold ends it with status 1. Everything that it starts or writes is gone afterwards.
//!
//! Every command that it prints is really run, as a process of its own, as a person would.

mod stage;
mod stop;
mod thief;

use crate::{
    failure::Failure,
    output::{self, Colour, paint},
};
use stage::{App, Stage};
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

/// The secret of the story.
const VALUE: &str = "correct-horse-battery-staple";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Played by the demo itself: ask the endpoint in the environment for a token
    #[arg(long, hide = true, value_enum)]
    play: Option<thief::Role>,
    /// The app: a program on the Azure SDK that prints the secret whose name it is given, and ends [default: examples/rust, built on demand]
    #[arg(long, value_name = "FILE")]
    app: Option<PathBuf>,
}

pub(crate) fn demo(args: &Args) -> Result<(), Failure> {
    if let Some(role) = args.play {
        return thief::play(role);
    }
    title("An app should need no secret to get its secrets");
    let app = stage::app(args.app.clone())?;
    stop::listen()?;
    let told = tell(&app);
    // What fails then fails for that.
    stop::check().and(told)
}

fn tell(app: &Path) -> Result<(), Failure> {
    let begin = Instant::now();
    let mut stage = Stage::set("data")?;

    scene(1, "A server starts: directory, vaults, identities, one process");
    stage.server()?;

    scene(2, "A vault keeps a secret; it comes from stdin, never from an argument");
    stage.keyless(&["vault", "create", "shop"], "")?;
    stage.keyless(&["secret", "set", "shop", "db"], VALUE)?;

    scene(3, "An app gets an identity in one command, and a policy lets it read");
    stage.keyless(&["app", "create", "web"], "")?;
    stage.keyless(&["app", "identity", "assign", "web"], "")?;
    stage.keyless(&["vault", "policy", "set", "shop", "--app", "web", "--secrets", "get,list"], "")?;

    scene(4, "The app runs: an unmodified Azure SDK, nothing passed to its credential");
    let mut running = stage.run(app)?;
    let printed = running.line()?;
    claim(printed == VALUE, format_args!("it read its secret: {}", paint(Colour::Strong, &printed)))?;
    nothing_to_steal(&stage, &running)?;

    scene(5, "A thief has stolen everything that the app was given");
    robbery(&stage, &mut running)?;

    scene(6, "Revocation: the identity is removed while the app holds an unexpired token");
    let token = running.ask_token()?;
    let before = stage.get_secret("shop", "db", &token)?;
    claim(before.status == 200 && before.body.contains(VALUE), "its token opens the secret (200)")?;
    stage.keyless(&["app", "identity", "remove", "web"], "")?;
    let after = stage.get_secret("shop", "db", &token)?;
    let is_refused = matches!(after.status, 401 | 403) && !after.body.contains(VALUE);
    claim(
        is_refused,
        format_args!(
            "the same token, almost an hour before its expiry, is refused at once ({})",
            after.status
        ),
    )?;
    let fresh = running.ask_token();
    claim(fresh.is_err(), "and the app gets no new one")?;
    running.end()?;

    scene(7, "The audit log knows all of it, and that nobody has edited it");
    history(&stage)?;
    stage.keyless(&["audit", "verify"], "")?;
    claim(true, "the chain of records is unbroken")?;
    stage.strike()?;
    let took = begin.elapsed().as_secs_f64();
    output::line(format_args!(
        "\n{} in {took:.1} s. Now yours: {}",
        paint(Colour::Good, "All of it true,"),
        paint(Colour::Strong, "keyless up")
    ));
    Ok(())
}

/// What the program was given is worthless elsewhere, and holds no secret of the vault or the directory.
fn nothing_to_steal(stage: &Stage, running: &App) -> Result<(), Failure> {
    let environment = running.environment()?;
    let text = |value: &OsString| value.to_string_lossy().into_owned();
    let holds = |needle: &str| environment.iter().any(|(_, value)| text(value).contains(needle));
    claim(
        !holds(VALUE),
        format_args!("its {} environment variables hold neither that secret", environment.len()),
    )?;
    let is_credential =
        |name: &OsString| ["AZURE_CLIENT_SECRET", "AZURE_PASSWORD"].iter().any(|known| name == known);
    claim(!environment.iter().any(|(name, _)| is_credential(name)), "nor a client secret of the directory")?;
    let holds = |store: Vec<u8>| store.windows(VALUE.len()).any(|window| window == VALUE.as_bytes());
    let mut is_there = holds(fs::read(stage.data().join("keyless.redb"))?);
    for commits in fs::read_dir(stage.data().join("keyless.redb.commits"))? {
        is_there |= holds(fs::read(commits?.path())?);
    }
    claim(!is_there, "and on disk the secret is sealed under a key of its own")
}

/// A real process, of the same user or of root, outside of the app's process tree.
fn robbery(stage: &Stage, running: &mut App) -> Result<(), Failure> {
    let loot = running.loot()?;
    let pid = running.program()?;
    output::line(format_args!(
        "  {}",
        paint(
            Colour::Dim,
            format_args!("IDENTITY_ENDPOINT and IDENTITY_HEADER, out of /proc/{pid}/environ:")
        )
    ));
    output::line(format_args!(
        "  {}",
        paint(
            Colour::Dim,
            format_args!("{}  {}...", loot.endpoint, loot.header.get(..12).unwrap_or_default())
        )
    ));
    let theft = stage.steal(&loot)?;
    if !stage.is_enforced() {
        output::line(format_args!("  {} {}", paint(Colour::Warn, "UNENFORCED"), stage.why_unenforced()));
        return Err(Failure::new(
            "the kernel cannot tell the thief from the app here, so this claim does not hold on this machine",
        )
        .next("`keyless doctor` says what is missing; as root on Linux with cgroup v2 it holds."));
    }
    claim(
        theft.status == 403 && !theft.body.contains("access_token"),
        format_args!(
            "process {} asks with both: refused ({}); the kernel says it is not the app",
            theft.pid, theft.status
        ),
    )?;
    let token = running.ask_token()?;
    claim(token.split('.').count() == 3, "the app itself asks, with the very same: served")
}

fn history(stage: &Stage) -> Result<(), Failure> {
    let tail = stage.keyless_quietly(&["audit", "tail", "-n", "200", "-o", "json"])?;
    let records: Vec<serde_json::Value> =
        tail.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let is = |record: &serde_json::Value, name: &str, value: &str| {
        record.get(name).and_then(|found| found.as_str()) == Some(value)
    };
    let told = |outcome: &str| records.iter().filter(|record| is(record, "outcome", outcome)).count();
    let thief = records
        .iter()
        .find(|record| is(record, "outcome", "refused") && is(record, "action", "endpoint.connect"));
    let late = records
        .iter()
        .rev()
        .find(|record| is(record, "outcome", "refused") && is(record, "action", "secret.get"));
    for record in thief.into_iter().chain(late) {
        output::line(format_args!("  {}", crate::audit::readable(record)));
    }
    claim(
        thief.is_some() && late.is_some(),
        format_args!(
            "{} records of what was allowed, {} of what was refused, the thief among them",
            told("allowed"),
            told("refused")
        ),
    )?;
    claim(!tail.contains(VALUE), "and no secret in any of them")
}

fn title(text: &str) {
    output::line(paint(Colour::Strong, text));
}

fn scene(number: u32, text: &str) {
    output::line(format_args!(
        "\n{} {}",
        paint(Colour::Strong, format_args!("{number}.")),
        paint(Colour::Strong, text)
    ));
}

/// Says what holds, or fails by it.
fn claim(holds: bool, what: impl std::fmt::Display) -> Result<(), Failure> {
    stop::check()?;
    if !holds {
        output::line(format_args!("  {} {what}", paint(Colour::Bad, "NOT TRUE:")));
        return Err(Failure::new(format!("the demo's claim does not hold: {what}"))
            .next("This is a bug, or a machine that we do not know: please tell us."));
    }
    output::line(format_args!("  {} {what}", paint(Colour::Good, "\u{2713}")));
    Ok(())
}
