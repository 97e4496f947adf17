//! Unmodified `azure-identity` and `azure-keyvault-secrets` for Python, default settings, `DefaultAzureCredential()` with nothing passed.

use e2e::{Ended, Server, note, setting, settings, skip};

const CLIENT: &str = "Python azure-identity 1.27.0, azure-keyvault-secrets 4.12.0";

fn run(server: &Server, app: &str, script: &str, arguments: &[&str], stdin: &str) -> Option<Ended> {
    let python = setting("PYTHON")?;
    let script = settings::example(&format!("python/{script}")).display().to_string();
    let program: Vec<&str> =
        [python.as_str(), script.as_str()].into_iter().chain(arguments.iter().copied()).collect();
    Some(server.run_as(app, "shop", &program, stdin))
}

#[test]
fn reads_lists_and_sets() {
    let server = Server::start("python");
    server.vault_with("shop", "db", "s3cret of python");
    server.app_with("web", "shop", "get,list,set");
    let Some(read) = run(&server, "web", "read_secret.py", &["db"], "") else {
        return skip("no Python environment");
    };
    assert_eq!(read.ok(), "s3cret of python\n");
    note(CLIENT, "get secret", "works");
    let version = run(&server, "web", "set_secret.py", &["from-python"], "ünïcode & \"quotes\"")
        .map(Ended::ok)
        .unwrap_or_default();
    assert_eq!(version.trim().len(), 32, "{version}");
    note(CLIENT, "set secret", "works");
    assert_eq!(
        run(&server, "web", "read_secret.py", &["from-python"], "").map(Ended::ok).unwrap_or_default(),
        "ünïcode & \"quotes\"\n"
    );
    assert_eq!(
        run(&server, "web", "list_secrets.py", &[], "").map(Ended::ok).unwrap_or_default(),
        "db\nfrom-python\n"
    );
    note(CLIENT, "list secrets", "works");
}

#[test]
fn a_stranger_gets_forbidden() {
    let server = Server::start("python-stranger");
    server.vault_with("shop", "db", "s3cret");
    server.app_with("web", "shop", "list");
    let Some(read) = run(&server, "web", "read_secret.py", &["db"], "") else {
        return skip("no Python environment");
    };
    assert_ne!(read.code, Some(0));
    assert!(read.stderr.contains("(Forbidden)"), "{}", read.stderr);
    assert!(read.stderr.contains("AccessDenied"), "{}", read.stderr);
    assert!(!read.said().contains("s3cret"));
    note(
        CLIENT,
        "a verb that no policy gives",
        "works: `HttpResponseError`, 403, code `Forbidden`, inner error `AccessDenied`",
    );
    let absent =
        run(&server, "nobody", "read_secret.py", &["db"], "").map(|ended| ended.said()).unwrap_or_default();
    assert!(absent.contains("(Forbidden)"), "{absent}");
}

#[test]
fn an_absent_secret_is_not_found() {
    let server = Server::start("python-absent");
    server.vault_with("shop", "db", "s3cret");
    server.app_with("web", "shop", "get");
    let Some(read) = run(&server, "web", "read_secret.py", &["no-such"], "") else {
        return skip("no Python environment");
    };
    assert!(read.stderr.contains("ResourceNotFoundError: (SecretNotFound)"), "{}", read.stderr);
    note(CLIENT, "an absent secret", "works: `ResourceNotFoundError`, code `SecretNotFound`");
}

#[test]
fn the_older_generation_is_served() {
    let server = Server::start("python-2017");
    server.vault_with("shop", "db", "s3cret");
    server.app_with("web", "shop", "get");
    let Some(python) = setting("PYTHON") else { return skip("no Python environment") };
    let script = settings::example("python/read_secret.py").display().to_string();
    // With the MSI_* pair alone the SDK takes this for Azure ML, which speaks api-version 2017-09-01.
    let program = ["env", "-u", "IDENTITY_ENDPOINT", "-u", "IDENTITY_HEADER", &python, &script, "db"];
    assert_eq!(server.run_as("web", "shop", &program, "").ok(), "s3cret\n");
    note(CLIENT, "api-version 2017-09-01 (`MSI_ENDPOINT` and `MSI_SECRET`)", "works");
}

/// A client that lives on: reads, waits for a line, reads again.
const LIVING: &str = r#"
import os, sys
from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient
client = SecretClient(os.environ["VAULT_URL"], DefaultAzureCredential())
print(client.get_secret("db").value, flush=True)
os.system(sys.argv[1])
try:
    print(client.get_secret("db").value)
except Exception as error:
    print(type(error).__name__, error)
"#;

#[test]
fn a_living_client_is_refused_once_its_identity_is_removed() {
    let server = Server::start("python-living");
    server.vault_with("shop", "db", "s3cret");
    server.app_with("web", "shop", "get");
    let Some(python) = setting("PYTHON") else { return skip("no Python environment") };
    let keyless = settings::binary("keyless").display().to_string();
    // It has its token and keeps it; the removal is acknowledged while it waits.
    let remove = format!("{keyless} app identity remove web >&2");
    let said = server.run_as("web", "shop", &[&python, "-c", LIVING, &remove], "").ok();
    let mut lines = said.lines();
    assert_eq!(lines.next(), Some("s3cret"));
    assert!(
        lines.next().is_some_and(
            |line| line.starts_with("ClientAuthenticationError") || line.starts_with("HttpResponseError")
        ),
        "{said}"
    );
    note(CLIENT, "a token that has not expired, of an identity that was removed", "works: refused at once");
}

