//! Where the tables come from: the database, else a snapshot.

use super::reports::{self, Report};
use super::{Health, now};
use crate::hierarchy::snapshot::Snapshot;
use crate::resolve::given::state_dir;
use crate::server::config::Config;
use crate::server::world::World;
use crate::tables::{Site, Store};
use anyhow::Context as _;
use rusqlite::config::DbConfig;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A database elsewhere cannot say cheaply whether it changed: it is read whole, but not more often than this.
const REMOTE_POLL: Duration = Duration::from_secs(5);

/// How long a look waits for somebody who changes the tables.
const PATIENCE: Duration = Duration::from_secs(10);

/// The database and the snapshot.
#[derive(Debug)]
pub struct Source {
    db: String,
    store: Option<Store>,
    /// A connection of its own to an SQLite file, which tells whether others changed it.
    watch: Option<rusqlite::Connection>,
    version: Option<i64>,
    /// Which SQLite file is open: device and number.
    file: Option<(u64, u64)>,
    /// Whether all of it is in the file itself, and nothing in the log beside it.
    settled: bool,
    snapshot: Option<PathBuf>,
    /// Where records of answers are kept.
    state: PathBuf,
    /// The snapshot that was looked at last, by the time it was written, and whether it was worth using.
    read: Option<(SystemTime, bool)>,
}

/// What a look found.
#[derive(Debug)]
pub enum Found {
    /// Nothing new.
    Same {
        /// Where the tables are from, and since when they are known.
        health: Health,
    },
    /// Tables, perhaps other ones.
    Tables {
        /// The tables.
        site: Box<Site>,
        /// Where they are from.
        health: Health,
        /// Their generation, if the snapshot says it.
        generation: Option<u64>,
    },
}

impl Found {
    /// How things stand.
    pub fn health(&self) -> Health {
        match self {
            Self::Same { health } | Self::Tables { health, .. } => health.clone(),
        }
    }

    /// Whether the tables are a snapshot's.
    pub fn is_snapshot(&self) -> bool {
        self.health().source == "snapshot"
    }

    /// A world of the tables, later than the generation before.
    pub fn into_world(self, before: u64) -> World {
        let from_snapshot = self.is_snapshot();
        let (site, generation) = match self {
            Self::Same { .. } => (Site::default(), None),
            Self::Tables {
                site, generation, ..
            } => (*site, generation),
        };
        let generation = generation.unwrap_or_else(milliseconds).max(before + 1);
        World::new(site, generation, from_snapshot)
    }
}

impl Source {
    /// Nothing is opened yet.
    pub fn new(db: &str, config: &Config) -> Self {
        Self {
            db: db.to_owned(),
            store: None,
            watch: None,
            version: None,
            file: None,
            settled: false,
            snapshot: config.snapshot.clone(),
            state: config.state.clone().unwrap_or_else(|| state_dir(db)),
            read: None,
        }
    }

    /// How often it is worth looking.
    pub fn poll(&self, wanted: Duration) -> Duration {
        if self.remote() {
            wanted.max(REMOTE_POLL)
        } else {
            wanted
        }
    }

    /// The tables at the start.
    ///
    /// # Errors
    /// When there are none.
    pub fn first(&mut self) -> anyhow::Result<Found> {
        match self.look(0) {
            found @ Found::Tables { .. } => Ok(found),
            Found::Same { health } => {
                let reason = health.error.unwrap_or_default();
                anyhow::bail!("no tables to serve: {reason}")
            }
        }
    }

    /// Looks whether there is something new. A snapshot counts if it was taken after `newest`, seconds since 1970.
    pub fn look(&mut self, newest: u64) -> Found {
        let error = match self.database() {
            Ok(site) => {
                // When the database goes away again, the snapshot is read anew.
                self.read = None;
                let health = Health {
                    source: "database",
                    fresh: now(),
                    error: None,
                };
                return match site {
                    Some(site) => Found::Tables {
                        site: Box::new(site),
                        health,
                        generation: None,
                    },
                    None => Found::Same { health },
                };
            }
            Err(error) => format!("{error:#}"),
        };
        self.store = None;
        self.watch = None;
        self.version = None;
        let Some(path) = self.snapshot.clone() else {
            return Found::Same {
                health: Health {
                    source: "memory",
                    fresh: 0,
                    error: Some(error),
                },
            };
        };
        match self.stand_in(&path, &error, newest) {
            Ok(found) => found,
            Err(second) => Found::Same {
                health: Health {
                    source: "memory",
                    fresh: 0,
                    error: Some(format!("{error}; {second:#}")),
                },
            },
        }
    }

