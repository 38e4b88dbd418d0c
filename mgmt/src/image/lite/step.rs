//! One step of a plan. Doing a step that was done already, wholly or in part, must come to the same end: that is how
//! an interrupted run is finished.

use super::edit::Content;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One step. Paths are relative to the root of the image and lead through directories only, never through links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Step {
    /// Makes a directory.
    Mkdir {
        /// Where.
        path: String,
        /// Its permission bits.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// Removes a directory that is empty.
    Rmdir {
        /// Which.
        path: String,
    },
    /// Gives a thing another name.
    Move {
        /// Its name until now.
        from: String,
        /// Its new name; nothing has it.
        to: String,
        /// Which thing it is.
        ino: u64,
    },
    /// Makes a symbolic link.
    Symlink {
        /// Where.
        path: String,
        /// Where it leads.
        text: String,
    },
    /// Removes a symbolic link.
    Unlink {
        /// Which.
        path: String,
        /// Where it led; a link that leads elsewhere stays.
        text: String,
    },
    /// Makes an empty file.
    Touch {
        /// Where.
        path: String,
    },
    /// Removes a file, if it is empty and the one meant.
    RemoveEmpty {
        /// Which.
        path: String,
        /// Which thing it is.
        ino: u64,
    },
    /// Copies a tree with everything that belongs to it.
    Copy {
        /// What.
        from: String,
        /// Where to; nothing has this name.
        to: String,
    },
    /// Removes a copy that liteimg made below `.default`.
    Discard {
        /// Which.
        path: String,
        /// Which thing it is.
        ino: u64,
    },
    /// Writes one of liteimg's own files.
    Write {
        /// Which, below `.statelite`.
        path: String,
        /// What it then contains.
        text: String,
    },
    /// Removes one of liteimg's own files.
    Remove {
        /// Which, below `.statelite`.
        path: String,
    },
    /// Puts a file with content where nothing is.
    Content {
        /// Where.
        path: String,
        /// What.
        file: Content,
        /// A file whose further attributes it gets.
        like: Option<String>,
    },
    /// Removes a file that liteimg put there.
    Withdraw {
        /// Which.
        path: String,
        /// Which thing it is.
        ino: u64,
    },
    /// Everything before is on disk; an interrupted run is taken up here at the earliest.
    Barrier,
    /// Gives a directory the modification time it had before liteimg worked in it.
    Times {
        /// Which.
        path: String,
        /// Seconds.
        seconds: i64,
        /// Nanoseconds.
        nanos: i64,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mkdir { path, mode, .. } => write!(f, "mkdir -m {mode:04o} {path}"),
            Self::Rmdir { path } => write!(f, "rmdir {path}"),
            Self::Move { from, to, .. } => write!(f, "mv {from} {to}"),
            Self::Symlink { path, text } => write!(f, "ln -s {text} {path}"),
            Self::Unlink { path, text } => write!(f, "rm {path}  # link to {text}"),
            Self::Touch { path } => write!(f, "touch {path}"),
            Self::RemoveEmpty { path, .. } => write!(f, "rm {path}  # empty"),
            Self::Copy { from, to } => write!(f, "cp -a {from} {to}"),
            Self::Discard { path, .. } => write!(f, "rm -r {path}  # a copy"),
            Self::Write { path, text } => write!(f, "write {path}  # {} bytes", text.len()),
            Self::Content { path, file, .. } => {
                write!(f, "write {path}  # {} bytes", file.bytes.len())
            }
            Self::Withdraw { path, .. } => write!(f, "rm {path}  # written by liteimg"),
            Self::Remove { path } => write!(f, "rm {path}"),
            Self::Barrier => f.write_str("sync"),
            Self::Times { path, seconds, .. } => {
                let path = if path.is_empty() { "." } else { path };
                write!(f, "touch -d @{seconds} {path}")
            }
        }
    }
}

/// A plan: what to do, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// Whether `.statelite` goes away in the end, since liteimg made it and nothing is left in it.
    pub leave: bool,
    /// The modification time `.statelite` had before the first run, to be given back in the end.
    pub own_mtime: Option<(i64, i64)>,
    /// Whether another plan is needed after this one: a file that it makes is to be changed.
    #[serde(skip)]
    pub again: bool,
    /// What an administrator should know.
    #[serde(skip)]
    pub warnings: Vec<String>,
}