#[test]
fn plain_python_trusts_the_names() {
    let server = Server::start("python-plain");
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    let Some(python) = setting("PYTHON") else { return skip("no Python environment") };
    let urllib = "import os,urllib.request,urllib.error\ntry: urllib.request.urlopen(os.environ['VAULT_URL']+'/secrets?api-version=7.4')\nexcept urllib.error.HTTPError as e: print(e.code)";
    assert_eq!(server.run_as("web", "shop", &[&python, "-c", urllib], "").ok(), "401\n");
    let requests = "import os,requests\nprint(requests.get(os.environ['VAULT_URL']+'/secrets?api-version=7.4').status_code)";
    assert_eq!(server.run_as("web", "shop", &[&python, "-c", requests], "").ok(), "401\n");
    note("Python standard library, requests", "name and certificate inside `keyless run`", "works");
}

const KEYS: &str = "Python azure-identity 1.27.0, azure-keyvault-keys 4.11.3";

#[test]
fn makes_and_uses_a_key() {
    let server = Server::start("python-key");
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    server.keys_app("web", "shop", "get,create,sign,verify,encrypt,decrypt");
    let Some(used) = run(&server, "web", "use_key.py", &["signing"], "") else {
        return skip("no Python environment");
    };
    assert_eq!(used.ok(), "signature holds: True\ndecrypted: hello\n");
    note(KEYS, "create a key, sign, verify, encrypt, decrypt", "works");
    server.keys_app("reader", "shop", "get");
    let refused = run(&server, "reader", "use_key.py", &["signing"], "").map(|ended| ended.said());
    assert!(
        refused.as_ref().is_some_and(|said| said.contains("does not have keys create permission")),
        "{refused:?}"
    );
}

/// Whatever we sign, encrypt or wrap, in every algorithm of every key, another implementation takes, and the reverse.
#[test]
fn every_algorithm_agrees_with_another_implementation() {
    let server = Server::start("python-matrix");
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    server.keys_app("web", "shop", "all");
    let Some(python) = setting("PYTHON") else { return skip("no Python environment") };
    let checked =
        server.run_as("web", "shop", &[&python, "-c", include_str!("python/keys_matrix.py")], "").ok();
    // RSA: (18 + 36) for each of 3 sizes, EC: (2 + 3) for each of 4 curves, oct: 18 for each of 3 sizes.
    assert_eq!(checked.trim(), "236", "checks that were made");
    note(KEYS, "every algorithm of keys, against Python's `cryptography`", "works");
}

const CERTIFICATES: &str = "Python azure-identity 1.27.0, azure-keyvault-certificates 4.12.0";

#[test]
fn makes_a_certificate_and_downloads_it() {
    let server = Server::start("python-certificate");
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    server.certificates_app("web", "shop", "get,create", "get");
    let Some(made) = run(&server, "web", "create_certificate.py", &["site"], "") else {
        return skip("no Python environment");
    };
    let made = made.ok();
    let [thumbprint, pfx] = *made.lines().collect::<Vec<_>>() else { panic!("{made}") };
    note(CERTIFICATES, "create a self-signed certificate, download it with its key", "works");
    // Others open it with an empty password, and find key and certificate.
    let file = std::env::temp_dir().join(format!("keyless-e2e-{}.pfx", std::process::id()));
    let script = "import base64,sys;open(sys.argv[1],'wb').write(base64.b64decode(sys.stdin.read()))\n\
         from cryptography.hazmat.primitives import hashes;from cryptography.hazmat.primitives.serialization import pkcs12\n\
         key,leaf,_=pkcs12.load_key_and_certificates(open(sys.argv[1],'rb').read(),None)\n\
         assert key.public_key()==leaf.public_key();leaf.verify_directly_issued_by(leaf)\n\
         print(leaf.fingerprint(hashes.SHA1()).hex(),leaf.subject.rfc4514_string())";
    let (Some(python), path) = (setting("PYTHON"), file.display().to_string()) else {
        return skip("no Python environment");
    };
    let read = server.run_as("web", "shop", &[&python, "-c", script, &path], pfx).ok();
    assert_eq!(read.trim(), format!("{thumbprint} CN=site"));
    note("Python `cryptography`", "opens the PFX of a certificate's secret", "works");
    if server.run_as("web", "shop", &["openssl", "version"], "").code == Some(0) {
        let openssl = ["openssl", "pkcs12", "-in", &path, "-passin", "pass:", "-nodes", "-legacy"];
        let text = server.run_as("web", "shop", &openssl, "").ok();
        assert!(text.contains("BEGIN PRIVATE KEY") && text.contains("BEGIN CERTIFICATE"), "{text}");
        note("OpenSSL", "opens the PFX of a certificate's secret", "works");
    } else {
        skip("a PFX opened by OpenSSL: no openssl on this machine");
    }
    if server.run_as("web", "shop", &["keytool", "-help"], "").code == Some(0) {
        let keytool = ["keytool", "-list", "-storetype", "PKCS12", "-keystore", &path, "-storepass", ""];
        let listed = server.run_as("web", "shop", &keytool, "");
        assert!(listed.code == Some(0) && listed.said().contains("PrivateKeyEntry"), "{}", listed.said());
        note("Java keytool", "opens the PFX of a certificate's secret", "works");
    } else {
        skip("a PFX opened by Java's keytool: no keytool on this machine");
    }
    std::fs::remove_file(&file).unwrap();
    server.certificates_app("reader", "shop", "get", "list");
    let refused = run(&server, "reader", "create_certificate.py", &["site"], "").map(|ended| ended.said());
    assert!(
        refused.as_ref().is_some_and(|said| said.contains("does not have certificates create permission")),
        "{refused:?}"
    );
}
