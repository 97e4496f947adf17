//! The token endpoint and the discovery documents, request by request.

use crate::{golden, support::World};
use directory::{NewRegistration, TokenVersion};
use std::time::Duration;

async fn world() -> World {
    let mut world = World::new().await;
    let new = |uri: &str, token_version| NewRegistration {
        display_name: "orders".to_owned(),
        identifier_uris: vec![uri.to_owned()],
        token_version,
    };
    let orders = world.register("orders", new("https://orders.example", TokenVersion::V1)).await;
    world.add_secret("secret", &orders, Duration::from_secs(86_400)).await;
    world.add_secret("short secret", &orders, Duration::from_secs(60)).await;
    let [client, secret] = ["{orders.client}", "{secret}"].map(|name| world.name(name));
    world.call("basic", &crypt::encoding::base64(format!("{client}:{secret}").as_bytes()));
    world.call("wrong basic", &crypt::encoding::base64(format!("{client}:wrong").as_bytes()));
    world.register("modern", new("api://modern", TokenVersion::V2)).await;
    world
}

#[tokio::test]
async fn exchanges_are_as_written() {
    golden::check("oauth2", world).await;
}
