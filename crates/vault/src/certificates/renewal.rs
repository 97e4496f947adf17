//! When the next version of a certificate is to be made by itself.
//!
//! Owns: the time that follows from policy and validity. Owns not: the making (`service::certificates`). Only versions of
//! issuers that can be carried out without anybody are renewed: its own key, and the vault's own authority.

use super::{LifetimeAction, LifetimeActionKind, Trigger, UNKNOWN_ISSUER};
use crate::{Attributes, certificates::CertificatePolicy};
use domain::Timestamp;
use std::time::Duration;

/// How long after one attempt the next one is made, at least: a policy may ask for more than makes sense.
pub(crate) const PAUSE: Duration = Duration::from_secs(86_400);

/// When a version with these attributes is to be followed by another. Never at once.
pub(crate) fn at(policy: &CertificatePolicy, attributes: &Attributes, now: Timestamp) -> Option<Timestamp> {
    if policy.issuer.is_none() || policy.is_of(UNKNOWN_ISSUER) || !policy.enabled {
        return None;
    }
    let is_renewal = |action: &&LifetimeAction| action.action == LifetimeActionKind::AutoRenew;
    let trigger = policy.lifetime_actions.iter().find(is_renewal)?.trigger;
    let (from, until) = (attributes.not_before?, attributes.expires?);
    let at = match trigger {
        Trigger::LifetimePercentage(percentage) => {
            let life = u64::try_from(until.seconds().saturating_sub(from.seconds())).unwrap_or(0);
            from.plus(Duration::from_secs(life / 100 * u64::from(percentage)))
        }
        Trigger::DaysBeforeExpiry(days) => until.minus(Duration::from_secs(u64::from(days) * 86_400)),
    };
    Some(at.max(now.plus(PAUSE)))
}
