//! What link mode can do, each with its line in `statelite.log` (facts §6).

use super::{Hands, archive};
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// One command of the stock script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Makes a directory and those above it.
    MakeDir(String),
    /// Copies with all attributes.
    Copy {
        /// The command's words: `cp -r -a`, in 2010 `cp -a`.
        words: &'static str,
        /// From.
        source: String,
        /// To.
        target: String,
        /// Whether the shell's `SOURCE*` is copied into the target directory.
        glob: bool,
    },
    /// Appends a file to another.
    Append {
        /// From.
        source: String,
        /// To.
        target: String,
    },
    /// Makes a symbolic link, in place of a file that is there.
    Link {
        /// The text of the link.
        text: String,
        /// Its name.
        name: String,
    },
    /// Removes a tree.
    Remove(String),
    /// Bind-mounts.
    Bind {
        /// From.
        source: String,
        /// To.
        target: String,
        /// Read-only.
        read_only: bool,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeDir(dir) => write!(f, "mkdir -p {dir}"),
            Self::Copy {
                words,
                source,
                target,
                glob,
            } => write!(
                f,
                "{words} {source}{} {target}",
                if *glob { "*" } else { "" }
            ),
            Self::Append { source, target } => write!(f, "cat {source} >>{target}"),
            Self::Link { text, name } => write!(f, "ln -sf {text} {name}"),
            Self::Remove(path) => write!(f, "rm -Rf {path}"),
            // Misspelt by the stock script; tools look for it.
            Self::Bind {
                source,
                target,
                read_only: true,
            } => write!(f, "mout --bind -o ro {source} {target}"),
            Self::Bind { source, target, .. } => write!(f, "mount --bind {source} {target}"),
        }
    }
}

impl Step {
    /// Does it.
    ///
    /// # Errors
    /// As the system calls behind it.
    pub fn perform(&self, hands: &mut dyn Hands) -> io::Result<()> {
        match self {
            Self::MakeDir(dir) => fs::create_dir_all(dir),
            Self::Copy {
                source,
                target,
                glob: false,
                ..
            } => {
                let mut to = PathBuf::from(target.trim_end_matches('/'));
                if to.is_dir() {
                    to.push(Path::new(source).file_name().unwrap_or_default());
                }
                let mut copy = archive::Copy::default();
                copy.add(Path::new(source), &to);
                copy.end()
            }
            Self::Copy { source, target, .. } => {
                let mut copy = archive::Copy::default();
                for found in matches(source)? {
                    let name = found.file_name().unwrap_or_default();
                    copy.add(&found, &Path::new(target).join(name));
                }
                copy.end()
            }
            Self::Append { source, target } => {
                let mut from = fs::File::open(source)?;
                let mut to = fs::File::options().append(true).create(true).open(target)?;
                io::copy(&mut from, &mut to).map(drop)
            }
            Self::Link { text, name } => {
                let name = Path::new(name.trim_end_matches('/'));
                match fs::symlink_metadata(name) {
                    // `ln -sf` puts the link into a directory that is there.
                    Ok(found) if found.is_dir() => {
                        let last = Path::new(text.trim_end_matches('/')).file_name();
                        link(text, &name.join(last.unwrap_or_default()))
                    }
                    _ => link(text, name),
                }
            }
            Self::Remove(path) => {
                let path = Path::new(path.trim_end_matches('/'));
                match fs::symlink_metadata(path) {
                    Ok(found) if found.is_dir() => fs::remove_dir_all(path),
                    Ok(_) => fs::remove_file(path),
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                    Err(error) => Err(error),
                }
            }
            Self::Bind {
                source,
                target,
                read_only,
            } => hands.bind(Path::new(source), Path::new(target), *read_only),
        }
    }
}

fn link(text: &str, name: &Path) -> io::Result<()> {
    match fs::remove_file(name) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::os::unix::fs::symlink(text, name)
}

/// What the shell makes of `SOURCE*`: names that begin with the last component, none that begins with a dot.
fn matches(source: &str) -> io::Result<Vec<PathBuf>> {
    let (dir, start) = source.rsplit_once('/').unwrap_or((".", source));
    let mut found = Vec::new();
    for entry in fs::read_dir(if dir.is_empty() { "/" } else { dir })? {
        let name = entry?.file_name();
        let bytes = name.as_bytes();
        if bytes.starts_with(start.as_bytes())
            && (!bytes.starts_with(b".") || start.starts_with('.'))
        {
            found.push(Path::new(dir).join(name));
        }
    }
    found.sort();
    Ok(found)
}
