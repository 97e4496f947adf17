//! `keyless status`: what runs, and what the kernel enforces.

use crate::{
    admin::{Admin, WAIT_SECONDS_MAX},
    clock,
    failure::Failure,
    output::{self, Colour, Format, paint},
    signing_key,
};
use serde::{Deserialize, Serialize};
use server::installation::{Alarm, Capability};
use std::time::{Duration, Instant};

/// How often `--wait` tries again.
const RETRY_INTERVAL: Duration = Duration::from_millis(25);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Wait up to this long for the server to come up
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=WAIT_SECONDS_MAX))]
    wait: u64,
}

/// What the server says of itself.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Status {
    pub(crate) version: String,
    pub(crate) started: i64,
    pub(crate) listen: Vec<String>,
    pub(crate) data: String,
    pub(crate) hosts_file: String,
    pub(crate) capabilities: Vec<Capability>,
    pub(crate) warnings: Vec<String>,
    pub(crate) now: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) test_clock_ahead_seconds: Option<u64>,
    pub(crate) domain: String,
    pub(crate) port: u16,
    pub(crate) tenant: String,
    pub(crate) login: String,
    pub(crate) counts: Counts,
    pub(crate) signing_key: Option<SigningKey>,
    pub(crate) audit_failing: bool,
    #[serde(default)]
    pub(crate) alarms: Vec<Alarm>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Counts {
    pub(crate) apps: usize,
    pub(crate) workloads: usize,
    pub(crate) workloads_unenforced: usize,
    pub(crate) vaults: usize,
}

/// The key that signs the directory's tokens.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct SigningKey {
    pub(crate) kid: String,
    pub(crate) since: i64,
    pub(crate) next_roll: Option<i64>,
}

pub(crate) async fn status(admin: &Admin, format: Format, args: &Args) -> Result<(), Failure> {
    let until = Instant::now() + Duration::from_secs(args.wait);
    let status: Status = loop {
        match admin.get("/v1/status").await {
            Ok(status) => break status,
            Err(_) if Instant::now() < until => tokio::time::sleep(RETRY_INTERVAL).await,
            Err(failure) => return Err(failure),
        }
    };
    match format {
        Format::Json => output::json(&status),
        Format::Table => show(&status),
    }
    Ok(())
}

fn show(status: &Status) {
    let mut facts = vec![
        (
            "keyless",
            format!(
                "{} {}, since {}",
                paint(Colour::Good, "running"),
                status.version,
                output::time(status.started)
            ),
        ),
        ("listens on", status.listen.join(" and ")),
        ("directory", format!("{}/{}", status.login, status.tenant)),
        (
            "vaults",
            format!("{} at https://NAME.vault.{}:{}", status.counts.vaults, status.domain, status.port),
        ),
        ("apps", apps(&status.counts)),
        ("signing key", status.signing_key.as_ref().map_or_else(|| "unknown".to_owned(), signing_key)),
        ("data", status.data.clone()),
        (
            "audit log",
            if status.audit_failing {
                paint(Colour::Bad, "CANNOT BE WRITTEN: requests are refused")
            } else {
                "written".into()
            },
        ),
    ];
    if let Some(ahead) = status.test_clock_ahead_seconds {
        let told = paint(Colour::Warn, clock::told(ahead));
        facts.insert(1, ("time", format!("{}: {told}", output::time(status.now))));
    }
    output::facts(&facts);
    output::line("");
    for Alarm { what, mend, .. } in &status.alarms {
        output::line(format_args!("{} {what}", paint(Colour::Bad, "ALARM")));
        output::line(format_args!("      mend it: {mend}"));
    }
    status.capabilities.iter().for_each(capability);
    for warning in &status.warnings {
        output::line(format_args!("{} {warning}", paint(Colour::Warn, "note")));
    }
}

fn signing_key(key: &SigningKey) -> String {
    let next = match key.next_roll {
        Some(roll) => format!("until {}", output::time(roll)),
        None => "until you roll it".to_owned(),
    };
    format!("{} signs since {}, {next}", key.kid, signing_key::since_when(key.since))
}

fn apps(counts: &Counts) -> String {
    let running = match counts.workloads {
        0 => "none runs".to_owned(),
        1 => "1 workload runs".to_owned(),
        many => format!("{many} workloads run"),
    };
    let unenforced = match counts.workloads_unenforced {
        0 => String::new(),
        some => paint(Colour::Warn, format_args!(", {some} of them unenforced")),
    };
    format!("{}; {running}{unenforced}", counts.apps)
}

/// One line: enforced, or what is missing and how to mend it.
pub(crate) fn capability(capability: &Capability) {
    if capability.enforced {
        return output::line(format_args!("{} {}", paint(Colour::Good, "enforced  "), capability.name));
    }
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    output::line(format_args!(
        "{} {}: {}",
        paint(Colour::Bad, "unenforced"),
        capability.name,
        part(&capability.why)
    ));
    output::line(format_args!("           mend it: {}", part(&capability.mend)));
}
