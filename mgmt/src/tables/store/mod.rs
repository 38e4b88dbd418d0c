//! Where the tables are kept: an SQLite file, or a PostgreSQL database for sites with service nodes.
//!
//! Both hold one SQL table per table with a text column per column, and two columns of ours: `_id` names a row, `_order`
//! is its place, so that a dump comes back in the order in which it was loaded. A command is one transaction: it reads
//! all tables, changes them in memory, has the whole checked, and writes the rows that differ. Writers wait for each
//! other before they read, so none of them loses what another did; readers see one moment and wait for nobody.

mod backend;
mod defaults;
mod diff;
mod listen;
mod postgres;
mod postgres_tls;
mod read_only;
pub(super) mod sql;
mod sqlite;

pub use backend::StoreError;
use backend::{Access, Backend, Stored};
pub use listen::Listener;

use super::check::{Report, Warning, check};
use super::schema::TABLES;
use super::{Site, Table};
use std::collections::BTreeMap;
use std::path::Path;

/// The tables of a site, in a database.
///
/// Its calls block, and those of PostgreSQL must not be made inside an asynchronous task: such a program gives the store
/// a thread of its own.
#[derive(Debug)]
pub struct Store {
    backend: Box<dyn Backend>,
}

/// How many rows of a table a change touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Touched {
    /// The table.
    pub table: &'static str,
    /// New rows.
    pub added: usize,
    /// Rows with other values or in another place.
    pub changed: usize,
    /// Rows that are gone.
    pub removed: usize,
}

/// What a change did, or would do.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Outcome {
    /// What was accepted although it is odd.
    pub warnings: Vec<Warning>,
    /// The tables that are not as before.
    pub touched: Vec<Touched>,
}

/// Whether a change is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It is stored.
    Yes,
    /// It is made, checked and taken back.
    DryRun,
}

/// The rows of every table as the database has them.
type Contents = BTreeMap<&'static str, Vec<Stored>>;

impl Store {
    /// Opens the tables: a URL `postgresql://...` or the path of an SQLite file, which is made, with its directory, when
    /// it is missing. A new store has the rows of a fresh site.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be opened, or was made by a newer program.
    pub fn open(db: &str) -> Result<Self, StoreError> {
        Self::with(db, true)
    }

    /// The same for those that only read: a file that is missing is not made.
    ///
    /// # Errors
    /// As [`Store::open`], and [`StoreError::Missing`].
    pub fn open_existing(db: &str) -> Result<Self, StoreError> {
        Self::with(db, false)
    }

    /// The file that the tables are in, or are to be; none for a server.
    #[must_use]
    pub fn file(db: &str) -> Option<&Path> {
        (!postgres::is_url(db)).then(|| Path::new(db))
    }

    fn with(db: &str, make: bool) -> Result<Self, StoreError> {
        let backend: Box<dyn Backend> = match Self::file(db) {
            None => Box::new(postgres::Postgres::open(db)?),
            Some(file) => Box::new(sqlite::Sqlite::open(file, make)?),
        };
        let mut store = Self { backend };
        store.prepare(db)?;
        Ok(store)
    }

    /// Gives the tables up because their file was replaced: what is beside it belongs to the new one.
    pub fn abandon(mut self) {
        self.backend.abandon();
    }

    /// All tables at one moment.
    ///
    /// # Errors
    /// As reading the database.
    pub fn site(&mut self) -> Result<Site, StoreError> {
        self.backend.begin(Access::Read)?;
        let contents = self.contents();
        self.backend.finish(false)?;
        Ok(site(&contents?))
    }

    /// Changes the tables: `edit` gets all of them as they are and leaves them as they should be.
    ///
    /// With `force`, what xCAT would accept is accepted. The warnings say what is odd about the result and was not
    /// before.
    ///
    /// # Errors
    /// What `edit` returns, [`StoreError::Refused`] with every row that is refused, or a failure of the database. The
    /// tables are then as they were.
    pub fn change(
        &mut self,
        edit: impl FnOnce(&mut Site) -> anyhow::Result<()>,
        force: bool,
    ) -> anyhow::Result<Vec<Warning>> {
        Ok(self.attempt(edit, force, Keep::Yes)?.warnings)
    }

