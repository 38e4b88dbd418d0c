//! The node side of statelitefs: a merged root file system with a policy per path.
//!
//! - [`overlay`] is the merged view itself; it knows nothing of FUSE.
//! - [`fuse`] translates between the kernel and the overlay.
//! - [`config`] turns options, tables and TOML files into layers and a policy.
//! - [`control`] is the socket through which a running mount is asked and changed.
//! - [`boot`] makes it the root of a diskless node, from the initramfs that [`initramfs`] builds.
//! - [`cli`] defines the commands, from which help, man pages and completions are made.
//! - [`sys`] holds the system calls that need care.

pub mod boot;
pub mod cli;
pub mod config;
pub mod control;
pub mod fuse;
pub mod initramfs;
pub mod overlay;
pub mod sys;
