//! Encryption and authentication by password: the key derivation of PKCS#12 (RFC 7292 appendix B), its ciphers (appendix C), and PBES2
//! (RFC 8018 section 6.2).
//!
//! Owns: these, and how much work a file may ask for. Owns not: where in a file they are. SHA-1, 3DES and RC2 are here because files
//! that are imported have them. AES, hashes and PBKDF2 are aws-lc's; it has no RC2, and 3DES only with bindings that must be generated.

use super::structure::{MacData, Pbes1Parameters, Pbes2Parameters, Pbkdf2Parameters, oid};
use crate::certificate::CertificateError;
use aws_lc_rs::{
    cipher::{
        self, AES_128, AES_192, AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey,
    },
    digest, hmac,
    iv::FixedLength,
    pbkdf2,
};
use cbc::cipher::{
    BlockCipherDecrypt, BlockModeDecrypt as _, BlockModeEncrypt as _, InnerIvInit as _, KeyInit,
    KeyIvInit as _, block_padding::Pkcs7,
};
use der::{Sequence, asn1::OctetStringRef};
use des::TdesEde3;
use domain::Secret;
use rc2::Rc2;
use std::num::NonZeroU32;
use x509_cert::spki::AlgorithmIdentifierRef;
use zeroize::Zeroizing;

/// Iterations of one key derivation. Source: .NET's `Pkcs12LoaderLimits.Defaults` (300,000), as Key Vault is written in .NET.
pub const ITERATIONS_MAX: u32 = 300_000;
/// Iterations of a whole file, each block of output that they make counted: 0.12 to 0.15 s of a processor. Source: the same (1,000,000).
pub const ITERATIONS_TOTAL_MAX: u32 = 1_000_000;

const MALFORMED: CertificateError = CertificateError::PfxMalformed;

/// What of [`ITERATIONS_TOTAL_MAX`] is left.
pub(super) struct Budget(u32);

impl Budget {
    pub(super) const fn new() -> Self {
        Self(ITERATIONS_TOTAL_MAX)
    }

    /// Takes the iterations for so many bytes, made in blocks. Before any is done.
    fn spend(&mut self, iterations: u32, bytes: usize, block: usize) -> Result<NonZeroU32, CertificateError> {
        let counted = NonZeroU32::new(iterations).ok_or(MALFORMED)?;
        let blocks = u32::try_from(bytes.div_ceil(block)).unwrap_or(u32::MAX);
        let left = iterations.checked_mul(blocks).and_then(|work| self.0.checked_sub(work));
        match left {
            Some(left) if iterations <= ITERATIONS_MAX => {
                self.0 = left;
                Ok(counted)
            }
            _ => Err(CertificateError::PfxTooCostly),
        }
    }
}

/// A password in both forms in which it is hashed.
pub(super) struct Password {
    /// UTF-16, big-endian, and two zero bytes (RFC 7292 appendix B.1).
    wide: Zeroizing<Vec<u8>>,
    /// UTF-8, for PBES2.
    narrow: Zeroizing<Vec<u8>>,
}

impl Password {
    /// The forms of a password: one; of none two, as some tools leave out the two zero bytes if there is no password at all.
    pub(super) fn forms(password: Option<&Secret<String>>) -> Vec<Self> {
        let text = password.map_or("", |password| password.expose().as_str());
        let mut wide = Zeroizing::new(Vec::with_capacity(2 * text.len() + 2));
        wide.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
        wide.extend_from_slice(&[0, 0]);
        let mut forms = vec![Self { wide, narrow: Zeroizing::new(text.as_bytes().to_vec()) }];
        if text.is_empty() {
            forms.push(Self { wide: Zeroizing::default(), narrow: Zeroizing::default() });
        }
        forms
    }
}

/// What a derived key is for (RFC 7292 appendix B.3).
#[derive(Clone, Copy)]
#[repr(u8)]
enum Purpose {
    Key = 1,
    Iv = 2,
    Mac = 3,
}

/// RFC 7292 appendix B.2.
fn derive(
    (hash, purpose): (&'static digest::Algorithm, Purpose),
    password: &Password,
    salt: &[u8],
    iterations: u32,
    bytes: usize,
    budget: &mut Budget,
) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    let iterations = budget.spend(iterations, bytes, hash.output_len())?;
    let block = hash.block_len();
    let repeated = |bytes: &[u8]| -> Zeroizing<Vec<u8>> {
        Zeroizing::new(bytes.iter().copied().cycle().take(block * bytes.len().div_ceil(block)).collect())
    };
    let diversifier = vec![purpose as u8; block];
    let (mut salt, mut password) = (repeated(salt), repeated(&password.wide));
    let mut derived = Zeroizing::new(Vec::with_capacity(bytes));
    loop {
        let mut context = digest::Context::new(hash);
        context.update(&diversifier);
        context.update(&salt);
        context.update(&password);
        let mut output = context.finish();
        for _ in 1..iterations.get() {
            output = digest::digest(hash, output.as_ref());
        }
        let missing = bytes - derived.len();
        derived.extend(output.as_ref().iter().copied().take(missing));
        if derived.len() >= bytes {
            return Ok(derived);
        }
        // Each block of salt and password becomes itself plus the output plus one, as big-endian numbers.
        let addend: Zeroizing<Vec<u8>> =
            Zeroizing::new(output.as_ref().iter().copied().cycle().take(block).collect());
        for input in salt.chunks_exact_mut(block).chain(password.chunks_exact_mut(block)) {
            let mut carry = 1_u16;
            for (digit, added) in input.iter_mut().zip(addend.iter()).rev() {
                carry += u16::from(*digit) + u16::from(*added);
                *digit = carry.to_be_bytes()[1];
                carry >>= 8;
            }
        }
    }
}

