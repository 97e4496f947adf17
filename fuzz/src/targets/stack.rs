//! The file that `keyless apply` takes: YAML of whoever wrote the stack, read by the command line itself. What is taken names a bounded number
//! of things; what is refused is refused in a short text of one line, however deep or repeated the file is, which repeats no value that stands where none may.

#![allow(dead_code, unreachable_pub, reason = "its files are the command line's, which uses all of them")]

use domain::limits;

#[path = "../../../crates/cli/src/vault/access.rs"]
mod access;
#[path = "../../../crates/cli/src/apply/stack.rs"]
mod file;
#[path = "../../../crates/cli/src/apply/rules.rs"]
mod rules;
#[path = "../../../crates/cli/src/apply/verbs.rs"]
mod verbs;

use access::Access;

/// Bytes of a refusal, besides what it repeats of the file: it names members, and those that are known. Ours.
const REFUSAL_BYTES_MAX: usize = 1024;

/// The most that a byte of the file becomes where it is no letter: `\u{7f}`.
const ESCAPED_BYTES: usize = 6;

/// What stands in seeds as a value, where only the name of a file may stand.
const CANARY: &str = "canary";

/// Is it a value and nothing else, wherever it is? Not where marks make a text of what is around it, which then may be a name.
fn is_value(text: &str) -> bool {
    let is_ended = |rest: &str| rest.is_empty() || rest.starts_with(['\n', '}']);
    let mut pieces = text.split(CANARY);
    let first = pieces.next().unwrap_or_default();
    !text.contains(['"', '\'', '?', '|', '>', '&', '*', '!', '%', '@', '`', '\t', '\r'])
        && first.ends_with("value: ")
        && pieces.next().is_some_and(is_ended)
        && pieces.next().is_none()
}

/// One file.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match file::Stack::parse(text) {
        Ok(stack) => assert!(stack.entries() <= limits::STACK_ENTRIES_MAX),
        Err(why) => {
            assert!(!why.is_empty() && why.len() <= REFUSAL_BYTES_MAX + ESCAPED_BYTES * data.len(), "{why}");
            assert!(!why.contains(char::is_control), "{why:?}");
            assert!(!is_value(text) || !why.contains(CANARY), "{why}");
        }
    }
}
