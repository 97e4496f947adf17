//! `$filter` as the resource manager's clients write it: comparisons by `eq`, joined by `and`. Pure.

use super::error::ArmError;

/// Characters of a filter, at most. Ours.
const CHARS_MAX: usize = 1_000;

/// Fields that must have values, in any case.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filter(Vec<(String, String)>);

impl Filter {
    /// Reads one.
    pub(super) fn parse(text: &str) -> Result<Self, ArmError> {
        if text.len() > CHARS_MAX {
            return Err(ArmError::bad_filter());
        }
        let (mut comparisons, mut rest) = (Vec::new(), text.trim());
        loop {
            let (field, after) = rest.split_once(char::is_whitespace).ok_or_else(ArmError::bad_filter)?;
            let is_field = !field.is_empty()
                && field.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/'));
            let after = after.trim_start();
            let operand = after.get(..2).filter(|operator| operator.eq_ignore_ascii_case("eq"));
            let after = operand.and_then(|_| after.get(2..)).ok_or_else(ArmError::bad_filter)?.trim_start();
            let (value, after) = quoted(after).ok_or_else(ArmError::bad_filter)?;
            if !is_field {
                return Err(ArmError::bad_filter());
            }
            comparisons.push((field.to_owned(), value));
            let after = after.trim_start();
            if after.is_empty() {
                return Ok(Self(comparisons));
            }
            let joined = after.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("and "));
            rest = after.get(4..).filter(|_| joined).ok_or_else(ArmError::bad_filter)?.trim_start();
        }
    }

    /// Has something the values? A field that it does not have is like none.
    pub(super) fn takes(&self, field: impl Fn(&str) -> Option<String>) -> bool {
        self.0.iter().all(|(name, value)| {
            let name = ["resourceType", "resourceGroup", "location", "name"]
                .into_iter()
                .find(|known| known.eq_ignore_ascii_case(name))
                .unwrap_or(name);
            field(name).is_some_and(|found| found.eq_ignore_ascii_case(value))
        })
    }
}

/// A text in quotes, in which a quote is written twice, and what comes after it.
pub(super) fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text.strip_prefix('\'')?;
    loop {
        let (before, after) = rest.split_once('\'')?;
        value.push_str(before);
        match after.strip_prefix('\'') {
            Some(after) => {
                value.push('\'');
                rest = after;
            }
            None => return Some((value, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_are_joined_by_and() {
        let filter =
            Filter::parse("resourceType eq 'Microsoft.KeyVault/vaults' and name eq 'It''s'").unwrap();
        let field = |name: &str| match name {
            "resourceType" => Some("microsoft.keyvault/Vaults".to_owned()),
            "name" => Some("it's".to_owned()),
            _ => None,
        };
        assert!(filter.takes(field));
        assert!(!Filter::parse("tagName eq 'x'").unwrap().takes(field));
        for bad in [
            "",
            "name",
            "name eq",
            "name eq x",
            "name ne 'x'",
            "name eq 'x",
            "name eq 'x' or name eq 'y'",
            "name eq 'x' and",
            "a b eq 'x'",
            "na(me eq 'x'",
            "name eé 'x'",
        ] {
            assert!(Filter::parse(bad).is_err(), "{bad}");
        }
        assert!(Filter::parse(&format!("name eq '{}'", "x".repeat(1_000))).is_err());
    }
}
