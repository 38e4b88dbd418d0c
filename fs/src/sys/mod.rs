//! System facilities the rest of the crate is built on, one small file each.
//!
//! This is the only folder where `unsafe` is allowed; every use carries its reason. Nothing here
//! knows about policy or the merged view.

pub mod caller;
pub mod change;
pub mod dir;
pub mod heap;
pub mod lease;
pub mod mountfd;
pub mod namespace;
pub mod net;
pub mod procfd;
pub mod stat;
pub mod wake;
pub mod xattr;

/// Result of a file-system call: the error is the bare `errno`, which is also what callers of the
/// merged view get to see.
pub type Result<T> = std::result::Result<T, rustix::io::Errno>;
