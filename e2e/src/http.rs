//! HTTP/1.1 as bytes, plain and over TLS: says what a scenario wants said, also what no library would say.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// No answer within this is a hang, and a failure.
const SILENCE_MAX: Duration = Duration::from_secs(40);

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status; 0 if the connection was closed without an answer.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// Body, with its chunks joined.
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads an answer.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let (head, body) = match end.and_then(|end| bytes.split_at_checked(end)) {
            Some((head, rest)) => (head, rest.get(4..).unwrap_or_default()),
            None => (bytes, &[][..]),
        };
        let head = String::from_utf8_lossy(head).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        Self { status, body: if is_chunked { joined(body) } else { body.to_vec() }, head }
    }

    /// Reads all answers of a connection, one behind the other, without the interim ones.
    #[must_use]
    pub fn parse_all(mut bytes: &[u8]) -> Vec<Self> {
        let mut answers = Vec::new();
        while !bytes.is_empty() {
            let mut answer = Self::parse(bytes);
            let head = answer.head.len() + 4;
            let length = answer.header("Content-Length").and_then(|length| length.parse().ok());
            let is_interim = (100..200).contains(&answer.status);
            let length = if is_interim { 0 } else { length.unwrap_or(answer.body.len()) };
            answer.body.truncate(length);
            bytes = bytes.get(head + length..).unwrap_or_default();
            if !is_interim {
                answers.push(answer);
            }
        }
        answers
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or(serde_json::Value::Null)
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// `size CRLF bytes CRLF ... 0 CRLF CRLF`.
fn joined(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = rest
            .get(..end)
            .and_then(|size| usize::from_str_radix(std::str::from_utf8(size).ok()?.trim(), 16).ok())
            .unwrap_or(0);
        let Some(chunk) = rest.get(end + 2..end + 2 + size).filter(|chunk| !chunk.is_empty()) else { break };
        body.extend_from_slice(chunk);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    body
}

/// Sends these bytes to a unix socket and reads to the end.
///
/// # Errors
/// When nobody listens there, or nothing comes back in time.
pub fn unix(socket: &Path, request: &[u8]) -> std::io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    stream.set_write_timeout(Some(SILENCE_MAX))?;
    // A server may answer and close before it has read all.
    let _refused_early = stream.write_all(request);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(Answer::parse(&answer))
}

/// A client of the public listener.
#[derive(Debug, Clone)]
pub struct Https {
    config: Arc<ClientConfig>,
    port: u16,
}

impl Https {
    /// Trusts the authority in this file.
    ///
    /// # Panics
    /// When the file is no certificate.
    #[must_use]
    pub fn new(authority: &Path, port: u16) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(authority).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        Self { config: Arc::new(config.with_root_certificates(roots).with_no_client_auth()), port }
    }

    /// A connection to a name of ours. Names are not looked up: they are all this machine.
    ///
    /// # Errors
    /// When the server is not there.
    ///
    /// # Panics
    /// When the name is none.
    pub fn connect(&self, host: &str) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let client = ClientConnection::new(Arc::clone(&self.config), name).map_err(std::io::Error::other)?;
        Ok(StreamOwned::new(client, stream))
    }

    /// Sends these bytes to a host and reads to the end.
    ///
    /// # Errors
    /// When the server is not there, goes away, or is silent.
    pub fn raw(&self, host: &str, request: &[u8]) -> std::io::Result<Answer> {
        let mut stream = self.connect(host)?;
        // A server may answer and close before it has read all.
        let sent = stream.write_all(request).and_then(|()| stream.flush());
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        match (sent, read) {
            // A close without TLS's goodbye is an end like any other to us, once there is an answer.
            _ if !answer.is_empty() => Ok(Answer::parse(&answer)),
            (Err(error), _) | (_, Err(error)) => Err(error),
            _ => Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Sends these bytes to a host and reads to the end: all that was answered, which is nothing if the connection was closed instead.
    ///
    /// # Errors
    /// When the server is not there, or is silent.
    pub fn raw_all(&self, host: &str, request: &[u8]) -> std::io::Result<Vec<Answer>> {
        let mut stream = self.connect(host)?;
        // A server may answer and close before it has read all.
        let _refused_early = stream.write_all(request).and_then(|()| stream.flush());
        let mut answers = Vec::new();
        match stream.read_to_end(&mut answers) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Err(error),
            // A close without TLS's goodbye is an end like any other to us.
            _ => Ok(Answer::parse_all(&answers)),
        }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// As [`Https::raw`].
    pub fn send(
        &self,
        method: &str,
        host: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> std::io::Result<Answer> {
        let mut request =
            format!("{method} {target} HTTP/1.1\r\nHost: {host}:{}\r\nConnection: close\r\n", self.port);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        request.push_str(body);
        self.raw(host, request.as_bytes())
    }

    /// Reads a secret with a token.
    ///
    /// # Panics
    /// When there is no answer.
    #[must_use]
    pub fn get_secret(&self, vault: &str, name: &str, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let host = crate::Server::vault_host(vault);
        self.send(
            "GET",
            &host,
            &format!("/secrets/{name}/?api-version=7.4"),
            &[("Authorization", &bearer)],
            "",
        )
        .unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined() {
        let answer = Answer::parse(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        );
        assert_eq!((answer.status, answer.text().as_str()), (200, "abcde"));
    }

    #[test]
    fn answers_behind_each_other_are_told_apart() {
        let all = Answer::parse_all(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 404 Not Found\r\n\r\n",
        );
        let told: Vec<_> = all.iter().map(|answer| (answer.status, answer.text())).collect();
        assert_eq!(told, [(200, "ab".to_owned()), (404, String::new())]);
        assert!(Answer::parse_all(b"").is_empty());
    }

    #[test]
    fn no_answer_is_status_zero() {
        assert_eq!(Answer::parse(b"").status, 0);
    }
}
