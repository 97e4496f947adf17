//! AES key wrap (RFC 3394) and AES key wrap with padding (RFC 5649), at all three sizes of AES.
//!
//! Owns: both forms. Owns not: which key may wrap. Aws-lc does the work for AES-128 and AES-256. It has no form for AES-192, so that one is
//! written here over its AES blocks, as the RFCs state it; the tests hold ours against aws-lc's at the other two sizes.

use super::{AesSize, KeyOperationError, ValueRule, oct};
use aws_lc_rs::{
    cipher::{DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey},
    error::Unspecified,
    key_wrap::{AES_128, AES_256, AesKek, KeyWrap as _, KeyWrapPadded as _},
};
use domain::Secret;
use subtle::{Choice, ConstantTimeEq as _, ConstantTimeGreater as _};
use zeroize::Zeroizing;

/// A wrapped key is longer by this, and counted in these.
const UNIT_BYTES: usize = 8;
/// The steps that each unit goes through (RFC 3394 section 2.2.1).
const ROUNDS: u64 = 6;
/// What a wrapped key opens with (RFC 3394 section 2.2.3.1).
const INITIAL_VALUE: Unit = [0xa6; UNIT_BYTES];
/// The first half of what a padded one opens with; the other half is its length (RFC 5649 section 3).
const PADDED_INITIAL_VALUE: [u8; 4] = [0xa6, 0x59, 0x59, 0xa6];
/// Bytes of a value to be wrapped at most: far above any key, far below where counters end.
const VALUE_BYTES_MAX: usize = 65_536;

type Unit = [u8; UNIT_BYTES];

/// Wraps two or more units of eight bytes.
///
/// # Errors
/// [`KeyOperationError::ValueLength`].
pub(super) fn wrap(
    name: &'static str,
    key: &Secret<Vec<u8>>,
    size: AesSize,
    value: &[u8],
) -> Result<Vec<u8>, KeyOperationError> {
    ValueRule::Units { unit: UNIT_BYTES, least: 2 * UNIT_BYTES }.require(name, value.len())?;
    ValueRule::AtMost(VALUE_BYTES_MAX).require(name, value.len())?;
    match kek(key, size) {
        Some(kek) => kek.and_then(|kek| {
            let mut wrapped = vec![0; value.len() + UNIT_BYTES];
            kek.wrap(value, &mut wrapped).map(|wrapped| wrapped.to_vec())
        }),
        None => blocks::wrap(key, size, value),
    }
    .map_err(|_| KeyOperationError::Unavailable { algorithm: name })
}

/// Unwraps what [`wrap`] made.
///
/// # Errors
/// [`KeyOperationError::Rejected`] for any reason.
pub(super) fn unwrap(
    name: &'static str,
    key: &Secret<Vec<u8>>,
    size: AesSize,
    wrapped: &[u8],
) -> Result<Secret<Vec<u8>>, KeyOperationError> {
    let rejected = KeyOperationError::Rejected { algorithm: name };
    let rule = ValueRule::Units { unit: UNIT_BYTES, least: 3 * UNIT_BYTES };
    rule.require(name, wrapped.len()).map_err(|_| rejected.clone())?;
    match kek(key, size) {
        Some(kek) => kek.and_then(|kek| {
            let mut value = Zeroizing::new(vec![0; wrapped.len()]);
            kek.unwrap(wrapped, &mut value).map(|value| Secret::new(value.to_vec()))
        }),
        None => blocks::unwrap(key, size, wrapped),
    }
    .map_err(|_| rejected)
}

/// Wraps one byte or more.
///
/// # Errors
/// [`KeyOperationError::ValueLength`].
pub(super) fn wrap_padded(
    name: &'static str,
    key: &Secret<Vec<u8>>,
    size: AesSize,
    value: &[u8],
) -> Result<Vec<u8>, KeyOperationError> {
    ValueRule::OneTo(VALUE_BYTES_MAX).require(name, value.len())?;
    match kek(key, size) {
        Some(kek) => kek.and_then(|kek| {
            let mut wrapped = vec![0; value.len().next_multiple_of(UNIT_BYTES) + UNIT_BYTES];
            kek.wrap_with_padding(value, &mut wrapped).map(|wrapped| wrapped.to_vec())
        }),
        None => blocks::wrap_padded(key, size, value),
    }
    .map_err(|_| KeyOperationError::Unavailable { algorithm: name })
}

