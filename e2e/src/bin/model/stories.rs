//! Short stories that chance would tell too seldom: an object is backed up, deleted and comes back; a key outlives its time; a certificate is
//! switched off. Each is told of whatever is there: what does not fit is refused, as the model says, and the story goes on.

use crate::ask::{Ask, Said};
use crate::call::Who;
use crate::failure::Failure;
use crate::random::Random;
use crate::sequential::Run;
use crate::state::{DAY, Kind, Object};
use crate::world::SWEEP;

impl Run<'_> {
    /// Tells one story of an object, which is made first if it is not there.
    pub(crate) fn tell(
        &mut self,
        random: &mut Random,
        vault: usize,
        kind: Kind,
        name: &str,
    ) -> Result<(), Failure> {
        for _ in 0..1 + random.below(2) {
            let ask = self.choose(random, vault, |generator| generator.make(kind, name.to_owned()));
            self.call(vault, Who::Owner, ask)?;
        }
        match (kind, random.below(5)) {
            (Kind::Key, 0 | 1) => self.outlives_its_time(random, vault, name),
            (Kind::Key, 2 | 3) => self.rotates(random, vault, name),
            (Kind::Certificate, 0) => self.is_switched_off(random, vault, name),
            (Kind::Certificate, 1) => self.waits(random, vault, name),
            (Kind::Certificate, 2) => self.renews(random, vault, name),
            _ => self.comes_back(random, vault, kind, name),
        }
    }

    /// Uses a key, and undoes it.
    fn use_key(&mut self, random: &mut Random, vault: usize, name: &str) -> Result<(), Failure> {
        let ask = self.choose(random, vault, |generator| generator.make_with(name.to_owned()));
        self.call(vault, Who::Owner, ask)?;
        let ask = self.choose(random, vault, |generator| generator.check(name.to_owned()));
        self.call(vault, Who::Owner, ask)
    }

    /// Backed up and deleted; then recovered, purged by hand, or left until its time has come; and restored here or elsewhere.
    fn comes_back(
        &mut self,
        random: &mut Random,
        vault: usize,
        kind: Kind,
        name: &str,
    ) -> Result<(), Failure> {
        let owned = || name.to_owned();
        let kinds: &[Kind] = if kind == Kind::Certificate { &SWEEP } else { &[kind] };
        self.call(vault, Who::Owner, Ask::Backup { kind, name: owned() })?;
        let blob = self.calls.last().and_then(|call| call.reply.body["value"].as_str()).map(str::to_owned);
        self.call(vault, Who::Owner, Ask::Delete { kind, name: owned() })?;
        for kind in kinds.iter().copied() {
            self.call(vault, Who::Owner, Ask::Get { kind, name: owned(), version: None })?;
            self.call(vault, Who::Owner, Ask::GetDeleted { kind, name: owned() })?;
            self.call(vault, Who::Owner, Ask::ListDeleted { kind, page: 25 })?;
        }
        let to = if random.percent(70) { vault } else { 1 - vault };
        if let (Some(blob), true) = (&blob, random.percent(40)) {
            self.call(to, Who::Owner, Ask::Restore { kind, blob: blob.clone() })?;
        }
        match random.below(4) {
            0 => self.call(vault, Who::Owner, Ask::Recover { kind, name: owned() })?,
            1 => self.advance_near(random, 7 * DAY)?,
            _ => self.call(vault, Who::Owner, Ask::Purge { kind, name: owned() })?,
        }
        if let Some(blob) = blob {
            self.call(to, Who::Owner, Ask::Restore { kind, blob })?;
        }
        for (at, kind) in [vault, to].into_iter().flat_map(|at| kinds.iter().map(move |kind| (at, *kind))) {
            self.call(at, Who::Owner, Ask::Get { kind, name: owned(), version: None })?;
            self.call(at, Who::Owner, Ask::Versions { kind, name: owned(), page: 3 })?;
            if kind == Kind::Key {
                self.use_key(random, at, name)?;
            }
        }
        Ok(())
    }

    /// Used before its time, in it and after it; what it made in its time stays readable.
    fn outlives_its_time(&mut self, random: &mut Random, vault: usize, name: &str) -> Result<(), Failure> {
        let said = |nbf, exp| Said { enabled: Some(true), nbf, exp, ..Said::default() };
        let now = self.world.now();
        self.use_key(random, vault, name)?;
        for said in [said(Some(now + 1_800), Some(now + 3_600 + 1_800)), said(None, None)] {
            let ask = Ask::Update { kind: Kind::Key, name: name.to_owned(), version: None, said };
            self.call(vault, Who::Owner, ask)?;
            self.use_key(random, vault, name)?;
        }
        for _ in 0..2 {
            self.advance_near(random, 3_600)?;
            self.use_key(random, vault, name)?;
            self.use_key(random, vault, name)?;
        }
        Ok(())
    }

    /// Rotated by hand and by its policy; old versions keep what they are for.
    fn rotates(&mut self, random: &mut Random, vault: usize, name: &str) -> Result<(), Failure> {
        let owned = || name.to_owned();
        let expiry_days = random.percent(70).then_some(40);
        self.use_key(random, vault, name)?;
        let policy = Ask::SetRotation { name: owned(), after_days: 7, expiry_days };
        let rotate = || Ask::Rotate { name: owned() };
        for ask in [rotate(), policy, rotate(), Ask::GetRotation { name: owned() }] {
            self.call(vault, Who::Owner, ask)?;
            self.use_key(random, vault, name)?;
        }
        self.advance_near(random, 7 * DAY)?;
        self.call(vault, Who::Owner, Ask::Versions { kind: Kind::Key, name: owned(), page: 3 })?;
        for _ in 0..3 {
            self.use_key(random, vault, name)?;
        }
        Ok(())
    }

    /// Switched off and on: its key and its secret with it.
    fn is_switched_off(&mut self, random: &mut Random, vault: usize, name: &str) -> Result<(), Failure> {
        let owned = || name.to_owned();
        let version = self.choose(random, vault, |generator| generator.version(Kind::Certificate, name));
        for enabled in [false, true] {
            let said = Said { enabled: Some(enabled), ..Said::default() };
            let ask = Ask::Update { kind: Kind::Certificate, name: owned(), version: version.clone(), said };
            self.call(vault, Who::Owner, ask)?;
            self.use_key(random, vault, name)?;
            for kind in SWEEP {
                self.call(vault, Who::Owner, Ask::Get { kind, name: owned(), version: version.clone() })?;
            }
        }
        Ok(())
    }

    /// Asked for by issuer Unknown: while it waits to be signed, nothing else takes its name.
    fn waits(&mut self, random: &mut Random, vault: usize, name: &str) -> Result<(), Failure> {
        let (owned, kind) = (|| name.to_owned(), Kind::Certificate);
        let mut policy = self.choose(random, vault, |generator| generator.policy());
        policy["issuer"]["name"] = "Unknown".into();
        let said = Said::default();
        for ask in [
            Ask::Delete { kind, name: owned() },
            Ask::Purge { kind, name: owned() },
            Ask::CreateCertificate { name: owned(), policy: Some(policy), said: said.clone() },
            Ask::ListPending { page: 1 },
            Ask::SetSecret { name: owned(), value: "mine".to_owned(), said: said.clone() },
            Ask::CreateKey { name: owned(), kty: "EC", said: said.clone() },
            Ask::GetPolicy { name: owned() },
        ] {
            self.call(vault, Who::Owner, ask)?;
        }
        if random.percent(50) {
            self.call(vault, Who::Owner, Ask::CancelPending { name: owned() })?;
        }
        for ask in [
            Ask::GetPending { name: owned() },
            Ask::CancelPending { name: owned() },
            Ask::DeletePending { name: owned() },
            Ask::GetPending { name: owned() },
        ] {
            self.call(vault, Who::Owner, ask)?;
        }
        Ok(())
    }

    /// Made with tags and a policy by which its next version makes itself; then its time has come.
    fn renews(&mut self, random: &mut Random, vault: usize, name: &str) -> Result<(), Failure> {
        let mut policy = self.choose(random, vault, |generator| generator.policy());
        policy["issuer"]["name"] = "Self".into();
        policy["lifetime_actions"][0]["action"]["action_type"] = "AutoRenew".into();
        policy["x509_props"]["validity_months"] = 1.into();
        let said = Said { tags: Some([("of".to_owned(), random.hex(4))].into()), ..Said::default() };
        let ask = Ask::CreateCertificate { name: name.to_owned(), policy: Some(policy), said };
        self.call(vault, Who::Owner, ask)?;
        let due = self.model.vaults[vault].live(Kind::Certificate, name).and_then(Object::due);
        if let Some(due) = due {
            self.advance_near(random, due - self.world.now() + 3_600)?;
        }
        for kind in SWEEP {
            self.call(vault, Who::Owner, Ask::Versions { kind, name: name.to_owned(), page: 5 })?;
        }
        self.call(vault, Who::Owner, Ask::GetPending { name: name.to_owned() })
    }

    /// Moves the clock by at least so much.
    fn advance_near(&mut self, random: &mut Random, seconds: i64) -> Result<(), Failure> {
        let span = self.choose(random, 0, |generator| generator.span_from(seconds));
        self.advance(span)
    }
}
