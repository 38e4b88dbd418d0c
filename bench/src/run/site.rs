//! The directory of one run: journal, mountpoints, and a tmpfs for everything that targets write.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::exec::Runner;
use crate::journal::{self, Journal};
use crate::mounts::{self, Mounted};
use crate::peers::{self, Ready};

/// A run's directory; removed when dropped.
#[derive(Debug)]
pub struct Site {
    /// Runs commands, noting them for the janitor.
    pub runner: Runner,
    run: PathBuf,
    /// Taken when dropped, before the directory is removed.
    store: Option<Mounted>,
    janitor: Child,
    visits: Cell<u32>,
}

impl Site {
    /// Makes a new one below `work`.
    pub fn open(work: &Path) -> Result<Site> {
        let run = work.join(format!("run-{}", std::process::id()));
        for dir in ["mnt", "store"] {
            fs::create_dir_all(run.join(dir))
                .with_context(|| format!("creating {}", run.display()))?;
        }
        let run = run
            .canonicalize()
            .with_context(|| run.display().to_string())?;
        let file = run.join("journal");
        let journal =
            Journal::create(&file).with_context(|| format!("creating {}", file.display()))?;
        let janitor = journal::start_janitor(&file)?;
        let runner = Runner::noting(Arc::new(journal));
        let store = run.join("store");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "mode=755", "statelite-bench"])
            .arg(&store);
        let mounted =
            Mounted::by(&runner, mount, &store, None).context("mounting a tmpfs for changes")?;
        Ok(Site {
            runner,
            run,
            store: Some(mounted),
            janitor,
            visits: Cell::new(0),
        })
    }

    /// Directories for mounting `target` once. No two visits share a place to write.
    pub fn directories(&self, target: &Ready, lower: &Path) -> peers::Site {
        let visit = self.visits.get();
        self.visits.set(visit + 1);
        let store = self.run.join("store").join(visit.to_string());
        peers::Site {
            program: target.program.clone(),
            lower: lower.to_owned(),
            upper: store.join("upper"),
            work: store.join("work"),
            mnt: self.run.join("mnt").join(target.peer.name),
        }
    }

    /// Forgets what a visit has written; nothing is mounted in the tmpfs.
    pub fn tidy(&self, dirs: &peers::Site) {
        if let Some(store) = dirs.upper.parent()
            && let Err(error) = fs::remove_dir_all(store)
        {
            eprintln!("statelite-bench: {} stays: {error}", store.display());
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.store.take());
        mounts::remove_run_dir(&self.run);
        drop(self.janitor.stdin.take());
        if let Err(error) = self.janitor.wait() {
            eprintln!("statelite-bench: the janitor: {error}");
        }
    }
}
