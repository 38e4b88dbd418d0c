//! How one rule is taken back. Nothing that was in the image, or that somebody put there since, is removed.

use super::LiteError;
use super::look::{Look, split};
use super::plan::{Planner, STORE, VIA};
use super::state::{Record, Shape};

/// Takes back what the record says was done.
///
/// # Errors
/// As looking at the image.
pub(super) fn revert<L: Look + ?Sized>(
    planner: &mut Planner<'_, L>,
    record: &Record,
) -> Result<(), LiteError> {
    let Record { path, at, made, .. } = record;
    match record.shape {
        Shape::Nothing => {}
        Shape::InLink | Shape::InBind => {
            if *made && planner.world.remove_empty(at)? {
                planner.world.prune(split(at).0)?;
            }
        }
        Shape::Link => planner.back(path, at, *made, record.directory)?,
        Shape::Bind => {
            planner.world.discard(&format!("{STORE}/{path}"))?;
            if *made && planner.world.remove_empty(at)? {
                planner.world.prune(split(at).0)?;
            }
        }
    }
    Ok(())
}

impl<L: Look + ?Sized> Planner<'_, L> {
    /// Takes the two links away and brings the thing back from below `.default`.
    pub(super) fn back(
        &mut self,
        path: &str,
        at: &str,
        made: bool,
        directory: bool,
    ) -> Result<(), LiteError> {
        let store = format!("{STORE}/{path}");
        let seen = self.world.seen(at)?;
        let free = match &seen {
            Some(seen) if seen.ours() => {
                self.world
                    .unlink(at, seen.link.as_deref().unwrap_or_default())?;
                true
            }
            Some(_) => false,
            None => true,
        };
        if made && self.world.remove_empty(&store)? {
            // Nothing was there before.
        } else if self.world.seen(&store)?.is_none() {
            if free && !made {
                self.warnings
                    .push(format!("{store} is gone: an empty /{path} takes its place"));
                self.world.make(at, directory)?;
            }
        } else if free {
            self.world.rename(&store, at)?;
        } else {
            // Somebody put something in place of the link: that stays.
            self.put_away(&store, true)?;
        }
        let via = format!("{VIA}/{path}");
        if let Some(text) = self.world.seen(&via)?.and_then(|seen| seen.link) {
            self.world.unlink(&via, &text)?;
        }
        // A row above may have been made for this one: it must be found empty.
        self.world.prune(split(at).0)?;
        Ok(())
    }
}
