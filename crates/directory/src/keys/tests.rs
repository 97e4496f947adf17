//! How a directory rolls its keys, over a store: sealed halves, two nodes, starts, and what verifies after each step.

use super::*;
use crate::{
    DirectorySettings,
    fixtures::{Counting, Fill, NOW, verifier},
};
use access::BearerFault;
use crypt::{Key256, test_keys};
use domain::{Secret, limits, world::Here};
use std::sync::atomic::{AtomicUsize, Ordering};
use store::{Memory, Store};

/// Where a directory lives, and how many keys were made there. The two test keys take turns; a certificate's time makes another id.
struct World {
    store: Arc<Memory>,
    root: Arc<Key256>,
    made: Arc<AtomicUsize>,
    /// One for all: a commit's id, which is random, must not come twice.
    entropy: Arc<Counting>,
}

impl World {
    fn new() -> Self {
        Self {
            store: Arc::default(),
            root: Arc::new(Key256::random(&Fill(1))),
            made: Arc::default(),
            entropy: Arc::default(),
        }
    }

    async fn open_with(&self, token_lifetime: Duration, now: Timestamp) -> DirectoryService {
        let made = self.made.clone();
        let make = move |now: Timestamp| {
            let key = match made.fetch_add(1, Ordering::SeqCst) % 2 {
                0 => test_keys::signing_key(),
                _ => test_keys::other_signing_key(),
            };
            SigningKey::certify(&key.to_pkcs8(), now)
        };
        let settings = DirectorySettings { token_lifetime, ..crate::fixtures::settings() };
        let store: Arc<dyn Store> = self.store.clone();
        let entropy = self.entropy.clone();
        let directory =
            DirectoryService::open(store, entropy, &self.root, settings, make, Arc::new(now)).await.unwrap();
        directory.rolling(Some(limits::SIGNING_KEY_LIFETIME), Arc::new(Here))
    }

    async fn open(&self) -> DirectoryService {
        self.open_with(limits::ACCESS_TOKEN_LIFETIME, NOW).await
    }

    /// Names of the records of keys, and whether each has a private half.
    fn records(&self) -> Vec<(String, bool)> {
        let all = self.store.dump().into_iter().filter_map(|(key, value)| {
            let key = String::from_utf8(key.as_bytes().to_vec()).unwrap();
            let kid = key.strip_prefix("signing-key/")?.to_owned();
            let record: KeyRecord = serde_json::from_slice(&value).unwrap();
            assert_ne!(record.private.is_some(), record.public.is_some(), "{kid}");
            Some((kid, record.private.is_some()))
        });
        all.collect()
    }
}

async fn token(directory: &DirectoryService, now: Timestamp) -> Secret<String> {
    directory.issue_for_administrator(now).await.unwrap().access_token
}

fn kids(directory: &DirectoryService) -> Vec<String> {
    let ring = directory.ring();
    let kids = ring.published().iter().map(|key| key.kid().to_owned()).collect::<Vec<_>>();
    assert_eq!(kids, ring.keys().iter().map(|key| key.kid.clone()).collect::<Vec<_>>());
    kids
}

#[tokio::test]
async fn a_key_is_announced_signs_retires_and_is_gone_with_its_private_half() {
    let world = World::new();
    let directory = world.open().await;
    let verifier = verifier(&directory);
    let first = directory.ring().current().kid().to_owned();
    let old = token(&directory, NOW).await;

    let told = directory.roll(false, NOW).await.unwrap();
    let signs_from = NOW.plus(limits::SIGNING_KEY_ANNOUNCED_MIN);
    let second = told[0].kid().to_owned();
    assert_eq!(told, [KeyChange::Announced { kid: second.clone(), signs_from }]);
    assert_eq!(kids(&directory), [first.clone(), second.clone()]);
    assert_eq!((directory.ring().current().kid(), directory.next_roll()), (&*first, Some(signs_from)));
    assert!(directory.roll(false, NOW).await.unwrap().is_empty(), "asked twice is asked once");
    assert_eq!(world.made.load(Ordering::SeqCst), 2);

    assert!(directory.roll_due(signs_from.minus(Duration::from_secs(1))).await.unwrap().is_empty());
    let begun = directory.roll_due(signs_from).await.unwrap();
    let gone_at = signs_from.plus(limits::ACCESS_TOKEN_LIFETIME).plus(limits::CLOCK_SKEW);
    assert_eq!(
        begun,
        [KeyChange::Retired { kid: first.clone(), gone_at }, KeyChange::Begun { kid: second.clone() }]
    );
    assert_eq!(directory.ring().current().kid(), second);
    let mut left = world.records();
    left.sort();
    let mut expected = vec![(first.clone(), false), (second.clone(), true)];
    expected.sort();
    assert_eq!(left, expected, "what signs no more has no private half");
    // What the retired key has signed is good to its end, and after a start too.
    let again = world.open().await;
    assert_eq!(kids(&again), kids(&directory));
    for ring in [directory.ring(), again.ring()] {
        assert!(verifier.verify(&old, &*ring, signs_from).is_ok());
        assert_eq!(ring.epoch(), 0, "a mere roll forgets nothing");
    }
    let new = token(&directory, signs_from).await;
    assert!(verifier.verify(&new, &*again.ring(), signs_from).is_ok());

    let gone = directory.roll_due(gone_at).await.unwrap();
    assert_eq!(gone, [KeyChange::Gone { kid: first }]);
    assert_eq!(world.records(), [(second.clone(), true)]);
    assert_eq!(kids(&directory), [second]);
}

