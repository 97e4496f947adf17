//! Device codes (RFC 8628): a device without a browser asks for a code, the user types it into a browser elsewhere and signs in there, and the
//! device, which has asked again and again, gets its tokens.
//!
//! The device code is a secret of 256 bits and known to the device only; the user code is short, lives for minutes, and opens nothing without a
//! user who signs in and says yes.

use crate::{
    DirectoryError, GrantError,
    application::Application,
    client::Authenticated,
    grants::delegated::{self, Outcome, Proven, Setting},
    redirect::Platform,
    scope::Scopes,
    session::{self, Kept, Session, SignedIn},
    sweep::Expiring,
};
use crypt::{Sha256Hash, sha256};
use domain::{ClientId, Entropy, Secret, SessionId, Timestamp, limits, world::random};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Decision, Halt, Key, Load, Record, View, Write, refuse};

pub(crate) const PREFIX: &str = "device-code/";
pub(crate) const USER_CODE_PREFIX: &str = "device-user-code/";

/// Consonants that nobody takes for another, so that no words come of it (RFC 8628 section 6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// A device that waits, under the hash of its device code.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Device {
    id: Sha256Hash,
    pub(crate) client: ClientId,
    pub(crate) scopes: Scopes,
    state: State,
    expires: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// Nobody has answered.
    Waiting,
    /// A user has said yes; this session has begun for it.
    Approved(SessionId),
    /// A user has said no.
    Declined,
    /// It has its tokens.
    Redeemed,
}

impl Record for Device {
    type Id = Sha256Hash;

    fn key(id: &Sha256Hash) -> Key {
        Key::new(format!("{PREFIX}{id}"))
    }
}

impl Expiring for Device {
    fn expires(&self) -> Timestamp {
        self.expires
    }

    fn again(&self, view: &View) -> Result<Option<Arc<Self>>, Load> {
        view.get::<Self>(&self.id)
    }
}

/// From a user code to the device. Unique by its key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct UserCode {
    code: String,
    pub(crate) device: Sha256Hash,
    expires: Timestamp,
}

impl Record for UserCode {
    type Id = str;

    fn key(code: &str) -> Key {
        Key::new(format!("{USER_CODE_PREFIX}{code}"))
    }
}

impl Expiring for UserCode {
    fn expires(&self) -> Timestamp {
        self.expires
    }

    fn again(&self, view: &View) -> Result<Option<Arc<Self>>, Load> {
        view.get::<Self>(&self.code)
    }
}

/// A fresh user code.
pub(crate) fn user_code(entropy: &dyn Entropy) -> String {
    let mut code = String::with_capacity(limits::USER_CODE_LETTERS);
    while code.len() < limits::USER_CODE_LETTERS {
        // Of 256 values 240 are 12 times the 20 letters; the others would favour some.
        let bytes: [u8; 16] = random(entropy);
        let letters =
            bytes.iter().filter(|byte| **byte < 240).filter_map(|byte| LETTERS.get(usize::from(byte % 20)));
        let room = limits::USER_CODE_LETTERS - code.len();
        code.extend(letters.take(room).map(|letter| char::from(*letter)));
    }
    code
}

/// A user code as a person types it: in any case, with spaces or hyphens. `None` if it can be none.
pub(crate) fn read_user_code(typed: &str) -> Option<String> {
    let code: String = typed
        .chars()
        .filter(|c| !matches!(c, ' ' | '-'))
        .take(limits::USER_CODE_LETTERS + 1)
        .map(|c| c.to_ascii_uppercase())
        .collect();
    let is_code = code.len() == limits::USER_CODE_LETTERS && code.bytes().all(|byte| LETTERS.contains(&byte));
    is_code.then_some(code)
}

