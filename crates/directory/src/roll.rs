//! What becomes of the key ring: a plain function of the ring, of what is asked, of the time and of the policy.
//!
//! Nobody's request may fail because keys roll. A key signs only after it was published for longer than anybody keeps the documents, and
//! stays published until the last token that it signed has expired. Only what is revoked goes at once, and then on purpose.

use crate::{
    DirectoryError,
    ring::{KeyState, RingKey, RingRecord},
};
use domain::{Timestamp, limits};
use serde::Serialize;
use std::time::Duration;

/// How keys roll by themselves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// How long a key signs; `None`: until somebody asks for another.
    pub(crate) lifetime: Option<Duration>,
    /// How long a token lives.
    pub(crate) token_lifetime: Duration,
}

/// What is asked of the ring.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order<'a> {
    /// What is due, if anything is.
    Due,
    /// Tokens may be signed under this policy from now on.
    Serve,
    /// Another key: as soon as everybody may know it, or now.
    Roll {
        /// Now.
        at_once: bool,
    },
    /// This key is compromised.
    Revoke(&'a str),
}

/// One thing that was done to a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "done", rename_all = "snake_case")]
pub enum KeyChange {
    /// It is published, or is to sign earlier than was planned.
    Announced {
        /// The key.
        kid: String,
        /// When it becomes the current one.
        signs_from: Timestamp,
    },
    /// It signs from now on.
    Begun {
        /// The key.
        kid: String,
    },
    /// It signs no more, and verifies until then.
    Retired {
        /// The key.
        kid: String,
        /// When it is taken away.
        gone_at: Timestamp,
    },
    /// It was taken away, its last token having expired.
    Gone {
        /// The key.
        kid: String,
    },
    /// It was taken away, and what it signed is refused.
    Revoked {
        /// The key.
        kid: String,
    },
}

impl KeyChange {
    /// Which key.
    pub fn kid(&self) -> &str {
        match self {
            Self::Announced { kid, .. }
            | Self::Begun { kid }
            | Self::Retired { kid, .. }
            | Self::Gone { kid }
            | Self::Revoked { kid } => kid,
        }
    }

    /// What was done, as the audit log names it.
    pub const fn action(&self) -> &'static str {
        match self {
            Self::Announced { .. } => "signing-key.announce",
            Self::Begun { .. } => "signing-key.begin",
            Self::Retired { .. } => "signing-key.retire",
            Self::Gone { .. } => "signing-key.remove",
            Self::Revoked { .. } => "signing-key.revoke",
        }
    }
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Next {
    /// Nothing.
    Nothing,
    /// Ask again with a fresh key.
    KeyNeeded,
    /// This is the ring from now on.
    Change {
        /// The ring.
        ring: RingRecord,
        /// In what it differs. Empty: in nothing that anybody need be told.
        told: Vec<KeyChange>,
    },
}

/// Decides. `fresh` is the id of a key that was made in case it is needed.
pub(crate) fn next(
    ring: &RingRecord,
    order: Order<'_>,
    fresh: Option<&str>,
    now: Timestamp,
    policy: Policy,
) -> Result<Next, DirectoryError> {
    let mut change = Changing { ring: ring.clone(), told: Vec::new(), fresh, now, policy };
    let has_key = match order {
        Order::Serve => change.serve(),
        Order::Due => change.due(),
        Order::Roll { at_once } => change.roll(at_once)?,
        Order::Revoke(kid) => change.revoke(kid)?,
    };
    if !has_key {
        return Ok(Next::KeyNeeded);
    }
    if change.ring == *ring {
        return Ok(Next::Nothing);
    }
    change.ring.changes += 1;
    Ok(Next::Change { ring: change.ring, told: change.told })
}

/// When something is due, if ever.
pub(crate) fn next_due(ring: &RingRecord, policy: Policy) -> Option<Timestamp> {
    let gone = ring.keys.iter().filter_map(|key| match key.state {
        KeyState::Retired { gone_at, .. } => Some(gone_at),
        _ => None,
    });
    let roll = match announced(ring) {
        Some((_, _, signs_from)) => Some(signs_from),
        None => next_roll(ring, policy).map(|roll| roll.minus(limits::SIGNING_KEY_ANNOUNCED)),
    };
    gone.chain(roll).min()
}

/// When another key becomes the current one, if ever.
pub(crate) fn next_roll(ring: &RingRecord, policy: Policy) -> Option<Timestamp> {
    if let Some((_, _, signs_from)) = announced(ring) {
        return Some(signs_from);
    }
    ring.keys.iter().find_map(|key| match key.state {
        KeyState::Current { since, .. } => Some(since.plus(policy.lifetime?)),
        _ => None,
    })
}

/// The announced key: its place, since when it is one, when it signs.
fn announced(ring: &RingRecord) -> Option<(usize, Timestamp, Timestamp)> {
    ring.keys.iter().enumerate().find_map(|(at, key)| match key.state {
        KeyState::Announced { since, signs_from } => Some((at, since, signs_from)),
        _ => None,
    })
}

