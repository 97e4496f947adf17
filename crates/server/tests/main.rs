//! A server's life on one data directory: first start, second start, a second server, lost and wrong openers, the audit log.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a surprise is a failed test, and its place is the message"
)]

mod deploy;

use domain::Secret;
use server::{Config, Recovered, Running, SealError, Sources, StartError, maintenance};
use std::{
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

const LOGIN: &str = "login.keyless.localhost";

/// An installation in a directory of its own, deleted at the end.
struct Site {
    folder: PathBuf,
    public: Option<PathBuf>,
    port: u16,
    passphrase_file: Option<PathBuf>,
    test_clock: bool,
    domain: Option<&'static str>,
}

impl Site {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("keyless-server-{name}-{}", std::process::id()));
        let _left_over = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        Self { folder, public: None, port, passphrase_file: None, test_clock: false, domain: None }
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn config(&self) -> Config {
        let mut flags = vec![
            ("data_dir", self.data().display().to_string()),
            ("port", self.port.to_string()),
            ("listen", "127.0.0.1".to_owned()),
        ];
        flags.extend(self.domain.map(|domain| ("domain", domain.to_owned())));
        flags.extend(self.test_clock.then(|| ("test_clock", "true".to_owned())));
        flags.extend(
            self.passphrase_file.as_ref().map(|path| ("passphrase_file", path.display().to_string())),
        );
        Config::load(&Sources { flags, ..Sources::default() }).unwrap()
    }

    fn passphrase(&mut self, text: &str) {
        let path = self.folder.join(format!("passphrase-{}", text.len()));
        fs::write(&path, format!("{text}\n")).unwrap();
        self.passphrase_file = Some(path);
    }

    /// Starts it; answers also the recovery key, if one was announced.
    async fn start(&mut self) -> Result<(Running, Option<String>), StartError> {
        let mut announced = None;
        let announce = Box::new(|key: &Secret<String>| {
            announced = Some(key.expose().clone());
            Ok(())
        });
        let running = server::start(self.config(), announce).await?;
        self.public = running.hosts_file().parent().map(Path::to_owned);
        Ok((running, announced))
    }

    async fn refused(&mut self) -> StartError {
        match self.start().await {
            Ok(_) => panic!("it started"),
            Err(error) => error,
        }
    }
}

