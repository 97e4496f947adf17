//! Writing a PFX: what a vault gives out as the secret of a certificate.
//!
//! Owns: the one form that it has. Owns not: who may have it. The password is empty, because Key Vault's is (whatever it was on import),
//! so whoever has the file has the key, and no cipher can change that. The ciphers are therefore chosen by who reads them: 3DES with
//! SHA-1 for key and certificates, HMAC-SHA-1 as MAC. OpenSSL 0.9 to 3 (3DES is in the default provider, RC2 is not), Java 6 and later,
//! Go's frozen `x/crypto/pkcs12`, Windows and macOS of any age, .NET, Node and Python open that; AES with HMAC-SHA-256 is closed to Go's,
//! to Java before 8u301, to Windows before 2019 and macOS before 15. What this gives up: OpenSSL in FIPS mode reads neither 3DES nor
//! PKCS#12's key derivation, which the MAC of a modern file needs too; there the certificate should be kept as PEM.
//!
//! Certificates come first in an encrypted part, then the key in a part of its own: the two parts that Go's reader counts, in
//! OpenSSL's order. Key and leaf have the same local key id, by which Java finds the chain.

use super::{
    pbe::{Password, encrypt_3des, mac_sha1},
    structure::{
        Bag, CertificateBag, ContentInfo, DigestInfo, EncryptedContent, EncryptedData, EncryptedKey, MacData,
        Pbes1Parameters, Pfx, VERSION, oid,
    },
};
use crate::certificate::{CertificateError, ParsedCertificate, PrivateKey, chain};
use der::{
    Any, AnyRef, Decode as _, Encode,
    asn1::{OctetString, OctetStringRef, SetOfVec},
};
use domain::{Entropy, Secret, world::random};
use x509_cert::{attr::Attribute, spki::AlgorithmIdentifierRef};
use zeroize::Zeroizing;

/// Iterations of each key derivation, as of OpenSSL's. With an empty password they protect nothing.
const ITERATIONS: u32 = 2_048;

const UNAVAILABLE: CertificateError = CertificateError::Unavailable { what: "writing a PFX" };

/// A PFX (DER) with an empty password: the certificates in their order, and the private key if there is one to be given out. It is a secret,
/// as anybody can open it.
///
/// # Errors
/// [`CertificateError::CertificateMissing`]; [`CertificateError::KeyMismatch`] if no certificate is the key's; as
/// [`PrivateKey::from_pkcs8`] and [`ParsedCertificate::from_der`]; [`CertificateError::TooLarge`];
/// [`CertificateError::Unavailable`].
pub fn write_pfx(
    key_pkcs8: Option<&Secret<Vec<u8>>>,
    chain: &[Vec<u8>],
    entropy: &dyn Entropy,
) -> Result<Secret<Vec<u8>>, CertificateError> {
    let mut certificates = Vec::new();
    for certificate in chain {
        chain::add(&mut certificates, certificate)?;
    }
    let key = key_pkcs8.map(PrivateKey::from_pkcs8).transpose()?;
    let at = chain::position_of_leaf(&certificates, key.as_ref().map(PrivateKey::public_key))?;
    let leaf = certificates.get(at).ok_or(CertificateError::CertificateMissing)?;
    let password = Password::forms(None).into_iter().next().ok_or(UNAVAILABLE)?;
    let id = local_key_id(leaf)?;
    let mut parts = vec![certificate_part(&certificates, at, &id, &password, entropy)?];
    if let Some(key) = key {
        // Written anew: older readers refuse version 2 of PKCS#8 and attributes in it.
        parts.push(key_part(&key.to_pkcs8()?, &id, &password, entropy)?);
    }
    let parts: Vec<_> = parts.iter().map(|part| any(part)).collect::<Result<_, _>>()?;
    let content = encode(&parts)?;
    let salt = random::<8>(entropy);
    let tag = mac_sha1(&content, &password, &salt, ITERATIONS)?;
    let safe = encode(&octets(&content)?)?;
    let pfx = Pfx {
        version: VERSION,
        safe: ContentInfo { id: oid::DATA, content: any(&safe)? },
        mac: Some(MacData {
            mac: DigestInfo {
                algorithm: AlgorithmIdentifierRef { oid: oid::SHA1, parameters: Some(AnyRef::NULL) },
                digest: octets(tag.as_ref())?,
            },
            salt: octets(&salt)?,
            iterations: ITERATIONS,
        }),
    };
    Ok(Secret::new(pfx.to_der().map_err(|_| UNAVAILABLE)?))
}

