//! The owner of one secret: the only one who changes it, so that its values have an order and its life is known: set, backed up, deleted,
//! recovered, purged, restored.

use super::{
    API, is_principal,
    operator::{self, falling, rising},
    read_secret, register, there,
};
use crate::{
    executor::turns,
    register::{Life, Saved},
    world::{Answer, Outcome3, World, outcome},
};
use serde_json::{Value, json};
use std::rc::Rc;

/// Rounds of a run.
const ROUNDS: u64 = 9;

/// Who owns which secret.
struct Owner {
    world: Rc<World>,
    vault: &'static str,
    secret: &'static str,
    /// What it is called in the ledger.
    name: String,
    token: Option<String>,
    backups: Vec<Saved>,
}

/// Sets the secret again and again, reads it as the administrator, and leads it through deletion and back.
pub(crate) async fn keep(world: Rc<World>, vault: &'static str, secret: &'static str) {
    let name = register(vault, secret);
    let mut owner = Owner { world: world.clone(), vault, secret, name, token: None, backups: Vec::new() };
    for _ in 0..ROUNDS {
        turns(&world.fate, 30).await;
        if owner.token.is_none() || world.fate.chance(20) {
            owner.token = operator::token(&world).await;
        }
        match world.fate.roll(10) {
            0 | 1 => owner.back_up().await,
            2 | 3 => {
                owner.delete().await;
                turns(&world.fate, 20).await;
                owner.look().await;
                match world.fate.roll(4) {
                    0 => {}
                    1 => owner.recover().await,
                    _ => {
                        owner.purge().await;
                        turns(&world.fate, 20).await;
                        owner.restore().await;
                    }
                }
            }
            4 => owner.recover().await,
            5 => owner.restore().await,
            _ => owner.set().await,
        }
        owner.read().await;
    }
}

impl Owner {
    /// Asks the vault, by a token that may have expired.
    async fn ask(&mut self, method: &str, path: &str, body: Option<Value>) -> Option<Answer> {
        let token = self.token.clone()?;
        let body = body.map(|body| ("application/json", body.to_string()));
        let path = format!("{path}?{API}");
        let answer =
            self.world.public(&format!("{}.vault", self.vault), method, &path, Some(&token), body).await;
        let status = answer.as_ref().map(|answer| answer.status);
        self.world
            .ledger
            .borrow_mut()
            .tell(format!("the owner of {}: {method} {path}: {status:?}", self.name));
        if status == Some(401) {
            self.token = None;
        }
        if let Some(answer) = answer.as_ref().filter(|answer| answer.is_success()) {
            let administrator = self.world.stage.borrow().administrator.clone();
            self.world.expect_record(answer, path.as_str(), |actor| is_principal(actor, &administrator));
            self.world.ledger.borrow_mut().count(&format!("{method}s of owners"));
        }
        answer
    }

    /// The same for what changes the secret. If nobody knows whether it did, nobody knows what became of the secret.
    async fn change(&mut self, method: &str, path: &str, body: Option<Value>) -> (Option<Answer>, Outcome3) {
        // Nothing is sent without a token.
        if self.token.is_none() {
            return (None, Outcome3::NotDone);
        }
        let answer = self.ask(method, path, body).await;
        let outcome = outcome(answer.as_ref());
        if outcome == Outcome3::Unknown {
            self.world.ledger.borrow_mut().register(&self.name).unsure(matches!(method, "PUT" | "POST"));
        }
        (answer, outcome)
    }

    /// A change after which it may be there.
    async fn bring(&mut self, method: &str, path: &str, body: Option<Value>) -> (Option<Answer>, Outcome3) {
        let (world, switch) = (self.world.clone(), there(&self.name));
        let mut outcome = Outcome3::NotDone;
        let answer = rising(&world, &[switch], async {
            let (answer, what) = self.change(method, path, body).await;
            outcome = what;
            answer
        })
        .await;
        (answer, outcome)
    }

    async fn set(&mut self) {
        let (number, value) = self.world.ledger.borrow_mut().write(&self.name);
        let path = format!("/secrets/{}", self.secret);
        let (answer, outcome) = self.bring("PUT", &path, Some(json!({"value": value}))).await;
        if let (Some(answer), Outcome3::Done) = (answer, outcome) {
            let version = answer.text("/id").rsplit('/').next().unwrap_or_default().to_owned();
            let mut ledger = self.world.ledger.borrow_mut();
            ledger.register(&self.name).written(number, &version);
            ledger.count("secrets set");
        }
    }

