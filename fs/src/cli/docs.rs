//! Man pages and completions, generated from the command definitions.

use super::Cli;
use anyhow::Context as _;
use clap::{CommandFactory as _, ValueEnum as _};
use clap_complete::Shell;
use std::path::Path;

/// Writes `man/*.8` and `completions/*` below `dir`.
///
/// # Errors
/// As creating files.
pub fn write(dir: &Path) -> anyhow::Result<()> {
    let man = dir.join("man");
    let completions = dir.join("completions");
    for dir in [&man, &completions] {
        std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    }
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), &man)
        .context("man pages")?;
    for shell in Shell::value_variants() {
        clap_complete::generate_to(*shell, &mut Cli::command(), "statelitefs", &completions)
            .context("completions")?;
    }
    Ok(())
}
