//! Lists, and pages of them that stay right while others write. Pure.
//!
//! A list that one answer holds is told whole, in the order of whoever owns it. Else it is in the order of ids, and each page has what comes
//! after the last id of the one before: what is made or deleted meanwhile neither hides anything else nor repeats it.
//! Spec: Azure Resource Manager REST API, `$top`, `$skiptoken` and `nextLink` (Resources, List).

use super::{Asked, answer, error::ArmError};
use axum::response::Response;
use domain::limits;
use http::StatusCode;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Bytes of a `$skiptoken`, at most. Ours: the longest id that is here is half of it.
const TOKEN_BYTES_MAX: usize = 1_024;
/// Says where a page begins.
const SKIP_TOKEN: &str = "$skiptoken";

/// Which page of a list is asked for, as it was said: only lists mind what it is.
#[derive(Debug, Default)]
pub(super) struct Paging {
    top: Option<String>,
    after: Option<String>,
}

/// The same, sound.
struct Page<'p> {
    most: usize,
    after: Option<&'p str>,
}

impl Paging {
    /// Takes a pair of the query, if it is about pages.
    pub(super) fn takes(&mut self, name: &str, value: &str) -> bool {
        let part = match name {
            name if name.eq_ignore_ascii_case(SKIP_TOKEN) => &mut self.after,
            name if name.eq_ignore_ascii_case("$top") => &mut self.top,
            _ => return false,
        };
        *part = Some(value.to_owned());
        true
    }

    fn read(&self) -> Result<Page<'_>, ArmError> {
        let after = self.after.as_deref();
        // One of ours is an id.
        if after.is_some_and(|after| !after.starts_with('/') || after.len() > TOKEN_BYTES_MAX) {
            return Err(ArmError::bad("The $skiptoken is none of ours."));
        }
        let top = match &self.top {
            // Who asks for more than a page gets more pages.
            Some(top) => match top.parse() {
                Ok(top) if top > 0 => top,
                _ => return Err(ArmError::bad("The $top is no number of items.")),
            },
            None => usize::MAX,
        };
        Ok(Page { most: top.min(limits::RESOURCE_PAGE_ITEMS_MAX), after })
    }
}

impl Page<'_> {
    /// What of a list is on the page, and after which id the next page begins, if there is one.
    fn of(&self, mut values: Vec<Value>) -> (Vec<Value>, Option<String>) {
        let most = self.most;
        if self.after.is_none() && values.len() <= most {
            return (values, None);
        }
        values.sort_by_cached_key(id);
        if let Some(after) = self.after {
            values.retain(|value| *id(value) > *after);
        }
        let is_more = values.len() > most;
        values.truncate(most);
        let last = values.last().filter(|_| is_more).map(id);
        (values, last)
    }
}

/// By what values are in order: ids are the same in any case.
fn id(value: &Value) -> String {
    value.get("id").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase()
}

/// A list of which no part can be asked for, or the page of it that is. A filter is refused: all that there is would be taken for what it meant.
pub(super) fn list(asked: &Asked<'_>, values: Vec<Value>) -> Result<Response, ArmError> {
    match asked.query.filter.as_deref() {
        Some(filter) if !filter.trim().is_empty() => Err(ArmError::no_filter()),
        _ => filtered(asked, values),
    }
}

/// A list of what a filter took, or the page of it that is asked for.
pub(super) fn filtered(asked: &Asked<'_>, values: Vec<Value>) -> Result<Response, ArmError> {
    let (values, last) = asked.query.page.read()?.of(values);
    let mut body = Map::new();
    body.insert("value".to_owned(), Value::Array(values));
    if let Some(last) = last {
        let base = asked.context.names(asked.state).management_resource();
        let query = next(asked.uri.query().unwrap_or_default(), &last);
        let link = format!("{base}{}?{query}", asked.uri.path().trim_start_matches('/'));
        body.insert("nextLink".to_owned(), Value::String(link));
    }
    Ok(answer(StatusCode::OK, &body))
}

/// The next page's query.
fn next(query: &str, last: &str) -> String {
    let mut next = form_urlencoded::Serializer::new(String::new());
    let stays = |(name, _): &(Cow<'_, str>, _)| !name.eq_ignore_ascii_case(SKIP_TOKEN);
    next.extend_pairs(crate::query::pairs(query).filter(stays));
    next.append_pair(SKIP_TOKEN, last).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn paging(query: &str) -> Paging {
        let mut paging = Paging::default();
        for (name, value) in crate::query::pairs(query) {
            paging.takes(&name, &value);
        }
        paging
    }

    fn ids(asked: &str, ids: &[&str]) -> (Vec<String>, Option<String>) {
        let values = ids.iter().map(|id| json!({"id": id})).collect();
        let (values, last) = paging(asked).read().unwrap().of(values);
        (values.iter().map(|value| value["id"].as_str().unwrap().to_owned()).collect(), last)
    }

    #[test]
    fn pages_follow_each_other_by_ids_whatever_is_made_or_deleted_meanwhile() {
        let all = ["/d", "/B", "/a", "/c"];
        assert_eq!(ids("", &all).0, all, "whole, as its owner orders it");
        assert_eq!(ids("$top=4", &all), (all.map(str::to_owned).to_vec(), None));
        assert_eq!(ids("$top=2", &all), (vec!["/a".to_owned(), "/B".to_owned()], Some("/b".to_owned())));
        assert_eq!(ids("$top=2&$skipToken=/b", &all).0, ["/c", "/d"]);
        assert_eq!(ids("$top=2&$skipToken=/b", &all).1, None, "the last page");
        assert_eq!(ids("%24top=2&%24skiptoken=%2Fb", &["/d", "/a", "/aa", "/c"]).0, ["/c", "/d"]);
        let many: Vec<String> = (0..=limits::RESOURCE_PAGE_ITEMS_MAX).map(|at| format!("/{at:05}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for asked in ["", "$top=5000"] {
            let (page, last) = ids(asked, &many);
            assert_eq!((page.len(), last.is_some()), (limits::RESOURCE_PAGE_ITEMS_MAX, true), "{asked}");
        }
        for bad in [
            "$top=0",
            "$top=-1",
            "$top=x",
            "$top=",
            "$skiptoken=",
            "$skiptoken=abc",
            &format!("$skiptoken=/{}", "x".repeat(1_024)),
        ] {
            assert!(paging(bad).read().is_err(), "{bad}");
        }
        let next = next("api-version=2025-05-01&$filter=name eq 'é'&$skiptoken=/a&$top=2", "/b");
        let expected = "api-version=2025-05-01&%24filter=name+eq+%27%C3%A9%27&%24top=2&%24skiptoken=%2Fb";
        assert_eq!(next, expected);
    }
}
