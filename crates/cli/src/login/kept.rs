//! The login as it is kept between commands: a file of the user's own, for their eyes only.
//!
//! Owns: where it is, its lock, and what is in it: who, at which server, the refresh token, and the access tokens that are good for a while.
//! Owns not: how any of these is got (`login`). A refresh token is replaced when it is used, so whoever uses it holds the file's lock until the next one is in it.

use crate::{
    failure::Failure,
    https::{Authority, Reach},
    status::Status,
};
use domain::Secret;
use serde::{Deserialize, Serialize, Serializer};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::PathBuf,
};

/// An access token is asked for anew when it is good for less than this, in seconds.
const SPARE_SECONDS: i64 = 300;

/// Somebody who is logged in.
#[derive(Deserialize, Serialize)]
pub(crate) struct Login {
    /// The directory's base, such as `https://login.keyless.localhost:8443`.
    pub(crate) server: String,
    /// Is it on this machine?
    pub(crate) is_local: bool,
    /// The certificate of the authority that it is trusted by, PEM.
    pub(crate) authority: String,
    /// The tenant's id.
    pub(crate) tenant: String,
    /// The user's id.
    pub(crate) user: String,
    /// The user's name.
    pub(crate) user_name: String,
    #[serde(serialize_with = "in_the_file")]
    refresh_token: Secret<String>,
    #[serde(default)]
    access_tokens: BTreeMap<String, Kept>,
}

#[derive(Deserialize, Serialize)]
struct Kept {
    #[serde(serialize_with = "in_the_file")]
    token: Secret<String>,
    expires: i64,
}

