//! What one node gets: its image, its litefile rows, its trees and its persistent store.
//!
//! The rules are those of `statelite-policy`; here the tables are turned into what it reads.

pub mod answer;
pub mod given;
pub mod servers;

use crate::tables::schema::{LITEFILE, LITETREE, NODETYPE, OSIMAGE, STATELITE};
use crate::tables::{Site, Table};
use statelite_policy::{Dialect, NodeIdentity, Policy, Refusals, Tables};
use std::collections::BTreeMap;

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
        site.node_value(node, &NODETYPE, column)
            .ok_or(ResolveError::Incomplete {
                node: node.to_owned(),
                column,
            })
    };
    let (os, arch, profile) = (value("os")?, value("arch")?, value("profile")?);
    let method = site.node_value(node, &NODETYPE, "provmethod");
    Ok(match method.as_deref() {
        None | Some("install" | "netboot" | "statelite") => {
            format!("{os}-{arch}-statelite-{profile}")
        }
        Some(image) => image.to_owned(),
    })
}

/// Everything the tables can depend on for a node.
///
/// # Errors
/// As [`image_of`].
pub fn identity(site: &Site, node: &str) -> Result<NodeIdentity, ResolveError> {
    let image = image_of(site, node)?;
    let groups = site.groups(node).into_iter().map(str::to_owned).collect();
    Ok(NodeIdentity {
        name: node.to_owned(),
        image_groups: image_groups(site, &image),
        image,
        groups,
        variables: variables(site, node),
    })
}

fn image_groups(site: &Site, image: &str) -> Option<String> {
    let row = site.row(&OSIMAGE, &[image])?;
    row.get(&OSIMAGE, "groups").map(str::to_owned)
}

/// The values of the variables that occur in the tables.
fn variables(site: &Site, node: &str) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    let cells = site
        .live(&LITETREE)
        .map(|row| row.get(&LITETREE, "directory"));
    let cells = cells.chain(
        site.live(&STATELITE)
            .map(|row| row.get(&STATELITE, "statemnt")),
    );
    for cell in cells.flatten() {
        for word in cell.split('$').skip(1) {
            let name = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.');
            let word = word.split(name).next().unwrap_or_default();
            if let Some(value) = site.variable(node, word) {
                values.insert(word.to_owned(), value);
            }
        }
    }
    values
}

/// The policy of a node.
///
/// # Errors
/// [`ResolveError`], with every refused row.
pub fn policy(site: &Site, node: &str) -> Result<Policy, ResolveError> {
    build(site, &identity(site, node)?)
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
    statelite_policy::build(&tables, &identity, dialect(site)).map_err(ResolveError::Refused)
}

fn build(site: &Site, identity: &NodeIdentity) -> Result<Policy, ResolveError> {
    let [litefile, litetree, statelite] =
        [&LITEFILE, &LITETREE, &STATELITE].map(|table| csv(site, table));
    let tables = Tables {
        litefile: Some((LITEFILE.name, litefile.as_bytes())),
        litetree: Some((LITETREE.name, litetree.as_bytes())),
        statelite: Some((STATELITE.name, statelite.as_bytes())),
    };
    statelite_policy::build(&tables, identity, dialect(site)).map_err(ResolveError::Refused)
}

/// A table as a dump has it.
#[must_use]
pub fn csv(site: &Site, table: &Table) -> String {
    let names: Vec<_> = table.columns.iter().map(|column| column.name).collect();
    let mut text = format!("#{}\n", names.join(","));
    for row in site.rows(table) {
        let cells = row.cells().iter().map(|cell| match cell.as_deref() {
            Some(value) if !value.is_empty() => format!("\"{}\"", value.replace('"', "\"\"")),
            _ => String::new(),
        });
        text.push_str(&cells.collect::<Vec<_>>().join(","));
        text.push('\n');
    }
    text
}
