//! What a database has to do.

use super::diff::Diff;
use crate::tables::check::Report;
use crate::tables::{Row, Table};
use std::fmt::Debug;

/// Why the tables cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// cannot open the tables in {db}: {reason}
    #[error("cannot open the tables in {db}: {reason}")]
    Open {
        /// The file or URL, without password.
        db: String,
        /// What went wrong.
        reason: String,
    },
    /// there are no tables in {0}
    #[error(
        "there are no tables in {0}: a command that changes tables makes the file (chtab, nodeadd, statelite import)"
    )]
    Missing(String),
    /// the tables in {db} have version {version}, this program knows {known}
    #[error(
        "the tables in {db} have version {version}, this program knows only up to {known}: use a newer statelite"
    )]
    Newer {
        /// The file or URL, without password.
        db: String,
        /// The version found.
        version: i64,
        /// The newest version that is known here.
        known: i64,
    },
    /// the tables in {0} may only be read
    #[error(
        "the tables in {0} may only be read by this user, or are on a file system that is read-only"
    )]
    ReadOnly(String),
    /// another command is changing the tables and did not finish in time
    #[error("another command is changing the tables and did not finish in time: try again")]
    Busy,
    /// the database failed: {0}
    #[error("the database failed: {0}")]
    Database(String),
    /// nothing was changed, because of: {0}
    #[error("nothing was changed, because of:\n{0}{hint}", hint = hint(.0))]
    Refused(Report),
}

/// What can be done about refusals.
fn hint(report: &Report) -> &'static str {
    if report.findings.iter().all(|finding| finding.forceable) {
        "\n(xCAT would accept this, and so does --force)"
    } else {
        ""
    }
}

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// One consistent view.
    Read,
    /// Reading what nobody else changes until the end, and writing.
    Write,
}

/// A row with its identity in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    /// The row's name in the database.
    pub(super) id: i64,
    /// Its place: rows are in ascending order.
    pub(super) order: i64,
    /// Its cells.
    pub(super) row: Row,
}

/// A database.
///
/// `load`, `apply`, `create` and `set_version` are called between `begin` and `finish`.
pub(super) trait Backend: Debug + Send {
    /// Starts a transaction.
    fn begin(&mut self, access: Access) -> Result<(), StoreError>;
    /// Ends the transaction, keeping what it did or not.
    fn finish(&mut self, keep: bool) -> Result<(), StoreError>;
    /// The file is another one now: nothing that goes by its name is touched when this is dropped.
    fn abandon(&mut self) {}
    /// The version of the tables; none in a new database.
    fn version(&mut self) -> Result<Option<i64>, StoreError>;
    /// Notes the version of the tables.
    fn set_version(&mut self, version: i64) -> Result<(), StoreError>;
    /// Makes a table, or the columns that it lacks.
    fn create(&mut self, table: &Table) -> Result<(), StoreError>;
    /// The rows of a table in their order.
    fn load(&mut self, table: &Table) -> Result<Vec<Stored>, StoreError>;
    /// Changes a table.
    fn apply(&mut self, table: &Table, diff: &Diff<'_>) -> Result<(), StoreError>;
}

/// A URL without its password, for messages.
pub(super) fn without_password(db: &str) -> String {
    let Some((scheme, rest)) = db.split_once("://") else {
        return db.to_owned();
    };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    let rest = match rest.rsplit_once('@') {
        Some((user, place)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{user}@{place}")
        }
        None => rest.to_owned(),
    };
    let words = query.into_iter().flat_map(|query| query.split('&'));
    let words: Vec<_> = words
        .filter(|word| !word.starts_with("password="))
        .collect();
    if words.is_empty() {
        format!("{scheme}://{rest}")
    } else {
        format!("{scheme}://{rest}?{}", words.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn passwords_are_not_shown() {
        for (db, shown) in [
            ("/var/lib/x@y:z.sqlite", "/var/lib/x@y:z.sqlite"),
            (
                "postgresql://xcat:se@cret@db/xcat",
                "postgresql://xcat@db/xcat",
            ),
            ("postgresql://db/xcat", "postgresql://db/xcat"),
            (
                "postgresql:///x?password=secret&host=%2Frun",
                "postgresql:///x?host=%2Frun",
            ),
            ("postgresql://u@h/x?password=s", "postgresql://u@h/x"),
        ] {
            assert_eq!(without_password(db), shown);
        }
    }
}
