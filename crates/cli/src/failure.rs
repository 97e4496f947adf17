//! How a command fails: what happened, what to do next, and the exit status.

use std::fmt;

/// The exit status of a command that was refused or failed.
pub(crate) const FAILED: u8 = 1;
/// The exit status of a command that was misused (clap's own errors have it, too).
pub(crate) const USAGE: u8 = 2;
/// The exit status of a server that was to apply a file at its start and could not, for which the file is to blame: another start would come to
/// the same (`EX_CONFIG`, sysexits(3)).
pub(crate) const NOT_APPLIED: u8 = 78;

/// Why a command failed. Printed to stderr; never holds a secret.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    next: Option<String>,
    code: u8,
    is_lasting: bool,
    is_conflict: bool,
}

impl Failure {
    /// Failed or refused.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), next: None, code: FAILED, is_lasting: false, is_conflict: false }
    }

    /// Is what was asked for to blame, so that asking again comes to the same?
    #[must_use]
    pub(crate) const fn lasting(mut self, is_lasting: bool) -> Self {
        self.is_lasting = is_lasting;
        self
    }

    /// The same of one that has this for its reason.
    pub(crate) const fn is_lasting(&self) -> bool {
        self.is_lasting
    }

    /// A refusal of a server: what was asked is to blame, unless it was too slow (408), against another (409) or too much at once (429).
    pub(crate) fn refused(status: u16, message: impl Into<String>) -> Self {
        let is_lasting = matches!(status, 400..=499) && !matches!(status, 408 | 409 | 429);
        Self { is_conflict: status == 409, ..Self::new(message).lasting(is_lasting) }
    }

    /// Is it refused for what somebody else does or has?
    pub(crate) const fn is_conflict(&self) -> bool {
        self.is_conflict
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
        let code = if matches!(error, server::StartError::OtherDomain { .. }) { USAGE } else { FAILED };
        Self::new(domain::chain(&error)).code(code)
    }
}

impl From<server::ConfigError> for Failure {
    fn from(error: server::ConfigError) -> Self {
        Self::new(domain::chain(&error)).code(USAGE)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(domain::chain(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The service is not started again after it, as after any wrong setting.
    #[test]
    fn another_domain_is_a_wrong_setting() {
        let [kept, said, origin] = ["a.example", "b.example", "flag --domain"].map(str::to_owned);
        let other = server::StartError::OtherDomain { path: "/data".into(), kept, said, origin };
        assert_eq!(Failure::from(other).exit_code(), USAGE);
    }

    #[test]
    fn what_was_asked_is_to_blame_for_a_refusal_and_not_for_an_accident() {
        for (status, is_lasting) in [
            (400, true),
            (403, true),
            (404, true),
            (408, false),
            (409, false),
            (429, false),
            (500, false),
            (503, false),
        ] {
            assert_eq!(Failure::refused(status, "no").is_lasting(), is_lasting, "{status}");
            assert_eq!(Failure::refused(status, "no").is_conflict(), status == 409, "{status}");
        }
        assert!(!Failure::from(std::io::Error::other("a disk")).is_lasting());
    }

    #[test]
    fn what_it_comes_of_is_said() {
        let place = std::env::temp_dir().join(format!("keyless-cli-{}-causes", std::process::id()));
        std::fs::write(&place, "").unwrap();
        let config = server::Config::load(&server::Sources {
            flags: vec![("data_dir", place.join("data").display().to_string())],
            ..server::Sources::default()
        });
        let refused = server::maintenance::tail_audit(&config.unwrap(), 1).unwrap_err();
        let told = Failure::from(refused).to_string();
        std::fs::remove_file(&place).unwrap();
        assert!(told.ends_with("(os error 20)") && told.matches("os error").count() == 1, "{told}");
    }
}
