//! A PostgreSQL database, which a master and its service nodes share.

use super::backend::{Access, Backend, StoreError, Stored, without_password};
use super::diff::Diff;
use super::listen::CHANNEL;
use super::postgres_tls;
use super::sql::{self, Dialect, VERSION_TABLE, quoted};
use crate::tables::{Row, Table};
use postgres::error::SqlState;
use postgres::types::ToSql;
use postgres::{Client, Config};
use std::error::Error as _;
use std::fmt;
use std::io::Write as _;
use std::time::Duration;

/// How long to wait for a connection when the URL does not say.
const CONNECT: Duration = Duration::from_secs(10);

/// Taken by writers before they read, so that they come one after the other. The number is the project's alone.
const LOCK: i64 = 0x0073_7461_7465_6c69;

/// How long a writer waits for another one, as PostgreSQL reads it; see the SQLite backend.
const PATIENCE: &str = "30s";

const DIALECT: Dialect = Dialect {
    parameter: '$',
    id: "BIGSERIAL PRIMARY KEY",
};

/// A connection, made again when the server has closed it.
pub(super) struct Postgres {
    config: Config,
    tls: postgres_tls::Connector,
    pub(super) client: Client,
    shown: String,
    /// Whether the transaction has changed a table.
    changed: bool,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Postgres").field(&self.shown).finish()
    }
}

/// Whether a text is a URL of PostgreSQL.
pub(super) fn is_url(db: &str) -> bool {
    db.starts_with("postgresql://") || db.starts_with("postgres://")
}

impl Postgres {
    /// Connects.
    pub(super) fn open(db: &str) -> Result<Self, StoreError> {
        connect(db)
    }
}

/// A connection with what it takes to make it again.
pub(super) fn connect(db: &str) -> Result<Postgres, StoreError> {
    let shown = without_password(db);
    let failed = |reason: String| StoreError::Open {
        db: shown.clone(),
        reason,
    };
    let (url, root) = postgres_tls::split(db);
    let mut config: Config = url.parse().map_err(|error| failed(told(&error)))?;
    let tls = postgres_tls::Connector::new(&mut config, root.as_deref()).map_err(failed)?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    if config.get_application_name().is_none() {
        config.application_name("statelite");
    }
    let client = tls.connect(&config).map_err(|error| failed(told(&error)))?;
    Ok(Postgres {
        config,
        tls,
        client,
        shown,
        changed: false,
    })
}

/// An error with what caused it.
fn told(error: &postgres::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

impl From<postgres::Error> for StoreError {
    fn from(error: postgres::Error) -> Self {
        if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) {
            Self::Busy
        } else {
            Self::Database(told(&error))
        }
    }
}

