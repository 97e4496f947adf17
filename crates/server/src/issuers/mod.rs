//! The keys of outside issuers, as they publish them (OpenID Connect Discovery 1.0): kept for a while, fetched again when one is missing.
//!
//! Owns: how long keys are good, how often an issuer is asked. Owns not: which issuers are trusted (`directory::federation`, which asks
//! only for those), the connection (`fetch`).
//! Decision: ADR 0014.

mod fetch;
mod place;

use crate::hands::Hands;
use crypt::IssuerKey;
use directory::{Fetched, IssuerFault, IssuerKeys};
use domain::{Timestamp, limits};
use fetch::Fetcher;
pub(crate) use fetch::certificates;
use place::Place;
use serde::Deserialize;
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Issuers that are remembered. Ours: far more than an installation trusts; those that it trusts no more must not stay for ever.
const REMEMBERED_MAX: usize = 1_000;

/// What an operator decides about outside issuers.
#[derive(Clone, Debug, Default)]
pub(crate) struct IssuerSettings {
    /// Certificates that are trusted besides the system's, PEM.
    pub(crate) ca_file: Option<PathBuf>,
    /// Whether issuers on this machine may be asked, also without TLS. For tests.
    pub(crate) loopback: bool,
    /// Looks up names and reads certificates.
    pub(crate) hands: Hands,
}

/// The issuers that were asked.
pub(crate) struct Issuers {
    fetcher: Fetcher,
    settings: IssuerSettings,
    known: Mutex<HashMap<String, Arc<Issuer>>>,
    patience: Duration,
}

/// One of them. Who needs what is known does not wait for others who need more.
#[derive(Default)]
struct Issuer {
    known: Mutex<Known>,
    /// Held while it is asked: many who wait for one answer.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    keys: Option<(Arc<Vec<IssuerKey>>, Timestamp)>,
    tried: Option<Timestamp>,
    fault: Option<IssuerFault>,
}

impl Issuer {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// What can be said without asking: the keys, if the one that is needed is among them; or what there is, if it was just asked.
    fn answer(&self, kid: Option<&str>, now: Timestamp) -> Option<Result<Arc<Vec<IssuerKey>>, IssuerFault>> {
        let fresh = self.fresh(now);
        let is_there = |keys: &[IssuerKey]| {
            kid.is_none_or(|kid| keys.iter().any(|key| key.kid.as_deref().is_none_or(|own| own == kid)))
        };
        if let Some(keys) = fresh.as_ref().filter(|keys| is_there(keys)) {
            return Some(Ok(keys.clone()));
        }
        self.tried.filter(|tried| is_within(*tried, limits::ISSUER_FETCH_INTERVAL, now))?;
        let fault = || self.fault.clone().unwrap_or_else(|| IssuerFault("it was just asked".to_owned()));
        Some(fresh.ok_or_else(fault))
    }

    fn fresh(&self, now: Timestamp) -> Option<Arc<Vec<IssuerKey>>> {
        let (keys, fetched) = self.keys.as_ref()?;
        is_within(*fetched, limits::ISSUER_KEYS_LIFETIME, now).then(|| keys.clone())
    }
}

/// Clocks that went back make nothing fresher.
fn is_within(since: Timestamp, span: Duration, now: Timestamp) -> bool {
    since <= now && now < since.plus(span)
}

/// A discovery document: what is looked at of it.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
}

impl Issuers {
    pub(crate) fn new(settings: IssuerSettings) -> Self {
        Self {
            fetcher: Fetcher::new(settings.clone()),
            settings,
            known: Mutex::default(),
            patience: limits::ISSUER_FETCH_TIME_MAX,
        }
    }

    async fn current(
        &self,
        issuer: &str,
        kid: Option<&str>,
        now: Timestamp,
    ) -> Result<Arc<Vec<IssuerKey>>, IssuerFault> {
        let one = self.remembered(issuer);
        if let Some(answer) = one.known().answer(kid, now) {
            return answer;
        }
        let _alone = one.asking.lock().await;
        // Somebody else may have asked meanwhile.
        if let Some(answer) = one.known().answer(kid, now) {
            return answer;
        }
        one.known().tried = Some(now);
        let asked = tokio::time::timeout(self.patience, self.ask(issuer)).await;
        let asked = asked.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        let mut known = one.known();
        match asked {
            Ok(keys) => {
                let keys = Arc::new(keys);
                (known.keys, known.fault) = (Some((keys.clone(), now)), None);
                Ok(keys)
            }
            Err(why) => {
                tracing::warn!(issuer, why, "the keys of an issuer cannot be fetched");
                let fault = IssuerFault(why);
                known.fault = Some(fault.clone());
                known.fresh(now).ok_or(fault)
            }
        }
    }

    fn remembered(&self, issuer: &str) -> Arc<Issuer> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED_MAX && !known.contains_key(issuer) {
            known.clear();
        }
        known.entry(issuer.to_owned()).or_default().clone()
    }

    async fn ask(&self, issuer: &str) -> Result<Vec<IssuerKey>, String> {
        let home = Place::of_issuer(issuer, self.settings.loopback)?;
        let document = self.fetcher.get(&home, true).await?;
        let document: Document = serde_json::from_slice(&document)
            .map_err(|_| "its configuration is no such document".to_owned())?;
        // OpenID Connect Discovery 1.0 section 4.3: else one issuer could speak for another.
        if document.issuer != issuer {
            return Err("its configuration is another issuer's".to_owned());
        }
        let keys = Place::of_keys(&document.jwks_uri, self.settings.loopback)?;
        let set = self.fetcher.get(&keys, keys.is_beside(&home)).await?;
        match IssuerKey::of_set(&set) {
            Ok(keys) if keys.is_empty() => Err("its key set has no key that verifies signatures".to_owned()),
            Ok(keys) => Ok(keys),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl IssuerKeys for Issuers {
    fn may_fetch(&self, issuer: &str) -> Result<(), &'static str> {
        Place::of_issuer(issuer, self.settings.loopback).map(drop)
    }

    fn keys<'a>(&'a self, issuer: &'a str, kid: Option<&'a str>, now: Timestamp) -> Fetched<'a> {
        Box::pin(self.current(issuer, kid, now))
    }
}

#[cfg(test)]
mod tests;
