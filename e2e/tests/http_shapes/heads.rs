//! Request lines, header lines and hosts (RFC 9112 sections 2, 3 and 5; RFC 9110 section 7.2).

use super::{Scene, Shape};

/// All of them. What the standard has a meaning for reads the secret.
pub(super) fn all(scene: &Scene) -> Vec<Shape> {
    let mut shapes = lines(scene);
    shapes.extend(headers(scene));
    shapes.extend(sizes(scene));
    shapes.extend(hosts(scene));
    shapes.extend(expectations(scene));
    shapes
}

fn lines(scene: &Scene) -> Vec<Shape> {
    let target = "/secrets/keep?api-version=7.4";
    let mut shapes = Vec::new();
    for wrong in [
        format!("GET {target}"),
        format!("GET {target} HTTP/0.9"),
        format!("GET {target} HTTP/1.2"),
        format!("GET {target} HTTP/2.0"),
        format!("GET {target} HTTP/9.9"),
        format!("GET {target} HTTP/1.1x"),
        format!("GET {target} HTTP/01.1"),
        format!("GET {target} http/1.1"),
        format!("GET {target} HTTP/1.1 HTTP/1.1"),
        format!("GET {target} x HTTP/1.1"),
        format!("GET\t{target} HTTP/1.1"),
        format!("GET  {target} HTTP/1.1"),
        format!(" GET {target} HTTP/1.1"),
        format!("get {target} HTTP/1.1"),
        format!("G(T {target} HTTP/1.1"),
        format!("GET\0 {target} HTTP/1.1"),
        format!("{} {target} HTTP/1.1", "G".repeat(70_000)),
        format!(" {target} HTTP/1.1"),
        "GET HTTP/1.1".to_owned(),
        "GET  HTTP/1.1".to_owned(),
        "hello".to_owned(),
        "\u{16}\u{3}\u{1}".to_owned(),
    ] {
        let name = wrong.chars().take(60).collect::<String>();
        shapes.push(Shape::refused(format!("the line {name:?}"), scene.line(&wrong)));
    }
    shapes.push(Shape::refused("HTTP/0.9", format!("GET {target}\r\n")));
    shapes.push(Shape::refused(
        "the preface of HTTP/2",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0",
    ));
    shapes.push(Shape::refused("nothing but line ends", "\r\n".repeat(50_000)));
    shapes.push(Shape::served("line ends before the line", format!("\r\n\r\n{}", scene.get(""))));
    shapes.push(Shape::served("HTTP/1.0", scene.get("").replacen("HTTP/1.1", "HTTP/1.0", 1)));
    let kept = scene.get("").replacen("HTTP/1.1", "HTTP/1.0", 1).replacen(
        "Connection: close",
        "Connection: keep-alive",
        1,
    );
    // Two of them: the connection is kept, as was asked, until the second is answered.
    let closed = scene.get("").replacen("HTTP/1.1", "HTTP/1.0", 1);
    shapes.push(Shape { is_many: true, ..Shape::served("HTTP/1.0 kept", format!("{kept}{closed}")) });
    shapes.push(Shape::served(
        "HTTP/1.0 not kept, and a request behind",
        format!("{closed}{}", scene.hidden()),
    ));
    shapes
}

