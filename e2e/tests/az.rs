//! The Azure CLI as it is released: every command by `keyless az -- …`, from an empty configuration against an empty server, on a machine
//! whose hosts file and DNS know none of our names. What it did is asserted by our own command line and by the wire.

mod commands;
mod objects;
mod ordinary;
mod packages;
mod refusals;
mod rows;
mod sign_ins;
mod warm;

use crate::hosting::{Hosts, needs_root};
use e2e::{
    Ended, Registered, Server,
    exercise::{SECRET, STEPS},
    note, setting, skip, wait,
};
use serde_json::Value;
use std::{io::Write, path::Path, process::Command, sync::Mutex, time::Instant};
use warm::Warm;

const CLIENT: &str = "azure-cli 2.91.0";

/// A server, and an `az` that knows nothing yet.
pub(crate) struct Az {
    /// What runs its commands, if there are many.
    warm: Option<Mutex<Warm>>,
    pub(crate) hosts: Hosts,
    path: String,
}

impl Az {
    /// `None`, with a word, where there is no `az` or apps cannot be hosted.
    pub(crate) fn start(name: &str) -> Option<Self> {
        if needs_root() {
            return None;
        }
        let Some(bin) = setting("AZ") else {
            skip("no az");
            return None;
        };
        let hosts = Hosts::of(Server::start_building(name), name);
        Some(Self { warm: None, hosts, path: format!("{bin}:/usr/local/bin:/usr/bin:/bin") })
    }

    /// One that is told many things: [`Warm`].
    pub(crate) fn start_warm(name: &str) -> Option<Self> {
        let az = Self::start(name)?;
        let warm = Warm::start(az.server(), &setting("AZ")?, &az.path);
        Some(Self { warm: Some(Mutex::new(warm)), ..az })
    }

    pub(crate) fn server(&self) -> &Server {
        &self.hosts.server
    }

    /// `az` with these words, as released.
    pub(crate) fn command(&self, words: &str) -> Command {
        let mut command = self.server().command(["az", "--"]);
        command.args(apart(words)).env("PATH", &self.path);
        command
    }

    /// How it ends, which the page of commands is not told.
    pub(crate) fn ended(&self, words: &str) -> Ended {
        let began = Instant::now();
        let ended = match &self.warm {
            Some(warm) => warm.lock().unwrap().ended(&apart(words)),
            None => Ended::from(wait::output(&mut self.command(words), b"")),
        };
        let (code, took) = (ended.code.unwrap_or(-1), began.elapsed().as_secs_f32());
        let _closed = writeln!(std::io::stderr(), "{took:5.1} s, {code}: az {}", without_secret(words));
        ended
    }

    /// What it said, as JSON; null if it said nothing.
    pub(crate) fn run(&self, words: &str) -> Value {
        let ended = self.ended(words);
        assert_eq!(ended.code, Some(0), "az {}\n{}", without_secret(words), ended.said());
        noted(words, 0, "");
        if ended.stdout.trim().is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&ended.stdout)
            .unwrap_or_else(|error| panic!("az {}: {error}", without_secret(words)))
    }

    /// It fails with this status and says this, which it was not told.
    pub(crate) fn refused(&self, words: &str, code: i32, said: &str) {
        assert!(!said.is_empty() && !words.contains(said), "whatever it says has that in it: {said}");
        let ended = self.ended(words);
        let told = without_secret(words);
        assert_eq!(ended.code, Some(code), "az {told}\n{}", ended.said());
        assert!(!ended.said().contains("Traceback"), "az {told}\n{}", ended.said());
        assert!(ended.said().contains(said), "az {told}: {said}\n{}", ended.said());
        noted(words, code, said);
    }

    /// What our own command line says, as JSON.
    pub(crate) fn ours<const N: usize>(&self, arguments: [&str; N]) -> Value {
        serde_json::from_str(&self.server().keyless_json(arguments)).unwrap()
    }

    /// Makes a service principal with a secret, and gives it a role at the subscription.
    pub(crate) fn operator(&self, name: &str, role: &str) -> Registered {
        let operator = self.server().registration(name);
        self.server().assign(role, &operator.principal, "subscription");
        // `az` looks itself and others up in Graph.
        self.graph(&operator, "Application.Read.All");
        operator
    }

    /// Lets it do this by Graph.
    pub(crate) fn graph(&self, operator: &Registered, role: &str) {
        let assign = ["app-registration", "role", "assign", "graph", "--role", role, "--principal"];
        let mut assign = self.server().command(assign);
        let _said = Ended::from(wait::output(assign.arg(&operator.principal), b"")).ok();
    }

    pub(crate) fn sign_in(&self, operator: &Registered) -> Value {
        let Registered { tenant, client, secret, .. } = operator;
        // One word, since a secret may begin with a dash.
        self.run(&format!("login --service-principal -u {client} --password={secret} --tenant {tenant}"))
    }

    /// Packs a folder with Python's own command.
    pub(crate) fn zip(folder: &Path) -> String {
        let zip = folder.with_extension("zip");
        let mut pack = Command::new("python3");
        pack.args(["-m", "zipfile", "-c"]).arg(&zip).arg(".").current_dir(folder);
        let packed = wait::output(&mut pack, b"");
        assert!(packed.status.success(), "{packed:?}");
        zip.display().to_string()
    }
}

