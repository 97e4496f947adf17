//! Programs that a hosted app runs for a scenario: in its cgroup, in its network and under its account.

use super::Hosts;
use e2e::{Ended, Server, note, setting, wait};
use serde_json::Value;
use std::path::PathBuf;

/// By which a program finds the App Service endpoint, in both generations.
pub(crate) const ENDPOINT: [&str; 4] = ["IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "MSI_SECRET"];

impl Hosts {
    /// With an app `web`, configured so, that may read the secret `db` of vault `shop`.
    pub(crate) fn with_web(server: Server, name: &str, configured: &[&str]) -> Self {
        let hosts = Self::of(server, name);
        hosts.server.vault_with("shop", "db", "s3cret");
        hosts.server.app_with("web", "shop", "get");
        let told = hosts.host("web", configured);
        assert_eq!(told["hosted"]["enforced"], true, "{told}");
        hosts
    }

    /// Deploys an app with an identity, configured so, that knows the vault.
    pub(crate) fn host(&self, app: &str, configured: &[&str]) -> Value {
        let _may_be_there = self.server.keyless(["app", "create", app]);
        let _said = self.server.keyless(["app", "identity", "assign", app]).ok();
        let vault = format!("VAULT_URL={}", self.server.vault_url("shop"));
        let _said = self.server.keyless(["app", "settings", "set", app, &vault]).ok();
        let mut configure = self.server.command(["app", "configure", app]);
        let _said = Ended::from(wait::output(configure.args(configured), b"")).ok();
        self.deploy(app, &self.package(app, &[]))
    }

    /// A program with an SDK reads the secret by both credentials, and not any more once the identity is removed.
    pub(crate) fn reads_until_it_is_removed(
        &self,
        sdk: &str,
        how: &str,
        client: &[String],
        without: &[&str],
    ) {
        let run = |kind| {
            let line: Vec<_> = client.iter().map(String::as_str).chain(["db", kind]).collect();
            self.run("web", &line, without)
        };
        let kinds = [("default", "DefaultAzureCredential"), ("managed", "ManagedIdentityCredential")];
        for (kind, credential) in kinds {
            let ended = run(kind);
            assert_eq!(
                (&ended["status"], &ended["stdout"]),
                (&0.into(), &"s3cret\n".into()),
                "{kind}: {ended}"
            );
            note(sdk, &format!("get secret, {how} (`{credential}`)"), "works");
        }
        let _said = self.server.keyless(["app", "identity", "remove", "web"]).ok();
        for (kind, _) in kinds {
            let ended = run(kind);
            let said = ended.to_string();
            assert!(ended["status"] == 1 && !said.contains("s3cret"), "{kind}: {said}");
        }
    }

    /// How a program ended that has the app's environment but for these variables: `status`, `stdout`, `stderr`.
    pub(crate) fn run(&self, app: &str, arguments: &[&str], without: &[&str]) -> Value {
        let arguments = arguments.iter().map(|one| format!("argument={}", escaped(one)));
        let without = without.iter().map(|name| format!("without={name}"));
        let query: Vec<_> = arguments.chain(without).collect();
        self.ask(app, &format!("/run?{}", query.join("&")))
    }

    /// A Python with the SDKs that the app's account may run: the environment's own, or else the system's with the environment's packages.
    pub(crate) fn python(&self, app: &str) -> Option<Vec<String>> {
        let python = PathBuf::from(setting("PYTHON")?);
        let libraries = std::fs::read_dir(python.parent()?.parent()?.join("lib")).ok()?;
        let packages: Vec<_> = libraries
            .flatten()
            .map(|entry| entry.path().join("site-packages").display().to_string())
            .collect();
        let system = ["env".to_owned(), format!("PYTHONPATH={}", packages.join(":")), "python3".to_owned()];
        [vec![python.display().to_string()], system.into()].into_iter().find(|candidate| {
            let import = ["-c", "import azure.identity, azure.keyvault.secrets"];
            let line: Vec<_> = candidate.iter().map(String::as_str).chain(import).collect();
            self.run(app, &line, &[])["status"] == 0
        })
    }
}

/// As a part of a query.
pub(crate) fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'/' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}