fn headers(scene: &Scene) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for (name, line) in [
        ("a space before the colon", "X-A : y\r\n"),
        ("a tab before the colon", "X-A\t: y\r\n"),
        ("a folded line", "X-A: y\r\n z\r\n"),
        ("a folded line with a tab", "X-A: y\r\n\tz\r\n"),
        ("a line that begins with a space", " X-A: y\r\n"),
        ("no colon", "X-A\r\n"),
        ("no name", ": y\r\n"),
        ("a zero byte in a value", "X-A: y\0z\r\n"),
        ("a zero byte in a name", "X\0A: y\r\n"),
        ("a lone CR in a value", "X-A: y\rz\r\n"),
        ("a lone CR as the line's end", "X-A: y\rX-B: z\r\n"),
        ("a bell in a value", "X-A: y\u{7}z\r\n"),
        ("a DEL in a value", "X-A: y\u{7f}z\r\n"),
        ("a space in a name", "X A: y\r\n"),
        ("a bracket in a name", "X(A): y\r\n"),
        ("a slash in a name", "X/A: y\r\n"),
        ("an at sign in a name", "X@A: y\r\n"),
        ("a quote in a name", "\"X-A\": y\r\n"),
        ("a letter that is not ASCII in a name", "X-Ä: y\r\n"),
        ("two CRs", "X-A: y\r\r\n"),
    ] {
        let request = scene.get(line);
        shapes.push(Shape::refused(name, request));
    }
    for (name, line) in [
        ("a letter that is not ASCII in a value", "X-A: \u{e9}\r\n"),
        ("an empty value", "X-A:\r\n"),
        ("no space behind the colon", "X-A:y\r\n"),
        ("all signs that a name may have", "!#$%&'*+-.^_`|~0aZ: y\r\n"),
        (
            "another host of those in front",
            "X-Forwarded-Host: login.keyless.localhost\r\nForwarded: host=evil.example\r\n",
        ),
        (
            "another target of those in front",
            "X-Original-URL: /secrets/refused\r\nX-Rewrite-URL: /secrets/refused\r\n",
        ),
        (
            "another method of those in front",
            "X-HTTP-Method: DELETE\r\nX-HTTP-Method-Override: DELETE\r\nX-Method-Override: DELETE\r\n",
        ),
        ("another address of those in front", "X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\n"),
        // RFC 9112 section 2.2 lets a reader take a lone LF for the end of a line.
        ("a line ended by a lone LF", "X-A: y\n"),
    ] {
        shapes.push(Shape::served(name, scene.get(line)));
    }
    let method = "POST /secrets/keep?api-version=7.4 HTTP/1.1\r\nX-HTTP-Method: DELETE\r\nX-HTTP-Method-Override: DELETE\r\nContent-Length: 0";
    shapes.push(Shape::refused("a POST that says it is a DELETE", scene.line(method)));
    shapes
}

fn sizes(scene: &Scene) -> Vec<Shape> {
    let many = |count: usize| (0..count).map(|number| format!("X-{number}: y\r\n")).collect::<String>();
    vec![
        Shape::refused("1,000 headers", scene.get(&many(1_000))),
        Shape::refused("1,000 headers of one name", scene.get(&"X: y\r\n".repeat(1_000))),
        Shape::refused("100,000 headers", scene.get(&many(100_000))),
        Shape::refused("a header of 100 KiB", scene.get(&format!("X: {}\r\n", "y".repeat(100 * 1024)))),
        Shape::refused("a header of 4 MiB", scene.get(&format!("X: {}\r\n", "y".repeat(4 * 1024 * 1024)))),
        Shape::refused("a name of 100 KiB", scene.get(&format!("{}: y\r\n", "X".repeat(100 * 1024)))),
        Shape::refused(
            "a name that never ends",
            format!("GET / HTTP/1.1\r\n{}", "X".repeat(4 * 1024 * 1024)),
        ),
        Shape::refused(
            "a target of 100 KiB",
            scene.line(&format!("GET /secrets/{}?api-version=7.4 HTTP/1.1", "k".repeat(100 * 1024))),
        ),
        Shape::refused(
            "a query of 100 KiB",
            scene.line(&format!("GET /secrets/keep?api-version=7.4&x={} HTTP/1.1", "k".repeat(100 * 1024))),
        ),
        Shape::refused("a line that never ends", format!("GET /{}", "k".repeat(4 * 1024 * 1024))),
        Shape::served("60 headers", scene.get(&many(60))),
    ]
}

