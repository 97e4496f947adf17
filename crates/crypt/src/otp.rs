//! One-time codes: HOTP (RFC 4226) over SHA-1, which authenticator apps make from a shared secret and a moving number.
//!
//! Owns: the code of a number, and base 32 (RFC 4648 section 6), in which apps take the secret. Owns not: which number it is now, and
//! that a code is used once (`directory`). What is known against SHA-1 is about collisions, which a keyed hash does not rest on.

use aws_lc_rs::hmac;

/// The code of six digits for a number.
#[must_use]
pub fn code(secret: &[u8], number: u64) -> u32 {
    truncated(secret, number) % 1_000_000
}

/// RFC 4226 section 5.3: 31 bits of the tag, from where its last four bits say.
fn truncated(secret: &[u8], number: u64) -> u32 {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &number.to_be_bytes());
    let tag = tag.as_ref();
    let offset = tag.last().map_or(0, |byte| usize::from(byte & 0xf));
    let bits = tag.get(offset..).and_then(|from| from.first_chunk::<4>()).copied().unwrap_or_default();
    u32::from_be_bytes(bits) & 0x7fff_ffff
}

/// Bytes as base 32 without padding.
#[must_use]
pub fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for chunk in bytes.chunks(5) {
        let mut block = [0; 8];
        for (to, from) in block.iter_mut().skip(3).zip(chunk) {
            *to = *from;
        }
        let bits = u64::from_be_bytes(block);
        for place in 0..(chunk.len() * 8).div_ceil(5) {
            let symbol = ALPHABET.get((bits >> (35 - 5 * place) & 31) as usize);
            text.push(symbol.map_or('A', |symbol| char::from(*symbol)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4226 appendix D.
    #[test]
    fn codes_agree_with_rfc_4226() {
        let codes =
            [755_224, 287_082, 359_152, 969_429, 338_314, 254_676, 287_922, 162_583, 399_871, 520_489];
        for (number, expected) in (0..).zip(codes) {
            assert_eq!(code(b"12345678901234567890", number), expected, "{number}");
        }
        assert_eq!(truncated(b"12345678901234567890", 0), 1_284_755_224);
    }

    /// RFC 6238 appendix B, its SHA-1 column: eight digits of the number that the time makes.
    #[test]
    fn codes_agree_with_rfc_6238() {
        for (seconds, expected) in [
            (59, 94_287_082),
            (1_111_111_109, 7_081_804),
            (1_111_111_111, 14_050_471),
            (1_234_567_890, 89_005_924),
            (2_000_000_000, 69_279_037),
            (20_000_000_000, 65_353_130),
        ] {
            assert_eq!(truncated(b"12345678901234567890", seconds / 30) % 100_000_000, expected, "{seconds}");
        }
    }

    /// RFC 4648 section 10, without padding.
    #[test]
    fn base32_agrees_with_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
    }
}
