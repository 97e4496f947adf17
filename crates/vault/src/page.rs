//! Pages of a list: a token names the last key that was seen, so that pages stay right while others write.

use crate::VaultError;
use crypt::encoding;
use domain::limits;
use std::num::NonZeroU16;
use store::Key;

/// Which page is asked for.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// Items, at most [`limits::PAGE_ITEMS_MAX`].
    pub items: NonZeroU16,
    /// The token of the page before, if any.
    pub token: Option<String>,
}

impl PageRequest {
    pub(crate) fn limit(&self) -> NonZeroU16 {
        NonZeroU16::new(limits::PAGE_ITEMS_MAX).map_or(self.items, |most| self.items.min(most))
    }

    /// The key after which the page begins: only ever below the prefix of this list.
    pub(crate) fn after(&self, prefix: &Key) -> Result<Option<Key>, VaultError> {
        let Some(token) = &self.token else { return Ok(None) };
        let last = encoding::from_base64url(token.as_bytes()).map_err(|_| VaultError::PageTokenMalformed)?;
        if last.is_empty() || last.len() > limits::OBJECT_NAME_CHARS_MAX {
            return Err(VaultError::PageTokenMalformed);
        }
        Ok(Some(Key::new([prefix.as_bytes(), &last].concat())))
    }
}

/// The token for the page after this key.
pub(crate) fn token_after(prefix: &Key, last: &Key) -> Option<String> {
    last.as_bytes().strip_prefix(prefix.as_bytes()).map(encoding::base64url)
}

/// One page of a list. It may be shorter than asked for, even empty, and have a next one.
#[derive(Debug)]
pub struct Page<T> {
    /// In the order of the store: names by their folded form, versions by their digits.
    pub items: Vec<T>,
    /// For the next page, if there is one.
    pub next: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_lead_back_to_their_key_and_strange_ones_nowhere() {
        let prefix = Key::new("secret/1/");
        let token = token_after(&prefix, &Key::new("secret/1/db")).unwrap();
        let page = |token: &str| PageRequest { items: NonZeroU16::MAX, token: Some(token.to_owned()) };
        assert_eq!(page(&token).after(&prefix).unwrap(), Some(Key::new("secret/1/db")));
        assert_eq!(page(&token).limit().get(), limits::PAGE_ITEMS_MAX);
        for strange in ["", "*", "a b", &"A".repeat(400)] {
            assert!(page(strange).after(&prefix).is_err(), "{strange}");
        }
    }
}
