//! Service nodes: which there are, whom they serve, and what they work from.
//!
//! - [`snapshot`] is all tables in one file, for when the master is away.

pub mod snapshot;
