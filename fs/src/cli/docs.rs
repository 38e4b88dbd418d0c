//! Man pages and completions, generated from the command definitions.

use super::Cli;
use anyhow::Context as _;
use clap::{CommandFactory as _, ValueEnum as _};
use clap_complete::Shell;
use std::path::Path;

/// Writes one page of section 8, administration.
fn page(dir: &Path, name: &str, command: clap::Command) -> anyhow::Result<()> {
    let path = dir.join(format!("{name}.8"));
    let mut text = Vec::new();
    clap_mangen::Man::new(command)
        .title(name)
        .section("8")
        .manual("statelitefs")
        .source(concat!("statelitefs ", env!("CARGO_PKG_VERSION")))
        .render(&mut text)?;
    std::fs::write(&path, text).with_context(|| path.display().to_string())
}

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
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    page(&man, "statelitefs", program.clone())?;
    for command in program.get_subcommands().filter(|c| !c.is_hide_set()) {
        let name = format!("statelitefs-{}", command.get_name());
        page(&man, &name, command.clone())?;
    }
    for shell in Shell::value_variants() {
        clap_complete::generate_to(*shell, &mut Cli::command(), "statelitefs", &completions)
            .context("completions")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_name_pages_that_are_written() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path()).unwrap();
        let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
        let mut named = 0;
        for unit in std::fs::read_dir(units).unwrap() {
            let text = std::fs::read_to_string(unit.unwrap().path()).unwrap();
            for page in text.split_whitespace().filter_map(|w| w.split_once("man:")) {
                let name = page.1.strip_suffix("(8)").unwrap();
                assert!(dir.path().join(format!("man/{name}.8")).is_file(), "{name}");
                named += 1;
            }
        }
        assert!(named > 0);
    }
}
