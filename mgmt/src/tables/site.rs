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
    /// The live rows by the value of their first key, in order.
    index: OnceLock<HashMap<String, Vec<usize>>>,
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
        rows.rows.push(row);
        rows.index = OnceLock::new();
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
        let index = rows.index.get_or_init(|| {
            let mut index: HashMap<String, Vec<usize>> = HashMap::new();
            for (place, row) in rows.rows.iter().enumerate() {
                if row.live(table) {
                    let first = table.keys.first().and_then(|key| row.get(table, key));
                    let first = first.unwrap_or_default().to_owned();
                    index.entry(first).or_default().push(place);
                }
            }
            index
        });
        let places = index.get(key.first().copied().unwrap_or_default())?;
        let mut found = places.iter().filter_map(|place| rows.rows.get(*place));
        found.find(|row| row.key(table) == key)
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
mod tests {
    use super::*;
    use crate::tables::schema::NODERES;

    fn site() -> Site {
        let mut site = Site::default();
        let node = Row::new(&NODELIST).with(&NODELIST, "node", "n12");
        site.add(&NODELIST, node.with(&NODELIST, "groups", "rack1,all"));
        for (name, column, value) in [
            ("all", "nfsserver", "nfs0"),
            ("all", "tftpdir", "/tftpboot"),
            ("rack1", "nfsserver", "|n(\\d)(\\d)|nfs$1|"),
        ] {
            let row = Row::new(&NODERES).with(&NODERES, "node", name);
            let row = row.with(&NODERES, column, value);
            match site
                .rows(&NODERES)
                .iter()
                .position(|r| r.key(&NODERES) == [name])
            {
                Some(_) => {
                    let mut rows = site.rows(&NODERES).to_vec();
                    for old in &mut rows {
                        if old.key(&NODERES) == [name] {
                            old.set(&NODERES, column, Some(value.to_owned()));
                        }
                    }
                    site.put(&NODERES, rows);
                }
                None => site.add(&NODERES, row),
            }
        }
        site
    }

    #[test]
    fn own_row_then_groups_per_column() {
        let site = site();
        assert_eq!(
            site.node_value("n12", &NODERES, "nfsserver").as_deref(),
            Some("nfs1")
        );
        assert_eq!(
            site.node_value("n12", &NODERES, "tftpdir").as_deref(),
            Some("/tftpboot")
        );
        assert_eq!(site.node_value("n12", &NODERES, "netboot"), None);
        assert_eq!(
            site.variable("n12", "noderes.nfsserver").as_deref(),
            Some("nfs1")
        );
    }

    fn values(cells: &[(&str, &str)]) -> Site {
        let mut site = Site::default();
        let node = Row::new(&NODELIST).with(&NODELIST, "node", "n12");
        site.add(&NODELIST, node.with(&NODELIST, "groups", "rack1,all"));
        for (name, value) in cells {
            let row = Row::new(&NODERES).with(&NODERES, "node", name);
            let row = row.with(&NODERES, "nfsserver", value);
            site.add(&NODERES, row.with(&NODERES, "nfsdir", value));
        }
        site
    }

    #[test]
    fn substitutions_and_groups() {
        for (cells, wanted) in [
            (
                vec![("all", "|n(\\d+)|10.0.0.($1+1)|")],
                Some("10.0.0.13 all"),
            ),
            // Does not match: the next group is asked, never the node's name as a value.
            (vec![("n12", "|x|y|"), ("all", "nfs0")], Some("nfs0 all")),
            (vec![("n12", "|x|y|")], None),
            // Blank on purpose: the groups are not asked.
            (vec![("n12", "|^.*$||"), ("all", "nfs0")], None),
            (vec![("rack1", "/n/m/")], Some("m12 rack1")),
            (vec![("rack1", "/x/m/")], Some("/x/m/ rack1")),
            (vec![("rack1", "")], None),
        ] {
            let site = values(&cells);
            let found = site.find("n12", &NODERES, "nfsserver").unwrap();
            let shown = found.map(|found| format!("{} {}", found.value, found.from));
            assert_eq!(shown.as_deref(), wanted, "{cells:?}");
        }
        let site = values(&[("all", "/n/state/")]);
        let dir = site.node_value("n12", &NODERES, "nfsdir");
        assert_eq!(dir.as_deref(), Some("/n/state/"), "a directory stays one");
        let node = site.node_value("n12", &NODERES, "node");
        assert_eq!(node.as_deref(), Some("n12"), "not the group's name");
    }

    #[test]
    fn what_cannot_be_computed_names_the_row() {
        let site = values(&[("all", "|n(\\d+)|10.0.0.($1/0)|")]);
        assert_eq!(
            site.find("n12", &NODERES, "nfsserver")
                .unwrap_err()
                .to_string(),
            "noderes: row all: column nfsserver: \"|n(\\d+)|10.0.0.($1/0)|\" for node n12: \
             \"($1/0)\" cannot be computed: a division by zero"
        );
        assert_eq!(site.node_value("n12", &NODERES, "nfsserver"), None);
        assert_eq!(site.variable("n12", "noderes.nfsserver"), None);
    }

    #[test]
    fn rows_are_found_after_every_change() {
        let mut site = values(&[("a", "1")]);
        assert!(site.row(&NODERES, &["b"]).is_none());
        let copy = site.clone();
        site.add(&NODERES, Row::new(&NODERES).with(&NODERES, "node", "b"));
        assert!(site.row(&NODERES, &["b"]).is_some());
        assert!(copy.row(&NODERES, &["b"]).is_none() && copy != site);
        site.put(&NODERES, Vec::new());
        assert!(site.row(&NODERES, &["a"]).is_none());
        let off = Row::new(&NODERES).with(&NODERES, "node", "c");
        site.add(&NODERES, off.with(&NODERES, "disable", "1"));
        assert!(site.row(&NODERES, &["c"]).is_none());
    }
}
