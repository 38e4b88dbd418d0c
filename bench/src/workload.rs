//! The rows: what is measured. Each is defined once, in one of the catalogues below this module.
//!
//! | module | rows |
//! |---|---|
//! | [`tools`] | programs people run: walk, findls, tar, python, git, compile |
//! | [`names`] | one system call after the other on a path: stat, misses, open, create |
//! | [`data`] | throughput: sequential, random, mapped, written; page cache |
//! | [`unit`] | what is counted: phases, units, amounts |
//!
//! Every row runs as a child process with a time limit. Programs are timed from start to end; the loops of `names` and
//! `data` time themselves and print what they found, so their start-up does not count.

pub mod data;
pub mod names;
pub mod tools;
mod unit;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

pub use self::unit::{Amount, Phase, Unit};
use crate::tree::{Scale, Tree};

/// Where a row runs.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The mounted target.
    pub mnt: &'a Path,
    /// What lies in it.
    pub tree: &'a Tree,
    /// How big things are.
    pub scale: &'a Scale,
    /// Differs for each run of a visit; names what the run creates.
    pub turn: usize,
}

/// What a row does.
#[derive(Debug, Clone, Copy)]
pub enum Job {
    /// A program, timed from outside.
    Program(fn(&Place<'_>) -> Command),
    /// The same with the target as its root; it finds the machine's `/dev` there.
    Chroot(fn(&Place<'_>) -> Command),
    /// A program that prints its number.
    Prints(fn(&Place<'_>, u64) -> Command),
    /// One of our own loops.
    Loop(Op),
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name on the command line and in every report.
    pub name: &'static str,
    /// What it does, in a few words.
    pub about: &'static str,
    /// What its number means.
    pub unit: Unit,
    /// The ratio to the bare directory that we want to reach: at most, or at least where more is better.
    pub goal: Option<f64>,
    /// The phases it is run in, in order.
    pub phases: &'static [Phase],
    /// Operations or bytes of one run.
    pub amount: Amount,
    /// What it does.
    pub job: Job,
}

/// The phases of most rows.
pub const TWICE: &[Phase] = &[Phase::First, Phase::Warm];

/// The phases of reading a large file.
pub const WITH_COLD: &[Phase] = &[Phase::First, Phase::Warm, Phase::Cold];

impl Row {
    /// The goal, where it holds: on the second run, and wherever data comes from the disk.
    pub fn goal_in(&self, phase: Phase) -> Option<f64> {
        self.goal.filter(|_| phase != Phase::First)
    }

    /// Whether it drops the machine's caches.
    pub fn drops_caches(&self) -> bool {
        self.phases.contains(&Phase::Cold)
    }

    /// Whether it needs `/dev` in the target.
    pub fn wants_dev(&self) -> bool {
        matches!(self.job, Job::Chroot(_))
    }

    /// The command of one run.
    ///
    /// It goes to the mounted target by itself once it runs. [`Command::current_dir`] must not be used for that: the
    /// parent waits, unkillably, until the child has changed its directory, and a dead daemon never lets it.
    pub fn command(&self, place: &Place<'_>, phase: Phase) -> Command {
        let amount = self.amount.of(place.scale, phase);
        match self.job {
            Job::Program(build) | Job::Chroot(build) => build(place),
            Job::Prints(build) => build(place, amount),
            Job::Loop(op) => op.command(place, amount),
        }
    }

    /// The row's number, from a finished run.
    pub fn value(
        &self,
        elapsed: Duration,
        stdout: &str,
        scale: &Scale,
        phase: Phase,
    ) -> Result<f64> {
        let found = match self.job {
            Job::Program(_) | Job::Chroot(_) => elapsed.as_secs_f64(),
            Job::Prints(_) | Job::Loop(_) => stdout.trim().parse()?,
        };
        Ok(self.unit.value(found, self.amount.of(scale, phase)))
    }
}

/// Every row, in the order of running: those that drop caches last.
pub fn rows() -> Vec<Row> {
    [tools::ROWS, names::ROWS, data::ROWS].concat()
}

/// The names of all rows, for the command line.
pub fn names() -> Vec<&'static str> {
    rows().iter().map(|row| row.name).collect()
}

/// The in-process measurements. Each works in the current directory, which is the mounted target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "each is a row, described there")]
pub enum Op {
    Stat,
    Neg,
    Negu,
    Open,
    Openread,
    Getxattr,
    Create,
    Seq,
    Rand4k,
    Pagecache,
    Write4k,
    Write128k,
}

impl Op {
    fn command(self, place: &Place<'_>, amount: u64) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command
            .arg("op")
            .arg(self.word())
            .arg(amount.to_string())
            .arg(place.mnt);
        command.env(data::FILE, place.tree.data_file(place.scale));
        command
    }

    fn word(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }

    /// Runs the loop here and now; seconds, or MiB for [`Op::Pagecache`].
    pub fn run(self, amount: u64) -> Result<f64> {
        match self {
            Op::Stat => names::stat(amount),
            Op::Neg => names::absent(amount),
            Op::Negu => names::always_new_absent(amount),
            Op::Open => names::open(amount),
            Op::Openread => names::open_read(amount),
            Op::Getxattr => names::getxattr(amount),
            Op::Create => names::create(amount),
            Op::Seq => data::sequential(),
            Op::Rand4k => data::random(amount),
            Op::Pagecache => data::page_cache(),
            Op::Write4k => data::write(amount, 4 << 10),
            Op::Write128k => data::write(amount, 128 << 10),
        }
    }
}

#[cfg(test)]
mod tests;
