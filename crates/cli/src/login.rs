//! `keyless login`, `keyless logout` and `keyless token`: people as themselves, by the grants that every client uses (device code, and
//! authorization code with PKCE in a browser).

mod browser;
pub(crate) mod kept;
mod shown;

use crate::{
    Global,
    failure::Failure,
    https::{Authority, Https, Reach},
    output::{self, Format},
    status::Status,
};
use clap::{Args as ClapArgs, Subcommand};
use domain::Secret;
use http::{HeaderValue, Method, StatusCode, header};
use kept::{Locked, Login};
use serde::Deserialize;
use server::Layout;
use std::{fmt::Write as _, path::PathBuf, time::Duration};

/// The client id of this command: one of those that every tenant knows.
const CLIENT: &str = "7b6c5e0d-2f4a-4d1c-9e83-6b65796c6573";
/// Beside the resource's own.
const OPENID: &str = "openid profile offline_access";

#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, ClapArgs)]
struct How {
    /// Show a code to type into a browser, on this machine or another; usual where no browser can be opened
    #[arg(long, conflicts_with = "browser")]
    device_code: bool,
    /// Open a browser on this machine
    #[arg(long)]
    browser: bool,
    /// The directory, such as `https://login.example.org` [default: the installation's own on this machine]
    #[arg(long, value_name = "URL", requires = "ca_file")]
    server: Option<String>,
    /// The certificate of the authority that the directory is trusted by, PEM [default: the installation's own]
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Who is logged in here, as the directory sees it now
    Whoami,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// What a token says: its header and claims, without the signature that makes it good
    Show {
        /// Of whoever is logged in, for this resource [default: the vaults]
        #[arg(long, value_name = "URI", conflicts_with = "file")]
        resource: Option<String>,
        /// Of this file, or of standard input for `-`
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

/// The answer of the token endpoint.
#[derive(Deserialize)]
struct Tokens {
    access_token: Secret<String>,
    refresh_token: Option<Secret<String>>,
    id_token: Option<Secret<String>>,
    expires_in: i64,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    error_description: String,
}

#[derive(Deserialize)]
struct Started {
    device_code: Secret<String>,
    message: String,
    expires_in: u64,
    interval: u64,
}

#[derive(Deserialize)]
struct IdClaims {
    tid: String,
    oid: String,
    preferred_username: String,
}

/// What the token endpoint said.
enum Answer {
    Granted(Tokens),
    Refused(Refusal),
}

pub(crate) async fn login(global: &Global, args: Args) -> Result<(), Failure> {
    match args.command {
        Some(Command::Whoami) => whoami(global).await,
        None => begin(global, &args.how).await,
    }
}

async fn begin(global: &Global, how: &How) -> Result<(), Failure> {
    let config = global.config(Vec::new())?;
    let (server, is_local) = match &how.server {
        Some(server) => (server.trim_end_matches('/').to_owned(), false),
        // The one that runs knows better than the configuration: its port and domain may be of its command line.
        None => {
            let told = global.admin()?.get::<Status>("/v1/status").await;
            (told.map_or_else(|_| config.names().login_base(), |status| status.login), true)
        }
    };
    let ca_file = how.ca_file.clone().unwrap_or_else(|| Layout::of(&config.data_dir).authority());
    let authority = std::fs::read_to_string(&ca_file).map_err(|error| {
        Failure::new(format!("cannot read {}: {error}", ca_file.display()))
            .next("ask the administrator for the authority's certificate, and name it with --ca-file")
    })?;
    let reach = if is_local { Reach::Loopback } else { Reach::ByName };
    let https = Https::to(&server, Authority::of_pem(authority.as_bytes())?, reach)?;
    let uses_browser = how.browser || !how.device_code && browser::can_be_opened();
    let tokens = match uses_browser {
        true => browser::sign_in(&https, &server).await?,
        false => with_device_code(&https).await?,
    };
    let missing = || Failure::new("the directory's answer lacks a token");
    let id: IdClaims = shown::claims(&tokens.id_token.ok_or_else(missing)?)?;
    let refresh_token = tokens.refresh_token.ok_or_else(missing)?;
    let user_name = id.preferred_username.clone();
    let login =
        Login::new(server, is_local, authority, [id.tid, id.oid, id.preferred_username], refresh_token);
    Locked::open()?.write(&login)?;
    output::note(format_args!("You are logged in as {user_name}. `keyless logout` ends it."));
    Ok(())
}

/// Shows a code and waits until somebody has typed it in a browser (RFC 8628).
async fn with_device_code(https: &Https) -> Result<Tokens, Failure> {
    let form = [("client_id", CLIENT), ("scope", OPENID)];
    let (status, body) = post(https, "/organizations/oauth2/v2.0/devicecode", &form).await?;
    if status != StatusCode::OK {
        return Err(refused(&parse::<Refusal>(&body)?));
    }
    let started: Started = parse(&body)?;
    output::note(&started.message);
    let interval = started.interval.clamp(1, 60);
    let mut left = started.expires_in;
    loop {
        tokio::time::sleep(Duration::from_secs(interval)).await;
        let form = [
            ("client_id", CLIENT),
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", started.device_code.expose()),
        ];
        match ask(https, &form).await? {
            Answer::Granted(tokens) => return Ok(tokens),
            Answer::Refused(refusal) if refusal.error == "authorization_pending" && left > interval => {
                left -= interval;
            }
            Answer::Refused(refusal) => return Err(refused(&refusal)),
        }
    }
}

/// A token of whoever is logged in, for a resource.
pub(crate) async fn token(resource: &str) -> Result<Secret<String>, Failure> {
    let scope = format!("{resource}/.default {OPENID}");
    Ok(fresh(resource, &scope, false).await?.0)
}

/// The same, asked for anew: what was kept is not good any more, as after `signing-key revoke`.
pub(crate) async fn another_token(resource: &str) -> Result<Secret<String>, Failure> {
    let scope = format!("{resource}/.default {OPENID}");
    Ok(fresh(resource, &scope, true).await?.0)
}

/// A token, from what is kept if it may be; and the claims of the id token that came with it.
async fn fresh(
    resource: &str,
    scope: &str,
    is_asked_anew: bool,
) -> Result<(Secret<String>, Option<IdClaims>), Failure> {
    let nobody = || Failure::new("nobody is logged in").next("`keyless login` logs you in.");
    let now = now();
    let mut locked = Locked::open()?;
    let Some(mut login) = locked.read()? else {
        Login::forget()?;
        return Err(nobody());
    };
    if let Some(token) = login.access_token(resource, now).filter(|_| !is_asked_anew) {
        return Ok((token, None));
    }
    let https = Https::to(&login.server, login.authority()?, login.reach())?;
    let form = [
        ("client_id", CLIENT),
        ("grant_type", "refresh_token"),
        ("refresh_token", login.refresh_token().expose()),
        ("scope", scope),
    ];
    let tokens = match ask(&https, &form).await? {
        Answer::Granted(tokens) => tokens,
        Answer::Refused(refusal) => return Err(refused(&refusal).next("`keyless login` logs you in again.")),
    };
    let token = tokens.access_token;
    login.renew(tokens.refresh_token, resource, &token, now + tokens.expires_in, now);
    locked.write(&login)?;
    let id = tokens.id_token.as_ref().map(shown::claims).transpose()?;
    Ok((token, id))
}

/// Refuses a login of another installation than the one whose data directory was said. If that one does not answer, nobody knows.
async fn is_here(global: &Global, login: &Login) -> Result<(), Failure> {
    let Some(admin) = global.named_admin()? else { return Ok(()) };
    match admin.get::<Status>("/v1/status").await {
        Ok(status) if !login.is_of(&status) => Err(Failure::new(format!("not {}", login.elsewhere(&status)))
            .next("Without --data-dir and KEYLESS_DATA_DIR the command is about the login, wherever it is.")),
        Ok(_) | Err(_) => Ok(()),
    }
}

async fn whoami(global: &Global) -> Result<(), Failure> {
    if let Some(login) = Login::load()? {
        is_here(global, &login).await?;
    }
    let scope = format!("User.Read {OPENID}");
    let (_, id) = fresh("graph", &scope, true).await?;
    let id = id.ok_or_else(|| Failure::new("the directory's answer lacks a token"))?;
    let server = Login::load()?.map(|login| login.server.clone()).unwrap_or_default();
    match global.output {
        Format::Table => output::facts(&[
            ("user", id.preferred_username),
            ("id", id.oid),
            ("tenant", id.tid),
            ("directory", server),
        ]),
        Format::Json => output::json(&serde_json::json!({
            "user": id.preferred_username, "id": id.oid, "tenant": id.tid, "directory": server,
        })),
    }
    Ok(())
}

/// `keyless logout`: forgets the login here, and has the directory revoke what came from it.
pub(crate) async fn logout(global: &Global) -> Result<(), Failure> {
    let mut locked = Locked::open()?;
    let login = locked.read();
    if let Ok(Some(login)) = &login {
        is_here(global, login).await?;
    }
    Login::forget()?;
    let Some(login) = login? else {
        output::note("Nobody was logged in here.");
        return Ok(());
    };
    let https = Https::to(&login.server, login.authority()?, login.reach())?;
    let form = [("client_id", CLIENT), ("token", login.refresh_token().expose())];
    match post(&https, "/organizations/oauth2/v2.0/revoke", &form).await {
        Ok((StatusCode::OK, _)) => output::note("You are logged out."),
        Ok(_) | Err(_) => output::warn(
            "you are logged out here, but the directory could not be told: tokens that were copied from here are good until they expire",
        ),
    }
    Ok(())
}

pub(crate) async fn show(global: &Global, command: TokenCommand) -> Result<(), Failure> {
    let TokenCommand::Show { resource, file } = command;
    if let (None, Some(login)) = (&file, Login::load()?) {
        is_here(global, &login).await?;
    }
    let token = match (file, resource) {
        (Some(file), _) => shown::read(&file)?,
        (None, Some(resource)) => token(&resource).await?,
        (None, None) => {
            let vaults = Login::load()?.map(|login| login.resource_of_vaults()).unwrap_or_default();
            token(&vaults).await?
        }
    };
    shown::show(global.output, &token)
}

async fn ask(https: &Https, form: &[(&str, &str)]) -> Result<Answer, Failure> {
    let (status, body) = post(https, "/organizations/oauth2/v2.0/token", form).await?;
    Ok(match status {
        StatusCode::OK => Answer::Granted(parse(&body)?),
        _ => Answer::Refused(parse(&body)?),
    })
}

async fn post(
    https: &Https,
    path: &str,
    form: &[(&str, &str)],
) -> Result<(StatusCode, Secret<Vec<u8>>), Failure> {
    // Room for all of it from the start: growing would leave copies of a secret behind.
    let mut body =
        String::with_capacity(form.iter().map(|(name, value)| name.len() + 3 * value.len() + 2).sum());
    for (name, value) in form {
        let separator = if body.is_empty() { "" } else { "&" };
        let _never_fails = write!(body, "{separator}{name}=");
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    body.push(char::from(byte))
                }
                _ => drop(write!(body, "%{byte:02X}")),
            }
        }
    }
    let content = HeaderValue::from_static("application/x-www-form-urlencoded");
    let headers = [(header::CONTENT_TYPE, content)];
    let body = Some(Secret::new(body.into_bytes()));
    let (status, body) = https.send(&Method::POST, path, &headers, body).await?;
    Ok((status, Secret::new(body.to_vec())))
}

fn parse<T: for<'de> Deserialize<'de>>(body: &Secret<Vec<u8>>) -> Result<T, Failure> {
    serde_json::from_slice(body.expose()).map_err(|_| {
        Failure::new("the directory's answer is not understood").next("is the URL that of a directory?")
    })
}

/// The directory's own words, without the ids that only its log knows.
fn refused(refusal: &Refusal) -> Failure {
    let text = refusal.error_description.split(" Trace ID: ").next().unwrap_or_default();
    Failure::new(format!("not logged in: {text}"))
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
