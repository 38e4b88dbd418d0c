//! The conformance suites. Each runs in a directory and says how every case ended.

pub mod fsx;
pub mod pjdfstest;
pub mod stress;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::cmd::{Cmd, End};
use crate::compare::{Results, Verdict};

/// A suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Suite {
    /// POSIX semantics, case by case.
    Pjdfstest,
    /// Random reads, writes, mappings and truncations of one file, checked against memory.
    Fsx,
    /// stress-ng's file-system class.
    Stress,
}

/// How much to do.
#[derive(Debug, Clone)]
pub struct Amount {
    /// Operations of each fsx.
    pub fsx_ops: u64,
    /// How many fsx run, side by side, each with its own seed and file.
    pub fsx_seeds: u64,
    /// Every stressor of the class, or only the short list.
    pub all_stressors: bool,
    /// How long each stressor runs.
    pub stress_time: Duration,
    /// Processes of each stressor.
    pub stress_workers: usize,
}

impl Amount {
    /// A few minutes in all.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            fsx_ops: 20_000,
            fsx_seeds: 2,
            all_stressors: false,
            stress_time: Duration::from_secs(1),
            stress_workers: 2,
        }
    }

    /// What acceptance asks for.
    #[must_use]
    pub fn full() -> Self {
        Self {
            fsx_ops: 1_000_000,
            fsx_seeds: 3,
            all_stressors: true,
            stress_time: Duration::from_secs(2),
            stress_workers: 4,
        }
    }
}

/// What a suite needs besides the directory.
#[derive(Debug, Clone)]
pub struct Setting {
    /// How much to do.
    pub amount: Amount,
    /// Another file system, for EXDEV.
    pub secondary: PathBuf,
    /// A directory on neither, for configuration and what a failure leaves.
    pub room: PathBuf,
}

impl Suite {
    /// The name of its directory: short, see [`pjdfstest`].
    fn dir(self) -> &'static str {
        match self {
            Self::Pjdfstest => "pjd",
            Self::Fsx => "fsx",
            Self::Stress => "str",
        }
    }

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pjdfstest => "pjdfstest",
            Self::Fsx => "fsx",
            Self::Stress => "stress",
        }
    }

    /// Runs it in a new directory below `dir`. That the directory can be removed afterwards is a case of its own.
    pub fn run(self, setting: &Setting, dir: &Path) -> Result<Results> {
        let work = dir.join(self.dir());
        let made = Cmd::new("mkdir").arg(&work).run()?;
        let mut results = Results::default();
        if !made.success() {
            results.note("(set up)", Verdict::Failed(made.to_string()));
            results.stuck = made.end == End::Stuck;
            return Ok(results);
        }
        let mut results = match self {
            Self::Pjdfstest => pjdfstest::run(setting, &work)?,
            Self::Fsx => fsx::run(setting, &work)?,
            Self::Stress => stress::run(setting, &work)?,
        };
        if !results.stuck {
            clean(&work, "(clean up)", &mut results)?;
        }
        Ok(results)
    }
}

/// Removes a tree as a case of the results: names that are listed but cannot be removed, or removed but keep the
/// directory full, are failures of the file system. A second try clears the attributes that some tests leave.
fn clean(dir: &Path, case: &str, results: &mut Results) -> Result<()> {
    let remove = || {
        Cmd::new("rm")
            .arg("-rf")
            .arg(dir)
            .limit(Duration::from_secs(120))
    };
    let outcome = remove().run()?;
    if outcome.success() {
        results.note(case, Verdict::Passed);
        return Ok(());
    }
    results.note(case, Verdict::Failed(outcome.tail(3)));
    results.stuck |= outcome.end == End::Stuck;
    if !results.stuck {
        // Only to leave room for the next; the verdict stands.
        Cmd::new("chattr")
            .args(["-R", "-f", "-i", "-a"])
            .arg(dir)
            .run()?;
        remove().run()?;
    }
    Ok(())
}
