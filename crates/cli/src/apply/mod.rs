//! `keyless apply`: makes what a file says, and changes what is other than it says. A second run finds nothing to do.
//!
//! Owns: the way from a file to its last step, and how it is told. Owns not: the file's shape ([`stack`]), what is there ([`found`]), what is
//! to be done ([`mod@plan`]), how ([`act`]).

mod act;
mod found;
mod plan;
mod plan_vault;
mod ranges;
mod rules;
mod stack;
mod values;
mod verbs;

use crate::{
    admin::Admin,
    failure::Failure,
    files,
    output::{self, Colour, Format, paint},
    vault::Access,
};
use act::Actor;
use domain::limits;
use plan::{Act, Step};
use serde::Serialize;
use stack::{Setting, Stack};
use std::path::{Path, PathBuf};
use values::Values;

/// What a plan does not promise: the server has no way to say what it would do.
const NOT_ASKED: &str = "What the server looks at only when it does a step, such as names and sizes of settings, redirect URIs and issuers, was not asked: it may \
                         refuse some yet.";

/// Its long help is beside the name of the command.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file; `-` for standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Say what would be changed, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// A file that was read, with all files that it names.
pub(crate) struct Wanted {
    /// How people are told of the file.
    name: String,
    stack: Stack,
    values: Values,
}

/// What is told of a step.
#[derive(Serialize)]
struct Told<'a> {
    change: &'static str,
    kind: &'static str,
    what: &'a str,
    done: bool,
}

pub(crate) async fn apply(admin: &Admin, format: Format, args: &Args) -> Result<(), Failure> {
    Wanted::read(&args.file)?.apply(admin, format, args.dry_run).await
}

impl Wanted {
    /// Reads a file and those that it names. Asks nobody.
    pub(crate) fn read(file: &Path) -> Result<Self, Failure> {
        let name =
            if files::is_standard(file) { "standard input".to_owned() } else { file.display().to_string() };
        let failed = |why: String| {
            Failure::new(format!("{name}: {why}"))
                .next("Nothing was changed. The format: docs/operate, Declarative set-up.")
                .lasting(true)
        };
        let bytes = files::read(file, limits::STACK_BYTES_MAX, &name)
            .map_err(|failure| failure.next("Nothing was changed."))?;
        let text =
            std::str::from_utf8(bytes.expose()).map_err(|_| failed("it is no text in UTF-8".to_owned()))?;
        let stack = Stack::parse(text).map_err(failed)?;
        let folder = if files::is_standard(file) { None } else { file.parent() };
        let values = Values::read(&stack, folder.unwrap_or(Path::new("")))?;
        Ok(Self { name, stack, values })
    }

    /// Plans, tells the plan and does it.
    pub(crate) async fn apply(&self, admin: &Admin, format: Format, is_dry: bool) -> Result<(), Failure> {
        let found = found::find(admin, &self.stack, &self.values).await?;
        let steps = plan::plan(&self.stack, &found).map_err(|faults| self.refusal(&faults))?;
        if format == Format::Table {
            self.tell(&steps);
        }
        let (done, failed) = if is_dry { (0, None) } else { self.act(admin, format, &steps).await };
        if format == Format::Json {
            let told: Vec<_> = steps.iter().enumerate().map(|(at, step)| told(step, at < done)).collect();
            output::json(&serde_json::json!({"dry_run": is_dry, "steps": told}));
        }
        if let Some(failure) = failed {
            return Err(self.stopped(&steps, done, &failure));
        }
        if format == Format::Table && !steps.is_empty() {
            match is_dry {
                true => output::line("Nothing was changed: this was a dry run."),
                false => output::line(format_args!("{} {}", paint(Colour::Good, "done:"), changes(done))),
            }
        }
        if is_dry && !steps.is_empty() {
            output::note(NOT_ASKED);
        }
        Ok(())
    }

    fn tell(&self, steps: &[Step<'_>]) {
        if steps.is_empty() {
            return output::line(format_args!("= nothing to do: all is as {} says", self.name));
        }
        output::line(format_args!("{}: {}", self.name, changes(steps.len())));
        for step in steps {
            let colour = if step.is_change { Colour::Warn } else { Colour::Good };
            output::line(format_args!("  {}", paint(colour, step.told())));
        }
        for path in steps.iter().flat_map(sent) {
            if self.values.of(path).is_ok_and(|value| value.expose().ends_with('\n')) {
                output::note(format_args!(
                    "{} ends with a line break, and the value keeps it.",
                    path.display()
                ));
            }
        }
    }

    /// How many steps were done, and why the next was not.
    async fn act(&self, admin: &Admin, format: Format, steps: &[Step<'_>]) -> (usize, Option<Failure>) {
        let mut actor = Actor::new(admin, &self.values);
        for (at, step) in steps.iter().enumerate() {
            if let Err(failure) = actor.act(step).await {
                return (at, Some(failure));
            }
            if format == Format::Table {
                let count = paint(Colour::Dim, format_args!("[{}/{}]", at + 1, steps.len()));
                output::line(format_args!("{count} {}", step.what));
            }
        }
        (steps.len(), None)
    }

    fn stopped(&self, steps: &[Step<'_>], done: usize, failure: &Failure) -> Failure {
        let what = steps.get(done).map(|step| step.what.as_str()).unwrap_or_default();
        let before = match done {
            0 => "Nothing was changed before it.".to_owned(),
            _ => {
                let words: Vec<_> = steps.iter().take(done).map(Step::told).collect();
                format!("Done before it, and kept:\n    {}", words.join("\n    "))
            }
        };
        Failure::new(format!("step {} of {} failed, {what}: {failure}", done + 1, steps.len()))
            .next(format!("{before}\n  When the reason is mended, the same command goes on from there."))
            .lasting(failure.is_lasting())
    }

    fn refusal(&self, faults: &[String]) -> Failure {
        let lines = faults.join("\n  ");
        let refusal = match faults {
            [one] => Failure::new(format!("{}: {one}", self.name)),
            _ => Failure::new(format!("{} cannot be applied:\n  {lines}", self.name)),
        };
        refusal.next("Nothing was changed.").lasting(true)
    }
}

fn told<'a>(step: &'a Step<'_>, done: bool) -> Told<'a> {
    Told { change: if step.is_change { "change" } else { "add" }, kind: step.kind, what: &step.what, done }
}

fn changes(count: usize) -> String {
    if count == 1 { "1 change".to_owned() } else { format!("{count} changes") }
}

/// The files whose content a step sends.
fn sent<'s>(step: &Step<'s>) -> Vec<&'s Path> {
    match &step.act {
        Act::SetSecret { secret, .. } => vec![&secret.from_file],
        Act::ChangeSettings { app, names } => {
            let named = app.settings.iter().filter(|(name, _)| names.contains(&name.as_str()));
            let path = |setting: &'s Setting| match setting {
                Setting::File { path, .. } => Some(path.as_path()),
                Setting::Text(_) => None,
            };
            named.filter_map(|(_, setting)| path(setting)).collect()
        }
        _ => Vec::new(),
    }
}
