//! Logs: `tracing` events to stderr, for people or as JSON. Stdout belongs to answers.

use crate::config::{Config, ConfigError, LogFormat};
use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, fmt};

/// Begins logging, once a process. A second call changes nothing.
///
/// # Errors
/// [`ConfigError::Value`] if the filter is none.
pub fn begin(config: &Config) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&config.log_filter)
        .map_err(|error| config.fault("log_filter", error.to_string()))?;
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second subscriber is refused: tests start several servers in one process.
    let _begun = match config.log_format {
        LogFormat::Human => builder.with_ansi(std::io::stderr().is_terminal()).compact().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}