    /// Reads it. What is certain to be there is found.
    async fn read(&mut self) {
        let Some(token) = self.token.clone() else { return };
        let status = read_secret(&self.world, "the owner", &token, self.vault, self.secret, &[]).await;
        if status == Some(401) {
            self.token = None;
        }
        let mut ledger = self.world.ledger.borrow_mut();
        if ledger.register(&self.name).life == Life::There && status == Some(404) {
            ledger.violated(format!("{} is there and was not found", self.name));
        }
    }

    async fn delete(&mut self) {
        let (world, switch, path) =
            (self.world.clone(), there(&self.name), format!("/secrets/{}", self.secret));
        let mut done = Outcome3::NotDone;
        falling(&world, &[switch], async {
            let (answer, outcome) = self.change("DELETE", &path, None).await;
            done = outcome;
            answer
        })
        .await;
        if done == Outcome3::Done {
            let mut ledger = self.world.ledger.borrow_mut();
            ledger.register(&self.name).deleted();
            ledger.count("secrets deleted");
        }
    }

    /// What was deleted is in no list but that of deleted ones, whoever else does what.
    async fn look(&mut self) {
        if self.world.ledger.borrow_mut().register(&self.name).life != Life::Deleted {
            return;
        }
        let (secret, mut wrong) = (self.secret, None);
        let versions = self.ask("GET", &format!("/secrets/{secret}/versions"), None).await;
        let is_listed = |answer: &Answer, id: &str| answer.body.to_string().contains(id);
        if versions.is_some_and(|page| page.is_success() && is_listed(&page, &format!("/secrets/{secret}/")))
        {
            wrong = Some("its versions are listed");
        }
        let listed = self.ask("GET", "/secrets", None).await;
        if listed.is_some_and(|page| page.is_success() && is_listed(&page, &format!("/secrets/{secret}\""))) {
            wrong = Some("it is listed");
        }
        let deleted = self.ask("GET", "/deletedsecrets", None).await;
        let id = format!("/deletedsecrets/{secret}\"");
        if deleted.is_some_and(|page| page.is_success() && !is_listed(&page, &id)) {
            wrong = Some("it is not among the deleted ones");
        }
        if let Some(wrong) = wrong {
            self.world.ledger.borrow_mut().violated(format!("{} is deleted, and {wrong}", self.name));
        }
    }

    async fn recover(&mut self) {
        let path = format!("/deletedsecrets/{}/recover", self.secret);
        let (answer, outcome) = self.bring("POST", &path, None).await;
        let mut ledger = self.world.ledger.borrow_mut();
        let life = ledger.register(&self.name).life;
        if life == Life::Deleted && answer.is_some_and(|answer| answer.status == 404) {
            ledger.violated(format!("{} is deleted and cannot be recovered", self.name));
        }
        if outcome == Outcome3::Done {
            ledger.register(&self.name).recovered();
            ledger.count("secrets recovered");
        }
    }

    async fn purge(&mut self) {
        let before = self.world.ledger.borrow_mut().register(&self.name).purging();
        let (_, outcome) = self.change("DELETE", &format!("/deletedsecrets/{}", self.secret), None).await;
        let mut ledger = self.world.ledger.borrow_mut();
        match outcome {
            Outcome3::Done => {
                ledger.register(&self.name).purged_for_good();
                ledger.count("secrets purged");
            }
            Outcome3::NotDone => ledger.register(&self.name).not_purged(before),
            Outcome3::Unknown => {}
        }
    }

    async fn back_up(&mut self) {
        let answer = self.ask("POST", &format!("/secrets/{}/backup", self.secret), None).await;
        if let Some(answer) = answer.filter(Answer::is_success) {
            let mut ledger = self.world.ledger.borrow_mut();
            let blob = answer.text("/value");
            ledger.search("a backup", blob.as_bytes());
            ledger.search("a backup", &crypt::encoding::from_base64url(blob.as_bytes()).unwrap_or_default());
            ledger.count("backups");
            self.backups.push(ledger.register(&self.name).saved(blob));
        }
    }

    async fn restore(&mut self) {
        let Some(saved) = self.world.fate.pick(&self.backups).cloned() else { return };
        let before = self.world.ledger.borrow_mut().register(&self.name).restoring(&saved);
        let (_, outcome) = self.bring("POST", "/secrets/restore", Some(json!({"value": saved.blob}))).await;
        let mut ledger = self.world.ledger.borrow_mut();
        match outcome {
            Outcome3::Done => {
                ledger.register(&self.name).restored(&saved);
                ledger.count("secrets restored");
            }
            Outcome3::NotDone => ledger.register(&self.name).not_restored(before),
            Outcome3::Unknown => {}
        }
    }
}
