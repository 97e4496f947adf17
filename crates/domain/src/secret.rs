//! `Secret<T>`: a value that may be used but not shown, copied by accident or left in memory.

use serde::{Deserialize, Deserializer, de};
use std::fmt;
use zeroize::Zeroize;

/// A secret, token, private key or request body. `Debug` prints `Secret(..)`; there is no `Display`, `Serialize` or `Deref`.
/// The one way in is [`Secret::expose`], which is what a reviewer greps for. Zeroized on drop.
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes a value under protection.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Every call is a place where it could leak: keep the borrow short.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl Secret<String> {
    /// The text as secret bytes, without leaving a copy behind.
    #[must_use]
    pub fn into_bytes(mut self) -> Secret<Vec<u8>> {
        Secret(std::mem::take(&mut self.0).into_bytes())
    }
}

impl<T: Zeroize + Clone> Secret<T> {
    /// A second copy. Named, not `Clone`, so that copies are visible.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }
}

/// A text of a request or an answer that is a secret from the parser on. There is no way back: nothing writes one by itself.
impl<'de> Deserialize<'de> for Secret<String> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Secret<String>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_str<E>(self, text: &str) -> Result<Secret<String>, E> {
                Ok(Secret::new(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Secret<String>, E> {
                Ok(Secret::new(text))
            }
        }
        deserializer.deserialize_string(Visitor)
    }
}

/// A secret text in somebody else's memory, such as a token in a request's head: shown no more than a [`Secret`], and not copied.
#[derive(Clone, Copy)]
pub struct SecretStr<'a>(&'a str);

impl<'a> SecretStr<'a> {
    /// Takes a borrowed text under protection.
    pub const fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// The text itself; see [`Secret::expose`].
    pub const fn expose(&self) -> &'a str {
        self.0
    }
}

impl<'a> From<&'a Secret<String>> for SecretStr<'a> {
    fn from(secret: &'a Secret<String>) -> Self {
        Self(secret.expose())
    }
}

impl fmt::Debug for SecretStr<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretStr(..)")
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let secret = Secret::new("canary".to_owned());
        assert_eq!(format!("{secret:?} {:?}", SecretStr::from(&secret)), "Secret(..) SecretStr(..)");
    }
}
