//! End-to-end tests: real mounts, judged against the stores they stand on.
//!
//! # What is here
//!
//! - `conformance` (a binary): `pjdfstest`, `fsx` and stress-ng's file-system class, run on a bare store and on a
//!   directory of a mount that keeps its data on that store. A case counts as failed only if the store passes it in
//!   the same run.
//! - `tests/real_image.rs`: a Debian root under the cookbook's RedHat and SLES tables, and `apt-get install` inside a
//!   volatile `/`.
//! - The modules below: what both are made of.
//!
//! # Running it
//!
//! Everything needs root, `/dev/fuse`, loop devices, and Debian's packages and crates.io for the tools, which are
//! installed when missing. Build the product first; the newest of `target/{release,debug}/statelitefs` is used, or the
//! one that `STATELITEFS_BIN` names.
//!
//! ```text
//! cargo build --release -p statelitefs -p statelite-tests --bins
//! target/release/conformance --quick                      # a few minutes: each place, passthrough on and off
//! target/release/conformance --full                       # 1,000,000 fsx operations, all stressors, all combinations
//! target/release/conformance --quick --target overlay     # the same against kernel overlayfs, no product needed
//! target/release/conformance --quick --suite fsx --where persistent --passthrough auto --threads 4
//! cargo test --release -p statelite-tests --test real_image -- --nocapture
//! ```
//!
//! `conformance` closes with `N passed, N failed, N skipped` and exits with 1 when anything failed.
//!
//! # Environment
//!
//! | variable | meaning |
//! |---|---|
//! | `STATELITEFS_BIN` | the program under test |
//! | `STATELITE_TESTS_TOOLS` | where `pjdfstest` and `fsx` are installed; default `target/tools` |
//! | `STATELITE_TESTS_CACHE` | where the Debian image is kept; default `target/tests-cache` |
//! | `STATELITE_TESTS_SCRATCH` | where scratch stores are made; default `/var/tmp`; a short name, see [`suite::pjdfstest`] |
//!
//! # Nothing may hang
//!
//! A wedged FUSE server blocks whoever touches its mount, so every program runs under a time limit ([`cmd`]), the
//! tested directories are prepared and removed by such programs, and each [`mount::Mount`] has a watchdog that aborts
//! its connection through fusectl when its time is over. Only a harness that is itself killed leaves something:
//! mounts below `/var/tmp/slt-*`, for `umount -l`.

pub mod cmd;
pub mod compare;
pub mod hash;
pub mod image;
pub mod inroot;
pub mod litefile;
pub mod mount;
pub mod mountinfo;
pub mod paths;
pub mod scratch;
pub mod suite;
pub mod target;
pub mod tools;
pub mod vm;

/// Whether this process may mount; says so loudly on stderr when it may not.
#[must_use]
pub fn root_or_skip(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: {test}: needs root");
    }
    root
}
