//! All tables in one file: what a service node works from while the master is away.

use crate::tables::schema::{PASSWD, TABLES, table};
use crate::tables::{Row, Site};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The longest snapshot that is read, bytes: some hundred thousand nodes.
pub const LONGEST: u64 = 256 << 20;
/// The form of the file.
const FORMAT: u32 = 1;

/// All tables at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    format: u32,
    /// When it was taken: seconds since 1970, by the master's clock.
    pub taken: u64,
    /// The generation of the tables.
    pub generation: u64,
    tables: BTreeMap<String, Content>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// {0}: {1}
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// not a snapshot: {0}
    #[error("not a snapshot: {0}")]
    Syntax(#[from] serde_json::Error),
    /// made by a newer program (form {0}): install the version of the master here
    #[error("made by a newer program (form {0}): install the version of the master here")]
    Newer(u32),
    /// table {0}: row {1} has more cells than the table has columns
    #[error("table {0}: row {1} has more cells than the table has columns")]
    Row(String, usize),
    /// the snapshot has no table "{0}"
    #[error("the snapshot has no table \"{0}\"")]
    Missing(&'static str),
    /// longer than {LONGEST} bytes
    #[error("longer than {LONGEST} bytes")]
    TooLong,
}

impl Snapshot {
    /// Takes one. Password hashes stay where they are: a server has no use for them.
    #[must_use]
    pub fn take(site: &Site, generation: u64, taken: u64) -> Self {
        let content = |table: &crate::tables::Table| Content {
            columns: table
                .columns
                .iter()
                .map(|column| column.name.to_owned())
                .collect(),
            rows: site
                .rows(table)
                .iter()
                .filter(|_| table.name != PASSWD.name)
                .map(|row| row.cells().to_vec())
                .collect(),
        };
        let tables = TABLES
            .iter()
            .map(|table| (table.name.to_owned(), content(table)));
        Self {
            format: FORMAT,
            taken,
            generation,
            tables: tables.collect(),
        }
    }

    /// The tables in it. Tables and columns this program does not know are left out.
    ///
    /// # Errors
    /// [`SnapshotError`] when a table is missing or a row does not fit its columns.
    pub fn site(&self) -> Result<Site, SnapshotError> {
        if self.format > FORMAT {
            return Err(SnapshotError::Newer(self.format));
        }
        for known in TABLES {
            if !self.tables.contains_key(known.name) {
                return Err(SnapshotError::Missing(known.name));
            }
        }
        let mut site = Site::default();
        for (name, content) in &self.tables {
            let Some(table) = table(name) else {
                continue;
            };
            let mut rows = Vec::with_capacity(content.rows.len());
            for (number, cells) in content.rows.iter().enumerate() {
                if cells.len() > content.columns.len() {
                    return Err(SnapshotError::Row(name.clone(), number + 1));
                }
                let mut row = Row::new(table);
                for (column, cell) in content.columns.iter().zip(cells) {
                    row.set(table, column, cell.clone());
                }
                rows.push(row);
            }
            site.put(table, rows);
        }
        Ok(site)
    }

    /// Reads one from text.
    ///
    /// # Errors
    /// [`SnapshotError`] when it is none, or too long.
    pub fn parse(text: &[u8]) -> Result<Self, SnapshotError> {
        if text.len() as u64 > LONGEST {
            return Err(SnapshotError::TooLong);
        }
        let snapshot: Self = serde_json::from_slice(text)?;
        snapshot.site()?;
        Ok(snapshot)
    }

    /// Reads one from a file.
    ///
    /// # Errors
    /// As [`Snapshot::parse`] and reading the file.
    pub fn read(path: &Path) -> Result<Self, SnapshotError> {
        let file = |error| SnapshotError::File(path.to_owned(), error);
        let mut text = Vec::new();
        let opened = File::open(path).map_err(file)?;
        opened
            .take(LONGEST + 1)
            .read_to_end(&mut text)
            .map_err(file)?;
        Self::parse(&text)
    }

    /// Its text.
    ///
    /// # Errors
    /// None in practice; the writer's.
    pub fn text(&self) -> Result<Vec<u8>, SnapshotError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// Puts it in place of the file, whole or not at all, readable by its owner alone.
    ///
    /// # Errors
    /// As writing beside the file and renaming.
    pub fn write(&self, path: &Path) -> Result<(), SnapshotError> {
        let text = self.text()?;
        replace(path, &text).map_err(|error| SnapshotError::File(path.to_owned(), error))
    }
}

/// Replaces a file by a new one of mode 0600, so that a reader sees the old or the new one whole, also after a power cut.
///
/// # Errors
/// As creating, writing and renaming.
pub fn replace(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = dir.unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let beside = dir.join(name);
    let written = (|| {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&beside)?;
        file.write_all(text)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        File::open(dir)?.sync_all()
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::testing;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn tables_come_back() {
        let site = testing::site();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/snapshot.json");
        Snapshot::take(&site, 7, 1000).write(&path).unwrap();
        let read = Snapshot::read(&path).unwrap();
        assert_eq!((read.generation, read.taken), (7, 1000));
        let back = read.site().unwrap();
        for table in TABLES {
            assert_eq!(back.rows(table), site.rows(table), "{}", table.name);
        }
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1
        );
    }

    #[test]
    fn password_hashes_do_not_leave_the_master() {
        let mut site = testing::site();
        site.add(
            &PASSWD,
            testing::row(&PASSWD, "key=system username=root password=$6$salt$secret"),
        );
        let taken = Snapshot::take(&site, 7, 1000);
        let text = String::from_utf8(taken.text().unwrap()).unwrap();
        assert!(text.contains("\"passwd\"") && !text.contains("secret"));
        assert!(taken.site().unwrap().rows(&PASSWD).is_empty());
    }

    #[test]
    fn what_is_no_snapshot_is_refused() {
        let good =
            String::from_utf8(Snapshot::take(&Site::default(), 1, 1).text().unwrap()).unwrap();
        for (text, message) in [
            (String::new(), "not a snapshot"),
            (good[..good.len() / 2].to_owned(), "not a snapshot"),
            (good.replace("\"format\":1", "\"format\":2"), "newer program (form 2)"),
            (good.replace("\"litefile\"", "\"lightfile\""), "no table \"litefile\""),
            (good.replacen("\"rows\":[]", "\"rows\":[[null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null]]", 1), "row 1 has more cells"),
        ] {
            let error = Snapshot::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn columns_go_by_name() {
        let text =
            String::from_utf8(Snapshot::take(&testing::site(), 1, 1).text().unwrap()).unwrap();
        let newer = text.replacen("[\"image\",\"file\"", "[\"file\",\"image\"", 1);
        let site = Snapshot::parse(newer.as_bytes()).unwrap().site().unwrap();
        let row = &site.rows(&crate::tables::schema::LITEFILE)[0];
        assert_eq!(
            row.get(&crate::tables::schema::LITEFILE, "file"),
            Some("ALL")
        );
    }
}
