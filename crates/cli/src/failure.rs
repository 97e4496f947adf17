//! How a command fails: what happened, what to do next, and the exit status.

use std::fmt;

/// The exit status of a command that was refused or failed.
pub(crate) const FAILED: u8 = 1;
/// The exit status of a command that was misused (clap's own errors have it, too).
pub(crate) const USAGE: u8 = 2;
/// The exit status of a server that was to apply a file at its start and could not: another start would come to the same (`EX_CONFIG`,
/// sysexits(3)).
pub(crate) const NOT_APPLIED: u8 = 78;

/// Why a command failed. Printed to stderr; never holds a secret.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    next: Option<String>,
    code: u8,
}

impl Failure {
    /// Failed or refused.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), next: None, code: FAILED }
    }

    /// What to do next.
    #[must_use]
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Another exit status.
    #[must_use]
    pub(crate) const fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// The exit status.
    pub(crate) const fn exit_code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)?;
        self.next.as_ref().map_or(Ok(()), |next| write!(formatter, "\n  {next}"))
    }
}

impl From<server::StartError> for Failure {
    fn from(error: server::StartError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<server::ConfigError> for Failure {
    fn from(error: server::ConfigError) -> Self {
        Self::new(error.to_string()).code(USAGE)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}