/// Whether a MAC is that of the content below this password.
pub(super) fn verify_mac(
    mac: &MacData<'_>,
    content: &[u8],
    password: &Password,
    budget: &mut Budget,
) -> Result<bool, CertificateError> {
    let (hash, algorithm) = match mac.mac.algorithm.oid {
        oid::SHA1 => (&digest::SHA1_FOR_LEGACY_USE_ONLY, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        oid::SHA224 => (&digest::SHA224, hmac::HMAC_SHA224),
        oid::SHA256 => (&digest::SHA256, hmac::HMAC_SHA256),
        oid::SHA384 => (&digest::SHA384, hmac::HMAC_SHA384),
        oid::SHA512 => (&digest::SHA512, hmac::HMAC_SHA512),
        _ => return Err(CertificateError::PfxUnsupported { what: "the algorithm of its MAC" }),
    };
    let salt = mac.salt.as_bytes();
    let key = derive((hash, Purpose::Mac), password, salt, mac.iterations, hash.output_len(), budget)?;
    Ok(hmac::verify(&hmac::Key::new(algorithm, &key), content, mac.mac.digest.as_bytes()).is_ok())
}

/// The MAC that [`super::write_pfx`] writes: HMAC-SHA-1.
pub(super) fn mac_sha1(
    content: &[u8],
    password: &Password,
    salt: &[u8],
    iterations: u32,
) -> Result<hmac::Tag, CertificateError> {
    let hash = &digest::SHA1_FOR_LEGACY_USE_ONLY;
    let bytes = hash.output_len();
    let key = derive((hash, Purpose::Mac), password, salt, iterations, bytes, &mut Budget::new())?;
    Ok(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key), content))
}

/// Decrypts. What was encrypted with another password is an error or, one time in 256, not what it should be.
pub(super) fn decrypt(
    algorithm: &AlgorithmIdentifierRef<'_>,
    data: &[u8],
    password: &Password,
    budget: &mut Budget,
) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    let data = Zeroizing::new(data.to_vec());
    let key_bytes = match algorithm.oid {
        oid::PBES2 => return decrypt_pbes2(&parameters(algorithm)?, data, password, budget),
        oid::PBE_SHA1_3DES => 24,
        oid::PBE_SHA1_RC2_128 => 16,
        oid::PBE_SHA1_RC2_40 => 5,
        _ => return Err(CertificateError::PfxUnsupported { what: "the algorithm of its encryption" }),
    };
    let parameters: Pbes1Parameters<'_> = parameters(algorithm)?;
    let [key, iv] = derive_pbes1(&parameters, key_bytes, password, budget)?;
    match algorithm.oid {
        oid::PBE_SHA1_3DES => {
            let cipher = TdesEde3::new_from_slice(&key).map_err(|_| MALFORMED)?;
            decrypt_cbc(cipher, &iv, data)
        }
        _ => decrypt_cbc(Rc2::new_with_eff_key_len(&key, key_bytes * 8), &iv, data),
    }
}

/// Key and IV, both from the password.
fn derive_pbes1(
    parameters: &Pbes1Parameters<'_>,
    key_bytes: usize,
    password: &Password,
    budget: &mut Budget,
) -> Result<[Zeroizing<Vec<u8>>; 2], CertificateError> {
    let hash = &digest::SHA1_FOR_LEGACY_USE_ONLY;
    let (salt, iterations) = (parameters.salt.as_bytes(), parameters.iterations);
    Ok([
        derive((hash, Purpose::Key), password, salt, iterations, key_bytes, budget)?,
        derive((hash, Purpose::Iv), password, salt, iterations, 8, budget)?,
    ])
}

