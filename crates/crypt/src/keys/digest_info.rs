//! The `DigestInfo` of RSNULL: the DER of a hash and its algorithm, which RSASSA-PKCS1-v1_5 pads and signs (RFC 8017 section 9.2).
//!
//! Key Vault signs whatever RSNULL is given. Aws-lc offers no bare private operation, and to have none is safer: so this takes the three
//! values for which signing the hash inside gives the very same bytes, and refuses all others (SHA-1, MD5 with SHA-1 of old TLS, none).

use super::{KeyOperationError, SignatureAlgorithm};

/// What comes before the hash, for each: RFC 8017 section 9.2 note 1, with NULL parameters.
const PREFIXES: [(SignatureAlgorithm, [u8; 19]); 3] = [
    (SignatureAlgorithm::Rs256, prefix(0x31, 1, 32)),
    (SignatureAlgorithm::Rs384, prefix(0x41, 2, 48)),
    (SignatureAlgorithm::Rs512, prefix(0x51, 3, 64)),
];

/// `SEQUENCE { SEQUENCE { OID 2.16.840.1.101.3.4.2.hash, NULL }, OCTET STRING }` as far as the octets.
const fn prefix(length: u8, hash: u8, hash_bytes: u8) -> [u8; 19] {
    [
        0x30, length, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, hash, 0x05,
        0x00, 0x04, hash_bytes,
    ]
}

/// The algorithm and digest by which this `DigestInfo` is signed.
///
/// # Errors
/// [`KeyOperationError::DigestInfo`] for anything else, another encoding of the same among it.
pub(super) fn parse(value: &[u8]) -> Result<(SignatureAlgorithm, &[u8]), KeyOperationError> {
    PREFIXES
        .iter()
        .find_map(|(algorithm, prefix)| {
            let digest = value.strip_prefix(prefix)?;
            (algorithm.digest_bytes() == Some(digest.len())).then_some((*algorithm, digest))
        })
        .ok_or(KeyOperationError::DigestInfo)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::from_hex;

    /// The prefixes as RFC 8017 section 9.2 prints them.
    const PRINTED: [(SignatureAlgorithm, &str, usize); 3] = [
        (SignatureAlgorithm::Rs256, "3031300d060960864801650304020105000420", 32),
        (SignatureAlgorithm::Rs384, "3041300d060960864801650304020205000430", 48),
        (SignatureAlgorithm::Rs512, "3051300d060960864801650304020305000440", 64),
    ];

    #[test]
    fn the_three_of_rfc_8017_are_taken() {
        for (algorithm, prefix, length) in PRINTED {
            let digest = vec![0xa5; length];
            let value = [from_hex(prefix).unwrap(), digest.clone()].concat();
            assert_eq!(parse(&value), Ok((algorithm, digest.as_slice())));
            for changed in 0..19 {
                let mut value = value.clone();
                value[changed] ^= 1;
                assert_eq!(parse(&value), Err(KeyOperationError::DigestInfo), "{algorithm:?} {changed}");
            }
            for cut in 0..value.len() {
                assert_eq!(parse(&value[..cut]), Err(KeyOperationError::DigestInfo));
            }
            assert_eq!(parse(&[value, vec![0]].concat()), Err(KeyOperationError::DigestInfo));
        }
    }

    #[test]
    fn others_are_refused() {
        for other in [
            // SHA-1, SHA-224, SHA-256 without NULL, a bare hash.
            "3021300906052b0e03021a0500041400112233445566778899aabbccddeeff00112233".to_owned(),
            format!("302d300d06096086480165030402040500041c{}", "00".repeat(28)),
            format!("302f300b0609608648016503040201{}{}", "0420", "00".repeat(32)),
            "00".repeat(32),
            String::new(),
        ] {
            assert_eq!(parse(&from_hex(&other).unwrap()), Err(KeyOperationError::DigestInfo), "{other}");
        }
    }
}
