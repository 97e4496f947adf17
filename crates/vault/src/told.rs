//! What managers say of a vault that has no effect here, and that they are told again (Key Vault management, `VaultProperties`): the tools
//! that compare what is there with what they were told to make must find it.

use access::IpRange;
use domain::{PrincipalId, StoragePermissions};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, ops::Not};

/// What is only told again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Is it of the kind whose keys are in hardware in Azure?
    #[serde(default, skip_serializing_if = "Not::not")]
    pub premium: bool,
    /// May virtual machines fetch certificates from it?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_deployment: Option<bool>,
    /// May disks be encrypted by it?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_disk_encryption: Option<bool>,
    /// May templates read its secrets?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_template_deployment: Option<bool>,
    /// Are Azure's own services kept out by its network rules as well?
    #[serde(default, skip_serializing_if = "Not::not")]
    pub no_bypass: bool,
    /// Is it closed to everybody, whatever else is said? Then its network rules let nobody in.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub is_closed: bool,
    /// Would it be open to everybody if it were not closed?
    #[serde(default, skip_serializing_if = "Not::not")]
    pub is_open_else: bool,
    /// Address ranges that do not count, as the vault is open or closed to everybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_ranges: Vec<IpRange>,
    /// Verbs of access policies on storage accounts, of which there are none here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub storage: BTreeMap<PrincipalId, StoragePermissions>,
}

impl Told {
    /// Is there nothing to be told?
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// The vault's network rules are said in other words now.
    pub(crate) fn forget_network(&mut self) {
        self.is_closed = false;
        self.is_open_else = false;
        self.ip_ranges = Vec::new();
    }
}