impl Site {
    /// Asks by the administrator's socket; answers the status, the head and the body.
    async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String, serde_json::Value) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::UnixStream::connect(self.data().join("admin.sock")).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: keyless\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase(), serde_json::from_str(body).unwrap_or_default())
    }

    /// A TLS handshake for this host, of a client that trusts our authority and looks at the real time.
    async fn handshake(&self, host: &'static str) -> std::io::Result<()> {
        use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(self.data().join("ca.pem")).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
        let name = ServerName::try_from(host).unwrap();
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.map(drop)
    }

    fn audit(&self) -> String {
        fs::read_to_string(self.data().join("audit/audit.jsonl")).unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for folder in self.public.iter().chain([&self.folder]) {
            let _best_effort = fs::remove_dir_all(folder);
        }
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_makes_everything_and_a_second_finds_it() {
    let mut site = Site::new("life");
    let (running, recovery) = site.start().await.unwrap();
    assert!(running.is_first_start() && recovery.is_some());
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, site.port)).is_ok());
    assert_eq!(mode(&site.data()), 0o700);
    for private in ["root.key", "keyless.redb", "admin.sock"] {
        assert_eq!(mode(&site.data().join(private)), 0o600, "{private}");
    }
    let commits = site.data().join("keyless.redb.commits");
    assert_eq!(mode(&commits), 0o700);
    let segments: Vec<_> = fs::read_dir(&commits).unwrap().map(|segment| segment.unwrap().path()).collect();
    assert!(!segments.is_empty() && segments.iter().all(|segment| mode(segment) == 0o600));
    let public = site.public.clone().unwrap();
    for file in ["root.pem", "bundle.pem", "truststore.p12", "hosts"] {
        assert_eq!(mode(&public.join(file)), 0o644, "{file}");
    }
    assert!(
        fs::read_to_string(public.join("hosts")).unwrap().contains("127.0.0.1\tlogin.keyless.localhost\n")
    );
    let authority = fs::read(site.data().join("ca.pem")).unwrap();
    let tenant = running.tenant();
    assert_eq!(site.ask("POST", "/v1/apps", r#"{"name":"Web"}"#).await.0, 201);
    for host in [LOGIN, "shop.vault.keyless.localhost", "web.apps.keyless.localhost"] {
        site.handshake(host).await.unwrap();
    }
    assert!(site.handshake("a.web.apps.keyless.localhost").await.is_err());
    running.stop(server::Asked::Terminated).await;
    assert!(!site.data().join("admin.sock").exists());

    let (running, recovery) = site.start().await.unwrap();
    assert!(!running.is_first_start() && recovery.is_none(), "the recovery key is told once");
    assert_eq!(running.tenant(), tenant);
    let hosts = fs::read_to_string(public.join("hosts")).unwrap();
    assert!(hosts.contains("127.0.0.1\tweb.apps.keyless.localhost\n"), "{hosts}");
    assert_eq!(fs::read(site.data().join("ca.pem")).unwrap(), authority);
    running.stop(server::Asked::Terminated).await;
}

/// A start without the `--domain` of the first one changed all host names and the issuer, and said nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_domain_of_the_first_start_is_kept() {
    let mut site = Site::new("domain");
    site.domain = Some("A.example");
    site.start().await.unwrap().0.stop(server::Asked::Terminated).await;
    site.domain = None;
    let (running, _) = site.start().await.unwrap();
    assert_eq!(running.names().login_host(), "login.a.example");
    let status = site.ask("GET", "/v1/status", "").await.2;
    assert_eq!(status["domain"], "a.example", "by which `apply` knows whose file it is");
    site.handshake("login.a.example").await.unwrap();
    running.stop(server::Asked::Terminated).await;
    for other in ["b.example", "keyless.localhost"] {
        site.domain = Some(other);
        let refused = site.refused().await;
        assert!(matches!(refused, StartError::OtherDomain { .. }), "{refused}");
        let words = refused.to_string();
        assert!(
            words.contains(other) && words.contains("a.example") && words.contains("--domain"),
            "{words}"
        );
    }
    site.domain = Some("a.EXAMPLE");
    site.start().await.unwrap().0.stop(server::Asked::Terminated).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_apps_and_vaults_come_and_go_with_them_and_say_nothing_of_others() {
    let mut site = Site::new("names");
    let (running, _) = site.start().await.unwrap();
    let found = |name: &str| {
        let text = fs::read_to_string(running.hosts_file()).unwrap();
        text.lines().any(|line| line == format!("127.0.0.1\t{name}.keyless.localhost"))
    };
    let names = ["web.apps", "shop.vault"];
    for (kind, name) in [("apps", "web"), ("apps", "api"), ("vaults", "shop"), ("vaults", "till")] {
        let body = format!(r#"{{"name":"{name}"}}"#);
        assert_eq!(site.ask("POST", &format!("/v1/{kind}"), &body).await.0, 201);
    }
    assert!(names.into_iter().all(found));
    assert_eq!(site.ask("DELETE", "/v1/apps/web", "").await.0, 204);
    assert_eq!(site.ask("DELETE", "/v1/vaults/shop", "").await.0, 200);
    assert!(!names.into_iter().any(found));
    assert_eq!(site.ask("POST", "/v1/deleted-vaults/shop/recover", "").await.0, 200);
    assert!(["shop.vault", "till.vault", "api.apps"].into_iter().all(found) && !found("web.apps"));
    running.stop(server::Asked::Terminated).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_is_refused_with_its_reason() {
    let mut site = Site::new("second");
    let (running, _) = site.start().await.unwrap();
    let StartError::AlreadyRunning { pid, .. } = site.refused().await else { panic!("another error") };
    assert_eq!(pid, Some(std::process::id()));
    // The same port on another directory.
    let mut other = Site::new("same-port");
    other.port = site.port;
    let said = other.refused().await.to_string();
    assert!(said.contains(&site.port.to_string()) && said.contains("--port"), "{said}");
    assert!(!other.data().join("root.key").exists(), "nothing is made for a server that cannot listen");
    running.stop(server::Asked::Terminated).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_open_to_others_is_refused() {
    let mut site = Site::new("open");
    fs::create_dir(site.data()).unwrap();
    fs::set_permissions(site.data(), fs::Permissions::from_mode(0o755)).unwrap();
    let said = site.refused().await.to_string();
    assert!(said.contains("chmod 700"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_key_file_is_made_anew_by_the_recovery_key_only() {
    let mut site = Site::new("recover");
    let (running, recovery) = site.start().await.unwrap();
    running.stop(server::Asked::Terminated).await;
    let recovery = Secret::new(recovery.unwrap());
    let recover = |typed: &Secret<String>| {
        let (config, typed) = (site.config(), typed.duplicate());
        async move { maintenance::recover(&config, None, &typed).await }
    };
    assert_eq!(recover(&recovery).await.unwrap(), Recovered::Sound);
    let key_file = site.data().join("root.key");
    fs::write(&key_file, [7; 32]).unwrap();
    assert!(matches!(site.refused().await, StartError::Seal(SealError::WrongKeyFile { .. })));
    fs::remove_file(&key_file).unwrap();
    assert!(matches!(site.refused().await, StartError::Seal(SealError::KeyFileMissing { .. })));

    let mut typo = recovery.expose().clone();
    let first = if typo.starts_with('A') { "B" } else { "A" };
    typo.replace_range(..1, first);
    let recover = |typed: Secret<String>| {
        let config = site.config();
        async move { maintenance::recover(&config, None, &typed).await }
    };
    let refused = recover(Secret::new(typo)).await;
    assert!(matches!(refused, Err(StartError::Seal(SealError::RecoveryTypo(_)))), "{refused:?}");
    assert!(!key_file.exists());
    let other = crypt::RecoveryKey::fresh(&crypt::SystemEntropy).printed();
    let refused = recover(other).await;
    assert!(matches!(refused, Err(StartError::Seal(SealError::WrongRecoveryKey))), "{refused:?}");
    assert_eq!(recover(recovery).await.unwrap(), Recovered::KeyFileWritten);
    assert_eq!(mode(&key_file), 0o600);
    let (running, _) = site.start().await.unwrap();
    running.stop(server::Asked::Terminated).await;
}

/// Such as one that is not mounted yet: a new installation in its place would write over what opens the old one.
#[tokio::test(flavor = "multi_thread")]
async fn an_installation_without_its_store_is_no_first_start() {
    let mut site = Site::new("no-store");
    let (running, _) = site.start().await.unwrap();
    running.stop(server::Asked::Terminated).await;
    let (store, aside) = (site.data().join("keyless.redb"), site.data().join("aside"));
    let (commits, commits_aside) =
        (site.data().join("keyless.redb.commits"), site.data().join("commits-aside"));
    let key = fs::read(site.data().join("root.key")).unwrap();
    fs::rename(&store, &aside).unwrap();
    for _ in 0..2 {
        // The second time the store is there, and empty.
        let said = site.refused().await;
        assert!(said.to_string().contains("the file is new: put the one back"), "{said}");
    }
    fs::rename(&commits, &commits_aside).unwrap();
    for _ in 0..2 {
        let said = site.refused().await;
        assert!(matches!(said, StartError::Seal(SealError::StoreMissing { .. })), "{said}");
        assert_eq!(fs::read(site.data().join("root.key")).unwrap(), key);
    }
    fs::rename(&aside, &store).unwrap();
    fs::remove_dir_all(&commits).unwrap();
    fs::rename(&commits_aside, &commits).unwrap();
    let (running, recovery) = site.start().await.unwrap();
    assert!(!running.is_first_start() && recovery.is_none());
    running.stop(server::Asked::Terminated).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_that_others_may_read_is_refused() {
    let mut site = Site::new("loose-key");
    let (running, _) = site.start().await.unwrap();
    running.stop(server::Asked::Terminated).await;
    fs::set_permissions(site.data().join("root.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let said = site.refused().await.to_string();
    assert!(said.contains("chmod 600"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passphrase_opens_what_it_closed() {
    let mut site = Site::new("passphrase");
    site.passphrase("too short");
    assert!(matches!(site.refused().await, StartError::Seal(SealError::ShortPassphrase { .. })));
    site.passphrase("a passphrase that is long enough");
    let (running, recovery) = site.start().await.unwrap();
    assert!(running.warnings().is_empty(), "{:?}", running.warnings());
    assert!(!site.data().join("root.key").exists());
    running.stop(server::Asked::Terminated).await;
    // Of the passphrase it is said what is known of it, and no more.
    let recovery = Secret::new(recovery.unwrap());
    let proven = async |site: &Site| maintenance::recover(&site.config(), None, &recovery).await;
    assert_eq!(proven(&site).await.unwrap(), Recovered::Sound);
    site.passphrase("another passphrase");
    assert!(matches!(site.refused().await, StartError::Seal(SealError::WrongPassphrase { .. })));
    let wrong = proven(&site).await.unwrap_err().to_string();
    assert!(wrong.starts_with("the recovery key is right, but the passphrase in "), "{wrong}");
    site.passphrase_file = None;
    assert_eq!(proven(&site).await.unwrap(), Recovered::RecoveryKeyOnly);
    assert!(matches!(site.refused().await, StartError::Seal(SealError::PassphraseNeeded)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_can_be_changed_for_a_passphrase() {
    let mut site = Site::new("change");
    let (running, recovery) = site.start().await.unwrap();
    assert!(running.warnings().iter().any(|warning| warning.contains("key file")));
    running.stop(server::Asked::Terminated).await;
    site.passphrase("a passphrase that is long enough");
    assert!(matches!(site.refused().await, StartError::Seal(SealError::NoPassphraseSlot)));
    let recovery = Secret::new(recovery.unwrap());
    let (wanted, config) = (site.passphrase_file.clone(), site.config());
    let set = maintenance::recover(&config, wanted.as_deref(), &recovery).await.unwrap();
    assert_eq!(set, Recovered::PassphraseSet);
    assert!(!site.data().join("root.key").exists());
    let (running, _) = site.start().await.unwrap();
    running.stop(server::Asked::Terminated).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_is_refused_while_a_server_runs_and_without_an_installation() {
    let mut site = Site::new("maintenance");
    assert!(matches!(maintenance::verify_audit(&site.config()).await, Err(StartError::NothingHere { .. })));
    assert!(!site.data().exists(), "nothing is made by looking");
    let (running, _) = site.start().await.unwrap();
    assert!(matches!(
        maintenance::verify_audit(&site.config()).await,
        Err(StartError::AlreadyRunning { .. })
    ));
    running.stop(server::Asked::Terminated).await;
    let verdict = maintenance::verify_audit(&site.config()).await.unwrap();
    assert!(verdict.is_ok(), "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_clock_goes_forward_and_what_is_due_is_done_and_clients_of_the_real_time_are_served() {
    // More than a server's certificate lives.
    const AHEAD: u64 = 400 * 86_400;
    let mut site = Site::new("clock");
    site.test_clock = true;
    let (running, _) = site.start().await.unwrap();
    let (before, ahead) = running.test_time().unwrap();
    assert_eq!(ahead.as_secs(), 0);
    assert!(site.audit().contains("\"clock.test\""), "which times are a test clock's is in the log");
    assert_eq!(site.ask("POST", "/v1/vaults", r#"{"name":"shop"}"#).await.0, 201);
    assert_eq!(site.ask("DELETE", "/v1/vaults/shop", "").await.0, 200);

    let (status, head, moved) = site.ask("POST", "/v1/clock", &format!(r#"{{"by_seconds":{AHEAD}}}"#)).await;
    assert_eq!(status, 200, "{moved}");
    assert!(head.contains("x-keyless-test-clock: "), "{head}");
    let done: Vec<&str> =
        moved.get("done").unwrap().as_array().unwrap().iter().filter_map(serde_json::Value::as_str).collect();
    assert!(
        matches!(&*done, [announced, "shop/purge-vault"] if announced.starts_with("signing-key.announce/")),
        "done before the answer: {done:?}"
    );
    let gone = site.ask("GET", "/v1/deleted-vaults", "").await.2;
    assert_eq!(gone, serde_json::json!({"value": []}));
    let audit = site.audit();
    let (moved, purged) = (audit.find("\"clock.advance\"").unwrap(), audit.find("\"vault.due\"").unwrap());
    assert!(moved < purged, "the log tells the cause first");
    assert!(running.test_time().unwrap().0.seconds_since(before) >= i64::try_from(AHEAD).unwrap());
    let back = format!(r#"{{"to":{}}}"#, before.seconds() + 60);
    assert_eq!(site.ask("POST", "/v1/clock", &back).await.0, 409, "never back");
    site.handshake(LOGIN).await.unwrap();
    running.stop(server::Asked::Terminated).await;

    // The next start goes on where this one was, and its certificate is still one of the real time.
    let (running, _) = site.start().await.unwrap();
    assert_eq!(running.test_time().unwrap().1.as_secs(), AHEAD);
    let (_, head, status) = site.ask("GET", "/v1/status", "").await;
    assert_eq!(status.get("test_clock_ahead_seconds").unwrap(), AHEAD);
    assert!(head.contains(&format!("x-keyless-test-clock: {AHEAD}")), "{head}");
    site.handshake(LOGIN).await.unwrap();
    running.stop(server::Asked::Terminated).await;
    let verdict = maintenance::verify_audit(&site.config()).await.unwrap();
    assert!(verdict.is_ok(), "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_travels_in_time_with_real_secrets() {
    let mut site = Site::new("real-clock");
    let (running, _) = site.start().await.unwrap();
    assert!(running.test_time().is_none());
    let (status, head, refused) = site.ask("POST", "/v1/clock", r#"{"by_seconds":60}"#).await;
    assert_eq!(status, 409);
    assert!(refused.to_string().contains("--test-clock"), "{refused}");
    assert!(!head.contains("x-keyless-test-clock"), "{head}");
    running.stop(server::Asked::Terminated).await;
    site.test_clock = true;
    let refused = site.refused().await;
    assert!(matches!(refused, StartError::NotForTest { .. }), "{refused}");
    assert!(refused.to_string().contains("--data-dir"), "{refused}");
    // Nothing was marked by trying.
    site.test_clock = false;
    let (running, _) = site.start().await.unwrap();
    running.stop(server::Asked::Terminated).await;

    let mut site = Site::new("test-clock");
    site.test_clock = true;
    let (running, _) = site.start().await.unwrap();
    running.stop(server::Asked::Terminated).await;
    site.test_clock = false;
    let refused = site.refused().await;
    assert!(matches!(refused, StartError::ForTestOnly { .. }), "{refused}");
    assert!(refused.to_string().contains("--test-clock"), "{refused}");
}
