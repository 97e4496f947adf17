//! The management SDKs as they are released: what they make, change, list and delete, and how they are refused. All that they are
//! told besides the usual is where the resource manager and the authority are, as for every private cloud.

use crate::{
    az::Az,
    hosting::{Hosts, PATIENCE, needs_root},
};
use e2e::{Ended, NodeScript, Registered, Server, note, person::encoded, setting, skip, wait};
use serde_json::Value;

const RESOURCES: &str = "Python azure-mgmt-resource 26.0.0";
const VAULTS: &str = "Python azure-mgmt-keyvault 14.1.0";
const IDENTITIES: &str = "Python azure-mgmt-msi 7.1.0";
const ROLES: &str = "Python azure-mgmt-authorization 4.0.0";
const SITES: &str = "Python azure-mgmt-web 11.0.1";
const NODE: &str = "Node @azure/arm-keyvault 5.0.0, @azure/arm-appservice 19.0.0";
const LOGIN: &str = "login.keyless.localhost";
const MANAGEMENT: &str = "management.keyless.localhost";

/// A server with an owner and a reader of the subscription, and two who have no role: a stranger, and an app.
struct Managed<'s> {
    server: &'s Server,
    program: String,
    variables: Vec<(String, String)>,
}

/// `None`, with a word, where the SDKs are not there.
fn python() -> Option<String> {
    let python = setting("MANAGEMENT_PYTHON");
    if python.is_none() {
        skip("no management SDKs for Python");
    }
    python
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

impl<'s> Managed<'s> {
    fn of(server: &'s Server, program: String) -> Self {
        // Programs have names and certificates from an app, which may nothing itself.
        let _said = server.keyless(["app", "create", "web"]).ok();
        let tenant = json(&server.keyless_json(["status"]))["tenant"].as_str().unwrap().to_owned();
        let at = |host: &str| format!("https://{host}:{}", server.port());
        let mut variables = vec![
            ("MANAGEMENT".to_owned(), at(MANAGEMENT)),
            ("AUTHORITY".to_owned(), at(LOGIN)),
            ("DEPLOYMENT".to_owned(), at("appservice.keyless.localhost")),
            ("VAULT_RESOURCE".to_owned(), at("vault.keyless.localhost")),
            ("VAULT_URL".to_owned(), server.vault_url("till")),
        ];
        let mut subscription = None;
        for (name, role) in
            [("owner", Some("Owner")), ("reader", Some("Reader")), ("stranger", None), ("app", None)]
        {
            let Registered { tenant, client, secret, principal } = server.registration(name);
            if let Some(role) = role {
                server.assign(role, &principal, "subscription");
                subscription =
                    subscription.or_else(|| Some(Self::subscription(server, &tenant, &client, &secret)));
            }
            variables.push((name.to_uppercase(), format!("{client}:{secret}:{principal}")));
        }
        variables.push(("TENANT".to_owned(), tenant));
        variables.push(("SUBSCRIPTION".to_owned(), subscription.unwrap()));
        Self { server, program, variables }
    }

    /// The one that there is, as somebody with a role is told it.
    fn subscription(server: &Server, tenant: &str, client: &str, secret: &str) -> String {
        let scope = format!("https://{MANAGEMENT}:{}/.default", server.port());
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", client),
            ("client_secret", secret),
            ("scope", &scope),
        ];
        let form: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        let target = format!("/{tenant}/oauth2/v2.0/token");
        let told = server.https().send("POST", LOGIN, &target, &kind, &form.join("&")).unwrap().json();
        let bearer = format!("Bearer {}", told["access_token"].as_str().unwrap());
        let target = "/subscriptions?api-version=2022-12-01";
        let told = server.https().send("GET", MANAGEMENT, target, &[("Authorization", &bearer)], "").unwrap();
        told.json()["value"][0]["subscriptionId"].as_str().unwrap().to_owned()
    }

    /// Runs a script to its end, with the clients in front of it; secrets are in its environment only.
    fn run(&self, script: &str, arguments: &[&str]) -> Ended {
        let whole = [include_str!("management/clients.py"), script].concat();
        let program = [&*self.program, "-c", &whole];
        self.runs(&[&program, arguments].concat())
    }

    fn runs(&self, program: &[&str]) -> Ended {
        let unset = ["env", "-u", "IDENTITY_ENDPOINT", "-u", "IDENTITY_HEADER"];
        let mut command = self.server.command(["run", "--app", "web", "--"]);
        command.args(unset).args(program);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        wait::output(&mut command, b"").into()
    }

    fn plays(&self, script: &str, arguments: &[&str]) {
        assert_eq!(self.run(script, arguments).ok(), "done\n");
    }
}

