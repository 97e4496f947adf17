//! Versions that no head leads to are found and removed, wherever a restore ended, and never those that somebody can see.

use super::*;
use crate::garbage::{Garbage, STAGED_FOR};
use domain::{ObjectId, limits};

/// Versions of a large blob.
const LARGE: usize = 25;

/// A world, a blob of so many large versions that it takes several commits, and nothing of its secret left.
async fn with_large_blob() -> (World, String) {
    let world = World::new().await;
    world.allow_all().await;
    let full = "x".repeat(limits::SECRET_VALUE_BYTES_MAX);
    for _ in 0..LARGE {
        world.set("db", &full).await;
    }
    let blob = world.backup("db").await.unwrap();
    world.delete("db").await.unwrap();
    world.purge("db").await.unwrap();
    assert!(world.stored("secret-version/").is_empty());
    (world, blob)
}

fn after(time: Duration) -> Timestamp {
    LATER.plus(time)
}

impl World {
    fn is_swept(&self) -> bool {
        ["secret-version/", "secret/", "garbage/"].iter().all(|prefix| self.stored(prefix).is_empty())
    }
}

/// The server dies after each of the commits of a restore. Whatever it was, one of two is true: all is there, or nothing is and it goes.
#[tokio::test]
async fn a_restore_that_died_leaves_nothing_for_ever() {
    let (world, blob) = with_large_blob().await;
    let mut commits = 0;
    loop {
        world.dies_after(commits);
        let restored = world.restore(&blob).await;
        world.lives();
        if restored.is_ok() {
            break;
        }
        refused!(world.get("db", None).await, VaultError::ObjectNotFound { .. });
        assert_eq!(
            world.stored("garbage/").len(),
            usize::from(commits > 0),
            "known from the first commit on"
        );
        let laid_out = world.stored("secret-version/").len();
        assert_eq!(laid_out > 0, commits > 1, "after {commits} commits: {laid_out}");
        // Somebody may still be at it.
        world.service.sweep(after(STAGED_FOR - Duration::from_secs(1))).await.unwrap();
        assert_eq!(world.stored("secret-version/").len(), laid_out);
        world.service.sweep(after(STAGED_FOR)).await.unwrap();
        assert!(world.is_swept(), "after {commits} commits");
        commits += 1;
    }
    assert!(commits > 3, "several commits: {commits}");
    world.service.sweep(after(STAGED_FOR * 10)).await.unwrap();
    assert_eq!(world.all_of("db").await.len(), LARGE, "what is seen is never swept");
    assert!(world.stored("garbage/").is_empty());
}

/// The same of the sweep itself.
#[tokio::test]
async fn a_sweep_that_died_is_done_by_the_next() {
    for commits in 0..3 {
        let (world, blob) = with_large_blob().await;
        world.dies_after(3);
        world.restore(&blob).await.unwrap_err();
        world.dies_after(commits);
        let swept = world.service.sweep(after(STAGED_FOR)).await;
        refused!(swept, VaultError::Store(StoreError::Unavailable(_)));
        world.lives();
        world.service.sweep(after(STAGED_FOR)).await.unwrap();
        assert!(world.is_swept(), "after {commits} commits");
    }
}

/// A restore that takes too long is taken for dead at each of its commits: it reveals nothing, and leaves nothing.
#[tokio::test]
async fn a_restore_that_is_swept_under_way_reveals_nothing() {
    let (world, blob) = with_large_blob().await;
    for commits in 1.. {
        let (meddler, was_there) = (world.elsewhere(), Arc::new(Mutex::new(false)));
        let told = was_there.clone();
        world.before_commit(commits, move || {
            at_once(meddler.service.sweep(after(STAGED_FOR))).unwrap();
            *told.lock().unwrap() = true;
        });
        let restored = world.restore(&blob).await;
        if !*was_there.lock().unwrap() {
            restored.unwrap();
            assert!(commits > 3, "several commits");
            break;
        }
        refused!(restored, VaultError::Store(StoreError::Unavailable(_)));
        refused!(world.get("db", None).await, VaultError::ObjectNotFound { .. });
        // What it wrote after it had been swept, if anything, would be there for ever.
        world.service.sweep(after(STAGED_FOR * 10)).await.unwrap();
        assert!(
            world.is_swept(),
            "swept before commit {commits}: {:?}",
            world.stored("secret-version/").len()
        );
    }
    world.store.before_commit.lock().unwrap().take();
    assert_eq!(world.all_of("db").await.len(), LARGE);
}

