//! Who may do what by Graph, and what a deleted thing is.

use super::*;
use crate::{
    NewCredential, NewRegistration, NewUser, Registration, User,
    app_role::graph_client,
    fixtures::{HASHED, Hashing, NOW, registration, tenant},
};
use access::{Principal, PrincipalKind};
use crypt::{SystemEntropy, test_keys::TestSigner};
use domain::{ClientId, Secret};
use serde_json::{Value, json};
use store::Memory;

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(NOW.seconds() + seconds)
}

/// A directory whose ids are all different.
async fn directory() -> DirectoryService {
    at(Arc::new(NOW)).await
}

async fn at(clock: Arc<dyn domain::Clock>) -> DirectoryService {
    let settings = crate::fixtures::settings();
    let root = Arc::new(crypt::Key256::random(&SystemEntropy));
    let make = |_| Ok(crypt::test_keys::signing_key());
    let store = Arc::new(Memory::new());
    DirectoryService::open(store, Arc::new(SystemEntropy), &root, settings, make, clock).await.unwrap()
}

async fn application(directory: &DirectoryService, name: &str, roles: &[&str]) -> (Registration, Caller) {
    let new = NewRegistration { display_name: name.to_owned(), ..NewRegistration::default() };
    let made = directory.create_registration(new, NOW).await.unwrap();
    for role in roles {
        directory.assign_app_role(graph_client(), made.principal, role, NOW).await.unwrap();
    }
    let caller = Caller::fixture(made.principal, made.client, directory.tenant().id);
    (made, caller.standing_on(later(10), Vec::new()))
}

