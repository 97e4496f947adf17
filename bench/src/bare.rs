//! The bare servers that ours is held against: axum over TLS and over plain HTTP, each answering the same bytes to whatever it is asked; one
//! that signs with an RSA key each time before it does.

use crate::raw::Signer;
use axum::{Router, response::IntoResponse};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Certificate chain and key of the bare TLS server.
pub(crate) struct Identity {
    /// PEM.
    pub(crate) chain_pem: String,
    /// PKCS#8, DER.
    pub(crate) key_pkcs8: Vec<u8>,
}

/// Serves until killed. Prints its port as the first line.
pub(crate) async fn serve(
    identity: Option<Identity>,
    is_signing: bool,
    content_type: &'static str,
    body: Vec<u8>,
) {
    let body = bytes::Bytes::from(body);
    let signer = is_signing.then(|| Arc::new(Signer::new()));
    let answer = move || {
        let (body, signer) = (body.clone(), signer.clone());
        async move {
            if let Some(signer) = signer {
                signer.sign();
            }
            ([("content-type", content_type), ("cache-control", "no-cache")], body).into_response()
        }
    };
    let router = Router::new().fallback(answer);
    let tls = identity.map(|identity| {
        let chain = rustls::pki_types::CertificateDer::pem_slice_iter(identity.chain_pem.as_bytes())
            .map(|certificate| certificate.expect("the chain is PEM"))
            .collect();
        let key = PrivatePkcs8KeyDer::from(identity.key_pkcs8).into();
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("the certificate fits the key");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    println!("{}", listener.local_addr().expect("a bound listener has an address").port());
    accept(listener, router, tls).await;
}

/// Serves a router to whoever connects, over HTTP/1.1.
pub(crate) async fn accept(listener: TcpListener, router: Router, tls: Option<TlsAcceptor>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let (tls, service) = (tls.clone(), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            let http = hyper::server::conn::http1::Builder::new();
            match tls {
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        let _ = http.serve_connection(TokioIo::new(stream), service).await;
                    }
                }
                None => {
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                }
            }
        });
    }
}