/// ContentInfo of the certificates, encrypted.
fn certificate_part(
    certificates: &[ParsedCertificate],
    leaf: usize,
    id: &[u8],
    password: &Password,
    entropy: &dyn Entropy,
) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    let values: Vec<_> = certificates
        .iter()
        .map(|certificate| {
            encode(&CertificateBag { id: oid::X509_CERTIFICATE, value: octets(&certificate.der)? })
        })
        .collect::<Result<_, _>>()?;
    let mut bags = Vec::with_capacity(values.len());
    for (number, value) in values.iter().enumerate() {
        // The leaf, which is the key's.
        let attributes = if number == leaf { Some(any(id)?) } else { None };
        bags.push(Bag { id: oid::CERTIFICATE_BAG, value: any(value)?, attributes });
    }
    let salt = random::<8>(entropy);
    let parameters = Pbes1Parameters { salt: octets(&salt)?, iterations: ITERATIONS };
    let data = encrypt_3des(&encode(&bags)?, &parameters, password)?;
    let parameters = encode(&parameters)?;
    let encrypted = encode(&EncryptedData {
        version: 0,
        content: EncryptedContent {
            id: oid::DATA,
            algorithm: AlgorithmIdentifierRef {
                oid: oid::PBE_SHA1_3DES,
                parameters: Some(any(&parameters)?),
            },
            data: octets(&data)?,
        },
    })?;
    encode(&ContentInfo { id: oid::ENCRYPTED_DATA, content: any(&encrypted)? })
}

/// ContentInfo of the key, which is encrypted inside of it.
fn key_part(
    pkcs8: &Secret<Vec<u8>>,
    id: &[u8],
    password: &Password,
    entropy: &dyn Entropy,
) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    let salt = random::<8>(entropy);
    let parameters = Pbes1Parameters { salt: octets(&salt)?, iterations: ITERATIONS };
    let data = encrypt_3des(pkcs8.expose(), &parameters, password)?;
    let parameters = encode(&parameters)?;
    let encrypted = encode(&EncryptedKey {
        algorithm: AlgorithmIdentifierRef { oid: oid::PBE_SHA1_3DES, parameters: Some(any(&parameters)?) },
        data: octets(&data)?,
    })?;
    let bag = Bag { id: oid::SHROUDED_KEY_BAG, value: any(&encrypted)?, attributes: Some(any(id)?) };
    let content = encode(&octets(&encode(&vec![bag])?)?)?;
    encode(&ContentInfo { id: oid::DATA, content: any(&content)? })
}

/// The SET OF attributes that both have: the leaf's thumbprint as local key id, which is what OpenSSL takes.
fn local_key_id(leaf: &ParsedCertificate) -> Result<Vec<u8>, CertificateError> {
    let id = OctetString::new(leaf.thumbprint().as_slice()).and_then(|id| Any::encode_from(&id));
    let values = SetOfVec::try_from(vec![id.map_err(|_| UNAVAILABLE)?]).map_err(|_| UNAVAILABLE)?;
    let attributes = SetOfVec::try_from(vec![Attribute { oid: oid::LOCAL_KEY_ID, values }]);
    attributes.and_then(|attributes| attributes.to_der()).map_err(|_| UNAVAILABLE)
}

fn encode(value: &impl Encode) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    value.to_der().map(Zeroizing::new).map_err(|_| UNAVAILABLE)
}

fn any(der: &[u8]) -> Result<AnyRef<'_>, CertificateError> {
    AnyRef::from_der(der).map_err(|_| UNAVAILABLE)
}

fn octets(bytes: &[u8]) -> Result<&OctetStringRef, CertificateError> {
    OctetStringRef::new(bytes).map_err(|_| UNAVAILABLE)
}
