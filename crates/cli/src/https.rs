//! The HTTPS client of this command: of vaults, and of the directory for people who log in.
//!
//! It trusts the installation's own authority and nothing else. To an installation on this machine it goes by the loopback address, whatever
//! the host's name resolves to. One connection for all requests of a command: an import of a thousand secrets shakes hands once.

use crate::failure::Failure;
use bytes::Bytes;
use domain::Secret;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{
    net::{Ipv4Addr, Ipv6Addr},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpStream, sync::Mutex};
use tokio_rustls::TlsConnector;

/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// Who is trusted to say who a server is.
pub(crate) struct Authority(RootCertStore);

impl Authority {
    /// The certificates of a file, PEM.
    pub(crate) fn of_file(path: &Path) -> Result<Self, Failure> {
        let pem = std::fs::read(path)
            .map_err(|error| Failure::new(format!("cannot trust {}: {error}", path.display())))?;
        Self::of_pem(&pem)
    }

    /// The certificates of a text, PEM.
    pub(crate) fn of_pem(pem: &[u8]) -> Result<Self, Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::new(format!("the authority's certificate is not understood: {error}"))
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.map_err(|error| failed(&error))?).map_err(|error| failed(&error))?;
        }
        match roots.is_empty() {
            true => Err(failed(&"there is none")),
            false => Ok(Self(roots)),
        }
    }
}

/// How a host is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It is on this machine.
    Loopback,
    /// By its name.
    ByName,
}

/// One host, as one of its clients.
pub(crate) struct Https {
    host: String,
    port: u16,
    reach: Reach,
    connector: TlsConnector,
    connection: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

/// A body that is gone from memory once it was sent.
struct Sent(Secret<Vec<u8>>);

/// The same as what is sent.
pub(crate) fn sent(body: Secret<Vec<u8>>) -> Bytes {
    Bytes::from_owner(Sent(body))
}

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

impl Https {
    /// To the host of this URL.
    pub(crate) fn to(url: &str, authority: Authority, reach: Reach) -> Result<Self, Failure> {
        let uri: Uri = url.parse().map_err(|_| Failure::new(format!("{url} is not understood")))?;
        let host = uri.host().filter(|_| uri.scheme_str() == Some("https"));
        let host = host.ok_or_else(|| Failure::new(format!("{url} is no https URL")))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::new(format!("no TLS: {error}")))?
            .with_root_certificates(authority.0)
            .with_no_client_auth();
        Ok(Self {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(443),
            reach,
            connector: TlsConnector::from(Arc::new(config)),
            connection: Mutex::new(None),
        })
    }

    /// One request: a path with its leading slash and its query. Whatever the status, it is an answer.
    pub(crate) async fn send(
        &self,
        method: &Method,
        target: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: Option<Secret<Vec<u8>>>,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let body = body.map_or_else(Bytes::new, sent);
        let exchange = self.exchange(method, target, headers, &body);
        let answer = tokio::time::timeout(ANSWER_TIME_MAX, exchange).await;
        answer.unwrap_or_else(|_| Err(Failure::new(format!("{} does not answer", self.host))))
    }

    async fn exchange(
        &self,
        method: &Method,
        target: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: &Bytes,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::new(format!("no answer from {}: {error}", self.host))
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
            match sender.send_request(self.request(method, target, headers, body)?).await {
                // Closed by the server between two requests: nothing of this one was sent.
                Err(error) if is_kept && error.is_canceled() => continue,
                other => break other.map_err(|error| failed(&error))?,
            }
        };
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|error| failed(&error))?.to_bytes();
        Ok((status, body))
    }

    fn request(
        &self,
        method: &Method,
        target: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: &Bytes,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::builder().method(method).uri(target);
        request = request.header(header::HOST, format!("{}:{}", self.host, self.port));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body.clone()));
        request.map_err(|error| Failure::new(format!("no request can be made: {error}")))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, std::io::Error> {
        let other = std::io::Error::other::<Box<dyn std::error::Error + Send + Sync>>;
        let stream = match self.reach {
            Reach::ByName => TcpStream::connect((&*self.host, self.port)).await?,
            Reach::Loopback => match TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await {
                Ok(stream) => stream,
                Err(_) => TcpStream::connect((Ipv6Addr::LOCALHOST, self.port)).await?,
            },
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
