//! Signing with a vault's keys, against the crypto library alone and against the library behind the bare server.

use crate::{
    load, raw,
    report::{Report, Row, median},
    scenario::{Bench, Size, VAULT_HOST},
    system::Bare,
};
use std::sync::Arc;

/// Connections that ask for signatures: enough that the server is never idle.
const CONNECTIONS: usize = 16;

impl Bench {
    /// Signatures a second, as processor time: the raw library's a signature over ours a request.
    pub(crate) async fn sign(&self, report: &mut Report, size: &Size) {
        let digest = "A".repeat(43);
        let keys = [
            ("RSA-2048", r#"{"kty":"RSA","key_size":2048}"#, "RS256", 400),
            ("EC P-256", r#"{"kty":"EC","crv":"P-256"}"#, "ES256", 4_000),
        ];
        let target = self.system.target(&self.root, VAULT_HOST);
        for (name, body, algorithm, count) in keys {
            let path = format!("/keys/{}", name.replace([' ', '.'], "-"));
            let made = load::once(&target, &self.request("POST", &format!("{path}/create"), body)).await;
            let made: serde_json::Value = serde_json::from_slice(&made).expect("a key is JSON");
            let id = made["key"]["kid"].as_str().expect("a key has an id").to_owned();
            let path = &id[id.find("/keys/").expect("an id has a path")..];
            let body = format!(r#"{{"alg":"{algorithm}","value":"{digest}"}}"#);
            let request = Arc::new(vec![self.request("POST", &format!("{path}/sign"), &body)]);
            let answer = load::once(&target, &request[0]).await;
            let (bare, bare_target) = self.bare(&answer);
            let (mut ours, mut raws, mut answers) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..size.rounds {
                raws.push(match algorithm {
                    "RS256" => raw::signature_us(count as u32),
                    _ => raw::ec_signature_us(count as u32),
                });
                answers.push(load::run(&bare_target, request.clone(), CONNECTIONS, count).await.cpu_us);
                ours.push(load::run(&target, request.clone(), CONNECTIONS, count).await.cpu_us);
            }
            drop::<Bare>(bare);
            let (ours, raw, answer) = (median(ours), median(raws), median(answers));
            let second = |us: f64| 1_000_000.0 / us;
            report.rows.push(Row {
                what: format!("sign, {name}, {CONNECTIONS} connections"),
                figure: format!("{ours:.0} us CPU, {:.0}/s of a core", second(ours)),
                against: format!("raw library: {raw:.0} us CPU, {:.0}/s of a core", second(raw)),
                ratio: Some(raw / ours),
                expected: "at least 0.85".into(),
                is_met: Some(raw / ours >= 0.85),
            });
            report.rows.push(Row {
                what: format!("the same, {name}"),
                figure: format!("{ours:.0} us CPU"),
                against: format!("raw library and a bare answer over TLS: {:.0} us CPU", raw + answer),
                ratio: Some((raw + answer) / ours),
                expected: String::new(),
                is_met: None,
            });
        }
    }
}
