//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as Group, Parser, Subcommand, ValueEnum};

use statelite_tests::vm::kernel::Kernel;
use statelite_tests::vm::site::Nfs as Version;

use crate::{nfs, peers, workload};

/// Measures the merged root beside its peers.
#[derive(Debug, Parser)]
#[command(name = "statelite-bench", version, about)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub task: Task,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Measure every row on every target of this machine (needs root).
    Local(Local),
    /// Measure the server of the management side, on loopback.
    Serve(Serve),
    /// Boot diskless nodes in virtual machines and count their NFS traffic, mode by mode (needs root and Debian 12).
    Nfs(Nfs),
    /// One in-process measurement; `local` starts these, so that they can be given up.
    #[command(hide = true)]
    Op(OpArgs),
    /// Waits for its parent to end, then unmounts and ends what the parent left.
    #[command(hide = true)]
    Janitor {
        /// What the parent has mounted and started.
        journal: PathBuf,
    },
}

/// Options of `statelite-bench local`.
#[derive(Debug, Clone, Group)]
pub struct Local {
    /// Rounds; each measures every row on every target once.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Where caller and daemon run: on one CPU, where the scheduler likes, or first one and then the other.
    #[arg(long, value_enum, default_value_t = Pin::OneCpu)]
    pub pin: Pin,
    /// A Debian root to measure on instead of a new one; a directory `bench` is added to it if it has none.
    #[arg(long, value_name = "DIR")]
    pub tree: Option<PathBuf>,
    /// Where the tree is built and kept for the next run, and where targets are mounted.
    #[arg(long, value_name = "DIR", default_value = "/var/tmp/statelite-bench")]
    pub work: PathBuf,
    /// Rows to run; all by default.
    #[arg(long, value_name = "ROW,..", value_delimiter = ',', value_parser = workload::names())]
    pub only: Vec<String>,
    /// Targets to run; all by default, and `bare` always.
    #[arg(long, value_name = "TARGET,..", value_delimiter = ',', value_parser = peers::names())]
    pub peers: Vec<String>,
    /// Our own program [default: `statelitefs` beside this one].
    #[arg(long, value_name = "FILE")]
    pub statelitefs: Option<PathBuf>,
    /// Do not install missing peers with apt; name them as missing.
    #[arg(long)]
    pub no_install: bool,
    /// Small files and few operations: shows that everything works, not how fast.
    #[arg(long)]
    pub quick: bool,
    /// Seconds after which a command is given up.
    #[arg(long, default_value = "120", value_parser = seconds, value_name = "SECONDS")]
    pub time_limit: Duration,
    /// Print the table as Markdown.
    #[arg(long)]
    pub markdown: bool,
    /// Write everything, raw samples included, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Draw the ratios as a chart.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// Options of `statelite-bench serve`.
#[derive(Debug, Clone, Group)]
pub struct Serve {
    /// Nodes; each has an address of its own in 127.0.0.0/8.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub nodes: u32,
    /// Seconds in which all of them boot.
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub within: u64,
    /// Listeners to the event stream that are held open.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(0..=15_000))]
    pub idle: u32,
    /// Connections that begin TLS and say no more, held open all at once and made anew as they are closed.
    #[arg(long, default_value_t = 8000, value_parser = clap::value_parser!(u32).range(0..=15_000))]
    pub half_open: u32,
    /// Seconds for which connections are held.
    #[arg(long, default_value_t = 20, value_name = "SECONDS")]
    pub hold: u64,
    /// Parts to run; all by default.
    #[arg(long, value_enum, value_name = "PART,..", value_delimiter = ',')]
    pub only: Vec<Part>,
    /// The program to measure [default: `statelite` beside this one].
    #[arg(long, value_name = "FILE")]
    pub statelite: Option<PathBuf>,
    /// Write everything as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Options of `statelite-bench nfs`.
#[derive(Debug, Clone, Group)]
pub struct Nfs {
    /// Modes to measure; all by default.
    #[arg(long, value_name = "MODE,..", value_delimiter = ',', value_parser = nfs::mode::names())]
    pub modes: Vec<String>,
    /// NFS versions of the image's mount.
    #[arg(long, value_enum, value_name = "VERSION,..", value_delimiter = ',', default_values = ["3", "4.1"])]
    pub nfs: Vec<Version>,
    /// The nodes' kernel: 6.1 or 6.12.
    #[arg(long, default_value = "6.12")]
    pub kernel: Kernel,
    /// Boots of each mode; the medians are told.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Seconds of the idle phase.
    #[arg(long, default_value_t = 300, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub idle: u64,
    /// Print the tables as Markdown.
    #[arg(long)]
    pub markdown: bool,
    /// Write everything as JSON; rewritten after each boot.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Measure nothing: show what --json wrote to this file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "modes"])]
    pub from: Option<PathBuf>,
    /// Draw a chart of each phase and NFS version into this directory.
    #[arg(long, value_name = "DIR")]
    pub svg: Option<PathBuf>,
    /// Write one page with charts and tables that needs nothing else.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Parts of `statelite-bench serve`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Every node boots: state, litefile, litetree.
    Boot,
    /// Listeners that wait, and a change of the tables that they all hear of.
    Idle,
    /// Half-open TLS connections, and nodes that boot meanwhile.
    HalfOpen,
}

/// Arguments of the hidden `op`.
#[derive(Debug, Group)]
pub struct OpArgs {
    /// Which measurement.
    #[arg(value_enum)]
    pub op: workload::Op,
    /// How many operations, or bytes.
    pub amount: u64,
    /// The directory to work in.
    pub dir: PathBuf,
}

/// Where caller and daemon run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pin {
    /// Both on the first CPU allowed.
    OneCpu,
    /// Wherever the scheduler puts them.
    None,
    /// The whole measurement pinned, then the whole measurement unpinned.
    Both,
}

impl Pin {
    /// The suites to run: `true` for a pinned one.
    pub fn suites(self) -> &'static [bool] {
        match self {
            Pin::OneCpu => &[true],
            Pin::None => &[false],
            Pin::Both => &[true, false],
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<u64>() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(n) => Ok(Duration::from_secs(n)),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn local(line: &str) -> Result<Local, clap::Error> {
        let words = ["statelite-bench", "local"]
            .into_iter()
            .chain(line.split_whitespace());
        match Args::try_parse_from(words)?.task {
            Task::Local(local) => Ok(local),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn defaults() {
        let args = local("").unwrap();
        assert_eq!(args.rounds, 5);
        assert_eq!(args.pin, Pin::OneCpu);
        assert_eq!(args.time_limit, Duration::from_secs(120));
        assert!(args.only.is_empty() && args.peers.is_empty() && !args.quick && !args.markdown);
    }

    #[test]
    fn lists_are_split_at_commas() {
        let args = local("--only walk,tar --peers overlay,fuse-overlayfs --pin both").unwrap();
        assert_eq!(args.only, ["walk", "tar"]);
        assert_eq!(args.peers, ["overlay", "fuse-overlayfs"]);
        assert_eq!(args.pin.suites(), [true, false]);
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            "--rounds 0",
            "--only walk,fly",
            "--peers aufs",
            "--time-limit 0",
            "--pin two",
        ] {
            assert!(local(line).is_err(), "{line}");
        }
    }
}
