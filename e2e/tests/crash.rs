//! `kill -9` of the server at random moments under writes: what was acknowledged is there, what was not is wholly there or wholly
//! not, the audit chain verifies, and the app that ran throughout is served again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use e2e::{App, Https, Server, setting, wait};

/// How often each server is killed. `KEYLESS_E2E_KILLS` overrides.
const KILLS: u32 = 100;
/// Clients that write at the same time.
const WRITERS: usize = 4;
/// Secrets that each writer goes round.
const NAMES: u64 = 5;

/// What a writer knows of one secret.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// The last write that was answered with success.
    acknowledged: u64,
    /// The last write that was sent.
    sent: u64,
}

type Ledger = Arc<Mutex<BTreeMap<String, Known>>>;

/// A value that shows whether it is whole: its number, in a long tail.
fn value(number: u64) -> String {
    format!("{number}:{}", format!("{number}.").repeat(200))
}

/// Writes until told to stop; an error is an unacknowledged write.
fn write(https: &Https, token: &str, writer: usize, stop: &AtomicBool, ledger: &Ledger) {
    let (host, bearer) = (Server::vault_host("shop"), format!("Bearer {token}"));
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) {
        let name = format!("writer-{writer}-{}", turn % NAMES);
        turn += 1;
        let number = {
            let mut ledger = ledger.lock().unwrap();
            let known = ledger.entry(name.clone()).or_default();
            known.sent += 1;
            known.sent
        };
        // The tag says the same number: value and attributes are one record.
        let body = serde_json::json!({ "value": value(number), "tags": { "number": number.to_string() } })
            .to_string();
        let answer = https.send("PUT", &host, &format!("/secrets/{name}?api-version=7.4"), &headers, &body);
        match answer {
            Ok(answer) if answer.status == 200 => {
                ledger.lock().unwrap().get_mut(&name).unwrap().acknowledged = number
            }
            // Cut short by the kill, or refused by a server that is going down: not acknowledged.
            Ok(answer) => assert!(matches!(answer.status, 0 | 500..), "{answer:?}"),
            Err(_gone) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

fn check(https: &Https, token: &str, ledger: &Ledger) {
    for (name, known) in ledger.lock().unwrap().iter_mut() {
        let answer = https.get_secret("shop", name, token);
        if answer.status == 404 {
            assert_eq!(known.acknowledged, 0, "{name}: {known:?} was acknowledged and is gone");
            continue;
        }
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        let bundle = answer.json();
        let number: u64 = bundle["tags"]["number"].as_str().unwrap().parse().unwrap();
        assert_eq!(bundle["value"], value(number), "{name}: half of a write is there");
        assert!(number >= known.acknowledged, "{name}: {known:?}, but {number} is there");
        assert!(number <= known.sent, "{name}: {known:?}, but {number} is there, which nobody sent");
        // What is there now stays: a write that surfaced later would be a second life.
        known.acknowledged = number;
    }
}

/// What was written is in the log mostly when the server is killed.
#[test]
fn acknowledged_writes_survive_kill_9() {
    survives(Server::start("crash"));
}

/// It is on its way from the log to the file all the time.
#[test]
fn acknowledged_writes_survive_kill_9_with_little_memory() {
    survives(Server::start_set("crash-little", &[], &[("KEYLESS_STORE_CACHE", "48KiB")]));
}

fn survives(mut server: Server) {
    let kills: u32 = setting("KILLS").and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    server.app_with("web", "shop", "get,list,set");
    let mut app = App::start(&server, "web", "shop");
    let endpoint = app.endpoint();
    let token = app.token();
    let ledger = Ledger::default();
    // Any moment will do, as long as it is another one each time: a small generator, seeded by the process.
    let mut random = u64::from(std::process::id()) | 1;
    let mut acknowledged_kills = 0;
    for kill in 1..=kills {
        let stop = Arc::new(AtomicBool::new(false));
        let before: u64 = ledger.lock().unwrap().values().map(|known| known.acknowledged).sum();
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (https, token, stop, ledger) =
                    (server.https(), token.clone(), Arc::clone(&stop), Arc::clone(&ledger));
                std::thread::spawn(move || write(&https, &token, writer, &stop, &ledger))
            })
            .collect();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_micros(5_000 + (random >> 33) % 120_000));
        server.kill();
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        let after: u64 = ledger.lock().unwrap().values().map(|known| known.acknowledged).sum();
        acknowledged_kills += u32::from(after > before);
        server.start_again();
        check(&server.https(), &token, &ledger);
        if kill % 20 == 0 || kill == kills {
            let _verified = server.keyless(["audit", "verify"]).ok();
            wait::until("the app to be served again", Duration::from_secs(20), || {
                app.raw(&endpoint.address(), &endpoint.request("")).status == 200
            });
        }
    }
    // Else the kills came before any write, and nothing was proved.
    assert!(
        acknowledged_kills * 4 >= kills,
        "writes were acknowledged in only {acknowledged_kills} of {kills} rounds"
    );
}
