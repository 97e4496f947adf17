//! Groups and their members, against a directory in memory.

use super::*;
use crate::{
    fixtures::NOW,
    sign_in::tests::{directory, open, user},
};
use store::Memory;

fn keys(store: &Memory) -> Vec<String> {
    store.dump().into_iter().map(|(key, _)| String::from_utf8_lossy(key.as_bytes()).into_owned()).collect()
}

fn of_group(error: DirectoryError) -> GroupError {
    match error {
        DirectoryError::Group(error) => error,
        other => panic!("{other:?}"),
    }
}

async fn names(directory: &DirectoryService, group: GroupId) -> Vec<String> {
    let members = directory.members(group).await.unwrap();
    members.iter().map(|member| member.principal.display_name.clone()).collect()
}

#[tokio::test]
async fn members_come_and_go_in_both_directions() {
    let (store, directory) = directory().await;
    let alice = user(&directory, "alice").await.user.id;
    let before = keys(&store);
    let ops = directory.create_group("Operators", None, NOW).await.unwrap().id;
    for _ in 0..2 {
        let added = directory.add_member(ops, alice, NOW).await.unwrap();
        assert_eq!(added.member_of, [ops]);
    }
    assert_eq!(names(&directory, ops).await, ["alice"]);
    let removed = directory.remove_member(ops, alice).await.unwrap();
    assert!(removed.member_of.is_empty() && names(&directory, ops).await.is_empty());
    let again = of_group(directory.remove_member(ops, alice).await.unwrap_err());
    assert_eq!(again, GroupError::NotMember { principal: alice, group: ops });
    directory.delete_group(ops).await.unwrap();
    assert_eq!(keys(&store), before);
}

#[tokio::test]
async fn nobody_is_put_where_there_is_nothing() {
    let (_, directory) = directory().await;
    let alice = user(&directory, "alice").await.user.id;
    let ops = directory.create_group("Operators", None, NOW).await.unwrap().id;
    let nobody = ops.subject();
    let error = directory.add_member(ops, nobody, NOW).await.unwrap_err();
    assert!(matches!(error, DirectoryError::PrincipalNotFound { .. }), "groups are in no groups");
    directory.delete_group(ops).await.unwrap();
    for error in [
        directory.add_member(ops, alice, NOW).await.map(drop),
        directory.remove_member(ops, alice).await.map(drop),
        directory.members(ops).await.map(drop),
        directory.delete_group(ops).await.map(drop),
        directory.update_group(ops, &GroupChange::default()).await.map(drop),
        directory.group(&ops.to_string()).await.map(drop),
        directory.group("Operators").await.map(drop),
    ] {
        assert!(matches!(of_group(error.unwrap_err()), GroupError::NotFound { .. }));
    }
}

#[tokio::test]
async fn a_name_that_two_groups_have_names_neither() {
    let (_, directory) = directory().await;
    let one = directory.create_group("Operators", Some("at night".to_owned()), NOW).await.unwrap();
    assert_eq!(directory.group("operators").await.unwrap().id, one.id);
    let two = directory.create_group("operators", None, NOW).await.unwrap();
    let error = of_group(directory.group("OPERATORS").await.unwrap_err());
    assert_eq!(error, GroupError::Ambiguous { named: "OPERATORS".to_owned(), count: 2 });
    let change = GroupChange {
        display_name: Some("Others".to_owned()),
        description: Some(None),
        ..GroupChange::default()
    };
    directory.update_group(two.id, &change).await.unwrap();
    assert_eq!(directory.group("others").await.unwrap().id, two.id);
    for display_name in ["", "a\nb", &"x".repeat(257)] {
        let error = directory.create_group(display_name, None, NOW).await.unwrap_err();
        assert!(matches!(error, DirectoryError::DisplayNameInvalid));
    }
    for description in ["a\nb", &"x".repeat(1_025)] {
        let error = directory.create_group("x", Some(description.to_owned()), NOW).await.unwrap_err();
        assert_eq!(of_group(error), GroupError::DescriptionInvalid);
    }
}

#[tokio::test]
async fn a_principal_is_in_so_many_groups_and_deleted_ones_do_not_count() {
    let (store, directory) = directory().await;
    let alice = user(&directory, "alice").await.user.id;
    let mut groups = Vec::new();
    for number in 0..=limits::GROUPS_OF_PRINCIPAL_MAX {
        groups.push(directory.create_group(&format!("g{number}"), None, NOW).await.unwrap().id);
    }
    let (last, others) = groups.split_last().unwrap();
    for group in others {
        directory.add_member(*group, alice, NOW).await.unwrap();
    }
    let error = directory.add_member(*last, alice, NOW).await.unwrap_err();
    assert!(matches!(error, DirectoryError::TooMany { limit: limits::GROUPS_OF_PRINCIPAL_MAX, .. }));
    // Deleted, and not swept yet.
    transact(&*store, &crypt::SystemEntropy, |view| delete(view, others[3], None)).await.unwrap();
    let added = directory.add_member(*last, alice, NOW).await.unwrap();
    assert!(added.member_of.contains(last) && !added.member_of.contains(&others[3]));
    // All memberships go with the principal, and fit its commit.
    let gone = directory.delete_user("alice").await.unwrap();
    assert_eq!(gone.principal.member_of.len(), limits::GROUPS_OF_PRINCIPAL_MAX);
    assert!(directory.members(*last).await.unwrap().is_empty());
    drop(open(store.clone()).await);
    assert!(
        !keys(&store).iter().any(|key| key.starts_with("group-member/") || key.starts_with("deleted-group/"))
    );
}

#[tokio::test]
async fn what_a_deleted_group_leaves_is_swept_at_the_next_start() {
    let (store, directory) = directory().await;
    let ops = directory.create_group("Operators", None, NOW).await.unwrap().id;
    let mut members = Vec::new();
    for number in 0..SWEPT_AT_ONCE + 3 {
        let new = crate::NewRegistration { display_name: number.to_string(), ..Default::default() };
        let principal = directory.create_registration(new, NOW).await.unwrap().principal;
        directory.add_member(ops, principal, NOW).await.unwrap();
        members.push(principal);
    }
    assert_eq!(directory.members(ops).await.unwrap().len(), members.len());
    transact(&*store, &crypt::SystemEntropy, |view| delete(view, ops, None)).await.unwrap();
    let again = open(store.clone()).await;
    for member in members {
        assert!(again.principal(member).await.unwrap().member_of.is_empty());
    }
    assert!(
        !keys(&store).iter().any(|key| key.starts_with("group-member/") || key.starts_with("deleted-group/"))
    );
}
