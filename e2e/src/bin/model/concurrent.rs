//! Several clients on the same few names. Their calls overlap, so that no one order is given; but one must be possible: an order that respects
//! who had been answered before whom, and in which the model gives each the answer that it got (linearizability, Herlihy and Wing 1990).
//! The search is that of Wing and Gong (1993), with a memory of what was tried.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ask::{Ask, Said};
use crate::call::{Call, Who};
use crate::client::Client;
use crate::failure::Failure;
use crate::random::Random;
use crate::sequential::empty;
use crate::state::{Content, Kind, Model};
use crate::world::World;

/// Which purpose the choices of this part have.
const PURPOSE: u64 = 2;

/// Clients at a time.
const CLIENTS: usize = 4;

/// Calls of each client in a round.
const CALLS: usize = 3;

/// The one name that all are after.
const NAME: &str = "race";

/// More versions than that, and the object is deleted: lists stay of one page, and searches short.
const VERSIONS_MAX: usize = 12;

/// Backups of a round that are restored elsewhere, at most.
const RESTORED_MAX: usize = 4;

/// A call with the moments at which it began and ended.
type Timed = (Call, u64, u64);

/// Runs so many rounds of a seed; answers how many calls that were.
pub(crate) fn run(world: &World, seed: u64, rounds: usize) -> Result<usize, Failure> {
    let mut random = Random::new(seed, PURPOSE);
    let vaults = [format!("c{seed}-a"), format!("c{seed}-b")];
    let mut start = Model::default();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::new(&world.server, &vaults[0])).collect();
    let mut elsewhere = vec![Client::new(&world.server, &vaults[1])];
    for (at, client) in [&clients[0], &elsewhere[0]].into_iter().enumerate() {
        world.make_vault(at, &vaults[at], 7);
        start.vaults.push(empty(client, 7));
    }
    // All that may be the case: what a deleted object consists of is told by nothing before it is back.
    let mut models = vec![start];
    let clock = AtomicU64::new(0);
    let mut count = 0;
    for round in 0..rounds {
        let kind = if random.percent(65) { Kind::Secret } else { Kind::Key };
        let asks: Vec<Vec<Ask>> =
            (0..CLIENTS).map(|_| (0..CALLS).map(|_| ask(&mut random, &models[0], kind)).collect()).collect();
        let mut calls = overlapping(world, &clock, (0, &mut clients), asks);
        // What the round has left, read by one client: part of what must be explained.
        let mut reads = vec![
            Ask::Get { kind, name: NAME.to_owned(), version: None },
            Ask::Versions { kind, name: NAME.to_owned(), page: 25 },
            Ask::GetDeleted { kind, name: NAME.to_owned() },
            Ask::List { kind, page: 25 },
        ];
        if round % 3 == 2 {
            reads.push(Ask::Backup { kind, name: NAME.to_owned() });
        }
        calls.extend(overlapping(world, &clock, (0, &mut clients[..1]), vec![reads]));
        // A backup must be of one moment: what it holds is seen where it is restored.
        let opened = opened(kind, &calls);
        calls.extend(overlapping(world, &clock, (1, &mut elsewhere), vec![opened]));
        count += calls.len();
        if let Some((call, _, _)) = calls.iter().find(|(call, _, _)| call.reply.status == 0) {
            return Err(Failure::of_round(seed, round, &calls, &format!("no answer: {}", call.reply.body)));
        }
        // A backup that others never let come to an end has not happened.
        calls.retain(|(call, _, _)| !(matches!(call.ask, Ask::Backup { .. }) && call.reply.status == 503));
        models = explain(&models, &calls).map_err(|what| Failure::of_round(seed, round, &calls, &what))?;
        // The newest few are enough to restore, and what is tried out stays small.
        for model in &mut models {
            let old = model.blobs.len().saturating_sub(RESTORED_MAX);
            model.blobs.drain(..old);
        }
        // What is still deleted or has grown long is not in the way of the next round.
        let object = models[0].vaults[0].objects.get(&(kind, NAME.to_owned()));
        let is_long = object.is_some_and(|object| object.versions.len() > VERSIONS_MAX);
        if is_long || random.percent(12) {
            let name = NAME.to_owned();
            let asks = vec![Ask::Delete { kind, name: name.clone() }, Ask::Purge { kind, name }];
            let calls = overlapping(world, &clock, (0, &mut clients[..1]), vec![asks]);
            models =
                explain(&models, &calls).map_err(|what| Failure::of_round(seed, round, &calls, &what))?;
        }
    }
    Ok(count)
}

