//! `TABLE.csv`.

use super::TransferError;
use crate::tables::csv::{self, Known};
use crate::tables::{Row, Table};
use statelite_policy::Refusals;
use std::io::Write as _;
use std::path::Path;

/// The rows; none when the file is refused, which is then in `refusals`.
pub(super) fn read(
    table: &Table,
    path: &Path,
    refusals: &mut Refusals,
) -> Result<Option<Known>, TransferError> {
    let text = std::fs::read(path).map_err(|error| TransferError::file(path, error))?;
    match csv::read_known(table, &path.display().to_string(), &text) {
        Ok(known) => Ok(Some(known)),
        Err(mut found) => {
            refusals.0.append(&mut found.0);
            Ok(None)
        }
    }
}

pub(super) fn write(table: &Table, rows: &[Row], path: &Path) -> Result<(), TransferError> {
    let written = std::fs::File::create(path).and_then(|mut file| {
        file.write_all(csv::write(table, rows).as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| TransferError::file(path, error))
}
