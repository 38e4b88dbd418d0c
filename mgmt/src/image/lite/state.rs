//! What liteimg remembers about an image, in `.statelite/`.
//!
//! `litefile.save` is xCAT's file: the rows of the last run, one per line. It does not say what was in the image
//! before, so that an exact undo needs more: `liteimg.state` has for each row where the link or copy is and whether
//! liteimg made what is there, and the directories it made. An image that xCAT's liteimg prepared has no such file;
//! then everything below `.default` counts as having been in the image.

use super::LiteError;
use super::edited::Edited;
use super::nesting::written;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use statelite_policy::{Dialect, Flavour, Rule};
use std::collections::BTreeSet;

/// Where the rows of the last run are.
pub const SAVE: &str = ".statelite/litefile.save";
/// Where the rest is.
pub const STATE: &str = ".statelite/liteimg.state";
/// Written into the state; a state of another version is refused.
const VERSION: u32 = 1;

/// How a row was realised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Two links; the thing itself is below `.default`.
    Link,
    /// The thing stays, with a copy below `.default`.
    Bind,
    /// Below a link row: something has the name inside `.default`.
    InLink,
    /// Below a bind row: something has the name, and is copied with the row above.
    InBind,
    /// Nothing done (`/etc/mtab` that leads to `/proc` already, a second name of a place done already).
    Nothing,
}

/// What was done for one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The path of the row, without leading and trailing slash.
    pub path: String,
    /// Whether the row has a trailing slash.
    pub directory: bool,
    /// How it was realised.
    pub shape: Shape,
    /// The place in the image: differs from `path` when a directory on the way is a link.
    pub at: String,
    /// Whether nothing was there, so that something empty was made.
    pub made: bool,
    /// What else the realisation depends on: the outermost row above; all rows, if a link was on the way.
    pub under: String,
}

impl Record {
    /// Whether no link was on the way to its place.
    #[must_use]
    pub fn direct(&self) -> bool {
        match self.shape {
            Shape::InLink => self.at == format!(".default/{}", self.path),
            _ => self.at == self.path,
        }
    }
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Version of the format.
    pub(super) version: u32,
    /// What was done for each row, by path.
    pub records: Vec<Record>,
    /// Directories that liteimg made.
    pub dirs: BTreeSet<String>,
    /// SHA-256 of the `litefile.save` this belongs to: another one was written by somebody else since.
    pub save: String,
    /// Files that were changed.
    #[serde(default)]
    pub edits: Vec<Edited>,
    /// The modification time `.statelite` had before the first run, if it was there.
    pub own_mtime: Option<(i64, i64)>,
}

impl State {
    /// The text of the file.
    #[must_use]
    pub fn text(&self) -> String {
        let state = Self {
            version: VERSION,
            ..self.clone()
        };
        let text = serde_json::to_string_pretty(&state).unwrap_or_default();
        text + "\n"
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`LiteError::State`] when it is not such a file.
    pub fn read(text: &str) -> Result<Self, LiteError> {
        let state: Self =
            serde_json::from_str(text).map_err(|error| LiteError::State(error.to_string()))?;
        if state.version != VERSION {
            let reason = format!("version {} is not {VERSION}", state.version);
            return Err(LiteError::State(reason));
        }
        Ok(state)
    }
}

/// A short name for a text.
pub(super) fn digest(text: &str) -> String {
    let sum = Sha256::digest(text.as_bytes());
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The text of `litefile.save`: `<image>: <option, 13 wide> <path>`, sorted by path.
///
/// In the current dialect `tmpfs,rw` is written `link`, as xCAT does.
#[must_use]
pub fn save_text(image: &str, rules: &[Rule], dialect: Dialect) -> String {
    let mut lines: Vec<(String, &str)> = rules
        .iter()
        .map(|rule| (written(rule), &*rule.option))
        .collect();
    lines.sort();
    let mut text = String::new();
    for (path, option) in lines {
        let option = match (dialect, option) {
            (Dialect::Current, "tmpfs,rw") => "link",
            (_, option) => option,
        };
        text.push_str(&format!("{image}: {option:<13} {path}\n"));
    }
    text
}

/// A row of a `litefile.save`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The path, without slashes around it.
    pub path: String,
    /// Whether it was written with a trailing slash.
    pub directory: bool,
    /// How link mode does it.
    pub flavour: Flavour,
}

/// Reads a `litefile.save`.
///
/// # Errors
/// [`LiteError::Save`] with the line.
pub fn read_save(text: &str, dialect: Dialect) -> Result<Vec<Saved>, LiteError> {
    let mut rows = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let bad = |reason: String| LiteError::Save {
            line: index + 1,
            reason,
        };
        let words: Vec<&str> = line.split_whitespace().collect();
        let (option, path) = match words.as_slice() {
            [] => continue,
            [_, option, path] => (*option, *path),
            [_, path] => ("", *path),
            _ => return Err(bad(format!("not \"image: option path\": {line}"))),
        };
        let row = statelite_policy::path::parse(path).map_err(|error| bad(error.to_string()))?;
        let word = statelite_policy::options::parse(option, dialect)
            .map_err(|error| bad(error.to_string()))?;
        rows.push(Saved {
            path: row.path.trim_start_matches('/').to_owned(),
            directory: row.directory,
            flavour: word.flavour,
        });
    }
    Ok(rows)
}
