//! The objects of one kind in a vault, as a command asks for them: paths, pages, and what a refusal means to a person.
//!
//! Owns: the way of a request and its answer, and what to do next when it is refused. Owns not: what is printed (`objects`).

use crate::{
    admin::{Admin, segment},
    failure::Failure,
    keyvault::{Fault, Refusal, Vault},
};
use bytes::Bytes;
use domain::{
    CertificatePermission, KeyPermission, ObjectKind, ObjectName, Permission as _, Secret, SecretPermission,
    VaultName,
};
use http::Method;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// The objects of one kind in a vault.
pub(crate) struct Collection<'a> {
    admin: &'a Admin,
    kind: ObjectKind,
    name: VaultName,
    vault: Vault,
}

/// One request.
pub(crate) struct Ask<'a> {
    /// The verb of access policies that it needs.
    pub(crate) verb: &'static str,
    /// Its method.
    pub(crate) method: Method,
    /// The object, if it is of one.
    pub(crate) name: Option<&'a ObjectName>,
    /// Its path, with a leading slash.
    pub(crate) path: String,
    /// Its body, if it has one.
    pub(crate) body: Option<Secret<Vec<u8>>>,
}

#[derive(Deserialize)]
struct Page {
    value: Vec<Value>,
    #[serde(rename = "nextLink")]
    next_link: Option<String>,
}

impl<'a> Collection<'a> {
    /// Finds the vault and gets a token for it.
    pub(crate) async fn open(admin: &'a Admin, kind: ObjectKind, vault: &VaultName) -> Result<Self, Failure> {
        Ok(Self { admin, kind, name: vault.clone(), vault: Vault::open(admin, vault).await? })
    }

    /// The same as the administrator, whoever is logged in.
    pub(crate) async fn of_administrator(
        admin: &'a Admin,
        kind: ObjectKind,
        vault: &VaultName,
    ) -> Result<Self, Failure> {
        Ok(Self { admin, kind, name: vault.clone(), vault: Vault::of_administrator(admin, vault).await? })
    }

    /// The vault's name.
    pub(crate) const fn name(&self) -> &VaultName {
        &self.name
    }

    /// `/secrets/{name}{rest}`.
    pub(crate) fn path(&self, name: &ObjectName, rest: &str) -> String {
        format!("/{}/{}{rest}", self.kind.plural(), segment(name.as_str()))
    }

    /// `/deletedsecrets/{name}{rest}`.
    pub(crate) fn deleted_path(&self, name: &ObjectName, rest: &str) -> String {
        format!("/deleted{}/{}{rest}", self.kind.plural(), segment(name.as_str()))
    }

    /// The answer's bytes, or why there are none.
    pub(crate) async fn send(&self, ask: Ask<'_>) -> Result<Bytes, Fault> {
        self.vault.send(ask.method, &ask.path, "", ask.body).await
    }

    /// The answer, or what to tell a person.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, ask: Ask<'_>) -> Result<T, Failure> {
        self.ask_with(ask, "").await
    }

    /// The same, with more in the query: `&name=value`.
    pub(crate) async fn ask_with<T: DeserializeOwned>(
        &self,
        ask: Ask<'_>,
        query: &str,
    ) -> Result<T, Failure> {
        let (verb, name) = (ask.verb, ask.name);
        match self.vault.send(ask.method, &ask.path, query, ask.body).await {
            Ok(body) => parse(&body),
            Err(fault) => Err(self.explain(verb, name, fault).await),
        }
    }

    /// Asks for something that has no answer but that it was done.
    pub(crate) async fn order(&self, ask: Ask<'_>) -> Result<(), Failure> {
        let (verb, name) = (ask.verb, ask.name);
        match self.send(ask).await {
            Ok(_nothing) => Ok(()),
            Err(fault) => Err(self.explain(verb, name, fault).await),
        }
    }

    /// All pages of a list, as the vault tells them.
    pub(crate) async fn pages(&self, path: &str, name: Option<&ObjectName>) -> Result<Vec<Value>, Failure> {
        // What was asked for and has not come is to be seen, too: it has its name, and can be deleted and recovered.
        let is_of_certificates = self.kind == ObjectKind::Certificate && name.is_none();
        let asked = if is_of_certificates { "&includePending=true" } else { "" };
        let (mut items, mut query) = (Vec::new(), asked.to_owned());
        loop {
            let body = match self.vault.send(Method::GET, path, &query, None).await {
                Ok(body) => body,
                Err(fault) => return Err(self.explain("list", name, fault).await),
            };
            let page: Page = parse(&body)?;
            items.extend(page.value);
            let Some(link) = page.next_link else { return Ok(items) };
            let token = link.split(['?', '&']).find_map(|part| part.strip_prefix("$skiptoken="));
            query = format!("{asked}&$skiptoken={}", token.unwrap_or_default());
        }
    }

    /// A fault in words, with what to do next.
    pub(crate) async fn explain(&self, verb: &str, name: Option<&ObjectName>, fault: Fault) -> Failure {
        let refusal = match fault {
            Fault::Failed(failure) => return failure,
            Fault::Refused(refusal) => refusal,
        };
        let policy = match refusal.inner.as_str() {
            "AccessDenied" => self.policy().await,
            _ => self.vault.principal().map(|principal| Policy { principal, ..Policy::default() }),
        };
        let place = Whence { kind: self.kind, vault: self.name.as_str(), name, verb };
        match next(&place, &refusal, policy.as_ref()) {
            Some(next) => Failure::refused(refusal.status, refusal.message).next(next),
            None => Failure::refused(refusal.status, refusal.message),
        }
    }

    /// What the vault's policy allows the one who asks; it may be looked at by whoever administers.
    async fn policy(&self) -> Option<Policy> {
        let principal = self.vault.principal()?;
        let path = format!("/v1/vaults/{}", segment(self.name.as_str()));
        let shown: Shown = self.admin.get(&path).await.ok()?;
        let found = shown.policies.into_iter().find(|policy| policy.principal == principal);
        Some(found.unwrap_or_else(|| Policy { principal, ..Policy::default() }))
    }
}

