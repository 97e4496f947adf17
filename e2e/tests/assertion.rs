//! Software outside of Keyless that proves itself without a secret: by a certificate's key, or by an outside issuer's word. Unmodified SDKs;
//! all that they are told besides the usual is that the authority is a private one.

use e2e::{Ended, NodeScript, Server, note, setting, settings, skip};
use std::path::{Path, PathBuf};

const PYTHON: &str = "Python azure-identity 1.27.0";
const NODE: &str = "Node @azure/identity 4.13.1";
const RUST: &str = "Rust azure_identity 1.0.0";
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
const SUBJECT: &str = "system:serviceaccount:shop:orders";

/// A registration that may read a secret, which the app that its programs run in may not.
pub(crate) struct Outside {
    pub(crate) server: Server,
    tenant: String,
    client: String,
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

impl Outside {
    pub(crate) fn start(name: &str) -> Self {
        let server = Server::start(name);
        server.vault_with("shop", "db", "s3cret");
        server.app_with("web", "shop", "list");
        let made = json(&server.keyless(["app-registration", "create", "ci", "-o", "json"]).ok());
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        let (tenant, client) = (text("tenant"), text("client_id"));
        let outside = Self { server, tenant, client };
        outside.allow(&["--secrets", "get"]);
        outside
    }

    /// What it may, from now on.
    pub(crate) fn allow(&self, what: &[&str]) {
        let mut command =
            self.server.command(["vault", "policy", "set", "shop", "--client-id", &self.client]);
        let _said = Ended::from(e2e::wait::output(command.args(what), b"")).ok();
    }

    /// A client secret of it.
    pub(crate) fn secret(&self) -> String {
        let add = ["app-registration", "credential", "add", &self.client, "-o", "json"];
        json(&self.server.keyless(add).ok())["secret"].as_str().unwrap().to_owned()
    }

    /// Makes a certificate, registers it, and gives the file in which it is with its key. The key never leaves that file.
    fn certificate(&self, name: &str) -> (PathBuf, String) {
        let file = self.server.place().join(format!("{name}.pem"));
        let path = file.display().to_string();
        let _said = self.server.keyless(["certificate", "create", "shop", name, "--subject", "CN=ci"]).ok();
        let _said = self.server.keyless(["certificate", "download", "shop", name, &path, "--with-key"]).ok();
        let add =
            ["app-registration", "credential", "add", &self.client, "--certificate", &path, "-o", "json"];
        let added = json(&self.server.keyless(add).ok());
        (file, added["id"].as_str().unwrap().to_owned())
    }

    fn token_file(&self) -> (PathBuf, PathBuf) {
        token_file(&self.server)
    }

    fn trust(&self, set: &Path) -> String {
        trust(&self.server, &self.client, set)
    }

    fn remove(&self, credential: &str) {
        let _said =
            self.server.keyless(["app-registration", "credential", "remove", &self.client, credential]).ok();
    }

    /// Runs a program as somebody would outside, who has names and certificates from the app and nothing of its identity.
    pub(crate) fn run(&self, variables: &[(&str, &str)], program: &[&str]) -> Ended {
        let authority = format!("https://login.keyless.localhost:{}", self.server.port());
        let mut words: Vec<String> =
            ["env", "-u", "IDENTITY_ENDPOINT", "-u", "IDENTITY_HEADER"].map(str::to_owned).to_vec();
        let usual = [
            ("AZURE_TENANT_ID", &*self.tenant),
            ("AZURE_CLIENT_ID", &self.client),
            ("AZURE_AUTHORITY_HOST", &authority),
        ];
        words.extend(usual.iter().chain(variables).map(|(name, value)| format!("{name}={value}")));
        words.extend(program.iter().map(|word| (*word).to_owned()));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.server.run_as("web", "shop", &words, "")
    }

