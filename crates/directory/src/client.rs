//! Who is the client? The phase of every token request in which the client proves itself, whatever it then asks for.
//!
//! Owns: the ways in which a client may prove itself (RFC 6749 section 2.3.1), and the one place where the proof is judged. Owns not:
//! what a client may be granted (`grants`), the claims that tell of the proof (`claims`).

use crate::{
    AssertionRefusal, DirectoryError, RequestError, Tenant, application::Application, assertion::Presented,
    claims::Proof, holder::Holder, registration::Credential, tenant::shown, token::TokenRequest,
};
use access::Principal;
use crypt::{HashedSecret, jws};
use domain::{ClientId, CredentialId, HostNames, Secret, Timestamp};
use std::sync::Arc;
use store::{Halt, View, Write};

/// The only type of client assertion (RFC 7523 section 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What a client sent to prove itself, by whichever way.
#[derive(Debug)]
pub(crate) enum ClientProof {
    /// Nothing: a public client, which has nothing to prove itself by.
    None,
    /// A client secret (`client_secret_post`, `client_secret_basic`).
    Secret(Secret<String>),
    /// A token that it has signed, or somebody else for it (`private_key_jwt`).
    Assertion(Box<Presented>),
    /// What a program's token file holds, which is good for [`crate::DirectoryService::read_exchange`] and for nothing else.
    Workload(Secret<String>),
}

/// In whose name a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acting {
    /// In its own: managed identities do nothing else.
    ForItself,
    /// In that of its users.
    ForUsers,
}

/// A client that has proven itself.
#[derive(Debug)]
pub(crate) struct Authenticated {
    /// Its client id.
    pub(crate) client: ClientId,
    /// What it is, if users can sign in to it.
    application: Option<Application>,
    /// Its principal, which is enabled, if it has one in this tenant.
    pub(crate) principal: Option<Arc<Principal>>,
    /// How it has proven itself.
    pub(crate) by: Proof,
    /// What makes that so, to be written with whatever else is decided: an assertion that is good once.
    pub(crate) writes: Vec<Write>,
}

impl Authenticated {
    /// The application that it is. A managed identity is none, and is granted nothing but to act for itself.
    pub(crate) fn application(&self) -> Result<&Application, Halt<DirectoryError>> {
        let client = self.client;
        self.application.as_ref().ok_or(Halt::Refuse(DirectoryError::ClientUnknown { client }))
    }
}

/// The client that a request names, with its proof.
pub(crate) fn named(
    request: &mut TokenRequest,
    names: &HostNames,
    tenant: &Tenant,
) -> Result<(ClientId, ClientProof), DirectoryError> {
    let (client, proof) = take(request, names, tenant)?;
    let client = client.filter(|client| !client.trim().is_empty());
    let client =
        client.ok_or(DirectoryError::Request(RequestError::MissingParameter { name: "client_id" }))?;
    let client = client
        .parse()
        .map_err(|_| DirectoryError::Request(RequestError::ClientMalformed { client: shown(&client) }))?;
    Ok((client, proof))
}

/// Takes the client's name and proof out of a request. One way only: RFC 6749 section 2.3 forbids two.
pub(crate) fn take(
    request: &mut TokenRequest,
    names: &HostNames,
    tenant: &Tenant,
) -> Result<(Option<String>, ClientProof), DirectoryError> {
    let is_given = |secret: &Secret<String>| !secret.expose().trim().is_empty();
    let client = request.client.take();
    let secret = request.secret.take().filter(|secret| !secret.expose().is_empty());
    let assertion = request.assertion.take().filter(is_given);
    match (request.basic.take(), secret, assertion) {
        (Some(basic), None, None) => {
            let agrees = client.is_none_or(|client| client.is_empty() || client == basic.client);
            if !agrees {
                return Err(DirectoryError::Request(RequestError::ClientAuthenticationAmbiguous));
            }
            let proof = match basic.secret.expose().is_empty() {
                true => ClientProof::None,
                false => ClientProof::Secret(basic.secret),
            };
            Ok((Some(basic.client), proof))
        }
        (None, Some(secret), None) => Ok((client, ClientProof::Secret(secret))),
        (None, None, Some(assertion)) => {
            match request.assertion_type.take().filter(|kind| !kind.is_empty()) {
                None => {
                    return Err(DirectoryError::Request(RequestError::MissingParameter {
                        name: "client_assertion_type",
                    }));
                }
                Some(kind) if kind != JWT_BEARER => {
                    return Err(DirectoryError::Request(RequestError::AssertionTypeUnsupported));
                }
                Some(_) => {}
            }
            // Files end in a line feed, which some clients send with the rest.
            let assertion = Secret::new(assertion.expose().trim().to_owned());
            if jws::is_workload(assertion.expose()) {
                return Ok((client, ClientProof::Workload(assertion)));
            }
            let asked_by = request.asked_by.unwrap_or(names);
            let presented = Presented::read(&assertion, names, tenant, asked_by, &request.tenant)?;
            Ok((client, ClientProof::Assertion(Box::new(presented))))
        }
        (None, None, None) => Ok((client, ClientProof::None)),
        _ => Err(DirectoryError::Request(RequestError::ClientAuthenticationAmbiguous)),
    }
}

