//! PEM bundles as they are imported. What is read is written and read again the same.

use super::pfx::{chain, same};
use crypt::certificate::{read_pem, write_pem};
use domain::Secret;

/// One bundle.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let password = Secret::new("1234".to_owned());
    let Ok(imported) = read_pem(&Secret::new(text.to_owned()), Some(&password)) else { return };
    let written = write_pem(Some(&imported.key_pkcs8), &chain(&imported)).unwrap();
    same(&imported, &read_pem(&written, None).unwrap());
}
