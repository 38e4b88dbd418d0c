//! `statelitefs boot`: makes the root of a diskless node, from a script of somebody else's initramfs.

use crate::boot::{cmdline, daemon, log, start, switch_root};
use anyhow::{Context as _, anyhow};
use clap::Args;
use std::path::{Path, PathBuf};

/// Arguments of `boot`.
#[derive(Debug, Args)]
pub struct BootArgs {
    /// Where the new root appears: `/sysroot` in dracut, `$rootmnt` in initramfs-tools
    #[arg(long, value_name = "DIR", default_value = "/sysroot")]
    pub root: PathBuf,
    /// A command line in place of the kernel's, for testing
    #[arg(long, value_name = "TEXT")]
    pub cmdline: Option<String>,
    /// The daemon itself; its order comes from standard input
    #[arg(long, hide = true)]
    pub daemon: bool,
}

/// Runs the command.
///
/// # Errors
/// What kept the root from coming about; it was also told on the console.
pub fn run(args: &BootArgs) -> anyhow::Result<()> {
    if args.daemon {
        return daemon::run();
    }
    let text = match &args.cmdline {
        Some(text) => text.clone(),
        None => std::fs::read_to_string("/proc/cmdline").context("/proc/cmdline")?,
    };
    let line = cmdline::parse(&text).map_err(|errors| anyhow!(start::told(&errors)))?;
    log::start(line.debug);
    start::root(&line, &text, &args.root)?;
    switch_root::check(
        &args.root,
        line.init.as_deref().unwrap_or(Path::new("/sbin/init")),
    )?;
    start::pause(line.shell, "before the node's own init starts");
    Ok(())
}
