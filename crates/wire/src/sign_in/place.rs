//! Where a page is: its path and query, which are all that it knows from the page before.

use form_urlencoded::Serializer;

/// The URL of a page, without its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    path: String,
    query: String,
}

impl Place {
    pub(super) fn new(path: &str, query: &str) -> Self {
        Self { path: path.to_owned(), query: query.to_owned() }
    }

    /// The query as it came.
    pub(super) fn query(&self) -> &str {
        &self.query
    }

    /// By which a page of ours refers to it. Browsers read `//host` and `/\host` as another host: no path of ours begins so.
    pub(super) fn href(&self) -> String {
        let is_ours = self.path.starts_with('/') && !self.path.starts_with("//") && !self.path.contains('\\');
        match (is_ours, self.query.is_empty()) {
            (false, _) => "/".to_owned(),
            (true, true) => self.path.clone(),
            (true, false) => format!("{}?{}", self.path, self.query),
        }
    }

    /// The same page without these parameters.
    pub(super) fn without(&self, names: &[&str]) -> Self {
        let is_kept = |pair: &&str| {
            let parsed = form_urlencoded::parse(pair.as_bytes()).next();
            parsed.is_none_or(|(name, _)| !names.contains(&&*name))
        };
        let kept: Vec<&str> = self.query.split('&').filter(is_kept).collect();
        Self { path: self.path.clone(), query: kept.join("&") }
    }

    /// The same page with one parameter more.
    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        let mut added = Serializer::new(self.query.clone());
        added.append_pair(name, value);
        Self { path: self.path.clone(), query: added.finish() }
    }

    /// The same page with other parameters.
    pub(super) fn of(&self, pairs: &[(&'static str, String)]) -> Self {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(pairs);
        Self { path: self.path.clone(), query: query.finish() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_loses_and_gains_parameters() {
        let place = Place::new("/t/authorize", "a=1&%70rompt=login&b=%26&prompt=x&max_age");
        assert_eq!(place.without(&["prompt", "max_age"]).href(), "/t/authorize?a=1&b=%26");
        assert_eq!(place.without(&["a", "b", "prompt", "max_age"]).href(), "/t/authorize");
        assert_eq!(Place::new("/t", "a=1").with("prompt", "x&y").href(), "/t?a=1&prompt=x%26y");
        assert_eq!(Place::new("/t", "").with("prompt", "x").href(), "/t?prompt=x");
        assert_eq!(Place::new("/t", "old=1").of(&[("a", "ü".to_owned())]).href(), "/t?a=%C3%BC");
    }

    #[test]
    fn a_place_is_never_at_another_host() {
        for path in ["//evil.example/x", "/\\evil.example/x", "/a\\b", "https://evil.example", ""] {
            assert_eq!(Place::new(path, "a=1").href(), "/", "{path}");
        }
    }
}
