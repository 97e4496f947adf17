//! Users come, change and go.

use super::*;
use crate::{
    fixtures::NOW,
    sign_in::tests::{directory, open, secret, user},
};
use access::{Principal, PrincipalKind};
use domain::limits;
use std::sync::Arc;
use store::{Key, Memory, Write};

fn keys(store: &Memory) -> Vec<String> {
    store.dump().into_iter().map(|(key, _)| String::from_utf8_lossy(key.as_bytes()).into_owned()).collect()
}

fn of_user(error: DirectoryError) -> UserError {
    match error {
        DirectoryError::User(error) => error,
        other => panic!("{other:?}"),
    }
}

fn new(directory: &DirectoryService, name: &str) -> NewUser {
    NewUser {
        user_name: directory.user_name(name).unwrap(),
        display_name: "Somebody".to_owned(),
        mail: None,
        enabled: true,
        password: None,
        must_change_password: true,
    }
}

#[tokio::test]
async fn a_user_is_found_by_each_of_its_names_and_leaves_nothing_behind() {
    let (store, directory) = directory().await;
    let before = keys(&store);
    let alice = user(&directory, "Alice").await;
    assert_eq!(keys(&store).len(), before.len() + 4);
    for named in [&alice.user.id.to_string(), "alice", "ALICE@keyless.localhost"] {
        assert_eq!(directory.user(named).await.unwrap().user.id, alice.user.id, "{named}");
    }
    for named in
        ["", "bob", "Alice@elsewhere.example", "a b", &"x".repeat(9_000), &alice.principal.client.to_string()]
    {
        let error = of_user(directory.user(named).await.unwrap_err());
        assert!(matches!(error, UserError::NotFound { .. }), "{named:.40}");
    }
    let principal = directory.principal(alice.user.id).await.unwrap();
    assert_eq!((principal.kind, &*principal.display_name), (PrincipalKind::User, "Alice"));
    directory.delete_user("alice").await.unwrap();
    assert_eq!(keys(&store), before);
    assert!(matches!(of_user(directory.delete_user("alice").await.unwrap_err()), UserError::NotFound { .. }));
}

#[tokio::test]
async fn names_are_unique_in_any_case_and_free_again() {
    let (_, directory) = directory().await;
    let alice = user(&directory, "alice").await;
    for name in ["alice", "Alice", "ALICE@KEYLESS.localhost", "Administrator"] {
        let error = of_user(directory.create_user(new(&directory, name), NOW).await.unwrap_err());
        assert!(matches!(error, UserError::NameTaken { .. }), "{name}");
    }
    let rename = |name: &str| UserChange {
        user_name: Some(directory.user_name(name).unwrap()),
        ..UserChange::default()
    };
    let other = directory.create_user(new(&directory, "bob"), NOW).await.unwrap();
    let error = of_user(directory.update_user("bob", &rename("ALICE")).await.unwrap_err());
    assert!(matches!(error, UserError::NameTaken { .. }));
    // Another way to write the same name is no other name.
    let renamed = directory.update_user("alice", &rename("Alice")).await.unwrap();
    assert_eq!(renamed.user.user_name.as_str(), "Alice@keyless.localhost");
    directory.update_user("alice", &rename("carol")).await.unwrap();
    assert_eq!(directory.user("carol").await.unwrap().user.id, alice.user.id);
    directory.update_user("bob", &rename("alice")).await.unwrap();
    assert_eq!(directory.user("alice").await.unwrap().user.id, other.user.id);
    assert!(directory.user("bob").await.is_err());
}

#[tokio::test]
async fn what_people_write_is_checked() {
    let (store, directory) = directory().await;
    let before = keys(&store);
    for name in ["", "a b", "@keyless.localhost", "a@", "a@b@c", "é"] {
        assert!(
            matches!(of_user(directory.user_name(name).unwrap_err()), UserError::NameInvalid(_)),
            "{name}"
        );
    }
    for mail in ["", "a", "@b", "a@", "a@b@c", "a b@c", "é@b", &format!("{}@b", "x".repeat(253))] {
        let new = NewUser { mail: Some(mail.to_owned()), ..new(&directory, "alice") };
        assert_eq!(
            of_user(directory.create_user(new, NOW).await.unwrap_err()),
            UserError::MailInvalid,
            "{mail}"
        );
    }
    for display_name in ["", "a\nb", &"x".repeat(257)] {
        let new = NewUser { display_name: display_name.to_owned(), ..new(&directory, "alice") };
        let error = directory.create_user(new, NOW).await.unwrap_err();
        assert!(matches!(error, DirectoryError::DisplayNameInvalid), "{display_name}");
    }
    for password in
        ["short", "password", "alice@keyless.localhost", &"x".repeat(limits::PASSWORD_CHARS_MAX + 1)]
    {
        let new = NewUser { password: Some(secret(password)), ..new(&directory, "alice") };
        let error = of_user(directory.create_user(new, NOW).await.unwrap_err());
        assert!(matches!(error, UserError::PasswordUnfit { .. }), "{password}");
    }
    assert_eq!(keys(&store), before);
    let made = directory.create_user(new(&directory, "alice"), NOW).await.unwrap();
    assert!(!made.user.must_change_password, "there is none");
    let mail = UserChange { mail: Some(Some("alice@mail.example".to_owned())), ..UserChange::default() };
    let changed = directory.update_user("alice", &mail).await.unwrap();
    assert_eq!(changed.user.mail.as_deref(), Some("alice@mail.example"));
    let none = UserChange { mail: Some(None), display_name: Some("Al".to_owned()), ..UserChange::default() };
    let changed = directory.update_user("alice", &none).await.unwrap();
    assert_eq!((changed.user.mail.as_deref(), &*changed.principal.display_name), (None, "Al"));
}

