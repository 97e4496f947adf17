//! The server under test, who asks it, its vaults, and its time.

use std::time::{Duration, UNIX_EPOCH};

use e2e::{Server, wait};
use serde_json::Value;

use crate::call::Who;
use crate::rules::READER;
use crate::state::Kind;

/// Seconds for which a secret is used: half of the time for which it is good.
const SECRETS_USED: i64 = 365 * 86_400;

/// An app registration with its secret.
struct Registration {
    client: String,
    secret: String,
}

/// Tokens of those who ask.
#[derive(Clone, Default)]
pub(crate) struct Tokens {
    owner: String,
    reader: String,
    /// The owner's of before the clock was moved past its end, if there is one.
    late: Option<String>,
}

impl Tokens {
    /// Somebody's token.
    pub(crate) fn of(&self, who: Who) -> Option<&str> {
        match who {
            Who::Owner => Some(&self.owner),
            Who::Reader => Some(&self.reader),
            Who::Late => self.late.as_deref(),
        }
    }
}

/// A server on a test clock, with an owner and a reader.
pub(crate) struct World {
    pub(crate) server: Server,
    tenant: String,
    owner: Registration,
    reader: Registration,
    pub(crate) tokens: Tokens,
    ahead: i64,
    /// How far ahead the clock was when the secrets were made.
    secrets_since: i64,
}

impl World {
    /// Starts it.
    pub(crate) fn start() -> Self {
        let server = Server::start_with("model", &["--test-clock"]);
        let (owner, tenant) = register(&server, "owner");
        let (reader, _) = register(&server, "reader");
        let mut world =
            Self { server, tenant, owner, reader, tokens: Tokens::default(), ahead: 0, secrets_since: 0 };
        world.renew_tokens();
        world
    }

    /// The server's time, in seconds.
    #[expect(
        clippy::disallowed_methods,
        reason = "a test of a server on this machine, whose clock goes by this one"
    )]
    pub(crate) fn now(&self) -> i64 {
        let real = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        i64::try_from(real.as_secs()).unwrap_or(0) + self.ahead
    }

    /// Makes a vault in which the owner may do everything and the reader what `rules` says.
    pub(crate) fn make_vault(&self, at: usize, name: &str, days: i64) {
        let days = days.to_string();
        let _said = self.server.keyless(["vault", "create", name, "--retention-days", &days]).ok();
        let mut command =
            self.server.command(["vault", "policy", "set", name, "--client-id", &self.owner.client]);
        command.args(["--secrets", "all", "--keys", "all", "--certificates", "all"]);
        let _said = e2e::Ended::from(wait::output(&mut command, b"")).ok();
        let mut command =
            self.server.command(["vault", "policy", "set", name, "--client-id", &self.reader.client]);
        for (kind, verbs) in READER[at] {
            let flag = format!("--{}", kind.plural());
            if !verbs.is_empty() {
                command.args([flag, verbs.join(",")]);
            }
        }
        let _said = e2e::Ended::from(wait::output(&mut command, b"")).ok();
    }

    /// Moves the clock; answers once all is done that became due.
    pub(crate) fn advance(&mut self, seconds: i64) {
        let said = self.server.keyless(["clock", "advance", &format!("{seconds}s")]).ok();
        assert!(!said.contains("Not all that is due"), "{said}");
        self.ahead += seconds;
        if self.ahead - self.secrets_since >= SECRETS_USED {
            for of in [&mut self.owner, &mut self.reader] {
                of.secret = add_secret(&self.server, &of.client);
            }
            self.secrets_since = self.ahead;
        }
        let old = std::mem::take(&mut self.tokens.owner);
        self.renew_tokens();
        // An hour is what a token lives; a minute or more of it may have passed before.
        self.tokens.late = (seconds >= 2 * 3_600).then_some(old);
    }

    fn renew_tokens(&mut self) {
        self.tokens.owner = self.token(&self.owner);
        self.tokens.reader = self.token(&self.reader);
    }

    fn token(&self, of: &Registration) -> String {
        let secret: String = of.secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={secret}&\
             scope=https%3A%2F%2Fvault.azure.net%2F.default",
            of.client
        );
        let target = format!("/{}/oauth2/v2.0/token", self.tenant);
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let answer =
            self.server.https().send("POST", "login.keyless.localhost", &target, &headers, &form).unwrap();
        assert_eq!(answer.status, 200, "no token: {answer:?}");
        answer.json()["access_token"].as_str().unwrap_or_default().to_owned()
    }
}

fn register(server: &Server, name: &str) -> (Registration, String) {
    let made = server.keyless(["app-registration", "create", name, "-o", "json"]).ok();
    let [client, tenant] = ["client_id", "tenant"].map(|member| member_of(&made, member));
    (Registration { secret: add_secret(server, &client), client }, tenant)
}

fn add_secret(server: &Server, client: &str) -> String {
    member_of(&server.keyless(["app-registration", "credential", "add", client, "-o", "json"]).ok(), "secret")
}

fn member_of(told: &str, name: &str) -> String {
    let told: Value = serde_json::from_str(told).unwrap_or_default();
    told[name].as_str().unwrap_or_default().to_owned()
}

/// The kinds in an order in which each is met before what belongs to it.
pub(crate) const SWEEP: [Kind; 3] = [Kind::Certificate, Kind::Key, Kind::Secret];
