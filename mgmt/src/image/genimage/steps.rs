//! The steps of a plan.

use crate::image::command::CommandLine;
use std::fmt;
use std::path::PathBuf;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// What begins now, for people.
    Title(String),
    /// Make a directory and its parents.
    MakeDir(PathBuf),
    /// Write a file.
    Write {
        /// The file.
        path: PathBuf,
        /// Its content.
        text: String,
    },
    /// Run a command on the management node.
    Run(CommandLine),
    /// Run a command on the management node that works on a root and may run programs in it: the root's `/proc`,
    /// `/sys` and `/dev` are there for it, and no service is started.
    Within {
        /// The root.
        root: PathBuf,
        /// The command.
        command: CommandLine,
    },
    /// Make a flat Debian archive of a directory of packages, without touching that directory.
    IndexDebs {
        /// The directory with the packages.
        from: PathBuf,
        /// The archive.
        into: PathBuf,
    },
    /// Remove a directory and all below it, if it is there.
    RemoveTree(PathBuf),
    /// Remove a file below a root, if it is there.
    RemoveIn {
        /// The root.
        root: PathBuf,
        /// The path in it.
        path: &'static str,
    },
    /// Rename.
    Rename {
        /// The old name.
        from: PathBuf,
        /// The new name.
        to: PathBuf,
    },
}

impl fmt::Display for Step {
    /// As a shell command where there is one, for `--dryrun`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Title(title) => write!(f, "# {title}"),
            Self::MakeDir(path) => write!(f, "mkdir -p {}", path.display()),
            Self::Write { path, text } => {
                write!(f, "cat >{} <<END\n{}\nEND", path.display(), text.trim_end())
            }
            Self::Run(command) => write!(f, "{command}"),
            Self::Within { root, command } => {
                write!(f, "{command}    # with {}/{{proc,sys,dev}}", root.display())
            }
            Self::IndexDebs { from, into } => {
                write!(
                    f,
                    "# index of the packages in {} to {}",
                    from.display(),
                    into.display()
                )
            }
            Self::RemoveTree(path) => write!(f, "rm -rf {}", path.display()),
            Self::RemoveIn { root, path } => write!(f, "rm -f {}{path}", root.display()),
            Self::Rename { from, to } => write!(f, "mv {} {}", from.display(), to.display()),
        }
    }
}
