//! Boot files: what nodeset writes for each boot loader.
//!
//! A command goes through four steps, of which only the last changes anything on disk:
//! 1. [`target`] decides which image a node gets and what that changes in its nodetype row.
//! 2. [`facts`] gathers what the tables ([`image`], [`settings`], [`mac`], [`owners`], [`check`]) and the image's directory ([`probe`])
//!    say about the node.
//! 3. [`cmdline`] makes the kernel's command line of them, and [`loader`] the files of the node's boot loader.
//! 4. [`write`] puts the files below tftpdir, each replaced in one step, and removes those that [`stale`] finds.
//!
//! [`plan`] is the first three together. [`dnsmasq`] makes the configuration of a DHCP and TFTP server that leads nodes to
//! these files.
//!
//! The state of a node is the first line of its boot file; `nodeset NODE stat` reads it there.

pub mod address;
pub mod check;
pub mod cmdline;
pub mod dnsmasq;

pub mod error;
pub mod facts;
pub mod image;
pub mod loader;
pub mod mac;
pub mod names;
pub mod owners;
pub mod plan;
pub mod probe;
pub mod settings;
pub mod stale;
pub mod target;
pub mod write;

pub use error::BootError;

/// The form of boot files: it goes with the dialect of the option words.
pub use statelite_policy::Dialect as Era;
