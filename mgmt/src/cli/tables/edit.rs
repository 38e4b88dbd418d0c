//! `tabedit`.

use super::table;
use crate::cli::{Context, report};
use crate::tables::edit::merge::merge;
use crate::tables::{Row, Table, Warning, csv};
use anyhow::{Context as _, bail};
use std::io::{BufRead as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `tabedit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Accept what xCAT would accept
    #[arg(long)]
    pub force: bool,
    /// The table
    #[arg(value_name = "TABLE")]
    pub table: String,
}

pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<ExitCode> {
    let table = table(&args.table)?;
    let base = context.store()?.site()?.rows(table).to_vec();
    let dir = directory()?;
    let file = dir.join(format!("{}.csv", table.name));
    let original = csv::write(table, &base);
    std::fs::write(&file, &original).with_context(|| file.display().to_string())?;
    loop {
        let edited = edit(&file)?;
        if edited == original.as_bytes() {
            report::print("No file modifications detected, not restoring.\n")?;
            break;
        }
        match store(context, args, table, &base, &edited) {
            Ok(warnings) => {
                report::warnings(&warnings);
                break;
            }
            Err(error) => {
                eprintln!("Error: {}", report::chain(&error));
                if !again(&file)? {
                    bail!("nothing was changed; your text is in {}", file.display());
                }
            }
        }
    }
    std::fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// A new directory that only its owner can enter.
fn directory() -> anyhow::Result<PathBuf> {
    let name = format!("tabedit.{}.{:08x}", std::process::id(), fastrand::u32(..));
    let dir = std::env::temp_dir().join(name);
    let made = std::fs::DirBuilder::new().mode(0o700).create(&dir);
    made.with_context(|| dir.display().to_string())?;
    Ok(dir)
}

/// The text after the editor has run.
fn edit(file: &Path) -> anyhow::Result<Vec<u8>> {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let editor = set("TABEDITOR").or_else(|| set("EDITOR"));
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    // By the shell, for the variable may hold arguments.
    let status = std::process::Command::new("sh")
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg("tabedit")
        .arg(file)
        .status()
        .context("sh")?;
    if !status.success() {
        bail!(
            "the editor \"{editor}\" failed ({status}): nothing was changed; your text is in {}",
            file.display()
        );
    }
    std::fs::read(file).with_context(|| file.display().to_string())
}

/// Stores the edited table, with what other commands have changed since.
fn store(
    context: &Context,
    args: &Args,
    table: &'static Table,
    base: &[Row],
    edited: &[u8],
) -> anyhow::Result<Vec<Warning>> {
    let rows = csv::read(table, &format!("{}.csv", table.name), edited)?;
    let edit = |site: &mut crate::tables::Site| {
        let merged = merge(table, base, &rows, site.rows(table))?;
        site.put(table, merged);
        Ok(())
    };
    context.store()?.change(edit, args.force)
}

/// Asks whether to edit again; no answer (the end of the input) is no.
fn again(file: &Path) -> anyhow::Result<bool> {
    eprint!(
        "Above errors occured, hit enter to edit, or ctrl-c to abort (your text is in {}) ",
        file.display()
    );
    std::io::stderr().flush()?;
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line)?;
    Ok(read > 0)
}
