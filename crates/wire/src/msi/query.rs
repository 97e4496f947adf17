//! The query of a token request: `api-version`, `resource` and at most one selector.
//!
//! Tolerant in spelling, as clients differ: Python leaves `:` and `/` unescaped, JavaScript and Rust escape them; names are compared
//! without case; unknown parameters are ignored. Strict in meaning: nothing that decides may come twice.
//! Spec: <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>.

use super::rules::Generation;
use crate::query::pairs;
use domain::limits;
use identity::{Selector, TokenQuery};

/// What is wrong with a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryFault {
    /// A parameter that may come once came twice.
    Twice(&'static str),
    /// No `api-version`.
    NoApiVersion,
    /// One that we do not speak.
    UnknownApiVersion,
    /// The secret came in the header of the other generation.
    WrongHeader(Generation),
    /// No `resource`, or an empty one.
    NoResource,
    /// A resource longer than any real one.
    LongResource,
    /// More than one identity is selected.
    TwoSelectors,
}

/// Reads the query of a request whose secret came in the header of `generation`.
///
/// # Errors
/// [`QueryFault`].
pub fn parse(query: &str, generation: Generation) -> Result<TokenQuery, QueryFault> {
    let (mut version, mut resource, mut selector) = (None, None, None);
    for (name, value) in pairs(query) {
        let is = |expected: &str| name.eq_ignore_ascii_case(expected);
        if is("api-version") {
            once(&mut version, value, QueryFault::Twice("api-version"))?;
        } else if is("resource") {
            once(&mut resource, value, QueryFault::Twice("resource"))?;
        } else if is("client_id") || is("clientid") {
            once(&mut selector, Selector::Client(value.into_owned()), QueryFault::TwoSelectors)?;
        } else if is("object_id") || is("principal_id") {
            once(&mut selector, Selector::Principal(value.into_owned()), QueryFault::TwoSelectors)?;
        } else if is("mi_res_id") || is("msi_res_id") {
            once(&mut selector, Selector::Resource(value.into_owned()), QueryFault::TwoSelectors)?;
        }
    }
    let asked = match version.as_deref() {
        None => return Err(QueryFault::NoApiVersion),
        Some("2019-08-01") => Generation::V2019,
        Some("2017-09-01") => Generation::V2017,
        Some(_) => return Err(QueryFault::UnknownApiVersion),
    };
    if asked != generation {
        return Err(QueryFault::WrongHeader(asked));
    }
    let resource = resource.filter(|resource| !resource.is_empty()).ok_or(QueryFault::NoResource)?;
    if resource.len() > limits::AUDIENCE_CHARS_MAX {
        return Err(QueryFault::LongResource);
    }
    Ok(TokenQuery { resource: resource.into_owned(), selector })
}

fn once<T>(place: &mut Option<T>, value: T, twice: QueryFault) -> Result<(), QueryFault> {
    if place.replace(value).is_some() { Err(twice) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(query: &str) -> Result<TokenQuery, QueryFault> {
        parse(query, Generation::V2019)
    }

    #[test]
    fn both_spellings_of_a_resource_are_one() {
        for query in [
            "api-version=2019-08-01&resource=https://vault.azure.net",
            "api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net",
            "resource=https%3a%2f%2fvault.azure.net&API-Version=2019-08-01&x=y",
        ] {
            let expected = TokenQuery { resource: "https://vault.azure.net".to_owned(), selector: None };
            assert_eq!(parsed(query), Ok(expected), "{query}");
        }
        assert!(parse("api-version=2017-09-01&resource=r", Generation::V2017).is_ok());
    }

    #[test]
    fn selectors_have_many_names() {
        for (name, selector) in [
            ("client_id", Selector::Client("x".to_owned())),
            ("clientid", Selector::Client("x".to_owned())),
            ("object_id", Selector::Principal("x".to_owned())),
            ("principal_id", Selector::Principal("x".to_owned())),
            ("mi_res_id", Selector::Resource("x".to_owned())),
            ("msi_res_id", Selector::Resource("x".to_owned())),
        ] {
            let query = parsed(&format!("api-version=2019-08-01&resource=r&{name}=x")).unwrap();
            assert_eq!(query.selector, Some(selector), "{name}");
        }
    }

    #[test]
    fn faults_are_named() {
        let long = format!("api-version=2019-08-01&resource={}", "x".repeat(limits::AUDIENCE_CHARS_MAX + 1));
        for (query, fault) in [
            ("", QueryFault::NoApiVersion),
            ("resource=r", QueryFault::NoApiVersion),
            ("api-version=&resource=r", QueryFault::UnknownApiVersion),
            ("api-version=2018-02-01&resource=r", QueryFault::UnknownApiVersion),
            ("api-version=2019-08-01%00&resource=r", QueryFault::UnknownApiVersion),
            ("api-version=2019-08-01&api-version=2019-08-01&resource=r", QueryFault::Twice("api-version")),
            ("api-version=2017-09-01&resource=r", QueryFault::WrongHeader(Generation::V2017)),
            ("api-version=2019-08-01", QueryFault::NoResource),
            ("api-version=2019-08-01&resource=", QueryFault::NoResource),
            ("api-version=2019-08-01&resource=r&Resource=s", QueryFault::Twice("resource")),
            ("api-version=2019-08-01&resource=r&client_id=a&object_id=b", QueryFault::TwoSelectors),
            ("api-version=2019-08-01&resource=r&client_id=a&client_id=a", QueryFault::TwoSelectors),
            (&long, QueryFault::LongResource),
        ] {
            assert_eq!(parsed(query), Err(fault), "{query}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_it_accepts_is_whole(query in ".{0,200}", tail in "[a-z_%=&-]{0,60}") {
            let query = format!("{query}&api-version=2019-08-01&resource=r&{tail}");
            if let Ok(query) = parsed(&query) {
                proptest::prop_assert_eq!(query.resource, "r");
            }
        }
    }
}
