//! `import` and `export`.

use crate::cli::{Context, report};
use crate::tables::store::{Keep, Outcome};
use crate::tables::transfer::{Bundle, Kind, export as write};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `import`.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// Say what would change, and change nothing
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Accept what xCAT would accept
    #[arg(long)]
    pub force: bool,
    /// Directory with TABLE.csv files (tabdump, dumpxCATdb) or TABLE.sqlite files (/etc/xcat)
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// Write TABLE.sqlite files, as xCAT keeps its tables, instead of TABLE.csv
    #[arg(long)]
    pub sqlite: bool,
    /// Directory to write to; it is made when missing
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// What an import says to programs.
#[derive(Serialize)]
struct Imported {
    stored: bool,
    #[serde(flatten)]
    outcome: Outcome,
    tables_left_out: Vec<String>,
    columns_left_out: Vec<String>,
}

pub(super) fn import(context: &Context, args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let bundle = Bundle::read(&args.dir, |file| eprintln!("reading {file}"))?;
    let tables_left_out = bundle.left_out.clone();
    let mut columns_left_out = Vec::new();
    let mut read = 0;
    for loaded in &bundle.tables {
        read += loaded.rows.len();
        let columns = loaded.left_out.iter();
        columns_left_out.extend(columns.map(|column| format!("{}.{column}", loaded.table.name)));
    }
    eprintln!(
        "checking and storing {read} rows of {} tables",
        bundle.tables.len()
    );
    let keep = if args.dry_run {
        Keep::DryRun
    } else {
        Keep::Yes
    };
    let edit = |site: &mut _| {
        bundle.put(site);
        Ok(())
    };
    let outcome = context.store()?.attempt(edit, args.force, keep)?;
    report::warnings(&outcome.warnings);
    let imported = Imported {
        stored: !args.dry_run,
        outcome,
        tables_left_out,
        columns_left_out,
    };
    if context.global.json {
        report::json(&imported)?;
    } else {
        report::print(&summary(&imported))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn summary(imported: &Imported) -> String {
    let mut text = String::new();
    for touched in &imported.outcome.touched {
        text += &format!(
            "{}: {} rows added, {} changed, {} removed\n",
            touched.table, touched.added, touched.changed, touched.removed
        );
    }
    if imported.outcome.touched.is_empty() {
        text += "everything is there already\n";
    }
    for (what, list) in [
        ("tables", &imported.tables_left_out),
        ("columns", &imported.columns_left_out),
    ] {
        if !list.is_empty() {
            text += &format!(
                "{what} that are not kept here, left out: {}\n",
                list.join(" ")
            );
        }
    }
    if !imported.stored {
        text += "nothing was stored (--dry-run)\n";
    }
    text
}

pub(super) fn export(context: &Context, args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let kind = if args.sqlite { Kind::Sqlite } else { Kind::Csv };
    write(&context.site()?, &args.dir, kind, |file| {
        eprintln!("writing {file}");
    })?;
    Ok(ExitCode::SUCCESS)
}
