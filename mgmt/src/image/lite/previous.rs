//! What the last run did: from our own record of it, or, for an image that xCAT's liteimg prepared, from its rows.

use super::LiteError;
use super::look::Look;
use super::plan::{Last, OWN, STORE, Want, wanted};
use super::state::{Record, Saved, Shape, State, digest, read_save};
use super::world::World;
use statelite_policy::{Dialect, Flavour};
use std::collections::BTreeSet;

/// What the last run did.
///
/// # Errors
/// When a file of the last run cannot be read.
pub(super) fn previous(
    look: &(impl Look + ?Sized),
    last: Last<'_>,
    dialect: Dialect,
) -> Result<State, LiteError> {
    let state = last.state.map(State::read).transpose()?;
    match (state, last.save) {
        (Some(state), Some(save)) if state.save == digest(save) => Ok(state),
        (state, None) => Ok(state.unwrap_or_default()),
        (state, Some(save)) => {
            let rows = read_save(save, dialect)?;
            adopt(look, &rows, state.unwrap_or_default())
        }
    }
}

/// What xCAT's liteimg did for these rows. What our own state still knows about a row is kept.
fn adopt(look: &(impl Look + ?Sized), rows: &[Saved], state: State) -> Result<State, LiteError> {
    let world = World::new(look, BTreeSet::new());
    let mut records = Vec::new();
    for want in wanted(
        rows.iter()
            .map(|row| (&*row.path, row.directory, row.flavour)),
    ) {
        let Want { path, outer, .. } = want;
        let shape = match (&outer, want.flavour) {
            (Some((_, Flavour::Link)), _) => Shape::InLink,
            (Some((_, Flavour::Bind)), _) => Shape::InBind,
            (None, Flavour::Link) => Shape::Link,
            (None, Flavour::Bind) => Shape::Bind,
        };
        let at = match shape {
            Shape::InLink => format!("{STORE}/{path}"),
            _ => world.place(&path).unwrap_or_else(|_| path.clone()),
        };
        let known = state.records.iter().find(|r| r.path == path);
        let known = known.filter(|record| record.shape == shape && record.at == at);
        let seen = world.seen(&at)?;
        let untouched = shape == Shape::Link && !seen.is_some_and(|seen| seen.ours());
        records.push(Record {
            path,
            directory: want.directory,
            // A row that was not done, as `/etc/mtab` that leads to /proc: nothing to take back.
            shape: if untouched { Shape::Nothing } else { shape },
            at,
            made: known.is_some_and(|record| record.made),
            under: want.under,
        });
    }
    let mut own_mtime = state.own_mtime;
    if own_mtime.is_none() && !state.dirs.contains(OWN) {
        own_mtime = world.mtime(OWN)?;
    }
    let edits = state.edits;
    let adopted = State::new(records, state.dirs, "", own_mtime);
    Ok(State { edits, ..adopted })
}

impl State {
    /// A state of now.
    #[must_use]
    pub fn new(
        records: Vec<Record>,
        dirs: BTreeSet<String>,
        save: &str,
        own_mtime: Option<(i64, i64)>,
    ) -> Self {
        Self {
            records,
            dirs,
            save: digest(save),
            own_mtime,
            ..Self::default()
        }
    }
}
