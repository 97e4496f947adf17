//! Signing keys roll under load: nobody's request fails, neither a client's nor that of a service that verifies tokens by what was
//! published. And a compromised key: what it has signed is refused at once.

use crate::support::{NOW, World};
use axum::body::Body;
use crypt::PublicKey;
use directory::{NewRegistration, TokenVersion};
use domain::{Clock as _, Secret, limits};
use http::Request;
use serde_json::Value;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tower::ServiceExt as _;

const LOGIN: &str = "login.keyless.localhost:8443";
const VAULT: &str = "shop.vault.keyless.localhost:8443";
const CLIENTS: usize = 4;
const ROLLS: usize = 50;
/// As long as documents may be kept, so that somebody always looks at a copy that is as old as it may be.
const STEP: i64 = 300;

async fn world() -> World {
    let mut world = World::new().await;
    world.make_vault("shop").await;
    let new = NewRegistration {
        display_name: "app".to_owned(),
        identifier_uris: Vec::new(),
        token_version: TokenVersion::V1,
        ..NewRegistration::default()
    };
    let registration = world.register("app", new).await;
    world.add_secret("secret", &registration, Duration::from_secs(100 * 365 * 86_400)).await;
    world.allow("shop", &registration.principal.to_string(), "get,set").await;
    let token = ask(&world, token_request(&world)).await.1;
    let set = Request::put("/secrets/db?api-version=7.5")
        .header("host", VAULT)
        .header("authorization", format!("Bearer {}", token["access_token"].as_str().unwrap()));
    assert_eq!(ask(&world, set.body(Body::from(r#"{"value":"kept"}"#)).unwrap()).await.0, 200);
    world
}

async fn ask(world: &World, request: Request<Body>) -> (u16, Value) {
    let response = world.public.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

fn token_request(world: &World) -> Request<Body> {
    let form = world.name(
        "grant_type=client_credentials&client_id={app.client}&client_secret={secret}\
         &scope=https%3A%2F%2Fvault.azure.net%2F.default",
    );
    let request = Request::post(world.name("/{tenant}/oauth2/v2.0/token")).header("host", LOGIN);
    request.header("content-type", "application/x-www-form-urlencoded").body(Body::from(form)).unwrap()
}

async fn token(world: &World) -> String {
    let (status, body) = ask(world, token_request(world)).await;
    assert_eq!(status, 200, "{body}");
    body["access_token"].as_str().unwrap().to_owned()
}

async fn read(world: &World, token: &str) -> u16 {
    let request = Request::get("/secrets/db/?api-version=7.5").header("host", VAULT);
    ask(world, request.header("authorization", format!("Bearer {token}")).body(Body::empty()).unwrap())
        .await
        .0
}

async fn published(world: &World) -> HashMap<String, std::sync::Arc<PublicKey>> {
    let request = Request::get(world.name("/{tenant}/discovery/v2.0/keys")).header("host", LOGIN);
    let (status, body) = ask(world, request.body(Body::empty()).unwrap()).await;
    assert_eq!(status, 200);
    let keys = body["keys"].as_array().unwrap().iter().map(|key| {
        let key: PublicKey = serde_json::from_value(key.clone()).unwrap();
        (key.kid().to_owned(), std::sync::Arc::new(key))
    });
    keys.collect()
}

/// A service that verifies tokens by the published keys.
#[derive(Default)]
struct RelyingParty {
    keys: HashMap<String, std::sync::Arc<PublicKey>>,
    loaded: i64,
    /// Loads them when its copy is as old as it may be, and only then; others load them for a key that they do not know.
    is_stubborn: bool,
    loads: usize,
}

impl RelyingParty {
    async fn verify(&mut self, world: &World, token: &str, now: i64) {
        let kept = i64::try_from(limits::DOCUMENTS_CACHED.as_secs()).unwrap();
        let is_known = |keys: &HashMap<_, _>| {
            let parsed = crypt::jws::Parsed::of(token).unwrap();
            keys.contains_key(parsed.kid())
        };
        if self.loads == 0
            || (self.is_stubborn && now - self.loaded > kept)
            || (!self.is_stubborn && !is_known(&self.keys))
        {
            (self.keys, self.loaded, self.loads) = (published(world).await, now, self.loads + 1);
        }
        let verified = crypt::jws::verify(token, |kid| self.keys.get(kid).cloned());
        assert!(verified.is_ok(), "stubborn: {}, {verified:?}", self.is_stubborn);
    }
}

/// One client: it has a new token each round, verified and used; and it uses each token up to its last second.
struct Client<'a> {
    world: &'a World,
    party: RelyingParty,
    held: VecDeque<(i64, String)>,
}

impl Client<'_> {
    async fn round(&mut self) {
        let now = self.world.clock.now().seconds();
        let fresh = token(self.world).await;
        self.party.verify(self.world, &fresh, now).await;
        assert_eq!(read(self.world, &fresh).await, 200, "a new token");
        let life = i64::try_from(limits::ACCESS_TOKEN_LIFETIME.as_secs()).unwrap();
        self.held.retain(|(issued, _)| now < issued + life);
        if let Some((issued, oldest)) = self.held.front() {
            self.party.verify(self.world, oldest, now).await;
            assert_eq!(read(self.world, oldest).await, 200, "a token of {} seconds ago", now - issued);
        }
        if self.held.back().is_none_or(|(issued, _)| *issued < now) {
            self.held.push_back((now, fresh));
        }
    }

    /// Time stands while a round is under way: a token must not expire between two looks at the clock. Keys roll all the same.
    fn work(mut self, time: &RwLock<()>, is_over: &AtomicBool, rounds: &AtomicUsize) {
        while !is_over.load(Ordering::SeqCst) {
            let standing = time.read().unwrap();
            block_on(self.round());
            drop(standing);
            rounds.fetch_add(1, Ordering::SeqCst);
        }
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// Ends the clients also when the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn keys_roll_fifty_times_under_load_and_no_client_sees_an_error() {
    let world = block_on(world());
    let (time, is_over) = (RwLock::new(()), AtomicBool::new(false));
    let rounds: [AtomicUsize; CLIENTS] = Default::default();
    let directory = world.state.directory.clone();
    let mut kids = HashSet::from([directory.ring().current().kid().to_owned()]);
    std::thread::scope(|scope| {
        let over = Over(&is_over);
        let clients: Vec<_> = rounds
            .iter()
            .enumerate()
            .map(|(number, rounds)| {
                let party = RelyingParty { is_stubborn: number % 2 == 0, ..RelyingParty::default() };
                let client = Client { world: &world, party, held: VecDeque::new() };
                let (time, is_over) = (&time, &is_over);
                scope.spawn(move || client.work(time, is_over, rounds))
            })
            .collect();
        // Until each client has done a whole round of now.
        let all_at_work = || {
            let before: Vec<_> = rounds.iter().map(|rounds| rounds.load(Ordering::SeqCst)).collect();
            while rounds
                .iter()
                .zip(&before)
                .any(|(rounds, before)| rounds.load(Ordering::SeqCst) < before + 2)
            {
                assert!(!clients.iter().any(|client| client.is_finished()), "a client saw an error");
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        for roll in 0..ROLLS {
            let before = directory.ring().current().kid().to_owned();
            assert_eq!(block_on(directory.roll(false, world.clock.now())).unwrap().len(), 1);
            let begin = directory.next_roll().unwrap();
            while world.clock.now() < begin {
                all_at_work();
                let moving = time.write().unwrap();
                world.later(STEP);
                drop(moving);
                block_on(directory.roll_due(world.clock.now())).unwrap();
            }
            let now = directory.ring().current().kid().to_owned();
            assert_ne!(now, before, "roll {roll}");
            assert!(kids.insert(now), "a key that signed before");
        }
        all_at_work();
        drop(over);
        for client in clients {
            client.join().unwrap();
        }
    });
    assert_eq!(
        (kids.len(), directory.ring().published()[0].kid() == directory.ring().current().kid()),
        (ROLLS + 1, false)
    );
    let hours = world.clock.now().seconds_since(NOW) / 3_600;
    assert!(hours >= 8, "tokens have expired and keys are gone: {hours} hours");
    assert!(directory.ring().published().len() < 10, "keys are taken away again");
}

#[tokio::test]
async fn what_a_revoked_key_has_signed_is_refused_and_new_tokens_are_good() {
    let world = world().await;
    let old = token(&world).await;
    assert_eq!(read(&world, &old).await, 200);
    // A mere roll costs nobody anything, in an emergency too.
    world.state.directory.roll(true, NOW).await.unwrap();
    let newer = token(&world).await;
    for token in [&old, &newer] {
        assert_eq!(read(&world, token).await, 200);
    }
    let kid = |token: &str| crypt::jws::Parsed::of(token).unwrap().kid().to_owned();
    assert_ne!(kid(&old), kid(&newer));
    world.later(1);
    world.state.directory.revoke(&kid(&newer), world.clock.now()).await.unwrap();
    assert_eq!(read(&world, &newer).await, 401);
    assert_eq!(read(&world, &old).await, 200, "the retired key is another one");
    assert!(!published(&world).await.contains_key(&kid(&newer)));
    world.state.directory.revoke(&kid(&old), world.clock.now()).await.unwrap();
    assert_eq!(read(&world, &old).await, 401);
    let newest = token(&world).await;
    assert_eq!(read(&world, &newest).await, 200);
    assert_eq!(published(&world).await.keys().cloned().collect::<Vec<_>>(), [kid(&newest)]);
    let caller = world.state.verifiers.vaults.verify(
        &Secret::new(newest),
        &*world.state.directory.ring(),
        world.clock.now(),
    );
    assert!(caller.is_ok());
}
