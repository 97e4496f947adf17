//! A Java program with nothing but the JDK; and one with the Azure SDK in hosted apps, at its default settings.

use crate::hosting::{Hosts, needs_root, programs::ENDPOINT};
use e2e::{Server, note, setting, skip};

pub(crate) const SDK: &str = "Java azure-identity 1.18.4, azure-security-keyvault-secrets 4.11.1";

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
    let (java, libraries) = (setting("JAVA")?, setting("JAVA_LIBRARIES")?);
    let source = hosts.packages.path().join("ReadSecret.java");
    std::fs::write(&source, include_str!("../java/ReadSecret.java")).unwrap();
    Some([&java, "-cp", &format!("{libraries}/*"), &source.display().to_string()].map(str::to_owned).into())
}

/// Reads by both credentials, and not any more once the identity is removed.
fn reads_until_it_is_removed(name: &str, network: &str, how: &str, without: &[&str]) {
    if needs_root() {
        return;
    }
    let hosts = Hosts::start(name);
    let Some(client) = client(&hosts) else { return skip("no Java with the Azure SDK") };
    hosts.server.vault_with("shop", "db", "s3cret");
    hosts.server.app_with("web", "shop", "get");
    let vault = format!("VAULT_URL={}", hosts.server.vault_url("shop"));
    let _said = hosts.server.keyless(["app", "settings", "set", "web", &vault]).ok();
    let _said = hosts.server.keyless(["app", "configure", "web", "--network", network]).ok();
    hosts.deploy("web", &hosts.package("one", &[]));
    let run = |kind| {
        let line: Vec<_> = client.iter().map(String::as_str).chain(["db", kind]).collect();
        hosts.run("web", &line, without)
    };
    let kinds = [("default", "DefaultAzureCredential"), ("managed", "ManagedIdentityCredential")];
    for (kind, credential) in kinds {
        let ended = run(kind);
        assert_eq!((&ended["status"], &ended["stdout"]), (&0.into(), &"s3cret\n".into()), "{kind}: {ended}");
        note(SDK, &format!("get secret, {how} (`{credential}`)"), "works");
    }
    let _said = hosts.server.keyless(["app", "identity", "remove", "web"]).ok();
    for (kind, _) in kinds {
        let ended = run(kind);
        let said = ended.to_string();
        assert!(ended["status"] == 1 && !said.contains("s3cret"), "{kind}: {said}");
    }
}

#[test]
fn the_azure_sdk_reads_in_a_hosted_app_until_the_identity_is_removed() {
    reads_until_it_is_removed("java-app-service", "host", "in a hosted app", &[]);
}

#[test]
fn the_azure_sdk_that_knows_only_imds_reads_until_the_identity_is_removed() {
    reads_until_it_is_removed("java-imds", "own", "knowing IMDS only", &ENDPOINT);
}
