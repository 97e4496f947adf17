//! Issuers on this machine, with TLS and without: when they are asked, and which answers are none.

use super::*;
use crypt::{Authority, test_keys::TestSigner};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// What a test's issuer answers, by path.
type Pages = Arc<Mutex<HashMap<String, String>>>;

struct Issuer {
    name: String,
    pages: Pages,
    asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn key_set(kid: &str) -> String {
    let mut jwk = serde_json::to_value(TestSigner::one(NOW).jwk()).unwrap();
    jwk["kid"] = json!(kid);
    ok(&json!({"keys": [jwk]}).to_string())
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, pages: &Pages, asked: &AtomicUsize) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    asked.fetch_add(1, Ordering::SeqCst);
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap();
    let page = pages.lock().unwrap().get(path).cloned();
    match page.as_deref() {
        Some("silence") => std::future::pending().await,
        Some(page) => drop(stream.write_all(page.as_bytes()).await),
        None => drop(stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await),
    }
    let _closed = stream.shutdown().await;
}

impl Issuer {
    /// Publishes a key of the name `a`. Without TLS, or with what the acceptor has.
    async fn start(tls: Option<tokio_rustls::TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let name = format!("{scheme}://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let (pages, asked) = (Pages::default(), Arc::new(AtomicUsize::new(0)));
        let task = tokio::spawn({
            let (pages, asked) = (pages.clone(), asked.clone());
            async move {
                let mut answers = tokio::task::JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    let (tls, pages, asked) = (tls.clone(), pages.clone(), asked.clone());
                    answers.spawn(async move {
                        match tls {
                            None => answer(stream, &pages, &asked).await,
                            Some(tls) => {
                                if let Ok(stream) = tls.accept(stream).await {
                                    answer(stream, &pages, &asked).await;
                                }
                            }
                        }
                    });
                }
            }
        });
        let issuer = Self { name, pages, asked, task };
        issuer.configure(&issuer.name, &format!("{}/keys", issuer.name));
        issuer.page("/keys", &key_set("a"));
        issuer
    }

    fn page(&self, path: &str, answer: &str) {
        self.pages.lock().unwrap().insert(path.to_owned(), answer.to_owned());
    }

