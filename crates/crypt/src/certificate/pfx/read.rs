//! Reading a PFX: one private key and its certificates, whoever wrote the file.
//!
//! Owns: what is accepted. Owns not: ciphers (`pbe`), the ASN.1 (`structure`). A file without MAC is read: what it is good for is seen when
//! its key belongs to its certificate. DER only, which OpenSSL, Windows, Java and Python write; the BER of Apple's Keychain and of NSS
//! (lengths that are not told) is refused as malformed. Lists of revoked certificates and secrets in it are left out.

use super::{
    pbe::{Budget, Password, decrypt, verify_mac},
    structure::{Bag, CertificateBag, ContentInfo, EncryptedData, EncryptedKey, Pfx, VERSION, oid},
};
use crate::certificate::{CertificateError, Imported, ParsedCertificate, PrivateKey, chain};
use der::{AnyRef, Decode as _, Sequence, asn1::OctetStringRef};
use domain::Secret;

/// Bytes of a PFX. Ours: a chain of four and a key of RSA-4096 are 10 KB.
pub const PFX_BYTES_MAX: usize = 192 * 1024;

const MALFORMED: CertificateError = CertificateError::PfxMalformed;

/// Reads a PFX, DER. No password and an empty one are the same: files that were written with either are opened with either.
///
/// # Errors
/// [`CertificateError::PfxPassword`], [`CertificateError::PfxMalformed`], [`CertificateError::PfxUnsupported`],
/// [`CertificateError::PfxTooCostly`]; [`CertificateError::KeyMissing`], [`CertificateError::KeyAmbiguous`],
/// [`CertificateError::CertificateMissing`], [`CertificateError::KeyMismatch`] for what is in it; [`CertificateError::TooLarge`]
/// above [`PFX_BYTES_MAX`] or too many certificates; and as [`PrivateKey::from_pkcs8`] and [`ParsedCertificate::from_der`].
pub fn read_pfx(
    pfx: &Secret<Vec<u8>>,
    password: Option<&Secret<String>>,
) -> Result<Imported, CertificateError> {
    let pfx = pfx.expose().as_slice();
    if pfx.len() > PFX_BYTES_MAX {
        return Err(CertificateError::TooLarge { what: "the PFX" });
    }
    let pfx = Pfx::from_der(pfx).map_err(|_| MALFORMED)?;
    if pfx.version != VERSION {
        return Err(CertificateError::PfxUnsupported { what: "its version" });
    }
    let content = octets(&pfx.safe)?;
    let mut budget = Budget::new();
    let mut password = Password::forms(password).into_iter();
    let first = password.next().ok_or(MALFORMED)?;
    let (password, broken) = match &pfx.mac {
        // Garbage that was decrypted is told from a malformed file by the MAC only.
        None => (first, CertificateError::PfxPassword),
        Some(mac) => {
            let mut right = None;
            for form in std::iter::once(first).chain(password) {
                if verify_mac(mac, content, &form, &mut budget)? {
                    right = Some(form);
                    break;
                }
            }
            (right.ok_or(CertificateError::PfxPassword)?, MALFORMED)
        }
    };
    let mut reader = Reader { password, budget, broken, key: None, certificates: Vec::new() };
    for part in Vec::<ContentInfo<'_>>::from_der(content).map_err(|_| MALFORMED)? {
        reader.part(&part)?;
    }
    let key = reader.key.ok_or(CertificateError::KeyMissing)?;
    Imported::new(&key, reader.certificates)
}

/// Opens an encrypted private key by itself (RFC 5958 section 3, EncryptedPrivateKeyInfo), DER, as a PFX has one in it.
///
/// # Errors
/// [`CertificateError::PfxPassword`], also if what was decrypted is no key: nothing else tells; [`CertificateError::KeyMalformed`],
/// [`CertificateError::PfxUnsupported`], [`CertificateError::PfxTooCostly`]; and as [`PrivateKey::from_pkcs8`].
pub(in super::super) fn open_key(
    encrypted: &[u8],
    password: Option<&Secret<String>>,
) -> Result<PrivateKey, CertificateError> {
    let malformed = CertificateError::KeyMalformed;
    let encrypted = EncryptedKey::from_der(encrypted).map_err(|_| malformed)?;
    let password = Password::forms(password).into_iter().next().ok_or(malformed)?;
    let pkcs8 = decrypt(&encrypted.algorithm, encrypted.data.as_bytes(), &password, &mut Budget::new());
    let pkcs8 =
        pkcs8.map_err(|error| if error == MALFORMED { CertificateError::PfxPassword } else { error })?;
    PrivateKey::read_pkcs8(&pkcs8)
        .map_err(|error| if error == malformed { CertificateError::PfxPassword } else { error })
}

