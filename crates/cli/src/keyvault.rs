//! The client of a vault: the public Key Vault API with the token of whoever is logged in, else the administrator's, as any client uses it. There
//! is no other route to secrets.

use crate::{
    admin::{Admin, segment},
    failure::Failure,
    https::{Authority, Https, Reach},
    login, output,
    status::Status,
};
use bytes::Bytes;
use domain::{Secret, VaultName};
use http::{HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use tokio::sync::OnceCell;

/// The version of the API that this command speaks.
const API_VERSION: &str = "2025-07-01";

/// A vault, as one of its clients.
pub(crate) struct Vault {
    https: Https,
    token: Secret<String>,
    /// For what a login can get another token.
    resource: Option<String>,
    /// The other one, once the first was refused.
    another: OnceCell<Secret<String>>,
}

/// What the vault said no with (Key Vault: `KeyVaultError`).
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The error's code, such as `Forbidden`.
    pub(crate) code: String,
    /// The inner error's code, such as `AccessDenied`.
    pub(crate) inner: String,
    /// For people.
    pub(crate) message: String,
}

impl Refusal {
    /// Is it the caller who is refused, whatever the object?
    pub(crate) fn is_of_all(&self) -> bool {
        self.status == 401
            || matches!(self.inner.as_str(), "AccessDenied" | "ForbiddenByRbac" | "ForbiddenByFirewall")
    }
}

/// Why there is no good answer.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The vault said no.
    Refused(Refusal),
    /// Nobody said anything, or nothing that is understood.
    Failed(Failure),
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

#[derive(Deserialize)]
struct Shown {
    url: String,
}

/// Never shown: it holds a token.
#[derive(Deserialize)]
struct Token {
    access_token: Secret<String>,
}

/// The one claim of its own token that a client looks at: who it is, to say so.
#[derive(Deserialize)]
struct Claims {
    oid: String,
}

impl Vault {
    /// Finds a vault and gets a token for it: of whoever is logged in here, else the administrator's. Whose data directory was said is meant,
    /// though somebody is logged in at another one.
    pub(crate) async fn open(admin: &Admin, name: &VaultName) -> Result<Self, Failure> {
        if let Some(login) = login::kept::Login::load()? {
            if admin.is_named() {
                let status = admin.get::<Status>("/v1/status").await.map_err(|failure| {
                    failure.next("Without --data-dir and KEYLESS_DATA_DIR it is done as who is logged in, wherever that is.")
                })?;
                if !login.is_of(&status) {
                    output::note(format_args!("not as {}", login.elsewhere(&status)));
                    return Self::of_administrator(admin, name).await;
                }
            }
            let url = format!("https://{}.{}", name.folded(), login.vault_parent());
            let resource = login.resource_of_vaults();
            let (token, another) = (login::token(&resource).await?, OnceCell::new());
            let https = Https::to(&url, login.authority()?, login.reach())?;
            return Ok(Self { https, token, resource: Some(resource), another });
        }
        Self::of_administrator(admin, name).await
    }

    /// The same as the administrator, whoever is logged in.
    pub(crate) async fn of_administrator(admin: &Admin, name: &VaultName) -> Result<Self, Failure> {
        let shown: Shown = admin.get(&format!("/v1/vaults/{}", segment(name.as_str()))).await?;
        let token: Token = admin.ask(Method::POST, "/v1/token", &serde_json::json!({})).await?;
        let authority = Authority::of_file(&admin.layout().authority())?;
        let https = Https::to(&shown.url, authority, Reach::Loopback)?;
        Ok(Self { https, token: token.access_token, resource: None, another: OnceCell::new() })
    }

    fn token(&self) -> &Secret<String> {
        self.another.get().unwrap_or(&self.token)
    }

    /// The id of the principal that asks, if its token tells it.
    pub(crate) fn principal(&self) -> Option<String> {
        let payload = crypt::encoding::from_base64url(self.token().expose().split('.').nth(1)?).ok()?;
        Some(serde_json::from_slice::<Claims>(&payload).ok()?.oid)
    }

    /// One request: a path with its leading slash, and its query without `api-version`.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        query: &str,
        body: Option<Secret<Vec<u8>>>,
    ) -> Result<Bytes, Fault> {
        let may_go_again = self.resource.is_some() && self.another.get().is_none();
        let again = body.as_ref().filter(|_| may_go_again).map(Secret::duplicate);
        let (mut status, mut answer) = self.send_once(&method, path, query, body).await?;
        // What a login has kept may have been revoked since, with nobody's ill will: it gets another one, or is told why not.
        if let (StatusCode::UNAUTHORIZED, Some(resource), None) = (status, &self.resource, self.another.get())
        {
            self.another.get_or_try_init(|| login::another_token(resource)).await?;
            (status, answer) = self.send_once(&method, path, query, again).await?;
        }
        if status.is_success() { Ok(answer) } else { Err(Fault::Refused(refusal(status.as_u16(), &answer))) }
    }

    async fn send_once(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        body: Option<Secret<Vec<u8>>>,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let target = format!("{path}?api-version={API_VERSION}{query}");
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", self.token().expose()))
            .map_err(|error| Failure::new(format!("no request can be made: {error}")))?;
        authorization.set_sensitive(true);
        let headers = [
            (header::AUTHORIZATION, authorization),
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        ];
        self.https.send(method, &target, &headers, body).await
    }
}

fn refusal(status: u16, body: &[u8]) -> Refusal {
    let parsed: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |pointer: &str| parsed.pointer(pointer).and_then(serde_json::Value::as_str).map(str::to_owned);
    Refusal {
        status,
        code: text("/error/code").unwrap_or_default(),
        inner: text("/error/innererror/code").unwrap_or_default(),
        message: text("/error/message")
            .unwrap_or_else(|| "the vault refused without a word; see `keyless audit tail`".to_owned()),
    }
}
