//! One SQLite file.

use super::backend::{Access, Backend, StoreError, Stored};
use super::diff::Diff;
use super::sql::{self, Dialect, VERSION_TABLE, quoted};
use crate::tables::{Row, Table};
use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OpenFlags, params_from_iter};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a command waits for another one that changes the tables. Importing a large site takes a few seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// How long to sleep where SQLite itself does not wait.
const NAP: Duration = Duration::from_millis(20);

const DIALECT: Dialect = Dialect {
    parameter: '?',
    id: "INTEGER PRIMARY KEY AUTOINCREMENT",
};

/// An open file.
#[derive(Debug)]
pub(super) struct Sqlite {
    connection: Connection,
    /// The file, when it may only be read.
    read_only: Option<PathBuf>,
}

impl Sqlite {
    /// Opens a file, which is made when missing, as is its directory, if that is wanted.
    pub(super) fn open(path: &Path, make: bool) -> Result<Self, StoreError> {
        let failed = |reason: String| StoreError::Open {
            db: path.display().to_string(),
            reason,
        };
        if only_readable(path) {
            return Self::read_only(path);
        }
        if !make {
            match std::fs::metadata(path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Err(StoreError::Missing(path.display().to_string()));
                }
                Err(error) => return Err(failed(error.to_string())),
                Ok(_) => return Self::connect(path),
            }
        }
        let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        if let Some(parent) = parent {
            std::fs::create_dir_all(parent)
                .map_err(|error| failed(format!("{}: {error}", parent.display())))?;
        }
        // There may be a password's hash in the tables; what SQLite puts beside the file gets its mode.
        let mut options = std::fs::OpenOptions::new();
        let made = options.write(true).create_new(true).mode(0o600).open(path);
        if let Err(error) = made
            && error.kind() != std::io::ErrorKind::AlreadyExists
        {
            return Err(failed(error.to_string()));
        }
        Self::connect(path)
    }

    /// Opens a file that is there.
    fn connect(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::default() & !OpenFlags::SQLITE_OPEN_CREATE;
        let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
            connection.busy_timeout(PATIENCE)?;
            // An administrator's change must survive a power cut: no shortcut at commits.
            connection.pragma_update(None, "synchronous", "FULL")?;
            write_ahead(&connection)?;
            Ok(connection)
        });
        match opened {
            Ok(connection) => Ok(Self {
                connection,
                read_only: None,
            }),
            // The file may be written, but nothing beside it.
            Err(error) if no_log(&error) => Self::read_only(path),
            Err(error) => Err(StoreError::Open {
                db: path.display().to_string(),
                reason: error.to_string(),
            }),
        }
    }

    fn read_only(path: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            connection: super::read_only::open(path)?,
            read_only: Some(path.to_owned()),
        })
    }
}

/// Whether a file is there that this user may not write.
fn only_readable(path: &Path) -> bool {
    let opened = std::fs::OpenOptions::new().write(true).open(path);
    let denied = |error: &std::io::Error| {
        use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem)
    };
    opened.is_err_and(|error| denied(&error)) && std::fs::File::open(path).is_ok()
}

fn no_log(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen)
    )
}

/// Switches to a write-ahead log, with which readers and a writer do not wait for each other. The file remembers it.
///
/// SQLite does not wait here when several programs open a new file at once.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let start = Instant::now();
    loop {
        let mode = connection
            .pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0))
            .and_then(|mode| {
                if mode == "wal" {
                    return Ok(mode);
                }
                connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
            });
        match mode {
            Err(error) if busy(&error) && start.elapsed() < PATIENCE => std::thread::sleep(NAP),
            other => return other.map(drop),
        }
    }
}

fn busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        if busy(&error) {
            Self::Busy
        } else {
            Self::Database(error.to_string())
        }
    }
}

/// `_order` and the cells as parameters.
fn values(order: i64, row: &Row) -> impl Iterator<Item = Value> {
    let cells = row.cells().iter().cloned().map(Value::from);
    std::iter::once(Value::from(order)).chain(cells)
}

impl Backend for Sqlite {
    fn abandon(&mut self) {
        // Closing would remove the log by its name.
        let _ = self
            .connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    }

    fn begin(&mut self, access: Access) -> Result<(), StoreError> {
        match (&self.read_only, access) {
            (None, _) => {}
            (Some(path), Access::Write) => {
                return Err(StoreError::ReadOnly(path.display().to_string()));
            }
            // It may be a copy, and not what the file holds now.
            (Some(path), Access::Read) => self.connection = super::read_only::open(path)?,
        }
        Ok(self.connection.execute_batch(match access {
            Access::Read => "BEGIN",
            Access::Write => "BEGIN IMMEDIATE",
        })?)
    }

    fn finish(&mut self, keep: bool) -> Result<(), StoreError> {
        Ok(self
            .connection
            .execute_batch(if keep { "COMMIT" } else { "ROLLBACK" })?)
    }

    fn version(&mut self) -> Result<Option<i64>, StoreError> {
        // A query, for the library's own look-ups do not notice tables that others have just made.
        let sql = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?1";
        let count = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        if self.connection.query_row(sql, [VERSION_TABLE], count)? == 0 {
            return Ok(None);
        }
        let sql = format!("SELECT max(version) FROM {VERSION_TABLE}");
        Ok(self.connection.query_row(&sql, [], |row| row.get(0))?)
    }

    fn set_version(&mut self, version: i64) -> Result<(), StoreError> {
        Ok(self.connection.execute_batch(&sql::set_version(version))?)
    }

    fn create(&mut self, table: &Table) -> Result<(), StoreError> {
        self.connection.execute_batch(&DIALECT.create(table))?;
        for column in table.columns {
            if !self
                .connection
                .column_exists(None, table.name, column.name)?
            {
                let (table, column) = (quoted(table.name), quoted(column.name));
                let sql = format!("ALTER TABLE {table} ADD COLUMN {column} TEXT");
                self.connection.execute_batch(&sql)?;
            }
        }
        Ok(())
    }

    fn load(&mut self, table: &Table) -> Result<Vec<Stored>, StoreError> {
        let mut statement = self.connection.prepare(&sql::select(table))?;
        let width = table.columns.len();
        let rows = statement.query_map([], |row| {
            let cells = (2..2 + width).map(|index| row.get(index));
            let cells = cells.collect::<rusqlite::Result<Vec<Option<String>>>>()?;
            Ok(Stored {
                id: row.get(0)?,
                order: row.get(1)?,
                row: Row::from_cells(table, cells),
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn apply(&mut self, table: &Table, diff: &Diff<'_>) -> Result<(), StoreError> {
        let mut delete = self.connection.prepare(&DIALECT.delete(table))?;
        for id in &diff.removed {
            delete.execute([id])?;
        }
        let mut update = self.connection.prepare(&DIALECT.update(table))?;
        for (id, order, row) in &diff.changed {
            let id = std::iter::once(Value::from(*id));
            update.execute(params_from_iter(values(*order, row).chain(id)))?;
        }
        let mut insert = self.connection.prepare(&DIALECT.insert(table))?;
        for (order, row) in &diff.added {
            insert.execute(params_from_iter(values(*order, row)))?;
        }
        Ok(())
    }
}
