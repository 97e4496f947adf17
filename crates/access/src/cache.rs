//! Tokens that were verified already, so that the second request with a token costs one tag and one look-up.
//!
//! Key: the tag of the whole token, so an entry is found by the very bytes that were verified and by nothing else. Kept: what
//! the token says, never whether its principal may. Bounded; dropped at expiry and when the ring revokes a key.

use crate::Caller;
use crypt::LookupTag;
use domain::{Timestamp, limits};
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{PoisonError, RwLock},
};

/// Locks, so that threads seldom meet. Must divide the 256 values of a byte.
const SHARDS: usize = 16;

/// See the module.
pub(crate) struct VerifiedTokens {
    shards: [RwLock<Shard>; SHARDS],
    shard_tokens_max: usize,
}

#[derive(Default)]
struct Shard {
    /// Of which epoch of the key ring the entries are.
    epoch: u64,
    callers: HashMap<LookupTag, Caller, BuildHasherDefault<FirstBytes>>,
}

impl VerifiedTokens {
    pub(crate) fn new() -> Self {
        Self::bounded(limits::VERIFIED_TOKENS_MAX)
    }

    fn bounded(tokens_max: usize) -> Self {
        Self { shards: Default::default(), shard_tokens_max: tokens_max.div_ceil(SHARDS).max(1) }
    }

    /// The caller of a token that was verified under this epoch of the key ring. Its times are the caller's to check.
    pub(crate) fn get(&self, token: &LookupTag, epoch: u64) -> Option<Caller> {
        let shard = self.shard(token).read().unwrap_or_else(PoisonError::into_inner);
        if shard.epoch == epoch { shard.callers.get(token).cloned() } else { None }
    }

    /// Remembers a token that was verified under this epoch, as read *before* the verification.
    pub(crate) fn put(&self, token: LookupTag, caller: Caller, epoch: u64, now: Timestamp) {
        let mut shard = self.shard(&token).write().unwrap_or_else(PoisonError::into_inner);
        if epoch < shard.epoch {
            return;
        }
        if epoch > shard.epoch {
            shard.callers.clear();
            shard.epoch = epoch;
        }
        if shard.callers.len() >= self.shard_tokens_max {
            shard.callers.retain(|_, caller| caller.expires() > now);
        }
        if shard.callers.len() >= self.shard_tokens_max
            && let Some(soonest) =
                shard.callers.iter().min_by_key(|(_, caller)| caller.expires()).map(|(tag, _)| *tag)
        {
            shard.callers.remove(&soonest);
        }
        shard.callers.insert(token, caller);
    }

    /// Forgets a token, such as an expired one.
    pub(crate) fn remove(&self, token: &LookupTag) {
        self.shard(token).write().unwrap_or_else(PoisonError::into_inner).callers.remove(token);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().unwrap().callers.len()).sum()
    }

    #[expect(clippy::indexing_slicing, reason = "the index is taken modulo the number of shards")]
    fn shard(&self, token: &LookupTag) -> &RwLock<Shard> {
        // The last byte: the table inside uses the first ones.
        let [.., last] = token.bytes();
        &self.shards[usize::from(*last) % SHARDS]
    }
}

/// The first bytes of a tag are a hash. Nobody can choose them: nobody knows the key, and only tokens that we have signed get here.
#[derive(Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        // Called for the length first, then for the 16 bytes: the last call counts.
        self.0 = bytes.first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::Facts;
    use crypt::LookupKey;
    use domain::{ClientId, PrincipalId, TenantId};
    use std::sync::LazyLock;

    fn caller(expires: i64) -> Caller {
        let zero = Timestamp::default();
        let uuid = *b"0123456789abcdef";
        Caller::new(Facts {
            principal: PrincipalId::random(&Same(uuid)),
            client: ClientId::random(&Same(uuid)),
            tenant: TenantId::random(&Same(uuid)),
            issuer: String::new(),
            audience: String::new(),
            issued: zero,
            not_before: zero,
            expires: Timestamp::from_seconds(expires),
            scopes: None,
            stands_on: Vec::new(),
        })
    }

    struct Same([u8; 16]);
    impl domain::Entropy for Same {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.copy_from_slice(&self.0);
        }
    }

    fn token(number: u32) -> LookupTag {
        static KEY: LazyLock<LookupKey> = LazyLock::new(|| LookupKey::random(&crypt::SystemEntropy));
        KEY.tag(number.to_be_bytes())
    }

    const NOW: Timestamp = Timestamp::from_seconds(100);

    #[test]
    fn an_entry_is_of_one_epoch() {
        let tokens = VerifiedTokens::new();
        tokens.put(token(1), caller(200), 5, NOW);
        assert!(tokens.get(&token(1), 5).is_some());
        assert!(tokens.get(&token(2), 5).is_none());
        assert!(tokens.get(&token(1), 6).is_none(), "a key was revoked since");
        // Verified before the revocation, remembered after it: the old epoch is not let in.
        let same_shard =
            (2..).map(token).find(|hash| std::ptr::eq(tokens.shard(hash), tokens.shard(&token(1)))).unwrap();
        tokens.put(same_shard, caller(200), 6, NOW);
        tokens.put(token(1), caller(200), 5, NOW);
        assert!(tokens.get(&token(1), 6).is_none() && tokens.get(&token(1), 5).is_none());
        assert!(tokens.get(&same_shard, 6).is_some());
    }

    #[test]
    fn it_is_bounded_and_what_ends_first_goes_first() {
        let tokens = VerifiedTokens::bounded(64);
        for number in 0..10_000 {
            tokens.put(token(number), caller(1_000 + i64::from(number)), 0, NOW);
        }
        assert_eq!(tokens.len(), 64);
        assert!(tokens.get(&token(9_999), 0).is_some() && tokens.get(&token(0), 0).is_none());
        // All of them are over by now: the next one of a shard sweeps it.
        tokens.put(token(10_000), caller(20_000), 0, Timestamp::from_seconds(11_000));
        assert_eq!(tokens.len(), 61);
    }

    #[test]
    fn an_entry_can_be_forgotten() {
        let tokens = VerifiedTokens::new();
        tokens.put(token(1), caller(200), 0, NOW);
        tokens.remove(&token(1));
        assert!(tokens.get(&token(1), 0).is_none());
    }
}
