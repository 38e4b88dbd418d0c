//! xCAT's node ranges (facts §9): text that names nodes.
//!
//! | form | what it names |
//! |---|---|
//! | `a,b` | both; `a,-b` leaves b out, wherever it stands |
//! | `a@b` | what both name; binds tighter than the comma |
//! | `(a,b)@c` | parentheses, any nesting up to [`MAX_DEPTH`] |
//! | `n1`, `rack1` | a node, else the members of a group, dynamic ones too |
//! | `12` | the node `node12` |
//! | `n1-n9`, `n1:n9`, `n[1-3,5]r[1-2]`, `n10+3` | names that count up; leading zeros are kept |
//! | `/n\d+` | nodes whose whole name matches |
//! | `^file` | the ranges in a file, one per line |
//! | `nodetype.os==rhels6.2`, `!=`, `=~`, `!~` | nodes by a value |
//!
//! The text goes through a `lexer` and a `parser` to a tree ([`ast`]); `eval` walks it. A word is first looked
//! up as a node and as a group, only then taken apart (`names`), so a node may be called `n1-n9`. Groups are the
//! dynamic ones of the nodegroup table first, then those of `nodelist.groups` with what the nodegroup table adds ([`group`]).
//!
//! Everything is bounded: the length of the text, the depth, and the number of names before any of them is made.

pub mod ast;
pub mod criterion;
mod eval;
pub mod group;
mod lexer;
mod names;
mod parser;
#[cfg(test)]
mod tests;

use crate::tables::Site;
pub use parser::parse;
use std::fmt;

/// The longest text of a range, in bytes: every node of a large site by name.
pub const MAX_TEXT: usize = 1024 * 1024;
/// The most names a range may give rise to: more than the largest sites have nodes.
pub const MAX_NAMES: usize = 100_000;
/// The most nodes looked at for one range, however often: twenty times all nodes of the largest sites.
pub const MAX_WORK: usize = 2_000_000;
/// How deep parentheses may be nested.
pub const MAX_DEPTH: usize = 32;

/// Why a range is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// the range is empty
    #[error("the range is empty")]
    Empty,
    /// Invalid nodes and/or groups in noderange: {0}
    #[error("Invalid nodes and/or groups in noderange: {0}")]
    Unknown(Names),
    /// "{0}" is a group: expected names of nodes
    #[error("\"{0}\" is a group: expected names of nodes")]
    IsGroup(String),
    /// noderange, at "{near}": {reason}
    #[error("noderange, at \"{near}\": {reason}")]
    Syntax {
        /// The text from where it goes wrong.
        near: String,
        /// What is wrong.
        reason: String,
    },
    /// noderange: more than {MAX_TEXT} bytes
    #[error("noderange: more than {MAX_TEXT} bytes")]
    TooLong,
    /// noderange: parentheses nested more than {MAX_DEPTH} deep
    #[error("noderange: parentheses nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// noderange: "{0}" gives more than {MAX_NAMES} names
    #[error("noderange: \"{0}\" gives more than {MAX_NAMES} names")]
    TooMany(String),
    /// noderange: names too many nodes too often (more than {MAX_WORK} in all)
    #[error("noderange: names too many nodes too often (more than {MAX_WORK} in all)")]
    TooMuch,
    /// noderange: "{0}" counts backwards
    #[error("noderange: \"{0}\" counts backwards")]
    Backwards(String),
    /// noderange: "{0}" is no regular expression: {1}
    #[error("noderange: \"{0}\" is no regular expression: {1}")]
    Regex(String, String),
    /// noderange: {0}
    #[error("noderange: {0}")]
    Criterion(#[from] criterion::CriterionError),
    /// noderange: nodegroup: group "{name}": {reason}
    #[error("noderange: nodegroup: group \"{name}\": {reason}")]
    Group {
        /// The group.
        name: String,
        /// What is wrong with it.
        reason: group::GroupError,
    },
    /// noderange: {path}: {reason}
    #[error("noderange: {path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// Why it cannot be read.
        reason: String,
    },
    /// site.excludenodes: {0}
    #[error("site.excludenodes: {0}")]
    Excluded(Box<RangeError>),
}

