//! Service nodes: which there are, whom they serve, and what they work from.
//!
//! - [`service`] says which there are and whom they serve.
//! - [`snapshot`] is all tables in one file, for when the master is away.

pub mod service;
pub mod snapshot;
