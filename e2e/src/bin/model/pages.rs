//! Lists while others write: what was there before and stays is on exactly one page, whatever comes and goes besides.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::ask::{Ask, Said};
use crate::call::Who;
use crate::client::Client;
use crate::failure::Failure;
use crate::state::Kind;
use crate::world::World;

/// Secrets that stay.
const STAYING: usize = 24;

/// Lists that are read while others write.
const LISTS: usize = 50;

/// Who write meanwhile.
const WRITERS: usize = 4;

/// Reads lists of a vault of a seed while others write; answers how many items were seen.
pub(crate) fn run(world: &World, seed: u64) -> Result<usize, Failure> {
    let vault = format!("p{seed}-a");
    world.make_vault(0, &vault, 7);
    let failed = |what: String| Failure {
        line: format!("seed {seed}, lists while others write: {what}"),
        story: String::new(),
    };
    let mut client = Client::new(&world.server, &vault);
    let token = world.tokens.of(Who::Owner);
    let set = |client: &mut Client, name: String| {
        let ask = Ask::SetSecret { name, value: "x".to_owned(), said: Said::default() };
        ask.send(client, token).map(|reply| reply.status)
    };
    for at in 0..STAYING {
        let status = set(&mut client, format!("stay-{at:02}")).map_err(|error| failed(error.to_string()))?;
        if status != 200 {
            return Err(failed(format!("a secret cannot be set: {status}")));
        }
    }
    let is_over = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (is_over, set) = (&is_over, &set);
            scope.spawn(move || {
                let mut client = Client::new(&world.server, &vault_of(seed));
                for round in 0.. {
                    // Names between those that stay, mostly of the first of them, so that pages begin and end in their midst.
                    let name = format!("stay-{:02}-{writer}-{round}", round * 7 % STAYING % 9);
                    let _said = set(&mut client, name.clone());
                    let _said = Ask::Delete { kind: Kind::Secret, name }.send(&mut client, token);
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                }
            });
        }
        let read = lists(&mut client, token);
        is_over.store(true, Ordering::SeqCst);
        read
    });
    seen.map_err(failed)
}

fn vault_of(seed: u64) -> String {
    format!("p{seed}-a")
}

fn lists(client: &mut Client, token: Option<&str>) -> Result<usize, String> {
    let mut seen = 0;
    for list in 0..LISTS {
        // Small pages have many ends; large ones are the longest under way.
        let page = if list % 10 == 0 { [1, 2, 5][list / 10 % 3] } else { 25 };
        let ask = Ask::List { kind: Kind::Secret, page };
        let reply = ask.send(client, token).map_err(|error| error.to_string())?;
        let Value::Array(items) = &reply.body else { return Err(format!("{} {}", reply.status, reply.body)) };
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for item in items {
            let name = item["id"].as_str().and_then(|id| id.rsplit('/').next()).unwrap_or_default();
            *times.entry(name).or_default() += 1;
        }
        for at in 0..STAYING {
            let name = format!("stay-{at:02}");
            match times.get(name.as_str()) {
                Some(1) => {}
                times => {
                    let times = times.copied().unwrap_or(0);
                    return Err(format!(
                        "{name}, which was there throughout, is listed {times} times in pages of {page}"
                    ));
                }
            }
        }
        if let Some((name, _)) = times.iter().find(|(_, times)| **times > 1) {
            return Err(format!("{name} is listed more than once in pages of {page}: {}", json!(times)));
        }
        seen += items.len();
    }
    Ok(seen)
}
