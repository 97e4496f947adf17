//! The one subscription of an installation: clients of the resource manager want one, and everything is in it.

use domain::SubscriptionId;
use serde::{Deserialize, Serialize};
use store::{Key, Record};

/// The subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Made at the first start.
    pub id: SubscriptionId,
    /// As people are told it.
    pub name: String,
}

impl Record for Subscription {
    type Id = ();

    fn key((): &()) -> Key {
        Key::new("subscription")
    }
}
