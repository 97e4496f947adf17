//! A Go program with nothing but the standard library, which resolves names by itself and reads the system's roots.

use std::process::Command;

use e2e::{Server, note, setting, skip, wait};

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