    fn configure(&self, issuer: &str, keys: &str) {
        let document = json!({"issuer": issuer, "jwks_uri": keys, "more": true}).to_string();
        self.page("/.well-known/openid-configuration", &ok(&document));
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn issuers() -> Issuers {
    let mut issuers = Issuers::new(IssuerSettings { loopback: true, ..IssuerSettings::default() });
    issuers.patience = Duration::from_millis(500);
    issuers
}

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(NOW.seconds() + seconds)
}

async fn fault(issuer: &Issuer) -> String {
    issuers().keys(&issuer.name, None, NOW).await.unwrap_err().0
}

#[tokio::test]
async fn keys_are_fetched_once_and_again_when_their_time_is_over() {
    let (issuer, issuers) = (Issuer::start(None).await, issuers());
    for now in [NOW, later(1), later(3_599)] {
        let keys = issuers.keys(&issuer.name, Some("a"), now).await.unwrap();
        assert_eq!(keys[0].kid.as_deref(), Some("a"));
        assert_eq!(issuer.asked(), 2, "the configuration, and the keys");
    }
    issuer.page("/keys", &key_set("b"));
    let keys = issuers.keys(&issuer.name, None, later(3_600)).await.unwrap();
    assert_eq!((keys[0].kid.as_deref(), issuer.asked()), (Some("b"), 4));
}

#[tokio::test]
async fn an_unknown_key_is_looked_for_now_and_then() {
    let (issuer, issuers) = (Issuer::start(None).await, issuers());
    issuers.keys(&issuer.name, Some("a"), NOW).await.unwrap();
    // Whoever makes up names does not make us ask.
    for _ in 0..5 {
        assert!(issuers.keys(&issuer.name, Some("made-up"), later(29)).await.is_ok());
    }
    assert_eq!(issuer.asked(), 2);
    issuer.page("/keys", &key_set("b"));
    let keys = issuers.keys(&issuer.name, Some("b"), later(30)).await.unwrap();
    assert_eq!((keys[0].kid.as_deref(), issuer.asked()), (Some("b"), 4));
}

#[tokio::test]
async fn an_issuer_that_fails_is_asked_now_and_then_and_old_keys_end() {
    let (issuer, issuers) = (Issuer::start(None).await, issuers());
    issuers.keys(&issuer.name, None, NOW).await.unwrap();
    issuer.page("/keys", "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n");
    assert!(issuers.keys(&issuer.name, Some("b"), later(60)).await.is_ok(), "those at hand are still good");
    let asked = issuer.asked();
    for now in [later(3_600), later(3_601), later(3_629)] {
        let fault = issuers.keys(&issuer.name, Some("a"), now).await.unwrap_err();
        assert!(fault.0.ends_with("status 500"), "{fault}");
    }
    assert_eq!(issuer.asked(), asked + 2);
    issuer.page("/keys", &key_set("a"));
    assert!(issuers.keys(&issuer.name, Some("a"), later(3_630)).await.is_ok());
}

#[tokio::test]
async fn answers_that_are_none_are_refused() {
    let issuer = Issuer::start(None).await;
    let configuration = "/.well-known/openid-configuration";
    let keys = format!("{}/keys", issuer.name);
    issuer.configure("https://other.example", &keys);
    assert_eq!(fault(&issuer).await, "its configuration is another issuer's");
    issuer.configure(&format!("{}/", issuer.name), &keys);
    assert_eq!(fault(&issuer).await, "its configuration is another issuer's");
    issuer.page(configuration, &ok("[]"));
    assert_eq!(fault(&issuer).await, "its configuration is no such document");
    issuer
        .page(configuration, &format!("HTTP/1.1 302 Found\r\nlocation: {keys}\r\ncontent-length: 0\r\n\r\n"));
    assert!(fault(&issuer).await.ends_with("status 302"));
    issuer.page(configuration, &ok(&" ".repeat(limits::ISSUER_DOCUMENT_BYTES_MAX + 1)));
    assert!(fault(&issuer).await.contains("limit"));
    issuer.page(configuration, "silence");
    assert_eq!(fault(&issuer).await, "no answer in time");
    issuer.page(configuration, "nonsense");
    assert!(fault(&issuer).await.starts_with("127.0.0.1: "));
    for bad in ["ftp://127.0.0.1/keys", "keys", "http://u@127.0.0.1/keys"] {
        issuer.configure(&issuer.name, bad);
        assert!(
            fault(&issuer).await.starts_with("its issuer is") || fault(&issuer).await.contains("https"),
            "{bad}"
        );
    }
    // A document does not make us look around: where clouds keep their metadata, and where others' networks are.
    for inside in ["https://169.254.169.254/keys", "https://10.0.0.1/keys", "http://169.254.169.254/keys"] {
        issuer.configure(&issuer.name, inside);
        assert!(fault(&issuer).await.ends_with("is at no address that may be asked"), "{inside}");
    }
    issuer.configure(&issuer.name, &keys);
    for set in ["{}", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","k":"AA"}]}"#] {
        issuer.page("/keys", &ok(set));
        assert!(!fault(&issuer).await.is_empty(), "{set}");
    }
}

#[tokio::test]
async fn this_machine_is_not_asked_unless_an_operator_says_so() {
    let issuer = Issuer::start(None).await;
    let usual = Issuers::new(IssuerSettings::default());
    assert!(usual.may_fetch(&issuer.name).is_err());
    assert!(usual.keys(&issuer.name, None, NOW).await.is_err());
    let by_tls = issuer.name.replace("http:", "https:");
    assert!(usual.may_fetch(&by_tls).is_ok());
    let fault = usual.keys(&by_tls, None, NOW).await.unwrap_err();
    assert_eq!(fault.0, "127.0.0.1 is at no address that may be asked");
    assert_eq!(issuer.asked(), 0);
}

#[tokio::test]
async fn tls_is_verified_by_the_operators_authority() {
    let now = crate::clock::SystemClock;
    let authority = Authority::create("test", domain::Clock::now(&now)).unwrap();
    let made =
        authority.issue_server(&[], &["127.0.0.1".parse().unwrap()], domain::Clock::now(&now)).unwrap();
    let chain = CertificateDer::pem_slice_iter(made.chain_pem.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.key_pkcs8.expose().clone()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let issuer = Issuer::start(Some(tokio_rustls::TlsAcceptor::from(Arc::new(config)))).await;
    let untrusting = issuers().keys(&issuer.name, None, NOW).await.unwrap_err();
    assert!(untrusting.0.contains("certificate"), "{untrusting}");
    assert_eq!(issuer.asked(), 0);
    let file = std::env::temp_dir().join(format!("keyless-issuers-{}.pem", std::process::id()));
    std::fs::write(&file, authority.certificate_pem()).unwrap();
    let settings =
        IssuerSettings { ca_file: Some(file.clone()), loopback: true, ..IssuerSettings::default() };
    let keys = Issuers::new(settings).keys(&issuer.name, None, NOW).await;
    std::fs::remove_file(&file).unwrap();
    assert_eq!(keys.unwrap()[0].kid.as_deref(), Some("a"));
}

#[tokio::test]
async fn who_needs_what_is_known_does_not_wait() {
    let (issuer, issuers) = (Issuer::start(None).await, issuers());
    issuers.keys(&issuer.name, Some("a"), NOW).await.unwrap();
    issuer.page("/keys", "silence");
    let waiting = issuers.keys(&issuer.name, Some("made-up"), later(60));
    let known = async {
        tokio::task::yield_now().await;
        let began = std::time::Instant::now();
        assert!(issuers.keys(&issuer.name, Some("a"), later(60)).await.is_ok());
        began.elapsed()
    };
    let (looked, waited) = tokio::join!(waiting, known);
    assert!(looked.is_ok() && waited < issuers.patience / 2, "{waited:?}");
}

/// The server started without a word, and said so when the first token came.
#[test]
fn a_file_of_certificates_that_holds_none_is_refused() {
    let place = std::env::temp_dir().join(format!("keyless-issuers-ca-{}", std::process::id()));
    let refused = |text: Option<&str>| {
        if let Some(text) = text {
            std::fs::write(&place, text).unwrap();
        }
        certificates(&place).unwrap_err()
    };
    assert!(refused(None).contains("No such file"));
    assert!(refused(Some("")).ends_with("there is no certificate in it"));
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(refused(Some(damaged)).contains(&*place.to_string_lossy()));
    std::fs::remove_file(&place).unwrap();
}
