//! Tokens kept for reuse, one for each holder and resource: renewed ahead of expiry, made once however many ask at a time, dropped when
//! a signing key is revoked.
//!
//! Signing takes a quarter of a millisecond of pure computing, so who needs the same cold token waits on a plain mutex: making the
//! waiters asynchronous would cost more than it spares. Invariant: no token is answered with less than [`MIN_LEFT_SECONDS`] left,
//! or from a time that has not come yet (a clock that was set back).

use domain::{AttachmentId, ClientId, PrincipalId, Secret, Timestamp, limits};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, TryLockError},
};

/// Seconds that an answered token has left at least. Source: SDKs drop tokens with less than five minutes.
pub const MIN_LEFT_SECONDS: i64 = 300;

/// Resources of one holder whose tokens are kept. Ours: an app talks to a handful; spellings cannot fill the memory.
const RESOURCES_MAX: usize = 64;

/// Who has a token: an app's own identity, or a user-assigned one as one app has it. Its tokens say which app acts, so that those of
/// another app are other tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Holder {
    /// The identity's principal.
    pub principal: PrincipalId,
    /// The assignment to an app, if the identity is user-assigned.
    pub attachment: Option<AttachmentId>,
}

/// A managed identity's token, shared by all requests that get it.
pub struct ManagedToken {
    /// The token.
    pub access_token: Secret<String>,
    /// When it expires.
    pub expires_on: Timestamp,
    /// When it was issued.
    pub issued: Timestamp,
    /// The resource as it was asked for.
    pub resource: String,
    /// The identity's principal.
    pub principal: PrincipalId,
    /// The identity's client id.
    pub client: ClientId,
    /// For which assignment of the identity to an app it was made, if the identity is user-assigned.
    pub attachment: Option<AttachmentId>,
    answer: OnceLock<Arc<[u8]>>,
}

impl ManagedToken {
    /// A token as the directory issued it.
    pub fn new(
        access_token: Secret<String>,
        issued: Timestamp,
        expires_on: Timestamp,
        resource: String,
        holder: Holder,
        client: ClientId,
    ) -> Self {
        let Holder { principal, attachment } = holder;
        Self {
            access_token,
            expires_on,
            issued,
            resource,
            principal,
            client,
            attachment,
            answer: OnceLock::new(),
        }
    }

    /// The answer in the protocol's form: rendered at the first request, shared by the others.
    pub fn answer(&self, render: impl FnOnce(&Self) -> Vec<u8>) -> Arc<[u8]> {
        self.answer.get_or_init(|| render(self).into()).clone()
    }

    fn seconds_left(&self, now: Timestamp) -> i64 {
        if self.issued > now { 0 } else { self.expires_on.seconds_since(now) }
    }

    fn is_fresh(&self, now: Timestamp) -> bool {
        self.seconds_left(now) >= i64::try_from(limits::TOKEN_REFRESH_AHEAD.as_secs()).unwrap_or(i64::MAX)
    }

    fn is_usable(&self, now: Timestamp) -> bool {
        self.seconds_left(now) >= MIN_LEFT_SECONDS
    }
}

impl std::fmt::Debug for ManagedToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ManagedToken")
            .field("principal", &self.principal)
            .field("expires_on", &self.expires_on)
            .finish_non_exhaustive()
    }
}

/// Where a token came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// It was there: no time has passed since the caller looked at the store.
    Kept,
    /// It was made, or waited for: what the caller knows of the principal may be old by now.
    Made,
}

/// One holder's token for one resource.
#[derive(Default)]
struct Slot {
    /// With the epoch of the key ring that it was made in.
    current: Mutex<Option<(u64, Arc<ManagedToken>)>>,
    maker: Mutex<()>,
}

impl Slot {
    fn current(&self, epoch: u64) -> Option<Arc<ManagedToken>> {
        lock(&self.current).as_ref().filter(|(of, _)| *of == epoch).map(|(_, token)| token.clone())
    }
}

/// Tokens by holder and resource.
#[derive(Default)]
pub(crate) struct TokenCache {
    slots: RwLock<HashMap<Holder, HashMap<String, Arc<Slot>>>>,
}

