//! What is asked for: forms of a target, other methods, and spellings of a path (RFC 9112 section 3.2, RFC 3986 section 3.3).

use super::{Scene, Shape};

/// All of them. What leads to the secret reads it; nothing takes it away.
pub(super) fn all(scene: &Scene) -> Vec<Shape> {
    let mut shapes = forms(scene);
    shapes.extend(methods(scene));
    shapes.extend(paths(scene));
    shapes.extend(queries(scene));
    shapes
}

fn forms(scene: &Scene) -> Vec<Shape> {
    let (authority, port) = (&scene.authority, scene.server.port());
    let rest = "/secrets/keep?api-version=7.4";
    let mut shapes = Vec::new();
    for (name, target) in [
        ("another vault in the target", format!("https://other.vault.keyless.localhost:{port}{rest}")),
        ("the directory in the target", format!("https://login.keyless.localhost:{port}{rest}")),
        ("a foreign host in the target", format!("https://evil.example{rest}")),
        ("another port in the target", format!("https://{}:4443{rest}", scene.host)),
        ("a user in the target", format!("https://user@{authority}{rest}")),
        ("a user and a password in the target", format!("https://user:password@{authority}{rest}")),
        ("no host in the target", format!("https://{rest}")),
        ("another scheme in the target", format!("ftp://evil.example{rest}")),
        ("a host alone", authority.clone()),
        ("a path without its slash", "secrets/keep?api-version=7.4".to_owned()),
        ("a fragment before the query", "/secrets/keep#?api-version=7.4".to_owned()),
        ("a star", "*".to_owned()),
        ("a question mark", "?api-version=7.4".to_owned()),
        ("a letter that is not ASCII", "/secrets/k\u{e9}ep?api-version=7.4".to_owned()),
        ("a quote", "/secrets/\"keep\"?api-version=7.4".to_owned()),
        ("angle brackets", "/secrets/<keep>?api-version=7.4".to_owned()),
        ("a zero byte", "/secrets/keep\0?api-version=7.4".to_owned()),
        ("a tab", "/secrets/keep\t?api-version=7.4".to_owned()),
        ("a DEL", "/secrets/keep\u{7f}?api-version=7.4".to_owned()),
    ] {
        // Asks for the worst, so that who understands it wrongly is found.
        shapes.push(Shape::refused(name, scene.line(&format!("DELETE {target} HTTP/1.1"))));
    }
    shapes.push(Shape::served(
        "our own host in the target",
        scene.line(&format!("GET https://{authority}{rest} HTTP/1.1")),
    ));
    // The library takes a fragment off before anybody sees it.
    shapes.push(Shape::served("a fragment", scene.line(&format!("GET {rest}#x HTTP/1.1"))));
    let other = "Host: other.vault.keyless.localhost";
    let request = scene.line(&format!("GET https://{authority}{rest} HTTP/1.1")).replacen(
        &format!("Host: {authority}"),
        other,
        1,
    );
    shapes.push(Shape::refused("our own host in the target, another as the host", request));
    shapes
}

fn methods(scene: &Scene) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for method in
        ["TRACE", "OPTIONS", "HEAD", "BREW", "PROPFIND", "PURGE", "GETDELETE", "delete", "Delete", "PRI"]
    {
        for target in ["/secrets/keep?api-version=7.4", "/secrets?api-version=7.4", "/", "*"] {
            shapes.push(Shape::refused(
                format!("{method} {target}"),
                scene.line(&format!("{method} {target} HTTP/1.1")),
            ));
        }
    }
    for target in [&*scene.authority, "evil.example:443", "/secrets/keep?api-version=7.4", "127.0.0.1:22"] {
        let request = format!("{}{}", scene.line(&format!("CONNECT {target} HTTP/1.1")), scene.hidden());
        shapes.push(Shape::refused(format!("CONNECT {target}"), request));
    }
    shapes
}

