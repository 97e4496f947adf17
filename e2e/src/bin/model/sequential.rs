//! One client, one call after the other: each answer is held against the model at once, and at the end everything is read.

use crate::ask::{Ask, undoes};
use crate::call::{Call, Who};
use crate::client::{Client, Reply};
use crate::failure::Failure;
use crate::generate::{Generator, clear_of, names};
use crate::random::Random;
use crate::state::{Kind, Model, Vault};
use crate::world::{SWEEP, World};

/// Which purpose the choices of this part have.
const PURPOSE: u64 = 1;

/// What was made by keys is tried again at the end, at most so much of it.
const TRIED_MAX: usize = 24;

/// A run over two vaults.
pub(crate) struct Run<'a> {
    pub(crate) world: &'a mut World,
    seed: u64,
    pub(crate) model: Model,
    clients: Vec<Client>,
    pub(crate) calls: Vec<Call>,
}

/// A vault of the model that has nothing in it.
pub(crate) fn empty(client: &Client, days: i64) -> Vault {
    let host = client.authority();
    Vault { host, days, objects: Default::default(), pending: Default::default() }
}

/// Runs so many steps of a seed; answers how many calls that were.
pub(crate) fn run(world: &mut World, seed: u64, steps: usize) -> Result<usize, Failure> {
    let mut random = Random::new(seed, PURPOSE);
    let vaults = [(format!("m{seed}-a"), 7), (format!("m{seed}-b"), 90)];
    let mut model = Model::default();
    let mut clients = Vec::new();
    for (at, (name, days)) in vaults.iter().enumerate() {
        world.make_vault(at, name, *days);
        let client = Client::new(&world.server, name);
        model.vaults.push(empty(&client, *days));
        clients.push(client);
    }
    let mut run = Run { world, seed, model, clients, calls: Vec::new() };
    for _ in 0..steps {
        run.step(&mut random)?;
    }
    run.sweep()?;
    Ok(run.calls.len())
}