/// Restores the backups that were made, reads them, and makes room for the next.
fn opened(kind: Kind, calls: &[Timed]) -> Vec<Ask> {
    let blobs = calls.iter().filter_map(|(call, _, _)| match call.ask {
        Ask::Backup { .. } => call.reply.body["value"].as_str(),
        _ => None,
    });
    let open = |blob: &str| {
        let (blob, name) = (blob.to_owned(), NAME.to_owned());
        [
            Ask::Restore { kind, blob },
            Ask::Get { kind, name: name.clone(), version: None },
            Ask::Versions { kind, name: name.clone(), page: 25 },
            Ask::Delete { kind, name: name.clone() },
            Ask::Purge { kind, name },
        ]
    };
    blobs.take(RESTORED_MAX).flat_map(open).collect()
}

/// What one client asks once: of all that there is, mostly what others may be changing.
fn ask(random: &mut Random, model: &Model, kind: Kind) -> Ask {
    let name = NAME.to_owned();
    let live = model.vaults[0].live(kind, NAME);
    let known: Vec<String> =
        live.iter().flat_map(|object| &object.versions).map(|version| version.id.clone()).collect();
    let version = match random.below(3) {
        0 if !known.is_empty() => Some(random.pick(&known).clone()),
        _ => None,
    };
    let blobs: Vec<&String> =
        model.blobs.iter().filter(|blob| blob.kind == kind).map(|blob| &blob.text).collect();
    match random.weighted(&[26, 18, 22, 10, 6, 6, 3, 3, 5, 7]) {
        0 => match kind {
            Kind::Key if live.is_some() && random.percent(40) => Ask::Rotate { name },
            Kind::Key => Ask::CreateKey { name, kty: "EC", said: Said::default() },
            Kind::Secret | Kind::Certificate => {
                Ask::SetSecret { name, value: random.hex(8), said: Said::default() }
            }
        },
        1 => Ask::Get { kind, name, version },
        2 => {
            let mut said = Said::default();
            match random.below(3) {
                0 => said.enabled = Some(random.percent(70)),
                1 => said.tags = Some([("by".to_owned(), random.hex(4))].into()),
                _ => said.exp = Some(4_000_000_000 + i64::try_from(random.below(1_000)).unwrap_or(0)),
            }
            Ask::Update { kind, name, version, said }
        }
        3 => Ask::Versions { kind, name, page: 25 },
        4 => Ask::Delete { kind, name },
        5 => Ask::Recover { kind, name },
        6 => Ask::Purge { kind, name },
        7 => Ask::GetDeleted { kind, name },
        8 if !blobs.is_empty() => Ask::Restore { kind, blob: (*random.pick(&blobs)).clone() },
        8 => Ask::Recover { kind, name },
        _ => Ask::Backup { kind, name },
    }
}

/// Lets each client ask its own, one after the other, all clients at once.
fn overlapping(
    world: &World,
    clock: &AtomicU64,
    (vault, clients): (usize, &mut [Client]),
    asks: Vec<Vec<Ask>>,
) -> Vec<Timed> {
    let calls = Mutex::new(Vec::new());
    let barrier = std::sync::Barrier::new(clients.len());
    std::thread::scope(|scope| {
        for (client, asks) in clients.iter_mut().zip(asks) {
            let (calls, barrier) = (&calls, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for ask in asks {
                    let (before, began) = (world.now(), clock.fetch_add(1, Ordering::SeqCst));
                    let reply = ask.send(client, world.tokens.of(Who::Owner)).unwrap_or_else(|error| {
                        crate::client::Reply { status: 0, body: error.to_string().into() }
                    });
                    let (ended, after) = (clock.fetch_add(1, Ordering::SeqCst), world.now());
                    let call = Call { vault, who: Who::Owner, ask, before, after, reply };
                    calls.lock().unwrap().push((call, began, ended));
                }
            });
        }
    });
    let mut calls = calls.into_inner().unwrap_or_default();
    calls.sort_by_key(|(_, began, _)| *began);
    calls
}

