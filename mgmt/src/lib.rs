//! The management side of statelitefs: what an administrator keeps in tables, and what is made from it.
//!
//! - [`tables`] are the tables: their columns, the databases that keep them, CSV, checks.
//! - [`noderange`] turns xCAT's node ranges into nodes.
//! - [`resolve`] answers what one node gets: its image, litefile rows, trees and persistent store.
//! - [`image`] makes and changes images: genimage, liteimg, exports.
//! - [`bootconf`] writes what boot loaders read.
//! - [`server`] answers nodes.
//! - [`hierarchy`] is about service nodes.
//! - [`cli`] defines the commands, from which help, man pages and completions are made.

pub mod bootconf;
pub mod cli;
pub mod hierarchy;
pub mod image;
pub mod noderange;
pub mod resolve;
pub mod server;
pub mod tables;
