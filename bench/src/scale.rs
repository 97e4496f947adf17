//! How what a request costs depends on how much a vault holds: it should not.

use crate::{
    cpu, load,
    report::{Report, Row, median},
    scenario::{Bench, Size, VAULT_HOST},
};
use std::sync::Arc;

/// Clients that fill the vault.
const FILLING: usize = 64;
/// Requests that are prepared at a time: all of a million would be gigabytes of the load generator's.
const PREPARED: usize = 20_000;

/// What requests cost at one size.
struct Costs {
    secrets: usize,
    /// Reading secrets all over the vault, one after the other: wall time.
    get_us: f64,
    /// A page of 25 from the middle of the list.
    page_us: f64,
    resident_mb: f64,
}

impl Bench {
    /// Fills a vault step by step, and measures at each.
    pub(crate) async fn many_secrets(&mut self, report: &mut Report, size: &Size) {
        let mut filled = 0;
        let mut measured: Vec<Costs> = Vec::new();
        for secrets in size.secrets {
            let begin = std::time::Instant::now();
            let before = filled;
            while filled < *secrets {
                let more = PREPARED.min(secrets - filled);
                let requests: Vec<Vec<u8>> =
                    (filled..filled + more).map(|number| self.set_request(&name(number))).collect();
                let target = self.system.target(&self.root, VAULT_HOST);
                load::run(&target, Arc::new(requests), FILLING, more).await;
                filled += more;
            }
            let rate = (filled - before) as f64 / begin.elapsed().as_secs_f64();
            report
                .rows
                .push(Row::figure(&format!("filling a vault to {secrets} secrets"), format!("{rate:.0}/s")));
            measured.push(self.at(filled, size).await);
        }
        let Some(least) = measured.first() else { return };
        let at = format!("with {} secrets", least.secrets);
        for costs in &measured {
            let with = format!("with {} secrets", costs.secrets);
            if costs.secrets != least.secrets {
                report.rows.push(Row::grown(
                    &format!("latency of a GET {with}, any of them"),
                    costs.get_us,
                    &at,
                    least.get_us,
                ));
                report.rows.push(Row::grown(
                    &format!("a page of a list {with}"),
                    costs.page_us,
                    &at,
                    least.page_us,
                ));
            }
            // Issue: under 120 MB with 100,000.
            let what = format!("resident memory {with}");
            report.rows.push(match costs.secrets {
                100_000 => Row::limit(&what, costs.resident_mb, "MB", 120.0),
                _ => Row::figure(&what, format!("{:.1} MB", costs.resident_mb)),
            });
        }
    }

    async fn at(&self, secrets: usize, size: &Size) -> Costs {
        let target = self.system.target(&self.root, VAULT_HOST);
        let count = size.requests / 4;
        // A stride that shares no factor with the number of secrets: all over the vault, none twice.
        let spread = |number: usize| number * 7_919 % secrets;
        let (mut gets, mut pages) = (Vec::new(), Vec::new());
        for round in 0..size.rounds {
            let requests: Vec<Vec<u8>> =
                (0..count).map(|number| self.get_request(&name(spread(round * count + number)))).collect();
            gets.push(1_000_000.0 / load::run(&target, Arc::new(requests), 1, count).await.rate);
        }
        let first = load::once(&target, &self.request("GET", "/secrets", "")).await;
        let first: serde_json::Value = serde_json::from_slice(&first).expect("a page is JSON");
        let mut next = first["nextLink"].as_str().map(str::to_owned);
        // Some pages on, so that the way in is part of it.
        for _ in 0..10 {
            let Some(link) = next else { break };
            let page = load::once(&target, &self.follow(&link)).await;
            let page: serde_json::Value = serde_json::from_slice(&page).expect("a page is JSON");
            next = page["nextLink"].as_str().map(str::to_owned).or(Some(link));
        }
        let request = Arc::new(vec![self.follow(&next.expect("there are more pages"))]);
        for _ in 0..size.rounds {
            pages.push(load::run(&target, request.clone(), 1, count / 4).await.cpu_us);
        }
        let resident_mb = cpu::resident_kib(self.system.pid()) as f64 / 1_024.0;
        Costs { secrets, get_us: median(gets), page_us: median(pages), resident_mb }
    }

    /// A request for the rest of a list. Its link has the version of the API.
    fn follow(&self, link: &str) -> Vec<u8> {
        let path = &link[link.find("/secrets").expect("a link leads to secrets")..];
        let path = path.replace("api-version=2025-07-01&", "").replace("&api-version=2025-07-01", "");
        self.request("GET", &path, "")
    }
}

/// Not in the order in which they are made: names of people are not either.
pub(crate) fn name(number: usize) -> String {
    format!("many-{:08x}-{number}", (number as u32).wrapping_mul(2_654_435_761))
}
