//! Records of the store. A first byte says of which type; what is read is written, read and written again the same.

use serde::{Serialize, de::DeserializeOwned};
use vault::{
    Certificates, Deleted, DeletedVault, Head, Keys, Secrets, Vault, Version,
    certificates::{Contacts, Issuer, Pending},
    schedule::Due,
};

/// All types that can be named from outside of their crates.
pub(crate) const TYPES: &[fn(&[u8]) -> bool] = &[
    again::<Vault>,
    again::<DeletedVault>,
    again::<Head<Secrets>>,
    again::<Version<Secrets>>,
    again::<Deleted<Secrets>>,
    again::<Head<Keys>>,
    again::<Version<Keys>>,
    again::<Head<Certificates>>,
    again::<Version<Certificates>>,
    again::<Pending>,
    again::<Issuer>,
    again::<Contacts>,
    again::<Due>,
    again::<access::Principal>,
    again::<access::RoleAssignments>,
    again::<directory::Registration>,
    again::<directory::Tenant>,
    again::<identity::App>,
    again::<access::Group>,
    again::<directory::User>,
    again::<directory::FederatedCredential>,
    again::<host::UserAssigned>,
];

/// One record.
pub(crate) fn check(data: &[u8]) {
    let Some((&which, json)) = data.split_first() else { return };
    TYPES[usize::from(which) % TYPES.len()](json);
}

/// Is it one of these?
fn again<T: Serialize + DeserializeOwned>(json: &[u8]) -> bool {
    let Ok(read) = serde_json::from_slice::<T>(json) else { return false };
    let written = serde_json::to_vec(&read).unwrap();
    let again: T = serde_json::from_slice(&written)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&written)));
    assert_eq!(serde_json::to_vec(&again).unwrap(), written);
    true
}
