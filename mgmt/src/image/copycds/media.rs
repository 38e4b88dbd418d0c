//! A medium as a directory: a directory already, or an ISO image, mounted or, where that cannot be, unpacked.

use crate::image::command::CommandLine;
use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};

/// A medium that can be read. What was mounted or unpacked for it goes when it is dropped.
#[derive(Debug)]
pub struct Media {
    dir: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Directory,
    Mounted,
    Unpacked,
}

impl Media {
    /// Opens a directory or an ISO image. `work` is a directory on a disk with room for an unpacked image; what is
    /// made there has a name of its own.
    ///
    /// # Errors
    /// When it is neither, or cannot be read.
    pub fn open(source: &Path, work: &Path) -> anyhow::Result<Self> {
        let meta = std::fs::metadata(source).with_context(|| source.display().to_string())?;
        if meta.is_dir() {
            return Ok(Self {
                dir: source.to_owned(),
                kind: Kind::Directory,
            });
        }
        std::fs::create_dir_all(work).with_context(|| work.display().to_string())?;
        let dir = work.join(format!(".copycds-{}", std::process::id()));
        std::fs::create_dir(&dir).with_context(|| dir.display().to_string())?;
        let mount = CommandLine::new("mount").args(["-o", "ro,loop,nosuid,nodev"]);
        let mounted = mount.arg(source).arg(&dir).output();
        let Err(first) = mounted else {
            return Ok(Self {
                dir,
                kind: Kind::Mounted,
            });
        };
        let media = Self {
            dir,
            kind: Kind::Unpacked,
        };
        let unpack = CommandLine::new("xorriso").args(["-osirrox", "on", "-indev"]);
        let unpack = unpack.arg(source).args(["-extract", "/"]).arg(&media.dir);
        let unpacked = unpack.output();
        if let Err(second) = unpacked {
            bail!(
                "{} can be neither mounted ({first}) nor unpacked ({second})",
                source.display()
            );
        }
        Ok(media)
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The text of a small file on it.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        let data = std::fs::read(self.dir.join(name)).ok()?;
        Some(String::from_utf8_lossy(&data).into_owned())
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        let cleaned = match self.kind {
            Kind::Directory => return,
            Kind::Mounted => {
                let unmounted = CommandLine::new("umount").arg(&self.dir).output();
                unmounted
                    .map_err(anyhow::Error::from)
                    .and_then(|_| Ok(std::fs::remove_dir(&self.dir)?))
            }
            // Directories of an ISO image are read-only; root removes them all the same.
            Kind::Unpacked => std::fs::remove_dir_all(&self.dir).map_err(Into::into),
        };
        if let Err(error) = cleaned {
            eprintln!("Warning: {} is left behind: {error}", self.dir.display());
        }
    }
}
