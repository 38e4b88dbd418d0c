//! Service nodes: which there are, whom they serve, and what they work from.
//!
//! - [`service`] says which there are and whom they serve.
//! - [`prsync`] copies files to them; [`boot_files`] is what nodeset copies; [`pull`] fetches a snapshot.
//! - [`snapshot`] is all tables in one file, for when the master is away.

pub mod boot_files;
pub mod prsync;
pub mod pull;
pub mod remote;
pub mod service;
pub mod snapshot;
