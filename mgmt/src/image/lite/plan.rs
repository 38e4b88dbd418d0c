//! What has to be done to an image: from the rules, what the last run did, and what is there, to a list of steps.
//!
//! First everything is taken back that is to be done no more, or otherwise: the deepest paths first. Then the rules
//! are done, the highest places first. A rule that is done as it should be leads to no step, so that a second run
//! has nothing to do.

use super::LiteError;
use super::edit::Edit;
use super::edited::Edited;
use super::look::{Look, below, split};
use super::nesting::{self, RESERVED};
use super::previous::previous;
use super::revert::revert;
use super::state::{Record, SAVE, STATE, Shape, State, digest, save_text};
use super::step::Plan;
use super::world::World;
use statelite_policy::{Dialect, Flavour, Rule};
use std::collections::{BTreeMap, BTreeSet};

/// Where the links lead.
pub(super) const VIA: &str = ".statelite/tmpfs";
/// Where the things themselves are.
pub(super) const STORE: &str = ".default";
/// Where liteimg keeps its files.
pub(super) const OWN: &str = ".statelite";

/// The files of the last run, if there are any.
#[derive(Debug, Clone, Copy, Default)]
pub struct Last<'a> {
    /// `litefile.save`.
    pub save: Option<&'a str>,
    /// `liteimg.state`.
    pub state: Option<&'a str>,
}

/// What a rule comes to.
#[derive(Debug, Clone)]
pub(super) struct Want {
    pub path: String,
    pub directory: bool,
    pub flavour: Flavour,
    /// The outermost rule above, with its flavour.
    pub outer: Option<(String, Flavour)>,
    /// What a record of it depends on, see [`Record::under`].
    pub under: String,
}

impl Want {
    fn shape(&self) -> Shape {
        match (&self.outer, self.flavour) {
            (Some((_, Flavour::Link)), _) => Shape::InLink,
            (Some((_, Flavour::Bind)), _) => Shape::InBind,
            (None, Flavour::Link) => Shape::Link,
            (None, Flavour::Bind) => Shape::Bind,
        }
    }

    /// Whether a record of the last run is what this comes to.
    fn like(&self, record: &Record, all: &str) -> bool {
        if record.shape == Shape::Nothing {
            return true;
        }
        if self.path != record.path || self.directory != record.directory {
            return false;
        }
        let under = if record.direct() { &self.under } else { all };
        record.under == under && (self.shape() == record.shape || !record.direct())
    }
}

/// What the rules come to, by path.
pub(super) fn wanted<'a>(
    rules: impl Iterator<Item = (&'a str, bool, Flavour)> + Clone,
) -> Vec<Want> {
    let by_path: BTreeMap<&str, Flavour> = rules.clone().map(|(path, _, f)| (path, f)).collect();
    let mut wants: Vec<Want> = Vec::new();
    for (path, directory, flavour) in rules {
        let mut outer = None;
        let mut above = path;
        while let Some((dir, _)) = above.rsplit_once('/') {
            if let Some(flavour) = by_path.get(dir) {
                outer = Some((dir.to_owned(), *flavour));
            }
            above = dir;
        }
        let inner = |other: &str| below(other, path).is_some_and(|rest| !rest.is_empty());
        let under = match &outer {
            Some((path, flavour)) => format!("{flavour} {path}"),
            None => String::new(),
        };
        wants.push(Want {
            path: path.to_owned(),
            directory: directory || by_path.range(path..).skip(1).any(|(p, _)| inner(p)),
            flavour,
            outer,
            under,
        });
    }
    wants.sort_by(|a, b| a.path.cmp(&b.path));
    wants
}

