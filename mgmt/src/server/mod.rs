//! What nodes ask: the xCAT wire, the status port, and HTTPS.
//!
//! - [`config`]: what the server is told. [`gate`]: how many may be connected.
//! - [`world`]: the tables until the next change, from the database or a snapshot; [`identity`] finds the node behind a
//!   connection ([`reverse`] names its address), [`access`] asks the policy table.
//!
//! A node asks about itself and is told about itself. Nothing here changes a table, but for the state nodes report.

pub mod access;
pub mod answers;
pub mod ca;
pub mod config;
pub mod gate;
pub mod http;
pub mod identity;
pub mod keeper;
pub mod listen;
pub mod metrics;
pub mod notify;
pub mod reverse;
pub mod run;
pub mod state;
pub mod status;
#[cfg(test)]
pub(crate) mod testing;
pub mod tls;
pub mod wire;
pub mod world;
