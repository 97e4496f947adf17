//! Signing in by a browser on this machine: authorization code with PKCE, answered to a port of the loopback address (RFC 8252 section 7.3).

use super::{Answer, CLIENT, OPENID, Tokens, ask, refused};
use crate::{failure::Failure, https::Https, output};
use crypt::{compare, encoding::base64url, fresh_secret, sha256};
use domain::Secret;
use std::{collections::HashMap, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// How long somebody may take to sign in.
const SIGN_IN_TIME_MAX: Duration = Duration::from_secs(600);
/// Bytes of the request by which the browser brings the answer.
const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// How long it may take to bring it, once it has connected.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);

const PAGE: &str = "<!doctype html><html lang=en><meta charset=utf-8><meta name=color-scheme content=\"light dark\"><title>Keyless</title>\
    <body style=\"font:16px system-ui;margin:15vh auto;max-width:30em;padding:0 1em\">";

/// Is there a desktop that a browser could be opened on?
pub(super) fn can_be_opened() -> bool {
    crate::variable("DISPLAY").is_some() || crate::variable("WAYLAND_DISPLAY").is_some()
}

/// Opens a browser, waits for the answer, and redeems the code that it brings.
pub(super) async fn sign_in(https: &Https, server: &str) -> Result<Tokens, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let redirect_uri = format!("http://127.0.0.1:{}", listener.local_addr()?.port());
    let [verifier, state, nonce] = [(); 3].map(|()| fresh_secret(&crypt::SystemEntropy));
    let challenge = base64url(sha256(verifier.expose()).bytes());
    let encoded = |text: &str| text.replace(':', "%3A").replace('/', "%2F").replace(' ', "%20");
    let url = format!(
        "{server}/organizations/oauth2/v2.0/authorize?client_id={CLIENT}&response_type=code&redirect_uri={}&scope={}&state={}&nonce={}&code_challenge={challenge}&code_challenge_method=S256",
        encoded(&redirect_uri),
        encoded(OPENID),
        state.expose(),
        nonce.expose(),
    );
    open(&url);
    output::note(format_args!(
        "Sign in in the browser that opens. If none does, open this yourself:\n  {url}"
    ));
    let waiting = tokio::time::timeout(SIGN_IN_TIME_MAX, wait(&listener, &state));
    let code = waiting.await.map_err(|_| Failure::new("nobody has signed in for ten minutes"))??;
    let form = [
        ("client_id", CLIENT),
        ("grant_type", "authorization_code"),
        ("code", code.expose()),
        ("redirect_uri", &redirect_uri),
        ("code_verifier", verifier.expose()),
    ];
    match ask(https, &form).await? {
        Answer::Granted(tokens) => Ok(tokens),
        Answer::Refused(refusal) => Err(refused(&refusal)),
    }
}

/// Asks the desktop to open a page. Whether it does is seen by the user, who is shown the URL too.
fn open(url: &str) {
    let mut command = std::process::Command::new("xdg-open");
    let quiet = std::process::Stdio::null;
    let _is_shown_anyway = command.arg(url).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
}

/// Waits for the request that brings the answer to this sign-in; whatever else asks gets nothing.
async fn wait(listener: &TcpListener, state: &Secret<String>) -> Result<Secret<String>, Failure> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        let Ok(Some(answer)) = tokio::time::timeout(REQUEST_TIME_MAX, request(&mut stream)).await else {
            continue;
        };
        let is_ours = answer
            .get("state")
            .is_some_and(|told| compare::equal(told.expose().as_bytes(), state.expose().as_bytes()));
        if !is_ours {
            reply(&mut stream, "404 Not Found", "There is nothing here.").await;
            continue;
        }
        if let Some(code) = answer.get("code") {
            reply(&mut stream, "200 OK", "You are signed in. You can close this page.").await;
            return Ok(Secret::new(code.expose().clone()));
        }
        reply(&mut stream, "200 OK", "You are not signed in. The command says why.").await;
        let told = answer.get("error_description").or_else(|| answer.get("error"));
        let told = told.map_or("the directory's answer is not understood", |told| told.expose().as_str());
        let plain: String = told.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(500).collect();
        return Err(Failure::new(format!("not logged in: {plain}")));
    }
}

/// The query of one request for `/`.
async fn request(stream: &mut TcpStream) -> Option<HashMap<String, Secret<String>>> {
    let mut head = Vec::with_capacity(REQUEST_BYTES_MAX);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() >= REQUEST_BYTES_MAX || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let head = Secret::new(head);
    let line = std::str::from_utf8(head.expose()).ok()?.lines().next()?;
    let target = line.strip_prefix("GET ")?.strip_suffix(" HTTP/1.1")?;
    let query = target.strip_prefix("/?").unwrap_or_default();
    Some(
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), decoded(value)))
            .collect(),
    )
}

fn decoded(value: &str) -> Secret<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).unwrap_or(0);
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => u8::try_from(digit(rest.next()) << 4 | digit(rest.next())).unwrap_or(b'?'),
            other => other,
        });
    }
    Secret::new(String::from_utf8_lossy(&bytes).into_owned())
}

async fn reply(stream: &mut TcpStream, status: &str, text: &str) {
    let body = format!("{PAGE}<p>{text}</p></body></html>");
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
         content-security-policy: default-src 'none'; style-src 'unsafe-inline'\r\nreferrer-policy: no-referrer\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let _gone = stream.write_all(answer.as_bytes()).await;
    let _gone = stream.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn brought(query: &str) -> (Option<Result<String, String>>, String) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Secret::new("s".to_owned());
        let sent = format!("GET /{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        let browser = tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(sent.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        });
        let waited = tokio::time::timeout(Duration::from_millis(300), wait(&listener, &state)).await.ok();
        let waited =
            waited.map(|done| done.map(|code| code.expose().clone()).map_err(|failure| failure.to_string()));
        (waited, browser.await.unwrap())
    }

    #[tokio::test]
    async fn only_the_answer_to_this_sign_in_is_taken() {
        let (code, page) = brought("?code=a%2Bb&state=s").await;
        assert_eq!(code, Some(Ok("a+b".to_owned())));
        assert!(page.starts_with("HTTP/1.1 200") && !page.contains("a+b"), "{page}");
        let (refused, _) =
            brought("?error=access_denied&error_description=User+declined%3Cscript%3E&state=s").await;
        assert_eq!(refused, Some(Err("not logged in: User declined<script>".to_owned())));
        for query in ["?code=x&state=other", "?code=x", "favicon.ico", ""] {
            let (code, page) = brought(query).await;
            assert_eq!(code, None, "{query}");
            assert!(page.starts_with("HTTP/1.1 404"), "{page}");
        }
    }
}
