//! What one node gets: its image, its litefile rows, its trees and its persistent store.
//!
//! The rules are those of `statelite-policy`; here the tables are turned into what it reads.
//!
//! | module | what it is |
//! |---|---|
//! | [`input`] | the three tables as one node sees them: commands run, values computed |
//! | [`command`], [`shell`] | `#CMD=...#` in a cell, and what runs it |
//! | [`answer`] | the lines a node is told, and their digest |
//! | [`given`] | what each node was last told |
//! | [`servers`] | which machines serve a node, and from which directory |
//! | [`explain`] | why one path is what it is; [`places`] and [`look`] look at trees and images |
//! | [`difference`] | what changes against what was given |
//! | [`many`] | many nodes at once |

pub mod answer;
pub mod command;
pub mod difference;
pub mod explain;
pub mod given;
pub mod input;
mod label;
pub mod look;
pub mod many;
pub mod places;
pub mod servers;
pub mod shell;

use crate::tables::schema::{LITEFILE, NODETYPE, OSIMAGE};
use crate::tables::site::ValueError;
use crate::tables::{Row, Site, Table};
use command::{CommandError, Run};
use shell::Shell;
use statelite_policy::{Dialect, NodeIdentity, Policy, Refusals, Tables};

/// Why a node or an image cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// no node "{0}" in the nodelist table
    #[error("no node \"{0}\" in the nodelist table")]
    NoNode(String),
    /// {node}: nodetype.{column} is not set, so its image is unknown
    #[error("{node}: nodetype.{column} is not set, so its image is unknown")]
    Incomplete {
        /// The node.
        node: String,
        /// The column without a value.
        column: &'static str,
    },
    /// {0}
    #[error(transparent)]
    Value(#[from] Box<ValueError>),
    /// {table}: {row}: column {column}: for node {node}: {reason}
    #[error("{table}: {row}: column {column}: for node {node}: {reason}")]
    Command {
        /// The table.
        table: &'static str,
        /// The row's number and key.
        row: String,
        /// The column.
        column: &'static str,
        /// The node.
        node: String,
        /// What is wrong.
        reason: Box<CommandError>,
    },
    /// {0}
    #[error("{0}")]
    Refused(Refusals),
}

/// The meaning of the option words at this site: `site.statelitedialect`, else the current one.
#[must_use]
pub fn dialect(site: &Site) -> Dialect {
    let setting = site.setting("statelitedialect");
    setting
        .and_then(|value| value.parse().ok())
        .unwrap_or_default()
}

/// The name of the image a node uses (facts §1).
///
/// # Errors
/// [`ResolveError`] when the node is unknown, or os, arch or profile is not set.
pub fn image_of(site: &Site, node: &str) -> Result<String, ResolveError> {
    if !site.has_node(node) {
        return Err(ResolveError::NoNode(node.to_owned()));
    }
    let value = |column| {
        let found = site.find(node, &NODETYPE, column)?;
        let found = found.ok_or_else(|| ResolveError::Incomplete {
            node: node.to_owned(),
            column,
        })?;
        Ok::<_, ResolveError>(found.value)
    };
    let (os, arch, profile) = (value("os")?, value("arch")?, value("profile")?);
    let method = site.find(node, &NODETYPE, "provmethod")?;
    let method = method.map(|found| found.value);
    Ok(match method.as_deref() {
        None | Some("install" | "netboot" | "statelite") => {
            format!("{os}-{arch}-statelite-{profile}")
        }
        Some(image) => image.to_owned(),
    })
}

/// Everything the tables can depend on for a node. Commands are not run.
///
/// # Errors
/// As [`image_of`], and a variable that cannot be computed.
pub fn identity(site: &Site, node: &str) -> Result<NodeIdentity, ResolveError> {
    input::identity(site, node)
}

/// Whether there is an image of that name: in the osimage table, in rows of the litefile table, or because a node uses it (in
/// 2010 images had no rows of their own).
#[must_use]
pub fn knows_image(site: &Site, name: &str) -> bool {
    let listed = |row: &Row| row.get(&LITEFILE, "image") == Some(name);
    site.row(&OSIMAGE, &[name]).is_some()
        || name != "ALL" && site.live(&LITEFILE).any(listed)
        || site
            .nodes()
            .any(|node| image_of(site, node).is_ok_and(|image| image == name))
}

fn image_groups(site: &Site, image: &str) -> Option<String> {
    let row = site.row(&OSIMAGE, &[image])?;
    row.get(&OSIMAGE, "groups").map(str::to_owned)
}

/// The policy of a node. Commands in the tables are run by this machine's shell.
///
/// # Errors
/// [`ResolveError`], with every refused row.
pub fn policy(site: &Site, node: &str) -> Result<Policy, ResolveError> {
    policy_with(site, node, &Shell::of(site))
}

/// The policy of a node; commands in the tables are run by `run`.
///
/// # Errors
/// [`ResolveError`], with every refused row.
pub fn policy_with(site: &Site, node: &str, run: &dyn Run) -> Result<Policy, ResolveError> {
    let input = input::Input::of(site, node, run)?;
    input.build(dialect(site)).map_err(ResolveError::Refused)
}

/// The policy of an image, without a node: its litefile rows and, as far as they need no node, its trees.
///
/// # Errors
/// [`ResolveError`], with every refused row.
pub fn image_policy(site: &Site, image: &str) -> Result<Policy, ResolveError> {
    let identity = NodeIdentity {
        image: image.to_owned(),
        image_groups: image_groups(site, image),
        ..NodeIdentity::default()
    };
    let litefile = csv(site, &LITEFILE);
    let tables = Tables {
        litefile: Some((LITEFILE.name, litefile.as_bytes())),
        ..Tables::default()
    };
    let mut built = statelite_policy::build(&tables, &identity, dialect(site));
    input::name_rows(&mut built, |table, line| {
        let number = |number| number;
        (table.name == LITEFILE.name)
            .then(|| label::label(table, &litefile, line, number))
            .flatten()
    });
    built.map_err(ResolveError::Refused)
}

/// How messages name the litefile row on a line of a dump.
#[must_use]
pub fn litefile_row(site: &Site, line: u64) -> Option<String> {
    label::label(&LITEFILE, &csv(site, &LITEFILE), line, |number| number)
}

/// A table as a dump has it.
#[must_use]
pub fn csv(site: &Site, table: &Table) -> String {
    input::csv(table, site.rows(table))
}
