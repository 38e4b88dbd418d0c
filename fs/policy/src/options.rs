//! The option words of litefile, each defined once. Parsing, help and listings all come from [`WORDS`].
//!
//! Sources: design §2 for the placements, facts §2 for the flavours and for the words of 2010. Words are compared
//! exactly: no other spelling, case or order works in xCAT either.

use std::fmt::Write as _;

use crate::model::{Dialect, Flavour, Placement};

/// One meaning and the words that have it in one dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// The normal word first, then its aliases. The empty string is the blank cell.
    pub words: &'static [&'static str],
    /// The dialect in which the words mean this.
    pub dialect: Dialect,
    /// Where the path lives.
    pub placement: Placement,
    /// How link/bind mode does it.
    pub flavour: Flavour,
    /// One line for people.
    pub help: &'static str,
    /// Why the word deserves a warning although it is accepted.
    pub caution: Option<&'static str>,
}

impl Word {
    /// The word written into policies and listings.
    #[must_use]
    pub fn normal(&self) -> &'static str {
        self.words.first().copied().unwrap_or_default()
    }

    /// Whether the option makes sense for files only (a directory cannot be concatenated).
    #[must_use]
    pub fn files_only(&self) -> bool {
        self.placement == Placement::Concat
    }
}

const fn word(
    dialect: Dialect,
    words: &'static [&'static str],
    placement: Placement,
    flavour: Flavour,
    help: &'static str,
) -> Word {
    Word {
        words,
        dialect,
        placement,
        flavour,
        help,
        caution: None,
    }
}

const IGNORED: &str =
    "the 2010 boot script ignored bare \"tmpfs\" although it was documented; read as \"tmpfs,rw\"";

use Dialect::{Current, Seed2010};
use Flavour::{Bind, Link};
use Placement::{Concat, Local, Persistent, Tree, Volatile};

/// Every option word of both dialects.
///
/// Blank is `tmpfs,rw`, a link, as in the code (the manual page says bind); `tempfs` is the documents' misspelling.
/// In 2010 the boot script looked only at the start of `persistent`, hence the alias `persistent,rw`.
pub const WORDS: &[Word] = &[
    word(
        Current,
        &["tmpfs,rw", ""],
        Volatile,
        Link,
        "changes live in RAM until reboot (default)",
    ),
    word(
        Current,
        &["link"],
        Volatile,
        Link,
        "changes live in RAM until reboot",
    ),
    word(
        Current,
        &["tmpfs", "tempfs"],
        Volatile,
        Bind,
        "changes live in RAM until reboot",
    ),
    word(
        Current,
        &["rw"],
        Volatile,
        Bind,
        "changes live in RAM until reboot",
    ),
    word(
        Current,
        &["persistent"],
        Persistent,
        Bind,
        "copied once to the persistent store and kept",
    ),
    word(
        Current,
        &["link,persistent"],
        Persistent,
        Link,
        "copied once to the persistent store and kept",
    ),
    word(
        Current,
        &["localdisk"],
        Local,
        Bind,
        "copied once to the local disk and kept",
    ),
    word(
        Current,
        &["ro"],
        Tree,
        Bind,
        "read-only from the trees, else from the image",
    ),
    word(
        Current,
        &["link,ro"],
        Tree,
        Link,
        "read-only from the trees, else from the image",
    ),
    word(
        Current,
        &["con"],
        Concat,
        Bind,
        "file joined from all trees in priority order",
    ),
    word(
        Current,
        &["link,con"],
        Concat,
        Link,
        "file joined from all trees in priority order",
    ),
    word(
        Seed2010,
        &["tmpfs,rw", ""],
        Volatile,
        Link,
        "changes live in RAM until reboot (default)",
    ),
    Word {
        caution: Some(IGNORED),
        ..word(
            Seed2010,
            &["tmpfs"],
            Volatile,
            Link,
            "documented, ignored by the boot script; as tmpfs,rw",
        )
    },
    word(
        Seed2010,
        &["bind"],
        Volatile,
        Bind,
        "changes live in RAM until reboot",
    ),
    word(
        Seed2010,
        &["persistent", "persistent,rw"],
        Persistent,
        Link,
        "copied once to the persistent store and kept",
    ),
    word(
        Seed2010,
        &["bind,persistent"],
        Persistent,
        Bind,
        "copied once to the persistent store and kept",
    ),
    word(
        Seed2010,
        &["ro"],
        Tree,
        Link,
        "read-only from the trees, else from the image",
    ),
    word(
        Seed2010,
        &["con"],
        Concat,
        Link,
        "file joined from all trees in priority order",
    ),
];

/// An option cell that no dialect, or only the other dialect, knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// unknown option "{word}" (allowed in the {dialect} dialect: {allowed})
    #[error("unknown option \"{word}\" (allowed in the {dialect} dialect: {})", allowed(*.dialect))]
    Unknown {
        /// The cell.
        word: String,
        /// The dialect in force.
        dialect: Dialect,
    },
    /// unknown option "{word}": a word of the {other} dialect (allowed in the {dialect} dialect: {allowed})
    #[error(
        "unknown option \"{word}\": a word of the {other} dialect (allowed in the {dialect} dialect: {})",
        allowed(*.dialect)
    )]
    OtherDialect {
        /// The cell.
        word: String,
        /// The dialect in force.
        dialect: Dialect,
        /// The dialect that knows the word.
        other: Dialect,
    },
}

/// The meaning of an option cell; a blank cell is the empty string.
///
/// # Errors
/// [`OptionError`] when the dialect has no such word; the message lists what it has.
pub fn parse(text: &str, dialect: Dialect) -> Result<&'static Word, OptionError> {
    let mut other = None;
    for entry in WORDS.iter().filter(|entry| entry.words.contains(&text)) {
        if entry.dialect == dialect {
            return Ok(entry);
        }
        other = Some(entry.dialect);
    }
    let word = text.to_owned();
    Err(match other {
        Some(other) => OptionError::OtherDialect {
            word,
            dialect,
            other,
        },
        None => OptionError::Unknown { word, dialect },
    })
}

/// The words of one dialect separated by spaces (words contain commas); the blank cell is written `blank`.
#[must_use]
pub fn allowed(dialect: Dialect) -> String {
    let words = WORDS
        .iter()
        .filter(|entry| entry.dialect == dialect)
        .flat_map(|entry| entry.words);
    let words: Vec<&str> = words
        .map(|word| if word.is_empty() { "blank" } else { word })
        .collect();
    words.join(" ")
}

/// A help text: one line per entry with words, placement, flavour and explanation.
#[must_use]
pub fn help(dialect: Dialect) -> String {
    let mut text = String::new();
    for entry in WORDS.iter().filter(|entry| entry.dialect == dialect) {
        let words: Vec<&str> = entry
            .words
            .iter()
            .map(|word| if word.is_empty() { "(blank)" } else { word })
            .collect();
        let Word {
            placement,
            flavour,
            help,
            ..
        } = entry;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<25} {placement:<13} {flavour:<4} {help}",
            words.join(" ")
        );
    }
    text
}

#[cfg(test)]
mod tests;
