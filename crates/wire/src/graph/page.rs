//! Pages: from lists that the directory gives in steps to those that a client asked for.

use super::{Answer, Asked, answer, error::GraphError, types::Object};
use directory::graph::Part;
use http::StatusCode;
use serde_json::{Value, json};
use std::future::Future;
use uuid::Uuid;

/// Objects that are looked at for one page. Ours: who filters much out gets a short page, and where to go on.
const LOOKED_AT_MAX: usize = 5_000;

impl Asked<'_> {
    /// A page of objects that come in the order of their ids. `more` gives those after an id.
    pub(super) async fn page<F>(
        &self,
        kind: &str,
        mut more: impl FnMut(Option<Uuid>) -> F,
    ) -> Result<Answer, GraphError>
    where
        F: Future<Output = Result<Part<(Uuid, Object)>, GraphError>>,
    {
        let after = self.query.after.as_deref().map(Uuid::try_parse).transpose();
        let mut after = after.map_err(|_| GraphError::bad("The $skiptoken is none of ours."))?;
        let (mut page, mut looked_at) = (Vec::new(), 0);
        let next = 'page: loop {
            let (items, next) = more(after).await?;
            let count = items.len();
            for (position, (id, object)) in items.into_iter().enumerate() {
                looked_at += 1;
                if self.is_meant(&object)? {
                    page.push(Value::Object(self.query.selected(object)));
                }
                let is_last = position + 1 == count && next.is_none();
                if !is_last && (page.len() >= self.query.page_items() || looked_at >= LOOKED_AT_MAX) {
                    break 'page Some(id);
                }
            }
            match next {
                Some(next) => after = Some(next),
                None => break None,
            }
        };
        Ok(self.listed(kind, page, next.map(|id| id.to_string()).as_deref()))
    }

    /// A page of a list that is short, in the order of its ids.
    pub(super) fn short(&self, kind: &str, mut objects: Vec<Object>) -> Result<Answer, GraphError> {
        let id_of = |object: &Object| object.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        objects.sort_by_key(id_of);
        if let Some(after) = &self.query.after {
            objects.retain(|object| id_of(object) > *after);
        }
        let (mut page, count) = (Vec::with_capacity(objects.len()), objects.len());
        for (position, object) in objects.into_iter().enumerate() {
            let id = id_of(&object);
            if self.is_meant(&object)? {
                page.push(Value::Object(self.query.selected(object)));
            }
            if page.len() >= self.query.page_items() && position + 1 < count {
                return Ok(self.listed(kind, page, Some(&id)));
            }
        }
        Ok(self.listed(kind, page, None))
    }

    pub(super) fn is_meant(&self, object: &Object) -> Result<bool, GraphError> {
        self.query.filter.as_ref().map_or(Ok(true), |filter| filter.takes(object))
    }

    fn listed(&self, kind: &str, page: Vec<Value>, next: Option<&str>) -> Answer {
        let mut body = Object::new();
        body.insert("@odata.context".to_owned(), json!(format!("{}/v1.0/$metadata#{kind}", self.base)));
        if let Some(next) = next {
            let next = format!("{}?{}", self.url, self.query.after(next));
            body.insert("@odata.nextLink".to_owned(), json!(next));
        }
        body.insert("value".to_owned(), Value::Array(page));
        Answer { target: kind.to_owned(), response: answer(StatusCode::OK, &body) }
    }
}