fn decrypt_pbes2(
    parameters: &Pbes2Parameters<'_>,
    mut data: Zeroizing<Vec<u8>>,
    password: &Password,
    budget: &mut Budget,
) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    const UNSUPPORTED: CertificateError =
        CertificateError::PfxUnsupported { what: "the algorithm of its encryption" };
    let (cipher, key_bytes) = match parameters.encryption.oid {
        oid::AES_128_CBC => (Some(&AES_128), 16),
        oid::AES_192_CBC => (Some(&AES_192), 24),
        oid::AES_256_CBC => (Some(&AES_256), 32),
        oid::DES_EDE3_CBC => (None, 24),
        _ => return Err(UNSUPPORTED),
    };
    let key = derive_pbkdf2(&parameters.derivation, key_bytes, password, budget)?;
    let iv = parameters.encryption.parameters.ok_or(MALFORMED)?;
    let iv = iv.decode_as::<&OctetStringRef>().map_err(|_| MALFORMED)?.as_bytes();
    let Some(cipher) = cipher else {
        return decrypt_cbc(TdesEde3::new_from_slice(&key).map_err(|_| MALFORMED)?, iv, data);
    };
    let iv: [u8; cipher::AES_CBC_IV_LEN] = iv.try_into().map_err(|_| MALFORMED)?;
    let key = UnboundCipherKey::new(cipher, &key).and_then(PaddedBlockDecryptingKey::cbc_pkcs7);
    let key = key.map_err(|_| CertificateError::Unavailable { what: "decrypting a PFX" })?;
    let plaintext = key.decrypt(&mut data, DecryptionContext::Iv128(FixedLength::from(iv)));
    let bytes = plaintext.map_err(|_| CertificateError::PfxPassword)?.len();
    data.truncate(bytes);
    Ok(data)
}

fn derive_pbkdf2(
    derivation: &AlgorithmIdentifierRef<'_>,
    key_bytes: usize,
    password: &Password,
    budget: &mut Budget,
) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    const UNSUPPORTED: CertificateError =
        CertificateError::PfxUnsupported { what: "the algorithm of its key derivation" };
    if derivation.oid != oid::PBKDF2 {
        return Err(UNSUPPORTED);
    }
    let parameters: Pbkdf2Parameters<'_> = self::parameters(derivation)?;
    // RFC 8018 appendix A.2: HMAC-SHA-1 if nothing is said.
    let (function, block) = match parameters.function.map_or(oid::HMAC_SHA1, |function| function.oid) {
        oid::HMAC_SHA1 => (pbkdf2::PBKDF2_HMAC_SHA1, 20),
        oid::HMAC_SHA256 => (pbkdf2::PBKDF2_HMAC_SHA256, 32),
        oid::HMAC_SHA384 => (pbkdf2::PBKDF2_HMAC_SHA384, 48),
        oid::HMAC_SHA512 => (pbkdf2::PBKDF2_HMAC_SHA512, 64),
        _ => return Err(UNSUPPORTED),
    };
    let iterations = budget.spend(parameters.iterations, key_bytes, block)?;
    let mut key = Zeroizing::new(vec![0; key_bytes]);
    pbkdf2::derive(function, iterations, parameters.salt.as_bytes(), &password.narrow, &mut key);
    Ok(key)
}

fn decrypt_cbc<C: BlockCipherDecrypt>(
    cipher: C,
    iv: &[u8],
    mut data: Zeroizing<Vec<u8>>,
) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    let cipher = cbc::Decryptor::inner_iv_slice_init(cipher, iv).map_err(|_| MALFORMED)?;
    let plaintext = cipher.decrypt_padded::<Pkcs7>(&mut data);
    let bytes = plaintext.map_err(|_| CertificateError::PfxPassword)?.len();
    data.truncate(bytes);
    Ok(data)
}

/// Encrypts as [`super::write_pfx`] does: `pbeWithSHAAnd3-KeyTripleDES-CBC`.
pub(super) fn encrypt_3des(
    plaintext: &[u8],
    parameters: &Pbes1Parameters<'_>,
    password: &Password,
) -> Result<Vec<u8>, CertificateError> {
    const UNAVAILABLE: CertificateError = CertificateError::Unavailable { what: "encrypting a PFX" };
    const BLOCK: usize = 8;
    let [key, iv] = derive_pbes1(parameters, 24, password, &mut Budget::new())?;
    let cipher = cbc::Encryptor::<TdesEde3>::new_from_slices(&key, &iv).map_err(|_| UNAVAILABLE)?;
    let mut data = Zeroizing::new(Vec::with_capacity(plaintext.len() + BLOCK));
    data.extend_from_slice(plaintext);
    data.resize(plaintext.len() + BLOCK, 0);
    let encrypted = cipher.encrypt_padded::<Pkcs7>(&mut data, plaintext.len());
    encrypted.map(<[u8]>::to_vec).map_err(|_| UNAVAILABLE)
}

fn parameters<'a, T: Sequence<'a> + der::DecodeValue<'a, Error = der::Error> + 'a>(
    algorithm: &AlgorithmIdentifierRef<'a>,
) -> Result<T, CertificateError> {
    algorithm.parameters.ok_or(MALFORMED)?.decode_as().map_err(|_| MALFORMED)
}
