//! Grants: each owns what makes it one. How the client proves itself is `client`; what all have in common is `token`.

pub(crate) mod client_credentials;
