//! The query of a token request: `api-version`, `resource` and at most one selector.
//!
//! Tolerant in spelling, as clients differ: Python leaves `:` and `/` unescaped, JavaScript and Rust escape them; names are compared
//! without case; unknown parameters are ignored. Strict in meaning: nothing that decides may come twice.
//!
//! The api-versions of App Service are two, with a header each. Of IMDS any date from 2018-02-01 on is taken, as its documentation has it:
//! clients send the first one or 2019-08-01, scripts whichever was the newest, and of this route they all mean the same.
//! Of Azure Arc's they are those that its clients have sent.
//! Spec: <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>,
//! <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>.

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
        } else if is("mi_res_id") || is("msi_res_id") || is("msi-res-id") {
            once(&mut selector, Selector::Resource(value.into_owned()), QueryFault::TwoSelectors)?;
        }
    }
    let version = version.ok_or(QueryFault::NoApiVersion)?;
    let asked = match (generation, &*version) {
        (Generation::Arc, "2020-06-01" | "2019-11-01" | "2019-08-15") => Generation::Arc,
        (Generation::Imds, date) if is_date_of_imds(date) => Generation::Imds,
        (Generation::V2019 | Generation::V2017, "2019-08-01") => Generation::V2019,
        (Generation::V2019 | Generation::V2017, "2017-09-01") => Generation::V2017,
        _ => return Err(QueryFault::UnknownApiVersion),
    };
    if asked != generation {
        return Err(QueryFault::WrongHeader(asked));
    }
    let resource = resource.filter(|resource| !resource.is_empty()).ok_or(QueryFault::NoResource)?;
    if resource.len() > limits::AUDIENCE_CHARS_MAX {
        return Err(QueryFault::LongResource);
    }
    // Whoever names none means another one there.
    let selector = selector.or_else(|| (generation == Generation::Imds).then_some(Selector::OwnOrOnly));
    Ok(TokenQuery { resource: resource.into_owned(), selector })
}

/// A date from the first version of IMDS that had this route as it is.
fn is_date_of_imds(version: &str) -> bool {
    const FIRST: &str = "2018-02-01";
    let is_date = version.len() == FIRST.len()
        && version.bytes().zip(FIRST.bytes()).all(|(byte, form)| match form {
            b'-' => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    is_date && version >= FIRST
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
            ("msi-res-id", Selector::Resource("x".to_owned())),
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

    #[test]
    fn metadata_requests_have_versions_and_a_meaning_of_no_selector_of_their_own() {
        for version in ["2018-02-01", "2019-08-01", "2021-02-01", "2025-04-07"] {
            let query = parse(&format!("api-version={version}&resource=r"), Generation::Imds).unwrap();
            assert_eq!(query.selector, Some(Selector::OwnOrOnly), "{version}");
            let query = format!("api-version={version}&resource=r&object_id=x");
            let selected = parse(&query, Generation::Imds).unwrap().selector;
            assert_eq!(selected, Some(Selector::Principal("x".to_owned())));
        }
        for version in
            ["2017-09-01", "2017-12-01", "", "2019-8-1", "latest", "2019-08-01-preview", "2019/08/01"]
        {
            let parsed = parse(&format!("api-version={version}&resource=r"), Generation::Imds);
            assert_eq!(parsed, Err(QueryFault::UnknownApiVersion), "{version}");
        }
        assert_eq!(parse("resource=r", Generation::Imds), Err(QueryFault::NoApiVersion));
        assert_eq!(parse("api-version=2018-02-01", Generation::Imds), Err(QueryFault::NoResource));
    }

    #[test]
    fn azure_arc_is_asked_by_the_versions_of_its_clients_and_means_the_apps_own_identity() {
        for version in ["2020-06-01", "2019-11-01", "2019-08-15"] {
            let query = parse(&format!("api-version={version}&resource=r"), Generation::Arc).unwrap();
            assert_eq!(query.selector, None, "{version}");
            let query = parse(&format!("api-version={version}&resource=r&msi_res_id=x"), Generation::Arc);
            assert_eq!(query.unwrap().selector, Some(Selector::Resource("x".to_owned())));
        }
        for version in ["2018-02-01", "2019-08-01", "2017-09-01", "2021-02-01", ""] {
            let parsed = parse(&format!("api-version={version}&resource=r"), Generation::Arc);
            assert_eq!(parsed, Err(QueryFault::UnknownApiVersion), "{version}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_version_makes_it_panic_and_what_it_takes_is_a_date(version in "[0-9é-]{0,12}") {
            let query = format!("api-version={version}&resource=r");
            if parse(&query, Generation::Imds).is_ok() {
                proptest::prop_assert!(version.len() == 10 && version.as_str() >= "2018-02-01");
            }
        }

        #[test]
        fn no_text_makes_it_panic_and_what_it_accepts_is_whole(query in ".{0,200}", tail in "[a-z_%=&-]{0,60}") {
            let query = format!("{query}&api-version=2019-08-01&resource=r&{tail}");
            if let Ok(query) = parsed(&query) {
                proptest::prop_assert_eq!(query.resource, "r");
            }
        }
    }
}
