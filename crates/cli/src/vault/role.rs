//! `keyless vault role`: the role assignments of one vault, which [`crate::role`] gives, takes and tells at the vault's own path.

use crate::{
    admin::{Admin, segment},
    failure::Failure,
    output::Format,
    role::{self, Which, Words},
};
use clap::Subcommand;
use domain::VaultName;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Give a role to somebody, for a vault or for one object of it
    Assign {
        /// The vault
        vault: VaultName,
        #[command(flatten)]
        words: Words,
    },
    /// Take a role from somebody: by the assignment's id, or by the words that it was assigned with
    Remove {
        /// The vault
        vault: VaultName,
        #[command(flatten)]
        which: Which,
    },
    /// The role assignments at a vault itself; those from above, too, are told by `keyless role list --scope vault:NAME`
    List {
        /// The vault
        vault: VaultName,
    },
    /// The roles and what each allows, as `keyless role definition list`
    Definitions,
}

pub(crate) async fn role(admin: &Admin, format: Format, command: Command) -> Result<(), Failure> {
    let path = |vault: &VaultName| format!("/v1/vaults/{}/roles", segment(vault.as_str()));
    match command {
        Command::Assign { vault, words } => role::assign(admin, format, &path(&vault), &words).await,
        Command::Remove { vault, which } => role::remove(admin, format, &path(&vault), None, which).await,
        Command::List { vault } => {
            role::list(admin, format, &path(&vault), &role::none_at(vault.as_str())).await
        }
        Command::Definitions => role::definitions(admin, format).await,
    }
}