/// An answer, read.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|_| Failure::new("the vault's answer is not understood"))
}

#[derive(Deserialize)]
struct Shown {
    #[serde(default)]
    policies: Vec<Policy>,
}

/// An access policy as the administrator's socket tells it.
#[derive(Deserialize, Default)]
struct Policy {
    principal: String,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    certificates: Vec<String>,
}

/// What was asked for, of what.
struct Whence<'a> {
    kind: ObjectKind,
    vault: &'a str,
    name: Option<&'a ObjectName>,
    verb: &'a str,
}

/// What a person can do about a refusal.
fn next(place: &Whence<'_>, refusal: &Refusal, policy: Option<&Policy>) -> Option<String> {
    let Whence { kind, vault, name, verb } = *place;
    let name = name.map_or("NAME", ObjectName::as_str);
    match (refusal.code.as_str(), refusal.inner.as_str()) {
        ("Forbidden", "AccessDenied") => Some(match policy {
            Some(policy) => {
                format!("Allow it to yourself:\n    {}", grant(place, policy))
            }
            None => format!("Who may do what in it: keyless vault policy list {vault}"),
        }),
        ("Forbidden", "ForbiddenByRbac") => {
            let role = match kind {
                ObjectKind::Secret => "Key Vault Secrets Officer",
                ObjectKind::Key => "Key Vault Crypto Officer",
                ObjectKind::Certificate => "Key Vault Certificates Officer",
            };
            let whom = policy.map_or("ID", |policy| policy.principal.as_str());
            Some(format!(
                "Give yourself a role that allows it:\n    keyless vault role assign {vault} --role \"{role}\" --principal {whom}"
            ))
        }
        ("Forbidden", "SecretDisabled" | "KeyDisabled") => Some(format!(
            "Enable it: keyless {kind} update {vault} {name} --enabled; if it is a certificate's: keyless certificate update {vault} {name} --enabled"
        )),
        ("Forbidden", "KeyOperationForbidden") => Some(format!(
            "What it may: keyless key show {vault} {name}; to change that: keyless key update {vault} {name} --ops OPS"
        )),
        ("Forbidden", "KeyExpired" | "KeyNotYetValid") => Some(format!(
            "When it may: keyless key show {vault} {name}; to change that: keyless key update {vault} {name} --expires TIME; a certificate's has a new version with: keyless certificate create {vault} {name}"
        )),
        ("Forbidden", "SecretManagedByKeyVault" | "KeyManagedByKeyVault") => {
            Some(format!("Do it with the certificate {name} of this vault."))
        }
        ("Forbidden", "ForbiddenByFirewall") => {
            Some(format!("`keyless vault show {vault}` says from where it may be asked."))
        }
        ("SecretNotFound" | "KeyNotFound" | "CertificateNotFound", _) => Some(match verb {
            "recover" | "purge" => format!("What was deleted: keyless {kind} deleted {vault}"),
            _ => format!(
                "What there is: keyless {kind} list {vault}; what was deleted: keyless {kind} deleted {vault}"
            ),
        }),
        ("Conflict", "ObjectIsDeletedButRecoverable") => Some(format!(
            "Bring it back: keyless {kind} recover {vault} {name}\n  \
             Or end it for good: keyless {kind} purge {vault} {name}"
        )),
        ("ContactsNotFound", _) => {
            Some(format!("Name some: keyless certificate contacts set {vault} EMAIL..."))
        }
        ("PendingCertificateNotFound", _) => {
            Some(format!("Ask for one: keyless certificate create {vault} {name} --issuer unknown"))
        }
        ("CertificateIssuerNotFound", _) => Some(format!(
            "What there is: keyless certificate issuer list {vault}\n  \
             The vault's own authority: keyless certificate issuer set {vault} keyless --provider Keyless"
        )),
        ("Conflict", _) if verb == "restore" => {
            Some("A restore makes an object anew and changes none: delete and purge that one first, or restore to another vault.".to_owned())
        }
        ("Conflict", _) if verb == "recover" => {
            Some(format!("One of that name was made since. What there is: keyless {kind} list {vault}"))
        }
        ("BadParameter", _) if verb == "restore" => Some(format!(
            "A backup is opened only by the installation that made it, and only as what it is: a {kind}."
        )),
        ("Throttled", _) => Some("Try again in a moment.".to_owned()),
        _ if refusal.status >= 500 => Some("The server's log says why; `keyless doctor` may, too.".to_owned()),
        _ => None,
    }
}

