//! What the directory does with its key ring: rolls and revokes keys, by itself and when asked, and keeps the ring in memory.
//!
//! Each change is one commit; the ring in memory is replaced once it stands. Signing takes the ring that is in memory and waits for nothing.

use crate::{
    DirectoryError, DirectoryService, KeyRing,
    ring::{self, KeyRecord, KeyState, RingRecord},
    roll::{self, KeyChange, Next, Order, Policy},
};
use access::KeySource;
use crypt::{PublicKey, SigningKey};
use domain::{Timestamp, Workers, world::busy};
use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};
use store::{Decision, Halt, View, Write, delete, put, query, refuse, transact};

impl DirectoryService {
    /// The same directory, whose keys roll by themselves after this long (`None`: never), new ones being made by these workers.
    #[must_use]
    pub fn rolling(mut self, lifetime: Option<Duration>, workers: Arc<dyn Workers>) -> Self {
        (self.key_lifetime, self.workers) = (lifetime, workers);
        self
    }

    /// The key ring as it is now.
    pub fn ring(&self) -> Arc<KeyRing> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does to the keys what is due, and takes over what somebody else has done.
    ///
    /// # Errors
    /// The store's; [`DirectoryError::Crypt`].
    pub async fn roll_due(&self, now: Timestamp) -> Result<Vec<KeyChange>, DirectoryError> {
        self.change(Order::Due, now).await
    }

    /// Announces another key, which signs as soon as everybody may know it, or at once; if one is announced, that one. Nothing is done
    /// if one is announced and its time has not come.
    ///
    /// # Errors
    /// [`DirectoryError::TooMany`]; the store's.
    pub async fn roll(&self, at_once: bool, now: Timestamp) -> Result<Vec<KeyChange>, DirectoryError> {
        self.change(Order::Roll { at_once }, now).await
    }

    /// Takes a compromised key away: from the answer on nothing that it signed is accepted, and another key signs.
    ///
    /// # Errors
    /// [`DirectoryError::SigningKeyNotFound`]; the store's.
    pub async fn revoke(&self, kid: &str, now: Timestamp) -> Result<Vec<KeyChange>, DirectoryError> {
        self.change(Order::Revoke(kid), now).await
    }

    /// When something is due with the keys, if ever.
    pub fn keys_due(&self) -> Option<Timestamp> {
        roll::next_due(self.ring().record(), self.policy())
    }

    /// When another key signs, if that is known.
    pub fn next_roll(&self) -> Option<Timestamp> {
        roll::next_roll(self.ring().record(), self.policy())
    }

    /// Tokens are signed under the settings of now; a key that is retired later must know how long they live.
    pub(crate) async fn serve_tokens(&self, now: Timestamp) -> Result<(), DirectoryError> {
        self.change(Order::Serve, now).await.map(drop)
    }

    fn policy(&self) -> Policy {
        Policy { lifetime: self.key_lifetime, token_lifetime: self.settings.token_lifetime }
    }

    async fn change(&self, order: Order<'_>, now: Timestamp) -> Result<Vec<KeyChange>, DirectoryError> {
        let mut fresh = None;
        let changed = loop {
            let decided =
                transact(&*self.store, &*self.entropy, |view| self.decide(view, order, fresh.as_ref(), now));
            match decided.await {
                Ok(None) => fresh = Some(self.make_key(now)?),
                Ok(Some(told)) => break Ok(told),
                Err(error) => break Err(error),
            }
        };
        // Also after a failure: whether it was written is not known.
        let followed = self.follow().await;
        let told = changed?;
        followed?;
        Ok(told)
    }

    /// `None`: a fresh key is needed.
    fn decide(
        &self,
        view: &View,
        order: Order<'_>,
        fresh: Option<&(SigningKey, KeyRecord)>,
        now: Timestamp,
    ) -> Result<Decision<Option<Vec<KeyChange>>>, Halt<DirectoryError>> {
        let Some(before) = view.get::<RingRecord>(&())? else {
            return refuse(DirectoryError::Broken { what: "there is no key ring" });
        };
        let kid = fresh.map(|(key, _)| key.kid());
        let next = roll::next(&before, order, kid, now, self.policy()).map_err(Halt::Refuse)?;
        let (ring, told) = match next {
            Next::KeyNeeded => return Ok(Decision::read(None)),
            Next::Nothing => return Ok(Decision::read(Some(Vec::new()))),
            Next::Change { ring, told } => (ring, told),
        };
        let mut writes: Vec<Write> = vec![put::<RingRecord>(&(), &ring)];
        let is_in = |ring: &RingRecord, kid: &str| ring.keys.iter().any(|key| key.kid == kid);
        for key in before.keys.iter().filter(|key| !is_in(&ring, &key.kid)) {
            writes.push(delete::<KeyRecord>(&key.kid));
        }
        if let Some((key, record)) = fresh.filter(|(key, _)| is_in(&ring, key.kid())) {
            writes.push(put::<KeyRecord>(key.kid(), record));
        }
        for key in &ring.keys {
            if matches!(key.state, KeyState::Retired { .. }) && !before.keys.contains(key) {
                let Some(record) = view.get::<KeyRecord>(&key.kid)? else {
                    return refuse(DirectoryError::Broken { what: "a key of the ring is missing" });
                };
                let retired = ring::retire(&key.kid, &record, &self.root).map_err(Halt::Refuse)?;
                writes.push(put::<KeyRecord>(&key.kid, &retired));
            }
        }
        Ok(Decision::of(Some(told), writes))
    }

    fn make_key(&self, now: Timestamp) -> Result<(SigningKey, KeyRecord), DirectoryError> {
        let made = busy(&*self.workers, || (self.make_key)(now));
        let key = made.ok_or(DirectoryError::Broken { what: "nobody makes signing keys" })??;
        let record = ring::seal(&key, &self.root, &*self.entropy, now)?;
        Ok((key, record))
    }

    /// Takes over the ring that the store has.
    async fn follow(&self) -> Result<(), DirectoryError> {
        let stored = query(&*self.store, ring::stored).await?;
        let before = self.ring();
        if stored.0.changes <= before.record().changes {
            return Ok(());
        }
        let opened = Arc::new(ring::open(&stored, &self.root, Some(&before))?);
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        // Two may follow at a time, and the one with the earlier ring may come here last.
        if opened.record().changes > ring.record().changes {
            let epoch = opened.epoch();
            *ring = opened;
            // Last: who sees this epoch sees this ring, and remembers nothing under it that a revoked key has signed.
            self.epoch.store(epoch, Ordering::Release);
        }
        Ok(())
    }
}

impl KeySource for DirectoryService {
    fn public_key(&self, kid: &str) -> Option<Arc<PublicKey>> {
        self.ring().public_key(kid)
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests;
