//! A Java program with nothing but the JDK; and one with the Azure SDK in hosted apps, at its default settings, and outside with a client
//! secret.

use crate::{
    assertion::Outside,
    hosting::{Hosts, needs_root, programs::ENDPOINT},
};
use e2e::{Server, note, setting, skip};
use std::path::Path;

pub(crate) const SDK: &str = "Java azure-identity 1.18.4, azure-security-keyvault-secrets 4.11.1";

const KEYS: &str = "Java azure-identity 1.18.4, azure-security-keyvault-keys 4.10.7";

const PROGRAM: &str = r#"
import java.net.URI;
import java.net.http.*;

class Get {
    public static void main(String[] arguments) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(System.getenv("VAULT_URL") + "/secrets?api-version=7.4")).build();
        System.out.println(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).statusCode());
    }
}
"#;

#[test]
fn plain_java_trusts_the_names() {
    let Some(java) = setting("JAVA") else { return skip("no Java on this machine") };
    let server = Server::start("java");
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    let source = server.place().join("Get.java");
    std::fs::write(&source, PROGRAM).unwrap();
    assert_eq!(server.run_as("web", "shop", &[&java, &source.display().to_string()], "").ok(), "401\n");
    note("Java java.net.http", "name and certificate inside `keyless run`", "works");
}

/// The start of a command line of the program with the Azure SDK, if it is on this machine: name of the secret and credential come after.
pub(crate) fn client(hosts: &Hosts) -> Option<Vec<String>> {
    client_in(hosts.packages.path())
}

fn client_in(place: &Path) -> Option<Vec<String>> {
    let (java, libraries) = (setting("JAVA")?, setting("JAVA_LIBRARIES")?);
    let source = place.join("ReadSecret.java");
    std::fs::write(&source, include_str!("../java/ReadSecret.java")).unwrap();
    Some([&java, "-cp", &format!("{libraries}/*"), &source.display().to_string()].map(str::to_owned).into())
}

/// In a hosted app with this network.
fn reads_until_it_is_removed(name: &str, network: &str, how: &str, without: &[&str]) {
    if needs_root() {
        return;
    }
    let hosts = Hosts::with_web(Server::start(name), name, &["--network", network]);
    let Some(client) = client(&hosts) else { return skip("no Java with the Azure SDK") };
    hosts.reads_until_it_is_removed(SDK, how, &client, without);
}

#[test]
fn the_azure_sdk_reads_in_a_hosted_app_until_the_identity_is_removed() {
    reads_until_it_is_removed("java-app-service", "host", "in a hosted app", &[]);
}

#[test]
fn the_azure_sdk_that_knows_only_imds_reads_until_the_identity_is_removed() {
    reads_until_it_is_removed("java-imds", "own", "knowing IMDS only", &ENDPOINT);
}

/// MSAL for Java adds OpenID Connect's scopes to what a client that acts for itself asks for.
#[test]
fn the_azure_sdk_reads_and_makes_a_key_by_a_client_secret() {
    let outside = Outside::start("java-secret");
    let Some(client) = client_in(outside.server.place()) else { return skip("no Java with the Azure SDK") };
    let secret = outside.secret();
    let run = |secret: &str, words: &[&str]| {
        let program: Vec<&str> = client.iter().map(String::as_str).chain(words.iter().copied()).collect();
        outside.run(&[("AZURE_CLIENT_SECRET", secret)], &program)
    };
    assert_eq!(run(&secret, &["db", "secret"]).ok(), "s3cret\n");
    let refused = run("wrong", &["db", "secret"]);
    assert!(refused.code != Some(0) && refused.said().contains("AADSTS7000215"), "{}", refused.said());
    outside.allow(&["--keys", "create"]);
    // It says `"public_exponent":0`.
    assert_eq!(run(&secret, &["rsa", "secret", "key"]).ok(), "RSA\n");
    note(SDK, "get secret, by a client secret, with `disableInstanceDiscovery`", "works");
    note(KEYS, "create an RSA key", "works");
}
