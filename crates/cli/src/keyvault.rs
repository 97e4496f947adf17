//! The client of a vault: the public Key Vault API with the administrator's token, as any client uses it. There is no other route to secrets.
//!
//! It trusts the installation's own authority and nothing else, and goes to the loopback address whatever the vault's name resolves to.

use crate::{
    admin::{Admin, segment},
    failure::Failure,
};
use bytes::Bytes;
use domain::{Secret, VaultName};
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde::Deserialize;
use std::{net::Ipv4Addr, net::Ipv6Addr, sync::Arc, time::Duration};
use tokio::net::TcpStream;
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
        })
    }

    /// One request: a path with its leading slash, and its query without `api-version`.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        query: &str,
        body: Option<Secret<Vec<u8>>>,
    ) -> Result<Bytes, Failure> {
        let target = format!("{path}?api-version={API_VERSION}{query}");
        let exchange = self.exchange(method, &target, body);
        tokio::time::timeout(ANSWER_TIME_MAX, exchange)
            .await
            .unwrap_or_else(|_| Err(Failure::new("the vault does not answer")))
    }

    async fn exchange(
        &self,
        method: Method,
        target: &str,
        body: Option<Secret<Vec<u8>>>,
    ) -> Result<Bytes, Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::new(format!("no answer from the vault: {error}"))
                .next("`keyless status` says whether the server runs.")
        };
        let stream = match TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await {
            Ok(stream) => stream,
            Err(_) => {
                TcpStream::connect((Ipv6Addr::LOCALHOST, self.port)).await.map_err(|error| failed(&error))?
            }
        };
        let name = ServerName::try_from(self.host.clone()).map_err(|error| failed(&error))?;
        let stream = self.connector.connect(name, stream).await.map_err(|error| failed(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(&error))?;
        // Ends with the sender.
        tokio::spawn(connection);
        let mut authorization = http::HeaderValue::from_str(&format!("Bearer {}", self.token.expose()))
            .map_err(|error| failed(&error))?;
        authorization.set_sensitive(true);
        let body = body.map_or_else(Bytes::new, |body| Bytes::copy_from_slice(body.expose()));
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::HOST, format!("{}:{}", self.host, self.port))
            .header(header::AUTHORIZATION, authorization)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| failed(&error))?;
        let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|error| failed(&error))?.to_bytes();
        if status.is_success() { Ok(body) } else { Err(refused(&body)) }
    }
}

fn refused(body: &[u8]) -> Failure {
    let parsed: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = parsed.as_ref().and_then(|body| body.get("error")?.get("message")?.as_str());
    Failure::new(message.unwrap_or("the vault refused without a word; see `keyless audit tail`"))
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
