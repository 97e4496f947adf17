//! Bearer authentication of Key Vault requests: the challenge, the token, the caller (RFC 6750).
