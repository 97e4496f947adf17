//! What is asked next: chosen by chance, with an eye on the model, so that most of it has something to do and some of it has not.

use serde_json::{Value, json};

use crate::ask::{Ask, Said};
use crate::random::{Random, base64url};
use crate::state::{Blob, Content, DAY, Kind, Made, Model, Object, Tags};

/// The names of each kind. Some are in more than one list: a certificate needs its name for a key and a secret as well.
pub(crate) fn names(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Secret => &["alpha", "beta", "gamma-2", "sigma"],
        Kind::Key => &["alpha", "kappa", "lambda", "sigma"],
        Kind::Certificate => &["sigma", "omega", "beta"],
    }
}

/// A certificate that anybody may know, with its key.
const IMPORTED: &str = concat!(include_str!("../../../tests/ec-p256.pem"), include_str!("imported.pem"));

/// Keys to import: the first is the one of RFC 7517, appendix A.2; the others are of two bytes each.
fn imported(which: u64) -> Value {
    match which {
        0 => json!({
            "kty": "EC",
            "crv": "P-256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
            "d": "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
        }),
        which => {
            let byte = u8::try_from(which % 256).unwrap_or(1);
            json!({ "kty": "oct", "k": base64url(&[byte; 32]) })
        }
    }
}

/// The choices of one step.
pub(crate) struct Generator<'a> {
    pub(crate) random: &'a mut Random,
    pub(crate) model: &'a Model,
    /// The vault that is asked.
    pub(crate) vault: usize,
    pub(crate) now: i64,
}

