//! `tabrestore`.

use super::table;
use crate::cli::{Context, report};
use crate::tables::csv;
use crate::tables::edit::restore::restore;
use anyhow::{Context as _, bail};
use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `tabrestore`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Add the rows to those that are there, instead of replacing the table
    #[arg(short, long = "addrows", visible_alias = "add")]
    pub add: bool,
    /// Accept what xCAT would accept
    #[arg(long)]
    pub force: bool,
    /// The table, when the file is not called TABLE.csv
    #[arg(short, long, value_name = "TABLE")]
    pub table: Option<String>,
    /// TABLE.csv, or - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<ExitCode> {
    let shown = args.file.display().to_string();
    let stdin = args.file.as_os_str() == "-";
    // As in xCAT, the table is the file's name up to its first dot.
    let stem = args.file.file_name().and_then(|name| name.to_str());
    let stem = stem.and_then(|name| name.split('.').next());
    let table = match (args.table.as_deref(), stem) {
        (Some(name), _) => table(name)?,
        (None, _) if stdin => bail!("say which table standard input is: --table TABLE"),
        (None, Some(stem)) => table(stem)
            .context("the table is the file's name up to the first dot; else say --table")?,
        (None, None) => bail!("{shown} names no table: say --table TABLE"),
    };
    let mut text = Vec::new();
    if stdin {
        std::io::stdin().lock().read_to_end(&mut text)?;
    } else {
        text = std::fs::read(&args.file).with_context(|| shown.clone())?;
    }
    let label = if stdin { "standard input" } else { &shown };
    let rows = csv::read(table, label, &text)?;
    let mut equal = 0;
    let edit = |site: &mut _| {
        equal = restore(site, table, rows, args.add);
        Ok(())
    };
    let warnings = context.store()?.change(edit, args.force)?;
    report::warnings(&warnings);
    if equal > 0 {
        eprintln!("Note: rows that are equal in every column were kept once ({equal} left out)");
    }
    Ok(ExitCode::SUCCESS)
}
