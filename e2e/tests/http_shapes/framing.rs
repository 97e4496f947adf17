//! Where a body ends: lengths, transfer codings and chunks (RFC 9112 sections 6 and 7).

use super::{Scene, Shape};

const BODY: &str = r#"{"value":"x"}"#;

/// All of them. What the standard has a meaning for sets `standard`, all else `refused`.
pub(super) fn all(scene: &Scene) -> Vec<Shape> {
    let mut shapes = both(scene);
    shapes.extend(lengths(scene));
    shapes.extend(codings(scene));
    shapes.extend(chunks(scene));
    shapes.extend(bodies_that_nobody_reads(scene));
    shapes
}

/// The body in one chunk.
fn chunked() -> String {
    format!("d\r\n{BODY}\r\n0\r\n\r\n")
}

/// A length and chunks: the chunks count, and nothing behind them is looked at (RFC 9112 section 6.3).
fn both(scene: &Scene) -> Vec<Shape> {
    let hidden = scene.hidden();
    let (short, long) = (chunked(), format!("{}{hidden}", chunked()));
    let empty = format!("0\r\n\r\n{hidden}");
    let put = |name, framing: &str, body: &str| scene.put(name, framing, body);
    let te = "Transfer-Encoding: chunked\r\n";
    let length = |bytes: usize| format!("Content-Length: {bytes}\r\n");
    vec![
        Shape::served(
            "a length, then chunks, and a request behind",
            put("standard", &format!("{}{te}", length(BODY.len())), &long),
        ),
        Shape::served(
            "chunks, then a length, and a request behind",
            put("standard", &format!("{te}{}", length(BODY.len())), &long),
        ),
        Shape::served(
            "a length of all, then chunks",
            put("standard", &format!("{}{te}", length(long.len())), &long),
        ),
        Shape::served(
            "chunks, then a length of all",
            put("standard", &format!("{te}{}", length(long.len())), &long),
        ),
        Shape::served(
            "chunks and a length that is none",
            put("standard", &format!("{te}Content-Length: x\r\n"), &short),
        ),
        Shape::refused(
            "a length of all, then no chunk",
            put("refused", &format!("{}{te}", length(empty.len())), &empty),
        ),
        Shape::refused(
            "no chunk, then a length of all",
            put("refused", &format!("{te}{}", length(empty.len())), &empty),
        ),
        Shape::refused(
            "a length of nothing, then chunks with a request in one",
            put(
                "refused",
                &format!("Content-Length: 0\r\n{te}"),
                &format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len()),
            ),
        ),
    ]
}

fn lengths(scene: &Scene) -> Vec<Shape> {
    let hidden = scene.hidden();
    let put = |name, framing: &str| scene.put(name, framing, BODY);
    let mut shapes = Vec::new();
    for wrong in [
        "+13",
        "-13",
        "-1",
        "1 3",
        "0xd",
        "0Xd",
        "d",
        "13,13",
        "13, 13",
        "13, 14",
        "13;",
        "1e1",
        "13.0",
        "",
        "\"13\"",
        "13\t3",
        "99999999999999999999",
        "18446744073709551616",
        "18446744073709551629",
        "18446744073709551615",
        "9223372036854775808",
        "１３",
    ] {
        let request = format!("{}{hidden}", put("refused", &format!("Content-Length: {wrong}\r\n")));
        shapes.push(Shape::refused(format!("length {wrong:?}"), request));
    }
    for (name, framing) in [
        ("two lengths", "Content-Length: 13\r\nContent-Length: 14\r\n"),
        ("two lengths, the other way", "Content-Length: 0\r\nContent-Length: 13\r\n"),
        ("two lengths, one a list", "Content-Length: 13\r\nContent-Length: 13, 13\r\n"),
        ("two lengths, one of no number", "Content-Length: 13\r\nContent-Length: x\r\n"),
        ("a length with a space before the colon", "Content-Length : 13\r\n"),
        ("a length in a folded line", "X-Folded: y\r\n Content-Length: 13\r\n"),
    ] {
        shapes.push(Shape::refused(name, format!("{}{hidden}", put("refused", framing))));
    }
    let close = "Connection: close\r\n";
    for (name, framing) in [
        ("one length twice", "Content-Length: 13\r\nContent-Length: 13\r\n"),
        ("a length with zeros before it", "Content-Length: 0013\r\n"),
        ("a length between spaces", "Content-Length:   13  \r\n"),
        ("a length in capitals", "CONTENT-LENGTH: 13\r\n"),
    ] {
        shapes.push(Shape::served(name, put("standard", &format!("{framing}{close}"))));
    }
    // Another header, however like it: the body is empty, and what follows is no request, since the connection is closed.
    let unlike = format!("{close}Content_Length: 13\r\n");
    shapes.push(Shape::refused("an underscore in the length's name", put("refused", &unlike)));
    shapes
}

