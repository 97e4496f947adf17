//! The client proves itself by a secret of its registration (RFC 6749 section 2.3.1), and with it that it may act for itself
//! (`client_credentials`, section 4.4).

use crate::{
    DirectoryError, Registration,
    registration::{ClientIndex, Credential},
};
use access::Principal;
use crypt::HashedSecret;
use domain::{ClientId, Secret, Timestamp};
use std::sync::Arc;
use store::{Halt, View};

/// The registration's principal, if the secret is one of its valid ones and the principal may act.
pub(crate) fn authenticate(
    view: &View,
    client: ClientId,
    secret: &Secret<String>,
    now: Timestamp,
) -> Result<Arc<Principal>, Halt<DirectoryError>> {
    let registration = match view.get::<ClientIndex>(&client)? {
        Some(index) => view.get::<Registration>(&index.registration)?,
        None => None,
    };
    let Some(registration) = registration else {
        // As much hashing as for a client that exists, so that time does not tell which clients do.
        let _ = HashedSecret::of(&Secret::new(String::new())).matches(secret);
        return Err(Halt::Refuse(DirectoryError::ClientUnknown { client }));
    };
    let Some(principal) = view.get::<Principal>(&registration.principal)? else {
        return Err(Halt::Refuse(DirectoryError::ClientUnknown { client }));
    };
    match judge(&registration.credentials, secret, now) {
        Verdict::Wrong => Err(Halt::Refuse(DirectoryError::ClientSecretWrong { client })),
        Verdict::Expired => Err(Halt::Refuse(DirectoryError::ClientSecretExpired { client })),
        // Said only to who has proven itself.
        Verdict::Valid if !principal.enabled => Err(Halt::Refuse(DirectoryError::ClientDisabled { client })),
        Verdict::Valid => Ok(principal),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Wrong,
    Expired,
    Valid,
}

/// Looks at every credential, whatever the first one said.
fn judge(credentials: &[Credential], secret: &Secret<String>, now: Timestamp) -> Verdict {
    let mut verdict = Verdict::Wrong;
    for credential in credentials {
        if credential.hash.matches(secret) {
            if (credential.start..credential.end).contains(&now) {
                verdict = Verdict::Valid;
            } else if now >= credential.end && verdict == Verdict::Wrong {
                verdict = Verdict::Expired;
            }
        }
    }
    verdict
}
