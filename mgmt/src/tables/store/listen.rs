//! Word of changes: every transaction that changes tables in PostgreSQL ends with a NOTIFY, and a [`Listener`] hears it.
//!
//! What is changed past this program (by `psql`, say) is not heard of; those who depend on changes look from time to
//! time as well.

use super::backend::StoreError;
use super::postgres::{self, connect};
use ::postgres::Client;
use ::postgres::fallible_iterator::FallibleIterator as _;
use std::fmt;
use std::time::Duration;

/// The channel; one database has the tables of one site.
pub(super) const CHANNEL: &str = "statelite_tables";

/// A connection that waits for changes.
pub struct Listener {
    client: Client,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}

impl Listener {
    /// Whether a database can tell of changes: a URL of PostgreSQL.
    #[must_use]
    pub fn possible(db: &str) -> bool {
        postgres::is_url(db)
    }

    /// Connects. From here on no change is missed.
    ///
    /// # Errors
    /// As opening a [`super::Store`].
    pub fn open(db: &str) -> Result<Self, StoreError> {
        let mut client = connect(db)?.client;
        client.batch_execute(&format!("LISTEN {CHANNEL}"))?;
        Ok(Self { client })
    }

    /// Waits until tables change, at most this long. Changes until now are one. Says whether there was one.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn wait(&mut self, patience: Duration) -> Result<bool, StoreError> {
        let heard = self.client.notifications().timeout_iter(patience).next()?;
        if heard.is_some() {
            let mut notifications = self.client.notifications();
            let mut more = notifications.iter();
            while more.next()?.is_some() {}
        }
        // A lost connection ends the notifications too.
        match self.client.is_closed() {
            true => Err(StoreError::Database("the connection is closed".into())),
            false => Ok(heard.is_some()),
        }
    }
}
