//! `ATTR==VALUE`: rows of one table by their own cells, as `tabdump -w` chooses them.
//!
//! A blank cell compares as empty text. `==`, `=`, `!=`, `=~` and `!~` are those of node ranges; `<`, `<=`, `>` and `>=` compare
//! numbers, and text where one of both is no number.

use super::comparison::Comparison;
use super::{Row, Table};
use regex::RegexBuilder;

/// The largest compiled expression, bytes.
const REGEX_MAX: usize = 1 << 20;

/// Why a selection is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// "{0}" is no selection: COLUMN==VALUE, !=, =~, !~, <, <=, > or >=
    #[error("\"{0}\" is no selection: COLUMN==VALUE, !=, =~, !~, <, <=, > or >=")]
    Syntax(String),
    /// the table {table} has no column "{column}" (columns: {known})
    #[error("the table {table} has no column \"{column}\" (columns: {known})")]
    Column {
        /// The table.
        table: &'static str,
        /// What was asked for.
        column: String,
        /// What there is.
        known: String,
    },
    /// "{0}" is no regular expression: {1}
    #[error("\"{0}\" is no regular expression: {1}")]
    Regex(String, String),
}

/// A condition on the rows of a table.
#[derive(Debug, Clone)]
pub struct Selection {
    table: &'static Table,
    column: &'static str,
    test: Comparison,
}

/// The operators; those that begin alike, the longer first.
const OPERATORS: [&str; 9] = ["==", "=~", "!=", "!~", ">=", "<=", "=", ">", "<"];

impl Selection {
    /// Reads one. A column may be written `table.column`.
    ///
    /// # Errors
    /// [`SelectError`].
    pub fn parse(table: &'static Table, text: &str) -> Result<Self, SelectError> {
        let syntax = || SelectError::Syntax(text.to_owned());
        let at = text.find(['=', '!', '<', '>']).ok_or_else(syntax)?;
        let (name, rest) = text.split_at(at);
        let mut operators = OPERATORS.iter();
        let found = operators.find_map(|operator| Some((*operator, rest.strip_prefix(operator)?)));
        let (operator, value) = found.ok_or_else(syntax)?;
        let own = name.strip_prefix(table.name);
        let own = own.and_then(|rest| rest.strip_prefix('.')).unwrap_or(name);
        let column = table.columns.iter().find(|column| column.name == own);
        let Some(column) = column else {
            let known: Vec<_> = table.columns.iter().map(|column| column.name).collect();
            return Err(SelectError::Column {
                table: table.name,
                column: name.to_owned(),
                known: known.join(" "),
            });
        };
        let test = Comparison::new(operator, value, |value| {
            let built = RegexBuilder::new(value).size_limit(REGEX_MAX).build();
            built.map_err(|error| {
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default();
                let reason = last.trim_start_matches("error: ").to_owned();
                SelectError::Regex(value.to_owned(), reason)
            })
        })?;
        Ok(Self {
            table,
            column: column.name,
            test,
        })
    }

    /// Whether a row meets it.
    #[must_use]
    pub fn holds(&self, row: &Row) -> bool {
        let value = row.get(self.table, self.column).unwrap_or_default();
        self.test.holds(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::schema::POLICY;

    fn chosen(text: &str) -> String {
        let rows = [
            ("4.7", "litefile", "allow"),
            ("4.8", "litetree", "allow"),
            ("10", "", "deny"),
        ];
        let selection = match Selection::parse(&POLICY, text) {
            Ok(selection) => selection,
            Err(error) => return error.to_string(),
        };
        let mut found = Vec::new();
        for (priority, commands, rule) in rows {
            let mut row = Row::new(&POLICY);
            for (column, value) in [
                ("priority", priority),
                ("commands", commands),
                ("rule", rule),
            ] {
                row.set(
                    &POLICY,
                    column,
                    (!value.is_empty()).then(|| value.to_owned()),
                );
            }
            if selection.holds(&row) {
                found.push(priority);
            }
        }
        found.join(" ")
    }

    #[test]
    fn rows_by_a_cell() {
        for (text, wanted) in [
            ("rule==allow", "4.7 4.8"),
            ("rule=allow", "4.7 4.8"),
            ("policy.rule==deny", "10"),
            ("rule!=allow", "10"),
            ("commands=~/^lite/", "4.7 4.8"),
            ("commands=~tree$", "4.8"),
            ("commands!~tree", "4.7 10"),
            ("commands==", "10"),
            ("commands!=", "4.7 4.8"),
            ("priority>4.7", "4.8 10"),
            ("priority>=4.70", "4.7 4.8 10"),
            ("priority<5", "4.7 4.8"),
            ("priority<=4.7", "4.7"),
            ("commands>litefile", "4.8"),
            ("rule==a==b", ""),
        ] {
            assert_eq!(chosen(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_no_selection() {
        for (text, message) in [
            ("allow", "\"allow\" is no selection: COLUMN==VALUE"),
            ("rule!allow", "is no selection"),
            ("==x", "the table policy has no column \"\""),
            (
                "rules==x",
                "the table policy has no column \"rules\" (columns: priority name host ",
            ),
            ("site.key==x", "has no column \"site.key\""),
            ("rule=~(", "\"(\" is no regular expression: unclosed group"),
        ] {
            let error = chosen(text);
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