/// Words, which single spaces part; `~` is a space within one.
fn apart(words: &str) -> Vec<String> {
    words.split(' ').map(|word| word.replace('~', " ")).collect()
}

/// Logs of tests are kept.
fn without_secret(words: &str) -> String {
    let secrets = [" --password", " --federated-token"];
    match secrets.into_iter().find_map(|option| Some((words.split_once(option)?.0, option))) {
        Some((shown, option)) => format!("{shown}{option}=…"),
        None => words.to_owned(),
    }
}

/// Notes for the page how a command ended, with its exit status, and what told that it was so. A command's name is what stands before its first
/// option.
pub(crate) fn noted(words: &str, code: i32, how: &str) {
    let name: Vec<&str> = words.split(' ').take_while(|word| !word.starts_with('-')).collect();
    let told = if how.is_empty() { code.to_string() } else { format!("{code}: {how}") };
    note(CLIENT, &format!("`az {}`", name.join(" ")), &told);
}

/// Microsoft Learn's exercise "Manage secrets in your server apps with Azure Key Vault", and that nothing is left of it.
#[test]
fn the_whole_exercise_from_login_to_group_delete() {
    let [
        group,
        create,
        set,
        plan,
        webapp,
        settings,
        assign,
        policy,
        deploy,
        show,
        remove,
        delete_app,
        delete_vault,
        purge,
        delete_group,
    ] = STEPS;
    let Some(az) = Az::start("az-exercise") else { return };
    let operator = az.operator("operator", "Owner");
    let account = az.sign_in(&operator);
    assert_eq!(account[0]["cloudName"], "Keyless", "{account}");
    assert_eq!(account[0]["tenantId"], operator.tenant.as_str(), "{account}");
    assert_eq!(account[0]["user"]["name"], operator.client.as_str(), "{account}");
    let group = az.run(group);
    assert_eq!(group["properties"]["provisioningState"], "Succeeded", "{group}");

    let vault = az.run(create);
    assert_eq!(vault["properties"]["vaultUri"], format!("{}/", az.server().vault_url("secrets")), "{vault}");
    let set = az.run(set);
    assert_eq!(set["value"], SECRET, "whoever makes a vault may use it: {set}");

    let plan = az.run(plan);
    assert_eq!(plan["reserved"], true, "Linux: {plan}");
    let site = az.run(webapp);
    assert_eq!(site["state"], "Running", "{site}");
    let _masked = az.run(settings);
    let identity = az.run(assign);
    let principal = identity["principalId"].as_str().unwrap();
    assert_eq!(az.ours(["app", "show", "web"])["identity"]["principal"], principal, "{identity}");
    let _policies = az.run(&policy.replace("PRINCIPAL", principal));
    let zip = Az::zip(&az.hosts.package("site", &[]));
    let _deployed = az.run(&deploy.replace("ZIP", &zip));

    // The app, with its settings, reads the secret by its own identity; it has nothing else.
    let shown = az.run(show);
    assert_eq!(
        shown["enabledHostNames"][0],
        format!("web.apps.keyless.localhost:{}", az.server().port()),
        "{shown}"
    );
    let environment = az.hosts.ask("web", "/env");
    assert_eq!(environment["VaultName"], "secrets", "{environment}");
    assert_eq!(az.hosts.ask("web", "/who")["version"], "7");
    let resource = format!("https%3A%2F%2Fvault.keyless.localhost%3A{}", az.server().port());
    let told = az.hosts.ask("web", &format!("/token?resource={resource}"));
    let token = told["body"]["access_token"].as_str().unwrap_or_else(|| panic!("{told}")).to_owned();
    let read = || {
        let url = format!("{}/secrets/SecretPassword?api-version=7.4", az.server().vault_url("secrets"));
        let url = url.replace(':', "%3A").replace('?', "%3F").replace('=', "%3D");
        az.hosts.ask("web", &format!("/fetch?url={url}&header=Authorization%3A%20Bearer%20{token}"))
    };
    let answered = read();
    assert!(answered["status"] == 200 && answered["body"].as_str().unwrap().contains(SECRET), "{answered}");

    // The principal goes with the identity, and its tokens with it.
    let _nothing = az.run(remove);
    assert_eq!(read()["status"], 401);
    assert!(az.ours(["app", "show", "web"])["identity"].is_null());
    assert_ne!(az.server().keyless(["principal", "show", principal]).code, Some(0));
    az.refused(&format!("ad sp show --id {principal}"), 3, "does not exist");
    assert_ne!(az.hosts.ask("web", &format!("/token?resource={resource}"))["status"], 200);

    for (words, listed) in [(delete_app, &["app", "list"]), (delete_vault, &["vault", "list"])] {
        let _nothing = az.run(words);
        assert_eq!(az.ours(*listed), Value::Array(Vec::new()), "{words}");
    }
    let _nothing = az.run(purge);
    let _nothing = az.run(delete_group);
    assert_eq!(az.run("group exists -n learn"), false);
    assert_eq!(az.run("keyvault list-deleted"), Value::Array(Vec::new()));
    note(
        CLIENT,
        "the whole exercise: group, vault, secret, plan, web app, settings, managed identity, access policy, zip deployment, removal of all",
        "works, by `keyless az -- …`",
    );
}
