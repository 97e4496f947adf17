//! A request's query as names and values (the URL standard's application/x-www-form-urlencoded).

use std::borrow::Cow;

/// The pairs in their order, decoded. Most queries have nothing to decode, which is seen once for all of them.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let is_encoded = query.bytes().any(|byte| matches!(byte, b'%' | b'+'));
    let encoded = is_encoded.then(|| form_urlencoded::parse(query.as_bytes()));
    let plain = (!is_encoded).then(|| query.split('&').filter(|pair| !pair.is_empty()).map(split));
    encoded.into_iter().flatten().chain(plain.into_iter().flatten())
}

fn split(pair: &str) -> (Cow<'_, str>, Cow<'_, str>) {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    (name.into(), value.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_needs_no_decoding_is_read_as_if_it_did(query in "[a-c&=%+é:/$]{0,12}") {
            let expected: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
            prop_assert_eq!(pairs(&query).collect::<Vec<_>>(), expected);
        }
    }
}
