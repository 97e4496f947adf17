//! `keyless doctor`: what is missing on this machine and in this installation, and how to mend it.
//!
//! Works with and without a running server. Status 1 if there is something to mend.

use crate::{
    Global, clock,
    failure::Failure,
    output::{self, Colour, Format, paint},
    status::Status,
};
use domain::{DomainName, HostNames};
use serde::Serialize;
use server::{
    Config, Layout,
    installation::{self, CONNECT_GATE, Capability, HostingFacts},
};
use std::{fs, net::ToSocketAddrs, os::unix::fs::PermissionsExt, path::Path};

/// Free space below which the store and the audit log may soon not be written. Ours.
const FREE_BYTES_MIN: u64 = 256 << 20;

/// How a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    Note,
    Mend,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    verdict: Verdict,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

impl Finding {
    fn good(what: impl Into<String>) -> Self {
        Self { verdict: Verdict::Good, what: what.into(), mend: None }
    }

    fn note(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { verdict: Verdict::Note, what: what.into(), mend: Some(mend.into()) }
    }

    fn mend(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { verdict: Verdict::Mend, what: what.into(), mend: Some(mend.into()) }
    }
}

pub(crate) async fn doctor(global: &Global) -> Result<(), Failure> {
    let config = global.config(Vec::new())?;
    let layout = Layout::of(&config.data_dir);
    let admin = crate::admin::Admin::new(layout.clone());
    let status = admin.get::<Status>("/v1/status").await;
    let mut findings = Vec::new();
    match &status {
        Ok(status) => {
            findings.push(Finding::good(format!(
                "server {} runs on {}",
                status.version,
                status.listen.join(" and ")
            )));
            if status.version != env!("CARGO_PKG_VERSION") {
                let what = format!(
                    "this command is version {}, the server {}",
                    env!("CARGO_PKG_VERSION"),
                    status.version
                );
                findings.push(Finding::note(what, "restart the server with this version"));
            }
            if let Some(ahead) = status.test_clock_ahead_seconds {
                let what = format!("{}: no time of this server is real", clock::told(ahead));
                findings.push(Finding::note(what, "for tests only: keep no real secrets here"));
            }
            findings.extend(status.capabilities.iter().map(enforced));
            if status.audit_failing {
                findings.push(Finding::mend(
                    "the audit log cannot be written, so all requests are refused",
                    "make room on the disk; see the server's log",
                ));
            }
            findings.extend(status.alarms.iter().map(|alarm| Finding::mend(&alarm.what, &alarm.mend)));
            findings.extend(status.warnings.iter().map(|warning| Finding {
                verdict: Verdict::Note,
                what: warning.clone(),
                mend: None,
            }));
        }
        Err(failure) => {
            let mend = match layout.holder() {
                Some(_) => "end that process, then start it again: keyless up",
                None => "start it: keyless up",
            };
            findings.push(Finding::mend(failure.to_string().replace("\n  ", ". "), mend));
            findings.extend(installation::named(&kernel::capabilities()).iter().map(enforced));
        }
    }
    // The server knows better than this command, which is somewhere else and may be allowed more or less.
    let told = match &status {
        Ok(_) => Some(admin.get("/v1/status/hosting").await),
        Err(_) => None,
    };
    let is_gated = |status: &Status| status.capabilities.iter().any(|one| one.name == CONNECT_GATE);
    findings.extend(hosting_or_own(told, status.as_ref().is_ok_and(is_gated)));
    findings.extend(data(&layout));
    let closed = installation::closed_to_apps(&config);
    findings.extend(closed.map(|why| Finding::mend("hosted apps cannot be started from packages", why)));
    findings.extend(names(&config, status.as_ref().ok()));
    if global.output == Format::Json {
        output::json(&findings);
    } else {
        findings.iter().for_each(print);
    }
    match findings.iter().filter(|finding| finding.verdict == Verdict::Mend).count() {
        0 => Ok(()),
        1 => Err(Failure::new("one thing is to be mended")),
        many => Err(Failure::new(format!("{many} things are to be mended"))),
    }
}

