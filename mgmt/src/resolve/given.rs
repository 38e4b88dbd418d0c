//! What each node was last given, kept on the server beside the tables, so that `diff` can tell what a reboot would
//! change.
//!
//! One JSON file per node, `<dir>/given/NODE.json`, replaced atomically. It is a memory, not a source: losing it
//! loses only the comparison.

use super::answer::Answer;
use crate::tables::Store;
use serde::{Deserialize, Serialize};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// The directory below the state directory.
const DIR: &str = "given";
/// The longest record that is read, in bytes: as long as the longest answer on the wire.
const MAX: u64 = statelite_policy::wire::RESPONSE_MAX as u64;

/// One node's record.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Given {
    /// The image the node used.
    pub image: String,
    /// The dialect of the option words, `current` or `2010`.
    pub dialect: String,
    /// `OPTION PATH` lines, as sent, without the node's name.
    pub litefile: Vec<String>,
    /// `server:dir[ :mntopts]` lines, as sent, without the node's name.
    pub litetree: Vec<String>,
    /// The persistent store.
    pub statemnt: Option<String>,
    /// [`Answer::digest`] of the three above.
    pub digest: String,
    /// When it was given, RFC 3339.
    pub time: String,
}

/// Why a record cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum GivenError {
    /// "{0}" cannot be the name of a record
    #[error("\"{0}\" cannot be the name of a record")]
    Name(String),
    /// {0}: {1}
    #[error("{path}: {1}", path = .0.display())]
    Io(PathBuf, #[source] io::Error),
    /// {0} is not a record: {1}; remove it, it is written again when the node asks
    #[error(
        "{path} is not a record: {1}; remove it, it is written again when the node asks",
        path = .0.display()
    )]
    Format(PathBuf, #[source] serde_json::Error),
}

impl Given {
    /// A record of this answer, given now.
    #[must_use]
    pub fn now(answer: &Answer, image: &str, dialect: statelite_policy::Dialect) -> Self {
        Self {
            image: image.to_owned(),
            dialect: dialect.to_string(),
            digest: answer.digest(),
            litefile: answer.litefile.clone(),
            litetree: answer.litetree.clone(),
            statemnt: answer.statemnt.clone(),
            time: jiff::Timestamp::now()
                .round(jiff::Unit::Second)
                .unwrap_or_default()
                .to_string(),
        }
    }

    /// The answer that was recorded.
    #[must_use]
    pub fn answer(&self) -> Answer {
        Answer {
            litefile: self.litefile.clone(),
            litetree: self.litetree.clone(),
            statemnt: self.statemnt.clone(),
        }
    }
}

/// The directory for a node's record, given the place of the tables: that of an SQLite file, else the usual one.
#[must_use]
pub fn state_dir(db: &str) -> PathBuf {
    const USUAL: &str = "/var/lib/statelite";
    match Store::file(db).and_then(Path::parent) {
        Some(dir) if dir.as_os_str().is_empty() => ".".into(),
        Some(dir) => dir.to_owned(),
        None => USUAL.into(),
    }
}

/// The directory of the records, below the state directory.
#[must_use]
pub fn records(dir: &Path) -> PathBuf {
    dir.join(DIR)
}

fn path(dir: &Path, node: &str) -> Result<PathBuf, GivenError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if node.is_empty() || node.starts_with('.') || node.len() > 200 || !node.chars().all(plain) {
        return Err(GivenError::Name(node.to_owned()));
    }
    Ok(dir.join(DIR).join(format!("{node}.json")))
}

