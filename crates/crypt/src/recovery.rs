//! The recovery key: 256 bits that a person writes down once, in a form that survives being written down.
//!
//! Eight groups of eight characters of Crockford's base 32 (no I, L, O, U; case does not matter). Each group is four bytes and a CRC-8 of
//! them that begins from the group's number, so one mistyped character, and groups in another order, are found and the group is named.
//! The check protects against typing; whether it is the right key is decided by the slot that it opens.

use crate::Key256;
use domain::{Entropy, Secret};
use std::fmt;
use zeroize::Zeroizing;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const GROUPS: usize = 8;
const GROUP_CHARS: usize = 8;

/// 256 random bits that open the root key. Shows nothing of itself but by [`RecoveryKey::printed`].
pub struct RecoveryKey(Secret<[u8; 32]>);

/// Why a text is no recovery key. Groups count from 1. Never says what was typed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryKeyFault {
    /// Too many or too few characters.
    #[error("a recovery key has 8 groups of 8 characters, 64 in all; this has {found}")]
    Length {
        /// Characters, not counting spaces and dashes.
        found: usize,
    },
    /// A character that no recovery key has.
    #[error("group {group} of the recovery key has a character that no recovery key has")]
    Character {
        /// Which group, from 1.
        group: usize,
    },
    /// A group that does not fit its check.
    #[error("group {group} of the recovery key is mistyped, or not in its place")]
    Mistyped {
        /// Which group, from 1.
        group: usize,
    },
}

impl RecoveryKey {
    /// A fresh key.
    #[must_use]
    pub fn fresh(entropy: &dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        entropy.fill(bytes.as_mut_slice());
        Self(Secret::new(*bytes))
    }

    /// As it is printed, once: groups with dashes between them.
    #[must_use]
    pub fn printed(&self) -> Secret<String> {
        let mut text = Zeroizing::new(String::with_capacity(GROUPS * (GROUP_CHARS + 1)));
        for (number, group) in self.0.expose().as_chunks::<4>().0.iter().enumerate() {
            if number > 0 {
                text.push('-');
            }
            let [a, b, c, d] = *group;
            let bits = u64::from_be_bytes([0, 0, 0, a, b, c, d, check(number, group)]);
            for place in (0..GROUP_CHARS).rev() {
                text.push(symbol(bits >> (5 * place)));
            }
        }
        Secret::new(std::mem::take(&mut *text))
    }

    /// Reads what a person typed: any case, with or without dashes and spaces, O for 0 and I or L for 1.
    ///
    /// # Errors
    /// [`RecoveryKeyFault`], naming the first group that is wrong.
    pub fn parse(text: &str) -> Result<Self, RecoveryKeyFault> {
        let mut key = Zeroizing::new([0; 32]);
        let mut groups = key.as_chunks_mut::<4>().0.iter_mut().enumerate();
        let (mut bits, mut found) = (Zeroizing::new(0_u64), 0);
        for character in text.chars().filter(|character| !character.is_whitespace() && *character != '-') {
            if found < GROUPS * GROUP_CHARS {
                let value =
                    value(character).ok_or(RecoveryKeyFault::Character { group: found / GROUP_CHARS + 1 })?;
                *bits = *bits << 5 | value;
            }
            found += 1;
            if found % GROUP_CHARS == 0
                && let Some((number, group)) = groups.next()
            {
                let [_, _, _, a, b, c, d, expected] = bits.to_be_bytes();
                *group = [a, b, c, d];
                if check(number, group) != expected {
                    return Err(RecoveryKeyFault::Mistyped { group: number + 1 });
                }
                *bits = 0;
            }
        }
        if found != GROUPS * GROUP_CHARS {
            return Err(RecoveryKeyFault::Length { found });
        }
        Ok(Self(Secret::new(*key)))
    }

    /// The key that wraps the root key in the recovery slot.
    pub(crate) fn wrapping_key(&self) -> Key256 {
        Key256::new(*self.0.expose()).derive("keyless slot: recovery key")
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RecoveryKey(..)")
    }
}

#[expect(clippy::indexing_slicing, reason = "five bits are below 32")]
fn symbol(bits: u64) -> char {
    char::from(ALPHABET[(bits & 31) as usize])
}

fn value(character: char) -> Option<u64> {
    let upper = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    ALPHABET
        .iter()
        .position(|symbol| char::from(*symbol) == upper)
        .and_then(|value| u64::try_from(value).ok())
}

/// CRC-8, polynomial 0x07, begun from the group's number: finds every change within eight bits in a row, so any one character.
fn check(number: usize, group: &[u8; 4]) -> u8 {
    group.iter().fold(number.to_be_bytes().last().copied().unwrap_or_default(), |crc, byte| {
        (0..8).fold(crc ^ byte, |crc, _| if crc & 0x80 == 0 { crc << 1 } else { crc << 1 ^ 0x07 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<[u8; 32], RecoveryKeyFault> {
        RecoveryKey::parse(text).map(|key| *key.0.expose())
    }

    #[test]
    fn what_is_printed_is_read_back() {
        let key = RecoveryKey::fresh(&SystemEntropy);
        let printed = key.printed();
        let printed = printed.expose();
        assert_eq!((printed.len(), printed.split('-').count()), (71, 8));
        assert!(printed.split('-').all(|group| group.len() == 8));
        let sloppy =
            format!("  {}\n", printed.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l"));
        for text in [printed.as_str(), &printed.replace('-', ""), &sloppy, &printed.replace('1', "I")] {
            assert_eq!(parse(text), Ok(*key.0.expose()));
        }
        assert_eq!(format!("{key:?}"), "RecoveryKey(..)");
    }

    #[test]
    fn each_mistyped_character_is_found_and_its_group_named() {
        let printed = RecoveryKey::fresh(&SystemEntropy).printed();
        for (at, right) in printed.expose().char_indices().filter(|(_, character)| *character != '-') {
            for wrong in ALPHABET.iter().map(|symbol| char::from(*symbol)).filter(|wrong| *wrong != right) {
                let mut typed = printed.expose().clone();
                typed.replace_range(at..=at, &wrong.to_string());
                assert_eq!(
                    parse(&typed),
                    Err(RecoveryKeyFault::Mistyped { group: at / 9 + 1 }),
                    "{at} {wrong}"
                );
            }
            let mut typed = printed.expose().clone();
            typed.replace_range(at..=at, "U");
            assert_eq!(parse(&typed), Err(RecoveryKeyFault::Character { group: at / 9 + 1 }));
        }
    }

    #[test]
    fn groups_in_another_order_are_found() {
        let printed = RecoveryKey::fresh(&SystemEntropy).printed();
        let groups: Vec<&str> = printed.expose().split('-').collect();
        for other in 1..GROUPS {
            let mut groups = groups.clone();
            groups.swap(0, other);
            assert_eq!(parse(&groups.join("-")), Err(RecoveryKeyFault::Mistyped { group: 1 }));
        }
    }

    #[test]
    fn lengths_are_told() {
        let printed = RecoveryKey::fresh(&SystemEntropy).printed();
        assert_eq!(parse(""), Err(RecoveryKeyFault::Length { found: 0 }));
        assert_eq!(parse(&printed.expose()[..35]), Err(RecoveryKeyFault::Length { found: 32 }));
        assert_eq!(parse(&format!("{}0", printed.expose())), Err(RecoveryKeyFault::Length { found: 65 }));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,120}") {
            let _ = parse(&text);
        }

        #[test]
        fn text_of_the_alphabet_never_panics(text in "[0-9A-Za-z -]{60,80}") {
            let _ = parse(&text);
        }
    }
}