fn enforced(capability: &Capability) -> Finding {
    if capability.enforced {
        return Finding::good(format!("{}: enforced by the kernel", capability.name));
    }
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    Finding::mend(
        format!("{}: unenforced: {}", capability.name, part(&capability.why)),
        part(&capability.mend),
    )
}

/// What hosted apps can be given as the server has told, if one runs; else as this command finds it, which is said if one runs.
fn hosting_or_own(told: Option<Result<HostingFacts, Failure>>, is_gated: bool) -> Vec<Finding> {
    match told {
        Some(Ok(found)) => hosting(&found, is_gated),
        Some(Err(failure)) => {
            let what = format!(
                "the server does not say what hosted apps can be given; this is where doctor is: {failure}"
            );
            let mut findings = vec![Finding::note(what, "see the server's log")];
            findings.extend(hosting(&installation::hosting_facts(), is_gated));
            findings
        }
        None => hosting(&installation::hosting_facts(), is_gated),
    }
}

/// What hosted apps can be given; none of it is needed for the rest.
fn hosting(found: &HostingFacts, is_gated: bool) -> Vec<Finding> {
    let told = |one: &Capability| {
        let finding = enforced(one);
        Finding { verdict: if one.enforced { Verdict::Good } else { Verdict::Note }, ..finding }
    };
    let mut findings: Vec<_> = found.capabilities.iter().map(told).collect();
    // Of one that is there the server says so.
    if !is_gated {
        let gate = format!(
            "{CONNECT_GATE} before endpoints: not used, unless the server is started with --connect-gate"
        );
        let why = found.connect_gate.why.as_deref().unwrap_or_default();
        findings.push(Finding::good(match found.connect_gate.enforced {
            true => format!("{gate}; it could be had here"),
            false => format!("{gate}; it could not be had here: {why}"),
        }));
    }
    findings
}