/// A server of its own, and everything that a script does there.
fn play(name: &str, script: &str) -> Option<Server> {
    let python = python()?;
    let server = Server::start(name);
    Managed::of(&server, python).plays(script, &[]);
    Some(server)
}

#[test]
fn groups_and_lists_of_resources() {
    let Some(server) = play("management-groups", include_str!("management/groups.py")) else { return };
    let log = server.keyless(["audit", "tail", "-n", "500"]).ok();
    assert!(log.contains("group.delete") && log.contains("refused"), "{log}");
    note(
        RESOURCES,
        "groups: create, exists, get, list, update, delete; resources by filter, by id; providers",
        "works",
    );
    note(RESOURCES, "lists in pages (`top`, with azure-mgmt-keyvault and azure-mgmt-msi, too)", "works");
    note(
        RESOURCES,
        "without a role, with a vault's token, a name that cannot be, too large",
        "works: `HttpResponseError`, `ClientAuthenticationError`, with the resource manager's codes",
    );
}

#[test]
fn vaults_from_their_making_to_their_purge() {
    let Some(server) = play("management-vaults", include_str!("management/vaults.py")) else { return };
    let vaults = json(&server.keyless_json(["vault", "list"]));
    assert_eq!(vaults.as_array().unwrap().len(), 6, "the six that are not deleted: {vaults}");
    note(
        VAULTS,
        "create, get, update, access policies, list, check name, delete, list deleted, recover, purge",
        "works: what it allows counts at once in azure-keyvault-secrets 4.12.0",
    );
    note(
        VAULTS,
        "without a role, an absent vault, a name that is taken or deleted, what cannot be",
        "works: 403, `ResourceNotFoundError`, `ResourceExistsError`, 400",
    );
}

#[test]
fn identities_and_who_vouches_for_them() {
    let Some(server) = play("management-identities", include_str!("management/identities.py")) else {
        return;
    };
    let listed = server.keyless(["identity", "list"]).ok();
    assert!(listed.contains("more-2") && !listed.contains("till"), "{listed}");
    note(
        IDENTITIES,
        "user-assigned identities and their federated credentials: all operations, and who may not",
        "works",
    );
}

#[test]
fn roles_count_from_one_request_to_the_next() {
    if play("management-roles", include_str!("management/roles.py")).is_none() {
        return;
    }
    note(
        ROLES,
        "role definitions, custom ones too; assignments at a subscription, a group, a vault and one secret, by name and by id; filters",
        "works: a living azure-keyvault-secrets client is allowed and refused at once",
    );
}

#[test]
fn plans_and_web_apps_that_run() {
    if needs_root() {
        return;
    }
    let Some(python) = python() else { return };
    let hosts = Hosts::of(Server::start_building("management-sites"), "management-sites");
    let zip = Az::zip(&hosts.package("site", &[]));
    Managed::of(&hosts.server, python).plays(include_str!("management/sites.py"), &[&zip]);
    wait::until("what is deleted is not served", PATIENCE, || hosts.get("till", "/who").status == 404);
    note(
        SITES,
        "plans; web apps: create, settings, connection strings, configuration, identities, start, stop, restart, deployment status, delete; and who may not",
        "works; a package is sent by a token, the SDK has no call for it",
    );
}

/// What is not good any more, or not yet for anybody: by a clock that goes on.
#[test]
fn a_token_that_has_expired_is_refused_and_another_is_good() {
    let Some(python) = python() else { return };
    let server = Server::start_with("management-clock", &["--test-clock"]);
    let managed = Managed::of(&server, python);
    let keyless = e2e::settings::binary("keyless").display().to_string();
    let advance = format!("{keyless} clock advance 2h >&2");
    assert_eq!(managed.run(include_str!("management/expired.py"), &[&advance]).ok(), "done\n");
    note(
        RESOURCES,
        "a token that has expired",
        "works: `ClientAuthenticationError`, code `ExpiredAuthenticationToken`",
    );
}

#[test]
fn the_asynchronous_clients() {
    if play("management-async", include_str!("management/asynchronous.py")).is_none() {
        return;
    }
    for client in [RESOURCES, VAULTS, IDENTITIES, ROLES, SITES] {
        note(client, "`aio`: make, read, list, delete", "works");
    }
}

#[test]
fn the_clients_for_javascript() {
    let Some(script) = NodeScript::beside_management(include_str!("management/manage.mjs")) else {
        return skip("no management SDKs for Node");
    };
    let server = Server::start("management-node");
    assert_eq!(Managed::of(&server, String::new()).runs(&script.line(&[])).ok(), "done\n");
    note(
        NODE,
        "a vault: create, read, update, list in pages, delete, purge; a web app with an identity and settings; who may not",
        "works, with `endpoint` and `credentials.scopes`: `RestError` with the resource manager's codes",
    );
}
