//! Refresh tokens: what brings the next one, who shares one, and what ends the line.

use super::*;
use crate::grants::refresh_token::Family;
use domain::RefreshFamilyId;
use serde_json::json;
use store::Store as _;

/// The last second in which a token that was used is good.
const GRACE: i64 = 29;

#[tokio::test]
async fn a_refresh_token_brings_the_next_one_for_its_client_only() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    let first = world.token(world.redeem(&world.code(&signed_in, FULL).await)).await.unwrap();
    let token = refresh_token(&first);
    let second = world.token(world.refresh(&token)).await.unwrap();
    let next = refresh_token(&second);
    assert_ne!(token, next);
    assert_eq!(claims(&second.access_token)["scp"], "user_impersonation");
    assert!(world.is_good(&first).await && world.is_good(&second).await);
    assert!(second.user.as_ref().unwrap().id_token.is_some());

    let other = world.directory.create_registration(
        NewRegistration { display_name: "other".to_owned(), is_public: true, ..NewRegistration::default() },
        NOW,
    );
    let other = other.await.unwrap().client.to_string();
    let refused = async |request| world.token(request).await.unwrap_err();
    let of_other = TokenRequest { client: Some(other), secret: None, ..world.refresh(&next) };
    assert!(matches!(refused(of_other).await, DirectoryError::Grant(GrantError::RefreshTokenInvalid)));
    let without = TokenRequest { secret: None, ..world.refresh(&next) };
    assert!(matches!(refused(without).await, DirectoryError::Request(RequestError::ClientProofMissing)));
    let late = world.token_at(world.refresh(&next), limits::REFRESH_TOKEN_LIFETIME.as_secs().cast_signed());
    assert!(matches!(late.await, Err(DirectoryError::Grant(GrantError::RefreshTokenExpired))));
    let elsewhere = TokenRequest { scope: Some("User.Read".to_owned()), ..world.refresh(&next) };
    assert!(matches!(refused(elsewhere).await, DirectoryError::Grant(GrantError::ConsentRequired { .. })));
    // None of them has ended anything.
    assert!(world.is_good(&first).await && world.token(world.refresh(&next)).await.is_ok());
}

#[tokio::test]
async fn who_shares_a_refresh_token_gets_the_same_next_one() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    let first = world.token(world.redeem(&world.code(&signed_in, FULL).await)).await.unwrap();
    let refreshed = async |token: &str, at: i64| {
        let issued = world.token_at(world.refresh(token), at).await.unwrap();
        assert!(world.is_good(&issued).await);
        refresh_token(&issued)
    };
    let token = refresh_token(&first);
    let next = refreshed(&token, 100).await;
    // Another program that had read it before, one that lost its answer, and whoever goes on at once: the line does not branch.
    assert_eq!(refreshed(&token, 100).await, next);
    assert_eq!(refreshed(&next, 101).await, next, "which was given out only just");
    assert_eq!(refreshed(&token, 100 + GRACE).await, next);
    assert_eq!(refreshed(&token, 100 - GRACE).await, next, "by the clock of another node");
    let third = refreshed(&next, 101 + GRACE).await;
    assert!(third != next && third != token);
    assert_eq!(refreshed(&next, 101 + GRACE).await, third);
    assert!(world.is_good(&first).await);
    // The one before that one is not shared by anybody who still waits.
    let late = world.token_at(world.refresh(&token), 101 + GRACE).await.unwrap_err();
    assert!(matches!(late, DirectoryError::Grant(GrantError::RefreshTokenReused)), "{late}");
}

