//! What the live tests of azure-identity find at a directory: an application with a secret, a user with a password, and a client that acts in the
//! user's name. They are told of them by the variables that the tests ask for.

use std::process::Command;

use e2e::person::encoded;
use e2e::{Person, Server};

use crate::Places;
use crate::job::{Against, Job};
use crate::vault::{self, APP};

/// The suite's name.
pub(crate) const SUITE: &str = "identity";

/// The files that have live tests, and what pytest is told for them. Those of acting in a user's name are marked as manual, though they need
/// nobody; the others of their files talk to no server, and read certificates that the package lacks.
const FILES: [(&[&str], &[&str]); 2] = [
    (&["test_live.py", "test_live_async.py"], &[]),
    (&["test_obo.py", "test_obo_async.py"], &["--manual", "-k", "TestObo"]),
];
const PASSWORD: &str = "correct horse of alice";
const RESOURCE: &str = "api://conformance";
const CALLBACK: &str = "http://localhost:8400/cb";
/// RFC 7636 appendix B. Nobody redeems the code.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A server that lets programs ask for tokens by a user's password, which two of the tests do.
pub(crate) struct Directory {
    server: Server,
    variables: Vec<(&'static str, String)>,
}

impl Directory {
    /// Starts it and makes who is in it.
    pub(crate) fn start() -> Result<Self, String> {
        let allow = &[("KEYLESS_ALLOW_PASSWORD_GRANT", "true")];
        let server = Server::start_set("conformance-identity", &[], allow);
        vault::app(&server);
        let _said = server.keyless(["user", "create", "alice"]).ok();
        let _said = server.keyless_with(["user", "password", "alice"], PASSWORD).ok();
        let service = Client::register(&server, &["service"])?;
        let acting = ["acting", "--identifier-uri", RESOURCE, "--redirect-uri"];
        let to = format!("publicClient={CALLBACK}");
        let acting = Client::register(&server, &[&acting[..], &[&to]].concat())?;
        let _said = server.keyless(["app-registration", "scope", "add", &acting.id, "act"]).ok();

        let authority = format!("https://login.keyless.localhost:{}", server.port());
        let scope = format!("{RESOURCE}/.default");
        let agree = format!(
            "{authority}/{}/oauth2/v2.0/authorize?client_id={}&response_type=code&redirect_uri={}&scope={}\
             &code_challenge={CHALLENGE}&code_challenge_method=S256",
            acting.tenant,
            acting.id,
            encoded(CALLBACK),
            // Besides the scope, all that MSAL asks for with every password: nobody can be asked then.
            encoded(&format!("{scope} openid profile offline_access"))
        );
        let _code = Person::new(&server.authority(), server.port(), "alice", PASSWORD).open(&agree, "").url();

        let name = "alice@keyless.localhost".to_owned();
        let variables = vec![
            ("AZURE_AUTHORITY_HOST", authority),
            ("AZURE_TENANT_ID", service.tenant.clone()),
            ("AZURE_CLIENT_ID", service.id),
            ("AZURE_CLIENT_SECRET", service.secret),
            ("AZURE_USERNAME", name.clone()),
            ("AZURE_PASSWORD", PASSWORD.to_owned()),
            ("USER_TENANT", service.tenant),
            ("OBO_TENANT_ID", acting.tenant),
            ("OBO_CLIENT_ID", acting.id),
            ("OBO_CLIENT_SECRET", acting.secret),
            ("OBO_SCOPE", scope),
            ("OBO_USERNAME", name),
            ("OBO_PASSWORD", PASSWORD.to_owned()),
            ("OBO_CERT_BYTES", "none".to_owned()),
        ];
        Ok(Self { server, variables })
    }

    /// The runs of the suite.
    pub(crate) fn jobs(&self, places: &Places) -> Vec<Job<'_>> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let job = |(number, (files, flags)): (usize, &(&[&str], &[&str]))| Job {
            suite: SUITE.to_owned(),
            name: format!("{SUITE}-{number}"),
            tests: places.suites.join(SUITE).join("tests"),
            files: words(files),
            flags: [words(&["-p", "devtools_testutils.private_authority"]), words(flags)].concat(),
            against: Against::Directory(self),
        };
        FILES.iter().enumerate().map(job).collect()
    }

    /// What pytest is run by: names and certificates as an app has them, and nothing of its identity.
    pub(crate) fn command(&self) -> Command {
        let mut command = self.server.command(["run", "--app", APP, "--", "env"]);
        command.args(["-u", "IDENTITY_ENDPOINT", "-u", "IDENTITY_HEADER"]);
        command.args(self.variables.iter().map(|(name, value)| format!("{name}={value}")));
        command
    }
}

/// A registration with a secret.
struct Client {
    tenant: String,
    id: String,
    secret: String,
}

impl Client {
    fn register(server: &Server, words: &[&str]) -> Result<Self, String> {
        let mut create = server.command(["app-registration", "create", "-o", "json"]);
        let made = e2e::Ended::from(e2e::wait::output(create.args(words), b"")).ok();
        let made: serde_json::Value = serde_json::from_str(&made).map_err(|error| error.to_string())?;
        let text = |name: &str| made.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
        let (Some(tenant), Some(id)) = (text("tenant"), text("client_id")) else {
            return Err(format!("not as a registration is shown: {made}"));
        };
        let add = ["app-registration", "credential", "add", &id, "-o", "json"];
        let added: serde_json::Value =
            serde_json::from_str(&server.keyless(add).ok()).map_err(|error| error.to_string())?;
        let secret = added.get("secret").and_then(serde_json::Value::as_str);
        let secret = secret.ok_or("the secret was not shown")?.to_owned();
        Ok(Self { tenant, id, secret })
    }
}
