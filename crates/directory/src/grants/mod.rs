//! Grants: each owns what makes it one. How the client proves itself is `client`; what all have in common is `token`.

pub(crate) mod authorization_code;
pub(crate) mod client_credentials;
pub(crate) mod delegated;
pub(crate) mod device_code;
mod error;
pub(crate) mod on_behalf_of;
pub(crate) mod password;
pub(crate) mod refresh_token;

pub use error::GrantError;

#[cfg(test)]
mod tests;
