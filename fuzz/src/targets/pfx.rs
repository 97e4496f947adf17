//! PFX files: a byte that says how long the password is (0: none), the password, the file. What is read is written and read again the same.

use crate::support::SeededEntropy;
use crypt::certificate::{Imported, read_pfx, write_pfx};
use domain::Secret;

/// One file.
pub(crate) fn check(data: &[u8]) {
    let Some((&length, rest)) = data.split_first() else { return };
    let Some((password, pfx)) = rest.split_at_checked(usize::from(length)) else { return };
    let Ok(password) = std::str::from_utf8(password) else { return };
    let password = (length > 0).then(|| Secret::new(password.to_owned()));
    let Ok(imported) = read_pfx(&Secret::new(pfx.to_vec()), password.as_ref()) else { return };
    let written = write_pfx(Some(&imported.key_pkcs8), &chain(&imported), &SeededEntropy::new(3)).unwrap();
    let again = read_pfx(&written, None).unwrap();
    same(&imported, &again);
}

/// The certificates as a vault keeps them.
pub(crate) fn chain(imported: &Imported) -> Vec<Vec<u8>> {
    imported.chain().into_iter().map(|certificate| certificate.der).collect()
}

/// Are these the same key and chain?
pub(crate) fn same(one: &Imported, other: &Imported) {
    assert_eq!(one.key_pkcs8.expose(), other.key_pkcs8.expose(), "the key");
    assert_eq!(chain(one), chain(other), "the certificates");
    assert!(one.leaf().is_some() && one.leaf().map(|leaf| &leaf.der) == other.leaf().map(|leaf| &leaf.der));
}
