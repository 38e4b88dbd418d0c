//! Being the root file system of a diskless node.
//!
//! | module | question |
//! |---|---|
//! | [`cmdline`] | what the kernel command line asks for |
//! | [`init`] | what process 1 of a bare initramfs does |
//! | [`load`] | which kernel modules are loaded |
//! | [`log`] | where messages go |
//! | [`start`] | how the new root is made |
//! | [`net`] | how the network comes up, and what address a name has |
//! | [`gather`] | what the root is made of, and how it is waited for |
//! | [`mounts`], [`nfs`], [`probe`] | how image, trees and stores are mounted |
//! | [`status`] | how the management server is told that the node boots |
//! | [`fetch`], [`tls`], [`saved`] | how the policy is asked for, and kept for worse times |
//! | [`daemon`], [`private`], [`protect`], [`views`] | the daemon of the root, and what it sees |
//! | [`farewell`] | what happens at shutdown when the persistent server is away |
//! | [`talk`] | what it and the process that starts it say to each other |
//! | [`linked`], [`links`] | link mode |
//! | [`keep`] | how the node's own network service is kept from taking the root away |
//! | [`switch_root`] | how it becomes the root |

pub mod cmdline;
pub mod daemon;
pub mod farewell;
pub mod fetch;
pub mod gather;
pub mod init;
pub mod keep;
pub mod linked;
pub mod links;
pub mod load;
pub mod log;
pub mod mounts;
pub mod net;
pub mod nfs;
pub mod private;
pub mod probe;
pub mod protect;
pub mod retry;
pub mod saved;
pub mod start;
pub mod status;
pub mod switch_root;
pub mod talk;
pub mod tls;
pub mod views;
