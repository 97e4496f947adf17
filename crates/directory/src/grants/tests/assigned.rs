//! Applications that are only for those who have a role in them.

use super::*;

#[tokio::test]
async fn who_has_no_role_in_an_app_that_wants_one_is_not_let_in() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    let authorization = world.authorization(FULL).await;
    let (code, other) = (world.code(&signed_in, FULL).await, world.code(&signed_in, FULL).await);
    let granted = world.token(world.redeem(&other)).await.unwrap();
    let token = refresh_token(&granted);
    let named = world.web.client.to_string();
    let require = async |is_required| {
        let change =
            crate::RegistrationChange { assignment_required: Some(is_required), ..Default::default() };
        world.directory.update_registration(&named, &change).await.unwrap();
    };
    let is_closed = |error: DirectoryError| {
        matches!(error, DirectoryError::AppRole(crate::AppRoleError::NotAssigned { is_user: true, .. }))
    };
    require(true).await;
    // Neither a code, nor what an older one or a refresh token would bring: not for vaults, and no id token.
    assert!(is_closed(world.directory.issue_code(&signed_in, &authorization, NOW).await.unwrap_err()));
    assert!(is_closed(world.token(world.redeem(&code)).await.unwrap_err()));
    assert!(is_closed(world.token(world.refresh(&token)).await.unwrap_err()));
    require(false).await;
    world.token(world.refresh(&token)).await.unwrap();
    require(true).await;
    // Assigned to it without a role of its own.
    let nothing_but_in = crate::app_role::DEFAULT_ROLE.to_string();
    world.directory.assign_app_role(world.web.client, world.ada, &nothing_but_in, NOW).await.unwrap();
    world.directory.issue_code(&signed_in, &authorization, NOW).await.unwrap();
}
