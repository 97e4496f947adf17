//! Passkeys: what a browser answers when one is made and when one is used (Web Authentication Level 2, sections 7.1 and 7.2), checked by
//! plain functions.
//!
//! Owns: which answers are good. Owns not: the challenges and that each is used once, where passkeys are kept, the pages. No attestation is
//! asked for, so that none is taken: which make an authenticator is of makes no difference. The user must be verified by the authenticator
//! (a PIN, a finger): a passkey stands for password and second factor.

use crypt::{AuthenticatorKey, cbor::Value, compare, encoding, sha256};
use serde::{Deserialize, Serialize};

/// Bytes of a credential's id. Source: Web Authentication section 4, credential id.
const ID_BYTES_MAX: usize = 1_023;
/// Bytes of client data. Ours: an origin, a challenge, and what browsers add.
const CLIENT_DATA_BYTES_MAX: usize = 4 * 1024;
/// Bytes of an attestation object without attestation. Ours.
const ATTESTATION_BYTES_MAX: usize = 4 * 1024;

/// Flags of authenticator data (section 6.1; backup flags: Level 3).
const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const BACKUP_ELIGIBLE: u8 = 0x08;
const BACKED_UP: u8 = 0x10;
const HAS_CREDENTIAL: u8 = 0x40;
const HAS_EXTENSIONS: u8 = 0x80;

/// What an answer must be for.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The domain that passkeys are for.
    pub rp_id: &'a str,
    /// The origin of our pages, as browsers write it: `https://login.example:8443`.
    pub origin: &'a str,
    /// The random bytes that were sent. The caller sees to it that they are used once.
    pub challenge: &'a [u8],
}

/// A passkey of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passkey {
    /// The credential's id, base64url.
    pub id: String,
    /// Its public key.
    pub key: AuthenticatorKey,
    /// How often it has signed, if the authenticator counts; 0 if not.
    pub counter: u32,
    /// May its private half be on several devices? It never changes.
    pub is_backup_eligible: bool,
}

/// Why an answer is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasskeyFault {
    /// It is not of its form, or too long.
    #[error("the answer is malformed: {0}")]
    Malformed(&'static str),
    /// It is for something else.
    #[error("the answer is for another {0}")]
    Other(&'static str),
    /// The user was not there, or not verified.
    #[error("the authenticator has not verified the user")]
    NotVerified,
    /// An attestation, or a key of another kind.
    #[error("the authenticator's {0} is not supported")]
    Unsupported(&'static str),
    /// The signature does not hold.
    #[error("the signature does not hold")]
    Signature,
    /// The counter has not grown: there may be two of this passkey.
    #[error("the passkey's counter has not grown: it may have been copied")]
    Counter,
}

/// The part of client data that is checked (section 5.8.1). Browsers add members.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    challenge: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    origin: std::borrow::Cow<'a, str>,
    #[serde(default)]
    cross_origin: bool,
}

/// Authenticator data (section 6.1), after its own checks.
struct Authenticated<'a> {
    flags: u8,
    counter: u32,
    rest: &'a [u8],
}

/// A new passkey out of what `navigator.credentials.create()` answered.
///
/// # Errors
/// [`PasskeyFault`].
pub fn register(
    expected: &Expected<'_>,
    client_data: &[u8],
    attestation_object: &[u8],
) -> Result<Passkey, PasskeyFault> {
    check_client_data(expected, client_data, "webauthn.create")?;
    if attestation_object.len() > ATTESTATION_BYTES_MAX {
        return Err(PasskeyFault::Malformed("attestation object"));
    }
    let malformed = PasskeyFault::Malformed("attestation object");
    let Ok((object, [])) = Value::read(attestation_object) else { return Err(malformed) };
    let is_none = object.named("fmt") == Some(&Value::Text("none"))
        && object.named("attStmt") == Some(&Value::Map(Vec::new()));
    if !is_none {
        return Err(PasskeyFault::Unsupported("attestation"));
    }
    let data = object.named("authData").and_then(Value::bytes).ok_or(malformed)?;
    let Authenticated { flags, counter, rest } = check_authenticator_data(expected, data)?;
    if flags & HAS_CREDENTIAL == 0 {
        return Err(malformed);
    }
    // 16 bytes say which make it is; then the id with its length, and the key.
    let (length, rest) = rest.get(16..).and_then(|rest| rest.split_first_chunk::<2>()).ok_or(malformed)?;
    let length = usize::from(u16::from_be_bytes(*length));
    if length == 0 || length > ID_BYTES_MAX {
        return Err(PasskeyFault::Malformed("credential id"));
    }
    let (id, rest) = rest.split_at_checked(length).ok_or(malformed)?;
    let (key, rest) = AuthenticatorKey::read(rest).map_err(|_| PasskeyFault::Unsupported("key"))?;
    check_extensions(flags, rest)?;
    let is_backup_eligible = flags & BACKUP_ELIGIBLE != 0;
    Ok(Passkey { id: encoding::base64url(id), key, counter, is_backup_eligible })
}

