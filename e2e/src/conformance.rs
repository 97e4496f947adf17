//! How the tests of a foreign suite ended, and whether that is what the checked-in list says (`e2e/conformance/expected.txt`).
//!
//! Knows nothing of Python or of vaults: it reads the notes that `e2e/conformance/devtools_testutils/plugin.py` wrote.

use serde_json::Value;

/// The suites' own words for a test that names an api-version which they leave out when they are live. Not ours to list: 9 in 10 are such.
const OLDER: &str = "This test only uses the default API version for live tests";

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Everything that it asserts held.
    Passed,
    /// Something did not.
    Failed,
    /// It was not run.
    Skipped,
}

/// One test and how it ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// `FILE::CLASS::TEST[PARAMETERS]`.
    pub test: String,
    /// Whether it talks to a vault.
    pub is_live: bool,
    /// How it ended.
    pub end: End,
    /// Why it failed or was skipped: one line.
    pub why: String,
}

impl Outcome {
    /// Reads a line of the plugin's notes; `None` if it is none.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let note: Value = serde_json::from_str(line).ok()?;
        let text = |key: &str| note.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let end = match text("outcome").as_str() {
            "passed" => End::Passed,
            "failed" => End::Failed,
            "skipped" => End::Skipped,
            _ => return None,
        };
        Some(Self { test: text("test"), is_live: text("kind") == "live", end, why: text("why") })
    }

    /// Whether the suite left it out because it names an older api-version.
    fn is_older(&self) -> bool {
        self.end == End::Skipped && self.why == OLDER
    }
}

/// A test, or several, that need not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The suite that it is in.
    pub suite: String,
    /// Its name, or a part with `*` for the rest.
    pub pattern: String,
    /// Why a user would accept it.
    pub reason: String,
}

impl Listed {
    /// Reads the list.
    ///
    /// # Errors
    /// A line that is neither `SUITE: reason` nor, indented, a test below one.
    pub fn parse(text: &str) -> Result<Vec<Self>, String> {
        let mut found = Vec::new();
        let mut head: Option<(&str, &str)> = None;
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            match (line.starts_with(' '), line.split_once(": "), head) {
                (false, Some((suite, reason)), _) if !reason.trim().is_empty() => {
                    head = Some((suite, reason))
                }
                (true, _, Some((suite, reason))) => found.push(Self {
                    suite: suite.to_owned(),
                    pattern: line.trim().to_owned(),
                    reason: reason.to_owned(),
                }),
                _ => return Err(format!("neither `SUITE: reason` nor a test below one: {line}")),
            }
        }
        Ok(found)
    }

    fn means(&self, test: &str) -> bool {
        let inner = self.pattern.trim_start_matches('*').trim_end_matches('*');
        match (self.pattern.starts_with('*'), self.pattern.ends_with('*')) {
            (false, false) => test == inner,
            (true, false) => test.ends_with(inner),
            (false, true) => test.starts_with(inner),
            (true, true) => test.contains(inner),
        }
    }
}

/// What a suite's run comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Live tests that passed.
    pub live: usize,
    /// Offline tests that passed.
    pub offline: usize,
    /// Live tests that did not pass, and are listed.
    pub listed: usize,
    /// Tests of older api-versions, which the suite leaves out.
    pub older: usize,
    /// What is not as the list says, a line each.
    pub faults: Vec<String>,
}

impl Verdict {
    /// Holds a suite's outcomes against the list.
    #[must_use]
    pub fn of(suite: &str, outcomes: &[Outcome], list: &[Listed]) -> Self {
        let list: Vec<&Listed> = list.iter().filter(|listed| listed.suite == suite).collect();
        let mut verdict = Self::default();
        for outcome in outcomes {
            let listed = list.iter().any(|listed| listed.means(&outcome.test));
            verdict.count(outcome, listed);
        }
        for listed in list {
            if !outcomes.iter().any(|outcome| listed.means(&outcome.test)) {
                verdict.faults.push(format!("{}: listed, but there is no such test", listed.pattern));
            }
        }
        verdict
    }

    fn count(&mut self, outcome: &Outcome, is_listed: bool) {
        let Outcome { test, is_live, end, why } = outcome;
        match (end, is_live, is_listed) {
            (End::Passed, _, true) => self.faults.push(format!("{test}: passes: take it off the list")),
            (End::Passed, true, false) => self.live += 1,
            (End::Passed, false, false) => self.offline += 1,
            (End::Failed | End::Skipped, true, _) if outcome.is_older() => self.older += 1,
            (End::Failed | End::Skipped, true, true) => self.listed += 1,
            (End::Failed, _, _) => self.faults.push(format!("{test}: {why}")),
            (End::Skipped, true, false) => self.faults.push(format!("{test}: skipped: {why}")),
            // Offline and skipped: for a recording only.
            (End::Skipped, false, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# why\nkeys: needs hardware\n    *_mhsm]\n    test_a.py::test_b\n\nsecrets: broken\n    test_c.py*\n";

    fn outcome(test: &str, kind: &str, outcome: &str, why: &str) -> Outcome {
        let note = serde_json::json!({"test": test, "kind": kind, "outcome": outcome, "why": why});
        Outcome::parse(&note.to_string()).unwrap()
    }

    fn judged(outcomes: &[Outcome]) -> Verdict {
        Verdict::of("keys", outcomes, &Listed::parse(LIST).unwrap())
    }

    #[test]
    fn a_list_without_a_reason_is_refused() {
        assert!(Listed::parse("    test_a.py::test_b\n").is_err());
        assert!(Listed::parse("keys:\n").is_err());
        assert_eq!(Listed::parse(LIST).unwrap().len(), 3);
    }

    #[test]
    fn what_is_as_listed_is_no_fault() {
        let verdict = judged(&[
            outcome("test_x.py::test_y[7.5_mhsm]", "live", "skipped", "No HSM endpoint"),
            outcome("test_a.py::test_b", "live", "failed", "x"),
            outcome("test_x.py::test_z", "live", "passed", ""),
            outcome("test_x.py::test_o", "offline", "passed", ""),
            outcome("test_x.py::test_p", "offline", "skipped", "for playback only"),
            outcome("test_x.py::test_q[7.0]", "live", "skipped", OLDER),
        ]);
        assert_eq!(verdict, Verdict { live: 1, offline: 1, listed: 2, older: 1, faults: vec![] });
    }

    #[test]
    fn failing_skipping_unlisted_and_passing_listed_are_faults() {
        let verdict = judged(&[
            outcome("test_x.py::test_y[7.5_mhsm]", "live", "passed", ""),
            outcome("test_x.py::test_z", "live", "failed", "boom"),
            outcome("test_x.py::test_s", "live", "skipped", "no reason of ours"),
            outcome("test_x.py::test_o", "offline", "failed", "bang"),
        ]);
        assert_eq!(
            verdict.faults,
            [
                "test_x.py::test_y[7.5_mhsm]: passes: take it off the list",
                "test_x.py::test_z: boom",
                "test_x.py::test_s: skipped: no reason of ours",
                "test_x.py::test_o: bang",
                "test_a.py::test_b: listed, but there is no such test",
            ]
        );
    }
}
