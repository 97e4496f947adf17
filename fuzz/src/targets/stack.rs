//! The file that `keyless apply` takes: YAML of whoever wrote the stack, read by the command line itself. What is taken names a bounded number
//! of things; what is refused is refused in a short text of one line, however deep or repeated the file is.

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

/// One file.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match file::Stack::parse(text) {
        Ok(stack) => assert!(stack.entries() <= limits::STACK_ENTRIES_MAX),
        Err(why) => {
            assert!(!why.is_empty() && why.len() <= REFUSAL_BYTES_MAX + data.len(), "{why}");
        }
    }
}