impl Run<'_> {
    fn step(&mut self, random: &mut Random) -> Result<(), Failure> {
        let vault = usize::from(random.percent(22));
        if random.percent(3) {
            let span = self.choose(random, vault, |generator| generator.span());
            return self.advance(span);
        }
        if random.percent(5) {
            let (kind, name) = self.choose(random, vault, |generator| generator.subject());
            return self.tell(random, vault, kind, &name);
        }
        let ask = self.choose(random, vault, |generator| generator.next());
        let who = match random.below(100) {
            0..12 => Who::Reader,
            12..14 if self.world.tokens.of(Who::Late).is_some() => Who::Late,
            _ => Who::Owner,
        };
        self.call(vault, who, ask)
    }

    /// What is due already is done now, by the clock or by the server's own round, and not at some moment of the next calls. By an hour
    /// only: whatever was done becomes due again days later.
    fn settle(&mut self) -> Result<(), Failure> {
        let now = self.world.now();
        let is_due = |vault: &Vault| {
            vault.objects.values().any(|object| object.due().is_some_and(|due| due <= now + 60))
        };
        match self.model.vaults.iter().any(is_due) {
            true => self.advance(clear_of(&self.model, now, 3_600)),
            false => Ok(()),
        }
    }

    /// Lets the generator choose something by what the model knows.
    pub(crate) fn choose<T>(
        &self,
        random: &mut Random,
        vault: usize,
        choose: impl FnOnce(&mut Generator<'_>) -> T,
    ) -> T {
        let now = self.world.now();
        choose(&mut Generator { random, model: &self.model, vault, now })
    }

    pub(crate) fn call(&mut self, vault: usize, who: Who, ask: Ask) -> Result<(), Failure> {
        let before = self.world.now();
        let token = self.world.tokens.of(who).map(str::to_owned);
        let sent = ask.send(&mut self.clients[vault], token.as_deref());
        let after = self.world.now();
        let (reply, broken) = match sent {
            Ok(reply) => (reply, None),
            Err(error) => (Reply { status: 0, body: serde_json::Value::Null }, Some(error.to_string())),
        };
        let call = Call { vault, who, ask, before, after, reply };
        self.calls.push(call.clone());
        let observed = match broken {
            Some(error) => Err(format!("there is no answer: {error}")),
            None => self.model.observe(&call),
        };
        observed.map_err(|what| Failure::of_step(self.seed, &self.calls, &what))?;
        // A key and a secret that came with a certificate are read at once: what they are is known from then on.
        let came = match &call.ask {
            Ask::CreateCertificate { name, .. } if call.reply.body["certificate"].is_object() => Some(name),
            Ask::ImportCertificate { name, .. } if call.reply.status == 200 => Some(name),
            _ => None,
        };
        if let Some(name) = came {
            self.learn(vault, &[Kind::Key, Kind::Secret], name)?;
        }
        self.settle()
    }

    fn learn(&mut self, vault: usize, kinds: &[Kind], name: &str) -> Result<(), Failure> {
        kinds.iter().try_for_each(|kind| {
            let ask = Ask::Get { kind: *kind, name: name.to_owned(), version: None };
            self.call(vault, Who::Owner, ask)
        })
    }

    /// Moves the clock, and reads what made a new version of itself.
    pub(crate) fn advance(&mut self, span: i64) -> Result<(), Failure> {
        self.world.advance(span);
        self.clients.iter_mut().for_each(Client::hang_up);
        let made = self.model.pass(self.world.now());
        for (vault, kind, name) in made {
            let kinds: &[Kind] = if kind == Kind::Certificate { &SWEEP } else { &[Kind::Key] };
            self.learn(vault, kinds, &name)?;
        }
        Ok(())
    }

    /// Reads everything.
    fn sweep(&mut self) -> Result<(), Failure> {
        for vault in 0..self.model.vaults.len() {
            for kind in SWEEP {
                for page in [2, 25] {
                    self.call(vault, Who::Owner, Ask::List { kind, page })?;
                    self.call(vault, Who::Owner, Ask::ListDeleted { kind, page })?;
                }
                for name in names(kind) {
                    self.sweep_object(vault, kind, name)?;
                }
            }
        }
        let mut tried: Vec<_> = self.model.made.clone();
        let begin = tried.len().saturating_sub(TRIED_MAX);
        for made in tried.drain(begin..) {
            let (vault, name, version) = made.key.clone();
            self.call(vault, Who::Owner, Ask::Check { name, version: Some(version), made })?;
        }
        Ok(())
    }

    fn sweep_object(&mut self, vault: usize, kind: Kind, name: &str) -> Result<(), Failure> {
        let name = name.to_owned();
        let of = &self.model.vaults[vault];
        let versions: Vec<String> = of
            .live(kind, &name)
            .map(|object| object.versions.iter().map(|version| version.id.clone()).collect())
            .unwrap_or_default();
        self.call(vault, Who::Owner, Ask::Get { kind, name: name.clone(), version: None })?;
        self.call(vault, Who::Owner, Ask::GetDeleted { kind, name: name.clone() })?;
        self.call(vault, Who::Owner, Ask::Versions { kind, name: name.clone(), page: 2 })?;
        for version in versions {
            self.call(vault, Who::Owner, Ask::Get { kind, name: name.clone(), version: Some(version) })?;
        }
        match kind {
            Kind::Secret => Ok(()),
            Kind::Key => self.call(vault, Who::Owner, Ask::GetRotation { name }),
            Kind::Certificate => {
                self.call(vault, Who::Owner, Ask::GetPolicy { name: name.clone() })?;
                self.call(vault, Who::Owner, Ask::GetPending { name })
            }
        }
    }
}

/// Words for what a call is about, to find what else happened to it.
pub(crate) fn subject(call: &Call) -> (usize, String) {
    let name = match &call.ask {
        Ask::Restore { .. } | Ask::List { .. } | Ask::ListDeleted { .. } | Ask::ListPending { .. } => {
            call.reply.body["id"].as_str().and_then(|id| id.split('/').nth(4)).unwrap_or_default().to_owned()
        }
        Ask::Check { name, made, .. } if undoes(made.by) == "verify" => name.clone(),
        ask => ask.name().unwrap_or_default().to_owned(),
    };
    (call.vault, name.to_ascii_lowercase())
}
