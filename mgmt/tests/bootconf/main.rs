//! Boot files, byte for byte, and what nodeset leaves on disk.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod cmdlines;
mod command;
mod dnsmasq;
mod files;
mod samples;
mod stale;
mod world;
