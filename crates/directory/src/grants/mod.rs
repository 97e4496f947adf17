//! Grants: each owns its own proof; what all have in common is in `token`.

pub(crate) mod client_secret;
