//! Endpoints over a store in memory. The kernel is a stand-in, the rest is real.

mod endpoint;
mod world;
