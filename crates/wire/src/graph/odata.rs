//! OData as Graph's clients use it: `$filter`, `$select`, `$top`, and pages that stay right while others write (OData 4.0 part 2, sections
//! 5.1.1 to 5.1.5; Microsoft Graph query parameters).
//!
//! Owns: the query's grammar and its meaning on a JSON object. What is not done is refused: a filter that is ignored answers a question that
//! nobody has asked.

use super::error::GraphError;
use domain::limits;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Characters of a filter. Ours: clients ask for one or two properties.
const FILTER_CHARS_MAX: usize = 4_096;
/// Comparisons of a filter. Source: Microsoft Graph (15 in one `in` or `or`); ours is what no client needs.
const TERMS_MAX: usize = 32;

/// The query of a request.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) filter: Option<Filter>,
    select: Vec<String>,
    pub(super) top: Option<usize>,
    /// Where the page before ended.
    pub(super) after: Option<String>,
    /// As it came, without where the page before ended.
    rest: String,
}

/// Which objects are meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Filter {
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Equals {
        path: String,
        value: Value,
    },
    Differs {
        path: String,
        value: Value,
    },
    StartsWith {
        path: String,
        text: String,
    },
    /// Of a collection's items one is this.
    Any {
        path: String,
        value: Value,
    },
    /// The object's value is one of these.
    In {
        path: String,
        values: Vec<Value>,
    },
}

impl Query {
    /// Reads a query.
    pub(super) fn parse(text: &str) -> Result<Self, GraphError> {
        let mut query = Self::default();
        let (mut seen, mut rest) = (Vec::new(), form_urlencoded::Serializer::new(String::new()));
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            // The sign may be left out, and case does not matter.
            let known = name.trim_start_matches('$').to_ascii_lowercase();
            if !name.starts_with('$') {
                rest.append_pair(&name, &value);
                continue;
            }
            if seen.contains(&known) {
                return Err(GraphError::bad("A query option is given twice."));
            }
            match &*known {
                "filter" => query.filter = Some(Filter::parse(&value)?),
                "select" => {
                    query.select = value.split(',').map(|name| name.trim().to_owned()).collect();
                    query.select.retain(|name| !name.is_empty());
                }
                "top" => query.top = Some(top(&value)?),
                "skiptoken" => {
                    let is_ours = (1..=64).contains(&value.len())
                        && value
                            .bytes()
                            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
                    if !is_ours {
                        return Err(GraphError::bad("The $skiptoken is none of ours."));
                    }
                    query.after = Some(value.into_owned());
                    seen.push(known);
                    continue;
                }
                // Asked for by habit; the count is what is refused.
                "count" if value.eq_ignore_ascii_case("false") => {}
                "count" => return Err(GraphError::unsupported("$count")),
                "orderby" => return Err(GraphError::unsupported("$orderby")),
                "expand" => return Err(GraphError::unsupported("$expand")),
                "search" => return Err(GraphError::unsupported("$search")),
                "skip" => return Err(GraphError::unsupported("$skip")),
                _ => return Err(GraphError::unsupported("This query option")),
            }
            rest.append_pair(&name, &value);
            seen.push(known);
        }
        query.rest = rest.finish();
        Ok(query)
    }

    /// Items of a page.
    pub(super) fn page_items(&self) -> usize {
        self.top.unwrap_or(usize::from(limits::GRAPH_PAGE_ITEMS))
    }

    /// The query of the page after this one.
    pub(super) fn after(&self, last: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(self.rest.clone());
        query.append_pair("$skiptoken", last);
        query.finish()
    }

    /// What of an object was asked for.
    pub(super) fn selected(&self, mut object: Map<String, Value>) -> Map<String, Value> {
        if !self.select.is_empty() && !self.select.iter().any(|name| name == "*") {
            object.retain(|name, _| {
                name.starts_with('@') || self.select.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
            });
        }
        object
    }
}

fn top(text: &str) -> Result<usize, GraphError> {
    let most = usize::from(limits::GRAPH_PAGE_ITEMS_MAX);
    let top = text.parse().ok().filter(|top| (1..=most).contains(top));
    top.ok_or_else(|| GraphError::bad(format!("Invalid page size: $top is 1 to {most}.")))
}

impl Filter {
    fn parse(text: &str) -> Result<Self, GraphError> {
        if text.len() > FILTER_CHARS_MAX {
            return Err(GraphError::bad("The $filter is too long."));
        }
        let mut reader = Reader { tokens: tokens(text)?, at: 0, terms: 0 };
        let filter = reader.any_of()?;
        if reader.at < reader.tokens.len() { Err(invalid()) } else { Ok(filter) }
    }

