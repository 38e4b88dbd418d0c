//! Where `statelite serve` keeps its records of what nodes were given: the commands that read or forget them look where the
//! server writes.

use super::Context;
use crate::resolve::given;
use crate::server::config::{Config, ConfigError};
use clap::Args;
use std::path::PathBuf;

/// Options of commands that use the records.
#[derive(Debug, Clone, Default, Args)]
pub struct RecordsArgs {
    /// Configuration of `statelite serve`, for its `state` [default: /etc/statelite/serve.toml if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where `statelite serve` keeps its records [default: state of its configuration, else beside an SQLite file, else
    /// /var/lib/statelite]
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub state: Option<PathBuf>,
}

impl RecordsArgs {
    /// The directory.
    ///
    /// # Errors
    /// When the configuration cannot be read.
    pub fn dir(&self, context: &Context) -> Result<PathBuf, ConfigError> {
        if let Some(dir) = &self.state {
            return Ok(dir.clone());
        }
        let config = Config::load(self.config.as_deref())?;
        Ok(config
            .state
            .unwrap_or_else(|| given::state_dir(&context.global.db)))
    }
}
