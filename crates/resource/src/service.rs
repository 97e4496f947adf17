//! [`ResourceService`]: each operation is one query or one transaction, in which who asks, what may be done and what is there are read
//! together.

use crate::{ResourceError, Subscription};
use access::{Around, Manager, Unmanaged};
use domain::{Entropy, SubscriptionId};
use std::{num::NonZeroU16, sync::Arc};
use store::{Halt, Key, Record, RecordPage, Store, all_records, contract::LIST_MAX, list_records, query};

/// The subscription and its resource groups.
pub struct ResourceService {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) entropy: Arc<dyn Entropy>,
    subscription: Subscription,
}

impl ResourceService {
    /// Over a store, for the subscription that the directory's tenant has.
    pub fn new(store: Arc<dyn Store>, entropy: Arc<dyn Entropy>, subscription: SubscriptionId) -> Self {
        Self { store, entropy, subscription: Subscription { id: subscription, name: "Keyless" } }
    }

    /// The subscription.
    pub fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// May somebody do something there, now? For what shows or does nothing by itself; who decides something asks in that decision.
    ///
    /// # Errors
    /// [`ResourceError::Unmanaged`].
    pub async fn may(
        &self,
        by: Manager<'_>,
        operation: &'static str,
        around: &Around<'_>,
    ) -> Result<(), ResourceError> {
        query(&*self.store, |view| {
            by.may(view, operation, around).map(drop).map_err(|halt| halt.map(Into::into))
        })
        .await
    }

    /// Is somebody told of the subscription? Whoever has a role somewhere: an app that has one in a vault alone logs in, too.
    ///
    /// # Errors
    /// [`ResourceError::Unmanaged`]: who asks is no more.
    pub async fn has_any_role(&self, by: Manager<'_>) -> Result<bool, ResourceError> {
        let is_wide = query(&*self.store, |view| by.has_any_role(view).map_err(unless));
        if is_wide.await? {
            return Ok(true);
        }
        match by.caller() {
            Some(caller) => self.has_role_in_vault(caller.principal()).await,
            None => Ok(false),
        }
    }

    /// Is who asks somebody still?
    ///
    /// # Errors
    /// [`ResourceError::Unmanaged`]: no.
    pub async fn is_somebody(&self, by: Manager<'_>) -> Result<(), ResourceError> {
        query(&*self.store, |view| by.has_any_role(view).map(drop).map_err(unless)).await
    }

    /// All records of a kind, with their keys.
    pub(crate) async fn all<R: Record>(&self, prefix: &Key) -> Result<Vec<(Key, Arc<R>)>, ResourceError> {
        Ok(all_records(&*self.store, prefix).await?)
    }

    /// Some of them, after a key.
    pub(crate) async fn page<R: Record>(
        &self,
        prefix: &Key,
        after: Option<&Key>,
    ) -> Result<RecordPage<R>, ResourceError> {
        let limit = NonZeroU16::new(LIST_MAX).unwrap_or(NonZeroU16::MIN);
        Ok(list_records::<R>(&*self.store, prefix, after, limit).await?)
    }
}

/// A permit in a decision, or this crate's refusal.
pub(crate) fn unless(halt: Halt<Unmanaged>) -> Halt<ResourceError> {
    halt.map(ResourceError::from)
}