/// A ring on its way. Each step says whether it had the fresh key that it needs.
struct Changing<'a> {
    ring: RingRecord,
    told: Vec<KeyChange>,
    fresh: Option<&'a str>,
    now: Timestamp,
    policy: Policy,
}

impl Changing<'_> {
    /// A key that is retired later must outlive the longest token that it has signed, also under an earlier configuration.
    fn serve(&mut self) -> bool {
        for key in &mut self.ring.keys {
            if let KeyState::Current { token_seconds, .. } = &mut key.state {
                *token_seconds = (*token_seconds).max(self.policy.token_lifetime.as_secs());
            }
        }
        true
    }

    fn due(&mut self) -> bool {
        let (now, told) = (self.now, &mut self.told);
        self.ring.keys.retain(|key| {
            let is_over = matches!(key.state, KeyState::Retired { gone_at, .. } if gone_at <= now);
            if is_over {
                told.push(KeyChange::Gone { kid: key.kid.clone() });
            }
            !is_over
        });
        if let Some((_, _, signs_from)) = announced(&self.ring) {
            return signs_from > now || self.begin();
        }
        let Some(roll) = next_roll(&self.ring, self.policy) else { return true };
        // With too many keys it waits: the oldest are gone within a token's life.
        if now < roll.minus(limits::SIGNING_KEY_ANNOUNCED) || self.is_full() {
            return true;
        }
        // Late, because no server ran: as soon as it may.
        self.announce(roll.max(now.plus(limits::SIGNING_KEY_ANNOUNCED_MIN)))
    }

    fn roll(&mut self, at_once: bool) -> Result<bool, DirectoryError> {
        let now = self.now;
        let Some((at, since, signs_from)) = announced(&self.ring) else {
            if self.is_full() {
                let limit = limits::SIGNING_KEYS_MAX;
                return Err(DirectoryError::TooMany { what: "signing keys", limit });
            }
            let signs_from = if at_once { now } else { now.plus(limits::SIGNING_KEY_ANNOUNCED_MIN) };
            return Ok(self.announce(signs_from) && (!at_once || self.begin()));
        };
        let earliest = since.plus(limits::SIGNING_KEY_ANNOUNCED_MIN);
        if at_once || earliest <= now {
            return Ok(self.begin());
        }
        if earliest < signs_from
            && let Some(key) = self.ring.keys.get_mut(at)
        {
            key.state = KeyState::Announced { since, signs_from: earliest };
            self.told.push(KeyChange::Announced { kid: key.kid.clone(), signs_from: earliest });
        }
        Ok(true)
    }

    fn revoke(&mut self, kid: &str) -> Result<bool, DirectoryError> {
        let Some(at) = self.ring.keys.iter().position(|key| key.kid == kid) else {
            return Err(DirectoryError::SigningKeyNotFound { kid: crate::tenant::shown(kid) });
        };
        let revoked = self.ring.keys.remove(at);
        // An announced one too: who has it could sign before us.
        self.ring.epoch += 1;
        self.told.push(KeyChange::Revoked { kid: revoked.kid });
        Ok(match revoked.state {
            KeyState::Current { .. } => {
                (announced(&self.ring).is_some() || self.announce(self.now)) && self.begin()
            }
            _ => true,
        })
    }

    /// Publishes the fresh key.
    fn announce(&mut self, signs_from: Timestamp) -> bool {
        let Some(fresh) = self.fresh else { return false };
        let state = KeyState::Announced { since: self.now, signs_from };
        self.ring.keys.push(RingKey { kid: fresh.to_owned(), state });
        if signs_from > self.now {
            self.told.push(KeyChange::Announced { kid: fresh.to_owned(), signs_from });
        }
        true
    }

    /// The announced key becomes the current one, and that one retires.
    fn begin(&mut self) -> bool {
        let now = self.now;
        for key in &mut self.ring.keys {
            match key.state {
                KeyState::Current { token_seconds, .. } => {
                    let life = Duration::from_secs(token_seconds).max(self.policy.token_lifetime);
                    let gone_at = now.plus(life).plus(limits::CLOCK_SKEW);
                    key.state = KeyState::Retired { since: now, gone_at };
                    self.told.push(KeyChange::Retired { kid: key.kid.clone(), gone_at });
                }
                KeyState::Announced { .. } => {
                    let token_seconds = self.policy.token_lifetime.as_secs();
                    key.state = KeyState::Current { since: now, token_seconds };
                    self.told.push(KeyChange::Begun { kid: key.kid.clone() });
                }
                KeyState::Retired { .. } => {}
            }
        }
        true
    }

    const fn is_full(&self) -> bool {
        self.ring.keys.len() >= limits::SIGNING_KEYS_MAX
    }
}

#[cfg(test)]
mod tests;
