//! A script for Node, which looks for packages from where the script is.

use crate::settings::{example, setting};
use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

/// A script beside installed packages, under a name of its own, as scenarios run at the same time. Gone when its owner is, also after a failure.
#[derive(Debug)]
pub struct NodeScript {
    node: String,
    path: String,
}

impl NodeScript {
    /// Beside the Azure SDK's packages; `None` when there is no Node.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn beside_sdk(text: &str) -> Option<Self> {
        Self::beside("NODE_APP", text)
    }

    /// One of `examples/node`, beside the Azure SDK's packages; `None` when there is no Node.
    ///
    /// # Panics
    /// When there is no such example.
    #[must_use]
    pub fn example(name: &str) -> Option<Self> {
        Self::beside_sdk(&std::fs::read_to_string(example(&format!("node/{name}"))).unwrap())
    }

    /// Beside the packages that know nothing of Azure; `None` when there is no Node.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn beside_parties(text: &str) -> Option<Self> {
        Self::beside("PARTIES_NODE_APP", text)
    }

    /// Beside the management SDKs' packages; `None` when there is no Node.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn beside_management(text: &str) -> Option<Self> {
        Self::beside("MANAGEMENT_NODE_APP", text)
    }

    fn beside(packages: &str, text: &str) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (node, place) = (setting("NODE")?, setting(packages)?);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(&place).join(format!("keyless-{}-{number}.mjs", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Some(Self { node, path: path.display().to_string() })
    }

    /// The command line that runs it.
    #[must_use]
    pub fn line<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        [&*self.node, &*self.path].into_iter().chain(arguments.iter().copied()).collect()
    }
}

impl Drop for NodeScript {
    fn drop(&mut self) {
        let _removed = std::fs::remove_file(&self.path);
    }
}