/// Records what a node was given, below this state directory (see [`state_dir`]).
///
/// The record is whole at every moment: written beside its place and renamed. It is not forced to the disk, for many
/// nodes ask at once; what a power cut leaves empty counts as no record.
///
/// # Errors
/// [`GivenError::Name`] or [`GivenError::Io`].
pub fn record(dir: &Path, node: &str, given: &Given) -> Result<(), GivenError> {
    let path = path(dir, node)?;
    let io = |error| GivenError::Io(path.clone(), error);
    let folder = dir.join(DIR);
    std::fs::create_dir_all(&folder).map_err(io)?;
    let text =
        serde_json::to_vec(given).map_err(|error| GivenError::Format(path.clone(), error))?;
    // Several may write at once: each has a name of its own.
    let unique = format!(".{node}.{}.{:x}", std::process::id(), fastrand::u64(..));
    let beside = folder.join(unique);
    let written = std::fs::File::create_new(&beside).and_then(|mut file| file.write_all(&text));
    let done = written.and_then(|()| std::fs::rename(&beside, &path));
    if done.is_err() {
        // What was begun is of no use; that it cannot be removed either changes nothing.
        let _ = std::fs::remove_file(&beside);
    }
    done.map_err(io)
}

/// What a node was last given; `None` when nothing is recorded.
///
/// # Errors
/// [`GivenError`] when there is a record that cannot be read.
pub fn last(dir: &Path, node: &str) -> Result<Option<Given>, GivenError> {
    let path = path(dir, node)?;
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(GivenError::Io(path, error)),
    };
    let mut text = Vec::new();
    if let Err(error) = file.take(MAX).read_to_end(&mut text) {
        return Err(GivenError::Io(path, error));
    }
    if text.is_empty() {
        return Ok(None);
    }
    match serde_json::from_slice(&text) {
        Ok(given) => Ok(Some(given)),
        Err(error) => Err(GivenError::Format(path, error)),
    }
}

/// Forgets what a node was given; it is no fault when there is nothing.
///
/// # Errors
/// [`GivenError::Name`] or [`GivenError::Io`].
pub fn forget(dir: &Path, node: &str) -> Result<(), GivenError> {
    let path = path(dir, node)?;
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(GivenError::Io(path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(option: &str) -> Given {
        let answer = Answer {
            litefile: vec![format!("{option:<13} /etc/motd")],
            litetree: vec!["s:/a :soft".into()],
            statemnt: Some("s:/state".into()),
        };
        Given::now(&answer, "compute", statelite_policy::Dialect::Current)
    }

    #[test]
    fn the_last_record_counts_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(last(dir.path(), "n1").unwrap(), None);
        for option in ["ro", "rw"] {
            record(dir.path(), "n1", &given(option)).unwrap();
            let read = last(dir.path(), "n1").unwrap().unwrap();
            assert_eq!(read.litefile, given(option).litefile);
            assert_eq!(read.digest, read.answer().digest());
        }
        let names: Vec<_> = std::fs::read_dir(dir.path().join(DIR)).unwrap().collect();
        assert_eq!(names.len(), 1);
        forget(dir.path(), "n1").unwrap();
        forget(dir.path(), "n1").unwrap();
        assert_eq!(last(dir.path(), "n1").unwrap(), None);
    }

    #[test]
    fn names_that_would_lead_elsewhere_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["", ".", "..", "../x", "a/b", ".hidden", "a\0"] {
            let error = record(dir.path(), name, &given("ro")).unwrap_err();
            assert!(error.to_string().contains("cannot be the name"), "{error}");
            assert!(last(dir.path(), name).is_err());
        }
    }

    #[test]
    fn a_damaged_record_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        record(dir.path(), "n1", &given("ro")).unwrap();
        std::fs::write(dir.path().join("given/n1.json"), "{").unwrap();
        let error = last(dir.path(), "n1").unwrap_err().to_string();
        assert!(error.contains("n1.json is not a record"), "{error}");
        assert!(error.contains("remove it"), "{error}");
    }

    #[test]
    fn records_are_beside_the_tables() {
        for (db, wanted) in [
            ("/srv/x/tables.sqlite", "/srv/x"),
            ("tables.sqlite", "."),
            ("postgresql://u@h/d", "/var/lib/statelite"),
        ] {
            assert_eq!(state_dir(db), Path::new(wanted), "{db}");
        }
    }
}
