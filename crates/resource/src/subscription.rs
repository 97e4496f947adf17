//! The one subscription of an installation: clients of the resource manager want one, and everything is in it.

use domain::SubscriptionId;

/// The subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// As the directory's tenant has it.
    pub id: SubscriptionId,
    /// As people are told it.
    pub name: &'static str,
}
