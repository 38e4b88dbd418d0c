//! The real management side: the program `statelite` with tables of its own.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::cage::{Cage, child_of};
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

    /// Replaces a table by this text, in tabdump form.
    ///
    /// # Errors
    /// With the program's words.
    pub fn restore(&self, table: &str, text: &str) -> Result<()> {
        let file = self.dir.join(format!("{table}.csv"));
        std::fs::write(&file, text)?;
        self.cmd("tabrestore").arg(&file).check()?;
        Ok(())
    }

    /// The certificate of the authority, once there is a server.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca/ca.pem")
    }

    /// Starts `statelite serve` in a cage, at all of its addresses. The certificate is for the one given.
    ///
    /// # Errors
    /// When it does not serve, with what it says.
    pub fn serve(&self, cage: &Arc<Cage>, address: &str) -> Result<Server> {
        let log = self.dir.join("serve.log");
        let said = std::fs::File::create(&log)?;
        let program = paths::statelite()?.display().to_string();
        let child = cage
            .command(&program)
            .args(["serve", "--bind", "0.0.0.0", "--name", address, "--ca"])
            .arg(self.dir.join("ca"))
            .env("STATELITE_DB", self.tables())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()
            .context("cannot start statelite serve")?;
        let mut server = Server { child };
        let dial = format!("exec 3<>/dev/tcp/{address}/3001");
        let deadline = Instant::now() + Duration::from_secs(30);
        while !cage.cmd("bash").args(["-c", &dial]).run()?.success() {
            if server.child.try_wait()?.is_some() || Instant::now() > deadline {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                bail!("statelite serve does not serve: {said}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }
}

/// A running `statelite serve`. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        // What was started is nsenter; the server is its child, and ends by a SIGTERM.
        if let Some(pid) = child_of(self.child.id()) {
            let _ = Cmd::new("kill").arg(pid.to_string()).run();
        }
        let _ = self.child.wait();
    }
}
