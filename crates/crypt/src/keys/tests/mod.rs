//! The engine against what others say of it: its own rules, the vectors of standards, and Wycheproof.

mod fixtures;
mod operations;
mod vectors;
mod wycheproof;

use super::*;
