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
use crate::state::{Kind, Model};
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
    let mut model = Model::default();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::new(&world.server, &vaults[0])).collect();
    let mut elsewhere = vec![Client::new(&world.server, &vaults[1])];
    for (at, client) in [&clients[0], &elsewhere[0]].into_iter().enumerate() {
        world.make_vault(at, &vaults[at], 7);
        model.vaults.push(empty(client, 7));
    }
    let clock = AtomicU64::new(0);
    let mut count = 0;
    for round in 0..rounds {
        let kind = if random.percent(65) { Kind::Secret } else { Kind::Key };
        let asks: Vec<Vec<Ask>> =
            (0..CLIENTS).map(|_| (0..CALLS).map(|_| ask(&mut random, &model, kind)).collect()).collect();
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
        model = explain(&model, &calls).map_err(|what| Failure::of_round(seed, round, &calls, &what))?;
        // The newest few are enough to restore, and what is tried out stays small.
        let old = model.blobs.len().saturating_sub(RESTORED_MAX);
        model.blobs.drain(..old);
        // What is still deleted or has grown long is not in the way of the next round.
        let object = model.vaults[0].objects.get(&(kind, NAME.to_owned()));
        let is_long = object.is_some_and(|object| object.versions.len() > VERSIONS_MAX);
        if is_long || random.percent(12) {
            let name = NAME.to_owned();
            let asks = vec![Ask::Delete { kind, name: name.clone() }, Ask::Purge { kind, name }];
            let calls = overlapping(world, &clock, (0, &mut clients[..1]), vec![asks]);
            model = explain(&model, &calls).map_err(|what| Failure::of_round(seed, round, &calls, &what))?;
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

/// The model after an order of the calls that explains all answers; or how far one comes at most, and what does not fit there.
fn explain(model: &Model, calls: &[Timed]) -> Result<Model, String> {
    let mut search = Search { calls, tried: HashSet::new(), furthest: 0, misfits: Vec::new() };
    search.from(model, 0).ok_or_else(|| {
        let (furthest, all) = (search.furthest, calls.len());
        let misfits = search.misfits.join("\n  or ");
        format!("no order of these calls explains their answers; at best {furthest} of {all}, then {misfits}")
    })
}

struct Search<'a> {
    calls: &'a [Timed],
    /// Which calls were done, and what they left.
    tried: HashSet<(u64, u64)>,
    furthest: u32,
    /// What could not come next there.
    misfits: Vec<String>,
}

impl Search<'_> {
    fn from(&mut self, model: &Model, done: u64) -> Option<Model> {
        let is_left = |at: &usize| done & (1 << at) == 0;
        let left: Vec<usize> = (0..self.calls.len()).filter(is_left).collect();
        // Nothing that began after another had ended can come before it.
        let Some(first_end) = left.iter().map(|at| self.calls[*at].2).min() else {
            return Some(model.clone());
        };
        for at in left.into_iter().filter(|at| self.calls[*at].1 <= first_end) {
            let (call, began, _) = &self.calls[at];
            let mut next = model.clone();
            if let Err(what) = next.observe(call) {
                self.note(done.count_ones(), || format!("[{began}] {what}"));
                continue;
            }
            let done = done | (1 << at);
            if self.tried.insert((done, fingerprint(&next)))
                && let Some(end) = self.from(&next, done)
            {
                return Some(end);
            }
        }
        None
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

fn fingerprint(model: &Model) -> u64 {
    let mut hasher = DefaultHasher::new();
    // Backups too: two orders may leave the same vaults, and backups of other moments.
    format!("{:?} {:?}", model.vaults, model.blobs).hash(&mut hasher);
    hasher.finish()
}