/// Plans. Without rules everything is taken back.
///
/// # Errors
/// [`LiteError`]: rows that cannot be used, files of the last run that cannot be read, things in the way.
pub fn plan(
    image: &str,
    rules: &[Rule],
    edits: &[Edit],
    dialect: Dialect,
    look: &(impl Look + ?Sized),
    last: Last<'_>,
) -> Result<Plan, LiteError> {
    let problems = nesting::check(rules);
    if problems.iter().any(nesting::Problem::refuses) {
        return Err(LiteError::Refused(problems));
    }
    let old = previous(look, last, dialect)?;
    let new = wanted(rules.iter().map(|rule| {
        let path = rule.path.trim_start_matches('/');
        (path, rule.directory, rule.flavour)
    }));
    let text = (!rules.is_empty()).then(|| save_text(image, rules, dialect));
    let mut planner = Planner {
        world: World::new(look, old.dirs.clone()),
        warnings: problems.iter().map(ToString::to_string).collect(),
        all: digest(&format!("{new:?}")),
        given: BTreeSet::new(),
        again: false,
    };
    // Without rules everything is given back.
    let edits = if rules.is_empty() { &[] } else { edits };
    let rows = planner.rows_change(&old, &new);
    planner.edits_back(&old, edits, rows)?;
    planner.world.barrier();
    planner.take_back(&old, &new)?;
    planner.world.barrier();
    let (records, edits) = planner.realise_all(&old, &new, edits)?;
    let changed = !planner.world.steps.is_empty()
        || text.as_deref() != last.save
        || records != old.records
        || edits != old.edits
        || last.state.is_none() && !rules.is_empty();
    let mut plan = Plan::default();
    if changed {
        if text.is_none() {
            plan.own_mtime = old.own_mtime;
        }
        plan.leave = planner.files(text, (records, edits), &old)?;
        planner.world.barrier();
        planner.world.steps.extend(planner.world.times());
    }
    plan.steps = planner.world.steps;
    plan.warnings = planner.warnings;
    plan.again = planner.again;
    Ok(plan)
}

/// A plan in the making.
#[derive(Debug)]
pub(super) struct Planner<'a, L: ?Sized> {
    pub world: World<'a, L>,
    pub warnings: Vec<String>,
    /// Stands for all rules together.
    pub all: String,
    /// Files that this plan gives back as the image had them.
    pub given: BTreeSet<String>,
    /// Whether an edit has to wait for another plan.
    pub again: bool,
}

impl<L: Look + ?Sized> Planner<'_, L> {
    /// Whether other rows are to be done than the last run did.
    fn rows_change(&self, old: &State, new: &[Want]) -> bool {
        let known = |want: &Want| {
            let mut same = old.records.iter().filter(|record| record.path == want.path);
            same.any(|record| want.like(record, &self.all))
        };
        old.records.len() != new.len() || !new.iter().all(known)
    }

    /// Takes back what is to be done no more, or otherwise: what is inside of other rows first.
    fn take_back(&mut self, old: &State, new: &[Want]) -> Result<(), LiteError> {
        let all = self.all.clone();
        let stays = |record: &Record| {
            let want = new.iter().find(|want| want.path == record.path);
            want.is_some_and(|want| want.like(record, &all))
        };
        let mut back: Vec<&Record> = old.records.iter().filter(|r| !stays(r)).collect();
        back.sort_by_key(|record| {
            let outer = matches!(record.shape, Shape::Link | Shape::Bind);
            let depth = record.at.matches('/').count();
            (outer, std::cmp::Reverse((depth, record.at.clone())))
        });
        for record in back {
            revert(self, record)?;
        }
        self.sweep(
            &passages(&old.records),
            old.records.iter().filter(|r| stays(r)),
        )
    }

    /// Does every rule and every edit, and the copies of bind rules after everything else.
    fn realise_all(
        &mut self,
        old: &State,
        new: &[Want],
        edits: &[Edit],
    ) -> Result<(Vec<Record>, Vec<Edited>), LiteError> {
        if !new.is_empty() {
            self.world.mkdirs(VIA)?;
        }
        let mut wants = Vec::new();
        for want in new {
            wants.push((self.world.place(&want.path)?, want));
        }
        overlap(&wants)?;
        // Of two rows that mean one place, the one that names it without a link on the way is done.
        wants.sort_by_key(|(place, want)| (place.clone(), *place != want.path));
        let mut records: Vec<(Record, bool)> = Vec::new();
        let mut taken: BTreeMap<String, String> = BTreeMap::new();
        for (place, want) in wants {
            if let Some(other) = taken.get(&place) {
                records.push((self.second(want, place, other.clone()), false));
                continue;
            }
            taken.insert(place, want.path.clone());
            let before = old.records.iter().find(|r| r.path == want.path);
            let before = before.filter(|record| want.like(record, &self.all));
            let record = self.realise(want, before)?;
            records.push((record, before.is_some()));
        }
        let done = records.iter().map(|(record, _)| record);
        self.sweep(&BTreeSet::new(), done)?;
        self.world.barrier();
        let edits = self.edits(old, edits)?;
        for (record, known) in &records {
            if record.shape == Shape::Bind {
                self.store_copy(record, *known)?;
            }
        }
        let mut records: Vec<Record> = records.into_iter().map(|(record, _)| record).collect();
        records.sort_by(|a, b| a.path.cmp(&b.path));
        Ok((records, edits))
    }

    /// A row that means the place of another one.
    fn second(&mut self, want: &Want, at: String, other: String) -> Record {
        self.warnings.push(format!(
            "/{} is /{other} by another name: only that row is done in the image",
            want.path
        ));
        Record {
            path: want.path.clone(),
            directory: want.directory,
            shape: Shape::Nothing,
            at,
            made: false,
            under: self.all.clone(),
        }
    }

    fn realise(&mut self, want: &Want, before: Option<&Record>) -> Result<Record, LiteError> {
        let at = self.world.place(&want.path)?;
        let inside = below(&at, STORE).is_some();
        let top = at.split('/').next().unwrap_or_default();
        if RESERVED.contains(&top) && !inside {
            return Err(LiteError::Reserved {
                path: want.path.clone(),
                at,
            });
        }
        let mut record = Record {
            path: want.path.clone(),
            directory: want.directory,
            shape: if inside { Shape::InLink } else { want.shape() },
            at,
            made: before.is_some_and(|record| record.made),
            under: want.under.clone(),
        };
        match record.shape {
            _ if self.proc_mtab(&record)? => record.shape = Shape::Nothing,
            Shape::Link => self.link(&mut record)?,
            Shape::Bind => self.bind(&mut record)?,
            _ => self.inside(&mut record)?,
        }
        if !record.direct() {
            record.under.clone_from(&self.all);
        }
        Ok(record)
    }

    /// Removes directories that liteimg made and that nobody needs any more, and those of `more`.
    fn sweep<'r>(
        &mut self,
        more: &BTreeSet<String>,
        records: impl Iterator<Item = &'r Record>,
    ) -> Result<(), LiteError> {
        let mut needed = BTreeSet::from([OWN.to_owned()]);
        for record in records {
            needed.insert(VIA.to_owned());
            needed.insert(record.at.clone());
            needed.insert(format!("{STORE}/{}", record.path));
        }
        self.world.sweep(more, &needed)
    }

    /// The files of liteimg's own, and the directories nobody needs any more. Says whether `.statelite` goes too.
    fn files(
        &mut self,
        text: Option<String>,
        (records, edits): (Vec<Record>, Vec<Edited>),
        old: &State,
    ) -> Result<bool, LiteError> {
        self.sweep(&BTreeSet::new(), records.iter())?;
        if let Some(text) = text {
            let own_mtime = match self.world.dirs.contains(OWN) {
                true => None,
                false => old.own_mtime.or(self.world.mtime(OWN)?),
            };
            let dirs = self.world.dirs.clone();
            let state = State::new(records, dirs, &text, own_mtime);
            let state = State { edits, ..state };
            self.world.keep(SAVE, Some(text))?;
            self.world.keep(STATE, Some(state.text()))?;
            return Ok(false);
        }
        self.world.keep(SAVE, None)?;
        self.world.keep(STATE, None)?;
        Ok(self.world.dirs.contains(OWN) && self.world.is_empty(OWN)?)
    }
}

