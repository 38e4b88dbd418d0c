//! All tables at one moment, in memory, and the rules by which a node's values are found in them.
//!
//! For tables with a row per node (facts §1): the node's own row first, then its groups in the order of
//! `nodelist.groups`; per column the first non-empty value counts. A value `|a|b|`, or `/a/b/` with exactly three
//! slashes, is a substitution applied to the node's name.

use super::schema::{self, NODELIST, SITE};
use super::{Row, Table};
use regex::Regex;
use std::collections::{BTreeMap, HashMap};

/// All tables at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Site {
    tables: BTreeMap<&'static str, Vec<Row>>,
}

impl Site {
    /// Puts the rows of a table in, in place of those it had.
    pub fn put(&mut self, table: &'static Table, rows: Vec<Row>) {
        self.tables.insert(table.name, rows);
    }

    /// Adds a row.
    pub fn add(&mut self, table: &'static Table, row: Row) {
        self.tables.entry(table.name).or_default().push(row);
    }

    /// The rows of a table, disabled ones too.
    #[must_use]
    pub fn rows(&self, table: &Table) -> &[Row] {
        self.tables.get(table.name).map_or(&[], Vec::as_slice)
    }

    /// The rows of a table that count.
    pub fn live<'a>(&'a self, table: &'a Table) -> impl Iterator<Item = &'a Row> {
        self.rows(table).iter().filter(|row| row.live(table))
    }

    /// The live row with these keys.
    #[must_use]
    pub fn row(&self, table: &Table, key: &[&str]) -> Option<&Row> {
        self.rows(table)
            .iter()
            .find(|row| row.live(table) && row.key(table) == key)
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

    /// A node's value: from its own row, else from the first of its groups that has one.
    #[must_use]
    pub fn node_value(&self, node: &str, table: &Table, column: &str) -> Option<String> {
        let names = std::iter::once(node).chain(self.groups(node));
        let mut values = names.filter_map(|name| self.row(table, &[name])?.get(table, column));
        values.next().map(|value| substitute(value, node))
    }

    /// The value `$table.column` has for a node; `site.key` is a setting of the site.
    #[must_use]
    pub fn variable(&self, node: &str, name: &str) -> Option<String> {
        let (table, column) = name.split_once('.')?;
        if table == SITE.name {
            return self.setting(column).map(str::to_owned);
        }
        let table = schema::table(table)?;
        if table.by_node() {
            return self.node_value(node, table, column);
        }
        None
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

/// Applies a substitution value to a node's name; any other value stays as it is.
///
/// What xCAT does with a bad expression is to keep the value; so do we.
#[must_use]
pub fn substitute(value: &str, node: &str) -> String {
    let parts: Vec<&str> = if value.starts_with('|') && value.ends_with('|') {
        value.split('|').collect()
    } else if value.starts_with('/') && value.ends_with('/') {
        value.split('/').collect()
    } else {
        return value.to_owned();
    };
    let [_, pattern, replacement, _] = parts.as_slice() else {
        return value.to_owned();
    };
    match Regex::new(pattern) {
        Ok(pattern) if pattern.is_match(node) => {
            let braced = braces(replacement);
            pattern.replace(node, braced.as_str()).into_owned()
        }
        _ => value.to_owned(),
    }
}

/// `$1` and `\1` as the regex library wants them: `${1}`.
fn braces(replacement: &str) -> String {
    let mut out = String::new();
    let mut chars = replacement.chars().peekable();
    while let Some(c) = chars.next() {
        let digit = chars.peek().filter(|c| c.is_ascii_digit()).copied();
        match (c, digit) {
            ('$' | '\\', Some(digit)) => {
                out.push_str(&format!("${{{digit}}}"));
                chars.next();
            }
            ('$', None) => out.push_str("$$"),
            _ => out.push(c),
        }
    }
    out
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

    #[test]
    fn substitutions() {
        for (value, wanted) in [
            ("|n(\\d+)|10.0.0.($1)|", "10.0.0.(12)"),
            ("/n/m/", "m12"),
            ("/gpfs/state/", "/gpfs/state/"),
            ("/a/b/c/", "/a/b/c/"),
            ("plain", "plain"),
            ("|x|y|", "|x|y|"),
        ] {
            assert_eq!(substitute(value, "n12"), wanted, "{value}");
        }
    }
}
