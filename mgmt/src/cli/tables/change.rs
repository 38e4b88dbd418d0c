//! `chtab`.

use crate::cli::{Context, report};
use crate::tables::edit::chtab::Chtab;
use std::process::ExitCode;

/// Arguments of `chtab`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Delete the rows from the tables named
    #[arg(short, long)]
    pub delete: bool,
    /// Accept what xCAT would accept
    #[arg(long)]
    pub force: bool,
    /// The rows: COLUMN=VALUE[,COLUMN=VALUE...]
    #[arg(value_name = "KEY=VALUE")]
    pub key: String,
    /// TABLE.COLUMN=VALUE sets, TABLE.COLUMN+=VALUE adds to a comma list; with -d names of tables
    #[arg(value_name = "TABLE.COLUMN=VALUE", required = true)]
    pub what: Vec<String>,
}

pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<ExitCode> {
    let chtab = if args.delete {
        Chtab::delete(&args.key, &args.what)?
    } else {
        Chtab::set(&args.key, &args.what)?
    };
    let mut found = Vec::new();
    let edit = |site: &mut _| {
        found = chtab.apply(site);
        Ok(())
    };
    let warnings = context.store()?.change(edit, args.force)?;
    report::warnings(&warnings);
    for (table, _) in found.iter().filter(|(_, rows)| *rows == 0 && args.delete) {
        eprintln!("Warning: no row of {table} has {}", args.key);
    }
    Ok(ExitCode::SUCCESS)
}
