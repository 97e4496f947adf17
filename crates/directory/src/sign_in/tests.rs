//! Sign-ins against a directory in memory.

use super::*;
use crate::{
    NewUser, UserChange,
    fixtures::{Fill, HASHED, Hashing, NOW},
    user::User,
};
use std::{sync::Arc, time::Duration};
use store::{Memory, Store};

const PASSWORD: &str = "correct horse";

pub(crate) async fn directory() -> (Arc<Memory>, DirectoryService) {
    let store = Arc::new(Memory::new());
    let directory = open(store.clone()).await;
    (store, directory)
}

pub(crate) async fn open(store: Arc<dyn Store>) -> DirectoryService {
    let settings = crate::fixtures::settings();
    let make = |_| Ok(crypt::test_keys::signing_key());
    let root = Arc::new(crypt::Key256::random(&Fill(1)));
    DirectoryService::open(store, Arc::new(crypt::SystemEntropy), &root, settings, make, Arc::new(NOW))
        .await
        .unwrap()
}

pub(crate) fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

pub(crate) async fn user(directory: &DirectoryService, name: &str) -> Person {
    let new = NewUser {
        user_name: directory.user_name(name).unwrap(),
        display_name: name.to_owned(),
        mail: None,
        enabled: true,
        password: Some(secret(PASSWORD)),
        must_change_password: false,
    };
    directory.create_user(new, NOW).await.unwrap()
}