/// The command that allows one verb more: a policy is set as a whole, so it names all that was allowed before.
fn grant(place: &Whence<'_>, policy: &Policy) -> String {
    use std::fmt::Write as _;
    let mut command = format!("keyless vault policy set {} --principal {}", place.vault, policy.principal);
    for (kind, verbs, all) in [
        (ObjectKind::Secret, &policy.secrets, SecretPermission::ALL.len()),
        (ObjectKind::Key, &policy.keys, KeyPermission::ALL.len()),
        (ObjectKind::Certificate, &policy.certificates, CertificatePermission::ALL.len()),
    ] {
        let mut verbs = verbs.clone();
        if kind == place.kind && !verbs.iter().any(|verb| verb == place.verb) {
            verbs.push(place.verb.to_owned());
        }
        if !verbs.is_empty() {
            let verbs = if verbs.len() == all { "all".to_owned() } else { verbs.join(",") };
            let _written = write!(command, " --{} {verbs}", kind.plural());
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(kind: ObjectKind, verb: &str, code: &str, inner: &str) -> Option<String> {
        let name = ObjectName::parse("db").unwrap();
        let place = Whence { kind, vault: "shop", name: Some(&name), verb };
        let refusal = Refusal { code: code.into(), inner: inner.into(), status: 403, ..Refusal::default() };
        let policy = Policy {
            principal: "p".into(),
            secrets: vec!["get".into(), "list".into()],
            keys: vec!["sign".into()],
            ..Policy::default()
        };
        next(&place, &refusal, Some(&policy))
    }

    #[test]
    fn what_is_not_allowed_is_followed_by_the_command_that_allows_it_and_takes_nothing_away() {
        let command = "keyless vault policy set shop --principal p --secrets get,list,purge --keys sign";
        let said = advice(ObjectKind::Secret, "purge", "Forbidden", "AccessDenied").unwrap();
        assert!(said.ends_with(command), "{said}");
        let said = advice(ObjectKind::Certificate, "import", "Forbidden", "AccessDenied").unwrap();
        assert!(said.ends_with("--secrets get,list --keys sign --certificates import"), "{said}");
        let name = ObjectName::parse("db").unwrap();
        let place = Whence { kind: ObjectKind::Secret, vault: "shop", name: Some(&name), verb: "purge" };
        let secrets = "get,list,set,delete,recover,backup,restore".split(',').map(str::to_owned).collect();
        let all = grant(&place, &Policy { principal: "p".into(), secrets, ..Policy::default() });
        assert_eq!(all, "keyless vault policy set shop --principal p --secrets all");
        let said = advice(ObjectKind::Secret, "get", "Forbidden", "AccessDenied").unwrap();
        assert!(said.ends_with("--secrets get,list --keys sign"), "a verb is named once: {said}");
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        for (verb, code, inner, says) in [
            ("get", "SecretNotFound", "", "keyless secret list shop"),
            ("purge", "SecretNotFound", "", "keyless secret deleted shop"),
            ("set", "Conflict", "ObjectIsDeletedButRecoverable", "keyless secret recover shop db"),
            ("restore", "Conflict", "", "purge"),
            ("restore", "BadParameter", "", "installation"),
            (
                "purge",
                "Forbidden",
                "ForbiddenByRbac",
                "assign shop --role \"Key Vault Secrets Officer\" --principal p",
            ),
            ("managecontacts", "ContactsNotFound", "", "keyless certificate contacts set shop"),
            ("create", "CertificateIssuerNotFound", "", "keyless certificate issuer list shop"),
            ("get", "PendingCertificateNotFound", "", "keyless certificate create shop db --issuer unknown"),
            ("sign", "Forbidden", "KeyOperationForbidden", "keyless key update shop db --ops"),
            ("sign", "Forbidden", "KeyExpired", "keyless key update shop db --expires"),
            ("get", "Forbidden", "SecretDisabled", "keyless secret update shop db --enabled"),
            ("set", "Forbidden", "SecretManagedByKeyVault", "certificate db"),
        ] {
            let said = advice(ObjectKind::Secret, verb, code, inner).unwrap();
            assert!(said.contains(says), "{verb} {code} {inner}: {said}");
        }
        assert_eq!(advice(ObjectKind::Secret, "set", "BadParameter", ""), None, "the message says it");
    }
}
