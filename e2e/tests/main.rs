//! The scenarios: one module for each promise or client; `../scenarios.md` tells them as a table.
//!
//! Run by `cargo xtask e2e [WHAT]`, which builds the binary and installs the clients.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "these are tests, helpers and all: a surprise is a failure, and its place is the message"
)]

mod apply;
mod arc;
mod assertion;
mod attach;
mod az;
mod bad_input;
mod canary;
mod churn;
mod clock;
mod commands;
mod connect_gate;
mod containers;
mod crash;
mod curl;
mod faults;
mod go;
mod graph;
mod hosting;
mod http_shapes;
mod identities;
mod imds;
mod java;
mod management;
mod node;
mod packages;
mod people;
mod process;
mod python;
mod real_apps;
mod registration;
mod relying_parties;
mod restart;
mod revocation;
mod roles;
mod rust;
mod sandbox;
mod second_service;
mod shadow;
mod sign_in;
mod signing_keys;
mod slow_clients;
mod thieves;
mod token_file;
mod up;
mod user;
mod user_flows;
mod vaults;