fn at(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

async fn check(
    directory: &DirectoryService,
    name: &str,
    password: &str,
    address: Option<IpAddr>,
    now: Timestamp,
) -> Result<Person, UserError> {
    directory.check_password(name, &secret(password), address, now).await.map_err(|error| match error {
        DirectoryError::User(error) => error,
        other => panic!("{other:?}"),
    })
}

#[tokio::test]
async fn the_right_password_signs_in_by_each_way_to_write_the_name() {
    let (_, directory) = directory().await;
    let alice = user(&directory, "Alice").await;
    for name in ["alice", "ALICE@keyless.localhost", "alice@Keyless.Localhost"] {
        let person = check(&directory, name, PASSWORD, None, NOW).await.unwrap();
        assert_eq!((person.user.id, person.principal.id), (alice.user.id, alice.user.id), "{name}");
        assert!(!person.user.has_second_factor() && !person.user.must_change_password);
    }
}

#[tokio::test]
async fn everything_else_gets_the_same_words() {
    let (store, directory) = directory().await;
    user(&directory, "alice").await;
    let gone = user(&directory, "gone").await;
    directory.delete_user(&gone.user.id.to_string()).await.unwrap();
    let long = "x".repeat(limits::PASSWORD_CHARS_MAX + 1);
    for (name, password) in [
        ("alice", "correct horse "),
        ("alice", ""),
        ("alice", &long),
        ("bob", PASSWORD),
        ("gone", PASSWORD),
        ("alice@elsewhere.example", PASSWORD),
        ("not a name", PASSWORD),
        ("", PASSWORD),
        ("administrator", ""),
        (&"x".repeat(100_000), PASSWORD),
    ] {
        let refused = check(&directory, name, password, None, NOW).await.unwrap_err();
        assert_eq!(refused, UserError::SignInRefused, "{name:.20} {password:.20}");
    }
    drop(store);
}

#[tokio::test]
async fn that_a_user_is_disabled_is_told_to_who_knows_the_password() {
    let (_, directory) = directory().await;
    let alice = user(&directory, "alice").await;
    let off = UserChange { enabled: Some(false), ..UserChange::default() };
    directory.update_user("alice", &off).await.unwrap();
    assert_eq!(
        check(&directory, "alice", PASSWORD, None, NOW).await.unwrap_err(),
        UserError::Disabled { user: alice.user.id }
    );
    assert_eq!(check(&directory, "alice", "wrong", None, NOW).await.unwrap_err(), UserError::SignInRefused);
}

#[tokio::test]
async fn guessing_waits_and_the_right_password_with_it() {
    let (_, directory) = directory().await;
    user(&directory, "alice").await;
    for name in ["alice", "nobody"] {
        for _ in 0..limits::GUESSES_MAX {
            let refused = check(&directory, name, "wrong", at("192.0.2.1"), NOW).await.unwrap_err();
            assert_eq!(refused, UserError::SignInRefused, "{name}");
        }
        let waits = check(&directory, &name.to_uppercase(), PASSWORD, at("192.0.2.1"), NOW).await;
        assert_eq!(waits.unwrap_err(), UserError::TooManyTries { seconds: 60 }, "{name}");
    }
    check(&directory, "alice", PASSWORD, at("192.0.2.2"), NOW).await.unwrap();
    let later = NOW.plus(Duration::from_secs(60));
    check(&directory, "alice", PASSWORD, at("192.0.2.1"), later).await.unwrap();
    for _ in 0..limits::GUESSES_MAX {
        let refused = check(&directory, "alice", "wrong", at("192.0.2.1"), later).await.unwrap_err();
        assert_eq!(refused, UserError::SignInRefused, "signing in begins the count anew");
    }
}

#[tokio::test]
async fn a_password_of_old_parameters_is_hashed_anew_at_sign_in() {
    let (store, directory) = directory().await;
    let alice = user(&directory, "alice").await;
    let old = PasswordHash::of_old(&secret(PASSWORD), &crypt::SystemEntropy).unwrap();
    let keep = |password: PasswordHash| {
        let user = User { password: Some(password), ..User::clone(&alice.user) };
        let write = store::put::<User>(&user.id, &user);
        let store = store.clone();
        async move {
            let decide = |_: &store::View| -> Result<store::Decision<()>, store::Halt<DirectoryError>> {
                Ok(store::Decision::of((), vec![write.clone()]))
            };
            transact(&*store, &crypt::SystemEntropy, decide).await.unwrap();
        }
    };
    keep(old.clone()).await;
    assert!(check(&directory, "alice", "wrong", None, NOW).await.is_err());
    let kept = directory.user("alice").await.unwrap().user.password.clone();
    assert_eq!(kept, Some(old.clone()), "a wrong password changes nothing");
    let later = NOW.plus(Duration::from_secs(9));
    let person = check(&directory, "alice", PASSWORD, None, later).await.unwrap();
    assert!(person.user.password.as_ref().unwrap().is_current());
    assert_eq!(person.user.password_set, alice.user.password_set, "it is the same password");
    check(&directory, "alice", PASSWORD, None, later).await.unwrap();

    // Changed after it was checked: the change stands.
    let (named, fresh) = (Named::Id(alice.user.id), directory.hash(&secret(PASSWORD)).unwrap());
    let refused =
        transact(&*store, &crypt::SystemEntropy, |view| user::rehash(view, &named, &old, &fresh)).await;
    assert!(matches!(refused, Err(DirectoryError::User(UserError::SignInRefused))));
}

#[tokio::test]
async fn users_change_their_own_password() {
    let (_, directory) = directory().await;
    user(&directory, "alice").await;
    directory.set_password("alice", &secret("told by somebody"), true, NOW).await.unwrap();
    let person = check(&directory, "alice", "told by somebody", None, NOW).await.unwrap();
    assert!(person.user.must_change_password);
    let later = NOW.plus(Duration::from_secs(9));
    let change = |current: &str, new: &str| {
        let (current, new) = (secret(current), secret(new));
        let directory = &directory;
        async move { directory.change_password("alice", &current, &new, None, later).await }
    };
    for (current, new) in [
        ("wrong", "my own secret"),
        ("told by somebody", "told by somebody"),
        ("told by somebody", "short"),
        ("told by somebody", "password123"),
        ("told by somebody", "alice@keyless.localhost"),
    ] {
        let refused = change(current, new).await.unwrap_err();
        assert!(
            matches!(
                refused,
                DirectoryError::User(UserError::SignInRefused | UserError::PasswordUnfit { .. })
            ),
            "{new}: {refused:?}"
        );
    }
    let changed = change("told by somebody", "my own secret").await.unwrap();
    assert_eq!((changed.user.must_change_password, changed.user.password_set), (false, Some(later)));
    check(&directory, "alice", "my own secret", None, later).await.unwrap();
    assert!(check(&directory, "alice", "told by somebody", None, later).await.is_err());
}

#[tokio::test]
async fn a_code_is_taken_once_and_guessed_at_few_times() {
    let (store, directory) = directory().await;
    let alice = user(&directory, "alice").await;
    let id = alice.user.id;
    let enrolment = directory.add_authenticator("alice", NOW).await.unwrap();
    let bytes = secret_of(enrolment.secret.expose());
    let code =
        |at: Timestamp| format!("{:06}", crypt::otp::code(&bytes, u64::try_from(at.seconds() / 30).unwrap()));
    assert!(!check(&directory, "alice", PASSWORD, None, NOW).await.unwrap().user.has_second_factor());
    let unconfirmed = directory.check_code(id, &code(NOW), None, NOW).await.unwrap_err();
    assert!(matches!(unconfirmed, DirectoryError::User(UserError::NoAuthenticator { .. })));
    directory.confirm_authenticator("alice", &code(NOW), NOW).await.unwrap();
    assert!(check(&directory, "alice", PASSWORD, None, NOW).await.unwrap().user.has_second_factor());
    let again = directory.check_code(id, &code(NOW), None, NOW).await.unwrap_err();
    assert!(matches!(again, DirectoryError::User(UserError::CodeWrong)), "it was used to confirm");
    let exists = directory.add_authenticator("alice", NOW).await.unwrap_err();
    assert!(matches!(exists, DirectoryError::User(UserError::AuthenticatorExists { .. })));
    let confirmed = directory.confirm_authenticator("alice", &code(NOW), NOW).await.unwrap_err();
    assert!(matches!(confirmed, DirectoryError::User(UserError::AuthenticatorExists { .. })));

    let later = NOW.plus(Duration::from_secs(600));
    directory.check_code(id, &code(later), None, later).await.unwrap();
    for _ in 0..limits::GUESSES_MAX {
        // Signing in with the password again must not give more guesses.
        check(&directory, "alice", PASSWORD, at("192.0.2.1"), later).await.unwrap();
        let wrong = directory.check_code(id, "000000", at("192.0.2.1"), later).await.unwrap_err();
        assert!(matches!(wrong, DirectoryError::User(UserError::CodeWrong)));
    }
    let next = later.plus(Duration::from_secs(30));
    let waits = directory.check_code(id, &code(next), at("192.0.2.2"), next).await.unwrap_err();
    assert!(matches!(waits, DirectoryError::User(UserError::TooManyTries { seconds: 30 })), "{waits:?}");

    // Neither the record nor anything else has the secret in clear.
    let canary = enrolment.secret.expose();
    for (key, value) in store.dump() {
        assert!(!value.windows(bytes.len()).any(|window| window == bytes), "{key:?}");
        assert!(!String::from_utf8_lossy(&value).contains(canary.as_str()), "{key:?}");
        assert!(!String::from_utf8_lossy(&value).contains(PASSWORD), "{key:?}");
    }
    assert!(enrolment.uri.expose().contains(canary.as_str()));
    let off = directory.remove_authenticator("alice").await.unwrap();
    assert!(!off.user.has_second_factor());
    assert!(directory.remove_authenticator("alice").await.is_err());
}

#[tokio::test]
async fn an_authenticators_secret_opens_for_its_user_only() {
    let (store, directory) = directory().await;
    let (alice, bob) = (user(&directory, "alice").await, user(&directory, "bob").await);
    let enrolment = directory.add_authenticator("alice", NOW).await.unwrap();
    let moved = User { authenticator: enrolment.person.user.authenticator.clone(), ..User::clone(&bob.user) };
    transact(
        &*store,
        &crypt::SystemEntropy,
        |_| -> Result<store::Decision<()>, store::Halt<DirectoryError>> {
            Ok(store::Decision::of((), vec![store::put::<User>(&bob.user.id, &moved)]))
        },
    )
    .await
    .unwrap();
    let error = directory.confirm_authenticator("bob", "000000", NOW).await.unwrap_err();
    assert!(matches!(error, DirectoryError::Crypt(crypt::CryptError::Rejected { .. })), "{error:?}");
    assert!(alice.user.authenticator.is_none());
}

#[test]
fn only_so_many_passwords_are_hashed_at_a_time() {
    let gate = Gate::new();
    let (begun, go) = (std::sync::Barrier::new(limits::PASSWORD_HASHES_MAX + 1), std::sync::Mutex::new(()));
    std::thread::scope(|scope| {
        let held = go.lock().unwrap();
        for _ in 0..limits::PASSWORD_HASHES_MAX {
            scope.spawn(|| {
                gate.pass(|| {
                    begun.wait();
                    drop(go.lock().unwrap());
                })
            });
        }
        begun.wait();
        let waiting: Vec<_> = (0..limits::PASSWORD_HASHES_WAITING_MAX)
            .map(|_| scope.spawn(|| gate.pass(|| gate.crowd.lock().unwrap().inside)))
            .collect();
        while gate.crowd.lock().unwrap().waiting < limits::PASSWORD_HASHES_WAITING_MAX {
            std::thread::yield_now();
        }
        assert_eq!(gate.pass(|| ()), Err(UserError::Busy));
        drop(held);
        for waiting in waiting {
            let inside = waiting.join().unwrap().unwrap();
            assert!((1..=limits::PASSWORD_HASHES_MAX).contains(&inside), "{inside}");
        }
    });
    let crowd = gate.crowd.lock().unwrap();
    assert_eq!((crowd.inside, crowd.waiting), (0, 0));
}

/// The bytes of a base 32 text, as an app reads them.
fn secret_of(text: &str) -> Vec<u8> {
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for symbol in text.bytes() {
        let value = if symbol.is_ascii_uppercase() { symbol - b'A' } else { symbol - b'2' + 26 };
        (bits, count) = (bits << 5 | u32::from(value), count + 5);
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    bytes
}

#[tokio::test]
async fn what_is_issued_while_a_password_is_hashed_is_over_with_the_old_one() {
    let make = |_| Ok(crypt::test_keys::signing_key());
    let (root, clock) = (Arc::new(crypt::Key256::random(&Fill(1))), Arc::new(Hashing::default()));
    let (entropy, settings) = (Arc::new(crypt::SystemEntropy), crate::fixtures::settings());
    let store = Arc::new(Memory::new());
    let directory = DirectoryService::open(store, entropy, &root, settings, make, clock).await.unwrap();
    for (name, is_by_its_owner) in [("alice", true), ("bob", false)] {
        user(&directory, name).await;
        let (old, new) = (secret(PASSWORD), secret("another long password"));
        let person = if is_by_its_owner {
            directory.change_password(name, &old, &new, None, NOW).await.unwrap()
        } else {
            directory.set_password(name, &new, false, NOW).await.unwrap()
        };
        let is_refused = |issued| person.principal.revocations.refuse(issued, &[]);
        assert!(is_refused(HASHED), "{name}");
        assert!(!is_refused(HASHED.plus(Duration::from_secs(1))), "{name}");
        assert_eq!(person.user.password_set, Some(HASHED), "{name}");
    }
}
