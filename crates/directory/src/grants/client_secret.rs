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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{NOW, credential, registration, secret, view};

    fn ask(credentials: Vec<Credential>, presented: &str) -> Result<Arc<Principal>, DirectoryError> {
        let (mut registration, principal) = registration(1);
        registration.credentials = credentials;
        refusal(authenticate(&view(&registration, &principal), registration.client, &secret(presented), NOW))
    }

    fn refusal<T>(result: Result<T, Halt<DirectoryError>>) -> Result<T, DirectoryError> {
        result.map_err(|halt| match halt {
            Halt::Refuse(error) => error,
            Halt::Load(load) => panic!("{load:?}"),
        })
    }

    #[test]
    fn any_valid_secret_is_the_client() {
        let credentials = || {
            vec![
                credential("old", -9, -1),
                credential("now", 0, 1),
                credential("next", 1, 9),
                credential("new", -1, 9),
            ]
        };
        for presented in ["now", "new"] {
            assert_eq!(ask(credentials(), presented).unwrap().id, registration(1).1.id, "{presented}");
        }
        assert!(matches!(ask(credentials(), "old"), Err(DirectoryError::ClientSecretExpired { .. })));
        for presented in ["next", "", "no", "now ", "NOW"] {
            assert!(
                matches!(ask(credentials(), presented), Err(DirectoryError::ClientSecretWrong { .. })),
                "{presented}"
            );
        }
        // The same secret twice, renewed: it counts by the one that is valid, in either order.
        assert!(ask(vec![credential("x", -9, -1), credential("x", 0, 9)], "x").is_ok());
        assert!(ask(vec![credential("x", 0, 9), credential("x", -9, -1)], "x").is_ok());
        assert!(matches!(
            ask(vec![credential("x", -9, 0)], "x"),
            Err(DirectoryError::ClientSecretExpired { .. })
        ));
        assert!(matches!(ask(Vec::new(), "x"), Err(DirectoryError::ClientSecretWrong { .. })));
    }

    #[test]
    fn strangers_and_the_disabled_are_refused() {
        let (mut registration, mut principal) = registration(1);
        registration.credentials.push(credential("s", -1, 9));
        let client = registration.client;
        let ask = |view: &View, client, presented: &str| {
            refusal(authenticate(view, client, &secret(presented), NOW)).unwrap_err()
        };
        let full = view(&registration, &principal);
        let stranger = crate::fixtures::registration(9).0.client;
        assert!(
            matches!(ask(&full, stranger, "s"), DirectoryError::ClientUnknown { client } if client == stranger)
        );
        assert!(matches!(ask(&View::fixture(), client, "s"), DirectoryError::ClientUnknown { .. }));
        let without_principal = View::fixture()
            .with::<Registration>(&registration.id, &registration)
            .with::<ClientIndex>(&client, &ClientIndex { registration: registration.id });
        assert!(matches!(ask(&without_principal, client, "s"), DirectoryError::ClientUnknown { .. }));
        principal.enabled = false;
        let disabled = view(&registration, &principal);
        assert!(matches!(ask(&disabled, client, "s"), DirectoryError::ClientDisabled { .. }));
        assert!(
            matches!(ask(&disabled, client, "x"), DirectoryError::ClientSecretWrong { .. }),
            "who cannot prove it learns nothing"
        );
    }
}