#[tokio::test]
async fn a_refresh_token_that_comes_again_later_ends_all() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    for (again, is_over) in [(GRACE, false), (GRACE + 1, true), (-GRACE - 1, true)] {
        let first = world.token(world.redeem(&world.code(&signed_in, FULL).await)).await.unwrap();
        let token = refresh_token(&first);
        let second = world.token_at(world.refresh(&token), 100).await.unwrap();
        let next = refresh_token(&second);
        // The thief, or the owner after the thief.
        match world.token_at(world.refresh(&token), 100 + again).await {
            Ok(_) => assert!(!is_over),
            Err(DirectoryError::Grant(GrantError::RefreshTokenReused)) => assert!(is_over),
            Err(other) => panic!("{other}"),
        }
        assert_eq!((world.is_good(&first).await, world.is_good(&second).await), (!is_over, !is_over));
        match world.token(world.refresh(&next)).await {
            Ok(_) => assert!(!is_over),
            Err(DirectoryError::Grant(GrantError::RefreshTokenInvalid)) => assert!(is_over),
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn what_was_never_issued_ends_nothing() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    let grant = async || world.token(world.redeem(&world.code(&signed_in, FULL).await)).await.unwrap();
    let (first, other) = (grant().await, refresh_token(&grant().await));
    let token = refresh_token(&first);
    let next = refresh_token(&world.token(world.refresh(&token)).await.unwrap());
    let parts: Vec<&str> = token.split('.').collect();
    let [id, number, tag] = parts[..] else { panic!("{}", parts.len()) };
    // The id is in each access token, for every service that sees one.
    assert_eq!(claims(&first.access_token)["keyless_grant"], id);
    let of_other = other.rsplit('.').next().unwrap();
    for made in [
        "x".to_owned(),
        format!("{id}.x"),
        format!("{id}.{tag}"),
        format!("{id}.{number}."),
        format!("{id}.{number}.{of_other}"),
        format!("{id}.2.{tag}"),
        format!("{id}.0.{tag}"),
        format!("{id}.+{number}.{tag}"),
        format!("{id}.{number}.{tag}."),
        format!("{id}.18446744073709551615.{tag}"),
        format!("{id}.18446744073709551616.{tag}"),
        format!("00000000-0000-4000-8000-000000000000.{number}.{tag}"),
    ] {
        for at in [0, GRACE + 1] {
            let refused = world.token_at(world.refresh(&made), at).await.unwrap_err();
            assert!(matches!(refused, DirectoryError::Grant(GrantError::RefreshTokenInvalid)), "{refused}");
        }
    }
    assert!(world.is_good(&first).await && world.token_at(world.refresh(&next), GRACE + 1).await.is_ok());
}

#[tokio::test]
async fn a_refresh_token_of_an_earlier_version_is_one() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    world.code(&signed_in, FULL).await;
    let random = "ExpxUDqQyB6hRlA2mcYWtEkBz5v3nRk1RrVnlTmPLiE";
    let hash = serde_json::to_value(crypt::HashedSecret::of(&crate::fixtures::secret(random))).unwrap();
    for (at, is_over) in [(GRACE, false), (GRACE + 1, true)] {
        let id = RefreshFamilyId::random(&crate::fixtures::Fill(u8::from(is_over) + 20));
        let family = json!({
            "id": id, "client": world.web.client, "platform": "web", "session": signed_in.session.id,
            "scopes": crate::scope::Scopes::parse(FULL, world.directory.names()).unwrap(),
            "secret": hash, "expires": NOW.plus(limits::REFRESH_TOKEN_LIFETIME), "ends": null,
        });
        let family: Family = serde_json::from_value(family).unwrap();
        let put = store::put::<Family>(&id, &family);
        world.store.commit(store::CommitId(id.uuid().as_u128()), &[], &[put]).await.unwrap();
        let token = format!("{id}.{random}");
        let first = world.token(world.refresh(&token)).await.unwrap();
        let next = refresh_token(&first);
        assert!(next.starts_with(&format!("{id}.1.")));
        let again = world.token_at(world.refresh(&token), at).await;
        assert_eq!(again.is_err(), is_over);
        assert_eq!(world.is_good(&first).await, !is_over);
        assert_eq!(world.token(world.refresh(&next)).await.is_err(), is_over);
        // One that was replaced before that: of it nothing is known but that this is not it.
        let before =
            world.token(world.refresh(&format!("{id}.{}", random.to_lowercase()))).await.unwrap_err();
        let is_reuse = matches!(before, DirectoryError::Grant(GrantError::RefreshTokenReused));
        assert_eq!(is_reuse, !is_over, "{before}");
        assert!(!world.is_good(&first).await && world.token(world.refresh(&next)).await.is_err());
    }
}

/// A store that was put back to what it was knows nothing of what was issued since: that is no theft.
#[tokio::test]
async fn what_was_issued_after_a_backup_is_worth_nothing_and_ends_nothing() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    let first = world.token(world.redeem(&world.code(&signed_in, FULL).await)).await.unwrap();
    let token = refresh_token(&first);
    let id: RefreshFamilyId = token.split('.').next().unwrap().parse().unwrap();
    let key = <Family as store::Record>::key(&id);
    let before = world.store.read(std::slice::from_ref(&key)).await.unwrap().entries.remove(0).unwrap();
    let next = refresh_token(&world.token(world.refresh(&token)).await.unwrap());
    let put_back = store::Write::Put(key, before.value);
    world.store.commit(store::CommitId(u128::MAX), &[], &[put_back]).await.unwrap();
    let refused = world.token(world.refresh(&next)).await.unwrap_err();
    assert!(matches!(refused, DirectoryError::Grant(GrantError::RefreshTokenInvalid)), "{refused}");
    assert!(world.is_good(&first).await && world.token(world.refresh(&token)).await.is_ok());
}