/// Spellings that some reader in front or behind might take for the secret's path, or for another's.
fn paths(scene: &Scene) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for path in [
        "/secrets%2Fkeep",
        "/secrets/%2Fkeep",
        "/secrets/keep%2F",
        "/secrets/keep%2f..%2fother",
        "/secrets/%2e%2e/secrets/keep",
        "/secrets/../secrets/keep",
        "/secrets/./keep",
        "/secrets/%2e/keep",
        "/./secrets/keep",
        "/../secrets/keep",
        "/%2e%2e/secrets/keep",
        "/secrets/keep/..",
        "/secrets/keep/%2e%2e",
        "/secrets/keep/../keep",
        "/secrets/x/..%2fkeep",
        "/secrets/keep%00",
        "/secrets/%00keep",
        "/secrets/keep%00.txt",
        "/secrets/keep%0d%0aX:y",
        "/secrets/keep%0a",
        "/secrets/keep%20",
        "/secrets/%20keep",
        "/secrets/keep%09",
        "/secrets%20/keep",
        "/secrets/%256beep",
        "/secrets/keep%252f",
        "/%2573ecrets/keep",
        "/secrets/k%2565ep",
        "/secrets//keep",
        "/secrets/keep//",
        "/secrets/keep///",
        "/secrets/keep/;v=1",
        "/secrets/keep;v=1",
        "/secrets;v=1/keep",
        "/secrets/keep;",
        "/;/secrets/keep",
        "/secrets/keep,keep",
        "/secrets/keep:delete",
        "/secrets/keep~",
        "/secrets/~keep",
        "/secrets/keep*",
        "/secrets/*",
        "/secrets/keep'",
        "/secrets/keep+",
        "/secrets/keep%",
        "/secrets/keep%2",
        "/secrets/keep%zz",
        "/secrets/keep%u006b",
        "/secrets/%c0%af",
        "/secrets/keep%c0%80",
        "/secrets/%ff",
        "/secrets/k%ef%bd%85ep",
        "/Secrets/keep",
        "/SECRETS/keep",
        "/secret/keep",
        "/x/secrets/keep",
        "/secrets\\keep",
        "/secrets/..\\keep",
        "/secrets/keep\\",
        "/secrets/keep/backup/x",
        "/secrets/keep/0",
    ] {
        shapes.push(Shape::refused(
            format!("DELETE {path}"),
            scene.line(&format!("DELETE {path}?api-version=7.4 HTTP/1.1")),
        ));
    }
    for path in [
        "/secrets/keep",
        "/secrets/keep/",
        "//secrets/keep",
        "/secrets/%6beep",
        "/%73ecrets/keep",
        "/secrets/KEEP",
    ] {
        shapes.push(Shape::served(
            format!("GET {path}"),
            scene.line(&format!("GET {path}?api-version=7.4 HTTP/1.1")),
        ));
    }
    shapes
}

fn queries(scene: &Scene) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for query in [
        "",
        "?",
        "?api-version",
        "?api-version=",
        "?api-version=7.4&api-version=7.4",
        "?api-version=7.4&api-version=7.5",
        "?api-version=7.4&api%2Dversion=7.5",
        "?api-version=7.4;api-version=7.5",
        "?api-version=7.4%00",
        "?api-version=7.4%0d%0a",
        "?api-version=7.4?x",
        "?api-version=%ff",
        "?API-VERSION=7.4",
        "?api_version=7.4",
        "?;api-version=7.4",
        "?%26api-version=7.4",
        "?api-version[]=7.4",
        "?x#api-version=7.4",
    ] {
        shapes.push(Shape::refused(
            format!("DELETE with {query:?}"),
            scene.line(&format!("DELETE /secrets/keep{query} HTTP/1.1")),
        ));
    }
    for query in [
        "?api-version=7.4",
        "?api%2Dversion=7.4",
        "?&&api-version=7.4&",
        "?x=y&api-version=7.4&x=z",
        "?api-version=7%2E4",
    ] {
        shapes.push(Shape::served(
            format!("GET with {query:?}"),
            scene.line(&format!("GET /secrets/keep{query} HTTP/1.1")),
        ));
    }
    shapes
}
