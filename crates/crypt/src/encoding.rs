//! The one place for text forms of bytes: base64url without padding (RFC 4648 section 5), base64 (section 4), hex (section 8, lower case);
//! and of what every request writes as JSON (RFC 8259), for which serde's general way takes three times as long.

use crate::CryptError;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};

/// Bytes as base64url without padding.
#[must_use]
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends bytes as base64url without padding.
pub(crate) fn base64url_append(bytes: &[u8], text: &mut String) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}

/// Bytes of a base64url text without padding. Strict: no padding, no white space, no trailing bits.
///
/// # Errors
/// [`CryptError::Malformed`].
pub fn from_base64url(text: impl AsRef<[u8]>) -> Result<Vec<u8>, CryptError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| CryptError::Malformed { what: "base64url text" })
}

/// Bytes as padded base64.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Bytes of a padded base64 text. Strict.
///
/// # Errors
/// [`CryptError::Malformed`].
pub fn from_base64(text: impl AsRef<[u8]>) -> Result<Vec<u8>, CryptError> {
    STANDARD.decode(text).map_err(|_| CryptError::Malformed { what: "base64 text" })
}

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Bytes as lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| hex_pair(*byte)).map(char::from).collect()
}

/// The 64 lower-case hex digits of 32 bytes, with no allocation: for lines that are written in a hurry.
#[must_use]
pub fn hex32(bytes: &[u8; 32]) -> [u8; 64] {
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&hex_pair(*byte));
    }
    text
}

/// Appends a text as a JSON string. Nearly none has a character that must be escaped, which is found out at once for all of it.
pub fn json_text(text: &str, json: &mut Vec<u8>) {
    let must_escape = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    json.reserve(text.len() + 2);
    json.push(b'"');
    if text.bytes().fold(false, |found, byte| found | must_escape(byte)) {
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => json.extend_from_slice(&[b'\\', byte]),
                b'\n' => json.extend_from_slice(b"\\n"),
                b'\r' => json.extend_from_slice(b"\\r"),
                b'\t' => json.extend_from_slice(b"\\t"),
                0x08 => json.extend_from_slice(b"\\b"),
                0x0c => json.extend_from_slice(b"\\f"),
                0..0x20 => {
                    json.extend_from_slice(b"\\u00");
                    json.extend_from_slice(&hex_pair(byte));
                }
                _ => json.push(byte),
            }
        }
    } else {
        json.extend_from_slice(text.as_bytes());
    }
    json.push(b'"');
}

/// Appends a whole number as JSON.
pub fn json_number(number: i64, json: &mut Vec<u8>) {
    // As many digits as 2^64 has.
    let mut digits = [0; 20];
    let mut left = number.unsigned_abs();
    let mut count = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(left % 10).unwrap_or_default();
        left /= 10;
        count += 1;
        if left == 0 {
            break;
        }
    }
    if number < 0 {
        json.push(b'-');
    }
    json.extend_from_slice(digits.split_at(digits.len() - count).1);
}

/// Bytes of a hex text, either case.
///
/// # Errors
/// [`CryptError::Malformed`].
pub fn from_hex(text: impl AsRef<[u8]>) -> Result<Vec<u8>, CryptError> {
    const MALFORMED: CryptError = CryptError::Malformed { what: "hex text" };
    let (pairs, rest) = text.as_ref().as_chunks::<2>();
    if !rest.is_empty() {
        return Err(MALFORMED);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect::<Option<_>>()
        .ok_or(MALFORMED)
}

/// Exactly `N` bytes of a hex text, either case.
///
/// # Errors
/// [`CryptError::Malformed`], also if they are more or fewer.
pub fn from_hex_exactly<const N: usize>(text: &str) -> Result<[u8; N], CryptError> {
    from_hex(text)?.try_into().map_err(|_| CryptError::Malformed { what: "hex text of this length" })
}

#[expect(clippy::indexing_slicing, reason = "a nibble is below 16")]
const fn hex_pair(byte: u8) -> [u8; 2] {
    [HEX_DIGITS[(byte >> 4) as usize], HEX_DIGITS[(byte & 15) as usize]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_as_serde_writes_it() {
        let every: String = (0..0x300).chain([0x2028, 0xfeff, 0x1f600]).filter_map(char::from_u32).collect();
        let each = every.chars().map(String::from);
        for text in each.chain([every.clone(), String::new(), "a/b c".to_owned()]) {
            let mut json = b"x".to_vec();
            json_text(&text, &mut json);
            assert_eq!(json[1..], *serde_json::to_vec(&text).unwrap(), "{text:?}");
        }
        for number in [0, 1, 9, 10, -1, -10, 1_764_000_000, i64::MAX, i64::MIN] {
            let mut json = Vec::new();
            json_number(number, &mut json);
            assert_eq!(json, number.to_string().as_bytes());
        }
    }

    #[test]
    fn forms_read_back() {
        for length in 0..70_u8 {
            let bytes: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(251)).collect();
            assert_eq!(from_base64url(base64url(&bytes)).unwrap(), bytes);
            assert_eq!(from_base64(base64(&bytes)).unwrap(), bytes);
            assert_eq!(from_hex(hex(&bytes)).unwrap(), bytes);
        }
        assert_eq!(hex32(&[0xa5; 32]).as_slice(), hex(&[0xa5; 32]).as_bytes());
        assert_eq!(from_hex("fF00").unwrap(), [255, 0]);
    }

    #[test]
    fn strange_spellings_are_refused() {
        for bad in ["AA==", "A", "A A", "AB", "+/", "é"] {
            assert!(from_base64url(bad).is_err(), "{bad}");
        }
        for bad in ["a", "0g", "0x", "é"] {
            assert!(from_hex(bad).is_err(), "{bad}");
            assert!(from_hex_exactly::<1>(bad).is_err(), "{bad}");
        }
        assert!(from_base64("AA").is_err());
    }
}