impl Generator<'_> {
    /// What is asked next.
    pub(crate) fn next(&mut self) -> Ask {
        let kind = Kind::ALL[self.random.weighted(&[38, 40, 22])];
        let name = self.name(kind);
        let vault = &self.model.vaults[self.vault];
        let is_of_certificate = kind == Kind::Certificate;
        let is_there = vault.live(kind, &name).is_some() || is_of_certificate && vault.is_coming(&name, None);
        let is_deleted =
            vault.deleted(kind, &name).is_some() || is_of_certificate && vault.is_gone_early(&name);
        let busy = usize::from(is_there);
        let gone = usize::from(is_deleted);
        let weights = [
            12 + 4 * busy,                          // get
            4 + 10 * busy,                          // update
            3 + 3 * busy,                           // versions
            4,                                      // list
            1 + 5 * busy,                           // delete
            1 + 3 * gone,                           // get deleted
            3,                                      // list deleted
            1 + 9 * gone,                           // recover
            1 + 4 * gone,                           // purge
            1 + 5 * busy,                           // backup
            4 + 4 * gone,                           // restore
            22,                                     // a new version
            16 * usize::from(kind != Kind::Secret), // what only this kind has
        ];
        match self.random.weighted(&weights) {
            0 => Ask::Get { kind, version: self.version(kind, &name), name },
            1 => {
                let said = self.change(kind);
                Ask::Update { kind, version: self.version(kind, &name), name, said }
            }
            2 => Ask::Versions { kind, name, page: self.page() },
            3 if kind == Kind::Certificate && self.random.percent(50) => {
                Ask::ListPending { page: self.page() }
            }
            3 => Ask::List { kind, page: self.page() },
            4 => Ask::Delete { kind, name },
            5 => Ask::GetDeleted { kind, name },
            6 => Ask::ListDeleted { kind, page: self.page() },
            7 => Ask::Recover { kind, name },
            8 => Ask::Purge { kind, name },
            9 => Ask::Backup { kind, name },
            10 => self.restore(kind),
            11 => self.make(kind, name),
            _ => match kind {
                Kind::Certificate => self.of_certificate(name),
                Kind::Secret | Kind::Key => self.of_key(name),
            },
        }
    }

    /// What a story is about.
    pub(crate) fn subject(&mut self) -> (Kind, String) {
        let kind = Kind::ALL[self.random.weighted(&[25, 35, 40])];
        (kind, self.name(kind))
    }

    /// A name, at times in another spelling: it is the same name.
    fn name(&mut self, kind: Kind) -> String {
        let weights: &[usize] = if kind == Kind::Certificate { &[5, 5, 1] } else { &[6, 5, 4, 2] };
        let name = names(kind)[self.random.weighted(weights)].to_owned();
        match self.random.below(12) {
            0 => name.to_ascii_uppercase(),
            1 => name[..1].to_ascii_uppercase() + &name[1..],
            _ => name,
        }
    }

    /// The latest version, one that there is, or one that there is not.
    pub(crate) fn version(&mut self, kind: Kind, name: &str) -> Option<String> {
        let vault = &self.model.vaults[self.vault];
        let object = vault.live(kind, name);
        let mut known: Vec<&str> =
            object.iter().flat_map(|object| &object.versions).map(|version| version.id.as_str()).collect();
        if kind == Kind::Certificate {
            let coming = vault.never_made(name).map(|pending| pending.version.as_str());
            known.extend(coming.filter(|version| !version.is_empty()));
        }
        match self.random.below(100) {
            0..48 => None,
            48..94 if !known.is_empty() => Some((*self.random.pick(&known)).to_owned()),
            // Of another object, if there is one: no version of this one is called so.
            94..97 => self.model.ids.get(self.random.below(self.model.ids.len())).cloned(),
            97..100 => Some(self.random.hex(32)),
            _ => None,
        }
    }

    fn page(&mut self) -> usize {
        *self.random.pick(&[1, 2, 3, 5, 25])
    }

    fn tags(&mut self) -> Tags {
        let count = self.random.below(4);
        (0..count).map(|_| (format!("t{}", self.random.below(4)), self.random.hex(4))).collect()
    }

    /// A time that is hours away, and never on the hour by which the clock is moved.
    fn time(&mut self) -> i64 {
        let hours = i64::try_from(self.random.below(400)).unwrap_or(0) - 100;
        (self.now / 3_600 + hours) * 3_600 + 1_800 + (self.now % 3_600)
    }

    fn change(&mut self, kind: Kind) -> Said {
        let mut said = Said::default();
        if self.random.percent(40) {
            said.enabled = Some(self.random.percent(55));
        }
        if self.random.percent(45) {
            said.tags = Some(self.tags());
        }
        if kind != Kind::Certificate {
            said.exp = self.random.percent(22).then(|| self.time());
            said.nbf = self.random.percent(12).then(|| self.time());
        }
        if kind == Kind::Secret && self.random.percent(30) {
            said.content_type = Some(format!("text/{}", self.random.hex(3)));
        }
        if kind == Kind::Key && self.random.percent(30) {
            let all = ["sign", "verify", "encrypt", "decrypt", "wrapKey", "unwrapKey"];
            said.operations =
                Some(all.into_iter().filter(|_| self.random.percent(70)).map(str::to_owned).collect());
        }
        said
    }

    /// What a new version says: less often than a change that it is disabled.
    fn first(&mut self, kind: Kind) -> Said {
        let mut said = self.change(kind);
        if self.random.percent(70) {
            said.enabled = None;
        }
        if self.random.percent(70) {
            said.operations = None;
        }
        said
    }

    pub(crate) fn make(&mut self, kind: Kind, name: String) -> Ask {
        let said = self.first(kind);
        match kind {
            Kind::Secret => Ask::SetSecret { name, value: self.value(), said },
            Kind::Key => match self.random.weighted(&[30, 30, 2, 22]) {
                0 => Ask::CreateKey { name, kty: "EC", said },
                1 => Ask::CreateKey { name, kty: "oct", said },
                2 => Ask::CreateKey { name, kty: "RSA", said },
                _ => {
                    let which = u64::try_from(self.random.below(4)).unwrap_or(0);
                    Ask::ImportKey { name, which, jwk: imported(which), said }
                }
            },
            Kind::Certificate if self.random.percent(30) => {
                Ask::ImportCertificate { name, pem: IMPORTED.to_owned(), said }
            }
            Kind::Certificate => {
                let policy = self.random.percent(75).then(|| self.policy());
                Ask::CreateCertificate { name, policy, said }
            }
        }
    }

    fn value(&mut self) -> String {
        match self.random.below(10) {
            0 => String::new(),
            1 => format!("  \u{e4}\u{1f511}\n\"{}\" ", self.random.hex(8)),
            2 => "x".repeat(25_600),
            _ => self.random.hex(16),
        }
    }

    pub(crate) fn policy(&mut self) -> Value {
        let issuer = if self.random.percent(80) { "Self" } else { "Unknown" };
        let action = if self.random.percent(70) { "AutoRenew" } else { "EmailContacts" };
        let form = if self.random.percent(50) { "application/x-pkcs12" } else { "application/x-pem-file" };
        json!({
            "issuer": { "name": issuer },
            "key_props": { "exportable": true, "kty": "EC", "crv": "P-256", "key_size": 256, "reuse_key": false },
            "secret_props": { "contentType": form },
            "x509_props": {
                "subject": format!("CN={}", self.random.hex(5)),
                "key_usage": ["digitalSignature"],
                "validity_months": 1 + self.random.below(12),
            },
            "lifetime_actions": [{
                "action": { "action_type": action },
                "trigger": { "days_before_expiry": 8 + self.random.below(12) },
            }],
        })
    }

    fn restore(&mut self, kind: Kind) -> Ask {
        let of_kind: Vec<&Blob> = self.model.blobs.iter().filter(|blob| blob.kind == kind).collect();
        let all: Vec<&Blob> = self.model.blobs.iter().collect();
        // One of another kind is refused, as is one that was changed.
        let from = if of_kind.is_empty() || self.random.percent(8) { all } else { of_kind };
        let mut blob = match from.is_empty() {
            true => "AAAA".to_owned(),
            false => from[self.random.below(from.len())].text.clone(),
        };
        if self.random.percent(6) {
            let at = blob.len() / 2;
            let other = if blob[at..].starts_with('A') { "B" } else { "A" };
            blob.replace_range(at..=at, other);
        }
        Ask::Restore { kind, blob }
    }

    fn of_key(&mut self, name: String) -> Ask {
        match self.random.weighted(&[3, 1, 2, 14, 16]) {
            0 => Ask::Rotate { name },
            1 => Ask::GetRotation { name },
            2 => {
                let after_days = 7 + i64::try_from(self.random.below(20)).unwrap_or(0);
                let expiry_days = self.random.percent(60).then_some(28 + after_days);
                Ask::SetRotation { name, after_days, expiry_days }
            }
            3 => self.make_with(name),
            _ => self.check(name),
        }
    }

    pub(crate) fn make_with(&mut self, name: String) -> Ask {
        let version = self.version(Kind::Key, &name);
        let object = self.model.vaults[self.vault].live(Kind::Key, &name);
        let kty = object.and_then(|object| kty(object, version.as_deref())).unwrap_or_default();
        let of_type: &[(&str, &str)] = match kty.as_str() {
            "RSA" => &[("sign", "RS256"), ("encrypt", "RSA-OAEP-256"), ("wrapkey", "RSA-OAEP-256")],
            "oct" => &[("encrypt", "A256GCM"), ("wrapkey", "A256KW")],
            _ => &[("sign", "ES256")],
        };
        let others = &[("sign", "ES256"), ("encrypt", "A256GCM"), ("wrapkey", "A256KW"), ("sign", "RS256")];
        let from = if self.random.percent(94) { of_type } else { others };
        let (by, algorithm) = *self.random.pick(from);
        let input = base64url(&self.random.bytes(32));
        Ask::Make { name, version, by, algorithm, input }
    }

    /// Undoes or verifies with the version that made it, or, at times, with another.
    pub(crate) fn check(&mut self, name: String) -> Ask {
        let folded = name.to_ascii_lowercase();
        let of_name: Vec<&Made> =
            self.model.made.iter().filter(|made| made.key.0 == self.vault && made.key.1 == folded).collect();
        let all: Vec<&Made> = self.model.made.iter().collect();
        let from = if of_name.is_empty() || self.random.percent(10) { all } else { of_name };
        if from.is_empty() {
            return self.make_with(name);
        }
        let made = (*self.random.pick(&from)).clone();
        let version = match self.random.percent(70) {
            true => Some(made.key.2.clone()),
            false => self.version(Kind::Key, &name),
        };
        let name = if self.random.percent(90) { made.key.1.clone() } else { name };
        Ask::Check { name, version, made }
    }

    fn of_certificate(&mut self, name: String) -> Ask {
        match self.random.below(12) {
            0..3 => Ask::GetPolicy { name },
            3..6 => {
                let change = match self.random.percent(50) {
                    true => json!({ "x509_props": { "validity_months": 1 + self.random.below(12) } }),
                    false => json!({ "lifetime_actions": [{
                        "action": { "action_type": "AutoRenew" },
                        "trigger": { "days_before_expiry": 8 + self.random.below(12) },
                    }] }),
                };
                Ask::SetPolicy { name, change }
            }
            6..9 => Ask::GetPending { name },
            9 => Ask::CancelPending { name },
            10 => Ask::DeletePending { name },
            _ => {
                // A key that belongs to a certificate, used as any other.
                self.make_with(name)
            }
        }
    }

    /// By how much the clock is moved, so that nothing is within minutes of being due.
    pub(crate) fn span(&mut self) -> i64 {
        let span = [3_600, 6 * 3_600, DAY, 7 * DAY, 7 * DAY][self.random.below(5)];
        self.span_from(span)
    }

    /// At least so much.
    pub(crate) fn span_from(&mut self, span: i64) -> i64 {
        clear_of(self.model, self.now, span)
    }
}

/// A span of at least so much after which nothing is within minutes of being due.
pub(crate) fn clear_of(model: &Model, now: i64, mut span: i64) -> i64 {
    let is_near = |then: i64| {
        let near = |time: i64| (time - then).abs() < 900;
        let mut pending = model.vaults.iter().flat_map(|vault| vault.pending.values());
        if pending.any(|pending| pending.deleted.as_ref().is_some_and(|deleted| near(deleted.purge))) {
            return true;
        }
        let mut objects = model.vaults.iter().flat_map(|vault| vault.objects.values());
        objects.any(|object| {
            let of_versions = object
                .versions
                .iter()
                .flat_map(|version| [version.attributes.nbf, version.attributes.exp].into_iter().flatten());
            let purge = object.deleted.as_ref().map(|deleted| deleted.purge);
            of_versions.chain(object.due()).chain(purge).any(near)
        })
    };
    while is_near(now + span) {
        span += 3_600;
    }
    span
}

/// The type of a version of a key.
fn kty(object: &Object, version: Option<&str>) -> Option<String> {
    match &object.find(version)?.content {
        Content::Key(key) => key.public["kty"].as_str().map(str::to_owned),
        Content::Secret { .. } | Content::Certificate { .. } => None,
    }
}
