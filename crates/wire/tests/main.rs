//! The protocols as real clients see them: requests handed to the whole router, over a memory store and a fixed world.

mod admin;
mod golden;
mod golden_keyvault;
mod golden_oauth2;
mod msi;
mod routes;
mod support;
