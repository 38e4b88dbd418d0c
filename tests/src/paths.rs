//! Where things are: the build directory, the tools, the cache, the scratch space.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

/// Cargo's target directory: the nearest directory above this program that holds a `release` or `debug` one.
pub fn target_dir() -> Result<PathBuf> {
    let exe = std::env::current_exe().context("the path of this program")?;
    exe.ancestors()
        .find(|dir| {
            dir.file_name()
                .is_some_and(|name| name == "release" || name == "debug")
        })
        .and_then(Path::parent)
        .map(Path::to_path_buf)
        .with_context(|| format!("{} is not in a cargo target directory", exe.display()))
}

/// The program under test.
pub fn statelitefs() -> Result<PathBuf> {
    program("statelitefs", "STATELITEFS_BIN")
}

/// The program of the management side.
pub fn statelite() -> Result<PathBuf> {
    program("statelite", "STATELITE_BIN")
}

/// What the variable names, or else the newest one that was built.
fn program(name: &str, variable: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(PathBuf::from(path));
    }
    let target = target_dir()?;
    let found = ["release", "debug"]
        .iter()
        .map(|profile| target.join(profile).join(name))
        .filter_map(|path| {
            Some((
                path.metadata()
                    .ok()?
                    .modified()
                    .unwrap_or(SystemTime::UNIX_EPOCH),
                path,
            ))
        })
        .max();
    match found {
        Some((_, path)) => Ok(path),
        None => bail!(
            "no {name} in {}: run `cargo build --release --workspace --bins`",
            target.display()
        ),
    }
}

/// Where `pjdfstest` and `fsx` are installed.
pub fn tools() -> Result<PathBuf> {
    from_env("STATELITE_TESTS_TOOLS", "tools")
}

/// Where built images are kept between tests.
pub fn cache() -> Result<PathBuf> {
    from_env("STATELITE_TESTS_CACHE", "tests-cache")
}

/// Where scratch stores are made: on a disk, with several gigabytes free.
#[must_use]
pub fn scratch() -> PathBuf {
    std::env::var_os("STATELITE_TESTS_SCRATCH")
        .map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from)
}

fn from_env(name: &str, under_target: &str) -> Result<PathBuf> {
    match std::env::var_os(name) {
        Some(path) => Ok(PathBuf::from(path)),
        None => Ok(target_dir()?.join(under_target)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_target_directory() {
        let target = target_dir().unwrap();
        assert!(target.join("debug").is_dir() || target.join("release").is_dir());
    }
}