/// Unwraps what [`wrap_padded`] made.
///
/// # Errors
/// [`KeyOperationError::Rejected`] for any reason.
pub(super) fn unwrap_padded(
    name: &'static str,
    key: &Secret<Vec<u8>>,
    size: AesSize,
    wrapped: &[u8],
) -> Result<Secret<Vec<u8>>, KeyOperationError> {
    let rejected = KeyOperationError::Rejected { algorithm: name };
    let rule = ValueRule::Units { unit: UNIT_BYTES, least: 2 * UNIT_BYTES };
    rule.require(name, wrapped.len()).map_err(|_| rejected.clone())?;
    match kek(key, size) {
        Some(kek) => kek.and_then(|kek| {
            let mut value = Zeroizing::new(vec![0; wrapped.len()]);
            kek.unwrap_with_padding(wrapped, &mut value).map(|value| Secret::new(value.to_vec()))
        }),
        None => blocks::unwrap_padded(key, size, wrapped),
    }
    .map_err(|_| rejected)
}

/// The key as aws-lc's key wrap takes it; none for AES-192.
fn kek(key: &Secret<Vec<u8>>, size: AesSize) -> Option<Result<AesKek, Unspecified>> {
    match size {
        AesSize::Bits128 => Some(AesKek::new(&AES_128, key.expose())),
        AesSize::Bits192 => None,
        AesSize::Bits256 => Some(AesKek::new(&AES_256, key.expose())),
    }
}

/// Both RFCs over single AES blocks. Names follow RFC 3394 section 2.2: `a` is the integrity register, `t` counts the steps.
mod blocks {
    use super::*;

    /// RFC 3394 section 2.2.1.
    pub(super) fn wrap(key: &Secret<Vec<u8>>, size: AesSize, value: &[u8]) -> Result<Vec<u8>, Unspecified> {
        wrap_from(INITIAL_VALUE, key, size, value)
    }

    /// RFC 3394 section 2.2.2.
    pub(super) fn unwrap(
        key: &Secret<Vec<u8>>,
        size: AesSize,
        wrapped: &[u8],
    ) -> Result<Secret<Vec<u8>>, Unspecified> {
        let (a, mut value) = unwrap_to(key, size, wrapped)?;
        let is_right: bool = a.ct_eq(&INITIAL_VALUE).into();
        if is_right { Ok(Secret::new(std::mem::take(&mut *value))) } else { Err(Unspecified) }
    }

    /// RFC 5649 section 4.1.
    pub(super) fn wrap_padded(
        key: &Secret<Vec<u8>>,
        size: AesSize,
        value: &[u8],
    ) -> Result<Vec<u8>, Unspecified> {
        let length = u32::try_from(value.len()).map_err(|_| Unspecified)?.to_be_bytes();
        let a = joined::<4, 4, 8>(PADDED_INITIAL_VALUE, length);
        let padded_bytes = value.len().next_multiple_of(UNIT_BYTES);
        let mut padded = Zeroizing::new(Vec::with_capacity(padded_bytes));
        padded.extend_from_slice(value);
        padded.resize(padded_bytes, 0);
        match <Unit>::try_from(padded.as_slice()) {
            Ok(one) => Ok(encrypt(&encrypting(key, size)?, a, one)?.to_vec()),
            Err(_) => wrap_from(a, key, size, &padded),
        }
    }

    /// RFC 5649 section 4.2: the constant, the length, and zeros for padding are all looked at before anything is said.
    pub(super) fn unwrap_padded(
        key: &Secret<Vec<u8>>,
        size: AesSize,
        wrapped: &[u8],
    ) -> Result<Secret<Vec<u8>>, Unspecified> {
        let (a, mut padded) = match wrapped.as_chunks::<UNIT_BYTES>().0 {
            [a, unit] => {
                let (a, unit) = decrypt(&decrypting(key, size)?, *a, *unit)?;
                (a, Zeroizing::new(unit.to_vec()))
            }
            _ => unwrap_to(key, size, wrapped)?,
        };
        let (constant, length) = a.split_first_chunk::<4>().ok_or(Unspecified)?;
        let length = u32::from_be_bytes(length.try_into().map_err(|_| Unspecified)?);
        let padded_bytes = u32::try_from(padded.len()).map_err(|_| Unspecified)?;
        // The length is of the last unit: more than it would have without, no more than it has.
        let mut is_right = constant.ct_eq(&PADDED_INITIAL_VALUE)
            & !length.ct_gt(&padded_bytes)
            & length.ct_gt(&padded_bytes.saturating_sub(8));
        for (at, byte) in (1_u32..).zip(padded.iter()) {
            let is_padding: Choice = at.ct_gt(&length);
            is_right &= !is_padding | byte.ct_eq(&0);
        }
        if !bool::from(is_right) {
            return Err(Unspecified);
        }
        padded.truncate(usize::try_from(length).map_err(|_| Unspecified)?);
        Ok(Secret::new(std::mem::take(&mut *padded)))
    }

