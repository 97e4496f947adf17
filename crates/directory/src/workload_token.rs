//! What a program's token file holds: our word that a program is one instance of one app, for the token endpoint and for nobody else.
//!
//! Shaped as workload identity federation has it (`AZURE_FEDERATED_TOKEN_FILE`), so that SDKs present it as a client assertion. It is told
//! from every other token of ours by its signed `typ`, its audience and its subject, and never goes the way of other assertions
//! (`assertion`), where that `typ` and tokens of our own stay refused. Owns: its claims and their check. Owns not: whether the workload runs, whether
//! the caller is it, and which identities its app has (`identity`), all of which is asked at each exchange (ADR 0024).

use crate::{
    AssertionRefusal, DEFAULT_AUDIENCE, DirectoryError, DirectoryService, Endpoint, RequestError,
    TokenRequest,
    client::ClientProof,
    token::{self, Grant},
};
use access::KeySource as _;
use crypt::{AssertionFault, JwsFault, jws};
use domain::{AppId, ClientId, Secret, Timestamp, WorkloadId, limits};
use serde::{Deserialize, Serialize};

/// A token request by a token file, of which so far is known: we have signed what it presents, for this program, and it is in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The app that the file was made for.
    pub app: AppId,
    /// The instance that the file was made for.
    pub workload: WorkloadId,
    /// The identity that is asked for, by its client id.
    pub client: ClientId,
    /// The resource that a token is asked for.
    pub resource: String,
    /// Which endpoint was asked.
    pub endpoint: Endpoint,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    aud: String,
    iss: String,
    iat: Timestamp,
    nbf: Timestamp,
    exp: Timestamp,
    sub: String,
}

/// `sub`: app and instance by their ids, which are never used again.
fn subject(app: AppId, workload: WorkloadId) -> String {
    format!("app:{app}:workload:{workload}")
}

fn read_subject(subject: &str) -> Option<(AppId, WorkloadId)> {
    let (app, workload) = subject.strip_prefix("app:")?.split_once(":workload:")?;
    Some((app.parse().ok()?, workload.parse().ok()?))
}

/// Is this request one by a token file? Said by the token itself; nothing of it is true yet.
pub fn is_exchange(request: &TokenRequest) -> bool {
    request.assertion.as_ref().is_some_and(|text| jws::is_workload(text.expose().trim()))
}

impl DirectoryService {
    /// What the token file of a running program holds from now on, for [`limits::WORKLOAD_TOKEN_LIFETIME`].
    ///
    /// # Errors
    /// [`DirectoryError::Crypt`].
    pub fn workload_token(
        &self,
        app: AppId,
        workload: WorkloadId,
        now: Timestamp,
    ) -> Result<Secret<String>, DirectoryError> {
        let claims = Claims {
            aud: DEFAULT_AUDIENCE.to_owned(),
            iss: self.names().issuer_v2(self.tenant().id),
            iat: now,
            nbf: now,
            exp: now.plus(limits::WORKLOAD_TOKEN_LIFETIME),
            sub: subject(app, workload),
        };
        Ok(jws::sign_workload(self.ring().current(), &claims)?)
    }

    /// Reads a token request by a token file: the form as of every other, then signature, issuer, audience and times.
    ///
    /// # Errors
    /// [`DirectoryError::Request`].
    pub fn read_exchange(&self, request: TokenRequest, now: Timestamp) -> Result<Exchange, DirectoryError> {
        let endpoint = request.endpoint;
        let parsed = token::parse(self.tenant(), self.names(), request)?;
        let text = match parsed.proof {
            ClientProof::Workload(text) => text,
            ClientProof::Assertion(_) => return Err(refusal(malformed("not what a token file holds"))),
            ClientProof::None | ClientProof::Secret(_) => {
                return Err(DirectoryError::Request(RequestError::ClientProofMissing));
            }
        };
        let Grant::ClientCredentials { resource } = parsed.grant else {
            return Err(refusal(AssertionRefusal::OwnToken));
        };
        let (app, workload) = self.read(text.expose(), now).map_err(refusal)?;
        Ok(Exchange { app, workload, client: parsed.client, resource, endpoint })
    }

    fn read(&self, text: &str, now: Timestamp) -> Result<(AppId, WorkloadId), AssertionRefusal> {
        let ring = self.ring();
        let claims = jws::verify_workload(text, |kid| ring.public_key(kid)).map_err(of)?;
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| malformed("claims"))?;
        if claims.iss != self.names().issuer_v2(self.tenant().id) || claims.aud != DEFAULT_AUDIENCE {
            return Err(AssertionRefusal::Audience);
        }
        let time = |why| Err(AssertionRefusal::Time { why });
        if claims.exp <= now {
            return time("it is over");
        }
        if claims.nbf > now.plus(limits::CLOCK_SKEW) {
            return time("it has not begun");
        }
        read_subject(&claims.sub).ok_or(malformed("the subject"))
    }
}

fn refusal(refusal: AssertionRefusal) -> DirectoryError {
    DirectoryError::Request(RequestError::Assertion(refusal))
}

const fn malformed(what: &'static str) -> AssertionRefusal {
    AssertionRefusal::Form(AssertionFault::Malformed { what })
}

fn of(fault: JwsFault) -> AssertionRefusal {
    match fault {
        JwsFault::Malformed => malformed("not what a token file holds"),
        JwsFault::UnsupportedAlgorithm => AssertionFault::UnsupportedAlgorithm.into(),
        JwsFault::UnknownKey { .. } => AssertionRefusal::IssuerKeyUnknown,
        JwsFault::BadSignature => AssertionFault::BadSignature.into(),
    }
}

#[cfg(test)]
mod tests;