/// The models after each order of the calls that explains all answers, from any of those before; or how far one comes at most, and what does
/// not fit there.
fn explain(models: &[Model], calls: &[Timed]) -> Result<Vec<Model>, String> {
    let mut search =
        Search { calls, tried: HashSet::new(), ends: Vec::new(), furthest: 0, misfits: Vec::new() };
    for model in models {
        search.from(model, 0);
    }
    if search.ends.is_empty() {
        let (furthest, all) = (search.furthest, calls.len());
        let misfits = search.misfits.join("\n  or ");
        return Err(format!(
            "no order of these calls explains their answers; at best {furthest} of {all}, then {misfits}"
        ));
    }
    Ok(search.ends)
}

struct Search<'a> {
    calls: &'a [Timed],
    /// Which calls were done, and what they left.
    tried: HashSet<(u64, u64)>,
    /// What all calls may have left, each once.
    ends: Vec<Model>,
    furthest: u32,
    /// What could not come next there.
    misfits: Vec<String>,
}

impl Search<'_> {
    fn from(&mut self, model: &Model, done: u64) {
        if !self.tried.insert((done, fingerprint(model))) {
            return;
        }
        let is_left = |at: &usize| done & (1 << at) == 0;
        let left: Vec<usize> = (0..self.calls.len()).filter(is_left).collect();
        // Nothing that began after another had ended can come before it.
        let Some(first_end) = left.iter().map(|at| self.calls[*at].2).min() else {
            self.ends.push(model.clone());
            return;
        };
        let mut nexts = Vec::new();
        for at in left.into_iter().filter(|at| self.calls[*at].1 <= first_end) {
            let (call, began, _) = &self.calls[at];
            let mut next = model.clone();
            match next.observe(call) {
                // What never changes anything is in nobody's way: whoever follows later follows after it as well.
                Ok(()) if next == *model && never_changes(call) => {
                    return self.from(model, done | (1 << at));
                }
                Ok(()) => nexts.push((next, done | (1 << at))),
                Err(what) => self.note(done.count_ones(), || format!("[{began}] {what}")),
            }
        }
        for (next, done) in nexts {
            self.from(&next, done);
        }
    }

    fn note(&mut self, done: u32, what: impl Fn() -> String) {
        if done > self.furthest {
            self.misfits.clear();
            self.furthest = done;
        }
        if done == self.furthest && !self.misfits.contains(&what()) {
            self.misfits.push(what());
        }
    }
}

/// Whether a call leaves everything as it is, whenever it comes: it reads, or was refused. (A change that changes nothing now may do so later.)
fn never_changes(call: &Call) -> bool {
    call.ask.said().0 == "GET" || call.reply.status >= 400
}

