//! All tables at one moment, in memory, and the rules by which a node's values are found in them.
//!
//! For tables with a row per node (facts §1): the node's own row first, then its groups in the order of
//! `nodelist.groups`; per column the first non-empty value counts. A value may be computed from the node's name
//! ([`super::substitution`]). Rows are found through an index that is made when it is first needed, so that a command
//! over thousands of nodes does not read thousands of rows for each.

use super::schema::{self, NODELIST, SITE};
use super::substitution::{Outcome, Substitution, SubstitutionError};
use super::{Row, Table};
use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

pub use super::substitution::substitute;

/// Columns with directories: `/a/b/` is one, not a substitution.
const DIRECTORIES: [(&str, &str); 3] = [
    ("statelite", "statemnt"),
    ("noderes", "nfsdir"),
    ("noderes", "tftpdir"),
];

/// Whether a column holds directories, so that `/a/b/` in it is one.
#[must_use]
pub fn is_directory(table: &Table, column: &str) -> bool {
    DIRECTORIES.contains(&(table.name, column))
}

/// All tables at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Site {
    tables: BTreeMap<&'static str, Rows>,
}

/// The rows of a table.
#[derive(Debug, Default)]
struct Rows {
    rows: Vec<Row>,
    /// The rows, live or not, by the value of their first key, in order.
    index: OnceLock<HashMap<String, Vec<usize>>>,
}

impl Rows {
    /// The places of the rows with these keys, live or not, in order.
    fn places<'a>(
        &'a self,
        table: &'a Table,
        key: &'a [&'a str],
    ) -> impl Iterator<Item = usize> + use<'a> {
        let index = self.index.get_or_init(|| {
            let mut index: HashMap<String, Vec<usize>> = HashMap::new();
            for (place, row) in self.rows.iter().enumerate() {
                index.entry(first_key(table, row)).or_default().push(place);
            }
            index
        });
        let places = index.get(key.first().copied().unwrap_or_default());
        let places = places.into_iter().flatten().copied();
        places.filter(move |place| {
            let row = self.rows.get(*place);
            row.is_some_and(|row| row.key(table) == key)
        })
    }
}

fn first_key(table: &Table, row: &Row) -> String {
    let first = table.keys.first().and_then(|key| row.get(table, key));
    first.unwrap_or_default().to_owned()
}

impl Clone for Rows {
    fn clone(&self) -> Self {
        Self {
            rows: self.rows.clone(),
            index: OnceLock::new(),
        }
    }
}

impl PartialEq for Rows {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows
    }
}

impl Eq for Rows {}

/// A node's value and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<'a> {
    /// The value, computed if need be.
    pub value: String,
    /// The node or the group whose row has it.
    pub from: &'a str,
}

/// {table}: row {row}: column {column}: "{value}" for node {node}: {reason}
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{table}: row {row}: column {column}: \"{value}\" for node {node}: {reason}")]
pub struct ValueError {
    /// The node whose value was asked for.
    pub node: String,
    /// The table.
    pub table: &'static str,
    /// The node or group of the row.
    pub row: String,
    /// The column.
    pub column: String,
    /// The cell.
    pub value: String,
    /// Why it cannot be computed.
    pub reason: SubstitutionError,
}

impl Site {
    /// Puts the rows of a table in, in place of those it had.
    pub fn put(&mut self, table: &'static Table, rows: Vec<Row>) {
        let index = OnceLock::new();
        self.tables.insert(table.name, Rows { rows, index });
    }

    /// Adds a row.
    pub fn add(&mut self, table: &'static Table, row: Row) {
        let rows = self.tables.entry(table.name).or_default();
        if let Some(index) = rows.index.get_mut() {
            let place = rows.rows.len();
            index.entry(first_key(table, &row)).or_default().push(place);
        }
        rows.rows.push(row);
    }

    /// Changes the row with these keys: the first that is live, else the first. Without one a row with the keys is added.
    /// For thousands of rows, where taking a table out and putting it back for each costs too much.
    pub fn edit_row(&mut self, table: &'static Table, key: &[&str], edit: impl FnOnce(&mut Row)) {
        let place = self.tables.get(table.name).and_then(|rows| {
            let live = |place: &&usize| rows.rows.get(**place).is_some_and(|row| row.live(table));
            let places: Vec<usize> = rows.places(table, key).collect();
            places.iter().find(live).or(places.first()).copied()
        });
        let rows = self.tables.get_mut(table.name).zip(place);
        match rows.and_then(|(rows, place)| Some((rows.rows.get_mut(place)?, &mut rows.index))) {
            Some((row, index)) => {
                let before = first_key(table, row);
                edit(row);
                if first_key(table, row) != before {
                    *index = OnceLock::new();
                }
            }
            None => {
                let mut row = Row::new(table);
                for (column, value) in table.keys.iter().zip(key) {
                    row.set(table, column, Some((*value).to_owned()));
                }
                edit(&mut row);
                self.add(table, row);
            }
        }
    }