/// The directories above what the records have below `.default` and `.statelite/tmpfs`. xCAT's liteimg, which leaves
/// no note of it, must have made them too.
fn passages(records: &[Record]) -> BTreeSet<String> {
    let mut dirs = BTreeSet::new();
    let outer = |record: &&Record| matches!(record.shape, Shape::Link | Shape::Bind);
    for record in records.iter().filter(outer) {
        for top in [STORE, VIA] {
            let mut dir = split(&record.path).0;
            while !dir.is_empty() {
                dirs.insert(format!("{top}/{dir}"));
                dir = split(dir).0;
            }
            dirs.insert(top.to_owned());
        }
    }
    dirs
}

/// Refuses a row that leads through a link of the image to a place at which another row is done, above or below it:
/// what the one does would change what the other means.
fn overlap(wants: &[(String, &Want)]) -> Result<(), LiteError> {
    // Below a link row that is done already, a place is inside of `.default`.
    let plain = |place: &str| {
        let inside = below(place, STORE).filter(|rest| !rest.is_empty());
        inside.unwrap_or(place).to_owned()
    };
    let under = |one: &str, other: &str| below(one, other).is_some_and(|rest| !rest.is_empty());
    let places: Vec<(String, &Want)> = wants.iter().map(|(p, want)| (plain(p), *want)).collect();
    for (place, want) in places.iter().filter(|(place, want)| *place != want.path) {
        for (other_place, other) in &places {
            let meets = under(place, other_place)
                || under(other_place, place)
                || under(place, &other.path)
                || under(&want.path, &other.path);
            if meets {
                return Err(LiteError::Overlap {
                    path: want.path.clone(),
                    place: place.clone(),
                    other: other.path.clone(),
                });
            }
        }
    }
    Ok(())
}