    pub(super) fn wrap_from(
        initial: Unit,
        key: &Secret<Vec<u8>>,
        size: AesSize,
        value: &[u8],
    ) -> Result<Vec<u8>, Unspecified> {
        let cipher = encrypting(key, size)?;
        let mut a = initial;
        let mut units = Zeroizing::new(value.as_chunks::<UNIT_BYTES>().0.to_vec());
        let mut t = 0_u64;
        for _ in 0..ROUNDS {
            for unit in units.iter_mut() {
                t += 1;
                let block = encrypt(&cipher, a, *unit)?;
                (a, *unit) = split(block);
                a = count(a, t);
            }
        }
        Ok([a.as_slice(), units.as_flattened()].concat())
    }

    fn unwrap_to(
        key: &Secret<Vec<u8>>,
        size: AesSize,
        wrapped: &[u8],
    ) -> Result<(Unit, Zeroizing<Vec<u8>>), Unspecified> {
        let cipher = decrypting(key, size)?;
        let (a, units) = wrapped.as_chunks::<UNIT_BYTES>().0.split_first().ok_or(Unspecified)?;
        let (mut a, mut units) = (*a, Zeroizing::new(units.to_vec()));
        let mut t = ROUNDS * u64::try_from(units.len()).map_err(|_| Unspecified)?;
        for _ in 0..ROUNDS {
            for unit in units.iter_mut().rev() {
                (a, *unit) = decrypt(&cipher, count(a, t), *unit)?;
                t -= 1;
            }
        }
        Ok((a, Zeroizing::new(units.as_flattened().to_vec())))
    }

    /// `a ^ t`, the counter as eight big-endian bytes.
    const fn count(a: Unit, t: u64) -> Unit {
        (u64::from_be_bytes(a) ^ t).to_be_bytes()
    }

    fn encrypting(key: &Secret<Vec<u8>>, size: AesSize) -> Result<EncryptingKey, Unspecified> {
        UnboundCipherKey::new(oct::aes(size), key.expose()).and_then(EncryptingKey::ecb)
    }

    fn decrypting(key: &Secret<Vec<u8>>, size: AesSize) -> Result<DecryptingKey, Unspecified> {
        UnboundCipherKey::new(oct::aes(size), key.expose()).and_then(DecryptingKey::ecb)
    }

    fn encrypt(cipher: &EncryptingKey, a: Unit, unit: Unit) -> Result<[u8; 16], Unspecified> {
        let mut block = joined(a, unit);
        cipher.less_safe_encrypt(&mut block, EncryptionContext::None)?;
        Ok(block)
    }

    fn decrypt(cipher: &DecryptingKey, a: Unit, unit: Unit) -> Result<(Unit, Unit), Unspecified> {
        let mut block = Zeroizing::new(joined::<8, 8, 16>(a, unit));
        cipher.decrypt(block.as_mut_slice(), DecryptionContext::None)?;
        Ok(split(*block))
    }

    fn joined<const A: usize, const B: usize, const AB: usize>(front: [u8; A], back: [u8; B]) -> [u8; AB] {
        let mut both = [0; AB];
        for (to, from) in both.iter_mut().zip(front.into_iter().chain(back)) {
            *to = from;
        }
        both
    }

