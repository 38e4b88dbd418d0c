//! Being the root file system of a diskless node.
//!
//! | module | question |
//! |---|---|
//! | [`cmdline`] | what the kernel command line asks for |
//! | [`init`] | what process 1 of a bare initramfs does |
//! | [`links`] | how link mode makes `/` |
//! | [`load`] | which kernel modules are loaded |
//! | [`log`] | where messages go |
//! | [`start`] | how the new root is made |
//! | [`switch_root`] | how it becomes the root |

pub mod cmdline;
pub mod init;
pub mod links;
pub mod load;
pub mod log;
pub mod start;
pub mod switch_root;
