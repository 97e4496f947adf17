//! `keyless app-registration`: software outside of Keyless, and by what it proves itself: client secrets, certificates, outside issuers.

use crate::{
    admin::{Admin, segment},
    app::List,
    failure::Failure,
    federated::{self, Federated},
    files,
    output::{self, Format},
    vault::misuse,
    whom::{self, Whom},
};
use clap::{Args, Subcommand};
use http::Method;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a registration
    Create {
        /// Its display name
        name: String,
        /// A URI by which tokens for it are asked, such as api://shop; may be given several times
        #[arg(long = "identifier-uri", value_name = "URI")]
        identifier_uris: Vec<String>,
        /// Where codes of its sign-ins may be sent: web=, spa= or publicClient= and the address; may be given several times
        #[arg(long = "redirect-uri", value_name = "PLATFORM=URI", value_parser = redirect_uri)]
        redirect_uris: Vec<RedirectUri>,
        /// Software that cannot keep a secret, such as on users' own machines: it has no credentials
        #[arg(long)]
        public: bool,
        /// Take each assertion that a certificate of it signs once only; Python's SDK presents one for nine minutes
        #[arg(long, conflicts_with = "public")]
        single_use_assertions: bool,
    },
    /// All registrations
    List,
    /// One registration
    Show {
        /// Its id, client id or identifier URI
        registration: String,
    },
    /// Change a registration; what is not said stays as it is
    Update(Update),
    /// App roles: what principals may do in it
    #[command(subcommand)]
    Role(RoleCommand),
    /// Scopes: what users may let others do with it
    #[command(subcommand)]
    Scope(ScopeCommand),
    /// Delete a registration: its tokens are refused from the answer on
    Delete {
        /// Its id, client id or identifier URI
        registration: String,
    },
    /// Client secrets and certificates
    #[command(subcommand)]
    Credential(CredentialCommand),
    /// Outside issuers whose word is taken: pipelines, clusters
    #[command(subcommand)]
    Federated(FederatedCommand),
}

