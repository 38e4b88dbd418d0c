//! The commands. Help, man pages and completions are generated from these definitions.

pub mod boot;
pub mod daemon;
pub mod demo;
pub mod docs;
pub mod http;
pub mod initramfs;
pub mod query;

use crate::config::args::{MountArgs, PolicyArgs};
use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use std::io::Write as _;
use std::path::PathBuf;

/// A merged root file system with a policy per path
///
/// Presents one directory tree put together from a read-only image, read-only trees, and volatile,
/// persistent and local stores. A table decides path by path where a file lives.
#[derive(Debug, Parser)]
#[command(name = "statelitefs", version, max_term_width = 100)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Mount a merged view; returns when it answers
    Mount(Box<MountArgs>),
    /// Unmount
    ///
    /// Fails with "busy" while files are open in the mount, unless --lazy is given.
    Umount(UmountArgs),
    /// Say why paths look as they do
    ///
    /// Which row decides, which layer and which file answer, and what a write would do.
    Explain(ExplainArgs),
    /// Say how a mount is doing
    ///
    /// Layers, policy generation, caches, and operations and bytes of each layer.
    Status(StatusArgs),
    /// Put another policy in force, without unmounting
    ///
    /// Options given replace those of the mount; a given list (--rule, --tree, ...) replaces the
    /// whole list. Tables are read again in any case. Refused as a whole if anything is wrong.
    Reload(Box<ReloadArgs>),
    /// Say what another policy would do, path by path, and change nothing
    ///
    /// Settings are given as to `reload`. The exit status is 0 if all that is this node's own stays in view, 1 if something of
    /// it would be hidden or stands in the way, or what it has removed would show again, and 2 if the policy has an error or
    /// no answer can be had.
    Plan(Box<PlanArgs>),
    /// Check tables for all nodes and images
    ///
    /// Every refused row is named with file, line and column.
    Check(CheckArgs),
    /// Mount this machine's own root with the cookbook's table and show a tour
    ///
    /// Needs root. Changes nothing on the machine and leaves nothing behind.
    Demo(DemoArgs),
    /// Make the root of a diskless node, in its initramfs
    ///
    /// Reads the kernel command line, brings up the network unless that is done, mounts image and
    /// stores where nobody else sees them, asks for the policy, and mounts the root. Returns when
    /// the root answers.
    #[command(after_long_help = crate::boot::cmdline::keys::help())]
    Boot(boot::BootArgs),
    /// Write a bare initramfs that boots a diskless node
    ///
    /// It holds this program as /init, the kernel modules it needs, and nothing else.
    Initramfs(initramfs::InitramfsArgs),
    /// List the file capabilities of an image, for nodes that get it over NFS
    ///
    /// NFS does not carry them. The list belongs at /etc/statelite/capabilities of the initramfs; what builds one (dracut,
    /// initramfs-tools, `initramfs --image`) puts it there.
    Capabilities(CapabilitiesArgs),
    /// Write man pages and shell completions
    Docs(DocsArgs),
    /// The daemon itself; settings come from standard input
    #[command(hide = true)]
    Serve,
}

/// Arguments of `capabilities`.
#[derive(Debug, Args)]
pub struct CapabilitiesArgs {
    /// The image's root directory, on a file system of this machine
    #[arg(value_name = "ROOT")]
    pub root: PathBuf,
}

/// Arguments of `umount`.
#[derive(Debug, Args)]
pub struct UmountArgs {
    /// Where the view appears
    #[arg(value_name = "MOUNTPOINT")]
    pub mountpoint: PathBuf,
    /// Detach now, end when nobody uses it any more
    #[arg(long, short)]
    pub lazy: bool,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Paths, absolute; within the mount if --mount is given, else as this process sees them
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// The mount to ask
    #[arg(long, value_name = "MOUNTPOINT")]
    pub mount: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The mount to ask [default: the only one]
    #[arg(value_name = "MOUNTPOINT")]
    pub mountpoint: Option<PathBuf>,
    /// Print JSON
    #[arg(long, conflicts_with = "prometheus")]
    pub json: bool,
    /// Print metrics in the Prometheus text format
    #[arg(long)]
    pub prometheus: bool,
    /// Answer one HTTP request from standard input with the Prometheus text (for a systemd socket)
    #[arg(long, conflicts_with_all = ["json", "prometheus"])]
    pub http: bool,
}

