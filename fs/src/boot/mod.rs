//! Booting: from the kernel command line to a mounted root.

pub mod links;