impl TokenCache {
    /// The kept token, or one made now. Many at a time make one; while a token is renewed ahead the others get the old one. The key ring's
    /// epoch was read before: what is signed meanwhile by a key that is revoked is kept under an epoch that nobody asks for.
    pub(crate) fn get_or_make<E>(
        &self,
        holder: Holder,
        resource: &str,
        epoch: u64,
        now: Timestamp,
        make: impl FnOnce() -> Result<ManagedToken, E>,
    ) -> Result<(Arc<ManagedToken>, Source), E> {
        let slot = self.slot(holder, resource);
        let current = slot.current(epoch);
        let usable = match current {
            Some(token) if token.is_fresh(now) => return Ok((token, Source::Kept)),
            other => other.filter(|token| token.is_usable(now)),
        };
        let _making = match (&usable, slot.maker.try_lock()) {
            (_, Ok(guard)) => guard,
            (_, Err(TryLockError::Poisoned(poisoned))) => poisoned.into_inner(),
            (Some(token), Err(TryLockError::WouldBlock)) => return Ok((token.clone(), Source::Kept)),
            (None, Err(TryLockError::WouldBlock)) => lock(&slot.maker),
        };
        // Somebody may have made it while this thread waited. A lifetime shorter than the refresh time makes none ever fresh,
        // so whatever is usable and newer than what was found before will do.
        if let Some(token) = slot.current(epoch)
            && token.is_usable(now)
            && usable.as_ref().is_none_or(|old| !Arc::ptr_eq(old, &token))
        {
            return Ok((token, Source::Made));
        }
        match (make(), usable) {
            (Ok(token), _) => {
                let token = Arc::new(token);
                *lock(&slot.current) = Some((epoch, token.clone()));
                Ok((token, Source::Made))
            }
            (Err(_), Some(old)) => Ok((old, Source::Kept)),
            (Err(error), None) => Err(error),
        }
    }

    /// Drops all tokens of a principal, whichever app has them. One that is being made is kept by nobody.
    pub(crate) fn forget(&self, principal: PrincipalId) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|holder, _| holder.principal != principal);
    }

    fn slot(&self, holder: Holder, resource: &str) -> Arc<Slot> {
        let known = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = known.get(&holder).and_then(|slots| slots.get(resource)) {
            return slot.clone();
        }
        drop(known);
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        // Over a bound all is dropped: tokens are made again at the price of a signature, which is cheaper than bookkeeping.
        if slots.len() >= limits::CACHED_TOKENS_MAX / RESOURCES_MAX && !slots.contains_key(&holder) {
            slots.clear();
        }
        let own = slots.entry(holder).or_default();
        if own.len() >= RESOURCES_MAX && !own.contains_key(resource) {
            own.clear();
        }
        own.entry(resource.to_owned()).or_default().clone()
    }
}