    /// As [`Store::change`], saying also how much is different; with [`Keep::DryRun`] nothing is stored.
    ///
    /// # Errors
    /// As [`Store::change`].
    pub fn attempt(
        &mut self,
        edit: impl FnOnce(&mut Site) -> anyhow::Result<()>,
        force: bool,
        keep: Keep,
    ) -> anyhow::Result<Outcome> {
        self.backend.begin(Access::Write)?;
        let outcome = self.edit(edit, force);
        let stored = self.backend.finish(outcome.is_ok() && keep == Keep::Yes);
        let outcome = outcome?;
        stored?;
        Ok(outcome)
    }

    /// The middle of a transaction for writing.
    fn edit(
        &mut self,
        edit: impl FnOnce(&mut Site) -> anyhow::Result<()>,
        force: bool,
    ) -> anyhow::Result<Outcome> {
        let contents = self.contents()?;
        let before = site(&contents);
        let mut after = before.clone();
        edit(&mut after)?;
        let warnings = judge(&before, &after, force)?;
        let mut touched = Vec::new();
        for table in TABLES {
            let old = contents.get(table.name).map_or(&[][..], Vec::as_slice);
            touched.extend(self.write(table, old, &after)?);
        }
        Ok(Outcome { warnings, touched })
    }

    fn write(
        &mut self,
        table: &'static Table,
        old: &[Stored],
        after: &Site,
    ) -> Result<Option<Touched>, StoreError> {
        let diff = diff::diff(table, old, after.rows(table));
        if diff.is_empty() {
            return Ok(None);
        }
        self.backend.apply(table, &diff)?;
        Ok(Some(Touched {
            table: table.name,
            added: diff.added.len(),
            changed: diff.changed.len(),
            removed: diff.removed.len(),
        }))
    }

    fn contents(&mut self) -> Result<Contents, StoreError> {
        let mut contents = Contents::new();
        for table in TABLES {
            contents.insert(table.name, self.backend.load(table)?);
        }
        Ok(contents)
    }

    /// Brings a new or older database to today's form.
    fn prepare(&mut self, db: &str) -> Result<(), StoreError> {
        let current = |found| match found {
            Some(version) if version > sql::VERSION => Err(StoreError::Newer {
                db: backend::without_password(db),
                version,
                known: sql::VERSION,
            }),
            found => Ok(found == Some(sql::VERSION)),
        };
        if current(self.backend.version()?)? {
            return Ok(());
        }
        self.backend.begin(Access::Write)?;
        let prepared = self.upgrade(current);
        self.backend.finish(prepared.is_ok())?;
        prepared
    }

    /// In a transaction for writing, where nobody else can do the same.
    fn upgrade(
        &mut self,
        current: impl Fn(Option<i64>) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let found = self.backend.version()?;
        if current(found)? {
            return Ok(());
        }
        for table in TABLES {
            self.backend.create(table)?;
        }
        if found.is_none() {
            let fresh = defaults::site();
            for table in TABLES {
                self.write(table, &[], &fresh)?;
            }
        }
        self.backend.set_version(sql::VERSION)
    }
}

fn site(contents: &Contents) -> Site {
    let mut site = Site::default();
    for table in TABLES {
        let rows = contents.get(table.name).into_iter().flatten();
        site.put(table, rows.map(|stored| stored.row.clone()).collect());
    }
    site
}

/// What is new in `after` and accepted.
fn judge(before: &Site, after: &Site, force: bool) -> Result<Vec<Warning>, StoreError> {
    let mut report = check(after);
    if !report.findings.is_empty() {
        report = report.new_since(&check(before));
    }
    if force {
        report = report.forced();
    }
    if report.acceptable() {
        Ok(report.findings)
    } else {
        let findings = report.refusals().cloned().collect();
        Err(StoreError::Refused(Report { findings }))
    }
}

#[cfg(test)]
mod tests;
