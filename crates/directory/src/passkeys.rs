//! Passkeys of users: where they are kept, the challenges that they sign, and that each challenge is used once.
//!
//! A challenge carries its own proof: a keyed hash over itself, the browser it was given to and its end. So asking for one makes us remember
//! nothing; only one that was signed is kept, until its end, so that it is not taken again. Whether an answer is good says [`crate::passkey`].

use crate::{
    DirectoryError, DirectoryService, User, UserError,
    browser::Browsers,
    passkey::{self, Expected, Passkey},
    sweep::Expiring,
    user::{self, Named, Person},
};
use crypt::{Sha256Hash, compare, encoding, sha256};
use domain::{Entropy, HostNames, PrincipalId, Secret, Timestamp, limits, world::random};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Decision, Halt, Key, Load, Record, View, Write, transact};

/// A passkey of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPasskey {
    /// What its answers are checked with.
    pub passkey: Passkey,
    /// When it was added, by which people tell them apart.
    pub created: Timestamp,
}

/// What a browser answers when a passkey is made.
#[derive(Debug)]
pub struct NewPasskey {
    /// The challenge that it was given.
    pub challenge: String,
    /// `clientDataJSON`.
    pub client_data: Vec<u8>,
    /// `attestationObject`.
    pub attestation: Vec<u8>,
}

/// What a browser answers when a passkey is used.
#[derive(Debug)]
pub struct PasskeyAnswer {
    /// The challenge that it was given.
    pub challenge: String,
    /// `userHandle`: the user's object id, as we gave it when the passkey was made.
    pub user: Vec<u8>,
    /// The credential's id, base64url.
    pub id: String,
    /// `clientDataJSON`.
    pub client_data: Vec<u8>,
    /// `authenticatorData`.
    pub data: Vec<u8>,
    /// `signature`.
    pub signature: Vec<u8>,
}

const NONCE_BYTES: usize = 16;
const END_BYTES: usize = 8;
const TAG_BYTES: usize = 32;

/// A challenge for one browser: random, its end, and the keyed hash.
fn challenge(keys: &Browsers, browser: &Secret<String>, entropy: &dyn Entropy, now: Timestamp) -> Vec<u8> {
    let end = now.plus(limits::HALF_SIGN_IN_LIFETIME).seconds().to_be_bytes();
    let said = [&random::<NONCE_BYTES>(entropy)[..], &end].concat();
    let tag = keys.challenge_tag(browser, &said);
    [said, tag.to_vec()].concat()
}

/// The end of a challenge, if we have given it to this browser and it is not over.
fn end_of(keys: &Browsers, browser: &Secret<String>, challenge: &[u8], now: Timestamp) -> Option<Timestamp> {
    let (said, tag) = challenge.split_at_checked(NONCE_BYTES + END_BYTES)?;
    let is_ours = tag.len() == TAG_BYTES && compare::equal(tag, &keys.challenge_tag(browser, said));
    let end = said.last_chunk::<END_BYTES>().map(|end| Timestamp::from_seconds(i64::from_be_bytes(*end)))?;
    (is_ours && now < end).then_some(end)
}

/// A challenge that was signed. Kept until its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct UsedChallenge {
    id: Sha256Hash,
    until: Timestamp,
}

impl UsedChallenge {
    pub(crate) const PREFIX: &str = "passkey-challenge-used/";
}

impl Record for UsedChallenge {
    type Id = Sha256Hash;

    fn key(id: &Sha256Hash) -> Key {
        Key::new(format!("{}{id}", Self::PREFIX))
    }
}

impl Expiring for UsedChallenge {
    fn expires(&self) -> Timestamp {
        self.until
    }

    fn again(&self, view: &View) -> Result<Option<Arc<Self>>, Load> {
        view.get::<Self>(&self.id)
    }
}

/// Uses a challenge up.
fn use_up(view: &View, challenge: &[u8], until: Timestamp) -> Result<Write, Halt<DirectoryError>> {
    let id = sha256(challenge);
    if view.get::<UsedChallenge>(&id)?.is_some() {
        return Err(refused("the challenge was used before"));
    }
    Ok(store::put::<UsedChallenge>(&id, &UsedChallenge { id, until }))
}

fn refused(why: impl ToString) -> Halt<DirectoryError> {
    UserError::PasskeyRefused { why: why.to_string() }.into()
}

/// Where passkeys are for: our pages, and no neighbour below the domain.
fn place(names: &HostNames) -> (String, String) {
    (names.login_host(), names.login_base())
}

fn with(person: &Person, passkeys: Vec<KeptPasskey>, mut writes: Vec<Write>) -> Decision<Person> {
    let user = User { passkeys, ..User::clone(&person.user) };
    writes.push(store::put::<User>(&user.id, &user));
    Decision::of(Person { user: Arc::new(user), principal: person.principal.clone() }, writes)
}