    /// Writes reports down.
    ///
    /// # Errors
    /// When there is no database for states, or a record of an answer cannot be written.
    pub fn write(&mut self, reports: &[Report]) -> anyhow::Result<()> {
        let recorded = reports::record(&self.state, reports);
        if reports::touch_tables(reports) {
            self.write_states(reports)?;
        }
        Ok(recorded?)
    }

    fn write_states(&mut self, reports: &[Report]) -> anyhow::Result<()> {
        self.ready()?;
        let store = self.store.as_mut().context("no database")?;
        let edit = |site: &mut Site| {
            reports::apply(site, reports);
            Ok(())
        };
        store.change(edit, true).map(drop)
    }

    fn remote(&self) -> bool {
        Store::file(&self.db).is_none()
    }

    /// Has the database open, and of a file the one that is there.
    fn ready(&mut self) -> anyhow::Result<()> {
        if !self.remote() && self.store.is_some() && self.file != Some(self.identity()?) {
            tracing::warn!("{} is another file now: it is read anew", self.db);
            self.abandon();
        }
        if self.store.is_none() {
            self.open()?;
        }
        Ok(())
    }

    /// Opens the database. A file that is not there is not made: an empty one in its place would be believed, and the log
    /// of it would spoil the file that is put back.
    fn open(&mut self) -> anyhow::Result<()> {
        self.file = if self.remote() {
            None
        } else {
            Some(self.identity()?)
        };
        self.store = Some(Store::open_existing(&self.db)?);
        Ok(())
    }

    /// Which file is there.
    fn identity(&self) -> anyhow::Result<(u64, u64)> {
        let meta = std::fs::metadata(&self.db);
        let meta = meta.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => anyhow::anyhow!("{}: no such file", self.db),
            _ => anyhow::anyhow!("{}: {error}", self.db),
        })?;
        Ok((meta.dev(), meta.ino()))
    }

    /// Lets go of a file that was replaced by another one of the same name.
    fn abandon(&mut self) {
        if let Some(watch) = self.watch.take() {
            let _ = watch.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
        if let Some(store) = self.store.take() {
            store.abandon();
        }
        self.version = None;
    }

    /// The tables of the database, or `None` when they are as before.
    fn database(&mut self) -> anyhow::Result<Option<Site>> {
        self.ready()?;
        if !self.remote() {
            let version = self.version_now()?;
            if self.version == Some(version) {
                self.settle();
                return Ok(None);
            }
            self.version = Some(version);
            self.settled = false;
        }
        let store = self.store.as_mut().context("no database")?;
        let site = store.site();
        if site.is_err() {
            self.version = None;
        }
        if !self.remote() {
            self.settle();
        }
        Ok(Some(site?))
    }

    /// Moves what is in the log into the file, so that a copy of the file is a whole one. While others read or write it
    /// waits for the next look.
    fn settle(&mut self) {
        let (false, Some(watch)) = (self.settled, &self.watch) else {
            return;
        };
        let busy = |row: &rusqlite::Row<'_>| row.get::<_, bool>(0);
        let done = watch
            .busy_timeout(Duration::ZERO)
            .and_then(|()| watch.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], busy));
        self.settled = done.is_ok_and(|busy| !busy);
        if watch.busy_timeout(PATIENCE).is_err() {
            self.watch = None;
            self.version = None;
        }
    }

    /// A number that changes when another connection has changed the file.
    fn version_now(&mut self) -> anyhow::Result<i64> {
        let watch = match self.watch.take() {
            Some(watch) => watch,
            None => {
                let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
                let watch = rusqlite::Connection::open_with_flags(&self.db, flags)?;
                watch.busy_timeout(PATIENCE)?;
                watch
            }
        };
        let version = watch.query_row("PRAGMA data_version", [], |row| row.get(0))?;
        self.watch = Some(watch);
        Ok(version)
    }

    fn stand_in(&mut self, path: &Path, why: &str, newest: u64) -> anyhow::Result<Found> {
        let meta = std::fs::metadata(path).with_context(|| path.display().to_string())?;
        let written = meta.modified()?;
        let health = |fresh| Health {
            source: "snapshot",
            fresh,
            error: Some(why.to_owned()),
        };
        const OLDER: &str = "the snapshot is older than the tables in memory";
        match self.read {
            Some((seen, true)) if seen == written => return Ok(Found::Same { health: health(0) }),
            Some((seen, false)) if seen == written => anyhow::bail!(OLDER),
            _ => {}
        }
        let snapshot = Snapshot::read(path)?;
        let site = Box::new(snapshot.site()?);
        self.read = Some((written, snapshot.taken > newest));
        if snapshot.taken <= newest {
            anyhow::bail!(OLDER);
        }
        Ok(Found::Tables {
            site,
            health: health(snapshot.taken),
            generation: Some(snapshot.generation),
        })
    }
}

fn milliseconds() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