#[tokio::test]
async fn what_a_revoked_key_has_signed_is_refused_at_once_here_and_after_a_start() {
    let world = World::new();
    let directory = world.open().await;
    let verifier = verifier(&directory);
    let first = directory.ring().current().kid().to_owned();
    let stolen = token(&directory, NOW).await;
    assert!(verifier.verify(&stolen, &*directory.ring(), NOW).is_ok());
    let told = directory.revoke(&first, NOW.plus(Duration::from_secs(1))).await.unwrap();
    let second = directory.ring().current().kid().to_owned();
    assert_ne!(second, first);
    assert_eq!(told, [KeyChange::Revoked { kid: first.clone() }, KeyChange::Begun { kid: second.clone() }]);
    assert_eq!(world.records(), [(second, true)]);
    let again = world.open().await;
    for ring in [directory.ring(), again.ring()] {
        let fault = verifier.verify(&stolen, &*ring, NOW).unwrap_err();
        assert_eq!(fault, BearerFault::UnknownKey { kid: first.clone() });
    }
    for directory in [&directory, &again] {
        let fault = verifier.verify(&stolen, directory, NOW).unwrap_err();
        assert_eq!(fault, BearerFault::UnknownKey { kid: first.clone() });
    }
    let fresh = token(&directory, NOW).await;
    assert!(verifier.verify(&fresh, &*directory.ring(), NOW).is_ok());
    let twice = directory.revoke(&first, NOW).await;
    assert!(matches!(twice, Err(DirectoryError::SigningKeyNotFound { .. })));
}

#[tokio::test]
async fn two_nodes_roll_one_ring_once() {
    let world = World::new();
    let (one, other) = (world.open().await, world.open().await);
    let due = one.keys_due().unwrap();
    let told = one.roll_due(due).await.unwrap();
    assert_eq!(told.len(), 1);
    assert!(other.roll_due(due).await.unwrap().is_empty());
    assert_eq!(kids(&one), kids(&other), "the other takes over what the one has done");
    let begin = one.keys_due().unwrap();
    assert_eq!(other.roll_due(begin).await.unwrap().len(), 2);
    assert!(one.roll_due(begin).await.unwrap().is_empty());
    assert_eq!(one.ring().current().kid(), other.ring().current().kid());
    assert_eq!(one.ring().current().kid(), told[0].kid());
    one.revoke(told[0].kid(), begin.plus(Duration::from_secs(1))).await.unwrap();
    assert!(other.roll_due(begin).await.unwrap().is_empty());
    assert_eq!((other.ring().epoch(), other.epoch()), (1, 1));
}

#[tokio::test]
async fn longer_tokens_of_an_earlier_configuration_outlive_a_roll() {
    let world = World::new();
    let day = Duration::from_secs(86_400);
    let long = world.open_with(day, NOW).await;
    let token = token(&long, NOW).await;
    let directory = world.open().await;
    directory.roll(true, NOW).await.unwrap();
    let almost = NOW.plus(day).minus(Duration::from_secs(1));
    directory.roll_due(almost).await.unwrap();
    assert!(verifier(&directory).verify(&token, &*directory.ring(), almost).is_ok());
}

#[tokio::test]
async fn a_ring_that_did_not_roll_yet_is_taken_over_and_rolls() {
    let world = World::new();
    let first = world.open().await.ring().current().kid().to_owned();
    let before = format!(r#"{{"current":"{first}","published":["{first}"],"epoch":0}}"#);
    #[derive(serde::Serialize, serde::Deserialize)]
    #[serde(transparent)]
    struct Before(serde_json::Value);
    impl store::Record for Before {
        type Id = ();
        fn key((): &()) -> store::Key {
            RingRecord::key(&())
        }
    }
    let before = Before(serde_json::from_str(&before).unwrap());
    transact(&*world.store, &*world.entropy, |_| -> Result<Decision<()>, Halt<DirectoryError>> {
        Ok(Decision::of((), vec![put::<Before>(&(), &before)]))
    })
    .await
    .unwrap();
    let directory = world.open().await;
    let old = token(&directory, NOW).await;
    assert_eq!(directory.roll_due(NOW).await.unwrap().len(), 1, "nobody knows how old it is");
    let begin = directory.keys_due().unwrap();
    assert_eq!(begin, NOW.plus(limits::SIGNING_KEY_ANNOUNCED_MIN));
    directory.roll_due(begin).await.unwrap();
    assert_ne!(directory.ring().current().kid(), first);
    assert!(verifier(&directory).verify(&old, &*directory.ring(), begin).is_ok());
}

#[tokio::test]
async fn no_half_of_a_key_is_taken_for_anothers() {
    let world = World::new();
    let directory = world.open().await;
    let second = directory.roll(false, NOW).await.unwrap()[0].kid().to_owned();
    let first = directory.ring().current().kid().to_owned();
    // The sealed private half of the one is written into the record of the other.
    transact(&*world.store, &*world.entropy, |view| -> Result<Decision<()>, Halt<DirectoryError>> {
        let record = view.get::<KeyRecord>(&first)?.unwrap();
        Ok(Decision::of((), vec![put::<KeyRecord>(&second, &*record)]))
    })
    .await
    .unwrap();
    let settings = crate::fixtures::settings();
    let store: Arc<dyn Store> = world.store.clone();
    let opened = DirectoryService::open(
        store,
        world.entropy.clone(),
        &world.root,
        settings,
        |_| Ok(test_keys::signing_key()),
        Arc::new(NOW),
    );
    assert!(matches!(opened.await.err(), Some(DirectoryError::Crypt(crypt::CryptError::Rejected { .. }))));
}
