//! Folders that belong to one instance each, by its id, in a folder of its app's: of its token file, of the keys that it is left.
//!
//! Owns: what there is of them, and that they go with their instance. Owns not: what is in them (`token_files`, `arc`).

use super::Apps;
use domain::{AppId, WorkloadId};
use std::{fs, io, path::Path};

/// The instances that have one.
pub(super) fn found(all: &Path) -> Vec<WorkloadId> {
    let entries = fs::read_dir(all).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Removes an instance's, if it has any.
pub(super) fn remove(all: &Path, workload: WorkloadId) {
    match fs::remove_dir_all(all.join(workload.to_string())) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%workload, %error, path = %all.display(), "what an instance had cannot be removed");
        }
        _ => {}
    }
}

impl Apps {
    /// Removes what an instance had that has ended.
    pub(super) fn remove_instance_files(&self, app: AppId, workload: WorkloadId) {
        let folder = self.files.app(app);
        self.token_files.forget(workload);
        for all in [folder.tokens(), folder.keys()] {
            remove(&all, workload);
        }
    }

    /// Removes what there is of instances that are no more, those too that came to nothing. One that is known may be just being started:
    /// its folders are there before its process is. Blocks.
    pub(super) fn sweep_instance_files(&self) {
        self.services.identity.sweep_challenges(self.now());
        let apps: Vec<_> = self.state().ids().collect();
        for app in apps {
            let folder = self.files.app(app);
            for workload in [folder.tokens(), folder.keys()].iter().flat_map(|all| found(all)) {
                if self.services.identity.workload(workload).is_none() {
                    self.remove_instance_files(app, workload);
                }
            }
        }
    }
}
