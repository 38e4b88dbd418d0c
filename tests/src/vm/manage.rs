//! The real management side: the program `statelite` with tables of its own.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cmd::Cmd;
use crate::paths;

/// Tables, and the directories that go with them.
#[derive(Debug, Clone)]
pub struct Management {
    dir: PathBuf,
}

impl Management {
    /// Empty tables in a directory, with `install` and `tftp` in it.
    ///
    /// # Errors
    /// With the program's words.
    pub fn new(dir: &Path) -> Result<Self> {
        let management = Self {
            dir: dir.to_path_buf(),
        };
        for (key, sub) in [("installdir", "install"), ("tftpdir", "tftp")] {
            let place = dir.join(sub);
            std::fs::create_dir_all(&place)?;
            management.set(
                "site",
                &format!("key={key}"),
                &[&format!("value={}", place.display())],
            )?;
        }
        Ok(management)
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The tables' file.
    #[must_use]
    pub fn tables(&self) -> PathBuf {
        self.dir.join("tables.sqlite")
    }

    /// A command of the program.
    #[must_use]
    pub fn cmd(&self, command: &str) -> Cmd {
        let program = paths::statelite().unwrap_or_else(|_| "statelite".into());
        Cmd::new(program)
            .arg(command)
            .env("STATELITE_DB", self.tables())
    }

    /// Sets columns (`COLUMN=VALUE`) of the row of a table with this key.
    ///
    /// # Errors
    /// With the program's words.
    pub fn set(&self, table: &str, key: &str, columns: &[&str]) -> Result<()> {
        let columns = columns.iter().map(|column| format!("{table}.{column}"));
        self.cmd("chtab").arg(key).args(columns).check()?;
        Ok(())
    }
}
