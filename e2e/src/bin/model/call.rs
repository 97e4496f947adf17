//! One call: who asked what of which vault and when, and what came back.

use crate::ask::Ask;
use crate::client::Reply;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// May do everything.
    Owner,
    /// May do little: see [`crate::rules::may`].
    Reader,
    /// Has the owner's token of before the clock was moved.
    Late,
}

/// A call and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The vault's place in the model.
    pub(crate) vault: usize,
    pub(crate) who: Who,
    pub(crate) ask: Ask,
    /// The server's time before and after it, in seconds.
    pub(crate) before: i64,
    pub(crate) after: i64,
    pub(crate) reply: Reply,
}

impl Call {
    /// As it is told to a person.
    pub(crate) fn told(&self) -> String {
        let (method, path, body) = self.ask.said();
        let body = body.map(|body| format!(" {}", shortened(&body.to_string(), 300))).unwrap_or_default();
        format!("vault {}: {:?} {method} {path}{body}", self.vault, self.who)
    }

    /// With its answer.
    pub(crate) fn told_with_reply(&self) -> String {
        format!(
            "{}\n      -> {} {}",
            self.told(),
            self.reply.status,
            shortened(&self.reply.body.to_string(), 700)
        )
    }
}

/// The beginning of a long text.
pub(crate) fn shortened(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}