#[derive(Debug, Args)]
pub(crate) struct Update {
    /// Its id, client id or identifier URI
    registration: String,
    /// A name for people
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// A URI by which tokens for it are asked, instead of those that it has; may be given several times
    #[arg(long = "identifier-uri", value_name = "URI")]
    identifier_uris: Vec<String>,
    /// Where codes of its sign-ins may be sent, instead of where they may now; may be given several times
    #[arg(long = "redirect-uri", value_name = "PLATFORM=URI", value_parser = redirect_uri)]
    redirect_uris: Vec<RedirectUri>,
    /// The form of tokens for it
    #[arg(long, value_name = "1.0|2.0", value_parser = ["1.0", "2.0"], hide_possible_values = true)]
    token_version: Option<String>,
    /// Can it keep no secret?
    #[arg(long, value_name = "true|false")]
    public: Option<bool>,
    /// Is each assertion that a certificate of it signs good once only?
    #[arg(long, value_name = "true|false")]
    single_use_assertions: Option<bool>,
    /// Are there tokens for it only for those who have a role in it?
    #[arg(long, value_name = "true|false")]
    assignment_required: Option<bool>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RoleCommand {
    /// Define an app role; for users and applications, unless told otherwise
    Add {
        /// The registration's id, client id or identifier URI
        registration: String,
        /// What tokens say, such as Orders.Read.All
        value: String,
        /// A name for people
        #[arg(long)]
        display_name: Option<String>,
        /// What it is for
        #[arg(long, default_value = "")]
        description: String,
        /// Users and groups may have it
        #[arg(long)]
        for_users: bool,
        /// Applications and apps' identities may have it
        #[arg(long)]
        for_applications: bool,
    },
    /// Take an app role away: no token says it any more
    Remove {
        /// The registration's id, client id or identifier URI
        registration: String,
        /// The role's value or id
        role: String,
    },
    /// Give a role to somebody
    Assign {
        /// The registration's id, client id or identifier URI; graph for Microsoft Graph
        resource: String,
        /// The role's value or id; without one it is only let in, where an assignment is required
        #[arg(long)]
        role: Option<String>,
        #[command(flatten)]
        whom: Whom,
    },
    /// Take a role from somebody
    Unassign {
        /// The registration's id, client id or identifier URI; graph for Microsoft Graph
        resource: String,
        /// The role's value or id
        #[arg(long)]
        role: Option<String>,
        #[command(flatten)]
        whom: Whom,
    },
    /// Who has which role
    Assignments {
        /// The registration's id, client id or identifier URI; graph for Microsoft Graph
        resource: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScopeCommand {
    /// Offer a scope
    Add {
        /// The registration's id, client id or identifier URI
        registration: String,
        /// What clients ask for, such as Orders.Read
        value: String,
        /// What the consent page says
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Take a scope away: no token says it any more
    Remove {
        /// The registration's id, client id or identifier URI
        registration: String,
        /// The scope's value or id
        scope: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CredentialCommand {
    /// Make a client secret, which is printed once and kept nowhere; or register a certificate
    Add {
        /// The registration's id, client id or identifier URI
        registration: String,
        /// What it is for
        #[arg(long)]
        name: Option<String>,
        /// For how many days a secret is good [default: 730]
        #[arg(long, conflicts_with = "certificate")]
        days: Option<u32>,
        /// A certificate (PEM or DER) whose key signs the client's assertions; a private key in the file stays there
        #[arg(long, value_name = "FILE")]
        certificate: Option<PathBuf>,
    },
    /// Client secrets and certificates of a registration
    List {
        /// The registration's id, client id or identifier URI
        registration: String,
    },
    /// Remove a client secret, certificate or federated credential
    Remove {
        /// The registration's id, client id or identifier URI
        registration: String,
        /// The credential's id
        credential: domain::CredentialId,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum FederatedCommand {
    /// Let an outside issuer vouch for a registration
    Add {
        /// The registration's id, client id or identifier URI
        registration: String,
        #[command(flatten)]
        new: federated::New,
    },
    /// The outside issuers of a registration
    List {
        /// The registration's id, client id or identifier URI
        registration: String,
    },
    /// Remove a federated credential
    Remove {
        /// The registration's id, client id or identifier URI
        registration: String,
        /// Its id
        credential: domain::CredentialId,
    },
}

#[derive(Debug, Deserialize, Serialize)]
struct Registration {
    id: String,
    client_id: String,
    principal: String,
    tenant: String,
    display_name: String,
    identifier_uris: Vec<String>,
    #[serde(default)]
    token_version: String,
    is_public: bool,
    single_use_assertions: bool,
    #[serde(default)]
    assignment_required: bool,
    #[serde(default)]
    app_roles: Vec<Role>,
    #[serde(default)]
    scopes: Vec<Scope>,
    #[serde(default)]
    redirect_uris: Vec<RedirectUri>,
    created: i64,
    credentials: Vec<Credential>,
    certificates: Vec<Certificate>,
    federated: Vec<Federated>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Credential {
    id: String,
    display_name: String,
    hint: String,
    start: i64,
    end: i64,
}

#[derive(Debug, Deserialize, Serialize)]
struct Certificate {
    id: String,
    display_name: String,
    subject: String,
    thumbprint: String,
    thumbprint_sha256: String,
    start: i64,
    end: i64,
}

/// Where codes of sign-ins may be sent.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct RedirectUri {
    uri: String,
    platform: String,
}

fn redirect_uri(text: &str) -> Result<RedirectUri, String> {
    let (platform, uri) =
        text.split_once('=').ok_or("PLATFORM=URI, such as web=https://shop.example/signed-in")?;
    match platform {
        "web" | "spa" | "publicClient" => {
            Ok(RedirectUri { uri: uri.to_owned(), platform: platform.to_owned() })
        }
        _ => Err("the platform is web, spa or publicClient".to_owned()),
    }
}

#[derive(Debug, Deserialize, Serialize)]
struct Role {
    id: String,
    value: Option<String>,
    display_name: String,
    description: String,
    for_users: bool,
    for_applications: bool,
    enabled: bool,
}

#[derive(Debug, Deserialize, Serialize)]
struct Scope {
    id: String,
    value: String,
    description: String,
    enabled: bool,
}

#[derive(Debug, Deserialize, Serialize)]
struct Assignment {
    id: String,
    role: String,
    value: Option<String>,
    principal: String,
    display_name: Option<String>,
    state: String,
    since: i64,
}

#[derive(Debug, Deserialize, Serialize)]
struct Made {
    id: String,
    secret: String,
    end: i64,
}

pub(crate) async fn registration(admin: &Admin, format: Format, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create { name, identifier_uris, redirect_uris, public, single_use_assertions } => {
            let new = serde_json::json!({
                "display_name": name, "identifier_uris": identifier_uris, "is_public": public,
                "single_use_assertions": single_use_assertions, "redirect_uris": redirect_uris,
            });
            let before: List<Registration> = admin.get("/v1/registrations").await?;
            let made: Registration = admin.ask(Method::POST, "/v1/registrations", &new).await?;
            show(format, &made);
            let client = &made.client_id;
            // As in Entra: a name is for people, and several may have it.
            if let Some(other) = before.value.iter().find(|one| one.display_name == made.display_name) {
                output::note(format_args!(
                    "Another registration has this name, too: keyless app-registration show {}",
                    other.client_id
                ));
            }
            if !public {
                output::note(format_args!(
                    "Give it a client secret: keyless app-registration credential add {client}"
                ));
            }
        }
        Command::List => list(admin, format).await?,
        Command::Show { registration } => {
            show(format, &admin.get::<Registration>(&path(&registration)).await?)
        }
        Command::Delete { registration } => {
            admin.order(Method::DELETE, &path(&registration)).await?;
            output::note("The registration is deleted, and its principal with it.");
        }
        Command::Update(args) => {
            let place = path(&args.registration);
            show(format, &admin.ask(Method::PATCH, &place, &changed(args)?).await?);
        }
        Command::Role(command) => role(admin, format, command).await?,
        Command::Scope(command) => scope(admin, format, command).await?,
        Command::Credential(command) => credential(admin, format, command).await?,
        Command::Federated(command) => federated_of(admin, format, command).await?,
    }
    Ok(())
}

fn changed(args: Update) -> Result<serde_json::Value, Failure> {
    let mut change = serde_json::Map::new();
    let mut put = |name: &str, value: Option<serde_json::Value>| {
        change.extend(value.map(|value| (name.to_owned(), value)));
    };
    let uris = Some(args.identifier_uris).filter(|uris| !uris.is_empty());
    let redirects = Some(args.redirect_uris).filter(|uris| !uris.is_empty());
    put("display_name", args.display_name.map(Into::into));
    put("identifier_uris", uris.map(Into::into));
    put("redirect_uris", redirects.map(|uris| serde_json::json!(uris)));
    put("token_version", args.token_version.map(Into::into));
    put("is_public", args.public.map(Into::into));
    put("single_use_assertions", args.single_use_assertions.map(Into::into));
    put("assignment_required", args.assignment_required.map(Into::into));
    if change.is_empty() {
        return Err(misuse("nothing is to be changed").next(
            "Give at least one of --display-name, --identifier-uri, --redirect-uri, --token-version, --public and the like; see --help.",
        ));
    }
    Ok(change.into())
}

async fn role(admin: &Admin, format: Format, command: RoleCommand) -> Result<(), Failure> {
    let assignments = |resource: &str| format!("/v1/app-roles/{}/assignments", segment(resource));
    match command {
        RoleCommand::Add { registration, value, display_name, description, for_users, for_applications } => {
            let new = serde_json::json!({
                "value": value, "display_name": display_name, "description": description,
                "for_users": for_users, "for_applications": for_applications,
            });
            let path = format!("{}/app-roles", path(&registration));
            let made: Role = admin.ask(Method::POST, &path, &new).await?;
            match format {
                Format::Json => output::json(&made),
                Format::Table => {
                    output::facts(&[("role", made.id), ("value", made.value.unwrap_or_default())])
                }
            }
        }
        RoleCommand::Remove { registration, role } => {
            let of: Registration = admin.get(&path(&registration)).await?;
            let known = of.app_roles.iter().map(|one| (one.id.as_str(), one.value.as_deref()));
            let id = offered(known, &role).ok_or_else(|| not_offered("app role", &registration, &role))?;
            admin.order(Method::DELETE, &format!("{}/offers/{id}", path(&registration))).await?;
            output::note("The role is taken away.");
        }
        RoleCommand::Assign { resource, role, whom } => {
            let asked = serde_json::json!({"role": role, "whom": whom});
            let made: Assignment = admin.ask(Method::POST, &assignments(&resource), &asked).await?;
            list_assignments(format, std::slice::from_ref(&made));
        }
        RoleCommand::Unassign { resource, role, whom } => {
            let asked = serde_json::json!({"role": role, "whom": whom});
            let sent = admin.send(Method::DELETE, &assignments(&resource), Some(&asked)).await;
            sent.map_err(|fault| admin.explain(fault))?;
            output::note("The role is taken from it: tokens from now on do not say it.");
        }
        RoleCommand::Assignments { resource } => {
            list_assignments(format, &admin.get::<List<Assignment>>(&assignments(&resource)).await?.value);
        }
    }
    Ok(())
}

/// The id of a role or scope that is named by its id or its value.
fn offered<'a>(known: impl Iterator<Item = (&'a str, Option<&'a str>)>, named: &str) -> Option<&'a str> {
    let mut by_value = None;
    for (id, value) in known {
        if id.eq_ignore_ascii_case(named) {
            return Some(id);
        }
        by_value = by_value.or_else(|| (value == Some(named)).then_some(id));
    }
    by_value
}

fn not_offered(what: &str, registration: &str, named: &str) -> Failure {
    Failure::new(format!("{registration} has no {what} {named}"))
        .next(format!("What it has: keyless app-registration show {registration}"))
        .lasting(true)
}

fn list_assignments(format: Format, all: &[Assignment]) {
    match format {
        Format::Json => output::json(&all),
        Format::Table => output::table(
            &["role", "who", "principal", "since"],
            all.iter().map(|one| {
                let role = one.value.clone().unwrap_or_else(|| one.role.clone());
                let name = whom::name(one.display_name.as_deref(), &one.state);
                vec![role, name, one.principal.clone(), output::time(one.since)]
            }),
            "Nobody has a role there.",
        ),
    }
}

async fn scope(admin: &Admin, format: Format, command: ScopeCommand) -> Result<(), Failure> {
    match command {
        ScopeCommand::Add { registration, value, description } => {
            let new = serde_json::json!({"value": value, "description": description});
            let made: Scope =
                admin.ask(Method::POST, &format!("{}/scopes", path(&registration)), &new).await?;
            match format {
                Format::Json => output::json(&made),
                Format::Table => output::facts(&[("scope", made.id), ("value", made.value)]),
            }
        }
        ScopeCommand::Remove { registration, scope } => {
            let of: Registration = admin.get(&path(&registration)).await?;
            let known = of.scopes.iter().map(|one| (one.id.as_str(), Some(one.value.as_str())));
            let id = offered(known, &scope).ok_or_else(|| not_offered("scope", &registration, &scope))?;
            admin.order(Method::DELETE, &format!("{}/offers/{id}", path(&registration))).await?;
            output::note("The scope is taken away.");
        }
    }
    Ok(())
}

async fn credential(admin: &Admin, format: Format, command: CredentialCommand) -> Result<(), Failure> {
    match command {
        CredentialCommand::Add { registration, name, certificate: Some(file), .. } => {
            let certificate = certificate_of(&file)?;
            let new = serde_json::json!({"display_name": name, "certificate": certificate});
            let path = format!("{}/certificates", path(&registration));
            let made: Certificate = admin.ask(Method::POST, &path, &new).await?;
            match format {
                Format::Json => output::json(&made),
                Format::Table => output::facts(&[
                    ("credential", made.id),
                    ("subject", made.subject),
                    ("thumbprint", made.thumbprint),
                    ("good until", output::time(made.end)),
                ]),
            }
        }
        CredentialCommand::Add { registration, name, days, certificate: None } => {
            let new = serde_json::json!({"display_name": name, "lifetime_days": days});
            let made: Made = admin.ask(Method::POST, &credentials(&registration), &new).await?;
            match format {
                Format::Json => output::json(&made),
                Format::Table => output::facts(&[
                    ("credential", made.id),
                    ("secret", made.secret),
                    ("good until", output::time(made.end)),
                ]),
            }
            output::shown_once(
                "secret",
                format_args!("keyless app-registration credential add {registration}"),
            );
        }
        CredentialCommand::List { registration } => {
            let one: Registration = admin.get(&path(&registration)).await?;
            if format == Format::Json {
                let both =
                    serde_json::json!({"credentials": one.credentials, "certificates": one.certificates});
                output::json(&both);
                return Ok(());
            }
            let secrets = one.credentials.into_iter().map(|secret| {
                vec![
                    "secret".to_owned(),
                    secret.id,
                    format!("{}...", secret.hint),
                    secret.display_name,
                    output::time(secret.end),
                ]
            });
            let certificates = one.certificates.into_iter().map(|certificate| {
                let (name, end) = (certificate.display_name, output::time(certificate.end));
                vec!["certificate".to_owned(), certificate.id, certificate.thumbprint, name, end]
            });
            output::table(
                &["kind", "id", "hint or thumbprint", "name", "good until"],
                secrets.chain(certificates),
                "It has neither client secrets nor certificates.",
            );
        }
        CredentialCommand::Remove { registration, credential } => {
            remove(admin, &registration, credential).await?;
        }
    }
    Ok(())
}

async fn federated_of(admin: &Admin, format: Format, command: FederatedCommand) -> Result<(), Failure> {
    match command {
        FederatedCommand::Add { registration, new } => {
            let path = format!("{}/federated", path(&registration));
            federated::show(format, admin.ask(Method::POST, &path, &new.body()?).await?);
        }
        FederatedCommand::List { registration } => {
            let one: Registration = admin.get(&path(&registration)).await?;
            federated::list(format, one.federated);
        }
        FederatedCommand::Remove { registration, credential } => {
            remove(admin, &registration, credential).await?;
        }
    }
    Ok(())
}

async fn remove(admin: &Admin, registration: &str, credential: domain::CredentialId) -> Result<(), Failure> {
    admin.order(Method::DELETE, &format!("{}/{credential}", credentials(registration))).await?;
    output::note("The credential is removed.");
    Ok(())
}

/// The certificate of a file, PEM. Clients like to have it in one file with its private key, which is nobody's business but theirs.
fn certificate_of(file: &Path) -> Result<String, Failure> {
    const BYTES_MAX: usize = 64 * 1024;
    let bytes = files::read(file, BYTES_MAX, "the certificate")?;
    certificate_in(bytes.expose()).ok_or_else(|| {
        Failure::new(format!("{} has no certificate in it, neither PEM nor DER", file.display()))
    })
}

fn certificate_in(bytes: &[u8]) -> Option<String> {
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    if bytes.first() == Some(&0x30) {
        return Some(format!("{begin}\n{}\n{end}\n", crypt::encoding::base64(bytes)));
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let (_, rest) = text.split_once(begin)?;
    let (body, _) = rest.split_once(end)?;
    Some(format!("{begin}{body}{end}\n"))
}

async fn list(admin: &Admin, format: Format) -> Result<(), Failure> {
    let registrations: List<Registration> = admin.get("/v1/registrations").await?;
    match format {
        Format::Json => output::json(&registrations.value),
        Format::Table => output::table(
            &["name", "client id", "secrets", "certificates", "federated", "created"],
            registrations.value.iter().map(|one| {
                vec![
                    one.display_name.clone(),
                    one.client_id.clone(),
                    one.credentials.len().to_string(),
                    one.certificates.len().to_string(),
                    one.federated.len().to_string(),
                    output::time(one.created),
                ]
            }),
            "There are no app registrations. Make one: keyless app-registration create NAME",
        ),
    }
    Ok(())
}

fn show(format: Format, one: &Registration) {
    if format == Format::Json {
        return output::json(one);
    }
    let mut facts = vec![
        ("name", one.display_name.clone()),
        ("id", one.id.clone()),
        ("client id", one.client_id.clone()),
        ("principal", one.principal.clone()),
        ("tenant", one.tenant.clone()),
        ("created", output::time(one.created)),
    ];
    facts.extend(one.identifier_uris.iter().map(|uri| ("identifier", uri.clone())));
    facts.extend(
        Some(("tokens", format!("version {}", one.token_version))).filter(|_| !one.token_version.is_empty()),
    );
    facts.extend(one.redirect_uris.iter().map(|to| ("redirect", format!("{}={}", to.platform, to.uri))));
    facts.extend(one.app_roles.iter().map(|role| {
        ("app role", format!("{}  {}", role.id, role.value.as_deref().unwrap_or(&role.display_name)))
    }));
    facts.extend(one.scopes.iter().map(|scope| ("scope", format!("{}  {}", scope.id, scope.value))));
    if one.assignment_required {
        facts.push(("assignment", "required".to_owned()));
    }
    facts.extend(one.credentials.iter().map(|credential| {
        let (hint, name) = (&credential.hint, &credential.display_name);
        (
            "credential",
            format!("{}  {hint}...  {name}, until {}", credential.id, output::time(credential.end)),
        )
    }));
    facts.extend(one.certificates.iter().map(|certificate| {
        let (thumbprint, name) = (&certificate.thumbprint, &certificate.display_name);
        let end = output::time(certificate.end);
        ("certificate", format!("{}  {thumbprint}  {name}, until {end}", certificate.id))
    }));
    facts.extend(one.federated.iter().map(|federated| {
        let Federated { id, issuer, subject, .. } = federated;
        ("federated", format!("{id}  {issuer}  {subject}"))
    }));
    if one.is_public {
        facts.push(("public", "it has no credentials".to_owned()));
    }
    if one.single_use_assertions {
        facts.push(("assertions", "good once".to_owned()));
    }
    output::facts(&facts);
}

fn path(registration: &str) -> String {
    format!("/v1/registrations/{}", segment(registration))
}

fn credentials(registration: &str) -> String {
    format!("{}/credentials", path(registration))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Parser, error::ErrorKind};

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(subcommand)]
        command: Command,
    }

    fn parse(line: &str) -> Result<Command, ErrorKind> {
        let words = std::iter::once("keyless").chain(line.split(' '));
        Cli::try_parse_from(words).map(|cli| cli.command).map_err(|error| error.kind())
    }

    #[test]
    fn an_update_says_what_is_to_be_changed() {
        let change = |line: &str| match parse(line) {
            Ok(Command::Update(args)) => changed(args),
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(change("update x").unwrap_err().exit_code(), crate::failure::USAGE);
        assert_eq!(
            change("update x --token-version 2.0").unwrap(),
            serde_json::json!({"token_version": "2.0"})
        );
        assert_eq!(parse("update x --token-version 3").unwrap_err(), ErrorKind::InvalidValue);
    }

    #[test]
    fn a_role_is_named_by_its_id_or_its_value() {
        let known = || [("1a", Some("Read")), ("2b", None), ("3c", Some("1a"))].into_iter();
        for (named, id) in
            [("Read", Some("1a")), ("1A", Some("1a")), ("2b", Some("2b")), ("read", None), ("", None)]
        {
            assert_eq!(offered(known(), named), id, "{named}");
        }
    }

    #[test]
    fn a_certificate_leaves_its_key_behind() {
        let (certificate, key) = (
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
            "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n",
        );
        for bundle in [format!("{key}{certificate}"), format!("Bag\n{certificate}{key}{certificate}")] {
            assert_eq!(certificate_in(bundle.as_bytes()).as_deref(), Some(certificate));
        }
        assert_eq!(
            certificate_in(&[0x30, 0x82]).unwrap(),
            "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n"
        );
        for nothing in [&b""[..], key.as_bytes(), b"\xff", b"-----BEGIN CERTIFICATE-----"] {
            assert_eq!(certificate_in(nothing), None);
        }
    }
}
