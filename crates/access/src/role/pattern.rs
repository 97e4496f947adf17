//! Operations, and the patterns of roles that they match.

/// What is asked to be done, such as `Microsoft.KeyVault/vaults/write`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation<'a> {
    /// In two parts, so that nothing is copied on the way of a request.
    start: &'a str,
    rest: &'a str,
}

impl<'a> Operation<'a> {
    /// Of its whole name.
    pub const fn named(name: &'a str) -> Self {
        Self { start: "", rest: name }
    }

    /// Of a data action of Key Vault, by what comes after [`super::DATA_ACTION_PREFIX`].
    pub const fn on_vault_data(rest: &'a str) -> Self {
        Self { start: super::DATA_ACTION_PREFIX, rest }
    }

    /// Does one of these patterns match?
    pub fn is_among(self, patterns: &[impl AsRef<str>]) -> bool {
        patterns.iter().any(|pattern| self.matches(pattern.as_ref()))
    }

    fn byte(self, at: usize) -> Option<u8> {
        let start = self.start.as_bytes();
        let byte = match at.checked_sub(start.len()) {
            None => start.get(at),
            Some(at) => self.rest.as_bytes().get(at),
        };
        byte.copied()
    }

    /// `*` stands for any characters, also none. Case does not matter, as in Azure.
    fn matches(self, pattern: &str) -> bool {
        let pattern = pattern.as_bytes();
        let (mut at, mut place) = (0, 0);
        // Where the last star stands, and how far it reaches.
        let mut star = None;
        loop {
            match (pattern.get(at), self.byte(place)) {
                (Some(b'*'), _) => {
                    star = Some((at, place));
                    at += 1;
                }
                (Some(wanted), Some(byte)) if wanted.eq_ignore_ascii_case(&byte) => {
                    at += 1;
                    place += 1;
                }
                (None, None) => return true,
                (_, left) => match (star, left) {
                    // The star takes one more.
                    (Some((after, taken)), Some(_)) => {
                        star = Some((after, taken + 1));
                        at = after + 1;
                        place = taken + 1;
                    }
                    _ => return false,
                },
            }
        }
    }
}

impl std::fmt::Display for Operation<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}{}", self.start, self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_operations_in_any_case() {
        for (pattern, operation, expected) in [
            ("*", "Microsoft.KeyVault/vaults/read", true),
            ("*", "", true),
            ("Microsoft.KeyVault/*", "microsoft.keyvault/vaults/read", true),
            ("*/read", "Microsoft.KeyVault/vaults/read", true),
            ("*/read", "Microsoft.KeyVault/vaults/readers", false),
            ("*/read", "read", false),
            ("a/*/read", "a/b/c/read", true),
            ("a/*/read", "a/read", false),
            ("a/*/read", "a//read", true),
            ("Microsoft.Authorization/*/Write", "Microsoft.Authorization/roleAssignments/write", true),
            ("*a*b*", "xaxbx", true),
            ("*a*b*", "xbxax", false),
            ("keys/read", "keys/read/more", false),
            ("a/*/a", "a/a", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(Operation::named(operation).matches(pattern), expected, "{pattern} {operation}");
        }
    }

    #[test]
    fn a_data_action_is_matched_by_its_whole_name() {
        let read = Operation::on_vault_data("secrets/getSecret/action");
        assert_eq!(read.to_string(), "Microsoft.KeyVault/vaults/secrets/getSecret/action");
        for pattern in
            ["*", "Microsoft.KeyVault/*", "microsoft.keyvault/vaults/SECRETS/*", "*/getSecret/action"]
        {
            assert!(read.is_among(&[pattern]), "{pattern}");
        }
        for pattern in ["secrets/*", "Microsoft.KeyVault/vaults/keys/*", "Microsoft.KeyVault/vaults"] {
            assert!(!read.is_among(&[pattern]), "{pattern}");
        }
        assert!(!read.is_among(&[] as &[&str]));
    }
}
