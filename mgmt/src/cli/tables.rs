//! The tables: tabdump, tabrestore, tabedit, chtab as in xCAT; import, export and check for whole sites.

mod change;
mod check;
mod dump;
mod edit;
mod restore;
mod transfer;

use super::Context;
use crate::tables::{Table, schema};
use std::process::ExitCode;

/// Commands about tables.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print a table as CSV, or the names of all tables
    Tabdump(dump::Args),
    /// Load a table from CSV
    Tabrestore(restore::Args),
    /// Edit a table as CSV, with $TABEDITOR, $EDITOR or vi
    Tabedit(edit::Args),
    /// Set single values of a table, or delete rows
    Chtab(change::Args),
    /// Bring in a whole site: a directory of dumps, or of xCAT's own SQLite files
    Import(transfer::ImportArgs),
    /// Write all tables to a directory
    Export(transfer::ExportArgs),
    /// Say what is wrong or odd in the tables
    Check(check::Args),
}

/// Runs one of them.
///
/// # Errors
/// What the command cannot do, and why.
pub fn run(context: &Context, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Tabdump(args) => dump::run(context, &args),
        Command::Tabrestore(args) => restore::run(context, &args),
        Command::Tabedit(args) => edit::run(context, &args),
        Command::Chtab(args) => change::run(context, &args),
        Command::Import(args) => transfer::import(context, &args),
        Command::Export(args) => transfer::export(context, &args),
        Command::Check(args) => check::run(context, &args),
    }
}

/// The table a user named.
fn table(name: &str) -> anyhow::Result<&'static Table> {
    let known = || schema::TABLES.iter().map(|table| table.name);
    schema::table(name).ok_or_else(|| {
        let names: Vec<_> = known().collect();
        anyhow::anyhow!("No such table: {name} (tables: {})", names.join(" "))
    })
}
