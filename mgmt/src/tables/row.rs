//! One row of a table.

use super::Table;
use serde::{Deserialize, Serialize};

/// A row: one cell per column of its table, in the table's order. NULL is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Row {
    cells: Vec<Option<String>>,
}

/// How messages name a row: its number in the table, from 1, and its key.
#[must_use]
pub fn place(number: usize, key: &[impl AsRef<str>]) -> String {
    let key: Vec<_> = key.iter().map(|k| format!("\"{}\"", k.as_ref())).collect();
    match key.is_empty() {
        true => format!("row {number}"),
        false => format!("row {number} ({})", key.join(", ")),
    }
}

impl Row {
    /// A row without any value.
    #[must_use]
    pub fn new(table: &Table) -> Self {
        Self {
            cells: vec![None; table.columns.len()],
        }
    }

    /// A row of these cells; too few are filled with NULL, surplus ones dropped.
    #[must_use]
    pub fn from_cells(table: &Table, mut cells: Vec<Option<String>>) -> Self {
        cells.resize(table.columns.len(), None);
        Self { cells }
    }

    /// The cells in the table's order.
    #[must_use]
    pub fn cells(&self) -> &[Option<String>] {
        &self.cells
    }

    /// The value of a column. NULL, the empty string and unknown columns are `None`.
    #[must_use]
    pub fn get(&self, table: &Table, column: &str) -> Option<&str> {
        let cell = self.cells.get(table.index(column)?)?.as_deref();
        cell.filter(|value| !value.is_empty())
    }

    /// Sets a column; a column the table does not have changes nothing. Returns whether it has it.
    pub fn set(&mut self, table: &Table, column: &str, value: Option<String>) -> bool {
        let index = table.index(column);
        match index.and_then(|index| self.cells.get_mut(index)) {
            Some(cell) => {
                *cell = value;
                true
            }
            None => false,
        }
    }

    /// The same with the column set, for making rows in one expression.
    #[must_use]
    pub fn with(mut self, table: &Table, column: &str, value: &str) -> Self {
        self.set(table, column, Some(value.to_owned()));
        self
    }

    /// The values of the key columns; a missing one is empty.
    #[must_use]
    pub fn key(&self, table: &Table) -> Vec<&str> {
        let keys = table.keys.iter();
        keys.map(|key| self.get(table, key).unwrap_or_default())
            .collect()
    }

    /// Whether the row counts: `disable` is NULL, empty, or one of `0 no NO No nO` (facts §1).
    #[must_use]
    pub fn live(&self, table: &Table) -> bool {
        self.get(table, "disable")
            .is_none_or(|value| value == "0" || value.eq_ignore_ascii_case("no"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::schema::{LITEFILE, SITE};

    #[test]
    fn cells_by_name() {
        let row = Row::new(&SITE).with(&SITE, "key", "master");
        assert_eq!(row.get(&SITE, "key"), Some("master"));
        assert_eq!(row.get(&SITE, "value"), None);
        assert_eq!(row.get(&SITE, "nonesuch"), None);
        assert_eq!(Row::new(&LITEFILE).key(&LITEFILE), ["", ""]);
    }

    #[test]
    fn live_rows() {
        for (value, live) in [
            ("0", true),
            ("nO", true),
            ("", true),
            ("1", false),
            ("off", false),
        ] {
            let row = Row::new(&SITE).with(&SITE, "disable", value);
            assert_eq!(row.live(&SITE), live, "{value:?}");
        }
    }
}
