//! Installs the programs that the tests run, when they are missing.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cmd::Cmd;
use crate::paths;

/// A crate from the registry whose program is a test suite, at the version that the harness knows how to read.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    name: &'static str,
    version: &'static str,
    /// Debian packages to build it.
    needs: &'static [(&'static str, &'static str)],
}

/// The POSIX conformance suite.
pub const PJDFSTEST: Tool = Tool {
    name: "pjdfstest",
    version: "0.2.2",
    needs: &[("libacl1-dev", "/usr/include/sys/acl.h")],
};
/// The file system exerciser.
pub const FSX: Tool = Tool {
    name: "fsx",
    version: "0.3.2",
    needs: &[],
};

static APT: Mutex<()> = Mutex::new(());

impl Tool {
    /// The program, installed if need be.
    pub fn path(self) -> Result<PathBuf> {
        let root = paths::tools()?;
        let program = root.join("bin").join(self.name);
        let listed = std::fs::read_to_string(root.join(".crates.toml")).unwrap_or_default();
        if program.exists() && listed.contains(&format!("\"{} {} ", self.name, self.version)) {
            return Ok(program);
        }
        for (package, file) in self.needs {
            debian(package, file)?;
        }
        eprintln!("installing {} {}", self.name, self.version);
        Cmd::new("nice")
            .args(["cargo", "install", "--locked", "-j1", "--root"])
            .arg(&root)
            .arg(format!("{}@{}", self.name, self.version))
            // The one target directory of the workspace is not for foreign crates.
            .env("CARGO_TARGET_DIR", root.join("build"))
            .limit(Duration::from_secs(1500))
            .check()?;
        Ok(program)
    }
}

/// Installs a Debian package unless a file of it is there.
pub fn debian(package: &str, file: &str) -> Result<()> {
    if std::path::Path::new(file).exists() {
        return Ok(());
    }
    let _one_at_a_time = APT
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let apt = |args: &[&str]| {
        Cmd::new("apt-get")
            .args([
                "-y",
                "-q",
                "-o",
                "DPkg::Lock::Timeout=500",
                "--no-install-recommends",
            ])
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .limit(Duration::from_secs(900))
    };
    eprintln!("installing Debian package {package}");
    apt(&["update"]).check()?;
    apt(&["install", package])
        .check()
        .with_context(|| format!("Debian package {package}"))?;
    Ok(())
}
