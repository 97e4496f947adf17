//! The whole system under a seeded world: one seed is one run, and a failure says which seed.
//!
//! Owns: clock, entropy, store faults, a simulated kernel, an executor that polls tasks in an order drawn from the seed, the people and
//! programs that use the system, and the checkers that judge every answer. Owns no rule of the product: everything above the store
//! and the kernel is the real code, entered by requests as values. What may go wrong is told in [`faults`].
//! For tests only; nothing of the product depends on it.
#![forbid(unsafe_code)]

mod actors;
mod books;
mod executor;
mod fate;
pub mod faults;
mod invariants;
mod kernel;
mod ledger;
mod register;
mod run;
mod sign_ins;
mod store;
mod world;

pub use faults::Mutation;
pub use run::{Failure, Report, run};