/// The client, if it has proven itself and its principal may act.
pub(crate) fn authenticate(
    view: &View,
    client: ClientId,
    acting: Acting,
    proof: &ClientProof,
    now: Timestamp,
) -> Result<Authenticated, Halt<DirectoryError>> {
    let application = Application::find(view, client)?;
    if let Some(Application::FirstParty(_)) = application {
        return match proof {
            ClientProof::None => {
                let (principal, by, writes) = (None, Proof::Public, Vec::new());
                Ok(Authenticated { client, application, principal, by, writes })
            }
            ClientProof::Secret(_) | ClientProof::Assertion(_) | ClientProof::Workload(_) => {
                Err(Halt::Refuse(DirectoryError::ClientIsPublic { client }))
            }
        };
    }
    let Some(holder) = Holder::of(view, client, application)?.filter(|holder| holder.may(acting)) else {
        if let ClientProof::Secret(secret) = proof {
            // As much hashing as for a client that exists, so that time does not tell which clients do.
            let _ = HashedSecret::of(&Secret::new(String::new())).matches(secret);
        }
        return Err(Halt::Refuse(DirectoryError::ClientUnknown { client }));
    };
    let Some(principal) = view.get::<Principal>(&holder.principal())? else {
        return Err(Halt::Refuse(DirectoryError::ClientUnknown { client }));
    };
    let (by, writes) = prove(view, &holder, proof, now)?;
    // Said only to who has proven itself.
    if !principal.enabled {
        return Err(Halt::Refuse(DirectoryError::Request(RequestError::ClientDisabled { client })));
    }
    let (application, principal) = (holder.application(), Some(principal));
    Ok(Authenticated { client, application, principal, by, writes })
}

/// Must an outside issuer be asked for its keys before the client can be authenticated? Only one that the client trusts.
pub(crate) fn wants_keys(
    view: &View,
    client: ClientId,
    acting: Acting,
    presented: &Presented,
    now: Timestamp,
) -> Result<bool, Halt<DirectoryError>> {
    match Holder::of(view, client, Application::find(view, client)?)? {
        Some(holder) if holder.may(acting) => presented.wants_keys(view, &holder, now),
        Some(_) | None => Ok(false),
    }
}

fn prove(
    view: &View,
    holder: &Holder,
    proof: &ClientProof,
    now: Timestamp,
) -> Result<(Proof, Vec<Write>), Halt<DirectoryError>> {
    let client = holder.client();
    match proof {
        ClientProof::None if holder.application().is_some_and(|one| one.may_be_public()) => {
            Ok((Proof::Public, Vec::new()))
        }
        ClientProof::None => Err(Halt::Refuse(DirectoryError::Request(RequestError::ClientProofMissing))),
        _ if holder.is_public() => Err(Halt::Refuse(DirectoryError::ClientIsPublic { client })),
        ClientProof::Secret(secret) => match judge(holder.secrets(), secret, now) {
            Verdict::Wrong => {
                Err(Halt::Refuse(DirectoryError::Request(RequestError::ClientSecretWrong { client })))
            }
            Verdict::Expired => {
                Err(Halt::Refuse(DirectoryError::Request(RequestError::ClientSecretExpired { client })))
            }
            Verdict::Valid(credential) => Ok((Proof::Secret(credential), Vec::new())),
        },
        ClientProof::Assertion(presented) => presented.judge(view, holder, now),
        ClientProof::Workload(_) => {
            Err(Halt::Refuse(DirectoryError::Request(RequestError::Assertion(AssertionRefusal::OwnToken))))
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Wrong,
    Expired,
    Valid(CredentialId),
}

/// Looks at every credential, whatever the first one said.
fn judge(credentials: &[Credential], secret: &Secret<String>, now: Timestamp) -> Verdict {
    let mut verdict = Verdict::Wrong;
    for credential in credentials {
        if credential.hash.matches(secret) {
            if (credential.start..credential.end).contains(&now) {
                verdict = Verdict::Valid(credential.id);
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
    use crate::{Registration, registration::ClientIndex};

    fn ask(credentials: Vec<Credential>, presented: &str) -> Result<Arc<Principal>, DirectoryError> {
        let (mut registration, principal) = registration(1);
        registration.credentials = credentials;
        let proof = ClientProof::Secret(secret(presented));
        refusal(authenticate(
            &view(&registration, &principal),
            registration.client,
            Acting::ForItself,
            &proof,
            NOW,
        ))
        .map(|client| client.principal.unwrap())
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
        assert!(matches!(
            ask(credentials(), "old"),
            Err(DirectoryError::Request(RequestError::ClientSecretExpired { .. }))
        ));
        for presented in ["next", "", "no", "now ", "NOW"] {
            assert!(
                matches!(
                    ask(credentials(), presented),
                    Err(DirectoryError::Request(RequestError::ClientSecretWrong { .. }))
                ),
                "{presented}"
            );
        }
        // The same secret twice, renewed: it counts by the one that is valid, in either order.
        assert!(ask(vec![credential("x", -9, -1), credential("x", 0, 9)], "x").is_ok());
        assert!(ask(vec![credential("x", 0, 9), credential("x", -9, -1)], "x").is_ok());
        assert!(matches!(
            ask(vec![credential("x", -9, 0)], "x"),
            Err(DirectoryError::Request(RequestError::ClientSecretExpired { .. }))
        ));
        assert!(matches!(
            ask(Vec::new(), "x"),
            Err(DirectoryError::Request(RequestError::ClientSecretWrong { .. }))
        ));
    }

    #[test]
    fn strangers_and_the_disabled_are_refused() {
        let (mut registration, mut principal) = registration(1);
        registration.credentials.push(credential("s", -1, 9));
        let client = registration.client;
        let ask = |view: &View, client, presented: &str| {
            let proof = ClientProof::Secret(secret(presented));
            refusal(authenticate(view, client, Acting::ForItself, &proof, NOW)).unwrap_err()
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
        assert!(matches!(
            ask(&disabled, client, "s"),
            DirectoryError::Request(RequestError::ClientDisabled { .. })
        ));
        assert!(
            matches!(
                ask(&disabled, client, "x"),
                DirectoryError::Request(RequestError::ClientSecretWrong { .. })
            ),
            "who cannot prove it learns nothing"
        );
    }
}
