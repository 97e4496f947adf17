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

/// What requests cost at one size, over the rounds.
#[derive(Default)]
struct Costs {
    /// Reading secrets all over the vault, one after the other: wall time.
    get_us: Vec<f64>,
    /// A page of 25 from the middle of the list.
    page_us: Vec<f64>,
}

impl Bench {
    /// Fills a vault step by step, and measures at each, by turns with a server that has as few as at the first step.
    pub(crate) async fn many_secrets(&mut self, report: &mut Report, size: &Size) {
        let [least, rest @ ..] = size.secrets else { return };
        let directory = self.directory.join("few");
        std::fs::create_dir_all(&directory).expect("the directory is writable");
        let mut few = Self::set_up(&self.system.keyless, &directory);
        few.fill(report, 0, *least).await;
        report.rows.push(few.memory(*least));
        // So that its secrets are in the file, as those of the large one are: so few stay in memory else until there are more.
        few.system.stop();
        few.system.start();
        let mut filled = 0;
        for secrets in rest {
            self.fill(report, filled, *secrets).await;
            filled = *secrets;
            let (mut ours, mut theirs) = (Costs::default(), Costs::default());
            let (page, their_page) = (self.later_page().await, few.later_page().await);
            for round in 0..size.rounds {
                theirs.get_us.push(few.get_us(*least, round, size).await);
                ours.get_us.push(self.get_us(*secrets, round, size).await);
                theirs.page_us.push(few.page_us(&their_page, size).await);
                ours.page_us.push(self.page_us(&page, size).await);
            }
            let with = format!("with {secrets} secrets");
            let at = format!("with {least} secrets");
            let grown = |what: &str, ours: Vec<f64>, theirs: Vec<f64>| {
                Row::grown(&format!("{what} {with}"), median(ours), &at, median(theirs))
            };
            report.rows.push(grown("latency of a GET of any secret", ours.get_us, theirs.get_us));
            report.rows.push(grown("a page of a list", ours.page_us, theirs.page_us));
            report.rows.push(self.memory(*secrets));
        }
    }

    async fn fill(&self, report: &mut Report, from: usize, to: usize) {
        let (begin, mut filled) = (std::time::Instant::now(), from);
        let target = self.system.target(&self.root, VAULT_HOST);
        while filled < to {
            let more = PREPARED.min(to - filled);
            let requests: Vec<Vec<u8>> =
                (filled..filled + more).map(|number| self.set_request(&name(number))).collect();
            load::run(&target, Arc::new(requests), FILLING, more).await;
            filled += more;
        }
        let rate = (to - from) as f64 / begin.elapsed().as_secs_f64();
        report.rows.push(Row::figure(&format!("filling a vault to {to} secrets"), format!("{rate:.0}/s")));
    }

    /// What is resident now. With 100,000 secrets it may be 120 MB.
    fn memory(&self, secrets: usize) -> Row {
        let what = format!("resident memory with {secrets} secrets");
        let resident = cpu::resident_kib(self.system.pid()) as f64 / 1_024.0;
        match secrets {
            100_000 => Row::limit(&what, resident, "MB", 120.0),
            _ => Row::figure(&what, format!("{resident:.1} MB")),
        }
    }

    async fn get_us(&self, secrets: usize, round: usize, size: &Size) -> f64 {
        let count = size.requests / 4;
        // A stride that shares no factor with the number of secrets: all over the vault, none twice.
        let spread = |number: usize| number * 7_919 % secrets;
        let requests: Vec<Vec<u8>> =
            (0..count).map(|number| self.get_request(&name(spread(round * count + number)))).collect();
        let target = self.system.target(&self.root, VAULT_HOST);
        1_000_000.0 / load::run(&target, Arc::new(requests), 1, count).await.rate
    }

    async fn page_us(&self, request: &Arc<Vec<Vec<u8>>>, size: &Size) -> f64 {
        let target = self.system.target(&self.root, VAULT_HOST);
        load::run(&target, request.clone(), 1, size.requests / 16).await.cpu_us
    }

    /// A request for a page some pages on, so that the way in is part of it.
    async fn later_page(&self) -> Arc<Vec<Vec<u8>>> {
        let target = self.system.target(&self.root, VAULT_HOST);
        let first = load::once(&target, &self.request("GET", "/secrets", "")).await;
        let first: serde_json::Value = serde_json::from_slice(&first).expect("a page is JSON");
        let mut next = first["nextLink"].as_str().map(str::to_owned);
        for _ in 0..10 {
            let Some(link) = next else { break };
            let page = load::once(&target, &self.follow(&link)).await;
            let page: serde_json::Value = serde_json::from_slice(&page).expect("a page is JSON");
            next = page["nextLink"].as_str().map(str::to_owned).or(Some(link));
        }
        Arc::new(vec![self.follow(&next.expect("there are more pages"))])
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
