//! What a token says: its header and its claims. The signature, without which it opens nothing, is never shown.

use crate::{
    failure::Failure,
    files,
    output::{self, Format},
};
use domain::{Secret, limits};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;

/// The claims of a token that the directory has just answered, over TLS: nobody else can have written it.
pub(super) fn claims<T: DeserializeOwned>(token: &Secret<String>) -> Result<T, Failure> {
    serde_json::from_value(part(token.expose(), 1)?).map_err(|_| Failure::new("the token lacks a claim"))
}

/// A token out of a file.
pub(super) fn read(path: &Path) -> Result<Secret<String>, Failure> {
    let bytes = files::read(path, limits::TOKEN_BYTES_MAX, "a token")?;
    let text = std::str::from_utf8(bytes.expose()).map_err(|_| Failure::new("the token is no text"))?;
    let text = text.trim();
    // As it stands in a header.
    let token = text.strip_prefix("Bearer ").unwrap_or(text).trim();
    Ok(Secret::new(token.to_owned()))
}

/// Shows a token.
pub(super) fn show(format: Format, token: &Secret<String>) -> Result<(), Failure> {
    let (head, claims) = (part(token.expose(), 0)?, part(token.expose(), 1)?);
    if token.expose().split('.').count() != 3 {
        return Err(malformed());
    }
    match format {
        Format::Json => {
            output::json(&serde_json::json!({"header": head, "claims": claims, "signature": "(redacted)"}));
        }
        Format::Table => {
            let rows = [("header", head), ("claims", claims)].into_iter().flat_map(|(name, part)| {
                let members = part.as_object().cloned().unwrap_or_default();
                members
                    .into_iter()
                    .map(move |(member, value)| vec![name.to_owned(), member.clone(), told(&member, &value)])
            });
            let signature = vec!["signature".to_owned(), String::new(), "(redacted)".to_owned()];
            output::table(&["part", "name", "value"], rows.chain([signature]), "");
        }
    }
    Ok(())
}

fn told(name: &str, value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if matches!(name, "iat" | "nbf" | "exp" | "auth_time") => {
            number.as_i64().map_or_else(|| number.to_string(), |at| format!("{at} ({})", output::time(at)))
        }
        other => other.to_string(),
    }
}

fn part(token: &str, number: usize) -> Result<Value, Failure> {
    let part = token.split('.').nth(number).ok_or_else(malformed)?;
    let json = crypt::encoding::from_base64url(part).map_err(|_| malformed())?;
    let value: Value = serde_json::from_slice(&json).map_err(|_| malformed())?;
    if value.is_object() { Ok(value) } else { Err(malformed()) }
}

fn malformed() -> Failure {
    Failure::new("this is no token: three parts with dots between, of which two are JSON in base64url")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tokens_are_shown() {
        let good = format!(
            "{}.{}.c2lnbmF0dXJl",
            crypt::encoding::base64url(br#"{"alg":"RS256"}"#),
            crypt::encoding::base64url(br#"{"exp":1,"aud":"x"}"#)
        );
        assert_eq!(claims::<Value>(&Secret::new(good.clone())).unwrap()["aud"], "x");
        assert!(show(Format::Json, &Secret::new(good.clone())).is_ok());
        let two = good.rsplit_once('.').unwrap().0.to_owned();
        for bad in ["", "a", "a.b.c", "W10.W10.x", &two, &format!("{good}.x")] {
            assert!(show(Format::Json, &Secret::new(bad.to_owned())).is_err(), "{bad}");
        }
        assert_eq!(told("exp", &Value::from(0)), format!("0 ({})", output::time(0)));
    }
}