    const fn split(block: [u8; 16]) -> (Unit, Unit) {
        let both = u128::from_be_bytes(block);
        (((both >> 64) as u64).to_be_bytes(), (both as u64).to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAME: &str = "A";

    fn key(size: AesSize, seed: u8) -> Secret<Vec<u8>> {
        Secret::new((0..size.bytes()).map(|at| seed.wrapping_add(u8::try_from(at).unwrap())).collect())
    }

    proptest! {
        /// Ours over blocks and aws-lc's agree where there are both, in both directions.
        #[test]
        fn ours_is_aws_lcs(units in 2..20_usize, bytes in 1..160_usize, seed: u8, fill: u8) {
            for size in [AesSize::Bits128, AesSize::Bits256] {
                let key = key(size, seed);
                let value = vec![fill; units * UNIT_BYTES];
                let wrapped = wrap(NAME, &key, size, &value).unwrap();
                prop_assert_eq!(&blocks::wrap(&key, size, &value).unwrap(), &wrapped);
                let unwrapped = blocks::unwrap(&key, size, &wrapped).unwrap();
                prop_assert_eq!(unwrapped.expose(), &value);
                let value = vec![fill; bytes];
                let wrapped = wrap_padded(NAME, &key, size, &value).unwrap();
                prop_assert_eq!(&blocks::wrap_padded(&key, size, &value).unwrap(), &wrapped);
                let unwrapped = blocks::unwrap_padded(&key, size, &wrapped).unwrap();
                prop_assert_eq!(unwrapped.expose(), &value);
            }
        }

        #[test]
        fn strange_bytes_are_refused(wrapped in proptest::collection::vec(any::<u8>(), 0..80)) {
            for size in AesSize::ALL {
                let key = key(size, 0);
                let rejected = Some(KeyOperationError::Rejected { algorithm: NAME });
                prop_assert_eq!(unwrap(NAME, &key, size, &wrapped).err(), rejected.clone());
                prop_assert_eq!(unwrap_padded(NAME, &key, size, &wrapped).err(), rejected);
            }
        }
    }

    /// Opens what is wrapped over a forged opening block: each wrong constant, length and padding, at all sizes and both ways.
    #[test]
    fn a_forged_padding_is_refused() {
        for size in AesSize::ALL {
            let key = key(size, 7);
            // The opening block of ten bytes in two units, then what each forgery makes of it.
            let honest = [0xa6, 0x59, 0x59, 0xa6, 0, 0, 0, 10];
            let mut value = [0x11; 16];
            value[10..].fill(0);
            let opens = |a: Unit, value: &[u8]| {
                let wrapped = blocks::wrap_from(a, &key, size, value).unwrap();
                let both = [
                    unwrap_padded(NAME, &key, size, &wrapped).is_ok(),
                    blocks::unwrap_padded(&key, size, &wrapped).is_ok(),
                ];
                assert_eq!(both[0], both[1]);
                both[0]
            };
            assert!(opens(honest, &value));
            for at in 0..4 {
                let mut forged = honest;
                forged[at] ^= 1;
                assert!(!opens(forged, &value), "{size:?} constant {at}");
            }
            for length in [0_u32, 1, 8, 17, 24, u32::MAX] {
                let mut forged = honest;
                forged[4..].copy_from_slice(&length.to_be_bytes());
                assert!(!opens(forged, &value), "{size:?} length {length}");
            }
            // Over zeros every byte is good padding, so that the length alone decides: one of the last unit's, and no other.
            for length in 0..=25_u32 {
                let mut forged = honest;
                forged[4..].copy_from_slice(&length.to_be_bytes());
                assert_eq!(opens(forged, &[0; 16]), (9..=16).contains(&length), "{size:?} length {length}");
            }
            for at in 10..16 {
                let mut forged = value;
                forged[at] = 1;
                assert!(!opens(honest, &forged), "{size:?} padding {at}");
            }
        }
    }

    #[test]
    fn lengths_are_checked() {
        for size in AesSize::ALL {
            let key = key(size, 0);
            for length in [0, 1, 8, 15, 17, 23, VALUE_BYTES_MAX + 8] {
                let error = wrap(NAME, &key, size, &vec![0; length]).err();
                assert!(
                    matches!(error, Some(KeyOperationError::ValueLength { found, .. }) if found == length)
                );
            }
            for length in [0, VALUE_BYTES_MAX + 1] {
                let error = wrap_padded(NAME, &key, size, &vec![0; length]).err();
                assert!(
                    matches!(error, Some(KeyOperationError::ValueLength { found, .. }) if found == length)
                );
            }
            let long = wrap(NAME, &key, size, &vec![1; VALUE_BYTES_MAX]).unwrap();
            assert_eq!(unwrap(NAME, &key, size, &long).unwrap().expose().len(), VALUE_BYTES_MAX);
        }
    }

    #[test]
    fn one_flipped_bit_anywhere_is_found() {
        for size in AesSize::ALL {
            let key = key(size, 0);
            let wrapped = wrap(NAME, &key, size, &[5; 24]).unwrap();
            let padded = wrap_padded(NAME, &key, size, &[5; 21]).unwrap();
            for at in 0..wrapped.len() * 8 {
                let (mut wrapped, mut padded) = (wrapped.clone(), padded.clone());
                wrapped[at / 8] ^= 1 << (at % 8);
                padded[at / 8] ^= 1 << (at % 8);
                assert!(unwrap(NAME, &key, size, &wrapped).is_err());
                assert!(unwrap_padded(NAME, &key, size, &padded).is_err());
            }
            assert!(unwrap(NAME, &key, size, &padded).is_err());
            assert!(unwrap_padded(NAME, &key, size, &wrapped).is_err());
        }
    }
}
