//! Comparison in constant time, for anything that a stranger may guess at.

use subtle::ConstantTimeEq;

/// Whether both are equal, in time that depends on their lengths only.
#[must_use]
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_content_and_length() {
        assert!(equal(b"", b"") && equal(b"ab", b"ab"));
        assert!(!equal(b"ab", b"ac") && !equal(b"ab", b"abc") && !equal(b"", b"a"));
    }
}
