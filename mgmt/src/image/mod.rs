//! Images: genimage and copycds make them, liteimg prepares them for link mode, exports let nodes mount them.
//!
//! - [`root`] is access below an image's root that no symbolic link leads out of.
//! - [`command`] is a command line, apart from running it.
//! - [`distro`] knows the distributions by the names xCAT gives them.
//! - [`lists`] reads package lists, repository lists, and finds the files that belong to a profile.
//! - [`genimage`] plans how packages, kernel and initrd get into an image directory, and does it.
//! - [`copycds`] recognises and copies a distribution's medium.
//! - [`lite`] is liteimg.
//! - [`accounts`] and [`ssh`] bring accounts and SSH settings of the management node into an image.
//! - [`exports`] is the text that lets nodes mount images and stores.

pub mod accounts;
pub mod command;
pub mod copycds;
pub mod distro;
pub mod exports;
pub mod genimage;
pub mod lists;
pub mod lite;
pub mod pack;
pub mod root;
pub mod ssh;
