//! Commands about nodes and what they get, run as programs over tables in a file, with the sample tables.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod cluster;
mod nodes_commands;
mod resolve_commands;
mod resolve_diff;
mod resolve_explain;
