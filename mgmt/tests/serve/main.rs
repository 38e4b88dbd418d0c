//! The server as nodes meet it: over real connections on loopback, every node with an address of its own.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;
mod hierarchy;
mod hostile;
mod https;
mod identity;
mod postgres;
mod status;
mod stock;
#[path = "../tables_support/mod.rs"]
mod tables_support;