    /// What the audit log says of the tokens that were asked for.
    fn audit(&self) -> String {
        self.server.keyless(["audit", "tail", "-n", "200"]).ok()
    }
}

/// A token file as a cluster projects it, with the line feed at its end; and the key set of the cluster, whose key is one of vault `shop`.
pub(crate) fn token_file(server: &Server) -> (PathBuf, PathBuf) {
    let _said = server.keyless(["key", "create", "shop", "cluster"]).ok();
    let shown = json(&server.keyless(["key", "show", "shop", "cluster", "-o", "json"]).ok());
    let mut jwk = shown["key"].clone();
    jwk["kid"] = "one".into();
    jwk.as_object_mut().unwrap().remove("key_ops");
    let set = server.place().join("keys.json");
    std::fs::write(&set, serde_json::json!({"keys": [jwk]}).to_string()).unwrap();
    #[expect(clippy::disallowed_methods, reason = "an issuer outside has a clock of its own")]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let header = serde_json::json!({"alg": "RS256", "kid": "one"}).to_string();
    let claims = serde_json::json!({
        "iss": ISSUER, "sub": SUBJECT, "aud": ["api://AzureADTokenExchange"], "iat": now, "nbf": now,
        "exp": now + 3_600, "jti": "once", "kubernetes.io": {"namespace": "shop"},
    });
    let signed = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.to_string().as_bytes()));
    let sign = ["key", "sign", "shop", "cluster", "--algorithm", "RS256"];
    let signature = server.keyless_with(sign, &signed).ok();
    let token = server.place().join("token");
    std::fs::write(&token, format!("{signed}.{}\n", signature.trim())).unwrap();
    (token, set)
}

/// Has a registration vouched for by the cluster; answers the credential's id.
pub(crate) fn trust(server: &Server, client: &str, set: &Path) -> String {
    let set = set.display().to_string();
    let add = ["app-registration", "federated", "add", client, "cluster", "--issuer", ISSUER];
    let mut command = server.command(add);
    command.args(["--subject", SUBJECT, "--jwks", &set, "-o", "json"]);
    let added = json(&Ended::from(e2e::wait::output(&mut command, b"")).ok());
    added["id"].as_str().unwrap().to_owned()
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let number =
            group.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            text.push(char::from(DIGITS[number >> (18 - 6 * place) & 63]));
        }
    }
    text
}

const READ_IN_PYTHON: &str = r#"
import os, sys
from azure.identity import CertificateCredential, WorkloadIdentityCredential
from azure.keyvault.secrets import SecretClient
private = {"authority": os.environ["AZURE_AUTHORITY_HOST"], "disable_instance_discovery": True}
if sys.argv[1] == "certificate":
    tenant, client = os.environ["AZURE_TENANT_ID"], os.environ["AZURE_CLIENT_ID"]
    credential = CertificateCredential(tenant, client, sys.argv[2], **private)
    # Another resource: MSAL presents the assertion of before.
    credential.get_token("https://vault.azure.net//.default")
else:
    credential = WorkloadIdentityCredential(disable_instance_discovery=True)
print(SecretClient(os.environ["VAULT_URL"], credential).get_secret("db").value)
"#;

