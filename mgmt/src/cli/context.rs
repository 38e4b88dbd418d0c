//! What every command knows: where the tables are, and how to answer.

use crate::tables::{Site, Store};
use clap::Args;

/// Where the tables are when nothing else is said.
pub const DEFAULT_DB: &str = "/var/lib/statelite/tables.sqlite";

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The tables: an SQLite file, or a URL `postgresql://USER:PASSWORD@HOST/DATABASE`
    #[arg(
        long,
        global = true,
        env = "STATELITE_DB",
        hide_env_values = true,
        value_name = "DB",
        default_value = DEFAULT_DB
    )]
    pub db: String,
    /// Print JSON, where there is something to print
    #[arg(long, global = true)]
    pub json: bool,
}

/// What every command knows.
#[derive(Debug, Clone)]
pub struct Context {
    /// The options of every command.
    pub global: Global,
}

impl Context {
    /// Makes one from the options.
    #[must_use]
    pub fn new(global: Global) -> Self {
        Self { global }
    }
    /// The store of the tables, made when it is missing: for commands that change them.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn store(&self) -> anyhow::Result<Store> {
        let db = &self.global.db;
        if Store::file(db).is_some_and(|file| !file.exists()) {
            eprintln!("Note: {db} was not there: new tables are made");
        }
        Ok(Store::open(db)?)
    }

    /// The store of tables that are there.
    ///
    /// # Errors
    /// As [`Store::open_existing`].
    pub fn existing(&self) -> anyhow::Result<Store> {
        Ok(Store::open_existing(&self.global.db)?)
    }

    /// All tables at this moment.
    ///
    /// # Errors
    /// As [`Context::existing`], and reading the database.
    pub fn site(&self) -> anyhow::Result<Site> {
        Ok(self.existing()?.site()?)
    }
}
