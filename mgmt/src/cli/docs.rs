//! Man pages and completions, generated from the command definitions: for `statelite` with its commands and theirs, and for
//! the commands that are links to it.

use super::{Cli, LINKS, link};
use anyhow::Context as _;
use clap::{Args, Command, CommandFactory as _, ValueEnum as _};
use clap_complete::Shell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The program.
const PROGRAM: &str = "statelite";

/// Arguments of `docs`.
#[derive(Debug, Args)]
pub struct DocsArgs {
    /// Directory to write to
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// Writes `man/*.8` and `completions/*` below the directory.
///
/// # Errors
/// As creating files.
pub fn run(args: &DocsArgs) -> anyhow::Result<ExitCode> {
    let [man, completions] = ["man", "completions"].map(|name| args.dir.join(name));
    for dir in [&man, &completions] {
        std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    }
    pages(&man, PROGRAM, Cli::command())?;
    complete(&completions, PROGRAM, &Cli::command())?;
    for name in LINKS {
        let command = link(name).with_context(|| format!("no command {name}"))?;
        pages(&man, name, command.clone())?;
        complete(&completions, name, &command)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the page of a command and those of its subcommands, `NAME-SUBCOMMAND`.
fn pages(dir: &Path, name: &str, command: Command) -> anyhow::Result<()> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    below(dir, name, &command)
}

fn below(dir: &Path, name: &str, command: &Command) -> anyhow::Result<()> {
    page(dir, name, command.clone())?;
    let shown = |command: &&Command| !command.is_hide_set() && command.get_name() != "help";
    for inner in command.get_subcommands().filter(shown) {
        below(dir, &format!("{name}-{}", inner.get_name()), inner)?;
    }
    Ok(())
}

/// Writes one page of section 8, administration.
fn page(dir: &Path, name: &str, command: Command) -> anyhow::Result<()> {
    let path = dir.join(format!("{name}.8"));
    let mut text = Vec::new();
    clap_mangen::Man::new(command)
        .title(name)
        .section("8")
        .manual(PROGRAM)
        .source(concat!("statelite ", env!("CARGO_PKG_VERSION")))
        .render(&mut text)?;
    std::fs::write(&path, text).with_context(|| path.display().to_string())
}

/// Writes the completions of a command for every shell.
fn complete(dir: &Path, name: &str, command: &Command) -> anyhow::Result<()> {
    for shell in Shell::value_variants() {
        clap_complete::generate_to(*shell, &mut command.clone(), name, dir)
            .context("completions")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