/// Arguments of `reload`.
#[derive(Debug, Args)]
pub struct ReloadArgs {
    /// The mount to change [default: the only one]
    #[arg(value_name = "MOUNTPOINT")]
    pub mountpoint: Option<PathBuf>,
    /// Settings that replace those of the mount; tables are read again in any case
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Announce a new generation of published layers: everything cached is dropped
    #[arg(long)]
    pub new_generation: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The mount that would change [default: the only one]
    #[arg(value_name = "MOUNTPOINT")]
    pub mountpoint: Option<PathBuf>,
    /// Settings that would replace those of the mount; tables are read again in any case
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Directory with litefile.csv, litetree.csv and statelite.csv
    #[arg(value_name = "TABLES")]
    pub tables: PathBuf,
    /// Meaning of the option words: `current` or `2010`
    #[arg(long, value_name = "DIALECT", default_value = "current", value_parser = crate::config::args::parse_dialect)]
    pub dialect: statelite_policy::Dialect,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Leave you in a shell in the merged root
    #[arg(long)]
    pub shell: bool,
}

/// Arguments of `docs`.
#[derive(Debug, Args)]
pub struct DocsArgs {
    /// Directory to write to
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// Writes to standard output. A reader that has gone has read enough.
///
/// # Errors
/// As `write(2)`, but for `EPIPE`.
pub(crate) fn say(text: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_ref()).and_then(|()| out.flush());
    match written {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e).context("standard output"),
        _ => Ok(()),
    }
}

/// Runs the program with these arguments (the first is its name) and returns its exit status.
pub fn run(args: Vec<String>) -> i32 {
    if crate::boot::init::is_init(&args) {
        crate::boot::init::run(&args);
    }
    let name = args
        .first()
        .and_then(|name| name.rsplit('/').next())
        .unwrap_or_default();
    let result = if name.starts_with("mount.") || is_helper_call(&args) {
        let rest = args.get(1..).unwrap_or_default();
        crate::config::helper::parse(rest)
            .map_err(Into::into)
            .and_then(daemon::mount)
    } else {
        return dispatch(Cli::parse_from(&args).command);
    };
    status(result.map(|()| 0), 1)
}

/// The exit status of `result`; `trouble` and a message if it is an error.
fn status(result: anyhow::Result<i32>, trouble: i32) -> i32 {
    result.unwrap_or_else(|e| {
        let _ = writeln!(std::io::stderr(), "statelitefs: {e:#}");
        trouble
    })
}

/// `mount.fuse` calls the file system as `statelitefs SOURCE MOUNTPOINT -o OPTIONS`.
fn is_helper_call(args: &[String]) -> bool {
    use clap::CommandFactory as _;
    let first = args.get(1).map(String::as_str).unwrap_or_default();
    args.len() >= 4
        && args.iter().any(|arg| arg == "-o")
        && !first.starts_with('-')
        && Cli::command().find_subcommand(first).is_none()
}

/// Does it and returns the exit status.
fn dispatch(command: Command) -> i32 {
    let result = match command {
        Command::Plan(args) => return status(query::plan(*args).map(i32::from), 2),
        Command::Mount(args) => args
            .with_config()
            .map_err(Into::into)
            .and_then(daemon::mount),
        Command::Serve => daemon::serve_from_stdin(),
        Command::Umount(args) => daemon::umount(&args.mountpoint, args.lazy),
        Command::Explain(args) => query::explain(&args),
        Command::Status(args) => query::status(&args),
        Command::Reload(args) => query::reload(*args),
        Command::Check(args) => query::check(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Boot(args) => boot::run(&args),
        Command::Initramfs(args) => initramfs::run(args),
        Command::Capabilities(args) => initramfs::capabilities(&args.root),
        Command::Docs(args) => docs::write(&args.dir),
    };
    status(result.map(|()| 0), 1)
}
