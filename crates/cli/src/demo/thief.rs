//! Processes that the demo starts: the thief, and a probe inside the app. Both do the same by hand, as any program could: they ask the
//! endpoint in their environment for a token. Only the place where they run differs.

use crate::{failure::Failure, output};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

/// Who is played.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Role {
    /// Prints status and body of the answer.
    Thief,
    /// Prints the token.
    Token,
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    /// Reads an answer of which the connection's end is the end.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&*text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, body: body.to_owned() }
    }
}

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn play(role: Role) -> Result<(), Failure> {
    let text = |name: &str| {
        let value = crate::variable(name).and_then(|value| value.into_string().ok());
        value.ok_or_else(|| Failure::new(format!("{name} is not in the environment")))
    };
    let answer = ask(&text("IDENTITY_ENDPOINT")?, &text("IDENTITY_HEADER")?)?;
    match role {
        Role::Thief => output::line(format_args!("{} {}", answer.status, answer.body.trim_end())),
        Role::Token => {
            let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
            match body.get("access_token").and_then(serde_json::Value::as_str) {
                Some(token) => output::line(token),
                None => output::line(format_args!("refused {}", answer.status)),
            }
        }
    }
    Ok(())
}

fn ask(endpoint: &str, header: &str) -> Result<Answer, Failure> {
    let malformed = || Failure::new("IDENTITY_ENDPOINT is no http URL");
    let (address, path) =
        endpoint.strip_prefix("http://").and_then(|rest| rest.split_once('/')).ok_or_else(malformed)?;
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!(
        "GET /{path}?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\r\n\
         Host: {address}\r\nX-IDENTITY-HEADER: {header}\r\nConnection: close\r\n\r\n"
    );
    // Who is refused may be so before all is written.
    let _refused_early = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    if answer.is_empty() {
        read?;
    }
    Ok(Answer::parse(&answer))
}
