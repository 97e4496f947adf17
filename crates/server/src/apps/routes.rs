//! Stand-in until host::routes is there.
use domain::{AppId, AppName, WorkloadId};
use host::Desired;

#[derive(Default)]
pub(crate) struct Routes;

impl Routes {
    pub(crate) fn desired(&self, _: AppId, _: &AppName, _: Option<&Desired>) {}
    pub(crate) fn in_flight(&self, _: AppId, _: WorkloadId) -> usize {
        0
    }
    pub(crate) fn drain(&self, _: AppId, _: WorkloadId) {}
    pub(crate) fn remove(&self, _: AppId, _: WorkloadId) {}
    pub(crate) fn add(&self, _: AppId, _: &AppName, _: WorkloadId, (): ()) {}
}
