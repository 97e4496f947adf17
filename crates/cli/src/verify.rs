//! `keyless verify`: all of an installation's data is read while no server runs on it, and held against its checksums.

use crate::{
    Global,
    audit::{self, Verified},
    failure::Failure,
    output::{self, Colour, Format, paint},
};
use server::{StartError, maintenance};

pub(crate) async fn verify(global: &Global) -> Result<(), Failure> {
    let config = global.config(Vec::new())?;
    let store = match maintenance::verify_store(&config) {
        Ok(sound) => sound,
        Err(StartError::AlreadyRunning { path, .. }) => {
            return Err(Failure::new(format!("a server runs on {}, and holds its store", path.display())).next(
                "Stop it first, or verify a copy: --data-dir DIR. The audit log alone: keyless audit verify",
            ));
        }
        Err(other) => return Err(other.into()),
    };
    let log = match maintenance::verify_audit(&config).await? {
        Ok(verified) => Verified::from(verified),
        Err(fault) => return Err(audit::broken(fault.to_string())),
    };
    match global.output {
        Format::Json => output::json(&serde_json::json!({
            "store": { "entries": store.entries, "bytes": store.bytes },
            "audit": log.json(),
        })),
        Format::Table => {
            let ok = paint(Colour::Good, "ok");
            let (entries, bytes) = (store.entries, store.bytes);
            output::line(format_args!(
                "{ok} the store: {entries} records, {bytes} bytes, as they were written"
            ));
            output::line(format_args!("{ok} the audit log: {}", log.words()));
        }
    }
    Ok(())
}