/// Has this passkey signed the challenge? Answers the passkey as it is to be kept: with its new counter.
///
/// # Errors
/// [`PasskeyFault`].
pub fn assert(
    expected: &Expected<'_>,
    passkey: &Passkey,
    client_data: &[u8],
    authenticator_data: &[u8],
    signature: &[u8],
) -> Result<Passkey, PasskeyFault> {
    check_client_data(expected, client_data, "webauthn.get")?;
    if authenticator_data.len() > ATTESTATION_BYTES_MAX {
        return Err(PasskeyFault::Malformed("authenticator data"));
    }
    let Authenticated { flags, counter, rest } = check_authenticator_data(expected, authenticator_data)?;
    if flags & HAS_CREDENTIAL != 0 {
        return Err(PasskeyFault::Malformed("authenticator data"));
    }
    check_extensions(flags, rest)?;
    if (flags & BACKUP_ELIGIBLE != 0) != passkey.is_backup_eligible {
        return Err(PasskeyFault::Other("kind of passkey"));
    }
    let signed = [authenticator_data, sha256(client_data).bytes()].concat();
    passkey.key.verify(&signed, signature).map_err(|_| PasskeyFault::Signature)?;
    let counts = counter != 0 || passkey.counter != 0;
    if counts && counter <= passkey.counter {
        return Err(PasskeyFault::Counter);
    }
    Ok(Passkey { counter, ..passkey.clone() })
}

fn check_client_data(expected: &Expected<'_>, bytes: &[u8], kind: &str) -> Result<(), PasskeyFault> {
    let malformed = PasskeyFault::Malformed("client data");
    if bytes.len() > CLIENT_DATA_BYTES_MAX {
        return Err(malformed);
    }
    let data: ClientData<'_> = serde_json::from_slice(bytes).map_err(|_| malformed)?;
    if data.kind != kind {
        return Err(PasskeyFault::Other("ceremony"));
    }
    let challenge = encoding::from_base64url(data.challenge.as_bytes()).map_err(|_| malformed)?;
    if !compare::equal(&challenge, expected.challenge) {
        return Err(PasskeyFault::Other("challenge"));
    }
    // Inside of somebody else's page it is not clear to the user who asks.
    if data.origin != expected.origin || data.cross_origin {
        return Err(PasskeyFault::Other("origin"));
    }
    Ok(())
}

fn check_authenticator_data<'a>(
    expected: &Expected<'_>,
    data: &'a [u8],
) -> Result<Authenticated<'a>, PasskeyFault> {
    let malformed = PasskeyFault::Malformed("authenticator data");
    let (rp_id, rest) = data.split_first_chunk::<32>().ok_or(malformed)?;
    let (flags, rest) = rest.split_first().ok_or(malformed)?;
    let (counter, rest) = rest.split_first_chunk::<4>().ok_or(malformed)?;
    if rp_id != sha256(expected.rp_id).bytes() {
        return Err(PasskeyFault::Other("site"));
    }
    if flags & USER_PRESENT == 0 || flags & USER_VERIFIED == 0 {
        return Err(PasskeyFault::NotVerified);
    }
    if flags & BACKED_UP != 0 && flags & BACKUP_ELIGIBLE == 0 {
        return Err(malformed);
    }
    Ok(Authenticated { flags: *flags, counter: u32::from_be_bytes(*counter), rest })
}

/// Extensions are read, so that nothing comes after them, and not looked at: none was asked for.
fn check_extensions(flags: u8, rest: &[u8]) -> Result<(), PasskeyFault> {
    let is_good = match (flags & HAS_EXTENSIONS != 0, Value::read(rest)) {
        (true, Ok((Value::Map(_), []))) => true,
        (true, _) => false,
        (false, _) => rest.is_empty(),
    };
    if is_good { Ok(()) } else { Err(PasskeyFault::Malformed("authenticator data")) }
}

#[cfg(test)]
mod tests;