fn codings(scene: &Scene) -> Vec<Shape> {
    let hidden = scene.hidden();
    let long = format!("{}{hidden}", chunked());
    let mut shapes = Vec::new();
    for wrong in [
        "chunked, identity",
        "identity, chunked",
        "identity",
        "xchunked",
        "chunkedx",
        "chunked;q=1",
        "chunked; a=b",
        "chunked,",
        ",chunked",
        ", chunked",
        "chunked, chunked",
        "chunked chunked",
        "gzip, chunked",
        "gzip",
        "\"chunked\"",
        "'chunked'",
        "chun ked",
        "chunked\u{b}",
        "\u{b}chunked",
        "chunked\u{a0}",
        "",
        "trailers, chunked",
        "chunKed\u{130}",
        "x-chunked, chunked",
    ] {
        for (with, framing) in [("", String::new()), (" and a length", "Content-Length: 13\r\n".to_owned())] {
            let framing = format!("{framing}Transfer-Encoding: {wrong}\r\n");
            shapes.push(Shape::refused(
                format!("coding {wrong:?}{with}"),
                scene.put("refused", &framing, &long),
            ));
        }
    }
    let te = "Transfer-Encoding: chunked\r\n";
    for (name, framing) in [
        ("two codings", format!("{te}Transfer-Encoding: identity\r\n")),
        ("two codings, the other way", format!("Transfer-Encoding: identity\r\n{te}")),
        ("chunked twice", format!("{te}{te}")),
        ("a coding with a space before the colon", "Transfer-Encoding : chunked\r\n".to_owned()),
        ("a coding with a tab before the colon", "Transfer-Encoding\t: chunked\r\n".to_owned()),
        ("a coding in a folded line", "X-Folded: y\r\n Transfer-Encoding: chunked\r\n".to_owned()),
        ("a coding folded itself", "Transfer-Encoding:\r\n chunked\r\n".to_owned()),
        ("a coding behind a zero byte", "X-Zero: y\0\r\nTransfer-Encoding: chunked\r\n".to_owned()),
        ("a coding behind a lone CR", "X-Alone: y\rTransfer-Encoding: chunked\r\n".to_owned()),
    ] {
        shapes.push(Shape::refused(name, scene.put("refused", &framing, &long)));
    }
    let older = scene.put("refused", te, &long).replacen("HTTP/1.1", "HTTP/1.0", 1);
    shapes.push(Shape::refused("chunks in HTTP/1.0", older));
    for right in ["chunked", " chunked", "\tchunked", "chunked  ", "CHUNKED", "Chunked"] {
        let framing = format!("Transfer-Encoding:{right}\r\nConnection: close\r\n");
        shapes.push(Shape::served(format!("coding {right:?}"), scene.put("standard", &framing, &long)));
    }
    shapes
}