fn hosts(scene: &Scene) -> Vec<Shape> {
    let (host, authority, token) = (&scene.host, &scene.authority, &scene.token);
    let port = scene.server.port();
    let ask = |hosts: &str| {
        format!(
            "GET /secrets/keep?api-version=7.4 HTTP/1.1\r\n{hosts}Authorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        )
    };
    let mut shapes = Vec::new();
    for (name, hosts) in [
        ("no host", String::new()),
        ("two hosts", format!("Host: {authority}\r\nHost: evil.example\r\n")),
        ("two hosts, the other way", format!("Host: evil.example\r\nHost: {authority}\r\n")),
        ("one host twice", format!("Host: {authority}\r\nHost: {authority}\r\n")),
        ("an empty host", "Host:\r\n".to_owned()),
        ("a list of hosts", format!("Host: {authority}, {authority}\r\n")),
        ("a host with a user", format!("Host: user@{authority}\r\n")),
        ("a host with a user and a password", format!("Host: user:password@{authority}\r\n")),
        ("a host as a user", format!("Host: {authority}@evil.example\r\n")),
        ("a host with a path", format!("Host: {authority}/secrets\r\n")),
        ("a host with a query", format!("Host: {authority}?x\r\n")),
        ("a host with a scheme", format!("Host: https://{authority}\r\n")),
        ("a host with a space in it", format!("Host: shop .vault.keyless.localhost:{port}\r\n")),
        ("a host with a zero byte", format!("Host: {host}\0:{port}\r\n")),
        ("a host with a port that is none", format!("Host: {host}:https\r\n")),
        ("a host with a port over all", format!("Host: {host}:99999\r\n")),
        ("a host with two ports", format!("Host: {authority}:{port}\r\n")),
        ("a host with a port below zero", format!("Host: {host}:-1\r\n")),
        ("a host with a dot at its end", format!("Host: {host}.:{port}\r\n")),
        ("a host with two dots", format!("Host: shop..vault.keyless.localhost:{port}\r\n")),
        ("a host below the vault", format!("Host: a.{authority}\r\n")),
        ("a host that ends in ours", format!("Host: evil{authority}\r\n")),
        ("a host that begins as ours", format!("Host: {host}.evil.example\r\n")),
        ("an address", "Host: 127.0.0.1\r\n".to_owned()),
        ("an IPv6 address", format!("Host: [::1]:{port}\r\n")),
        ("the parent of all vaults", format!("Host: vault.keyless.localhost:{port}\r\n")),
        ("another vault than TLS was told", format!("Host: other.vault.keyless.localhost:{port}\r\n")),
        ("the directory where TLS was told a vault", format!("Host: login.keyless.localhost:{port}\r\n")),
        (
            "a host with a letter that is not ASCII",
            format!("Host: sh\u{f6}p.vault.keyless.localhost:{port}\r\n"),
        ),
        ("a host with a space before the colon", format!("Host : {authority}\r\n")),
    ] {
        shapes.push(Shape::refused(name, ask(&hosts)));
    }
    shapes.push(Shape::refused("HTTP/1.0 without a host", ask("").replacen("HTTP/1.1", "HTTP/1.0", 1)));
    for (name, hosts) in [
        ("a host in capitals", format!("Host: {}\r\n", authority.to_uppercase())),
        ("a host without its port", format!("Host: {host}\r\n")),
        // Whoever forwards a port knows the server by another one; identifiers lead back by it.
        ("a host with another port", format!("Host: {host}:4443\r\n")),
        ("a host between spaces", format!("Host:   {authority}  \r\n")),
    ] {
        shapes.push(Shape::served(name, ask(&hosts)));
    }
    shapes
}

/// What a client asks of the connection rather than of the vault.
fn expectations(scene: &Scene) -> Vec<Shape> {
    let body = r#"{"value":7}"#;
    let put = |headers: &str| {
        scene.put(
            "refused",
            &format!("{headers}Content-Length: {}\r\nConnection: close\r\n", body.len()),
            body,
        )
    };
    let mut shapes = Vec::new();
    for expect in
        ["100-continue", "100-CONTINUE", "200-ok", "100-continue, 100-continue", "100-continue, x", "", "x"]
    {
        shapes.push(Shape::refused(
            format!("expects {expect:?}, with a body that is refused"),
            put(&format!("Expect: {expect}\r\n")),
        ));
        shapes.push(Shape::served(
            format!("expects {expect:?}, without a body"),
            scene.get(&format!("Expect: {expect}\r\n")),
        ));
    }
    let no_token = "PUT /secrets/refused?api-version=7.4 HTTP/1.1\r\nHost: HOST\r\nExpect: 100-continue\r\nContent-Length: 500\r\n\r\n";
    shapes.push(Shape::refused(
        "expects to go on, without a token",
        no_token.replacen("HOST", &scene.authority, 1),
    ));
    for (name, headers) in [
        ("to HTTP/2", "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"),
        (
            "to a web socket",
            "Upgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n",
        ),
        ("to TLS", "Upgrade: TLS/1.2\r\n"),
    ] {
        let headers = format!("{headers}Connection: Upgrade\r\n");
        let request = format!("{}{}", scene.get(&headers), scene.hidden());
        shapes.push(Shape::served(format!("an upgrade {name}"), request));
    }
    shapes
}