fn refusal<T: std::fmt::Debug>(result: Result<T, DirectoryError>) -> GraphError {
    match result {
        Err(DirectoryError::Graph(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_gives_a_right() {
    let (_, principal) = registration(1);
    let user = Principal { kind: PrincipalKind::User, ..principal.clone() };
    let administrator = tenant().administrator;
    let caller = Caller::fixture(principal.id, principal.client, principal.tenant);
    let view = |principal: &Principal| View::fixture().with::<Principal>(&principal.id, principal);
    // An application without roles has no right, and a user's token without scopes none either.
    for right in [Right::ReadApplications, Right::WriteUsers, Right::ReadDirectory] {
        let refused = permit::permit(&view(&principal), &caller, right, administrator);
        assert!(matches!(refused, Err(Halt::Refuse(DirectoryError::Graph(GraphError::Denied { .. })))));
        let refused = permit::permit(&view(&user), &caller, right, administrator);
        assert!(matches!(refused, Err(Halt::Refuse(DirectoryError::Graph(GraphError::Denied { .. })))));
    }
    let refused = permit::permit(&view(&principal), &caller, Right::ReadSelf, administrator);
    assert!(matches!(refused, Err(Halt::Refuse(DirectoryError::Graph(GraphError::NoUser)))));
    // Whoever is gone, disabled or revoked is nobody.
    let gone = |view: &View| {
        matches!(
            permit::permit(view, &caller, Right::ReadUsers, administrator),
            Err(Halt::Refuse(DirectoryError::Graph(GraphError::CallerGone { .. })))
        )
    };
    assert!(gone(&View::fixture()));
    assert!(gone(&view(&Principal { enabled: false, ..principal.clone() })));
    let mut revoked = principal;
    revoked.revocations.revoke_all(NOW);
    assert!(gone(&view(&revoked)));
}

#[tokio::test]
async fn nobody_gets_at_more_than_he_has() {
    let directory = directory().await;
    let (own, caller) = application(&directory, "deployer", &["Application.ReadWrite.All"]).await;
    let (above, _) = application(&directory, "above", &["User.ReadWrite.All"]).await;
    let (beside, _) = application(&directory, "beside", &["Application.ReadWrite.All"]).await;
    let (plain, _) = application(&directory, "plain", &[]).await;
    let acting = directory.acting(&caller);
    for one in [&own, &beside, &plain] {
        acting.add_secret(&one.id.to_string(), "x", None, NOW).await.unwrap();
    }
    let id = above.id.to_string();
    let change = crate::RegistrationChange::default();
    let over = |error| {
        assert!(matches!(error, GraphError::AboveCaller { has: "User.ReadWrite.All", .. }), "{error:?}")
    };
    over(refusal(acting.add_secret(&id, "x", None, NOW).await));
    over(refusal(acting.update_application(&id, &change, None, NOW).await));
    over(refusal(acting.delete_application(&id, NOW).await));
    over(refusal(acting.update_service_principal(above.principal, Some(false), None).await));
    over(refusal(acting.delete_service_principal(above.principal).await));
    assert!(directory.registration(&id).await.unwrap().credentials.is_empty());
    // It has no say about roles, users or groups.
    let role = "741f803b-c850-494e-b5df-cde7c675a1ca".parse().unwrap();
    let denied = acting.assign_role(graph_client(), plain.principal, role, NOW).await;
    assert!(matches!(refusal(denied), GraphError::Denied { needs: Right::AssignRoles }));
    let group = directory.create_group("ops", None, NOW).await.unwrap();
    let denied = acting.add_member(group.id, plain.principal, NOW).await;
    assert!(matches!(refusal(denied), GraphError::Denied { needs: Right::WriteMembers }));
    // A role that is taken away is worth nothing at once, whatever the token says.
    directory.unassign_app_role(graph_client(), own.principal, "Application.ReadWrite.All").await.unwrap();
    let denied = acting.add_secret(&plain.id.to_string(), "x", None, NOW).await;
    assert!(matches!(refusal(denied), GraphError::Denied { .. }));
}

#[tokio::test]
async fn who_assigns_roles_does_not_rise_by_it() {
    let directory = directory().await;
    let roles = &["AppRoleAssignment.ReadWrite.All", "GroupMember.ReadWrite.All"];
    let (own, caller) = application(&directory, "assigner", roles).await;
    let (other, _) = application(&directory, "other", &[]).await;
    let acting = directory.acting(&caller);
    let assign = async |subject, role: &str| {
        let role = role.parse().unwrap();
        acting.assign_role(graph_client(), subject, role, NOW).await
    };
    let (all, held) = ("19dbc75e-c2e2-444c-a770-ec69d8559fc7", "06b708a9-e830-4db3-a914-8e69da51d44f");
    assert!(matches!(refusal(assign(other.principal, all).await), GraphError::AboveCaller { .. }));
    assert!(matches!(refusal(assign(own.principal, all).await), GraphError::ForItself));
    assign(other.principal, held).await.unwrap();
    let group = directory.create_group("ops", None, NOW).await.unwrap();
    assert!(matches!(refusal(acting.add_member(group.id, own.principal, NOW).await), GraphError::ForItself));
    acting.add_member(group.id, other.principal, NOW).await.unwrap();
}

async fn user(directory: &DirectoryService, name: &str) -> User {
    let new = NewUser {
        user_name: directory.user_name(name).unwrap(),
        display_name: name.to_owned(),
        mail: None,
        enabled: true,
        password: Some(Secret::new(format!("{name} knows this"))),
        must_change_password: false,
    };
    User::clone(&directory.create_user(new, NOW).await.unwrap().user)
}

#[tokio::test]
async fn another_password_ends_what_was_issued_while_it_was_hashed() {
    let directory = at(Arc::new(Hashing::default())).await;
    let (_, caller) = application(&directory, "people", &["User.ReadWrite.All"]).await;
    let ada = user(&directory, "ada").await;
    let patch = UserPatch {
        change: crate::UserChange::default(),
        password: Some((Secret::new("quite another one".to_owned()), false)),
    };
    let done = directory.acting(&caller).update_user(&ada.id.to_string(), &patch, NOW).await.unwrap();
    let revocations = &done.value.principal.revocations;
    assert!(
        revocations.refuse(HASHED, &[])
            && !revocations.refuse(HASHED.plus(std::time::Duration::from_secs(1)), &[])
    );
}

#[tokio::test]
async fn administrators_are_changed_by_administrators() {
    let directory = directory().await;
    let (_, caller) = application(&directory, "people", &["User.ReadWrite.All"]).await;
    let acting = directory.acting(&caller);
    let (ada, root) = (user(&directory, "ada").await, user(&directory, "root").await);
    let change = crate::UserChange { is_administrator: Some(true), ..Default::default() };
    directory.update_user("root", &change).await.unwrap();
    let patch = |password: &str| UserPatch {
        change: crate::UserChange::default(),
        password: Some((Secret::new(password.to_owned()), false)),
    };
    acting.update_user(&ada.id.to_string(), &patch("quite another one"), NOW).await.unwrap();
    for id in [root.id, directory.tenant().administrator] {
        let refused = refusal(acting.update_user(&id.to_string(), &patch("quite another one"), NOW).await);
        assert!(matches!(refused, GraphError::AboveCaller { .. }));
        assert!(matches!(
            refusal(acting.delete_user(&id.to_string(), NOW).await),
            GraphError::AboveCaller { .. }
        ));
        assert!(matches!(
            refusal(acting.revoke_sign_ins(&id.to_string(), NOW).await),
            GraphError::AboveCaller { .. }
        ));
    }
    // Whoever was an administrator and comes back is none.
    let deleted = directory.acting(&caller).directory.user("root").await.unwrap();
    let administrator = directory.tenant().administrator;
    transact(&*directory.store, &SystemEntropy, |view| {
        crate::user::delete(view, &crate::user::Named::Id(deleted.user.id), administrator, Some(NOW))
    })
    .await
    .unwrap();
    let refused = refusal(acting.restore(root.id.uuid(), NOW).await);
    assert!(matches!(refused, GraphError::AboveCaller { .. }), "nor does another bring it back");
    transact(&*directory.store, &SystemEntropy, |view| deleted::restore(view, root.id.uuid(), NOW))
        .await
        .unwrap();
    assert!(!directory.user("root").await.unwrap().user.is_administrator);
}

#[tokio::test]
async fn a_deleted_thing_comes_back_under_its_ids_and_without_its_tokens() {
    let directory = directory().await;
    let roles = &["Application.ReadWrite.All", "User.ReadWrite.All", "Group.ReadWrite.All"];
    let (_, caller) = application(&directory, "admin", roles).await;
    let acting = directory.acting(&caller);
    let (made, of_made) = application(&directory, "made", &["Application.Read.All"]).await;
    let id = made.id.to_string();
    let NewCredential { id: credential, .. } = directory.add_credential(&id, "x", None, NOW).await.unwrap();
    let ada = user(&directory, "ada").await;
    let group = directory.create_group("ops", None, NOW).await.unwrap();
    for member in [ada.id, made.principal] {
        directory.add_member(group.id, member, NOW).await.unwrap();
    }
    assert!(directory.acting(&of_made).may(Right::ReadApplications).await.is_ok());
    acting.delete_application(&id, later(20)).await.unwrap();
    acting.delete_user("ada", later(20)).await.unwrap();
    acting.delete_group(group.id, later(20)).await.unwrap();
    assert!(directory.registration(&id).await.is_err() && directory.user("ada").await.is_err());
    assert!(directory.group(&group.id.to_string()).await.is_err());
    let gone = refusal(directory.acting(&of_made).may(Right::ReadApplications).await);
    assert!(matches!(gone, GraphError::CallerGone { .. }));
    // Once the user's name is another's it does not come back.
    let other = user(&directory, "ada").await;
    assert!(acting.restore(ada.id.uuid(), later(30)).await.is_err());
    directory.delete_user(&other.id.to_string()).await.unwrap();
    for id in [group.id.uuid(), made.id.uuid(), ada.id.uuid()] {
        acting.restore(id, later(30)).await.unwrap();
    }
    let back = directory.registration(&id).await.unwrap();
    assert_eq!(
        (back.client, back.principal, back.credentials[0].id),
        (made.client, made.principal, credential)
    );
    let members: Vec<_> =
        directory.members(group.id).await.unwrap().iter().map(|one| one.principal.id).collect();
    assert_eq!(members.len(), 2, "{members:?}");
    assert_eq!(directory.user("ada").await.unwrap().user.id, ada.id);
    let gone = refusal(directory.acting(&of_made).may(Right::ReadApplications).await);
    assert!(matches!(gone, GraphError::CallerGone { .. }), "a token of before");
    // What nobody brings back within its time is gone for good.
    acting.delete_application(&id, later(40)).await.unwrap();
    let over = later(40).plus(domain::limits::DELETED_KEPT);
    assert!(matches!(refusal(acting.restore(made.id.uuid(), over).await), GraphError::NotFound { .. }));
    assert_eq!(directory.sweep_deleted(later(41)).await.unwrap(), 0);
    assert_eq!(directory.sweep_deleted(over).await.unwrap(), 1);
    assert!(directory.deleted_after(None).await.unwrap().0.is_empty());
    assert!(directory.assignments_of(made.principal).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_service_principal_that_is_made_anew_is_another() {
    let directory = directory().await;
    let (_, caller) = application(&directory, "admin", &["Application.ReadWrite.All"]).await;
    let acting = directory.acting(&caller);
    let change = crate::RegistrationChange { display_name: Some("web".to_owned()), ..Default::default() };
    let made =
        acting.create_application(NewRegistration::default(), &change, Vec::new(), NOW).await.unwrap().value;
    assert!(directory.principal(made.principal).await.is_err(), "none before it is asked for");
    let first = acting.create_service_principal(made.client, true, NOW).await.unwrap().value;
    let again = acting.create_service_principal(made.client, true, NOW).await;
    assert!(matches!(refusal(again), GraphError::Taken { .. }));
    acting.delete_service_principal(first.id).await.unwrap();
    let second = acting.create_service_principal(made.client, true, NOW).await.unwrap().value;
    assert_ne!(first.id, second.id);
    assert_eq!(directory.registration(&made.id.to_string()).await.unwrap().principal, second.id);
    let builtin = Builtin::Graph.object(directory.tenant().id);
    let unfit = acting.delete_service_principal(builtin).await;
    assert!(matches!(refusal(unfit), GraphError::Unfit { .. }));
    let nobody = ClientId::random(&SystemEntropy);
    assert!(acting.create_service_principal(nobody, true, NOW).await.is_err());
}

#[tokio::test]
async fn a_key_is_added_and_removed_by_who_has_one() {
    let directory = directory().await;
    let (_, caller) = application(&directory, "admin", &["Application.ReadWrite.All"]).await;
    let acting = directory.acting(&caller);
    let (made, _) = application(&directory, "made", &[]).await;
    let id = made.id.to_string();
    let (one, two) = (TestSigner::one(NOW), TestSigner::other(NOW));
    let proof = |signer: &TestSigner, more: Value| {
        let mut claims = json!({
            "iss": id, "aud": "00000002-0000-0000-c000-000000000000", "nbf": NOW.seconds(), "exp": NOW.seconds() + 600,
        });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        Secret::new(signer.token(&json!({"alg": "RS256"}), &claims))
    };
    let add = async |proof: Secret<String>| acting.add_key(&id, "next", &two.certificate, &proof, NOW).await;
    // Without a key nobody has proven anything.
    assert!(matches!(refusal(add(proof(&one, json!({}))).await), GraphError::ProofInvalid { .. }));
    directory.add_certificate(&id, "first", &one.certificate, NOW).await.unwrap();
    for (signer, more) in [
        (&two, json!({})),
        (&one, json!({"iss": made.client})),
        (&one, json!({"aud": "https://vault.azure.net"})),
        (&one, json!({"exp": NOW.seconds()})),
        (&one, json!({"exp": NOW.seconds() + 3_600})),
        (&one, json!({"nbf": null})),
        (&one, json!({"nbf": NOW.seconds() + 400})),
    ] {
        let refused = refusal(add(proof(signer, more.clone())).await);
        assert!(matches!(refused, GraphError::ProofInvalid { .. }), "{more}");
    }
    let added = add(proof(&one, json!({}))).await.unwrap().value;
    let remove = async |proof: Secret<String>| {
        acting.remove_credential(&id, crate::CredentialKind::Certificate, added.id, Some(&proof), NOW).await
    };
    let (stranger, known) = (proof(&one, json!({"iss": "x"})), proof(&two, json!({})));
    assert!(matches!(refusal(remove(stranger).await), GraphError::ProofInvalid { .. }));
    assert_eq!(directory.registration(&id).await.unwrap().certificates.len(), 2);
    remove(known).await.unwrap();
    assert_eq!(directory.registration(&id).await.unwrap().certificates.len(), 1);
}

/// What was got by the issuer that is trusted no more is worth nothing, and what is got by the other is good at once.
#[tokio::test]
async fn an_issuer_that_is_changed_takes_its_tokens_along_and_no_others() {
    let directory = directory().await;
    let (_, caller) = application(&directory, "deployer", &["Application.ReadWrite.All"]).await;
    let (plain, _) = application(&directory, "plain", &[]).await;
    let id = plain.id.to_string();
    let new = |subject: &str| crate::NewFederatedCredential {
        name: "github".to_owned(),
        issuer: "https://issuer.example".to_owned(),
        subject: subject.to_owned(),
        key_set: Some(json!({"keys": [TestSigner::one(NOW).jwk()]}).to_string().into_bytes()),
        ..crate::NewFederatedCredential::default()
    };
    let acting = directory.acting(&caller);
    let first = acting.add_federated(&id, new("one"), NOW).await.unwrap().value;
    let mut before = vec![first.standing()];
    for subject in ["two", "three"] {
        let changed = acting.update_federated(&id, first.id, |_| new(subject), NOW).await.unwrap().value;
        assert_eq!(changed.id, first.id, "it keeps its name to clients");
        let principal = directory.principal(plain.principal).await.unwrap();
        let is_refused =
            |standing: domain::CredentialId| principal.revocations.refuse(NOW, &[standing.uuid()]);
        assert!(before.iter().all(|standing| is_refused(*standing)), "{subject}");
        assert!(!is_refused(changed.standing()), "{subject}");
        before.push(changed.standing());
    }
    directory.remove_credential(&id, first.id, NOW).await.unwrap();
    let principal = directory.principal(plain.principal).await.unwrap();
    assert!(before.iter().all(|standing| principal.revocations.refuse(NOW, &[standing.uuid()])));
}

#[tokio::test]
async fn tokens_say_roles_and_go_only_to_those_who_have_one_where_that_is_asked() {
    let directory = directory().await;
    let new = NewRegistration {
        display_name: "orders".to_owned(),
        identifier_uris: vec!["api://orders".to_owned()],
        ..NewRegistration::default()
    };
    let orders = directory.create_registration(new, NOW).await.unwrap();
    let role = |value: &str, for_users, for_applications| crate::AppRole {
        id: domain::CredentialId::random(&SystemEntropy),
        value: Some(value.to_owned()),
        display_name: value.to_owned(),
        description: String::new(),
        for_users,
        for_applications,
        enabled: true,
    };
    for role in [role("Orders.All", false, true), role("Orders.Mine", true, false)] {
        directory.add_app_role("api://orders", role).await.unwrap();
    }
    let twice = directory.add_app_role("api://orders", role("Orders.All", true, true)).await;
    assert!(matches!(twice, Err(DirectoryError::AppRole(crate::AppRoleError::Invalid { .. }))));
    let (client, _) = application(&directory, "client", &[]).await;
    let named = client.client.to_string();
    let secret = directory.add_credential(&named, "x", None, NOW).await.unwrap().secret;
    let claims = async || {
        let request = crate::TokenRequest {
            tenant: directory.tenant().id.to_string(),
            grant_type: Some("client_credentials".to_owned()),
            client: Some(named.clone()),
            secret: Some(secret.duplicate()),
            scope: Some("api://orders/.default".to_owned()),
            ..crate::TokenRequest::default()
        };
        let issued = directory.token(request, NOW).await?;
        let payload = issued.access_token.expose().split('.').nth(1).unwrap().to_owned();
        let payload = crypt::encoding::from_base64url(payload).unwrap();
        Ok::<Value, DirectoryError>(serde_json::from_slice(&payload).unwrap())
    };
    assert_eq!(claims().await.unwrap().get("roles"), None);
    let change = crate::RegistrationChange { assignment_required: Some(true), ..Default::default() };
    directory.update_registration("api://orders", &change).await.unwrap();
    let refused = claims().await;
    assert!(matches!(
        refused,
        Err(DirectoryError::AppRole(crate::AppRoleError::NotAssigned { is_user: false, .. }))
    ));
    let wrong = directory.assign_app_role(orders.client, client.principal, "Orders.Mine", NOW).await;
    assert!(matches!(wrong, Err(DirectoryError::AppRole(crate::AppRoleError::RoleUnknown { .. }))));
    directory.assign_app_role(orders.client, client.principal, "Orders.All", NOW).await.unwrap();
    assert_eq!(claims().await.unwrap()["roles"], json!(["Orders.All"]));
    // A user has the roles of its groups, as long as the group is there.
    let ada = user(&directory, "ada").await;
    let group = directory.create_group("buyers", None, NOW).await.unwrap();
    directory.add_member(group.id, ada.id, NOW).await.unwrap();
    directory.assign_app_role(orders.client, group.id.subject(), "Orders.Mine", NOW).await.unwrap();
    let audience = directory.audience("api://orders").await.unwrap();
    let principal = directory.principal(ada.id).await.unwrap();
    assert_eq!(directory.roles_of(&principal, &audience).await.unwrap(), ["Orders.Mine"]);
    directory.delete_group(group.id).await.unwrap();
    assert!(matches!(
        directory.roles_of(&principal, &audience).await,
        Err(DirectoryError::AppRole(crate::AppRoleError::NotAssigned { is_user: true, .. }))
    ));
    directory.unassign_app_role(orders.client, client.principal, "Orders.All").await.unwrap();
    assert!(claims().await.is_err());
}

#[tokio::test]
async fn half_a_sign_in_ends_with_all_others() {
    let directory = directory().await;
    let (_, caller) = application(&directory, "people", &["User.ReadWrite.All"]).await;
    let acting = directory.acting(&caller);
    let ada = user(&directory, "ada").await.id;
    let browser = Secret::new("a browser".to_owned());
    let half = async || {
        let person = directory.user("ada").await.unwrap();
        directory.seal_half(&person, &[crate::session::Method::Password], &browser, NOW).unwrap()
    };
    let opened = async |half: &Secret<String>| {
        directory.open_half(half, &browser, later(20)).await.unwrap().map(|half| half.person.user.id)
    };
    let before = half().await;
    assert_eq!(opened(&before).await, Some(ada));
    acting.revoke_sign_ins(&ada.to_string(), NOW).await.unwrap();
    assert_eq!(opened(&before).await, None, "all sign-ins were ended");
    let before = half().await;
    assert_eq!(opened(&before).await, Some(ada), "a new one begins");
    acting.delete_user(&ada.to_string(), later(10)).await.unwrap();
    assert_eq!(opened(&before).await, None);
    acting.restore(ada.uuid(), later(10)).await.unwrap();
    assert_eq!(opened(&before).await, None, "who comes back signs in anew");
    assert_eq!(opened(&half().await).await, Some(ada));
}

/// Terraform and scripts compare what they read with what they have written.
#[tokio::test]
async fn a_consent_is_told_with_the_words_of_openid_that_were_written() {
    let directory = directory().await;
    let (shop, _) = application(&directory, "shop", &[]).await;
    let (_, caller) = application(&directory, "deployer", &["DelegatedPermissionGrant.ReadWrite.All"]).await;
    let acting = directory.acting(&caller);
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let set = async |text: &str, is_new| {
        let scopes = if text.is_empty() { Vec::new() } else { words(text) };
        acting.set_consent(shop.client, graph_client(), None, &scopes, is_new).await
    };
    let told = async || {
        let all = directory.permission_grants().await.unwrap();
        all.into_iter().map(|grant| grant.scopes.join(" ")).collect::<Vec<_>>()
    };
    let (written, alone) = ("openid User.Read profile", "openid profile");
    assert_eq!(set(written, true).await.unwrap().value.scopes, words(written));
    assert_eq!(told().await, [written]);
    // What is agreed to since comes after it.
    directory.agree_for_everybody(shop.client, "User.Read User.ReadBasic.All email").await.unwrap();
    assert_eq!(told().await, ["openid User.Read profile User.ReadBasic.All"]);
    // Only a sign-in: it is a grant as any other.
    set(alone, false).await.unwrap();
    assert_eq!(told().await, [alone]);
    assert!(matches!(refusal(set(alone, true).await), GraphError::Taken { .. }));
    for without in ["User.Read", ""] {
        set(without, false).await.unwrap();
        assert_eq!(told().await.join(" "), without);
    }
    assert!(matches!(refusal(set(alone, false).await), GraphError::NotFound { .. }));
    set(alone, true).await.unwrap();
    assert_eq!(told().await, [alone]);
    let unknown = set("openid User.Fly", false).await;
    assert!(matches!(unknown, Err(DirectoryError::ScopeUnknown { .. })));
    assert_eq!(told().await, [alone]);
}
