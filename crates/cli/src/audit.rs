//! `keyless audit`: the audit log is read and verified.

use crate::{
    Global,
    admin::{Admin, Fault},
    failure::Failure,
    output::{self, Colour, Format, paint},
};
use clap::Subcommand;
use http::Method;
use serde::Deserialize;
use server::{Layout, StartError, maintenance};
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::Path,
    time::Duration,
};

/// How often `tail -f` looks for more.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(200);

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The last records
    Tail {
        /// How many
        #[arg(short = 'n', long, default_value_t = 20, value_name = "COUNT")]
        lines: usize,
        /// Go on as records come
        #[arg(short, long)]
        follow: bool,
    },
    /// Find any record that was changed, dropped, reordered or cut off
    Verify,
}

#[derive(Deserialize)]
pub(crate) struct Verified {
    records: u64,
    /// Before them; a server of before does not say it.
    #[serde(default)]
    expired: u64,
    torn: u64,
}

pub(crate) async fn audit(global: &Global, command: Command) -> Result<(), Failure> {
    match command {
        Command::Tail { lines, follow } => tail(global, lines, follow).await,
        Command::Verify => verify(global).await,
    }
}

/// By the running server, which holds the store; else here.
async fn verify(global: &Global) -> Result<(), Failure> {
    let config = global.config(Vec::new())?;
    let admin = Admin::new(Layout::of(&config.data_dir));
    let verified: Verified = match admin.send(Method::GET, "/v1/audit/verify", None::<&()>).await {
        Ok(body) => serde_json::from_slice(&body).map_err(|error| Failure::new(error.to_string()))?,
        Err(Fault::Absent(error)) => match maintenance::verify_audit(&config).await {
            Ok(Ok(verified)) => verified.into(),
            Ok(Err(fault)) => return Err(broken(fault.to_string())),
            // It came up, or is not ours to look at: what the socket said is the better word.
            Err(StartError::AlreadyRunning { .. }) => return Err(admin.explain(Fault::Absent(error))),
            Err(other) => return Err(other.into()),
        },
        Err(Fault::Refused(refused)) if refused.status == 409 => return Err(broken(refused.into_message())),
        Err(fault) => return Err(admin.explain(fault)),
    };
    match global.output {
        Format::Json => output::json(&verified.json()),
        Format::Table => {
            output::line(format_args!("{} {}", paint(Colour::Good, "ok"), verified.words()));
        }
    }
    Ok(())
}

impl From<maintenance::AuditVerified> for Verified {
    fn from(verified: maintenance::AuditVerified) -> Self {
        Self { records: verified.records, expired: verified.expired, torn: verified.torn }
    }
}

impl Verified {
    pub(crate) fn json(&self) -> serde_json::Value {
        let Self { records, expired, torn } = self;
        serde_json::json!({"records": records, "expired": expired, "torn": torn})
    }

    pub(crate) fn words(&self) -> String {
        let torn = match self.torn {
            0 => String::new(),
            torn => format!(", {torn} torn by a crash and marked so"),
        };
        let expired = match self.expired {
            0 => String::new(),
            expired => format!(", after {expired} that have expired"),
        };
        format!("{} records{expired}, chain unbroken{torn}", self.records)
    }
}

pub(crate) fn broken(what: String) -> Failure {
    Failure::new(format!("the audit log does not hold: {what}"))
        .next("Keep the file as it is, and compare it with a copy from elsewhere: somebody, or a broken disk, changed it.")
}

async fn tail(global: &Global, count: usize, follow: bool) -> Result<(), Failure> {
    let config = global.config(Vec::new())?;
    let file = Layout::of(&config.data_dir).audit().join("audit.jsonl");
    // Where the lines end that are about to be read; nothing is lost in between, at worst a line comes twice.
    let from = std::fs::metadata(&file).map_or(0, |metadata| metadata.size());
    for line in maintenance::tail_audit(&config, count)? {
        print(global.output, &line);
    }
    if follow { self::follow(&file, from, global.output).await } else { Ok(()) }
}

/// Prints what is appended, for as long as somebody looks.
async fn follow(file: &Path, mut from: u64, format: Format) -> Result<(), Failure> {
    let inode_of = |metadata: std::fs::Metadata| metadata.ino();
    let (mut rest, mut inode) = (String::new(), std::fs::metadata(file).map(inode_of).ok());
    loop {
        tokio::time::sleep(FOLLOW_INTERVAL).await;
        let Ok(mut open) = File::open(file) else { continue };
        let metadata = open.metadata()?;
        if inode != Some(metadata.ino()) || metadata.size() < from {
            // It was rotated: the new file from its beginning.
            (inode, from) = (Some(metadata.ino()), 0);
        }
        open.seek(SeekFrom::Start(from))?;
        from += open.read_to_string(&mut rest)? as u64;
        while let Some((line, after)) = rest.split_once('\n') {
            print(format, line);
            rest = after.to_owned();
        }
    }
}

fn print(format: Format, line: &str) {
    match (format, serde_json::from_str::<serde_json::Value>(line)) {
        (Format::Table, Ok(record)) => output::line(readable(&record)),
        // A torn line is shown as it is.
        _ => output::line(line),
    }
}

/// A record for people: when, what became of it, what, of what, by whom, why, from where.
pub(crate) fn readable(record: &serde_json::Value) -> String {
    let text = |name: &str| record.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    let at = record.get("at").and_then(serde_json::Value::as_i64).unwrap_or_default();
    let outcome = match text("outcome") {
        "allowed" => paint(Colour::Good, "allowed"),
        "refused" => paint(Colour::Bad, "refused"),
        other => paint(Colour::Warn, format_args!("{other:7}")),
    };
    let actor = record.get("actor");
    let of = |name: &str| actor.and_then(|actor| actor.get(name)?.as_str()).unwrap_or_default();
    let actor = match of("kind") {
        "workload" => format!("app {}", of("app")),
        "principal" => format!("principal {}", of("id")),
        other => other.to_owned(),
    };
    let origin = record.get("origin");
    let number = |name: &str| origin.and_then(|origin| origin.get(name)?.as_u64());
    let mut from = Vec::new();
    from.extend(number("uid").map(|uid| format!("uid {uid}")));
    from.extend(number("pid").map(|pid| format!("pid {pid}")));
    from.extend(origin.and_then(|origin| origin.get("executable")?.as_str()).map(str::to_owned));
    from.extend(
        origin.and_then(|origin| origin.get("cgroup")?.as_str()).map(|cgroup| format!("cgroup {cgroup}")),
    );
    let from = paint(
        Colour::Dim,
        format_args!("({})", if from.is_empty() { "unknown".into() } else { from.join(", ") }),
    );
    format!(
        "{} {outcome} {} {} by {actor}: {} {from}",
        output::time(at),
        text("action"),
        text("target"),
        text("reason")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_as_a_sentence() {
        let record = serde_json::json!({
            "at": 0, "action": "secret.get", "target": "shop/db", "outcome": "allowed", "reason": "policy",
            "actor": {"kind": "workload", "app": "web"}, "origin": {"uid": 7, "executable": "/bin/x"},
        });
        assert_eq!(
            readable(&record),
            "1970-01-01 00:00:00Z allowed secret.get shop/db by app web: policy (uid 7, /bin/x)"
        );
    }
}