    /// Is this one of the objects that are meant?
    pub(super) fn takes(&self, object: &Map<String, Value>) -> Result<bool, GraphError> {
        Ok(match self {
            Self::And(left, right) => left.takes(object)? && right.takes(object)?,
            Self::Or(left, right) => left.takes(object)? || right.takes(object)?,
            Self::Equals { path, value } => is_same(property(object, path)?, value),
            Self::Differs { path, value } => !is_same(property(object, path)?, value),
            Self::StartsWith { path, text } => property(object, path)?
                .as_str()
                .is_some_and(|found| found.to_lowercase().starts_with(&text.to_lowercase())),
            Self::Any { path, value } => {
                let items = property(object, path)?.as_array();
                items.is_some_and(|items| items.iter().any(|item| is_same(item, value)))
            }
            Self::In { path, values } => {
                let found = property(object, path)?;
                values.iter().any(|value| is_same(found, value))
            }
        })
    }

    /// The text that a property must be equal to, or a collection must have, if that is certain: a shortcut to the one object that has it.
    pub(super) fn must_be(&self, name: &str) -> Option<&str> {
        match self {
            Self::And(left, right) => left.must_be(name).or_else(|| right.must_be(name)),
            Self::Equals { path, value } | Self::Any { path, value } if path.eq_ignore_ascii_case(name) => {
                value.as_str()
            }
            _ => None,
        }
    }
}

/// Texts are compared without their case, as Graph does.
fn is_same(found: &Value, value: &Value) -> bool {
    match (found.as_str(), value.as_str()) {
        (Some(found), Some(value)) => found.to_lowercase() == value.to_lowercase(),
        _ => found == value,
    }
}

/// A property by its path: names with slashes between.
fn property<'o>(object: &'o Map<String, Value>, path: &str) -> Result<&'o Value, GraphError> {
    let named = |object: &'o Map<String, Value>, name: &str| {
        object.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    let mut names = path.split('/');
    let mut found = names.next().and_then(|name| named(object, name));
    for name in names {
        found = found.and_then(Value::as_object).and_then(|object| named(object, name));
    }
    found.ok_or_else(|| GraphError::bad("Invalid filter clause: the object has no such property."))
}

fn invalid() -> GraphError {
    GraphError::bad(
        "Invalid filter clause: eq, ne, in, startswith, any with eq, and, or and parentheses are supported here.",
    )
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Open,
    Close,
    Comma,
    Colon,
}

fn tokens(text: &str) -> Result<Vec<Token>, GraphError> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        tokens.push(match c {
            ' ' | '\t' => continue,
            '(' => Token::Open,
            ')' => Token::Close,
            ',' => Token::Comma,
            ':' => Token::Colon,
            '\'' => {
                let mut text = String::new();
                loop {
                    match rest.next() {
                        // Two are one.
                        Some('\'') if rest.peek() == Some(&'\'') => {
                            rest.next();
                            text.push('\'');
                        }
                        Some('\'') => break,
                        Some(c) => text.push(c),
                        None => return Err(invalid()),
                    }
                }
                Token::Text(text)
            }
            c if is_of_word(c) => {
                let mut word = String::from(c);
                while let Some(c) = rest.next_if(|c| is_of_word(*c)) {
                    word.push(c);
                }
                Token::Word(word)
            }
            _ => return Err(invalid()),
        });
    }
    Ok(tokens)
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '.')
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    terms: usize,
}

impl Reader {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn is_next(&mut self, word: &str) -> bool {
        let is =
            matches!(self.tokens.get(self.at), Some(Token::Word(next)) if next.eq_ignore_ascii_case(word));
        self.at += usize::from(is);
        is
    }

    fn must(&mut self, token: &Token) -> Result<(), GraphError> {
        if self.next().as_ref() == Some(token) { Ok(()) } else { Err(invalid()) }
    }

    fn any_of(&mut self) -> Result<Filter, GraphError> {
        let mut filter = self.all_of()?;
        while self.is_next("or") {
            filter = Filter::Or(Box::new(filter), Box::new(self.all_of()?));
        }
        Ok(filter)
    }

    fn all_of(&mut self) -> Result<Filter, GraphError> {
        let mut filter = self.term()?;
        while self.is_next("and") {
            filter = Filter::And(Box::new(filter), Box::new(self.term()?));
        }
        Ok(filter)
    }

    fn term(&mut self) -> Result<Filter, GraphError> {
        self.terms += 1;
        if self.terms > TERMS_MAX {
            return Err(GraphError::bad("The $filter has too many clauses."));
        }
        match self.next() {
            Some(Token::Open) => {
                let filter = self.any_of()?;
                self.must(&Token::Close)?;
                Ok(filter)
            }
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("startswith") => {
                self.must(&Token::Open)?;
                let Some(Token::Word(path)) = self.next() else { return Err(invalid()) };
                self.must(&Token::Comma)?;
                let Some(Token::Text(text)) = self.next() else { return Err(invalid()) };
                self.must(&Token::Close)?;
                Ok(Filter::StartsWith { path, text })
            }
            Some(Token::Word(word)) => match word.strip_suffix("/any") {
                Some(path) => self.any(path.to_owned()),
                None => self.comparison(word),
            },
            _ => Err(invalid()),
        }
    }