const READ_IN_NODE: &str = r#"
import { ClientCertificateCredential, WorkloadIdentityCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";
const { AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_AUTHORITY_HOST, VAULT_URL } = process.env;
const options = { authorityHost: AZURE_AUTHORITY_HOST, disableInstanceDiscovery: true };
const [how, file] = process.argv.slice(2);
const credential = how === "certificate"
    ? new ClientCertificateCredential(AZURE_TENANT_ID, AZURE_CLIENT_ID, file, options)
    : new WorkloadIdentityCredential(options);
console.log((await new SecretClient(VAULT_URL, credential).getSecret("db")).value);
"#;

/// Runs the script of a client, if the client is there.
fn python(outside: &Outside, variables: &[(&str, &str)], arguments: &[&str]) -> Option<Ended> {
    let python = setting("PYTHON")?;
    let program: Vec<&str> =
        [&*python, "-c", READ_IN_PYTHON].into_iter().chain(arguments.iter().copied()).collect();
    Some(outside.run(variables, &program))
}

fn node(outside: &Outside, variables: &[(&str, &str)], arguments: &[&str]) -> Option<Ended> {
    let script = NodeScript::beside_sdk(READ_IN_NODE)?;
    Some(outside.run(variables, &script.line(arguments)))
}

/// The SDK takes a PFX file and nothing else.
fn rust(outside: &Outside, variables: &[(&str, &str)], arguments: &[&str]) -> Option<Ended> {
    let program = setting("RUST_CERTIFICATE")?;
    let pem = PathBuf::from(arguments.last()?);
    let pfx = pem.with_extension("pfx");
    let (name, path) = (pem.file_stem()?.to_str()?, pfx.to_str()?);
    if !pfx.exists() {
        let download = ["certificate", "download", "shop", name, path, "--format", "pfx", "--with-key"];
        let _said = outside.server.keyless(download).ok();
    }
    Some(outside.run(variables, &[&program, path, "db"]))
}

type Client = fn(&Outside, &[(&str, &str)], &[&str]) -> Option<Ended>;

fn by_certificate(name: &str, client: Client, note_as: &str) {
    let outside = Outside::start(name);
    let (file, credential) = outside.certificate("ci");
    let path = file.display().to_string();
    let Some(read) = client(&outside, &[], &["certificate", &path]) else {
        return skip("the client is not here");
    };
    assert_eq!(read.ok(), "s3cret\n");
    assert!(outside.audit().contains(&format!("certificate {credential} of client")));
    // A second one at the same time, then the first one goes.
    let (second, _) = outside.certificate("next");
    outside.remove(&credential);
    let refused = client(&outside, &[], &["certificate", &path]).unwrap();
    assert!(refused.code != Some(0) && refused.said().contains("AADSTS700027"), "{}", refused.said());
    let read = client(&outside, &[], &["certificate", &second.display().to_string()]).unwrap();
    assert_eq!(read.ok(), "s3cret\n");
    // The SDKs for Node and Rust call it `ClientCertificateCredential`.
    note(note_as, "a certificate (`CertificateCredential`), added, replaced and removed", "works");
}

fn by_workload_identity(name: &str, client: Client, note_as: &str) {
    let outside = Outside::start(name);
    let (token, set) = outside.token_file();
    let file = token.display().to_string();
    let variables = [("AZURE_FEDERATED_TOKEN_FILE", &*file)];
    let Some(refused) = client(&outside, &variables, &["workload"]) else {
        return skip("the client is not here");
    };
    assert!(refused.code != Some(0) && refused.said().contains("AADSTS700211"), "{}", refused.said());
    let credential = outside.trust(&set);
    assert_eq!(client(&outside, &variables, &["workload"]).unwrap().ok(), "s3cret\n");
    assert!(outside.audit().contains(&format!("federated credential {credential} of client")));
    outside.remove(&credential);
    let refused = client(&outside, &variables, &["workload"]).unwrap();
    assert!(refused.code != Some(0) && refused.said().contains("AADSTS700211"), "{}", refused.said());
    note(note_as, "an outside issuer's token (`WorkloadIdentityCredential`), trusted and no more", "works");
}

#[test]
fn python_proves_itself_by_a_certificate() {
    by_certificate("assertion-python", python, PYTHON);
}

#[test]
fn node_proves_itself_by_a_certificate() {
    by_certificate("assertion-node", node, NODE);
}

#[test]
fn rust_proves_itself_by_a_certificate() {
    by_certificate("assertion-rust", rust, RUST);
}

#[test]
fn python_is_vouched_for_by_a_cluster() {
    by_workload_identity("federated-python", python, PYTHON);
}

#[test]
fn node_is_vouched_for_by_a_cluster() {
    by_workload_identity("federated-node", node, NODE);
}

#[test]
fn rust_is_vouched_for_by_a_cluster() {
    let client: Client = |outside, variables, _| {
        let program = settings::example_program("read-secret-outside").display().to_string();
        Some(outside.run(variables, &[&program, "db"]))
    };
    by_workload_identity("federated-rust", client, RUST);
}
