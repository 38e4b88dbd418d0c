//! Why a node's boot files cannot be made. The texts say what to do; the node's name is put before them by the caller.

use super::mac::Mac;
use super::owners::Owner;
use crate::resolve::ResolveError;
use std::path::PathBuf;

/// Why a node's boot files cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BootError {
    /// {0}
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// "{name}" cannot be a file name below tftpdir: {why}
    #[error("\"{name}\" cannot be a file name below tftpdir: {why}")]
    Name {
        /// The name of a node, image, operating system, architecture or profile.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// {column} is "{value}": {why}
    #[error("{column} is \"{value}\": {why}")]
    Value {
        /// The column, `table.column`.
        column: &'static str,
        /// The value.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// OS image name must be specified in nodetype.provmethod, or as osimage=NAME
    #[error("OS image name must be specified in nodetype.provmethod, or as osimage=NAME")]
    NoImage,
    /// Cannot find the OS image {0} on the osimage table.
    #[error("Cannot find the OS image {0} on the osimage table.")]
    UnknownImage(String),
    /// osimage.{column} for {image} must be set.
    #[error("osimage.{column} for {image} must be set.")]
    ImageIncomplete {
        /// The image.
        image: String,
        /// The column without a value.
        column: &'static str,
    },
    /// the image {image} is for provmethod {method}; nodeset boots statelite images only
    #[error("the image {image} is for provmethod {method}; nodeset boots statelite images only")]
    NotStatelite {
        /// The image.
        image: String,
        /// Its provmethod.
        method: String,
    },
    /// Requested architecture {arch} is not one of those the node supports (nodetype.supportedarchs: {supported})
    #[error(
        "Requested architecture {arch} is not one of those the node supports (nodetype.supportedarchs: {supported})"
    )]
    Architecture {
        /// The architecture of the image.
        arch: String,
        /// The ones of the node.
        supported: String,
    },
    /// noderes.netboot is not set; it names the boot loader: {0}
    #[error("noderes.netboot is not set; it names the boot loader: {0}")]
    NoLoader(String),
    /// no boot loader "{name}" (noderes.netboot); there are: {known}
    #[error("no boot loader \"{name}\" (noderes.netboot); there are: {known}")]
    UnknownLoader {
        /// The value of noderes.netboot.
        name: String,
        /// The known ones.
        known: String,
    },
    /// serialport defined, but no serialspeed in nodehm table
    #[error("serialport defined, but no serialspeed in nodehm table")]
    NoSpeed,
    /// no IPv4 address for the node: set hosts.ip, or make its name resolve; {0} needs it for the file's name
    #[error(
        "no IPv4 address for the node: set hosts.ip, or make its name resolve; {0} needs it for the file's name"
    )]
    NoAddress(&'static str),
    /// {mac} belongs to {own} and to {other}: one of them would boot as the other; correct the mac table
    #[error(
        "{mac} belongs to {own} and to {other}: one of them would boot as the other; correct the mac table"
    )]
    SharedMac {
        /// The address.
        mac: Mac,
        /// The node and its row.
        own: Owner,
        /// Another node and its row.
        other: Owner,
    },
    /// no address of this host faces the node: set noderes.xcatmaster, or site.master
    #[error("no address of this host faces the node: set noderes.xcatmaster, or site.master")]
    NoFacing,
    /// {path} is missing: {hint}
    #[error("{} is missing: {hint}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What makes it.
        hint: &'static str,
    },
    /// {path}: {error}
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: String,
    },
}

impl BootError {
    /// What the system said about a file.
    #[must_use]
    pub fn io(path: impl Into<PathBuf>, error: &std::io::Error) -> Self {
        Self::Io {
            path: path.into(),
            error: error.to_string(),
        }
    }
}
