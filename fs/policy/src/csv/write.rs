//! The writer: exactly what tabdump prints.

use super::Table;

/// The table as tabdump prints it: defined values quoted with inner quotes doubled, NULL and the empty string as
/// nothing between commas, every field followed by a comma and exactly one trailing comma removed.
///
/// The empty string therefore comes back as NULL from [`super::parse`].
#[must_use]
pub fn write(table: &Table<'_>) -> String {
    let mut text = format!("#{}\n", table.columns.join(","));
    for row in &table.rows {
        let start = text.len();
        for field in &row.fields {
            if let Some(value) = field.as_deref().filter(|value| !value.is_empty()) {
                text.push('"');
                text.push_str(&value.replace('"', "\"\""));
                text.push('"');
            }
            text.push(',');
        }
        if text.len() > start {
            text.pop();
        }
        text.push('\n');
    }
    text
}
