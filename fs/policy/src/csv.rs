//! tabdump CSV: text to rows and back, pure.
//!
//! The form (facts §1): line 1 is `#` and the comma-joined columns; then one row per record. A value is quoted, with
//! inner quotes doubled and newlines allowed, or unquoted. Nothing between two commas is NULL; `""` is the empty
//! string. Trailing fields may be missing, one extra trailing comma and blanks at the end of a line are accepted, as are
//! quotes around the names in the header. Unknown columns, surplus fields, text beside a quoted value (also whitespace
//! before its opening quote) and comment lines are errors, as for `tabrestore`.
//!
//! Our additions: `\r\n` ends a line too, blank lines are skipped, columns may come in any order and optional ones may
//! be missing, and everything must be UTF-8. Blanks at the end of a line inside quotes belong to the value; `tabrestore`
//! drops them.

pub(crate) mod reader;
mod write;

use crate::refusal::{Refusals, Report};
use reader::Reader;
pub use write::write;

/// A column a table may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column<'s> {
    /// The name in the header.
    pub name: &'s str,
    /// Whether the header must have it.
    pub required: bool,
}

/// The columns of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema<'s> {
    /// The table's name, for messages.
    pub table: &'s str,
    /// The columns in tabdump order.
    pub columns: &'s [Column<'s>],
}

const fn required(name: &'static str) -> Column<'static> {
    Column {
        name,
        required: true,
    }
}

const fn optional(name: &'static str) -> Column<'static> {
    Column {
        name,
        required: false,
    }
}

/// litefile: which paths live where.
pub const LITEFILE: Schema<'static> = Schema {
    table: "litefile",
    columns: &[
        required("image"),
        required("file"),
        required("options"),
        optional("comments"),
        optional("disable"),
    ],
};

/// litetree: read-only layers. `mntopts` exists in current xCAT only.
pub const LITETREE: Schema<'static> = Schema {
    table: "litetree",
    columns: &[
        required("priority"),
        required("image"),
        required("directory"),
        optional("mntopts"),
        optional("comments"),
        optional("disable"),
    ],
};

/// statelite: the persistent store of a node or group. `mntopts` exists in current xCAT only; `image` is ignored.
pub const STATELITE: Schema<'static> = Schema {
    table: "statelite",
    columns: &[
        required("node"),
        optional("image"),
        required("statemnt"),
        optional("mntopts"),
        optional("comments"),
        optional("disable"),
    ],
};

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Physical line, from 1, on which the row starts.
    pub line: u64,
    /// One value per column of the table; `None` is NULL, `Some("")` the empty string.
    pub fields: Vec<Option<String>>,
}

/// A table as text gave it, not yet understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table<'s> {
    /// The label given to [`parse`].
    pub file: String,
    /// The header's columns in the header's order.
    pub columns: Vec<&'s str>,
    /// The rows in file order, disabled ones included.
    pub rows: Vec<Record>,
}

impl Table<'_> {
    /// A row's value in the named column; `None` for NULL and for a column the header does not have.
    #[must_use]
    pub fn get<'r>(&self, row: &'r Record, column: &str) -> Option<&'r str> {
        let index = self.columns.iter().position(|name| *name == column)?;
        row.fields.get(index)?.as_deref()
    }
}

/// Reads a table. `file` is only a label for messages.
///
/// # Errors
/// Every malformed row, or the malformed header alone. A refusal names the physical line on which the row starts and,
/// when one field is to blame, its column and its number (from 1).
pub fn parse<'s>(file: &str, text: &[u8], columns: &Schema<'s>) -> Result<Table<'s>, Refusals> {
    let mut report = Report::new(file);
    let mut table = Table {
        file: file.to_owned(),
        columns: Vec::new(),
        rows: Vec::new(),
    };
    if let Some(mut reader) = Reader::open(text, columns, &mut report) {
        table.columns.extend_from_slice(reader.columns());
        while let Some(row) = reader.next_row(&mut report) {
            let fields = row
                .fields
                .iter_mut()
                .map(|field| field.take().map(Into::into))
                .collect();
            table.rows.push(Record {
                line: row.line,
                fields,
            });
        }
    }
    if report.refusals.is_empty() {
        Ok(table)
    } else {
        Err(Refusals(report.refusals))
    }
}

#[cfg(test)]
mod tests;