fn chunks(scene: &Scene) -> Vec<Shape> {
    let hidden = scene.hidden();
    let put = |name, body: &str| scene.put(name, "Transfer-Encoding: chunked\r\nConnection: close\r\n", body);
    let mut shapes = Vec::new();
    for wrong in [
        "-d",
        "+d",
        "0xd",
        "x",
        "g",
        "",
        " ",
        "d d",
        "d,",
        "\"d\"",
        "fffffffffffffffff",
        "10000000000000000",
        "ffffffffffffffff",
        "1000000000000000d",
        "8000000000000000",
        "d\u{b}",
        "ｄ",
        ";a=b",
    ] {
        let body = format!("{wrong}\r\n{BODY}\r\n0\r\n\r\n{hidden}");
        shapes.push(Shape::refused(format!("chunk size {wrong:?}"), put("refused", &body)));
    }
    let extension = "e".repeat(100 * 1024);
    let trailers: String = (0..10_000).map(|number| format!("X-{number}: y\r\n")).collect();
    for (name, body) in [
        ("a chunk extension of 100 KiB", format!("d;{extension}\r\n{BODY}\r\n0\r\n\r\n")),
        (
            "extensions of 100 KiB in many chunks",
            format!("1;{}\r\n{{\r\n", "e".repeat(1_000)).repeat(100) + "0\r\n\r\n",
        ),
        ("a chunk without an end", format!("d\r\n{BODY}0\r\n\r\n")),
        ("a chunk that is longer than it says", format!("c\r\n{BODY}\r\n0\r\n\r\n{hidden}")),
        ("a chunk ended by a lone LF", format!("d\r\n{BODY}\n0\r\n\r\n")),
        ("a chunk ended by a lone CR", format!("d\r\n{BODY}\r0\r\n\r\n")),
        ("a size ended by a lone LF", format!("d\n{BODY}\r\n0\r\n\r\n")),
        ("a size ended by a lone CR", format!("d\r{BODY}\r\n0\r\n\r\n")),
        ("a lone LF within an extension", format!("d;a\n{BODY}\r\n0\r\n\r\n{hidden}")),
        ("10,000 trailers", format!("d\r\n{BODY}\r\n0\r\n{trailers}\r\n")),
        ("a trailer of 100 KiB", format!("d\r\n{BODY}\r\n0\r\nX: {extension}\r\n\r\n")),
    ] {
        shapes.push(Shape::refused(name, put("refused", &body)));
    }
    for (name, body) in [
        ("two chunks", format!("6\r\n{}\r\n7\r\n{}\r\n0\r\n\r\n{hidden}", &BODY[..6], &BODY[6..])),
        ("a size with zeros before it", format!("000d\r\n{BODY}\r\n0\r\n\r\n{hidden}")),
        ("a size in capitals", format!("D\r\n{BODY}\r\n0\r\n\r\n{hidden}")),
        ("a chunk extension", format!("d;a=b\r\n{BODY}\r\n0;c\r\n\r\n{hidden}")),
        ("a trailer", format!("d\r\n{BODY}\r\n0\r\nX: y\r\n\r\n{hidden}")),
        ("a length as a trailer", format!("d\r\n{BODY}\r\n0\r\nContent-Length: 500\r\n\r\n{hidden}")),
        ("a token as a trailer", format!("d\r\n{BODY}\r\n0\r\nAuthorization: Bearer x\r\n\r\n{hidden}")),
    ] {
        shapes.push(Shape::served(format!("{name}, and a request behind"), put("standard", &body)));
    }
    shapes
}

/// Refused before the body was looked at: the body is still no request.
fn bodies_that_nobody_reads(scene: &Scene) -> Vec<Shape> {
    let hidden = scene.hidden();
    let (host, token) = (&scene.authority, &scene.token);
    let ask = |line: &str, headers: &str, body: &str| {
        let length = body.len();
        format!("{line} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
    };
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let many = hidden.repeat(2 * 1024 * 1024 / hidden.len());
    let put = "PUT /secrets/refused?api-version=7.4";
    vec![
        Shape::refused("no token, and a request as the body", ask(put, "", &hidden)),
        Shape::refused(
            "a bad token, and a request as the body",
            ask(put, "Authorization: Bearer x\r\n", &hidden),
        ),
        Shape::refused(
            "a GET with a request as the body, refused",
            ask("GET /secrets/keep?api-version=7.4", "", &hidden),
        ),
        Shape::served(
            "a GET with a request as the body",
            ask("GET /secrets/keep?api-version=7.4", &format!("{bearer}Connection: close\r\n"), &hidden),
        ),
        Shape::refused(
            "a wrong method, and a request as the body",
            ask("BREW /secrets/keep?api-version=7.4", &bearer, &hidden),
        ),
        Shape::refused(
            "no such path, and a request as the body",
            ask("POST /nothing?api-version=7.4", &bearer, &hidden),
        ),
        Shape::refused("a body over the limit made of requests", ask(put, &bearer, &many)),
        Shape::refused("no token, and 2 MiB of requests", ask(put, "", &many)),
        Shape::refused(
            "a body over the limit in chunks, made of requests",
            scene.put(
                "refused",
                "Transfer-Encoding: chunked\r\n",
                &format!("{:x}\r\n{many}\r\n0\r\n\r\n{hidden}", many.len()),
            ),
        ),
        Shape::refused(
            "to no such host, a request as the body",
            ask(put, "", &hidden).replacen(&format!("Host: {host}"), "Host: evil.example", 1),
        ),
    ]
    .into_iter()
    // A connection that is kept may be asked again, and is not: the client has said all it had to say.
    .map(|shape| Shape { is_many: false, ..shape })
    .collect()
}
