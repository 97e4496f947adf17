//! Apps and workloads over a store in memory. The kernel and the listeners are stand-ins, the rest is real.

mod apps;
mod crowd;
mod federated;
mod managed;
mod shadow;
mod workloads;
mod world;