    /// `collection/any(c:c eq 'x')`
    fn any(&mut self, path: String) -> Result<Filter, GraphError> {
        self.must(&Token::Open)?;
        let Some(Token::Word(variable)) = self.next() else { return Err(invalid()) };
        self.must(&Token::Colon)?;
        if !self.is_next(&variable) || !self.is_next("eq") {
            return Err(invalid());
        }
        let value = self.value()?;
        self.must(&Token::Close)?;
        Ok(Filter::Any { path, value })
    }

    fn comparison(&mut self, path: String) -> Result<Filter, GraphError> {
        if self.is_next("eq") {
            return Ok(Filter::Equals { path, value: self.value()? });
        }
        if self.is_next("ne") {
            return Ok(Filter::Differs { path, value: self.value()? });
        }
        if self.is_next("in") {
            self.must(&Token::Open)?;
            let mut values = vec![self.value()?];
            loop {
                match self.next() {
                    Some(Token::Comma) if values.len() < TERMS_MAX => values.push(self.value()?),
                    Some(Token::Close) => return Ok(Filter::In { path, values }),
                    _ => return Err(invalid()),
                }
            }
        }
        Err(invalid())
    }

    fn value(&mut self) -> Result<Value, GraphError> {
        match self.next() {
            Some(Token::Text(text)) => Ok(Value::String(text)),
            Some(Token::Word(word)) => match &*word.to_ascii_lowercase() {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                "null" => Ok(Value::Null),
                // Ids are written without quotes by some.
                _ if Uuid::try_parse(&word).is_ok() => Ok(Value::String(word)),
                _ => Err(invalid()),
            },
            _ => Err(invalid()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn takes(filter: &str) -> Result<bool, GraphError> {
        let object = json!({
            "displayName": "Shop's front", "appId": "11111111-1111-4111-8111-111111111111", "accountEnabled": true,
            "mail": null, "servicePrincipalNames": ["api://shop", "x"], "web": {"homePageUrl": "https://x"},
        });
        Filter::parse(filter)?.takes(object.as_object().unwrap())
    }

    #[test]
    fn a_filter_means_what_it_says() {
        for (filter, is) in [
            ("displayName eq 'shop''s FRONT'", true),
            ("displayName eq 'shop'", false),
            ("startswith(displayName,'Shop')", true),
            ("startsWith(displayName, 'front')", false),
            ("servicePrincipalNames/any(c:c eq 'api://shop')", true),
            ("servicePrincipalNames/any(x: x eq 'api://other')", false),
            ("accountEnabled eq true and appId eq '11111111-1111-4111-8111-111111111111'", true),
            ("appId eq 11111111-1111-4111-8111-111111111111", true),
            ("accountEnabled eq false or (mail eq null and web/homePageUrl eq 'https://X')", true),
            ("accountEnabled eq false and mail eq null or displayName eq 'x'", false),
            ("displayName ne 'x'", true),
            ("displayName in ('x', 'shop''s front')", true),
        ] {
            assert_eq!(takes(filter).unwrap(), is, "{filter}");
        }
        for filter in [
            "",
            "displayName",
            "displayName eq",
            "displayName eq 'x",
            "displayName eq x",
            "displayName gt 'x'",
            "endswith(displayName,'x')",
            "not (displayName eq 'x')",
            "(displayName eq 'x'",
            "displayName eq 'x')",
            "displayName eq 'x' and",
            "noSuch eq 'x'",
            "displayName eq 'x' displayName eq 'y'",
            "servicePrincipalNames/any(c:d eq 'x')",
            "servicePrincipalNames/all(c:c eq 'x')",
            "displayName eq \u{e9}",
            &"(".repeat(200),
            &"x".repeat(5_000),
        ] {
            assert!(takes(filter).is_err(), "{filter}");
        }
    }

    #[test]
    fn what_is_not_done_is_refused() {
        for query in [
            "$count=true",
            "$orderby=displayName",
            "$expand=owners",
            "$search=x",
            "$skip=3",
            "$apply=x",
            "$top=0",
            "$top=1000",
            "$top=x",
            "$top=1&$top=2",
            "$skiptoken=a/b",
            "$skiptoken=",
        ] {
            assert!(Query::parse(query).is_err(), "{query}");
        }
        let query = Query::parse(
            "%24top=5&$count=false&x=y&$select=id,%20appId&$skiptoken=11111111-1111-4111-8111-111111111111",
        );
        let query = query.unwrap();
        assert_eq!((query.page_items(), query.after.is_some()), (5, true));
        assert_eq!(query.after("7"), "%24top=5&%24count=false&x=y&%24select=id%2C+appId&%24skiptoken=7");
        let object = json!({"id": 1, "appId": 2, "displayName": 3, "@odata.type": 4});
        let selected = query.selected(object.as_object().unwrap().clone());
        assert_eq!(Value::Object(selected), json!({"id": 1, "appId": 2, "@odata.type": 4}));
    }
}
