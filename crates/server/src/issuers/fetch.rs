//! One document of an outside issuer: one GET over TLS, no redirect, no proxy, no cookie, of a bounded size. Times are the caller's.

use super::{IssuerSettings, place::Place};
use crate::trust;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use std::{net::ToSocketAddrs, path::Path, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::OnceCell,
};
use tokio_rustls::TlsConnector;

pub(super) struct Fetcher {
    settings: IssuerSettings,
    /// Made when it is first needed: most servers ask nobody.
    connector: OnceCell<TlsConnector>,
}

impl Fetcher {
    pub(super) fn new(settings: IssuerSettings) -> Self {
        Self { settings, connector: OnceCell::new() }
    }

    /// Gets a document. `is_named`: an administrator has named its host.
    pub(super) async fn get(&self, place: &Place, is_named: bool) -> Result<Vec<u8>, String> {
        let stream = self.connect(place, is_named).await?;
        if !place.is_tls {
            return exchange(stream, place).await;
        }
        let connector = self.connector.get_or_try_init(|| self.connector()).await?;
        let name =
            ServerName::try_from(place.host.clone()).map_err(|_| format!("{} is no host", place.host))?;
        let stream =
            connector.connect(name, stream).await.map_err(|error| format!("{}: {error}", place.host))?;
        exchange(stream, place).await
    }

    async fn connector(&self) -> Result<TlsConnector, String> {
        let settings = self.settings.clone();
        let made = self.settings.hands.run(move || connector(&settings)).await;
        made.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// Connects to an address that was looked at, not to a name that could be another one the next time.
    async fn connect(&self, place: &Place, is_named: bool) -> Result<TcpStream, String> {
        let (host, port) = (place.host.clone(), place.port);
        let look_up = move || (&*host, port).to_socket_addrs();
        let found = self.settings.hands.run(look_up).await.flatten();
        let found = found.map_err(|error| format!("{}: {error}", place.host))?;
        let mut fault = format!("{} is at no address that may be asked", place.host);
        for address in found.filter(|found| place.may_be_at(found.ip(), is_named, self.settings.loopback)) {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => fault = format!("{}: {error}", place.host),
            }
        }
        Err(fault)
    }
}

async fn exchange<S>(stream: S, place: &Place) -> Result<Vec<u8>, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let fault = |error: &dyn std::fmt::Display| format!("{}: {error}", place.host);
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| fault(&error))?;
    let request = Request::get(&place.target)
        .header(header::HOST, place.authority())
        .header(header::ACCEPT, "application/json")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| fault(&error))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| fault(&error))?;
        if response.status() != StatusCode::OK {
            return Err(fault(&format_args!("status {}", response.status().as_u16())));
        }
        let body = Limited::new(response.into_body(), domain::limits::ISSUER_DOCUMENT_BYTES_MAX);
        body.collect().await.map(|body| body.to_bytes().to_vec()).map_err(|error| fault(&error))
    };
    // Both on this task: when it is given up, so is the connection.
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        _ended = &mut connection => answer.await,
    }
}

/// The certificates of a PEM file that are to be trusted.
///
/// # Errors
/// There is no such file, none in it, or one is not to be read. In a person's words.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let fault = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = std::fs::read(path).map_err(|error| fault(&error))?;
    let certificates = CertificateDer::pem_slice_iter(&file).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| fault(&error))?;
    // Each as it is going to be trusted.
    let mut roots = rustls::RootCertStore::empty();
    for certificate in &certificates {
        roots.add(certificate.clone()).map_err(|error| fault(&error))?;
    }
    if certificates.is_empty() { Err(fault(&"there is no certificate in it")) } else { Ok(certificates) }
}

fn connector(settings: &IssuerSettings) -> Result<TlsConnector, String> {
    let mut roots = rustls::RootCertStore::empty();
    let system = trust::system_roots();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(system.as_bytes()).flatten());
    if let Some(path) = &settings.ca_file {
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
