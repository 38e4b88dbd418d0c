//! `table.column==value`: nodes by what the tables say about them.
//!
//! The value compared is the one the node has after groups and substitutions; none at all compares as empty text.
//! `==` (or `=`) and `!=` compare the whole value, `=~` and `!~` look for a regular expression in it, with or
//! without slashes around.

use super::{RangeError, parser};
use crate::tables::schema::{self, NODEHM, NODELIST};
use crate::tables::{Site, Table};
use regex::Regex;

/// Why a criterion is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CriterionError {
    /// "{0}" is no table.column of nodes
    #[error("\"{0}\" is no table.column of nodes")]
    Column(String),
}

/// How values are compared.
#[derive(Debug, Clone)]
enum Test {
    Is(String),
    Not(String),
    Matches(Regex),
    MatchesNot(Regex),
}

/// A condition on the nodes.
#[derive(Debug, Clone)]
pub struct Criterion {
    table: &'static Table,
    column: &'static str,
    test: Test,
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

/// The operators; those that begin alike, the longer first.
const OPERATORS: [&str; 5] = ["!=", "!~", "=~", "==", "="];

impl Criterion {
    /// Reads a criterion; `None` when the word has no operator and so is something else.
    ///
    /// # Errors
    /// [`RangeError`] for a column that is not there and for a bad expression.
    pub fn parse(word: &str) -> Result<Option<Self>, RangeError> {
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
            node_column(name).ok_or_else(|| CriterionError::Column(name.to_owned()))?;
        let regex = || {
            let value = value.strip_prefix('/').unwrap_or(value);
            let value = value.strip_suffix('/').unwrap_or(value);
            parser::regex(value, value)
        };
        let test = match operator {
            "!=" => Test::Not(value.to_owned()),
            "=~" => Test::Matches(regex()?),
            "!~" => Test::MatchesNot(regex()?),
            _ => Test::Is(value.to_owned()),
        };
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
        match &self.test {
            Test::Is(wanted) => value == *wanted,
            Test::Not(unwanted) => value != *unwanted,
            Test::Matches(regex) => regex.is_match(&value),
            Test::MatchesNot(regex) => !regex.is_match(&value),
        }
    }
}
