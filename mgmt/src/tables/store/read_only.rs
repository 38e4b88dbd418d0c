//! An SQLite file that the user may only read.
//!
//! Its write-ahead log is beside it while somebody has it open. Then SQLite reads both; a file that nobody has open is read
//! from a copy of our own, for SQLite would want to make a log beside it.

use super::backend::StoreError;
use super::sqlite::PATIENCE;
use rusqlite::{Connection, OpenFlags};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// The time stamps of a file change in steps of less than this.
const STEP: Duration = Duration::from_millis(50);

/// Opens it for reading what it holds at this moment.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let start = Instant::now();
    loop {
        if let Some(connection) = attempt(path)? {
            return Ok(connection);
        }
        if start.elapsed() > PATIENCE {
            return Err(StoreError::Busy);
        }
        std::thread::sleep(STEP);
    }
}

/// `None` when it changed meanwhile.
fn attempt(path: &Path) -> Result<Option<Connection>, StoreError> {
    if log(path).exists() {
        return match Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY) {
            Ok(connection) => {
                connection.busy_timeout(PATIENCE)?;
                let asked =
                    connection.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()));
                match asked {
                    Ok(()) => Ok(Some(connection)),
                    // The last one that had it open has taken the log away.
                    Err(_) if !log(path).exists() => Ok(None),
                    Err(error) => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        };
    }
    let failed = |error: io::Error| StoreError::Open {
        db: path.display().to_string(),
        reason: error.to_string(),
    };
    let copy = Copy::new().map_err(failed)?;
    let before = state(path).map_err(failed)?;
    let source = File::open(path).map_err(failed)?;
    io::copy(&mut &source, &mut &copy.file).map_err(failed)?;
    let after = state(path).map_err(failed)?;
    let settled = before.1.elapsed().is_ok_and(|age| age > STEP);
    if before != after || !settled || log(path).exists() {
        return Ok(None);
    }
    let uri = format!("file:{}?immutable=1", copy.path.display());
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Ok(Some(Connection::open_with_flags(uri, flags)?))
}

/// The log beside a file.
fn log(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Inode and length of a file, and when it was changed.
fn state(path: &Path) -> io::Result<((u64, u64), SystemTime)> {
    let meta = fs::metadata(path)?;
    Ok(((meta.ino(), meta.len()), meta.modified()?))
}

/// A file of our own, without a name as soon as it is dropped.
struct Copy {
    path: PathBuf,
    file: File,
}

impl Copy {
    fn new() -> io::Result<Self> {
        let name = format!(
            "statelite-{}-{:016x}",
            std::process::id(),
            fastrand::u64(..)
        );
        let path = std::env::temp_dir().join(name);
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Self { path, file })
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // An open connection keeps the content; what cannot be removed is left to the cleaner of the directory.
        let _ = fs::remove_file(&self.path);
    }
}