/// Names for a message: the first few, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// As many as fit into a few lines of a terminal.
        const SHOWN: usize = 20;
        let shown: Vec<&str> = self.0.iter().take(SHOWN).map(String::as_str).collect();
        f.write_str(&shown.join(","))?;
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// Reads a file named by `^file`.
pub type ReadFile<'a> = &'a dyn Fn(&str) -> std::io::Result<String>;

/// How a range is read.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Whether every name must be that of a node. Without it names that are not known are taken as they are, as for
    /// nodes that are about to be added.
    pub verify: bool,
    /// Whether a group may stand for its nodes. Without it that is refused, but for what is excluded: nodes that are about to
    /// be added are named.
    pub groups: bool,
    /// Whether the nodes of `site.excludenodes` are left out.
    pub exclude: bool,
    /// Reads files; without it `^file` is refused, as it must be in what comes over the wire.
    pub files: Option<ReadFile<'a>>,
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("verify", &self.verify)
            .field("groups", &self.groups)
            .field("exclude", &self.exclude)
            .field("files", &self.files.is_some())
            .finish()
    }
}

impl Default for Options<'_> {
    /// Verified, less the excluded nodes, without files.
    fn default() -> Self {
        Self {
            verify: true,
            groups: true,
            exclude: true,
            files: None,
        }
    }
}

/// The nodes of a range, sorted; no file is read.
///
/// # Errors
/// [`RangeError`] when it is not a range, or names what is not there.
pub fn expand(site: &Site, range: &str) -> Result<Vec<String>, RangeError> {
    expand_with(site, range, Options::default())
}

/// The nodes of a range given on this machine's command line: `^file` reads files.
///
/// # Errors
/// As [`expand`], and when a file cannot be read.
pub fn expand_local(site: &Site, range: &str) -> Result<Vec<String>, RangeError> {
    let options = Options {
        files: Some(&read_file),
        ..Options::default()
    };
    expand_with(site, range, options)
}

/// The nodes of a range, sorted.
///
/// # Errors
/// As [`expand`].
pub fn expand_with(
    site: &Site,
    range: &str,
    options: Options<'_>,
) -> Result<Vec<String>, RangeError> {
    let tree = parse(range)?;
    let index = eval::Index::new(site);
    let mut found = eval::Evaluator::new(&index, options).run(&tree)?;
    if let Some(excluded) = site.setting("excludenodes").filter(|_| options.exclude) {
        let wrap = |error| RangeError::Excluded(Box::new(error));
        let tree = parse(excluded).map_err(wrap)?;
        // A name that is no node excludes nothing, and is no reason to refuse every command.
        let lenient = Options {
            verify: false,
            groups: true,
            ..options
        };
        let excluded = eval::Evaluator::new(&index, lenient).run(&tree);
        for name in excluded.map_err(wrap)? {
            found.remove(&name);
        }
    }
    Ok(found.into_iter().map(String::from).collect())
}

/// Reads a file of ranges, up to the length of a range.
///
/// # Errors
/// As opening and reading; when it is too long or not UTF-8.
pub fn read_file(path: &str) -> std::io::Result<String> {
    use std::io::{Error, ErrorKind, Read as _};
    let mut text = String::new();
    let limit = u64::try_from(MAX_TEXT).unwrap_or(u64::MAX);
    let read = std::fs::File::open(path)?
        .take(limit + 1)
        .read_to_string(&mut text)?;
    if read > MAX_TEXT {
        let reason = format!("more than {MAX_TEXT} bytes");
        return Err(Error::new(ErrorKind::InvalidData, reason));
    }
    Ok(text)
}
