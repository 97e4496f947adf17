//! Bodies of requests, member by member. A member that is known and not done here is refused if it says something, and so is one that
//! nobody knows: who asks for it would believe that it was done.

use super::error::GraphError;
use crate::body;
use axum::body::Body;
use domain::{Secret, Timestamp, limits};
use serde_json::{Map, Value};

/// The members of an object, each taken once.
#[derive(Debug)]
pub(super) struct Members {
    /// Where the object stands, for messages.
    place: &'static str,
    members: Map<String, Value>,
}

/// A body that is a JSON object; none at all is an empty one.
pub(super) async fn read(body: Body) -> Result<Members, GraphError> {
    let bytes = body::whole(body, limits::REQUEST_BODY_BYTES_MAX).await?;
    if bytes.trim_ascii().is_empty() {
        return Ok(Members { place: "the body", members: Map::new() });
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(members)) => Ok(Members { place: "the body", members }),
        Ok(_) => Err(GraphError::bad("The request body is no JSON object.")),
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            Err(GraphError::bad(format!("The request body is not JSON, at line {line} column {column}.")))
        }
    }
}

/// A value that may be taken away: `None` is not said, `Some(None)` is `null`.
pub(super) type Given<T> = Option<Option<T>>;

impl Members {
    fn wrong(&self, name: &str, expected: &str) -> GraphError {
        GraphError::bad(format!(
            "Invalid value specified for property '{name}' of {}: {expected}.",
            self.place
        ))
    }

    /// A member as it is.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name)
    }

    /// A text, or `null`.
    pub(super) fn text(&mut self, name: &'static str) -> Result<Given<String>, GraphError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(Value::String(text)) => Ok(Some(Some(text))),
            Some(_) => Err(self.wrong(name, "a string is expected")),
        }
    }

    /// A text that may be left out.
    pub(super) fn optional(&mut self, name: &'static str) -> Result<Option<String>, GraphError> {
        Ok(self.text(name)?.flatten())
    }

    /// A text that must be there.
    pub(super) fn required(&mut self, name: &'static str) -> Result<String, GraphError> {
        self.optional(name)?.ok_or_else(|| {
            GraphError::bad(format!("A value is required for property '{name}' of {}.", self.place))
        })
    }

    /// A text that nobody is to see.
    pub(super) fn secret(&mut self, name: &'static str) -> Result<Secret<String>, GraphError> {
        self.required(name).map(Secret::new)
    }

    /// Yes or no.
    pub(super) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, GraphError> {
        match self.take(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.wrong(name, "true or false is expected")),
        }
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, name: &'static str) -> Result<Option<Vec<String>>, GraphError> {
        let Some(items) = self.list(name)? else { return Ok(None) };
        let texts = items.into_iter().map(|item| match item {
            Value::String(text) => Ok(text),
            _ => Err(self.wrong(name, "a list of strings is expected")),
        });
        texts.collect::<Result<_, _>>().map(Some)
    }

    fn list(&mut self, name: &'static str) -> Result<Option<Vec<Value>>, GraphError> {
        match self.take(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(self.wrong(name, "a list is expected")),
        }
    }

    /// A list of objects.
    pub(super) fn objects(&mut self, name: &'static str) -> Result<Option<Vec<Self>>, GraphError> {
        let Some(items) = self.list(name)? else { return Ok(None) };
        let objects = items.into_iter().map(|item| match item {
            Value::Object(members) => Ok(Self { place: name, members }),
            _ => Err(self.wrong(name, "a list of objects is expected")),
        });
        objects.collect::<Result<_, _>>().map(Some)
    }

    /// An object within.
    pub(super) fn object(&mut self, name: &'static str) -> Result<Option<Self>, GraphError> {
        match self.take(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(members)) => Ok(Some(Self { place: name, members })),
            Some(_) => Err(self.wrong(name, "an object is expected")),
        }
    }

    /// An id that must be there.
    pub(super) fn id<T: std::str::FromStr>(&mut self, name: &'static str) -> Result<T, GraphError> {
        let text = self.required(name)?;
        text.parse().map_err(|_| self.wrong(name, "a GUID is expected"))
    }

    /// A time.
    pub(super) fn time(&mut self, name: &'static str) -> Result<Option<Timestamp>, GraphError> {
        let Some(text) = self.optional(name)? else { return Ok(None) };
        // Python leaves the zone out.
        let zoned = if text.ends_with(['Z', 'z']) || text.contains('+') { text } else { format!("{text}Z") };
        let time: Result<jiff::Timestamp, _> = zoned.parse();
        let time = time.map_err(|_| self.wrong(name, "a time of ISO 8601 is expected"))?;
        Ok(Some(Timestamp::from_seconds(time.as_second())))
    }

    /// What is known and not done here: it may say nothing.
    pub(super) fn finish(self) -> Result<(), GraphError> {
        let left = self.members.iter().find(|(name, value)| !name.starts_with('@') && !says_nothing(value));
        match left {
            None => Ok(()),
            Some((name, _)) => {
                let name: String = name.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
                Err(GraphError::bad(format!("Property '{name}' of {} is not supported here.", self.place)))
            }
        }
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(says_nothing),
        Value::Bool(true) | Value::Number(_) => false,
    }
}
