//! What is not done outside of the threads that answer, in the resource manager's words.

use super::super::error::ArmError;
use crate::admin::HostingFault;
use http::StatusCode;

impl From<HostingFault> for ArmError {
    fn from(fault: HostingFault) -> Self {
        match fault {
            HostingFault::Host(error) => error.into(),
            HostingFault::Unavailable(why) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", why)
            }
            HostingFault::Package(why) | HostingFault::TooLarge(why) => Self::bad_content(why),
            HostingFault::Busy => Self::conflict(fault.to_string()),
            HostingFault::File { .. } => Self::internal(&fault),
        }
    }
}
