//! `$filter` as the resource manager's clients write it: comparisons by `eq` and calls, joined by `and`. Pure.
//!
//! Owns: how terms are written, and the filters of resources and groups. Owns not: which terms lists of roles have (`authorization::filter`).

use super::error::ArmError;
use domain::Tags;

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

/// What items of a list must have: fields with values, in any case, and a tag.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    fields: Vec<(&'static str, String)>,
    tag: Option<String>,
    tag_value: Option<String>,
}

impl Filter {
    /// Reads one of a list whose items have these fields, and tags. Of another field it is refused: who asks for what nobody has is told
    /// nothing of what there is, and takes that for an answer.
    pub(super) fn parse(text: &str, fields: &[&'static str]) -> Result<Self, ArmError> {
        let mut filter = Self::default();
        for term in terms(text)? {
            let Term::Is(name, value) = term else { return Err(ArmError::bad_filter()) };
            let part = match name.to_ascii_lowercase().as_str() {
                "tagname" => &mut filter.tag,
                "tagvalue" => &mut filter.tag_value,
                _ => {
                    let field = fields.iter().find(|field| field.eq_ignore_ascii_case(&name));
                    filter.fields.push((field.ok_or_else(ArmError::bad_filter)?, value));
                    continue;
                }
            };
            if part.replace(value).is_some() {
                return Err(ArmError::bad_filter());
            }
        }
        match filter {
            Self { tag: None, tag_value: Some(_), .. } => Err(ArmError::bad_filter()),
            filter => Ok(filter),
        }
    }

    /// Has something all of that?
    pub(super) fn takes<'v>(&self, tags: &Tags, field: impl Fn(&str) -> Option<&'v str>) -> bool {
        let is_tagged = |name: &String| {
            let found = tags.get(name);
            found.is_some_and(|found| self.tag_value.as_ref().is_none_or(|value| value == found))
        };
        self.tag.as_ref().is_none_or(is_tagged)
            && self.fields.iter().all(|(name, value)| {
                field(name).is_some_and(|found| found.to_lowercase() == value.to_lowercase())
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
        let parse = |text: &str| Filter::parse(text, &["resourceType", "name"]);
        let tags = Tags::new([("Env".to_owned(), "ci".to_owned())].into()).unwrap();
        let takes = |text: &str| {
            parse(text).unwrap().takes(&tags, |name| match name {
                "resourceType" => Some("microsoft.keyvault/Vaults"),
                "name" => Some("it's"),
                _ => None,
            })
        };
        assert!(takes("resourceType eq 'Microsoft.KeyVault/vaults' and name eq 'It''s'"));
        assert!(takes("RESOURCETYPE eq 'microsoft.keyvault/vaults'"));
        assert!(!takes("resourceType eq 'Microsoft.KeyVault/vaults' and name eq 'its'"));
        assert!(takes("") && takes(" "), "of `az resource list`");
        assert!(takes("tagName eq 'env'") && takes("tagname eq 'env' and tagvalue eq 'ci'"));
        assert!(!takes("tagName eq 'env' and tagValue eq 'CI'") && !takes("tagName eq 'other'"));
        assert!(!takes("tagName eq 'env' and name eq 'its'"));
        for bad in [
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
            "location eq 'x'",
            "tagValue eq 'ci'",
            "tagName eq 'a' and tagName eq 'b'",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse(&format!("name eq '{}'", "x".repeat(1_000))).is_err());
    }
}
