//! The words of the policy: dialect, placement, flavour, rule and where a rule came from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The meaning of the option words: the same word changed its flavour in xCAT 2.5 (20 Sep 2010).
///
/// An explicit setting, never guessed from the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Dialect {
    /// The words of xCAT 2.5 and later. Written `current`.
    #[default]
    #[serde(rename = "current")]
    Current,
    /// The words of the cookbook of April 2010. Written `2010`.
    #[serde(rename = "2010")]
    Seed2010,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Current => "current",
            Self::Seed2010 => "2010",
        })
    }
}

/// unknown dialect "{0}" (allowed: current, 2010)
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown dialect \"{0}\" (allowed: current, 2010)")]
pub struct UnknownDialect(pub String);

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(text: &str) -> Result<Self, UnknownDialect> {
        match text {
            "current" => Ok(Self::Current),
            "2010" => Ok(Self::Seed2010),
            other => Err(UnknownDialect(other.to_owned())),
        }
    }
}

/// Where a path lives and who may change it (design §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    /// No row: the image, read-only.
    Image,
    /// Merged live from trees and image; changes go to RAM and are gone at reboot.
    Volatile,
    /// Copied whole, once, to `<statemnt>/<node>/<path>`; writable and kept.
    Persistent,
    /// Copied whole, once, to the local disk; writable and kept.
    Local,
    /// The litetree layers in priority order, else the image; read-only.
    Tree,
    /// Every tree match joined in priority order; the first write turns the file volatile.
    #[serde(rename = "concatenation")]
    Concat,
}

impl Placement {
    /// Whether a write is possible at all (design §2, column "writable").
    #[must_use]
    pub const fn writable(self) -> bool {
        !matches!(self, Self::Image | Self::Tree)
    }

    /// The word used in messages, in serialised form and in listings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Volatile => "volatile",
            Self::Persistent => "persistent",
            Self::Local => "local",
            Self::Tree => "tree",
            Self::Concat => "concatenation",
        }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How the link/bind mode of xCAT realises a row. The FUSE mode treats both alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// liteimg replaces the path by a symbolic link into `.statelite/tmpfs`.
    Link,
    /// The boot script bind-mounts over the path.
    Bind,
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Link => "link",
            Self::Bind => "bind",
        })
    }
}

/// Who asked for a rule or a layer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A row of a table.
    Row {
        /// The file label given by the caller.
        file: String,
        /// Physical line, from 1, on which the row starts.
        line: u64,
        /// The row's image cell: `ALL`, empty (blank), an image name or an osimage group.
        image: String,
    },
    /// A `PATH=OPTION` argument.
    CommandLine,
    /// Added without being asked, with the reason (for instance `/etc/mtab`).
    Implied(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row { file, line, image } if image.is_empty() => {
                write!(f, "{file}:{line} (blank image)")
            }
            Self::Row { file, line, image } => write!(f, "{file}:{line} (image {image})"),
            Self::CommandLine => f.write_str("the command line"),
            Self::Implied(why) => f.write_str(why),
        }
    }
}

/// One decision: this path (and, for a directory, what is below it) lives there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Rule {
    /// Absolute and normalised: no trailing slash except for `/` itself. See [`crate::path`].
    pub path: String,
    /// Whether the row wrote a trailing slash. Without one, only the source tells whether it is a directory.
    pub directory: bool,
    /// Where the path lives.
    pub placement: Placement,
    /// How link/bind mode would do it.
    pub flavour: Flavour,
    /// The option word, normalised: blank is `tmpfs,rw`, the misspelling `tempfs` is `tmpfs`.
    pub option: String,
    /// Who asked for it.
    pub origin: Origin,
}