impl Backend for Postgres {
    fn begin(&mut self, access: Access) -> Result<(), StoreError> {
        if self.client.is_closed() {
            self.client = self.tls.connect(&self.config)?;
        }
        let sql = match access {
            Access::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned(),
            // Every statement after the lock sees what the last writer has committed.
            Access::Write => format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '{PATIENCE}'; \
                 SELECT pg_advisory_xact_lock({LOCK})"
            ),
        };
        self.changed = false;
        let begun = self.client.batch_execute(&sql);
        if begun.is_err() {
            // The first error is the one to tell; after a lost connection there is nothing to take back.
            let _ = self.client.batch_execute("ROLLBACK");
        }
        Ok(begun?)
    }

    fn finish(&mut self, keep: bool) -> Result<(), StoreError> {
        let sql = match (keep, self.changed) {
            (true, true) => format!("NOTIFY {CHANNEL}; COMMIT"),
            (true, false) => "COMMIT".to_owned(),
            (false, _) => "ROLLBACK".to_owned(),
        };
        Ok(self.client.batch_execute(&sql)?)
    }

    fn version(&mut self) -> Result<Option<i64>, StoreError> {
        // A query of the catalogue: functions like to_regclass answer from a cache that does not notice in time that
        // another program has just made the table.
        let sql = "SELECT count(*) FROM pg_catalog.pg_tables \
                   WHERE tablename = $1 AND schemaname = ANY (current_schemas(false))";
        let found = self.client.query_one(sql, &[&VERSION_TABLE])?;
        if found.try_get::<_, i64>(0)? == 0 {
            return Ok(None);
        }
        let sql = format!("SELECT max(version) FROM {VERSION_TABLE}");
        Ok(self.client.query_one(&sql, &[])?.try_get(0)?)
    }

    fn set_version(&mut self, version: i64) -> Result<(), StoreError> {
        Ok(self.client.batch_execute(&sql::set_version(version))?)
    }

    fn create(&mut self, table: &Table) -> Result<(), StoreError> {
        let mut sql = DIALECT.create(table);
        for column in table.columns {
            let (table, column) = (quoted(table.name), quoted(column.name));
            sql += &format!("; ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} TEXT");
        }
        Ok(self.client.batch_execute(&sql)?)
    }

    fn load(&mut self, table: &Table) -> Result<Vec<Stored>, StoreError> {
        let rows = self.client.query(&sql::select(table), &[])?;
        let stored = rows.iter().map(|row| {
            let cells = (2..row.len()).map(|index| row.try_get(index));
            let cells = cells.collect::<Result<Vec<Option<String>>, _>>()?;
            Ok(Stored {
                id: row.try_get(0)?,
                order: row.try_get(1)?,
                row: Row::from_cells(table, cells),
            })
        });
        Ok(stored.collect::<Result<_, postgres::Error>>()?)
    }

    fn apply(&mut self, table: &Table, diff: &Diff<'_>) -> Result<(), StoreError> {
        self.changed = true;
        if !diff.removed.is_empty() {
            let sql = format!("DELETE FROM {} WHERE \"_id\" = ANY($1)", quoted(table.name));
            self.client.execute(&sql, &[&diff.removed])?;
        }
        if !diff.changed.is_empty() {
            let update = self.client.prepare(&DIALECT.update(table))?;
            for (id, order, row) in &diff.changed {
                let mut values: Vec<&(dyn ToSql + Sync)> = vec![order];
                values.extend(row.cells().iter().map(|cell| cell as &(dyn ToSql + Sync)));
                values.push(id);
                self.client.execute(&update, &values)?;
            }
        }
        if !diff.added.is_empty() {
            // One stream instead of a round trip for each row.
            let sql = format!(
                "COPY {} ({}) FROM STDIN",
                quoted(table.name),
                sql::columns(table).join(", ")
            );
            let mut copy = self.client.copy_in(&sql)?;
            let lines = diff.added.iter().map(|(order, row)| copy_line(*order, row));
            let sent = lines
                .into_iter()
                .try_for_each(|line| copy.write_all(line.as_bytes()));
            sent.map_err(|error| StoreError::Database(error.to_string()))?;
            copy.finish()?;
        }
        Ok(())
    }
}

/// A row in the text form of COPY: tabs between values, `\N` for NULL.
fn copy_line(order: i64, row: &Row) -> String {
    let mut line = order.to_string();
    for cell in row.cells() {
        line.push('\t');
        let Some(value) = cell else {
            line.push_str("\\N");
            continue;
        };
        for c in value.chars() {
            match c {
                '\\' => line.push_str("\\\\"),
                '\t' => line.push_str("\\t"),
                '\n' => line.push_str("\\n"),
                '\r' => line.push_str("\\r"),
                c => line.push(c),
            }
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::schema::SITE;

    #[test]
    fn rows_for_copy() {
        let row = Row::new(&SITE).with(&SITE, "key", "a\tb\\N\n");
        let row = row.with(&SITE, "value", "");
        assert_eq!(copy_line(7, &row), "7\ta\\tb\\\\N\\n\t\t\\N\t\\N\n");
    }
}
