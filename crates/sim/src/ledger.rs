//! What the clients of a world know: what was acknowledged, what is therefore forbidden, and what must never be seen.

use crate::register::{Floor, Register};
use std::collections::{BTreeMap, VecDeque};

/// Lines of the trace that a failure shows.
const TRACE_MAX: usize = 200;

/// Something that people turn on and off and that must hold from the moment of the acknowledgement: an identity, a policy, a credential.
///
/// It is off for certain only if turning it off was acknowledged, and nobody has begun to turn it on since before that was asked for.
#[derive(Debug, Default)]
struct Switch {
    off: Option<u64>,
    risings: u64,
    rising: u64,
}

/// A turning off that has been asked for.
pub(crate) struct Fall {
    name: String,
    risings: Option<u64>,
}

/// What was off for certain when a request began.
pub(crate) struct Watch(BTreeMap<String, u64>);

/// Everything that the checkers know.
#[derive(Default)]
pub(crate) struct Ledger {
    switches: BTreeMap<String, Switch>,
    unsettled: Vec<String>,
    registers: BTreeMap<String, Register>,
    canaries: Vec<String>,
    violation: Option<String>,
    trace: VecDeque<String>,
    pub(crate) fingerprint: u64,
    pub(crate) counts: BTreeMap<String, u64>,
}

impl Ledger {
    /// Something was broken. The first one counts.
    pub(crate) fn violated(&mut self, what: impl Into<String>) {
        self.violation.get_or_insert(what.into());
    }

    pub(crate) fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    /// One more line of the story. The same seed tells the same story.
    pub(crate) fn tell(&mut self, line: String) {
        for byte in line.bytes() {
            self.fingerprint = (self.fingerprint ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.trace.push_back(line);
        if self.trace.len() > TRACE_MAX {
            self.trace.pop_front();
        }
    }

    pub(crate) fn trace(&self) -> Vec<String> {
        self.trace.iter().cloned().collect()
    }

    pub(crate) fn count(&mut self, what: &str) {
        *self.counts.entry(what.to_owned()).or_default() += 1;
    }

    /// This must never be seen where secrets are not.
    pub(crate) fn hide(&mut self, canary: &str) {
        if !canary.is_empty() && !self.canaries.iter().any(|known| known == canary) {
            self.canaries.push(canary.to_owned());
        }
    }

    /// Is anything hidden in here?
    pub(crate) fn search(&mut self, place: &str, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        if let Some(canary) = self.canaries.iter().find(|canary| text.contains(canary.as_str())) {
            let what =
                format!("a secret is seen in {place}: {}", canary.chars().take(24).collect::<String>());
            self.violated(what);
        }
    }

    /// Somebody begins to turn it on.
    pub(crate) fn rise(&mut self, name: &str) {
        let switch = self.switches.entry(name.to_owned()).or_default();
        switch.off = None;
        switch.risings += 1;
        switch.rising += 1;
    }

    /// The turning on has ended, or nobody knows whether it has.
    pub(crate) fn risen(&mut self, name: &str, is_certain: bool) {
        if is_certain {
            self.land(name);
        } else {
            self.unsettled.push(name.to_owned());
        }
    }

    fn land(&mut self, name: &str) {
        if let Some(switch) = self.switches.get_mut(name) {
            switch.rising = switch.rising.saturating_sub(1);
        }
    }

    /// Nothing is on its way any more: what was uncertain has happened by now, or never will.
    pub(crate) fn settle(&mut self) {
        for name in std::mem::take(&mut self.unsettled) {
            self.land(&name);
        }
    }

    /// Somebody asks to turn it off.
    pub(crate) fn fall(&mut self, name: &str) -> Fall {
        let switch = self.switches.entry(name.to_owned()).or_default();
        Fall { name: name.to_owned(), risings: (switch.rising == 0).then_some(switch.risings) }
    }

    /// It was acknowledged. Answers whether it is off for certain.
    pub(crate) fn fallen(&mut self, fall: &Fall) -> bool {
        let switch = self.switches.entry(fall.name.clone()).or_default();
        let is_certain = fall.risings == Some(switch.risings);
        if is_certain {
            switch.off = Some(switch.off.unwrap_or_default() + 1);
        }
        is_certain
    }

    /// It is off and nobody will ever turn it on.
    pub(crate) fn gone(&mut self, name: &str) {
        self.switches.entry(name.to_owned()).or_default().off.get_or_insert(1);
    }

    /// A request begins.
    pub(crate) fn watch(&self) -> Watch {
        let off = self.switches.iter().filter_map(|(name, switch)| Some((name.clone(), switch.off?)));
        Watch(off.collect())
    }

    /// It succeeded: none of these may have been off from its beginning to now.
    pub(crate) fn succeeded(&mut self, what: &str, watch: &Watch, switches: &[String]) {
        for name in switches {
            let off = self.switches.get(name).and_then(|switch| switch.off);
            if off.is_some() && watch.0.get(name).copied() == off {
                self.violated(format!("{what} succeeded though {name} was off"));
            }
        }
    }

    /// It succeeded: somebody must at least have begun to allow it.
    pub(crate) fn was_allowed(&mut self, what: &str, name: &str) {
        if self.switches.get(name).is_none_or(|switch| switch.risings == 0) {
            self.violated(format!("{what} succeeded though nobody ever asked for {name}"));
        }
    }

    /// What is known of a secret.
    pub(crate) fn register(&mut self, secret: &str) -> &mut Register {
        self.registers.entry(secret.to_owned()).or_default()
    }

    /// The next value of a secret.
    pub(crate) fn write(&mut self, secret: &str) -> (u32, String) {
        let register = self.register(secret);
        register.started += 1;
        let started = register.started;
        let value = format!("CANARY-{secret}-{started}-");
        self.hide(&value);
        (started, value)
    }

    /// A read of the latest version saw this.
    pub(crate) fn read(&mut self, secret: &str, floor: Floor, value: &str) {
        let is_own = value.starts_with(&format!("CANARY-{secret}-"));
        let number = number(value);
        match self.register(secret).read(floor, number) {
            Ok(()) if is_own => {}
            Ok(()) => self.violated(format!("{secret}: another one's value was read")),
            Err((from, to)) => {
                self.violated(format!(
                    "{secret}: value {number} was read, which must be from {from} to {to}"
                ));
            }
        }
    }

    /// A read of one version saw this.
    pub(crate) fn read_version(&mut self, secret: &str, version: &str, value: &str) {
        let known = self.register(secret).number(version);
        let is_own = value.starts_with(&format!("CANARY-{secret}-"));
        if !is_own || known.is_some_and(|known| known != number(value)) {
            self.violated(format!("{secret}: version {version} has the value of another one"));
        }
    }

    /// Versions that nobody may ever find again, with the secrets that they were of.
    pub(crate) fn purged(&self) -> Vec<(String, String)> {
        let all = self.registers.iter();
        all.flat_map(|(secret, register)| {
            register.purged().into_iter().map(|version| (secret.clone(), version))
        })
        .collect()
    }
}

/// The number in `CANARY-{secret}-{number}-`.
fn number(value: &str) -> u32 {
    value.rsplit('-').nth(1).and_then(|number| number.parse().ok()).unwrap_or(u32::MAX)
}
