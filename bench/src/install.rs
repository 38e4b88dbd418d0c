//! Getting missing programs with apt.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::exec::Runner;

/// A package may take this long; they are small, the network may not be fast.
const LIMIT: Duration = Duration::from_secs(900);

/// Where a program lies on the search path.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// Makes sure `program` is there, installing `package` when allowed; the error says what is missing and why.
pub fn ensure(
    runner: &Runner,
    program: &str,
    package: &str,
    allowed: bool,
) -> Result<PathBuf, String> {
    if let Some(found) = find(program) {
        return Ok(found);
    }
    if !allowed {
        return Err(format!(
            "`{program}` is missing (Debian package {package}) and --no-install was given"
        ));
    }
    if find("apt-get").is_none() {
        return Err(format!(
            "`{program}` is missing and there is no apt-get; install {package} by other means"
        ));
    }
    eprintln!("installing {package}");
    let mut tried = apt(runner, &["install", package]);
    if tried.is_err() {
        tried = apt(runner, &["update"]).and_then(|()| apt(runner, &["install", package]));
    }
    tried.map_err(|why| {
        format!("`{program}` is missing and apt-get cannot install {package}: {why}")
    })?;
    find(program).ok_or_else(|| format!("{package} is installed but has no `{program}`"))
}

/// The installed version of a Debian package.
pub fn version(runner: &Runner, package: &str) -> Option<String> {
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f", "${Version}", package]);
    let text = runner.run(query, Duration::from_secs(10)).ok()?.stdout;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The first line `program --version` prints.
pub fn version_line(runner: &Runner, program: &Path) -> Option<String> {
    let mut query = Command::new(program);
    query.arg("--version");
    let text = runner.run(query, Duration::from_secs(10)).ok()?.stdout;
    text.lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .map(str::to_owned)
}

fn apt(runner: &Runner, words: &[&str]) -> Result<(), String> {
    let mut apt = Command::new("apt-get");
    apt.args(["-y", "-q", "--no-install-recommends"])
        .args(words)
        .env("DEBIAN_FRONTEND", "noninteractive");
    runner
        .run(apt, LIMIT)
        .map(|_| ())
        .map_err(|fault| fault.to_string())
}
