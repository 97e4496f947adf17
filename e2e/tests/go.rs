//! A Go program with nothing but the standard library, which resolves names by itself and reads the system's roots; and one with the Azure SDK
//! in hosted apps, at its default settings, and outside with a client secret.

use std::process::Command;

use crate::{
    assertion::Outside,
    hosting::{Hosts, needs_root, programs::ENDPOINT},
};
use e2e::{Server, note, setting, skip, wait};

const SDK: &str = "Go azidentity 1.15.0, azsecrets 1.5.1";
const KEYS: &str = "Go azidentity 1.15.0, azkeys 1.5.0";

const PROGRAM: &str = r#"package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	answer, err := http.Get(os.Getenv("VAULT_URL") + "/secrets?api-version=7.4")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(answer.StatusCode)
}
"#;

#[test]
fn plain_go_trusts_the_names() {
    let Some(go) = setting("GO") else { return skip("no Go on this machine") };
    let server = Server::start("go");
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    let (source, binary) = (server.place().join("get.go"), server.place().join("get"));
    std::fs::write(&source, PROGRAM).unwrap();
    // Without cgo: the resolver of most command line tools, which never asks NSS modules.
    let mut build = Command::new(go);
    build
        .args(["build", "-o"])
        .arg(&binary)
        .arg(&source)
        .env("CGO_ENABLED", "0")
        .env("GOTOOLCHAIN", "local")
        .env("GO111MODULE", "off");
    if let Some(cache) = setting("GO_CACHE") {
        build.env("GOCACHE", cache);
    }
    let built = wait::output(&mut build, b"");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    assert_eq!(server.run_as("web", "shop", &[&binary.display().to_string()], "").ok(), "401\n");
    note("Go net/http, without cgo", "name and certificate inside `keyless run`", "works");
}

/// In a hosted app with this network.
fn reads_until_it_is_removed(name: &str, network: &str, how: &str, without: &[&str]) {
    if needs_root() {
        return;
    }
    let Some(client) = setting("GO_CLIENT") else { return skip("no Go with the Azure SDK") };
    let hosts = Hosts::with_web(Server::start(name), name, &["--network", network]);
    hosts.reads_until_it_is_removed(SDK, how, &[client], without);
}

#[test]
fn the_azure_sdk_reads_in_a_hosted_app_until_the_identity_is_removed() {
    reads_until_it_is_removed("go-app-service", "host", "in a hosted app", &[]);
}

#[test]
fn the_azure_sdk_that_knows_only_imds_reads_until_the_identity_is_removed() {
    reads_until_it_is_removed("go-imds", "own", "knowing IMDS only", &ENDPOINT);
}

/// MSAL for Go adds OpenID Connect's scopes to what a client that acts for itself asks for.
#[test]
fn the_azure_sdk_reads_and_signs_by_a_client_secret() {
    let Some(client) = setting("GO_CLIENT") else { return skip("no Go with the Azure SDK") };
    let outside = Outside::start("go-secret");
    let secret = outside.secret();
    let _said = outside.server.keyless(["key", "create", "shop", "rsa"]).ok();
    let run = |secret: &str, words: &[&str]| {
        let program: Vec<&str> = [&*client].into_iter().chain(words.iter().copied()).collect();
        outside.run(&[("AZURE_CLIENT_SECRET", secret)], &program)
    };
    for credential in ["secret", "environment"] {
        assert_eq!(run(&secret, &["db", credential]).ok(), "s3cret\n", "{credential}");
        let refused = run("wrong", &["db", credential]);
        assert!(refused.code != Some(0) && refused.said().contains("AADSTS7000215"), "{}", refused.said());
    }
    // Of a key without a version: the SDK makes one slash of the two between which none stands.
    let refused = run(&secret, &["sign", "rsa", "secret"]);
    assert!(refused.code != Some(0) && refused.said().contains("keys sign permission"), "{}", refused.said());
    outside.allow(&["--keys", "sign,verify"]);
    assert_eq!(run(&secret, &["sign", "rsa", "secret"]).ok(), "true\n");
    note(SDK, "get secret, by a client secret, with `DisableInstanceDiscovery`", "works");
    note(KEYS, "sign and verify by the latest version of a key", "works");
}