/// The state behind these mutexes is one whole assignment: what a panicking thread left is good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Entropy;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Fixed(u8);
    impl Entropy for Fixed {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(self.0);
        }
    }

    fn principal(seed: u8) -> PrincipalId {
        PrincipalId::random(&Fixed(seed))
    }

    fn holder(seed: u8) -> Holder {
        Holder { principal: principal(seed), attachment: None }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn token(issued: i64, lifetime: i64) -> ManagedToken {
        ManagedToken::new(
            Secret::new(format!("token of {issued}")),
            at(issued),
            at(issued + lifetime),
            "r".to_owned(),
            holder(1),
            ClientId::random(&Fixed(2)),
        )
    }

    fn get(cache: &TokenCache, now: i64, made: &AtomicUsize) -> (Arc<ManagedToken>, Source) {
        let make = || {
            made.fetch_add(1, Ordering::Relaxed);
            Ok::<_, ()>(token(now, 3_600))
        };
        cache.get_or_make(holder(1), "r", 0, at(now), make).unwrap()
    }

    #[test]
    fn a_token_is_made_once_and_renewed_ahead() {
        let (cache, made) = (TokenCache::default(), AtomicUsize::new(0));
        assert_eq!(get(&cache, 0, &made).1, Source::Made);
        assert_eq!(get(&cache, 1_800, &made).1, Source::Kept);
        let (renewed, source) = get(&cache, 1_801, &made);
        assert_eq!((renewed.issued, source), (at(1_801), Source::Made));
        assert_eq!(made.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn no_token_with_less_than_five_minutes_is_answered_even_if_none_can_be_made() {
        let (cache, made) = (TokenCache::default(), AtomicUsize::new(0));
        get(&cache, 0, &made);
        let broken = |now| cache.get_or_make(holder(1), "r", 0, at(now), || Err("broken"));
        assert_eq!(broken(3_300).unwrap().0.issued, at(0));
        assert_eq!(broken(3_301).unwrap_err(), "broken");
        // The clock was set back: a token of the future would be refused by the vault.
        assert_eq!(broken(-1).unwrap_err(), "broken");
    }

    #[test]
    fn what_is_forgotten_is_made_again() {
        let (cache, made) = (TokenCache::default(), AtomicUsize::new(0));
        get(&cache, 0, &made);
        cache.forget(principal(2));
        assert_eq!(get(&cache, 0, &made).1, Source::Kept);
        cache.forget(principal(1));
        assert_eq!(get(&cache, 0, &made).1, Source::Made);
    }

    #[test]
    fn each_app_has_a_token_of_its_own_and_one_identity_is_forgotten_in_all() {
        let cache = TokenCache::default();
        let ask = |app: u8| {
            let attachment = Some(AttachmentId::random(&Fixed(app)));
            let make = || Ok::<_, ()>(token(0, 3_600));
            let holder = Holder { principal: principal(1), attachment };
            cache.get_or_make(holder, "r", 0, at(0), make).unwrap().1
        };
        assert_eq!(
            [ask(1), ask(2), ask(1), ask(2)],
            [Source::Made, Source::Made, Source::Kept, Source::Kept]
        );
        cache.forget(principal(1));
        assert_eq!([ask(1), ask(2)], [Source::Made, Source::Made]);
    }

    #[test]
    fn what_a_revoked_key_may_have_signed_is_made_again() {
        let cache = TokenCache::default();
        let get = |epoch, now| {
            cache.get_or_make(holder(1), "r", epoch, at(now), || Ok::<_, ()>(token(now, 3_600))).unwrap()
        };
        assert_eq!(get(0, 0).1, Source::Made);
        assert_eq!(get(1, 5).0.issued, at(5), "a fresh one is no reason to answer it");
        assert_eq!(get(1, 6).1, Source::Kept);
        // Not even if none can be made.
        let broken = cache.get_or_make(holder(1), "r", 2, at(7), || Err("broken"));
        assert_eq!(broken.unwrap_err(), "broken");
    }

    #[test]
    fn sixty_four_cold_requests_make_one_token() {
        let (cache, made) = (TokenCache::default(), AtomicUsize::new(0));
        let start = std::sync::Barrier::new(64);
        std::thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| {
                    start.wait();
                    assert_eq!(get(&cache, 5, &made).0.issued, at(5));
                });
            }
        });
        assert_eq!(made.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn while_one_renews_the_others_do_not_wait() {
        let cache = TokenCache::default();
        cache.get_or_make(holder(1), "r", 0, at(0), || Ok::<_, ()>(token(0, 3_600))).unwrap();
        let (renewed, _) = cache
            .get_or_make(holder(1), "r", 0, at(2_000), || {
                let (old, source) = cache.get_or_make(holder(1), "r", 0, at(2_000), || Err(())).unwrap();
                assert_eq!((old.issued, source), (at(0), Source::Kept));
                Ok::<_, ()>(token(2_000, 3_600))
            })
            .unwrap();
        assert_eq!(renewed.issued, at(2_000));
    }

    #[test]
    fn spellings_cannot_fill_the_memory() {
        let cache = TokenCache::default();
        for spelling in 0..1_000 {
            let resource = format!("https://r{spelling}");
            cache.get_or_make(holder(1), &resource, 0, at(0), || Ok::<_, ()>(token(0, 3_600))).unwrap();
        }
        let kept: usize = cache.slots.read().unwrap().values().map(HashMap::len).sum();
        assert!(kept <= RESOURCES_MAX);
    }
}
