//! Why something is no package, or nothing that can be started: in words for the person who deploys it.

use std::io;

/// What is wrong with a package.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The archive is none, is broken, or says two things at once.
    #[error("this is not a sound zip file: {why}")]
    NotSound {
        /// What is wrong, in the words of whoever read it.
        why: String,
    },
    /// It is no tar of a root file system that we hand on.
    #[error("this is not a sound tar of a root file system: {why}")]
    NotRootFiles {
        /// What is wrong.
        why: String,
    },
    /// It is larger than a package may be.
    #[error("the package has more than {limit} {what}")]
    TooLarge {
        /// Of what there is too much.
        what: &'static str,
        /// How much there may be.
        limit: u64,
    },
    /// One entry may not be in a package.
    #[error("the package's entry {name:?} {rule}")]
    Entry {
        /// Its name, as far as it can be shown.
        name: String,
        /// What is wrong with it.
        rule: &'static str,
    },
    /// The place for its files is not an empty directory.
    #[error("the package's directory is not empty")]
    NotEmpty,
    /// Nothing in the package says what to start.
    #[error("the package does not say what to start: looked for {looked_for}")]
    NoStartCommand {
        /// What would have said it.
        looked_for: &'static str,
    },
    /// A file that says what to start, or the command that was given, cannot be understood.
    #[error("{what} {rule}")]
    Command {
        /// Which one.
        what: &'static str,
        /// What is wrong with it.
        rule: &'static str,
    },
    /// The file system did not do it.
    #[error("the package's files could not be {what}")]
    Files {
        /// What was to be done.
        what: &'static str,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

impl PackageError {
    /// For a failure of the file system.
    pub(crate) fn files(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Files { what, source }
    }

    /// For an entry that may not be there.
    pub(crate) fn entry(name: &[u8], rule: &'static str) -> Self {
        const SHOWN_MAX: usize = 200;
        let name = name.get(..SHOWN_MAX).unwrap_or(name);
        Self::Entry { name: String::from_utf8_lossy(name).into_owned(), rule }
    }
}
