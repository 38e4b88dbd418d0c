//! Rows in messages: by number and key, as `statelite check` names them. What builds a policy knows lines of a text.

use crate::tables::row::place;
use crate::tables::{Table, csv};

/// The record that starts at a line of a table's text, and its number; the header is number 0.
fn record_at(text: &str, wanted: u64) -> Option<(usize, &str)> {
    let (mut number, mut start, mut start_line, mut line) = (0, 0, 1, 1);
    let mut quoted = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' => {
                line += 1;
                if quoted {
                    continue;
                }
                if start_line == wanted {
                    return Some((number, text.get(start..=at)?));
                }
                (number, start, start_line) = (number + 1, at + 1, line);
            }
            _ => {}
        }
    }
    None
}

/// `TABLE: row N (KEY)` for the row that starts at a line of the table's text. `number` turns its number there, from 1, into
/// that in the table.
pub(super) fn label(
    table: &'static Table,
    text: &str,
    line: u64,
    number: impl Fn(usize) -> usize,
) -> Option<String> {
    let (found, record) = record_at(text, line).filter(|(number, _)| *number > 0)?;
    let (header, _) = text.split_once('\n')?;
    let one = format!("{header}\n{record}");
    let row = csv::read(table, table.name, one.as_bytes()).ok()?.pop()?;
    Some(format!(
        "{}: {}",
        table.name,
        place(number(found), &row.key(table))
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::Row;
    use crate::tables::schema::LITEFILE;

    #[test]
    fn rows_are_counted_whatever_their_cells_hold() {
        let row = |file: &str, comments: &str| {
            let row = Row::new(&LITEFILE).with(&LITEFILE, "image", "ALL");
            row.with(&LITEFILE, "file", file)
                .with(&LITEFILE, "comments", comments)
        };
        let rows = [row("/a", "two\n\"lines\"\n"), row("/b", ""), row("/c", "x")];
        let text = super::super::input::csv(&LITEFILE, &rows);
        let label = |line| label(&LITEFILE, &text, line, |number| number);
        assert_eq!(
            label(2).as_deref(),
            Some("litefile: row 1 (\"ALL\", \"/a\")")
        );
        assert_eq!(
            label(5).as_deref(),
            Some("litefile: row 2 (\"ALL\", \"/b\")")
        );
        assert_eq!(
            label(6).as_deref(),
            Some("litefile: row 3 (\"ALL\", \"/c\")")
        );
        for line in [0, 1, 3, 7] {
            assert_eq!(label(line), None, "{line}");
        }
    }
}
