//! What can be done to an installation with no server running on it: prove the recovery key, verify the audit log.
//!
//! A running server does the same by its admin socket (`crate::admin`), since it holds the store.

use crate::{
    anchor,
    config::Config,
    data::{DataDir, Layout},
    error::StartError,
    seal::{self, Recovered},
};
use crypt::{Key256, SystemEntropy};
use domain::Secret;
use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt, path::Path};
use store::{Redb, RedbOptions, Store};

/// The label of the audit log's key below the root key.
pub(crate) const AUDIT_KEY: &str = "audit";

/// Opens the store of an installation.
pub(crate) fn open_store(config: &Config, layout: &Layout) -> Result<Redb, StartError> {
    let path = layout.store();
    // Made by us, so that it is closed to others whatever the process's umask is.
    let made = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
    made.map_err(|source| StartError::File { path: path.clone(), source })?;
    Redb::open(&path, options(config)).map_err(|error| match error.is_damaged() {
        true => StartError::StoreDamaged(error),
        false => error.into(),
    })
}

fn options(config: &Config) -> RedbOptions {
    // Hot entries are decoded, and shared between requests; pages are what leads to all the others, and the system has them too.
    let cache = usize::try_from(config.store_cache.0).unwrap_or(usize::MAX);
    // What is not in the file yet is as much as is worth a transaction, unless memory is scarce.
    let layer_bytes = RedbOptions::default().layer_bytes.min(cache / 3 * 2);
    RedbOptions { page_cache_bytes: cache / 2, entry_cache_bytes: cache / 2, layer_bytes }
}

pub use audit::Verified as AuditVerified;

/// What [`verify_audit`] found, whole or not.
pub type AuditVerdict = Result<AuditVerified, audit::Fault>;

/// Proves a recovery key, and mends or changes the opener in daily use. `wanted` is the file of a passphrase that is to open the root key from now
/// on; that of the configuration is the one that does so today.
///
/// # Errors
/// [`StartError`]; [`StartError::AlreadyRunning`] means that the running server must be asked.
pub async fn recover(
    config: &Config,
    wanted: Option<&Path>,
    typed: &Secret<String>,
) -> Result<Recovered, StartError> {
    let data = DataDir::open_existing(&config.data_dir)?;
    let store = open_store(config, data.layout())?;
    let passphrases = (config.passphrase_file.as_deref(), wanted);
    Ok(seal::recover(&store, data.layout(), passphrases, typed, &SystemEntropy).await?)
}

/// Reads all of the store, and holds each page and each frame of its log against its checksum: whoever merely reads a page takes it as it is.
///
/// # Errors
/// [`StartError::Store`] if it is not as it was written; [`StartError::AlreadyRunning`] while a server holds it.
pub fn verify_store(config: &Config) -> Result<store::Sound, StartError> {
    let data = DataDir::open_existing(&config.data_dir)?;
    Ok(Redb::verify(&data.layout().store(), options(config))?)
}

/// Verifies the audit log.
///
/// # Errors
/// [`StartError`]; [`StartError::AlreadyRunning`] means that the running server must be asked.
pub async fn verify_audit(config: &Config) -> Result<AuditVerdict, StartError> {
    let data = DataDir::open_existing(&config.data_dir)?;
    let store = open_store(config, data.layout())?;
    let passphrase = config.passphrase_file.as_deref();
    let unsealed = seal::unseal_existing(&store, data.layout(), passphrase).await?;
    verify(&store, data.layout(), &unsealed.root.derive(AUDIT_KEY)).await
}

/// The same with store and key at hand.
pub(crate) async fn verify(
    store: &dyn Store,
    layout: &Layout,
    key: &Key256,
) -> Result<AuditVerdict, StartError> {
    loop {
        let (begin, anchor) = (anchor::begin(store).await?, anchor::load(store).await?);
        let verdict = audit::verify(&layout.audit(), key, begin.as_ref(), anchor.as_ref());
        // What has expired meanwhile is not missing.
        if verdict.is_ok() || anchor::begin(store).await? == begin {
            return Ok(verdict);
        }
    }
}

/// The last lines of the audit log, oldest first. Needs no key: the log is to be read by its owner.
///
/// # Errors
/// [`StartError::NothingHere`]; the log's.
pub fn tail_audit(config: &Config, count: usize) -> Result<Vec<String>, StartError> {
    let layout = Layout::of(&config.data_dir);
    // A log that was put aside is read without its store.
    if !layout.is_installed() && !layout.audit().exists() {
        return Err(layout.nothing_here());
    }
    Ok(audit::tail(&layout.audit(), count)?)
}
