//! `table.column==value`: nodes by what the tables say about them.
//!
//! The value compared is the one the node has after groups and substitutions; none at all compares as empty text.
//! `==` (or `=`) and `!=` compare the whole value, `=~` and `!~` look for a regular expression in it, with or
//! without slashes around.

use super::{RangeError, parser};
use crate::tables::comparison::Comparison;
use crate::tables::schema::{self, NODEHM, NODELIST, NODEPOS};
use crate::tables::{Site, Table};

/// Why a criterion is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CriterionError {
    /// "{0}" is no table.column of nodes
    #[error("\"{0}\" is no table.column of nodes")]
    Column(String),
}

/// A condition on the nodes.
#[derive(Debug, Clone)]
pub struct Criterion {
    table: &'static Table,
    column: &'static str,
    test: Comparison,
}

/// The table and column of `table.column` or of a short name (`groups`, `tags`, `mgt`), for tables with nodes.
#[must_use]
pub fn node_column(name: &str) -> Option<(&'static Table, &'static str)> {
    match name {
        "groups" | "tags" => return Some((&NODELIST, "groups")),
        "mgt" => return Some((&NODEHM, "mgt")),
        _ => {}
    }
    let (table, column) = name.split_once('.')?;
    let table = schema::table(table).filter(|table| table.by_node())?;
    let column = table.columns.iter().find(|known| known.name == column)?;
    Some((table, column.name))
}

/// As [`node_column`], also for a column's name alone, as `wherevals` of a dynamic group has it: then it is the one of
/// the first table with nodes that has such a column.
#[must_use]
pub fn attribute(name: &str) -> Option<(&'static Table, &'static str)> {
    if let Some(found) = node_column(name) {
        return Some(found);
    }
    match name {
        "unit" => return Some((&NODEPOS, "u")),
        "usercomment" => return Some((&NODELIST, "comments")),
        "disable" => return None,
        _ => {}
    }
    let tables = schema::TABLES.iter().filter(|table| table.by_node());
    let mut found = tables.filter_map(|table| {
        let column = table.columns.iter().find(|column| column.name == name)?;
        Some((*table, column.name))
    });
    found.next()
}

/// The operators; those that begin alike, the longer first.
const OPERATORS: [&str; 5] = ["!=", "!~", "=~", "==", "="];

impl Criterion {
    /// Reads a criterion; `None` when the word has no operator and so is something else.
    ///
    /// # Errors
    /// [`RangeError`] for a column that is not there and for a bad expression.
    pub fn parse(word: &str) -> Result<Option<Self>, RangeError> {
        Self::parse_with(word, node_column)
    }

    /// As [`Criterion::parse`], with the names of [`attribute`].
    ///
    /// # Errors
    /// As [`Criterion::parse`].
    pub fn parse_attribute(word: &str) -> Result<Option<Self>, RangeError> {
        Self::parse_with(word, attribute)
    }

    fn parse_with(
        word: &str,
        column: fn(&str) -> Option<(&'static Table, &'static str)>,
    ) -> Result<Option<Self>, RangeError> {
        let Some(at) = word.find(['=', '!']) else {
            return Ok(None);
        };
        let (name, rest) = word.split_at(at);
        let Some((operator, value)) = OPERATORS
            .iter()
            .find_map(|operator| Some((*operator, rest.strip_prefix(operator)?)))
        else {
            return Ok(None);
        };
        let (table, column) =
            column(name).ok_or_else(|| CriterionError::Column(name.to_owned()))?;
        let regex = |value: &str| parser::regex(value, value);
        let test = Comparison::new(operator, value, regex)?;
        Ok(Some(Self {
            table,
            column,
            test,
        }))
    }

    /// Whether a node meets it.
    #[must_use]
    pub fn holds(&self, site: &Site, node: &str) -> bool {
        let value = match self.column {
            "node" => Some(node.to_owned()),
            column => site.node_value(node, self.table, column),
        };
        let value = value.unwrap_or_default();
        self.test.holds(&value)
    }
}
