//! Signing with a vault's keys, against the crypto library alone and against the library behind the bare server.

use crate::{
    load::{self, Target},
    raw,
    report::{Report, Row, median},
    scenario::{Bench, Size, VAULT_HOST},
    system::Bare,
};
use std::sync::Arc;

/// Connections that ask for signatures: enough that the server is never idle.
pub(crate) const CONNECTIONS: usize = 16;

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
            let raw = || match algorithm {
                "RS256" => raw::signature_us(count as u32),
                _ => raw::ec_signature_us(count as u32),
            };
            let cost = Signing::by_turns(size.rounds, raw, (&target, &bare_target), request, count).await;
            drop::<Bare>(bare);
            report.rows.push(cost.rate(format!("sign, {name}, {CONNECTIONS} connections"), "raw library"));
            let beside = cost.raw + cost.bare;
            report.rows.push(cost.beside(name, "raw library and a bare answer over TLS", beside));
        }
    }
}

/// What a request costs whose answer takes a signature, beside the signature alone and a bare server: microseconds of processor time, medians.
pub(crate) struct Signing {
    ours: f64,
    raw: f64,
    pub(crate) bare: f64,
}

impl Signing {
    /// Measures the three by turns: the library, the bare server, ours (`targets` are ours and the bare one).
    pub(crate) async fn by_turns(
        rounds: usize,
        raw: impl Fn() -> f64,
        (ours, bare): (&Target, &Target),
        request: Arc<Vec<Vec<u8>>>,
        count: usize,
    ) -> Self {
        let (mut own, mut raws, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            raws.push(raw());
            answers.push(load::run(bare, request.clone(), CONNECTIONS, count).await.cpu_us);
            own.push(load::run(ours, request.clone(), CONNECTIONS, count).await.cpu_us);
        }
        Self { ours: median(own), raw: median(raws), bare: median(answers) }
    }

    /// As rates of a core, against the library alone: at least 0.85 of it.
    pub(crate) fn rate(&self, what: String, against: &str) -> Row {
        let Self { ours, raw, .. } = *self;
        let second = |us: f64| 1_000_000.0 / us;
        Row {
            what,
            figure: format!("{ours:.0} us CPU, {:.0}/s of a core", second(ours)),
            against: format!("{against}: {raw:.0} us CPU, {:.0}/s of a core", second(raw)),
            ratio: Some(raw / ours),
            expected: "at least 0.85".into(),
            is_met: Some(raw / ours >= 0.85),
        }
    }

    /// The same against what any server would need as well.
    pub(crate) fn beside(&self, what: &str, against: &str, other: f64) -> Row {
        Row {
            what: format!("the same, {what}"),
            figure: format!("{:.0} us CPU", self.ours),
            against: format!("{against}: {other:.0} us CPU"),
            ratio: Some(other / self.ours),
            expected: String::new(),
            is_met: None,
        }
    }
}
