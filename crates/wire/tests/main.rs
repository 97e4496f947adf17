//! The protocols as real clients see them: requests handed to the whole router, over a memory store and a fixed world.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy allows these in tests, but does not see that everything here is one"
)]

mod admin;
mod admin_directory;
mod admin_roles;
mod admin_vaults;
mod arc;
mod arm;
mod arm_bodies;
mod arm_deletions;
mod arm_vaults;
mod arm_web;
mod described;
mod federated;
mod golden;
mod golden_graph;
mod golden_keyvault;
mod golden_msi;
mod golden_oauth2;
mod graph;
mod identities;
mod keyvault;
mod msi;
mod people;
mod proxy;
mod rolling;
mod routes;
mod shadow;
mod sign_in;
mod support;
mod token_file;
mod tokens;
mod user_grants;
