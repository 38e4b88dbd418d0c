//! Man pages and completions, generated from the command definitions.

use super::Cli;
use anyhow::Context as _;
use clap::{Args, CommandFactory as _, ValueEnum as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

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
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    page(&man, "statelite", program.clone())?;
    for command in program.get_subcommands().filter(|c| !c.is_hide_set()) {
        page(
            &man,
            &format!("statelite-{}", command.get_name()),
            command.clone(),
        )?;
    }
    for shell in clap_complete::Shell::value_variants() {
        clap_complete::generate_to(*shell, &mut Cli::command(), "statelite", &completions)
            .context("completions")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes one page of section 8, administration.
fn page(dir: &Path, name: &str, command: clap::Command) -> anyhow::Result<()> {
    let path = dir.join(format!("{name}.8"));
    let mut text = Vec::new();
    clap_mangen::Man::new(command)
        .title(name)
        .section("8")
        .manual("statelite")
        .source(concat!("statelite ", env!("CARGO_PKG_VERSION")))
        .render(&mut text)?;
    std::fs::write(&path, text).with_context(|| path.display().to_string())
}
