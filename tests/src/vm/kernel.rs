//! Debian's cloud kernels, unpacked but not installed: the release's 6.1 and the 6.12 of its backports.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{lock, packages, state_dir};
use crate::cmd::Cmd;

/// The metapackage whose dependency is the kernel proper.
const META: &str = "linux-image-cloud-amd64";

/// A kernel to boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kernel {
    /// 6.1, which Debian 12 came with: no FUSE passthrough.
    V6_1,
    /// 6.12, from the backports: FUSE passthrough.
    V6_12,
}

/// The files of an unpacked kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// What `uname -r` says.
    pub release: String,
    /// The kernel itself.
    pub vmlinuz: PathBuf,
    /// A tree with `lib/modules/RELEASE` and its dependency lists.
    pub root: PathBuf,
}

impl std::str::FromStr for Kernel {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "6.1" => Ok(Self::V6_1),
            "6.12" => Ok(Self::V6_12),
            _ => bail!("{text} is no kernel of this harness: 6.1 or 6.12"),
        }
    }
}

impl std::fmt::Display for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.version())
    }
}

impl Kernel {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V6_1, Self::V6_12];

    /// The first two numbers of its version.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        }
    }

    /// Its files, downloaded and unpacked the first time.
    ///
    /// # Errors
    /// When the archive does not have it any more, or the download fails.
    pub fn files(self) -> Result<Files> {
        let dir = state_dir().join("kernels").join(self.version());
        let _alone = lock("kernels")?;
        if !dir.exists() {
            let unfinished = dir.with_extension("unfinished");
            let _ = std::fs::remove_dir_all(&unfinished);
            std::fs::create_dir_all(&unfinished)?;
            self.fetch(&unfinished)
                .with_context(|| format!("kernel {self}"))?;
            std::fs::rename(&unfinished, &dir)?;
        }
        found(&dir)
    }

    fn fetch(self, dir: &Path) -> Result<()> {
        let apt = packages::apt()?;
        let suite = match self {
            Self::V6_1 => Vec::new(),
            Self::V6_12 => vec![
                "-o".to_owned(),
                format!("APT::Default-Release={}", apt.backports()),
            ],
        };
        let depends = apt
            .cmd("apt-cache")
            .args(&suite)
            .args(["depends", META])
            .check()?;
        let name = dependency(&depends.stdout, self.version()).with_context(|| {
            format!(
                "{META} of the archive does not depend on a {self} kernel:\n{}",
                depends.stdout
            )
        })?;
        eprintln!("downloading {name}");
        apt.cmd("apt-get")
            .args(&suite)
            .args(["-q", "download", name])
            .dir(dir)
            .check()?;
        let package = entry(dir, |file| file.ends_with(".deb"))?;
        Cmd::new("dpkg")
            .arg("-x")
            .args([&package, dir])
            .limit(Duration::from_secs(300))
            .check()?;
        std::fs::remove_file(&package)?;
        if !dir.join("lib").exists() {
            std::os::unix::fs::symlink("usr/lib", dir.join("lib"))?;
        }
        let release = found(dir)?.release;
        Cmd::new("depmod").arg("-b").arg(dir).arg(release).check()?;
        Ok(())
    }
}

fn found(dir: &Path) -> Result<Files> {
    let vmlinuz = entry(&dir.join("boot"), |file| file.starts_with("vmlinuz-"))?;
    let name = vmlinuz.file_name().and_then(|name| name.to_str());
    let release = name.and_then(|name| name.strip_prefix("vmlinuz-"));
    Ok(Files {
        release: release.context("a kernel without a version")?.to_owned(),
        vmlinuz: vmlinuz.clone(),
        root: dir.to_path_buf(),
    })
}

/// The one entry of a directory whose name is like this.
fn entry(dir: &Path, like: impl Fn(&str) -> bool) -> Result<PathBuf> {
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(&like) {
            return Ok(entry.path());
        }
    }
    bail!("{} does not have the expected file", dir.display())
}

/// The dependency of the metapackage on a kernel of this version.
fn dependency<'a>(depends: &'a str, version: &str) -> Option<&'a str> {
    let prefix = format!("linux-image-{version}.");
    depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|name| name.starts_with(&prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_kernel_behind_the_metapackage() {
        let text = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n";
        assert_eq!(
            dependency(text, "6.1"),
            Some("linux-image-6.1.0-56-cloud-amd64")
        );
        assert_eq!(dependency(text, "6.12"), None);
        assert_eq!(
            dependency("  Depends: linux-image-6.12.95+deb12-cloud-amd64", "6.1"),
            None
        );
    }

    #[test]
    fn names_come_back() {
        for kernel in Kernel::ALL {
            assert_eq!(kernel.to_string().parse::<Kernel>().unwrap(), kernel);
        }
        assert!("5.4".parse::<Kernel>().is_err());
    }
}
