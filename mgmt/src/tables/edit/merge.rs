//! An edited table, and what others did to it in the meantime.

use crate::tables::{Row, Table};
use std::collections::HashMap;

/// Rows that both sides changed, each in its own way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "another command changed the same rows of {table} in the meantime: {}",
    .keys.join("; ")
)]
pub struct Conflict {
    /// The table.
    pub table: &'static str,
    /// The keys of the rows.
    pub keys: Vec<String>,
}

/// `mine` with what `theirs` has changed since `base`. Rows are told by their keys.
///
/// # Errors
/// [`Conflict`] when a row was changed on both sides.
pub fn merge(
    table: &'static Table,
    base: &[Row],
    mine: &[Row],
    theirs: &[Row],
) -> Result<Vec<Row>, Conflict> {
    if base == theirs {
        return Ok(mine.to_vec());
    }
    let by_key = |rows: &'_ [Row]| -> HashMap<Vec<String>, Row> {
        let rows = rows.iter().map(|row| (key(table, row), row.clone()));
        rows.collect()
    };
    let (old, ours, other) = (by_key(base), by_key(mine), by_key(theirs));
    let mut merged = Vec::new();
    let mut keys = Vec::new();
    for row in mine {
        let key = key(table, row);
        let (old, other) = (old.get(&key), other.get(&key));
        if other == old || other == Some(row) {
            merged.push(row.clone());
        } else if old == Some(row) {
            merged.extend(other.cloned());
        } else {
            keys.push(key.join(", "));
        }
    }
    for row in theirs {
        let key = key(table, row);
        if ours.contains_key(&key) {
            continue;
        }
        match old.get(&key) {
            None => merged.push(row.clone()),
            Some(old) if old == row => {} // removed here, untouched there
            Some(_) => keys.push(key.join(", ")),
        }
    }
    if keys.is_empty() {
        Ok(merged)
    } else {
        let table = table.name;
        Err(Conflict { table, keys })
    }
}

fn key(table: &Table, row: &Row) -> Vec<String> {
    row.key(table).into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::schema::SITE;

    /// `a1 b2`: key a with value 1, key b with value 2.
    fn rows(text: &str) -> Vec<Row> {
        let words = text.split_whitespace();
        let row = |word: &str| {
            let (key, value) = word.split_at(1);
            let row = Row::new(&SITE).with(&SITE, "key", key);
            row.with(&SITE, "value", value)
        };
        words.map(row).collect()
    }

    #[test]
    fn changes_of_both_sides_are_kept_unless_they_meet() {
        for (base, mine, theirs, wanted) in [
            ("a1 b1", "a2 b1", "a1 b1", Ok("a2 b1")),
            ("a1 b1", "a2 b1", "a1 b2", Ok("a2 b2")),
            ("a1 b1", "a2 b1", "a1", Ok("a2")),
            ("a1 b1", "a1", "a1 b1 c1", Ok("a1 c1")),
            ("a1 b1", "b1 a1 d1", "c1 a1 b1", Ok("b1 a1 d1 c1")),
            ("a1", "a2", "a2", Ok("a2")),
            ("a1", "a1 b1", "a1 b1 c1", Ok("a1 b1 c1")),
            ("a1", "a2", "a3", Err("a")),
            ("a1 b1", "b1", "a2 b1", Err("a")),
            ("a1", "a2", "", Err("a")),
            ("", "a1", "a2", Err("a")),
        ] {
            let result = merge(&SITE, &rows(base), &rows(mine), &rows(theirs));
            match wanted {
                Ok(text) => assert_eq!(result.unwrap(), rows(text), "{base} {mine} {theirs}"),
                Err(key) => assert_eq!(result.unwrap_err().keys, [key], "{base} {mine} {theirs}"),
            }
        }
    }
}