fn data(layout: &Layout) -> Vec<Finding> {
    let shown = layout.root().display();
    let mode = |path: &Path| fs::metadata(path).map(|metadata| metadata.permissions().mode() & 0o777);
    let mut findings = Vec::new();
    match mode(layout.root()) {
        Ok(mode) if mode & 0o077 != 0 => {
            findings.push(Finding::mend(
                format!("others may look into {shown} (mode {mode:o})"),
                format!("chmod 700 {shown}"),
            ));
        }
        Ok(_) => findings.push(Finding::good(format!("{shown} is closed to others"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return findings,
        Err(error) => {
            findings.push(Finding::mend(format!("{shown}: {error}"), "run this as the server's user"))
        }
    }
    if let Ok(mode) = mode(&layout.key_file())
        && mode & 0o077 != 0
    {
        let file = layout.key_file();
        findings.push(Finding::mend(
            format!("others may read {}", file.display()),
            format!("chmod 600 {}", file.display()),
        ));
    }
    match kernel::files::free_bytes(layout.root()) {
        Ok(free) if free < FREE_BYTES_MIN => {
            findings.push(Finding::mend(
                format!("only {} MiB are free for {shown}", free >> 20),
                "make room: when the audit log cannot be written, requests are refused",
            ));
        }
        Ok(free) => findings.push(Finding::good(format!("{} MiB are free on its disk", free >> 20))),
        Err(_) => {}
    }
    findings
}

/// Those of the server that runs, if one does: its port and domain may be of its command line.
fn told_names(config: &Config, status: Option<&Status>) -> HostNames {
    let told = status.and_then(|status| Some((DomainName::parse(&status.domain).ok()?, status.port)));
    told.map_or_else(|| config.names(), |(domain, port)| HostNames::new(&domain, port))
}

/// Programs under `keyless run` see names of their own; this is about all others.
fn names(config: &Config, status: Option<&Status>) -> Vec<Finding> {
    let names = told_names(config, status);
    let (host, port) = (names.login_host(), status.map_or(config.port, |status| status.port));
    let resolves = (host.as_str(), port).to_socket_addrs().is_ok_and(|mut found| found.next().is_some());
    let elsewhere = "only needed by programs that are not started by `keyless run`";
    let ca = Layout::of(&config.data_dir).authority();
    let mut findings = Vec::new();
    findings.push(if resolves {
        Finding::good(format!("{host} resolves on this machine"))
    } else {
        Finding::note(
            format!("{host} does not resolve on this machine ({elsewhere})"),
            format!(
                "add `127.0.0.1 {host}` and each vault's name to /etc/hosts, or install libnss-myhostname"
            ),
        )
    });
    if ca.exists() {
        findings.push(Finding::note(
            format!("the certificate of our authority is {} ({elsewhere})", ca.display()),
            "such programs trust it by SSL_CERT_FILE, REQUESTS_CA_BUNDLE, NODE_EXTRA_CA_CERTS or curl --cacert",
        ));
    }
    findings
}

fn print(finding: &Finding) {
    let mark = match finding.verdict {
        Verdict::Good => paint(Colour::Good, "ok  "),
        Verdict::Note => paint(Colour::Warn, "note"),
        Verdict::Mend => paint(Colour::Bad, "mend"),
    };
    output::line(format_args!("{mark} {}", finding.what));
    if let Some(mend) = &finding.mend {
        output::line(format_args!("     {}", paint(Colour::Dim, mend)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capability(name: &str, why: Option<&str>) -> Capability {
        let (why, mend) = (why.map(str::to_owned), why.map(|_| "do this".to_owned()));
        Capability { name: name.to_owned(), enforced: why.is_none(), why, mend }
    }

    #[test]
    fn who_has_to_speak_of_itself_says_so() {
        let told = hosting_or_own(Some(Err(Failure::new("no program can be started"))), true);
        assert_eq!(told[0].verdict, Verdict::Note);
        assert!(told[0].what.contains("the server does not say") && told[0].what.contains("no program"));
        let own = hosting_or_own(None, true);
        assert!(!own.is_empty() && own.len() + 1 == told.len(), "{own:?}");
        let capabilities = vec![capability("the server's", None)];
        let found = HostingFacts { capabilities, connect_gate: capability(CONNECT_GATE, None) };
        let told = hosting_or_own(Some(Ok(found)), true);
        assert!(told.len() == 1 && told[0].what.starts_with("the server's"), "{told:?}");
    }

    #[test]
    fn names_are_those_of_the_server_that_runs() {
        let flags = vec![("data_dir", "/nowhere".to_owned())];
        let sources = server::Sources { flags, ..server::Sources::default() };
        let config = Config::load(&sources).unwrap();
        assert_eq!(told_names(&config, None).login_base(), config.names().login_base());
        let status = serde_json::json!({
            "version": "0", "started": 0, "listen": [], "data": "", "hosts_file": "", "capabilities": [], "warnings": [], "now": 0,
            "domain": "other.test", "port": 9443, "tenant": "", "login": "", "signing_key": null, "audit_failing": false,
            "counts": {"apps": 0, "workloads": 0, "workloads_unenforced": 0, "vaults": 0},
        });
        let status: Status = serde_json::from_value(status).unwrap();
        assert_eq!(told_names(&config, Some(&status)).login_base(), "https://login.other.test:9443");
    }

    #[test]
    fn nothing_is_called_enforced_that_the_server_does_not_use() {
        let capabilities =
            vec![capability("account", None), capability("memory limit", Some("not delegated"))];
        let mut found = HostingFacts { capabilities, connect_gate: capability(CONNECT_GATE, None) };
        assert_eq!(hosting(&found, true).len(), 2, "of its gate the server says so");
        let all = hosting(&found, false);
        let [account, memory, gate] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!((account.verdict, &*account.what), (Verdict::Good, "account: enforced by the kernel"));
        // A hosted app can do without, so there is nothing that must be mended.
        assert_eq!(
            (memory.verdict, &*memory.what),
            (Verdict::Note, "memory limit: unenforced: not delegated")
        );
        assert_eq!(memory.mend.as_deref(), Some("do this"));
        assert!(!gate.what.contains("enforced") && gate.what.contains("not used"), "{}", gate.what);
        found.connect_gate = capability(CONNECT_GATE, Some("no BPF"));
        assert!(hosting(&found, false)[2].what.ends_with("it could not be had here: no BPF"));
    }
}
