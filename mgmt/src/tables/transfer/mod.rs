//! Whole sites: from and to directories of dumps (`litefile.csv`, ...) or of xCAT's own databases (`litefile.sqlite`, ...).

mod csv_file;
mod sqlite_file;

use super::csv::Known;
use super::schema::{self, SITE, TABLES};
use super::{Row, Site, Table};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Settings of ours that no table of xCAT has; an import leaves them as they are.
const OURS: &[&str] = &["statelitemode", "statelitedialect"];

/// Why a directory cannot be brought in or written.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// {path}: {reason}
    #[error("{}: {reason}", .path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// {0}
    #[error("{0}")]
    Rows(statelite_policy::Refusals),
    /// {0}: no TABLE.csv and no TABLE.sqlite of a table that is known
    #[error("{}: no TABLE.csv and no TABLE.sqlite of a table that is kept here", .0.display())]
    Nothing(PathBuf),
    /// the table {0} is there twice, as {1} and {2}
    #[error("the table {0} is there twice, as {1} and {2}: keep one of the files")]
    Twice(&'static str, String, String),
}

impl TransferError {
    fn file(path: &Path, reason: impl ToString) -> Self {
        Self::File {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }
}

/// One table of a directory.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The table.
    pub table: &'static Table,
    /// The file it came from.
    pub file: String,
    /// Its rows.
    pub rows: Vec<Row>,
    /// Columns unknown here, which are left out.
    pub left_out: Vec<String>,
}

/// What a directory holds.
#[derive(Debug, Clone, Default)]
pub struct Bundle {
    /// The tables that are kept here, in their usual order.
    pub tables: Vec<Loaded>,
    /// Names of tables that are not.
    pub left_out: Vec<String>,
}

impl Bundle {
    /// Reads a directory. `progress` is told of every file before it is read.
    ///
    /// # Errors
    /// [`TransferError`], with every malformed row of every file.
    pub fn read(dir: &Path, mut progress: impl FnMut(&str)) -> Result<Self, TransferError> {
        let mut bundle = Self::default();
        let mut refusals = statelite_policy::Refusals::default();
        let mut files: BTreeMap<&'static str, String> = BTreeMap::new();
        for name in names(dir)? {
            let Some((stem, kind)) = name.rsplit_once('.') else {
                continue;
            };
            let Some(table) = schema::table(stem) else {
                bundle.left_out.push(stem.to_owned());
                continue;
            };
            if let Some(other) = files.insert(table.name, name.clone()) {
                return Err(TransferError::Twice(table.name, other, name));
            }
            progress(&name);
            let path = dir.join(&name);
            let read = match kind {
                "csv" => csv_file::read(table, &path, &mut refusals)?,
                _ => sqlite_file::read(table, &path)?,
            };
            let Some(Known { rows, left_out }) = read else {
                continue;
            };
            bundle.tables.push(Loaded {
                table,
                file: name,
                rows,
                left_out,
            });
        }
        if !refusals.0.is_empty() {
            return Err(TransferError::Rows(refusals));
        }
        if bundle.tables.is_empty() {
            return Err(TransferError::Nothing(dir.to_owned()));
        }
        let place = |loaded: &Loaded| TABLES.iter().position(|table| *table == loaded.table);
        bundle.tables.sort_by_key(place);
        bundle.left_out.dedup();
        Ok(bundle)
    }

    /// Puts the tables in, in place of those of the site. Tables that are not in the bundle stay as they are, and so
    /// do the settings only this program has.
    pub fn put(self, site: &mut Site) {
        for loaded in self.tables {
            let mut rows = loaded.rows;
            if *loaded.table == SITE {
                let key = |row: &Row| row.get(&SITE, "key").unwrap_or_default().to_owned();
                let given: Vec<_> = rows.iter().map(key).collect();
                let ours = site.rows(&SITE).iter();
                let ours = ours.filter(|row| OURS.contains(&key(row).as_str()));
                rows.extend(ours.filter(|row| !given.contains(&key(row))).cloned());
            }
            site.put(loaded.table, rows);
        }
    }
}

/// The names of a directory that end in `.csv` or `.sqlite`, sorted.
fn names(dir: &Path) -> Result<Vec<String>, TransferError> {
    let failed = |error: std::io::Error| TransferError::file(dir, error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy().into_owned();
        let hidden = name.starts_with('.');
        if !hidden && (name.ends_with(".csv") || name.ends_with(".sqlite")) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// What an export writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `TABLE.csv`, as `tabdump` prints.
    Csv,
    /// `TABLE.sqlite`, as xCAT keeps tables itself.
    Sqlite,
}

/// Writes every table to a directory, which is made when missing. A file is there whole or not at all.
///
/// # Errors
/// [`TransferError::File`] for the first file that cannot be written.
pub fn export(
    site: &Site,
    dir: &Path,
    kind: Kind,
    mut progress: impl FnMut(&str),
) -> Result<(), TransferError> {
    std::fs::create_dir_all(dir).map_err(|error| TransferError::file(dir, error))?;
    for table in TABLES.iter().copied() {
        let name = match kind {
            Kind::Csv => format!("{}.csv", table.name),
            Kind::Sqlite => format!("{}.sqlite", table.name),
        };
        progress(&name);
        let path = dir.join(&name);
        let unfinished = dir.join(format!(".{name}.new"));
        let written = match kind {
            Kind::Csv => csv_file::write(table, site.rows(table), &unfinished),
            Kind::Sqlite => sqlite_file::write(table, site.rows(table), &unfinished),
        };
        written?;
        std::fs::rename(&unfinished, &path).map_err(|error| TransferError::file(&path, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
