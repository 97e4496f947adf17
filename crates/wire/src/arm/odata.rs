//! `$filter` as the resource manager's clients write it: comparisons by `eq` and calls, joined by `and`. Pure.
//!
//! Owns: how terms are written, and the filter of resources. Owns not: which terms lists of roles have (`authorization::filter`).

use super::error::ArmError;

/// Characters of a filter, at most. Ours.
const CHARS_MAX: usize = 1_000;

/// One of the terms that all must hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Term {
    /// `field eq 'value'`.
    Is(String, String),
    /// `name()` or `name('value')`.
    Call(String, Option<String>),
}

/// The terms of a filter; none of an empty one.
pub(super) fn terms(text: &str) -> Result<Vec<Term>, ArmError> {
    if text.len() > CHARS_MAX {
        return Err(ArmError::bad_filter());
    }
    let (mut terms, mut rest) = (Vec::new(), text.trim());
    while !rest.is_empty() {
        let (term, after) = term(rest).ok_or_else(ArmError::bad_filter)?;
        terms.push(term);
        let after = after.trim_start();
        if after.is_empty() {
            break;
        }
        let is_joined = after.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("and "));
        rest = after.get(4..).filter(|_| is_joined).ok_or_else(ArmError::bad_filter)?.trim_start();
        if rest.is_empty() {
            return Err(ArmError::bad_filter());
        }
    }
    Ok(terms)
}

/// The first term, and what comes after it.
fn term(text: &str) -> Option<(Term, &str)> {
    let is_in_name = |one: char| one.is_ascii_alphanumeric() || matches!(one, '.' | '/');
    let end = text.find(|one: char| !is_in_name(one)).filter(|end| *end > 0)?;
    let (name, rest) = text.split_at_checked(end)?;
    if let Some(inner) = rest.strip_prefix('(') {
        let inner = inner.trim_start();
        let (value, rest) = quoted(inner).map_or((None, inner), |(value, rest)| (Some(value), rest));
        return Some((Term::Call(name.to_owned(), value), rest.trim_start().strip_prefix(')')?));
    }
    let rest = rest.strip_prefix(char::is_whitespace)?.trim_start();
    rest.get(..2).filter(|operator| operator.eq_ignore_ascii_case("eq"))?;
    let (value, rest) = quoted(rest.get(2..)?.trim_start())?;
    Some((Term::Is(name.to_owned(), value), rest))
}

/// Fields that must have values, in any case.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filter(Vec<(String, String)>);

impl Filter {
    /// Reads one.
    pub(super) fn parse(text: &str) -> Result<Self, ArmError> {
        let comparison = |term| match term {
            Term::Is(field, value) => Ok((field, value)),
            Term::Call(..) => Err(ArmError::bad_filter()),
        };
        match terms(text)? {
            none if none.is_empty() => Err(ArmError::bad_filter()),
            terms => terms.into_iter().map(comparison).collect::<Result<_, _>>().map(Self),
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
fn quoted(text: &str) -> Option<(String, &str)> {
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
            "atScope()",
        ] {
            assert!(Filter::parse(bad).is_err(), "{bad}");
        }
        assert!(Filter::parse(&format!("name eq '{}'", "x".repeat(1_000))).is_err());
    }
}
