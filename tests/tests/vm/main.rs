//! Tests with virtual machines.
//!
//! They are one program, so that as many of them run at once as there are processors: a machine here has one, and is
//! emulated on one.

#![allow(clippy::unwrap_used, reason = "these functions are parts of tests")]

mod boot;
mod cookbook;
mod health;
mod initrds;
mod links;
mod nfsd;
mod pxe;
mod units;
mod whole;