/// The name is taken while versions are being laid out, or the same backup is restored twice at once: one of them is there, whole.
#[tokio::test]
async fn a_restore_that_lost_a_race_leaves_nothing() {
    let (world, blob) = with_large_blob().await;
    let meddler = world.elsewhere();
    world.before_commit(2, move || {
        at_once(meddler.set("db", "mine"));
    });
    refused!(world.restore(&blob).await, VaultError::NameTaken { .. });
    assert_eq!((world.value("db").await.as_str(), world.stored("secret-version/").len()), ("mine", 0));
    assert!(world.stored("garbage/").is_empty());
    world.delete("db").await.unwrap();
    world.purge("db").await.unwrap();
    let (meddler, theirs) = (world.elsewhere(), blob.clone());
    world.before_commit(2, move || drop(at_once(meddler.restore(&theirs)).unwrap()));
    refused!(world.restore(&blob).await, VaultError::NameTaken { .. });
    assert_eq!((world.all_of("db").await.len(), world.stored("secret-version/").len()), (LARGE, LARGE));
    assert!(world.stored("garbage/").is_empty());
}

/// The vault goes while a restore is under way: deleted, purged, or made anew under its name.
#[tokio::test]
async fn a_restore_into_a_vault_that_goes_leaves_nothing() {
    for step in 0..3 {
        let (world, blob) = with_large_blob().await;
        let id = world.service.show_vault(BY, &world.vault).await.unwrap().id;
        let meddler = world.elsewhere();
        world.before_commit(2, move || {
            at_once(async {
                meddler.service.delete_vault(BY, &meddler.vault, NOW).await.unwrap();
                if step > 0 {
                    meddler.service.purge_vault(BY, &meddler.vault, NOW).await.unwrap();
                }
                if step > 1 {
                    meddler.make(&VaultSettings::default()).await.unwrap();
                    meddler.allow_all().await;
                }
            });
        });
        refused!(world.restore(&blob).await, VaultError::VaultNotFound { .. });
        world.service.sweep(after(STAGED_FOR * 10)).await.unwrap();
        assert!(world.is_swept(), "{step}");
        assert_eq!(world.found(&id.to_string()).is_empty(), step > 0, "{step}");
    }
}

/// Two servers sweep the same at once.
#[tokio::test]
async fn two_sweeps_are_one() {
    for commits in 0..3 {
        let (world, blob) = with_large_blob().await;
        world.dies_after(3);
        world.restore(&blob).await.unwrap_err();
        world.lives();
        let meddler = world.elsewhere();
        world.before_commit(commits, move || at_once(meddler.service.sweep(after(STAGED_FOR))).unwrap());
        world.service.sweep(after(STAGED_FOR)).await.unwrap();
        assert!(world.is_swept(), "{commits}");
    }
}

/// A round looks at a part of the garbage. Restores that may still be under way do not keep it from the rest.
#[tokio::test]
async fn what_must_stay_holds_up_nothing_that_must_go() {
    let world = World::new().await;
    let vault = world.service.show_vault(BY, &world.vault).await.unwrap().id;
    let entropy = fresh();
    let mut all: Vec<_> =
        (0..=200).map(|_| Garbage::staged::<Secrets>(vault, ObjectId::random(&entropy), NOW)).collect();
    all.sort_by_key(|garbage| garbage.put().key().clone());
    let over = Garbage { condemned: true, ..all.pop().unwrap() };
    for garbage in all.iter().chain([&over]) {
        world.write(vec![garbage.put()]).await;
    }
    for _ in 0..4 {
        world.service.sweep(NOW).await.unwrap();
    }
    assert_eq!(world.stored("garbage/").len(), all.len(), "only what is over is gone");
    world.service.sweep(NOW.plus(STAGED_FOR)).await.unwrap();
    assert_eq!(world.stored("garbage/").len(), all.len() - 64, "from the beginning again, a round of it");
}