#[tokio::test]
async fn users_are_of_the_directorys_own_domain() {
    let (_, directory) = directory().await;
    for name in ["alice@mail.example", "alice@sub.keyless.localhost", "alice@localhost"] {
        let refused = directory.create_user(new(&directory, name), NOW).await.unwrap_err();
        assert!(
            matches!(of_user(refused), UserError::DomainForeign { own } if own == "keyless.localhost"),
            "{name}"
        );
    }
    let alice = directory.create_user(new(&directory, "alice@KEYLESS.localhost"), NOW).await.unwrap();
    let named = |name: &str| UserChange { user_name: Some(name.parse().unwrap()), ..UserChange::default() };
    let id = alice.user.id.to_string();
    let refused = directory.update_user(&id, &named("alice@mail.example")).await.unwrap_err();
    assert!(matches!(of_user(refused), UserError::DomainForeign { .. }));
    directory.update_user(&id, &named("al@keyless.localhost")).await.unwrap();
}

/// Made by an earlier version, it stays, and changes in all else.
#[tokio::test]
async fn a_user_of_another_domain_that_is_there_stays() {
    let (store, directory) = directory().await;
    let alice = user(&directory, "alice").await;
    let before = User { user_name: "alice@mail.example".parse().unwrap(), ..User::clone(&alice.user) };
    let writes = user::put(&before, &alice.principal);
    transact(&*store, &crypt::SystemEntropy, |_| -> Result<Decision<()>, Halt<DirectoryError>> {
        Ok(Decision::of((), writes.clone()))
    })
    .await
    .unwrap();
    let change = UserChange {
        user_name: Some("Alice@mail.example".parse().unwrap()),
        display_name: Some("Al".to_owned()),
        ..UserChange::default()
    };
    let changed = directory.update_user(&before.id.to_string(), &change).await.unwrap();
    assert_eq!((changed.user.user_name.as_str(), &*changed.user.display_name), ("Alice@mail.example", "Al"));
}

#[tokio::test]
async fn the_administrator_is_a_user_who_cannot_be_lost() {
    let (_, directory) = directory().await;
    let person = directory.user("administrator").await.unwrap();
    assert_eq!(person.user.id, directory.tenant().administrator);
    assert!(person.user.password.is_none());
    let off = UserChange { enabled: Some(false), ..UserChange::default() };
    for refused in [
        directory.update_user("administrator", &off).await.map(drop),
        directory.delete_user("administrator").await.map(drop),
        directory.disable_principal(person.user.id).await.map(drop),
    ] {
        assert!(matches!(refused, Err(DirectoryError::AdministratorNeeded)));
    }
    directory.set_password("administrator", &secret("correct horse"), false, NOW).await.unwrap();
    directory.check_password("administrator", &secret("correct horse"), None, NOW).await.unwrap();
    assert_eq!(directory.users().await.unwrap().len(), 1);
}

#[tokio::test]
async fn other_users_are_disabled_as_principals_too() {
    let (_, directory) = directory().await;
    let alice = user(&directory, "alice").await;
    directory.disable_principal(alice.user.id).await.unwrap();
    assert!(!directory.user("alice").await.unwrap().principal.enabled);
}

/// A data directory of a version that had no users: the administrator's principal only, as it was written then.
#[tokio::test]
async fn an_older_directory_gets_its_administrator_at_the_start() {
    let (store, directory) = directory().await;
    let id = directory.tenant().administrator;
    let deletes = [
        Write::Delete(Key::new(format!("user/{id}"))),
        Write::Delete(Key::new("user-name/administrator@keyless.localhost")),
    ];
    transact(&*store, &crypt::SystemEntropy, |view| -> Result<Decision<()>, Halt<DirectoryError>> {
        assert!(view.get::<Principal>(&id)?.is_some());
        Ok(Decision::of((), deletes.to_vec()))
    })
    .await
    .unwrap();
    assert!(directory.user("administrator").await.is_err());
    let store: Arc<Memory> = store;
    let again = open(store.clone()).await;
    assert_eq!(again.user("administrator").await.unwrap().user.id, id);
    let before = keys(&store);
    drop(open(store.clone()).await);
    assert_eq!(keys(&store), before, "once");
}