/// What tells one state from another: not in which order backups were made, nor versions that are not the latest, nor how keys were counted.
fn fingerprint(model: &Model) -> u64 {
    let (mut vaults, mut blobs) = (model.vaults.clone(), model.blobs.clone());
    blobs.sort_by(|one, other| one.text.cmp(&other.text));
    let mut counted = Vec::new();
    let live = vaults.iter_mut().flat_map(|vault| vault.objects.values_mut());
    let saved = blobs.iter_mut().flat_map(|blob| blob.objects.iter_mut().map(|(_, object)| object));
    for object in live.chain(saved) {
        let older = object.versions.len().saturating_sub(1);
        object.versions[..older].sort_by(|one, other| one.id.cmp(&other.id));
        for version in &mut object.versions {
            let Content::Key(key) = &mut version.content else { continue };
            let known = counted.iter().position(|material| *material == key.material);
            let at = known.unwrap_or_else(|| {
                counted.push(key.material);
                counted.len() - 1
            });
            key.material = u64::try_from(at).unwrap_or(u64::MAX);
        }
    }
    let mut hasher = DefaultHasher::new();
    format!("{vaults:?} {blobs:?}").hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Reply;
    use crate::state::Vault;
    use serde_json::{Value, json};

    const NOW: i64 = 1_800_000_000;
    const HOST: &str = "v.example";

    fn nothing() -> Vec<Model> {
        let vault = Vault {
            host: HOST.to_owned(),
            days: 7,
            objects: Default::default(),
            pending: Default::default(),
        };
        vec![Model { vaults: vec![vault], ..Model::default() }]
    }

    fn call((began, ended): (u64, u64), ask: Ask, status: u16, body: Value) -> Timed {
        let reply = Reply { status, body };
        (Call { vault: 0, who: Who::Owner, ask, before: NOW, after: NOW, reply }, began, ended)
    }

    fn id(version: char) -> String {
        std::iter::repeat_n(version, 32).collect()
    }

    fn attributes(is_enabled: bool) -> Value {
        json!({
            "enabled": is_enabled, "created": NOW, "updated": NOW,
            "recoveryLevel": "CustomizedRecoverable+Purgeable", "recoverableDays": 7,
        })
    }

    fn told(version: char, is_enabled: bool) -> Value {
        let id = format!("https://{HOST}/secrets/{NAME}/{}", id(version));
        json!({ "id": id, "attributes": attributes(is_enabled), "tags": {} })
    }

    fn with(mut body: Value, more: Value) -> Value {
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
        }
        body
    }

    fn set(when: (u64, u64), version: char) -> Timed {
        let (name, value) = (NAME.to_owned(), version.to_string());
        let body = with(told(version, true), json!({ "value": value }));
        call(when, Ask::SetSecret { name, value, said: Said::default() }, 200, body)
    }

    fn get(when: (u64, u64), version: char) -> Timed {
        let body = with(told(version, true), json!({ "value": version.to_string() }));
        call(when, Ask::Get { kind: Kind::Secret, name: NAME.to_owned(), version: None }, 200, body)
    }

    fn enable(when: (u64, u64), version: char, is_enabled: bool) -> Timed {
        let said = Said { enabled: Some(is_enabled), ..Said::default() };
        let ask = Ask::Update { kind: Kind::Secret, name: NAME.to_owned(), version: Some(id(version)), said };
        call(when, ask, 200, told(version, is_enabled))
    }

    fn delete(when: (u64, u64), version: char) -> Timed {
        let deletion = json!({
            "recoveryId": format!("https://{HOST}/deletedsecrets/{NAME}"),
            "deletedDate": NOW, "scheduledPurgeDate": NOW + 7 * crate::state::DAY,
        });
        let ask = Ask::Delete { kind: Kind::Secret, name: NAME.to_owned() };
        call(when, ask, 200, with(told(version, true), deletion))
    }

    fn recover(when: (u64, u64), version: char) -> Timed {
        call(when, Ask::Recover { kind: Kind::Secret, name: NAME.to_owned() }, 200, told(version, true))
    }

    fn listed(when: (u64, u64), versions: &[(char, bool)]) -> Timed {
        let items = versions.iter().map(|(version, is_enabled)| told(*version, *is_enabled)).collect();
        call(when, Ask::Versions { kind: Kind::Secret, name: NAME.to_owned(), page: 25 }, 200, items)
    }

    #[test]
    fn an_order_that_was_seen_is_held_to() {
        let both = [set((1, 4), 'a'), set((2, 3), 'b')];
        for latest in ['a', 'b'] {
            assert!(explain(&nothing(), &[both.as_slice(), &[get((5, 6), latest)]].concat()).is_ok());
        }
        let one_after_the_other = [set((1, 2), 'a'), set((3, 4), 'b'), get((5, 6), 'a')];
        let refused = explain(&nothing(), &one_after_the_other).unwrap_err();
        assert!(refused.contains("at best 2 of 3"), "{refused}");
    }

    /// The second of these changes nothing if it comes first, and something if it does not.
    #[test]
    fn a_change_that_would_change_nothing_now_may_come_later() {
        let calls =
            [set((1, 2), 'a'), enable((3, 6), 'a', false), enable((4, 5), 'a', true), get((7, 8), 'a')];
        assert_eq!(explain(&nothing(), &calls).unwrap().len(), 1);
    }

    /// Which of two came last is told by nobody before the object is back.
    #[test]
    fn all_that_a_deleted_object_may_consist_of_is_remembered() {
        let calls = [
            set((1, 2), 'a'),
            set((3, 4), 'b'),
            enable((5, 8), 'a', false),
            enable((6, 7), 'a', true),
            delete((9, 10), 'b'),
        ];
        let models = explain(&nothing(), &calls).unwrap();
        assert_eq!(models.len(), 2);
        for is_enabled in [false, true] {
            let calls = [recover((11, 12), 'b'), listed((13, 14), &[('a', is_enabled), ('b', true)])];
            assert_eq!(explain(&models, &calls).unwrap().len(), 1);
        }
        for lost in [&[('b', true)][..], &[('a', true)], &[('a', true), ('b', false)]] {
            let calls = [recover((11, 12), 'b'), listed((13, 14), lost)];
            assert!(explain(&models, &calls).is_err());
        }
    }
}
