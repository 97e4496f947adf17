//! Tokens that are signed when they are asked for, against the crypto library's own signature: a managed identity's, a client's by its secret.

use crate::{
    load, raw,
    report::{Report, Row, median},
    scenario::{Bench, LOGIN_HOST, Size},
    signing::{CONNECTIONS, Signing},
    system::Bare,
};
use serde_json::Value;
use std::sync::Arc;

/// Audiences that one app registration may carry (`domain::limits::IDENTIFIER_URIS_MAX`).
const AUDIENCES_EACH: usize = 20;
/// An app registration with a client secret.
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Client {
    /// The form of a client credentials request for a token to the vaults.
    pub(crate) fn credentials_form(&self) -> String {
        let Self { id, secret } = self;
        format!(
            "client_id={id}&client_secret={secret}&grant_type=client_credentials&scope=https%3A%2F%2Fvault.azure.net%2F.default"
        )
    }
}

impl Bench {
    /// The first token of each audience, so that none comes from the cache.
    pub(crate) fn cold_tokens(&self, report: &mut Report, size: &Size) {
        let mut audiences = Vec::new();
        for number in 0..size.cold_registrations {
            let name = format!("cold-{number}");
            let uris: Vec<String> =
                (0..AUDIENCES_EACH).map(|uri| format!("api://cold-{number}-{uri}")).collect();
            let mut arguments = vec!["app-registration", "create", &name, "-o", "json"];
            for uri in &uris {
                arguments.extend(["--identifier-uri", uri]);
            }
            self.system.command(&arguments, b"");
            audiences.extend(uris);
        }
        let program = std::env::current_exe().expect("a process knows its program");
        let program = program.to_str().expect("its path is text");
        let pid = self.system.pid().to_string();
        let mut arguments = vec!["run", "--app", "bench", "--", program, "endpoint", "cold", &pid];
        arguments.extend(audiences.iter().map(String::as_str));
        let printed = self.system.command(&arguments, b"");
        let pairs: Vec<(f64, f64)> = printed.trim().lines().filter_map(pair).collect();
        let cold = median(pairs.iter().map(|(cold, _)| *cold).collect());
        let signature = median(pairs.iter().map(|(_, signature)| *signature).collect());
        let ratio = median(pairs.iter().map(|(cold, signature)| cold / signature).collect());
        report.rows.push(Row {
            what: "managed identity token, cold".into(),
            figure: format!("{cold:.0} us CPU"),
            against: format!("one RSA-2048 signature, {signature:.0} us CPU"),
            ratio: Some(ratio),
            expected: "at most 1.3".into(),
            is_met: Some(ratio <= 1.3),
        });
    }

    /// Tokens a second of a core for a client by its secret, over TLS: the raw library's processor time a signature over ours a token.
    pub(crate) async fn client_credentials(&self, report: &mut Report, size: &Size) {
        let client = self.client("credentials", &[]);
        let target = self.system.target(&self.root, LOGIN_HOST);
        let request = Arc::new(vec![self.token_endpoint().request(&client.credentials_form())]);
        let answer = load::once(&target, &request[0]).await;
        let (bare, bare_target) = self.bare_signing(&answer);
        let count = if size.rounds > 3 { 400 } else { 100 };
        let raw = || raw::signature_us(count as u32);
        let cost = Signing::by_turns(size.rounds, raw, (&target, &bare_target), request, count).await;
        drop::<Bare>(bare);
        let what = format!("client credentials by secret over TLS, {CONNECTIONS} connections");
        report.rows.push(cost.rate(what, "raw RSA-2048 signatures"));
        let against = "a bare server that signs and answers over TLS";
        report.rows.push(cost.beside("client credentials", against, cost.bare));
    }

    /// A fresh app registration with a client secret.
    pub(crate) fn client(&self, name: &str, options: &[&str]) -> Client {
        let create = [&["app-registration", "create", name, "-o", "json"], options].concat();
        let id = field(self.system.command(&create, b""), "client_id");
        let add = ["app-registration", "credential", "add", &id, "-o", "json"];
        let secret = field(self.system.command(&add, b""), "secret");
        Client { id, secret }
    }

    /// The v2.0 token endpoint.
    pub(crate) fn token_endpoint(&self) -> TokenEndpoint {
        let (tenant, port) = (&self.tenant, self.system.port);
        TokenEndpoint {
            head: format!(
                "POST /{tenant}/oauth2/v2.0/token HTTP/1.1\r\nHost: {LOGIN_HOST}:{port}\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "
            ),
        }
    }
}

/// What a token cost, and a signature just before.
fn pair(line: &str) -> Option<(f64, f64)> {
    let (cold, signature) = line.split_once(' ')?;
    Some((cold.parse().ok()?, signature.parse().ok()?))
}

/// Where tokens are asked for.
pub(crate) struct TokenEndpoint {
    head: String,
}

impl TokenEndpoint {
    /// A request with this form.
    pub(crate) fn request(&self, form: &str) -> Vec<u8> {
        format!("{}{}\r\n\r\n{form}", self.head, form.len()).into_bytes()
    }
}

/// A field of a JSON object, which is text.
pub(crate) fn field(json: impl AsRef<[u8]>, name: &str) -> String {
    let value: Value = serde_json::from_slice(json.as_ref()).expect("the answer is JSON");
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}
