//! The statements both databases take. Every name is quoted; values are always parameters.

use crate::tables::Table;

/// The version of the tables in a database. It rises when a table or a column is added.
pub(super) const VERSION: i64 = 2;

/// The table that holds the version.
pub(super) const VERSION_TABLE: &str = "statelite_schema";

/// How a database writes the parameter 1: `?1` or `$1`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialect {
    /// The sign before a parameter's number.
    pub(super) parameter: char,
    /// The type of a column that names rows by itself.
    pub(super) id: &'static str,
}

/// A name as SQL takes any.
pub(in crate::tables) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `_order` and the columns, quoted.
pub(super) fn columns(table: &Table) -> Vec<String> {
    let names = table.columns.iter().map(|column| quoted(column.name));
    std::iter::once(quoted("_order")).chain(names).collect()
}

impl Dialect {
    pub(super) fn create(self, table: &Table) -> String {
        let names = table.columns.iter();
        let columns: Vec<_> = names
            .map(|column| format!("{} TEXT", quoted(column.name)))
            .collect();
        format!(
            "CREATE TABLE IF NOT EXISTS {} (\"_id\" {}, \"_order\" BIGINT NOT NULL, {})",
            quoted(table.name),
            self.id,
            columns.join(", ")
        )
    }

    /// `_order` and the cells.
    pub(super) fn insert(self, table: &Table) -> String {
        let columns = columns(table);
        let values: Vec<_> = (1..=columns.len()).map(|n| self.parameter(n)).collect();
        format!(
            "INSERT INTO {} ({}) VALUES ({})",
            quoted(table.name),
            columns.join(", "),
            values.join(", ")
        )
    }

    /// `_order` and the cells, then `_id`.
    pub(super) fn update(self, table: &Table) -> String {
        let columns = columns(table);
        let id = self.parameter(columns.len() + 1);
        let numbered = columns.iter().zip(1..);
        let sets: Vec<_> = numbered
            .map(|(column, n)| format!("{column} = {}", self.parameter(n)))
            .collect();
        format!(
            "UPDATE {} SET {} WHERE \"_id\" = {id}",
            quoted(table.name),
            sets.join(", ")
        )
    }

    /// `_id`.
    pub(super) fn delete(self, table: &Table) -> String {
        format!(
            "DELETE FROM {} WHERE \"_id\" = {}",
            quoted(table.name),
            self.parameter(1)
        )
    }

    fn parameter(self, number: usize) -> String {
        format!("{}{number}", self.parameter)
    }
}

/// Notes the version; makes its table when it is missing.
pub(super) fn set_version(version: i64) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {VERSION_TABLE} (version BIGINT NOT NULL); DELETE FROM {VERSION_TABLE}; \
         INSERT INTO {VERSION_TABLE} (version) VALUES ({version})"
    )
}

/// `_id`, `_order` and the cells of every row in order.
pub(super) fn select(table: &Table) -> String {
    format!(
        "SELECT \"_id\", {} FROM {} ORDER BY \"_order\", \"_id\"",
        columns(table).join(", "),
        quoted(table.name)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::schema::{SITE, TABLES};

    #[test]
    fn statements() {
        let dialect = Dialect {
            parameter: '$',
            id: "BIGSERIAL",
        };
        assert_eq!(
            dialect.update(&SITE),
            "UPDATE \"site\" SET \"_order\" = $1, \"key\" = $2, \"value\" = $3, \"comments\" = $4, \"disable\" = $5 \
             WHERE \"_id\" = $6"
        );
        assert_eq!(
            dialect.delete(&SITE),
            "DELETE FROM \"site\" WHERE \"_id\" = $1"
        );
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }

    #[test]
    fn a_changed_schema_has_a_new_version() {
        let names = TABLES.iter().map(|table| {
            let columns: Vec<_> = table.columns.iter().map(|c| c.name).collect();
            format!("{}({})", table.name, columns.join(","))
        });
        let text = names.collect::<Vec<_>>().join("\n");
        assert_eq!(
            (VERSION, text.len()),
            (2, 1788),
            "tables or columns changed: raise VERSION, so that existing databases get them, then note the new length here"
        );
    }
}
