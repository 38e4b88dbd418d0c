//! `statelite-bench`: side-by-side measurements of the merged root and its peers.
//!
//! `statelite-bench local` runs every row (see [`workload`]) on every target (see [`peers`]) in turn, round after
//! round, and prints the medians beside the bare directory. How a number comes about is told at the head of [`run`].
//!
//! | module | what it is |
//! |---|---|
//! | [`args`] | the command line |
//! | [`tree`] | the directory tree everything is measured on |
//! | [`peers`] | the targets: how each is mounted, where it comes from |
//! | [`workload`] | the rows: what each does, its unit, its goal |
//! | [`run`] | rounds, phases, order |
//! | [`nfs`] | NFS traffic of nodes that boot |
//! | [`serve`] | the management side's server, with thousands of nodes |
//! | [`exec`], [`mounts`], [`journal`] | nothing may hang, nothing may stay mounted |
//! | [`stats`], [`report`] | medians; table, JSON, chart |

mod args;
mod exec;
mod install;
mod journal;
mod machine;
mod mounts;
mod nfs;
mod peers;
mod pin;
mod report;
mod run;
mod serve;
mod stats;
mod tree;
mod workload;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use crate::args::{Args, Local, OpArgs, Task};

fn main() -> ExitCode {
    let done = match Args::parse().task {
        Task::Local(local) => measure(&local),
        Task::Serve(serve) => serve::measure(&serve),
        Task::Nfs(args) => nfs::measure(&args),
        Task::Op(op) => one_loop(&op),
        Task::Janitor { journal } => journal::clean_up_after_parent(&journal),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("statelite-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one loop and prints what it found.
fn one_loop(args: &OpArgs) -> Result<()> {
    let dir = &args.dir;
    std::env::set_current_dir(dir).with_context(|| format!("going to {}", dir.display()))?;
    println!("{}", args.op.run(args.amount)?);
    Ok(())
}

/// Runs the measurements and writes what was asked for.
fn measure(local: &Local) -> Result<()> {
    let report = run::local(local)?;
    let text = if local.markdown {
        report::table::markdown(&report)
    } else {
        report::table::text(&report)
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("writing the table")?;
    if let Some(file) = &local.json {
        std::fs::write(file, report::json::render(&report)?)
            .with_context(|| format!("writing {}", file.display()))?;
    }
    if let Some(file) = &local.svg {
        std::fs::write(file, report::svg::render(&report))
            .with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}
