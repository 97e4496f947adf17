//! `keyless recover`: proves the recovery key, makes a lost key file anew, or changes to a passphrase.

use crate::{
    Global,
    admin::{Admin, Fault},
    failure::Failure,
    output::{self, Format},
};
use domain::Secret;
use http::Method;
use serde::Deserialize;
use server::{Layout, Recovered, StartError, maintenance};
use std::{
    io::{self, BufRead, IsTerminal},
    path::PathBuf,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// From now on the passphrase in this file's first line opens the root key; the key file is removed
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Answer {
    outcome: Recovered,
}

pub(crate) async fn recover(global: &Global, args: &Args) -> Result<(), Failure> {
    let wanted = args.passphrase_file.as_deref().map(std::path::absolute).transpose()?;
    // A file that is merely configured is what opens the key today, not a wish to change.
    let config = global.config(Vec::new())?;
    let typed = ask()?;
    let admin = Admin::new(Layout::of(&config.data_dir));
    let body = serde_json::json!({"recovery_key": typed.expose(), "passphrase_file": wanted});
    let outcome = match admin.send(Method::POST, "/v1/recover", Some(&body)).await {
        Ok(body) => {
            serde_json::from_slice::<Answer>(&body).map_err(|error| Failure::new(error.to_string()))?.outcome
        }
        Err(Fault::Absent(error)) => match maintenance::recover(&config, wanted.as_deref(), &typed).await {
            Err(StartError::AlreadyRunning { .. }) => return Err(admin.explain(Fault::Absent(error))),
            other => other?,
        },
        Err(fault) => return Err(admin.explain(fault)),
    };
    match global.output {
        Format::Json => output::json(&serde_json::json!({"outcome": outcome})),
        Format::Table => {
            output::line(format_args!("{} {outcome}.", output::paint(output::Colour::Good, "ok")))
        }
    }
    Ok(())
}

/// From the terminal without showing it, or the first line of stdin.
fn ask() -> Result<Secret<String>, Failure> {
    let typed = if io::stdin().is_terminal() {
        rpassword::prompt_password("Recovery key: ")?
    } else {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        line.truncate(line.trim_end().len());
        line
    };
    let typed = Secret::new(typed);
    if typed.expose().trim().is_empty() {
        return Err(
            Failure::new("no recovery key was given").next("It was printed by the very first `keyless up`; under systemd it is in recovery.key of the data directory until it is moved away.")
        );
    }
    Ok(typed)
}
