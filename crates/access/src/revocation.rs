//! What makes tokens of a principal worth nothing before they expire: a removed credential, a signed-out session, a grant whose code or
//! refresh token was used twice, an identity that was taken away from an app, or all that was issued before a moment.
//!
//! A token names what it stands on (a credential, a session and the grant that began it, or the assignment of an identity to an app), and every permit reads the principal anyway: so revoking is one write to its
//! record, and it holds from the moment that this is acknowledged. An entry is kept only as long as a token can live that it is for.

use crate::Caller;
use domain::{Timestamp, limits};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// How much longer than it must be an entry is kept. Who revokes has looked at the clock before those who issue a token meanwhile, so that theirs
/// may live a little longer than the entry says. Ours: many times what a request may take.
const SLACK: Duration = Duration::from_secs(600);

/// The revocations of one principal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocations {
    /// Tokens issued before this moment are worth nothing.
    #[serde(default)]
    valid_from: Timestamp,
    /// Credentials and sessions that are no more.
    #[serde(default)]
    gone: Vec<Gone>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Gone {
    id: Uuid,
    /// When the last token has expired that stands on it.
    until: Timestamp,
}

impl Revocations {
    /// Is there nothing to keep?
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Revokes what stands on this credential or session. No token that does lives beyond `until`.
    pub fn revoke(&mut self, id: Uuid, until: Timestamp, now: Timestamp) {
        self.gone.retain(|gone| gone.until.plus(SLACK) > now && gone.id != id);
        self.gone.push(Gone { id, until });
        // More than can be named: then all tokens of before are over. Who is still good gets another one.
        if self.gone.len() > limits::REVOCATIONS_MAX {
            self.revoke_all(now);
        }
    }

    /// Revokes every token issued until now.
    pub fn revoke_all(&mut self, now: Timestamp) {
        self.gone.clear();
        // Times are whole seconds: a token of this very second may be of before, and after another revocation in it those of the next are.
        self.valid_from = Timestamp::from_seconds(now.max(self.valid_from).seconds().saturating_add(1));
    }

    /// Tokens issued before this moment are worth nothing.
    pub fn valid_from(&self) -> Timestamp {
        self.valid_from
    }

    /// Is a token with these facts revoked?
    pub fn refuse(&self, issued: Timestamp, stands_on: &[Uuid]) -> bool {
        issued < self.valid_from || self.gone.iter().any(|gone| stands_on.contains(&gone.id))
    }

    /// Is this caller's token revoked?
    pub fn refuse_caller(&self, caller: &Caller) -> bool {
        self.refuse(caller.issued(), caller.stands_on())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn id(number: u128) -> Vec<Uuid> {
        vec![Uuid::from_u128(number)]
    }

    #[test]
    fn only_what_stands_on_it_is_refused() {
        let mut revocations = Revocations::default();
        assert!(revocations.is_empty() && !revocations.refuse(at(0), &[]));
        revocations.revoke(Uuid::from_u128(1), at(200), at(100));
        let both = vec![Uuid::from_u128(2), Uuid::from_u128(1)];
        for (stands_on, refused) in [(id(1), true), (both, true), (id(2), false), (Vec::new(), false)] {
            assert_eq!(revocations.refuse(at(50), &stands_on), refused, "{stands_on:?}");
        }
        // A new token on it would be just as bad.
        assert!(revocations.refuse(at(150), &id(1)));
    }

    #[test]
    fn what_can_be_forgotten_is() {
        let mut revocations = Revocations::default();
        for number in 0..1_000 {
            let now = i64::try_from(number).unwrap() * 100;
            revocations.revoke(Uuid::from_u128(number), at(now + 300), at(now));
            revocations.revoke(Uuid::from_u128(number), at(now + 300), at(now));
        }
        // Three whose tokens may live, and those that are kept a little longer.
        assert_eq!((revocations.gone.len(), revocations.valid_from), (9, at(0)));
    }

    /// Who revokes looks at the clock, then somebody who issues a token; what is revoked next finds the entry over, and the token is not.
    #[test]
    fn what_was_issued_while_it_was_revoked_stays_revoked() {
        let mut revocations = Revocations::default();
        let (life, looked, issued) = (3_600, 100, 130);
        revocations.revoke(Uuid::from_u128(1), at(looked + life), at(looked));
        let later = looked + life + 1;
        revocations.revoke(Uuid::from_u128(2), at(later + life), at(later));
        assert!(later < issued + life, "the token lives");
        assert!(revocations.refuse(at(issued), &id(1)));
    }

    #[test]
    fn more_than_can_be_named_revokes_all_of_before() {
        let mut revocations = Revocations::default();
        for number in 0..=u128::try_from(limits::REVOCATIONS_MAX).unwrap() {
            revocations.revoke(Uuid::from_u128(number), at(900), at(100));
        }
        assert!(revocations.gone.is_empty());
        for (issued, refused) in [(99, true), (100, true), (101, false)] {
            assert_eq!(revocations.refuse(at(issued), &id(7_777)), refused, "{issued}");
        }
    }
}
