//! `TABLE.sqlite`: a database of xCAT, which has one table of that name with a text column per column.

use super::TransferError;
use crate::tables::csv::Known;
use crate::tables::store::sql::quoted;
use crate::tables::{Row, Table};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, params_from_iter};
use std::path::Path;

/// The rows; none when the file has no such table: xCAT makes a table at its first use.
pub(super) fn read(table: &Table, path: &Path) -> Result<Option<Known>, TransferError> {
    let failed = |error: rusqlite::Error| TransferError::file(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    let found = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?1";
    let found = connection.query_row(found, [table.name], |row| row.get::<_, i64>(0));
    if found.map_err(failed)? == 0 {
        return Ok(None);
    }
    load(&connection, table).map(Some).map_err(failed)
}

fn load(connection: &Connection, table: &Table) -> rusqlite::Result<Known> {
    let sql = format!("SELECT * FROM {} ORDER BY rowid", quoted(table.name));
    let mut statement = connection.prepare(&sql)?;
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let left_out = names.iter().filter(|name| table.index(name).is_none());
    let left_out = left_out.cloned().collect();
    let places: Vec<_> = names.iter().map(|name| table.index(name)).collect();
    let mut found = statement.query([])?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let mut cells = vec![None; table.columns.len()];
        for (index, place) in places.iter().enumerate() {
            if let Some(cell) = place.and_then(|place| cells.get_mut(place)) {
                *cell = text(row.get_ref(index)?);
            }
        }
        rows.push(Row::from_cells(table, cells));
    }
    Ok(Known { rows, left_out })
}

/// A value as text: xCAT's columns are text, but SQLite keeps what it was given.
fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(text) | ValueRef::Blob(text) => {
            Some(String::from_utf8_lossy(text).into_owned())
        }
    }
}

pub(super) fn write(table: &Table, rows: &[Row], path: &Path) -> Result<(), TransferError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(TransferError::file(path, error));
        }
        _ => {} // left by an export that was stopped, or not there
    }
    store(table, rows, path).map_err(|error| TransferError::file(path, error))
}

fn store(table: &Table, rows: &[Row], path: &Path) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    let transaction = connection.transaction()?;
    let columns = table.columns.iter().map(|column| {
        let need = if column.required { " NOT NULL" } else { "" };
        format!("{} TEXT{need}", quoted(column.name))
    });
    let columns: Vec<_> = columns.collect();
    let keys: Vec<_> = table.keys.iter().map(|key| quoted(key)).collect();
    let name = quoted(table.name);
    transaction.execute_batch(&format!(
        "CREATE TABLE {name} ({}, PRIMARY KEY ({}))",
        columns.join(", "),
        keys.join(", ")
    ))?;
    let marks = vec!["?"; columns.len()].join(", ");
    let mut insert = transaction.prepare(&format!("INSERT INTO {name} VALUES ({marks})"))?;
    for row in rows {
        let cells = row.cells().iter().zip(table.columns);
        // A required value that is missing is a blank image of litefile: xCAT keeps that as the empty string.
        let cells = cells.map(|(cell, column)| match cell {
            None if column.required => Some(String::new()),
            cell => cell
                .clone()
                .filter(|cell| !cell.is_empty() || column.required),
        });
        insert.execute(params_from_iter(cells))?;
    }
    drop(insert);
    transaction.commit()
}