/// Begins: a device has asked.
pub(crate) fn begin(
    view: &View,
    application: &Application,
    scopes: &Scopes,
    device_code: &Secret<String>,
    user_code: &str,
    now: Timestamp,
) -> Result<Decision<()>, Halt<DirectoryError>> {
    let id = sha256(device_code.expose());
    if view.get::<UserCode>(user_code)?.is_some() {
        // One in billions; the device asks again.
        return refuse(DirectoryError::Broken { what: "a user code was drawn twice" });
    }
    let expires = now.plus(limits::DEVICE_CODE_LIFETIME);
    let (client, scopes) = (application.client(), scopes.clone());
    let device = Device { id, client, scopes, state: State::Waiting, expires };
    let index = UserCode { code: user_code.to_owned(), device: id, expires };
    Ok(Decision::of((), vec![store::put::<Device>(&id, &device), store::put::<UserCode>(user_code, &index)]))
}

/// The device that waits under a user code.
pub(crate) fn waiting(
    view: &View,
    user_code: &str,
    now: Timestamp,
) -> Result<Arc<Device>, Halt<DirectoryError>> {
    let device = match view.get::<UserCode>(user_code)? {
        Some(index) => view.get::<Device>(&index.device)?,
        None => None,
    };
    match device.filter(|device| device.state == State::Waiting && now < device.expires) {
        Some(device) => Ok(device),
        None => refuse(DirectoryError::Grant(GrantError::UserCodeUnknown)),
    }
}

/// The user says yes: a session begins that is the device's own, so that it does not end with the browser's.
pub(crate) fn approve(
    view: &View,
    user_code: &str,
    session: &Session,
    now: Timestamp,
) -> Result<Vec<Write>, Halt<DirectoryError>> {
    let device = waiting(view, user_code, now)?;
    let approved = Device { state: State::Approved(session.id), ..Device::clone(&device) };
    Ok(vec![
        store::put::<Device>(&device.id, &approved),
        store::put::<Session>(&session.id, session),
        store::delete::<UserCode>(user_code),
    ])
}

/// The user says no.
pub(crate) fn decline(
    view: &View,
    user_code: &str,
    now: Timestamp,
) -> Result<Decision<()>, Halt<DirectoryError>> {
    let device = waiting(view, user_code, now)?;
    let declined = Device { state: State::Declined, ..Device::clone(&device) };
    Ok(Decision::of(
        (),
        vec![store::put::<Device>(&device.id, &declined), store::delete::<UserCode>(user_code)],
    ))
}

/// A fresh session for a device, as good as the one that the user says yes in.
pub(crate) fn session_of(signed_in: &SignedIn, entropy: &dyn Entropy, now: Timestamp) -> Session {
    let begun = session::begin(signed_in.user.id, Vec::new(), Kept::ByTokens, entropy, now).0;
    begun.shown_in(&signed_in.session)
}

/// The device asks whether it may.
pub(crate) fn redeem(
    view: &View,
    setting: Setting<'_>,
    client: &Authenticated,
    device_code: &Secret<String>,
) -> Outcome {
    let now = setting.now;
    let Some(device) = view.get::<Device>(&sha256(device_code.expose()))? else {
        return refuse(DirectoryError::Grant(GrantError::DeviceCodeInvalid));
    };
    if device.client != client.client {
        return refuse(DirectoryError::Grant(GrantError::DeviceCodeInvalid));
    }
    if now >= device.expires {
        return refuse(DirectoryError::Grant(GrantError::DeviceCodeExpired));
    }
    let session = match device.state {
        State::Waiting => return refuse(DirectoryError::Grant(GrantError::DevicePending)),
        State::Declined => return refuse(DirectoryError::Grant(GrantError::DeviceDeclined)),
        State::Redeemed => return refuse(DirectoryError::Grant(GrantError::DeviceCodeInvalid)),
        State::Approved(session) => session,
    };
    let Some(signed_in) = session::live(view, session)? else {
        return refuse(DirectoryError::Grant(GrantError::SessionEnded));
    };
    let (scopes, platform) = (device.scopes.clone(), Platform::PublicClient);
    let proven = Proven { client, signed_in, scopes, nonce: None, platform };
    let mut begun = delegated::begin(view, setting, proven)?;
    let redeemed = Device { state: State::Redeemed, ..Device::clone(&device) };
    begun.writes.push(store::put::<Device>(&device.id, &redeemed));
    Ok(begun)
}
