//! Keys in real files: what becomes of one that is used, late, another workload's or left over.

use super::*;
use crypt::SystemEntropy;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// A folder that is removed with this.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, mode: u32) -> Self {
        let path = std::env::temp_dir().join(format!("keyless-challenge-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        Self(path)
    }

    fn files(&self) -> usize {
        fs::read_dir(&self.0).unwrap().count()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

fn posed(challenges: &Challenges, now: Timestamp) -> (ChallengeId, Secret<String>) {
    let id = challenges.pose(&SystemEntropy, now).unwrap();
    (id, Secret::new(fs::read_to_string(challenges.path(id)).unwrap()))
}

#[test]
fn a_key_is_good_once_and_its_file_goes_with_it() {
    let folder = Folder::new("once", 0o700);
    let challenges = Challenges::new(folder.0.clone(), Arc::new(OwnHands));
    let (first, key) = posed(&challenges, NOW);
    let (second, other) = posed(&challenges, NOW);
    assert_ne!((first, key.expose()), (second, other.expose()));
    assert!(!challenges.take(&Secret::new(format!("{} ", key.expose())), NOW));
    assert!(!challenges.take(&Secret::new(String::new()), NOW));
    assert_eq!(folder.files(), 2);
    assert!(challenges.take(&key, NOW));
    assert!(!challenges.take(&key, NOW), "a second time");
    assert_eq!(folder.files(), 1);
    assert!(challenges.take(&other, NOW), "another one is none of its business");
    assert_eq!(folder.files(), 0);
}

#[test]
fn a_key_is_over_after_its_time_and_before_it() {
    let folder = Folder::new("time", 0o700);
    let challenges = Challenges::new(folder.0.clone(), Arc::new(OwnHands));
    let lifetime = limits::CHALLENGE_KEY_LIFETIME.as_secs();
    let good = posed(&challenges, NOW).1;
    assert!(challenges.take(&good, later(lifetime - 1)));
    let over = posed(&challenges, NOW).1;
    assert!(!challenges.take(&over, later(lifetime)));
    assert!(!challenges.take(&over, NOW), "it was used up by that");
    // Of two requests at the turn of a second, the one that began first looks last.
    let of_next_second = posed(&challenges, later(1)).1;
    challenges.sweep(NOW);
    assert!(challenges.take(&of_next_second, later(1)));
    let of_tomorrow = posed(&challenges, later(86_400)).1;
    assert!(!challenges.take(&of_tomorrow, NOW), "the clock was set back");
    posed(&challenges, NOW);
    assert_eq!(folder.files(), 1);
    challenges.sweep(later(lifetime));
    assert_eq!(folder.files(), 0, "what nobody came with is gone");
}

#[test]
fn so_many_keys_may_wait_and_no_more_until_one_is_used_or_over() {
    let folder = Folder::new("many", 0o700);
    let challenges = Challenges::new(folder.0.clone(), Arc::new(OwnHands));
    let keys: Vec<_> = (0..limits::CHALLENGE_KEYS_MAX).map(|_| posed(&challenges, NOW).1).collect();
    let refused = |now| matches!(challenges.pose(&SystemEntropy, now), Err(IdentityError::TooManyKeys));
    assert!(refused(NOW));
    assert_eq!(folder.files(), keys.len());
    assert!(challenges.take(&keys[0], NOW));
    assert!(!refused(NOW) && refused(NOW));
    assert!(!refused(later(limits::CHALLENGE_KEY_LIFETIME.as_secs())));
    assert_eq!(folder.files(), 1);
}

#[test]
fn a_key_of_one_workload_is_none_of_another() {
    let (one, other) = (Folder::new("one", 0o700), Folder::new("other", 0o700));
    let challenges = Challenges::new(one.0.clone(), Arc::new(OwnHands));
    let key = posed(&challenges, NOW).1;
    let others = Challenges::new(other.0.clone(), Arc::new(OwnHands));
    posed(&others, NOW);
    assert!(!others.take(&key, NOW));
    assert!(challenges.take(&key, NOW));
}

#[test]
fn what_an_earlier_run_has_left_is_gone_and_opens_nothing() {
    let folder = Folder::new("earlier", 0o700);
    let key = posed(&Challenges::new(folder.0.clone(), Arc::new(OwnHands)), NOW).1;
    let challenges = Challenges::new(folder.0.clone(), Arc::new(OwnHands));
    assert_eq!(folder.files(), 1, "it may be somebody else's, until it is certain");
    assert!(!challenges.take(&key, NOW));
    challenges.clear();
    assert_eq!(folder.files(), 0);
}

#[test]
fn who_reads_a_key_is_the_folders_group_or_everybody_who_sees_the_folder() {
    let (of_account, of_all) = (Folder::new("account", 0o710), Folder::new("container", 0o711));
    let read = |folder: &Path| {
        let challenges = Challenges::new(folder.to_owned(), Arc::new(OwnHands));
        let file = fs::metadata(challenges.path(posed(&challenges, NOW).0)).unwrap();
        assert!(file.len() <= 4_096, "as much as clients read");
        (file.uid(), file.mode() & 0o777)
    };
    if kernel::is_root() {
        std::os::unix::fs::chown(&of_account.0, None, Some(12_345)).unwrap();
        assert_eq!(read(&of_account.0), (12_345, 0o400));
    } else {
        assert_eq!(read(&of_account.0), (kernel::effective_uid(), 0o400));
    }
    assert_eq!(read(&of_all.0), (kernel::effective_uid(), 0o444));
}

#[test]
fn where_the_folder_is_gone_there_is_no_challenge_and_nothing_is_counted() {
    let folder = Folder::new("gone", 0o700);
    let challenges = Challenges::new(folder.0.join("nowhere"), Arc::new(OwnHands));
    let refused = challenges.pose(&SystemEntropy, NOW);
    assert!(matches!(refused, Err(IdentityError::Key(_))), "{refused:?}");
    assert!(challenges.open().is_empty());
}

#[test]
fn clients_are_told_what_they_check() {
    let told = seen_at(ChallengeId::random(&SystemEntropy));
    let path = Path::new(&told);
    assert_eq!(path.parent(), Some(Path::new("/var/opt/azcmagent/tokens")));
    assert_eq!(path.extension(), Some("key".as_ref()));
    // Python's splits the header at each of these.
    assert!(!told.contains('='));
}