/// The one place where these are written: the file is their owner's.
fn in_the_file<S: Serializer>(secret: &Secret<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

impl Login {
    /// A fresh one.
    pub(crate) fn new(
        server: String,
        is_local: bool,
        authority: String,
        [tenant, user, user_name]: [String; 3],
        refresh_token: Secret<String>,
    ) -> Self {
        let access_tokens = BTreeMap::new();
        Self { server, is_local, authority, tenant, user, user_name, refresh_token, access_tokens }
    }

    /// Who is logged in, if anybody is.
    pub(crate) fn load() -> Result<Option<Self>, Failure> {
        match fs::read(path()?) {
            Ok(bytes) => Ok(Some(parse(Secret::new(bytes))?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Forgets who is logged in. Was anybody?
    pub(crate) fn forget() -> Result<bool, Failure> {
        match fs::remove_file(path()?) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Is it of the installation that says this of itself? A copy of one has its tenant, at another place.
    pub(crate) fn is_of(&self, status: &Status) -> bool {
        self.tenant.eq_ignore_ascii_case(&status.tenant) && self.server.eq_ignore_ascii_case(&status.login)
    }

    /// Who is not asked for at an installation that it is not of, and why.
    pub(crate) fn elsewhere(&self, status: &Status) -> String {
        let Self { user_name, server, tenant, .. } = self;
        format!("{user_name}: the login is at {server}/{tenant}, this is {}/{}", status.login, status.tenant)
    }

    /// The authority by which the server is trusted.
    pub(crate) fn authority(&self) -> Result<Authority, Failure> {
        Authority::of_pem(self.authority.as_bytes())
    }

    /// How the server is found.
    pub(crate) const fn reach(&self) -> Reach {
        if self.is_local { Reach::Loopback } else { Reach::ByName }
    }

    /// Host and port below which the vaults are.
    pub(crate) fn vault_parent(&self) -> String {
        let host = self.server.strip_prefix("https://").unwrap_or(&self.server);
        format!("vault.{}", host.strip_prefix("login.").unwrap_or(host))
    }

    /// What tokens for the vaults are asked for by.
    pub(crate) fn resource_of_vaults(&self) -> String {
        format!("https://{}", self.vault_parent())
    }

    /// An access token for a resource that is good for a while yet.
    pub(crate) fn access_token(&self, resource: &str, now: i64) -> Option<Secret<String>> {
        let kept = self.access_tokens.get(resource)?;
        (kept.expires - now > SPARE_SECONDS).then(|| kept.token.duplicate())
    }

    /// The refresh token.
    pub(crate) const fn refresh_token(&self) -> &Secret<String> {
        &self.refresh_token
    }

    /// Takes the next refresh token, and an access token for a resource.
    pub(crate) fn renew(
        &mut self,
        refresh_token: Option<Secret<String>>,
        resource: &str,
        token: &Secret<String>,
        expires: i64,
        now: i64,
    ) {
        if let Some(next) = refresh_token {
            self.refresh_token = next;
        }
        self.access_tokens.retain(|_, kept| kept.expires > now);
        self.access_tokens.insert(resource.to_owned(), Kept { token: token.duplicate(), expires });
    }
}

/// The file, and nobody else at it.
pub(crate) struct Locked(File);

impl Locked {
    /// Makes the file if there is none, and waits for whoever is at it.
    pub(crate) fn open() -> Result<Self, Failure> {
        let path = path()?;
        if let Some(folder) = path.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(|error| failed(&error))?;
        }
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path);
            let file = file.map_err(|error| failed(&error))?;
            file.lock().map_err(|error| failed(&error))?;
            // Somebody may have logged out between the two.
            let is_there = fs::metadata(&path).is_ok_and(|there| {
                use std::os::unix::fs::MetadataExt;
                file.metadata().is_ok_and(|own| own.ino() == there.ino())
            });
            if is_there {
                return Ok(Self(file));
            }
        }
    }

    /// What is in it now.
    pub(crate) fn read(&mut self) -> Result<Option<Login>, Failure> {
        // Room for all of it from the start: growing would leave copies behind.
        let length = self.0.metadata().map_or(0, |metadata| metadata.len());
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1);
        self.0.rewind().and_then(|()| self.0.read_to_end(&mut bytes)).map_err(|error| failed(&error))?;
        if bytes.is_empty() { Ok(None) } else { parse(Secret::new(bytes)).map(Some) }
    }

    /// Writes it anew.
    pub(crate) fn write(&mut self, login: &Login) -> Result<(), Failure> {
        let bytes = serde_json::to_vec(login).map(Secret::new);
        let bytes = bytes.map_err(|error| Failure::new(format!("the login cannot be kept: {error}")))?;
        self.0
            .rewind()
            .and_then(|()| self.0.write_all(bytes.expose()))
            .and_then(|()| self.0.set_len(bytes.expose().len() as u64))
            .and_then(|()| self.0.sync_data())
            .map_err(|error| failed(&error))
    }
}

fn parse(bytes: Secret<Vec<u8>>) -> Result<Login, Failure> {
    serde_json::from_slice(bytes.expose()).map_err(|_| {
        Failure::new("the kept login is not understood").next("`keyless logout`, then `keyless login` again.")
    })
}

fn failed(error: &io::Error) -> Failure {
    Failure::new(format!("the login's file cannot be used: {error}"))
}

fn path() -> Result<PathBuf, Failure> {
    Ok(folder()?.join("login.json"))
}

/// Where commands keep what is the person's, below the user's state directory (XDG base directory specification).
pub(crate) fn folder() -> Result<PathBuf, Failure> {
    let state = crate::variable("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || crate::variable("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let state = state
        .or_else(home)
        .ok_or_else(|| Failure::new("there is no place for a login").next("set HOME, or XDG_STATE_HOME"))?;
    Ok(state.join("keyless"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_of_one_installation_at_one_place() {
        let status = |login: &str, tenant: &str| {
            let status = serde_json::json!({
                "version": "0", "started": 0, "listen": [], "data": "/", "hosts_file": "", "capabilities": [], "warnings": [], "now": 0,
                "domain": "x.example", "port": 8443, "tenant": tenant, "login": login, "audit_failing": false,
                "counts": {"apps": 0, "workloads": 0, "workloads_unenforced": 0, "vaults": 0},
            });
            serde_json::from_value::<Status>(status).unwrap()
        };
        let who = ["t-1", "u-1", "ada@x.example"].map(str::to_owned);
        let server = "https://login.x.example:8443";
        let login = Login::new(server.to_owned(), true, String::new(), who, Secret::new(String::new()));
        assert!(login.is_of(&status("https://login.X.example:8443", "T-1")));
        // Another one that came to its place, and a copy of it at another.
        for (at, tenant) in [(server, "t-2"), ("https://login.x.example:9443", "t-1")] {
            let other = status(at, tenant);
            assert!(!login.is_of(&other), "{at} {tenant}");
            let told = format!("ada@x.example: the login is at {server}/t-1, this is {at}/{tenant}");
            assert_eq!(login.elsewhere(&other), told);
        }
    }
}
