//! Certificates, chains and signing requests, DER: what a merge is given, and what is read back. A first byte says which.

use crypt::certificate::{ParsedCertificate, PublicKey, read_chain, read_request};

/// One of them.
pub(crate) fn check(data: &[u8]) {
    match data.split_first() {
        Some((0, der)) => certificate(der),
        Some((1, der)) => {
            if let Ok(request) = read_request(der) {
                let key = PublicKey::from_der(request.public_key.as_der()).unwrap();
                assert_eq!(key, request.public_key);
            }
        }
        // Certificates one after the other, each with its length before it.
        Some((_, rest)) => chain(rest),
        None => {}
    }
}

fn certificate(der: &[u8]) {
    let Ok(parsed) = ParsedCertificate::from_der(der) else { return };
    assert_eq!(parsed.der, der, "it is kept as it came");
    assert!(ParsedCertificate::from_der(&parsed.der).is_ok_and(|again| again == parsed));
    let read = read_chain([der], &parsed.public_key).unwrap();
    assert!(read.len() == 1 && read[0] == parsed);
}

fn chain(mut rest: &[u8]) {
    let mut certificates = Vec::new();
    while let Some((length, others)) = rest.split_at_checked(2) {
        let length = usize::from(u16::from_le_bytes([length[0], length[1]])).min(others.len());
        let (der, others) = others.split_at(length);
        certificates.push(der);
        rest = others;
    }
    let Some(first) = certificates.first().and_then(|der| ParsedCertificate::from_der(der).ok()) else {
        return;
    };
    if let Ok(read) = read_chain(certificates.iter().copied(), &first.public_key) {
        let read: Vec<_> = read.iter().map(|certificate| certificate.der.as_slice()).collect();
        assert_eq!(read.first().map(|der| *der == first.der.as_slice()), Some(true), "the leaf is first");
        assert!(read.iter().all(|der| certificates.contains(der)), "none is made up");
    }
}
