//! The ASN.1 of a PFX (RFC 7292 section 4, RFC 5652 section 8, RFC 8018 appendix A). Everything borrows, so that what was decrypted is in
//! one buffer only, which its owner zeroizes.

use der::{
    AnyRef, Sequence,
    asn1::{OctetStringRef, UintRef},
    oid::ObjectIdentifier,
};
use x509_cert::spki::AlgorithmIdentifierRef;

/// The object identifiers of a PFX.
pub(super) mod oid {
    use super::ObjectIdentifier;

    const fn new(dotted: &str) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(dotted)
    }

    pub(in super::super) const DATA: ObjectIdentifier = new("1.2.840.113549.1.7.1");
    pub(in super::super) const SIGNED_DATA: ObjectIdentifier = new("1.2.840.113549.1.7.2");
    pub(in super::super) const ENVELOPED_DATA: ObjectIdentifier = new("1.2.840.113549.1.7.3");
    pub(in super::super) const ENCRYPTED_DATA: ObjectIdentifier = new("1.2.840.113549.1.7.6");

    pub(in super::super) const KEY_BAG: ObjectIdentifier = new("1.2.840.113549.1.12.10.1.1");
    pub(in super::super) const SHROUDED_KEY_BAG: ObjectIdentifier = new("1.2.840.113549.1.12.10.1.2");
    pub(in super::super) const CERTIFICATE_BAG: ObjectIdentifier = new("1.2.840.113549.1.12.10.1.3");
    pub(in super::super) const CRL_BAG: ObjectIdentifier = new("1.2.840.113549.1.12.10.1.4");
    pub(in super::super) const SECRET_BAG: ObjectIdentifier = new("1.2.840.113549.1.12.10.1.5");
    pub(in super::super) const NESTED_BAG: ObjectIdentifier = new("1.2.840.113549.1.12.10.1.6");
    pub(in super::super) const X509_CERTIFICATE: ObjectIdentifier = new("1.2.840.113549.1.9.22.1");
    pub(in super::super) const LOCAL_KEY_ID: ObjectIdentifier = new("1.2.840.113549.1.9.21");

    pub(in super::super) const PBE_SHA1_3DES: ObjectIdentifier = new("1.2.840.113549.1.12.1.3");
    pub(in super::super) const PBE_SHA1_RC2_128: ObjectIdentifier = new("1.2.840.113549.1.12.1.5");
    pub(in super::super) const PBE_SHA1_RC2_40: ObjectIdentifier = new("1.2.840.113549.1.12.1.6");

    pub(in super::super) const PBES2: ObjectIdentifier = new("1.2.840.113549.1.5.13");
    pub(in super::super) const PBKDF2: ObjectIdentifier = new("1.2.840.113549.1.5.12");
    pub(in super::super) const HMAC_SHA1: ObjectIdentifier = new("1.2.840.113549.2.7");
    pub(in super::super) const HMAC_SHA256: ObjectIdentifier = new("1.2.840.113549.2.9");
    pub(in super::super) const HMAC_SHA384: ObjectIdentifier = new("1.2.840.113549.2.10");
    pub(in super::super) const HMAC_SHA512: ObjectIdentifier = new("1.2.840.113549.2.11");
    pub(in super::super) const AES_128_CBC: ObjectIdentifier = new("2.16.840.1.101.3.4.1.2");
    pub(in super::super) const AES_192_CBC: ObjectIdentifier = new("2.16.840.1.101.3.4.1.22");
    pub(in super::super) const AES_256_CBC: ObjectIdentifier = new("2.16.840.1.101.3.4.1.42");
    pub(in super::super) const DES_EDE3_CBC: ObjectIdentifier = new("1.2.840.113549.3.7");

    pub(in super::super) const SHA1: ObjectIdentifier = new("1.3.14.3.2.26");
    pub(in super::super) const SHA224: ObjectIdentifier = new("2.16.840.1.101.3.4.2.4");
    pub(in super::super) const SHA256: ObjectIdentifier = new("2.16.840.1.101.3.4.2.1");
    pub(in super::super) const SHA384: ObjectIdentifier = new("2.16.840.1.101.3.4.2.2");
    pub(in super::super) const SHA512: ObjectIdentifier = new("2.16.840.1.101.3.4.2.3");
}

/// The only version (RFC 7292 section 4).
pub(super) const VERSION: u8 = 3;

#[derive(Sequence)]
pub(super) struct Pfx<'a> {
    pub(super) version: u8,
    pub(super) safe: ContentInfo<'a>,
    #[asn1(optional = "true")]
    pub(super) mac: Option<MacData<'a>>,
}

#[derive(Sequence)]
pub(super) struct MacData<'a> {
    pub(super) mac: DigestInfo<'a>,
    pub(super) salt: &'a OctetStringRef,
    #[asn1(default = "one")]
    pub(super) iterations: u32,
}

fn one() -> u32 {
    1
}

#[derive(Sequence)]
pub(super) struct DigestInfo<'a> {
    pub(super) algorithm: AlgorithmIdentifierRef<'a>,
    pub(super) digest: &'a OctetStringRef,
}

#[derive(Sequence)]
pub(super) struct ContentInfo<'a> {
    pub(super) id: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    pub(super) content: AnyRef<'a>,
}

#[derive(Sequence)]
pub(super) struct EncryptedData<'a> {
    pub(super) version: u8,
    pub(super) content: EncryptedContent<'a>,
}

#[derive(Sequence)]
pub(super) struct EncryptedContent<'a> {
    pub(super) id: ObjectIdentifier,
    pub(super) algorithm: AlgorithmIdentifierRef<'a>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    pub(super) data: &'a OctetStringRef,
}

#[derive(Sequence)]
pub(super) struct Bag<'a> {
    pub(super) id: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    pub(super) value: AnyRef<'a>,
    /// A SET OF attributes. Not looked at: which certificate is the key's is told by the key itself.
    #[asn1(optional = "true")]
    pub(super) attributes: Option<AnyRef<'a>>,
}

#[derive(Sequence)]
pub(super) struct CertificateBag<'a> {
    pub(super) id: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    pub(super) value: &'a OctetStringRef,
}

/// EncryptedPrivateKeyInfo (RFC 5208 section 6).
#[derive(Sequence)]
pub(super) struct EncryptedKey<'a> {
    pub(super) algorithm: AlgorithmIdentifierRef<'a>,
    pub(super) data: &'a OctetStringRef,
}

/// Parameters of the algorithms of RFC 7292 appendix C.
#[derive(Sequence)]
pub(super) struct Pbes1Parameters<'a> {
    pub(super) salt: &'a OctetStringRef,
    pub(super) iterations: u32,
}

#[derive(Sequence)]
pub(super) struct Pbes2Parameters<'a> {
    pub(super) derivation: AlgorithmIdentifierRef<'a>,
    pub(super) encryption: AlgorithmIdentifierRef<'a>,
}

#[derive(Sequence)]
pub(super) struct Pbkdf2Parameters<'a> {
    pub(super) salt: &'a OctetStringRef,
    pub(super) iterations: u32,
    /// The cipher tells it too.
    #[asn1(optional = "true")]
    pub(super) key_bytes: Option<UintRef<'a>>,
    #[asn1(optional = "true")]
    pub(super) function: Option<AlgorithmIdentifierRef<'a>>,
}