/// What was found so far.
struct Reader {
    password: Password,
    budget: Budget,
    /// What to say if something decrypted is not what it should be.
    broken: CertificateError,
    key: Option<PrivateKey>,
    certificates: Vec<ParsedCertificate>,
}

impl Reader {
    fn part(&mut self, part: &ContentInfo<'_>) -> Result<(), CertificateError> {
        match part.id {
            oid::DATA => self.bags(octets(part)?, MALFORMED),
            oid::ENCRYPTED_DATA => {
                let encrypted = sequence::<EncryptedData<'_>>(part.content)?.content;
                let data = encrypted.data.as_bytes();
                let bags = decrypt(&encrypted.algorithm, data, &self.password, &mut self.budget)?;
                self.bags(&bags, self.broken)
            }
            oid::ENVELOPED_DATA => Err(CertificateError::PfxUnsupported { what: "encryption by public key" }),
            _ => Err(MALFORMED),
        }
    }

    fn bags(&mut self, bags: &[u8], broken: CertificateError) -> Result<(), CertificateError> {
        for bag in Vec::<Bag<'_>>::from_der(bags).map_err(|_| broken)? {
            self.bag(&bag)?;
        }
        Ok(())
    }

    fn bag(&mut self, bag: &Bag<'_>) -> Result<(), CertificateError> {
        match bag.id {
            // A second key is refused before any work is done for it.
            oid::KEY_BAG | oid::SHROUDED_KEY_BAG if self.key.is_some() => Err(CertificateError::KeyAmbiguous),
            oid::KEY_BAG => {
                // The library has no whole of a borrowed part, so it is put together again, and zeroized.
                let pkcs8 = Secret::new(der::Encode::to_der(&bag.value).map_err(|_| MALFORMED)?);
                self.key = Some(PrivateKey::from_pkcs8(&pkcs8)?);
                Ok(())
            }
            oid::SHROUDED_KEY_BAG => {
                let encrypted: EncryptedKey<'_> = sequence(bag.value)?;
                let data = encrypted.data.as_bytes();
                let pkcs8 = decrypt(&encrypted.algorithm, data, &self.password, &mut self.budget)?;
                self.key = Some(PrivateKey::read_pkcs8(&pkcs8).map_err(|error| match error {
                    CertificateError::KeyMalformed if self.broken == CertificateError::PfxPassword => {
                        self.broken
                    }
                    error => error,
                })?);
                Ok(())
            }
            oid::CERTIFICATE_BAG => {
                let certificate: CertificateBag<'_> = sequence(bag.value)?;
                if certificate.id != oid::X509_CERTIFICATE {
                    return Err(CertificateError::PfxUnsupported { what: "a certificate that is not X.509" });
                }
                chain::add(&mut self.certificates, certificate.value.as_bytes())
            }
            oid::CRL_BAG | oid::SECRET_BAG => Ok(()),
            oid::NESTED_BAG => Err(CertificateError::PfxUnsupported { what: "bags in bags" }),
            _ => Err(MALFORMED),
        }
    }
}

fn octets<'a>(content: &ContentInfo<'a>) -> Result<&'a [u8], CertificateError> {
    match content.id {
        oid::DATA => content
            .content
            .decode_as::<&OctetStringRef>()
            .map(OctetStringRef::as_bytes)
            .map_err(|_| MALFORMED),
        oid::SIGNED_DATA => Err(CertificateError::PfxUnsupported { what: "a signature in place of a MAC" }),
        _ => Err(MALFORMED),
    }
}

fn sequence<'a, T: Sequence<'a> + der::DecodeValue<'a, Error = der::Error> + 'a>(
    any: AnyRef<'a>,
) -> Result<T, CertificateError> {
    any.decode_as().map_err(|_| MALFORMED)
}