    /// The rows of a table, disabled ones too.
    #[must_use]
    pub fn rows(&self, table: &Table) -> &[Row] {
        let rows = self.tables.get(table.name);
        rows.map_or(&[], |rows| rows.rows.as_slice())
    }

    /// The rows of a table that count.
    pub fn live<'a>(&'a self, table: &'a Table) -> impl Iterator<Item = &'a Row> {
        self.rows(table).iter().filter(|row| row.live(table))
    }

    /// The live row with these keys; the first, should there be several.
    #[must_use]
    pub fn row(&self, table: &Table, key: &[&str]) -> Option<&Row> {
        let rows = self.tables.get(table.name)?;
        let mut found = rows.places(table, key);
        found.find_map(|place| rows.rows.get(place).filter(|row| row.live(table)))
    }

    /// A setting of the site.
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.row(&SITE, &[key])?.get(&SITE, "value")
    }

    /// Every node, in the order of the nodelist table.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.live(&NODELIST)
            .filter_map(|row| row.get(&NODELIST, "node"))
    }

    /// Whether there is such a node.
    #[must_use]
    pub fn has_node(&self, node: &str) -> bool {
        self.row(&NODELIST, &[node]).is_some()
    }

    /// The groups of a node in their order of precedence.
    #[must_use]
    pub fn groups(&self, node: &str) -> Vec<&str> {
        let row = self.row(&NODELIST, &[node]);
        let groups = row.and_then(|row| row.get(&NODELIST, "groups"));
        let names = groups.unwrap_or_default().split(',').map(str::trim);
        names.filter(|name| !name.is_empty()).collect()
    }

    /// A node's value: from its own row, else from the first of its groups that has one. A value that cannot be
    /// computed is none; [`Site::find`] says why.
    #[must_use]
    pub fn node_value(&self, node: &str, table: &Table, column: &str) -> Option<String> {
        let found = self.find(node, table, column).ok().flatten();
        found.map(|found| found.value)
    }

    /// A node's value and the row it comes from.
    ///
    /// A substitution that does not match the node's name is passed over. One that gives empty text ends the search:
    /// the node has no value although its groups have one.
    ///
    /// # Errors
    /// [`ValueError`] when the cell that counts cannot be computed.
    pub fn find<'a>(
        &'a self,
        node: &'a str,
        table: &Table,
        column: &str,
    ) -> Result<Option<Found<'a>>, Box<ValueError>> {
        for from in std::iter::once(node).chain(self.groups(node)) {
            let row = self.row(table, &[from]);
            let Some(cell) = row.and_then(|row| row.get(table, column)) else {
                continue;
            };
            let found = |value: &str| {
                let value = value.to_owned();
                Ok(Some(Found { value, from }))
            };
            if table.keys.contains(&column) {
                return found(node);
            }
            let slashes = cell.starts_with('/');
            if slashes && is_directory(table, column) {
                return found(cell);
            }
            let substitution = Substitution::parse(cell);
            let outcome = match substitution {
                Ok(None) => return found(cell),
                Ok(Some(substitution)) => substitution.apply(node),
                Err(error) => Err(error),
            };
            match outcome {
                Ok(Outcome::Value(value)) => return found(&value),
                Ok(Outcome::Blank) => return Ok(None),
                Ok(Outcome::Unmatched) if slashes => return found(cell),
                Ok(Outcome::Unmatched) => {}
                Err(reason) => {
                    return Err(Box::new(ValueError {
                        node: node.to_owned(),
                        table: schema::table(table.name).map_or("", |table| table.name),
                        row: from.to_owned(),
                        column: column.to_owned(),
                        value: cell.to_owned(),
                        reason,
                    }));
                }
            }
        }
        Ok(None)
    }

    /// The value `$table.column` has for a node; `site.key` is a setting of the site.
    #[must_use]
    pub fn variable(&self, node: &str, name: &str) -> Option<String> {
        self.find_variable(node, name).ok().flatten()
    }

    /// As [`Site::variable`].
    ///
    /// # Errors
    /// As [`Site::find`].
    pub fn find_variable(&self, node: &str, name: &str) -> Result<Option<String>, Box<ValueError>> {
        let Some((table, column)) = name.split_once('.') else {
            return Ok(None);
        };
        if table == SITE.name {
            return Ok(self.setting(column).map(str::to_owned));
        }
        match schema::table(table).filter(|table| table.by_node()) {
            Some(table) => Ok(self.find(node, table, column)?.map(|found| found.value)),
            None => Ok(None),
        }
    }

    /// An index of a table's live rows by their first key, for those who look up many.
    #[must_use]
    pub fn index<'a>(&'a self, table: &'a Table) -> HashMap<&'a str, &'a Row> {
        let mut index = HashMap::new();
        for row in self.live(table) {
            let key = row.key(table).first().copied().unwrap_or_default();
            index.entry(key).or_insert(row);
        }
        index
    }
}

#[cfg(test)]
mod tests;
