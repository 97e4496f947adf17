//! What can go wrong at a token request, in our words.

use crate::attest::Refusal;
use directory::DirectoryError;
use domain::{AppName, PrincipalId};
use store::StoreError;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The peer is not, or no longer, attested as a process of the app. All of these look the same from outside.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The endpoint secret is not the one of this start of the app.
    #[error("the endpoint secret is wrong")]
    WrongSecret,
    /// The key is none that was left for the app, or it was used, or it is over.
    #[error("the key is none that was left for the app, or was used already, or is over")]
    WrongKey,
    /// So many keys wait for the app to come with them that it gets no more for now.
    #[error("more keys wait for the app than there may be at a time")]
    TooManyKeys,
    /// A key cannot be left for the app.
    #[error("a key cannot be left for the app")]
    Key(#[source] std::io::Error),
    /// The app has no enabled identity now (or is gone).
    #[error("app {app} has no identity: {why}")]
    NoIdentity {
        /// The app.
        app: AppName,
        /// The principal that cannot be used, if there is one.
        principal: Option<PrincipalId>,
        /// Whether the app, its identity, or the principal is missing or disabled.
        why: &'static str,
    },
    /// A selector names an identity that the app does not have.
    #[error("the selected identity is not assigned to app {app}")]
    NotAssigned {
        /// The app.
        app: AppName,
    },
    /// The directory does not know the resource, or could not make a token.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}