impl DirectoryService {
    /// A challenge for this browser, base64url.
    pub fn passkey_challenge(&self, browser: &Secret<String>, now: Timestamp) -> String {
        encoding::base64url(&challenge(&self.browsers, browser, &*self.entropy, now))
    }

    fn signed_challenge(
        &self,
        text: &str,
        browser: &Secret<String>,
        now: Timestamp,
    ) -> Result<(Vec<u8>, Timestamp), DirectoryError> {
        let unknown =
            || UserError::PasskeyRefused { why: "the challenge is not one of ours, or over".to_owned() };
        let challenge = encoding::from_base64url(text).map_err(|_| unknown())?;
        let end = end_of(&self.browsers, browser, &challenge, now).ok_or_else(unknown)?;
        Ok((challenge, end))
    }

    /// Adds a passkey that a user's browser has just made. Only for who has shown the password just before.
    ///
    /// # Errors
    /// [`UserError::PasskeyRefused`], [`DirectoryError::TooMany`].
    pub async fn add_passkey(
        &self,
        user: PrincipalId,
        answer: &NewPasskey,
        browser: &Secret<String>,
        now: Timestamp,
    ) -> Result<Person, DirectoryError> {
        let (challenge, end) = self.signed_challenge(&answer.challenge, browser, now)?;
        let (rp_id, origin) = place(self.names());
        let expected = Expected { rp_id: &rp_id, origin: &origin, challenge: &challenge };
        let made = passkey::register(&expected, &answer.client_data, &answer.attestation)
            .map_err(|fault| UserError::PasskeyRefused { why: fault.to_string() })?;
        transact(&*self.store, &*self.entropy, |view| {
            let person = user::find(view, &Named::Id(user))?;
            let used = use_up(view, &challenge, end)?;
            let mut passkeys = person.user.passkeys.clone();
            if passkeys.iter().any(|known| known.passkey.id == made.id) {
                return Err(refused("it is there already"));
            }
            if passkeys.len() >= limits::PASSKEYS_MAX {
                let (what, limit) = ("passkeys of one user", limits::PASSKEYS_MAX);
                return Err(Halt::Refuse(DirectoryError::TooMany { what, limit }));
            }
            passkeys.push(KeptPasskey { passkey: made.clone(), created: now });
            Ok(with(&person, passkeys, vec![used]))
        })
        .await
    }

    /// Takes a passkey away.
    ///
    /// # Errors
    /// [`UserError::PasskeyRefused`] if the user has none with this id.
    pub async fn remove_passkey(&self, user: PrincipalId, id: &str) -> Result<Person, DirectoryError> {
        transact(&*self.store, &*self.entropy, |view| {
            let person = user::find(view, &Named::Id(user))?;
            let mut passkeys = person.user.passkeys.clone();
            passkeys.retain(|known| known.passkey.id != id);
            if passkeys.len() == person.user.passkeys.len() {
                return Err(refused("there is no such passkey"));
            }
            Ok(with(&person, passkeys, Vec::new()))
        })
        .await
    }

    /// Whose passkey has signed this browser's challenge? It is used up.
    ///
    /// # Errors
    /// [`UserError::PasskeyRefused`], [`UserError::Disabled`].
    pub async fn check_passkey(
        &self,
        answer: &PasskeyAnswer,
        browser: &Secret<String>,
        now: Timestamp,
    ) -> Result<Person, DirectoryError> {
        let (challenge, end) = self.signed_challenge(&answer.challenge, browser, now)?;
        let (rp_id, origin) = place(self.names());
        let expected = Expected { rp_id: &rp_id, origin: &origin, challenge: &challenge };
        // One refusal for an unknown user, an unknown passkey and a wrong signature: nobody is told which.
        let not_good = || refused("no passkey of a user here has signed it");
        let user = std::str::from_utf8(&answer.user).ok().and_then(|id| id.parse::<PrincipalId>().ok());
        transact(&*self.store, &*self.entropy, |view| {
            let user = user.ok_or_else(not_good)?;
            let person = user::look(view, &Named::Id(user))?.ok_or_else(not_good)?;
            let mut passkeys = person.user.passkeys.clone();
            let known = passkeys.iter_mut().find(|known| known.passkey.id == answer.id);
            let known = known.ok_or_else(not_good)?;
            let (data, signature) = (&answer.data, &answer.signature);
            known.passkey = passkey::assert(&expected, &known.passkey, &answer.client_data, data, signature)
                .map_err(|fault| match fault {
                    passkey::PasskeyFault::Signature => not_good(),
                    fault => refused(fault),
                })?;
            let used = use_up(view, &challenge, end)?;
            if !person.principal.enabled {
                return Err(UserError::Disabled { user: person.user.id }.into());
            }
            Ok(with(&person, passkeys, vec![used]))
        })
        .await
    }
}
