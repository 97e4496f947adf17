//! One connection to one vault that is kept: a request, an answer, and so on, as SDKs do.

use std::io::{Read, Write};
use std::net::TcpStream;

use e2e::{Https, Server};
use rustls::{ClientConnection, StreamOwned};
use serde_json::Value;

/// A body of so many bytes is read by the server in any case.
const UNREAD_MAX: usize = 4_096;

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    /// Status.
    pub(crate) status: u16,
    /// The body; null if there is none.
    pub(crate) body: Value,
}

/// A client of one vault.
pub(crate) struct Client {
    https: Https,
    host: String,
    port: u16,
    stream: Option<StreamOwned<ClientConnection, TcpStream>>,
}

impl Client {
    /// A client that has no connection yet.
    pub(crate) fn new(server: &Server, vault: &str) -> Self {
        Self { https: server.https(), host: Server::vault_host(vault), port: server.port(), stream: None }
    }

    /// The host of identifiers, with its port.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Drops the connection: the next request makes another.
    pub(crate) fn hang_up(&mut self) {
        self.stream = None;
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn send(
        &mut self,
        method: &str,
        target: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> std::io::Result<Reply> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.authority());
        if let Some(token) = token {
            request.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        if !body.is_empty() {
            request.push_str("Content-Type: application/json\r\n");
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.https.connect(&self.host)?,
        };
        stream.write_all(request.as_bytes())?;
        stream.flush()?;
        let (reply, is_kept) = read(&mut stream)?;
        // A long body that is refused may be left unread: then the server closes, and could not know so when it wrote the head.
        let is_unread = reply.status >= 400 && body.len() > UNREAD_MAX;
        self.stream = (is_kept && !is_unread).then_some(stream);
        Ok(reply)
    }
}

/// Reads one answer, whose length its head must say; and whether the connection is kept after it.
fn read(stream: &mut impl Read) -> std::io::Result<(Reply, bool)> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, length)| length.trim().parse::<usize>().ok());
            let status: u16 = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
            let length = match (length, status) {
                (Some(length), _) => length,
                (None, 204) => 0,
                (None, _) => {
                    return Err(std::io::Error::other(format!("an answer of unknown length: {head}")));
                }
            };
            if bytes.len() >= end + 4 + length {
                let body = &bytes[end + 4..end + 4 + length];
                let body = match body {
                    [] => Value::Null,
                    body => serde_json::from_slice(body)?,
                };
                let is_kept = !head.to_ascii_lowercase().contains("connection: close");
                return Ok((Reply { status, body }, is_kept));
            }
        }
        match stream.read(&mut chunk)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}
