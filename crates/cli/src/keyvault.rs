//! The client of a vault: the public Key Vault API with the administrator's token, as any client uses it. There is no other route to secrets.
//!
//! It trusts the installation's own authority and nothing else, and goes to the loopback address whatever the vault's name resolves to.
//! One connection for all requests of a command: an import of a thousand secrets shakes hands once.

use crate::{
    admin::{Admin, segment},
    failure::Failure,
};
use bytes::Bytes;
use domain::{Secret, VaultName};
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde::Deserialize;
use std::{net::Ipv4Addr, net::Ipv6Addr, sync::Arc, time::Duration};
use tokio::{net::TcpStream, sync::Mutex};
use tokio_rustls::TlsConnector;

/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// The version of the API that this command speaks.
const API_VERSION: &str = "2025-07-01";

/// A vault, as one of its clients.
pub(crate) struct Vault {
    host: String,
    port: u16,
    token: Secret<String>,
    connector: TlsConnector,
    connection: Mutex<Option<SendRequest<Full<Bytes>>>>,
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

/// A body that is gone from memory once it was sent.
struct Sent(Secret<Vec<u8>>);

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

#[derive(Deserialize)]
struct Shown {
    url: String,
}

/// Never shown: it holds a token.
#[derive(Deserialize)]
struct Token {
    access_token: String,
}

/// The one claim of its own token that a client looks at: who it is, to say so.
#[derive(Deserialize)]
struct Claims {
    oid: String,
}

impl Vault {
    /// Finds a vault and gets a token for it.
    pub(crate) async fn open(admin: &Admin, name: &VaultName) -> Result<Self, Failure> {
        let shown: Shown = admin.get(&format!("/v1/vaults/{}", segment(name.as_str()))).await?;
        let url: Uri = shown.url.parse().map_err(|_| Failure::new("the vault's URL is not understood"))?;
        let token: Token = admin.ask(Method::POST, "/v1/token", &serde_json::json!({})).await?;
        Ok(Self {
            host: url.host().unwrap_or_default().to_owned(),
            port: url.port_u16().unwrap_or(443),
            token: Secret::new(token.access_token),
            connector: connector(admin)?,
            connection: Mutex::new(None),
        })
    }

    /// The id of the principal that asks, if its token tells it.
    pub(crate) fn principal(&self) -> Option<String> {
        let payload = crypt::encoding::from_base64url(self.token.expose().split('.').nth(1)?).ok()?;
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
        let target = format!("{path}?api-version={API_VERSION}{query}");
        let body = body.map_or_else(Bytes::new, |body| Bytes::from_owner(Sent(body)));
        let exchange = self.exchange(&method, &target, &body);
        tokio::time::timeout(ANSWER_TIME_MAX, exchange)
            .await
            .unwrap_or_else(|_| Err(Failure::new("the vault does not answer").into()))
    }

    async fn exchange(&self, method: &Method, target: &str, body: &Bytes) -> Result<Bytes, Fault> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::new(format!("no answer from the vault: {error}"))
                .next("`keyless status` says whether the server runs.")
        };
        let mut connection = self.connection.lock().await;
        let answer = loop {
            let kept = match connection.take() {
                Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
                None => None,
            };
            let is_kept = kept.is_some();
            let sender = match kept {
                Some(sender) => connection.insert(sender),
                None => connection.insert(self.connect().await.map_err(|error| failed(&error))?),
            };
            match sender.send_request(self.request(method, target, body)?).await {
                // Closed by the server between two requests: nothing of this one was sent.
                Err(error) if is_kept && error.is_canceled() => continue,
                other => break other.map_err(|error| failed(&error))?,
            }
        };
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|error| failed(&error))?.to_bytes();
        if status.is_success() { Ok(body) } else { Err(Fault::Refused(refusal(status.as_u16(), &body))) }
    }

    fn request(&self, method: &Method, target: &str, body: &Bytes) -> Result<Request<Full<Bytes>>, Failure> {
        let failed = |error: http::Error| Failure::new(format!("no request can be made: {error}"));
        let mut authorization = http::HeaderValue::from_str(&format!("Bearer {}", self.token.expose()))
            .map_err(|error| failed(error.into()))?;
        authorization.set_sensitive(true);
        Request::builder()
            .method(method)
            .uri(target)
            .header(header::HOST, format!("{}:{}", self.host, self.port))
            .header(header::AUTHORIZATION, authorization)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body.clone()))
            .map_err(failed)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, std::io::Error> {
        let other = std::io::Error::other::<Box<dyn std::error::Error + Send + Sync>>;
        let stream = match TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await {
            Ok(stream) => stream,
            Err(_) => TcpStream::connect((Ipv6Addr::LOCALHOST, self.port)).await?,
        };
        let name = ServerName::try_from(self.host.clone()).map_err(|error| other(error.into()))?;
        let stream = self.connector.connect(name, stream).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| other(error.into()))?;
        // Ends with the sender.
        tokio::spawn(connection);
        Ok(sender)
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

fn connector(admin: &Admin) -> Result<TlsConnector, Failure> {
    let path = admin.layout().authority();
    let failed =
        |error: &dyn std::fmt::Display| Failure::new(format!("cannot trust {}: {error}", path.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&path).map_err(|error| failed(&error))? {
        roots.add(certificate.map_err(|error| failed(&error))?).map_err(|error| failed(&error))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
