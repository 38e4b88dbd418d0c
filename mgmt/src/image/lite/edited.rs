//! How files are changed so that undo gives them back: the file of the image is kept below `.statelite/originals`, another
//! one takes its place. One that somebody has changed since is left to them.

use super::LiteError;
use super::edit::{Change, Content, Edit};
use super::look::{Kind, Look, below, split};
use super::plan::{OWN, Planner};
use super::state::State;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Links followed from a path to its file.
const MAX_LINKS: usize = 40;

/// What was done to one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edited {
    /// The path in the image.
    pub path: String,
    /// SHA-256 of what liteimg put there.
    pub content: String,
    /// Whether the image had a file there.
    pub original: bool,
}

fn digest(bytes: &[u8]) -> String {
    let sum = Sha256::digest(bytes);
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the image's own file is kept.
fn kept(path: &str) -> String {
    format!("{OWN}/originals/{path}")
}

impl<L: Look + ?Sized> Planner<'_, L> {
    /// Gives files back that are to be changed no more, or, when `rows` change, all: what is done for a row depends on what
    /// the image has there, not on what was put in. Links are as the last run left them.
    pub(super) fn edits_back(
        &mut self,
        old: &State,
        wants: &[Edit],
        rows: bool,
    ) -> Result<(), LiteError> {
        for edited in &old.edits {
            let wanted = wants.iter().any(|want| want.path == edited.path);
            if wanted && !rows {
                continue;
            }
            let at = self.real(&edited.path)?;
            let current = self.world.content(&at)?;
            if current.is_some_and(|bytes| digest(&bytes) == edited.content) {
                self.give_back(edited, &at)?;
                self.given.insert(edited.path.clone());
            } else if !wanted {
                self.warnings.push(format!(
                    "/{} was changed after liteimg had changed it: it stays as it is",
                    edited.path
                ));
                if edited.original {
                    self.put_away(&kept(&edited.path), false)?;
                }
            }
        }
        Ok(())
    }

    fn give_back(&mut self, edited: &Edited, at: &str) -> Result<(), LiteError> {
        self.world.withdraw(at)?;
        match edited.original {
            true => self.world.rename(&kept(&edited.path), at),
            false => self.world.prune(split(at).0),
        }
    }

    /// Changes the files; links are as this run leaves them.
    pub(super) fn edits(&mut self, old: &State, wants: &[Edit]) -> Result<Vec<Edited>, LiteError> {
        let mut done = Vec::new();
        let mut taken: BTreeMap<String, &str> = BTreeMap::new();
        for want in wants {
            let known = old.edits.iter().find(|edited| edited.path == want.path);
            let known = known.filter(|known| !self.given.contains(&known.path));
            let at = self.real(&want.path)?;
            if let Some(other) = taken.get(&at) {
                self.warnings.push(format!(
                    "/{} is /{other} by another name: only that file is put in",
                    want.path
                ));
                done.extend(known.cloned());
                continue;
            }
            done.extend(self.edit(want, &at, known)?);
            taken.insert(at, &want.path);
        }
        done.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(done)
    }

    fn edit(
        &mut self,
        want: &Edit,
        at: &str,
        known: Option<&Edited>,
    ) -> Result<Option<Edited>, LiteError> {
        let path = &want.path;
        let seen = self.world.seen(at)?;
        let file = seen.as_ref().is_none_or(|seen| seen.kind == Kind::File);
        if !file || below(at, OWN).is_some() {
            self.warnings
                .push(format!("/{path} is no file in the image: it is left alone"));
            return Ok(known.cloned());
        }
        if seen.as_ref().is_some_and(|seen| seen.ino.is_none()) {
            // This plan makes it, empty, for a row. It must be there to be kept and given back.
            self.again = true;
            return Ok(known.cloned());
        }
        let current = self.world.content(at)?;
        let ours = known.filter(|known| {
            let current = current.as_deref();
            current.is_some_and(|bytes| digest(bytes) == known.content)
        });
        let before = match ours {
            Some(known) if known.original => self.world.content(&kept(path))?,
            Some(_) => None,
            None => current.clone(),
        };
        let after = want.change.apply(before.as_deref());
        let Some(bytes) = after else {
            return match ours {
                Some(known) => {
                    self.give_back(known, at)?;
                    Ok(None)
                }
                None => Ok(known.cloned()),
            };
        };
        let content = digest(&bytes);
        if ours.is_some_and(|known| known.content == content) {
            return Ok(ours.cloned());
        }
        let owner = seen.as_ref().map_or((0o644, 0, 0), |seen| seen.owner);
        let mut original = current.is_some();
        match (ours, known) {
            (Some(known), _) => {
                self.world.withdraw(at)?;
                original = known.original;
            }
            (None, known) => {
                if known.is_some_and(|known| known.original) {
                    self.put_away(&kept(path), false)?;
                }
                if original {
                    self.world.rename(at, &kept(path))?;
                }
            }
        }
        let file = match &want.change {
            Change::File(file) => file.clone(),
            _ => Content {
                bytes,
                mode: owner.0,
                uid: owner.1,
                gid: owner.2,
                mtime: None,
            },
        };
        let like = original.then(|| kept(path));
        self.world.put_content(at, file, like)?;
        Ok(Some(Edited {
            path: path.clone(),
            content,
            original,
        }))
    }

    /// The place of the file that a path leads to, over our own links too.
    fn real(&self, path: &str) -> Result<String, LiteError> {
        let mut at = self.world.place(path)?;
        for _ in 0..MAX_LINKS {
            let Some(link) = self.world.seen(&at)?.and_then(|seen| seen.link) else {
                return Ok(at);
            };
            let next = match link.strip_prefix('/') {
                Some(absolute) => absolute.to_owned(),
                None => format!("{}/{link}", split(&at).0),
            };
            at = self.world.place(&next)?;
        }
        Err(LiteError::Loop(path.to_owned()))
    }
}
