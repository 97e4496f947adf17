//! What a person is told when an answer is not what the model says.

use crate::call::Call;
use crate::sequential::subject;

/// So many calls before the one that failed are told, of those that are about the same name.
const TOLD_MAX: usize = 14;

/// A run that went wrong.
#[derive(Debug)]
pub(crate) struct Failure {
    /// One line: where, and what.
    pub(crate) line: String,
    /// What led to it.
    pub(crate) story: String,
}

impl Failure {
    /// The last of these calls failed. Nothing after it was done: it is the shortest beginning of its seed that fails.
    pub(crate) fn of_step(seed: u64, calls: &[Call], what: &str) -> Self {
        let step = calls.len();
        let Some(last) = calls.last() else {
            return Self { line: format!("seed {seed}: {what}"), story: String::new() };
        };
        let about = subject(last);
        let is_related =
            |call: &&Call| about.1.is_empty() || subject(call).1 == about.1 || subject(call).1.is_empty();
        let related: Vec<(usize, &Call)> =
            calls.iter().enumerate().filter(|(_, call)| is_related(call)).collect();
        let begin = related.len().saturating_sub(TOLD_MAX);
        let told: Vec<String> = related[begin..]
            .iter()
            .map(|(at, call)| format!("  {:>4} {}", at + 1, call.told_with_reply()))
            .collect();
        let (method, path, _) = last.ask.said();
        let path = path.chars().take(80).collect::<String>();
        let line = format!("seed {seed}, call {step}, {method} {path}: {what}");
        Self { line, story: told.join("\n") }
    }

    /// No order of these calls explains their answers.
    pub(crate) fn of_round(seed: u64, round: usize, calls: &[(Call, u64, u64)], what: &str) -> Self {
        let told: Vec<String> = calls
            .iter()
            .map(|(call, began, ended)| format!("  [{began:>4} to {ended:>4}] {}", call.told_with_reply()))
            .collect();
        let line = format!("seed {seed}, concurrent round {round}: {what}");
        Self { line, story: told.join("\n") }
    }
}
