//! Another policy for a running mount.
//!
//! A reload builds the new view beside the old one and looks what becomes of the node's own files ([`plan`]). New persistent
//! and local paths are given their first content, what has to move to another store is copied there ([`copy`]) while the node
//! goes on. Then, where something moves, all operations are held ([`freeze`]), what has changed meanwhile is copied again, the
//! copies get their places ([`place`]), and the views are swapped. What is below the changed paths is looked up anew
//! ([`follow`]): nodes that still mean the same are kept, the others live on for whoever has them open, and the kernel is
//! told to forget the names ([`invalidate`]).
//!
//! | when it fails | what is left |
//! |---|---|
//! | the new policy lacks a store, something is in the way | nothing |
//! | copying (no room, a server gives an error) | nothing; half a copy is removed |
//! | operations under way do not end within ten seconds | the same |
//! | putting the second of several copies in its place | the first in its store, where no rule shows it |

mod copy;
mod follow;
pub(super) mod freeze;
pub mod invalidate;
mod place;
pub mod plan;

use super::Overlay;
use super::region::Region;
use super::view::{Layers, View, ViewError};
use copy::Carried;
pub use invalidate::{Dropped, Invalidate};
use plan::{Fate, Plan, Planned};
use rustix::io::Errno;
use statelite_policy::{Placement, PolicyTree};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Why a reload was refused. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The policy needs a layer that is not there.
    #[error(transparent)]
    View(#[from] ViewError),
    /// What the node has cannot be carried over.
    #[error("{path}: {from} -> {to}: the node's files cannot be carried over: {reason}")]
    Carry {
        /// The path whose rule changes.
        path: String,
        /// Where its files are.
        from: Placement,
        /// Where they would have to be.
        to: Placement,
        /// What is in the way.
        reason: String,
    },
    /// A request is under way that does not end.
    #[error(
        "a request to the file system has been waiting for 10 seconds, perhaps for a server: try again"
    )]
    Busy,
    /// First content could not be copied.
    #[error("{path}: cannot seed the {placement} store: {errno}")]
    Seed {
        /// The path to be seeded.
        path: String,
        /// The store.
        placement: Placement,
        /// What went wrong.
        errno: Errno,
    },
}

/// What a reload did.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct ReloadReport {
    /// Number of the view now in force.
    pub generation: u64,
    /// Paths whose placement or sources changed.
    pub changed: Vec<String>,
    /// Paths whose files have moved to another store.
    #[serde(default)]
    pub carried: Vec<CarriedPath>,
    /// Volatile changes that are kept but no longer shown.
    pub parked: Vec<String>,
    /// Names and inodes the kernel was told to forget.
    pub invalidated: usize,
}

/// A path whose files have moved to another store.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct CarriedPath {
    /// The path.
    pub path: String,
    /// Where an earlier copy is now, in the store's work directory.
    pub replaced: Option<String>,
    /// Files that were open for writing all the time. Who has one open goes on writing to the old file.
    pub open: usize,
}

/// How a reload is to be done.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// The kernel also forgets what has not changed: a new generation of published layers.
    pub everything: bool,
    /// Volatile changes that no rule shows any more are dropped.
    pub discard: bool,
}

/// Where an earlier copy has been put, and how many files were open for writing.
type Placed = (Option<String>, usize);

/// The inner error is what is to be done instead: the node has changed something meanwhile, and all is as it was.
type Attempt<T> = std::result::Result<std::result::Result<T, Plan>, ReloadError>;

/// How often a plan is made anew because the node has changed something meanwhile.
const TRIES: usize = 8;

/// A changed path.
#[derive(Debug)]
struct Changed {
    path: Vec<u8>,
    from: Arc<Region>,
    to: Arc<Region>,
}

impl Overlay {
    /// What [`Overlay::reload`] would do.
    ///
    /// # Errors
    /// [`ReloadError`], as far as it can be seen before.
    pub fn plan(
        &self,
        policy: PolicyTree,
        layers: Layers,
    ) -> std::result::Result<Plan, ReloadError> {
        let old = self.view();
        let new = View::new(old.generation + 1, policy, layers, Some(&old))?;
        let changed = changes(&old, &new);
        let plan = self.planned(&changed, &old, &new);
        check(&changed, &plan, &new)?;
        Ok(plan)
    }

    /// Puts `policy` over `layers` in force.
    ///
    /// # Errors
    /// See [`ReloadError`].
    pub fn reload(
        &self,
        policy: PolicyTree,
        layers: Layers,
        how: How,
        kernel: &dyn Invalidate,
    ) -> std::result::Result<ReloadReport, ReloadError> {
        let old = self.view();
        let new = Arc::new(View::new(old.generation + 1, policy, layers, Some(&old))?);
        let changed = changes(&old, &new);
        let mut plan = self.planned(&changed, &old, &new);
        let moved = 'again: {
            for _ in 0..TRIES {
                check(&changed, &plan, &new)?;
                self.seed_all(&changed, &plan)?;
                match self.carry(&changed, &plan, &old, &new)? {
                    Ok(moved) => break 'again moved,
                    Err(now) => plan = now,
                }
            }
            return Err(ReloadError::Busy);
        };
        let mut report = ReloadReport {
            generation: new.generation,
            changed: changed.iter().map(|change| text(&change.path)).collect(),
            carried: moved,
            ..ReloadReport::default()
        };
        if !how.discard {
            let parked = plan.changes.iter().filter(|c| c.fate == Fate::Parked);
            report.parked = parked.map(|c| c.path.clone()).collect();
        }
        wait_for_users(&old);
        self.fds.clear();
        self.kept.clear();
        self.listings.lock().clear();
        report.invalidated = self.invalidate(&changed, how.everything, kernel);
        for (change, _) in carried(&changed, &plan) {
            if let Some(store) = change
                .from
                .store
                .as_ref()
                .filter(|_| change.from.copies_up())
            {
                self.drop_hidden(store, &change.path, &new);
            }
        }
        if how.discard
            && let Some(store) = &new.layers.volatile
        {
            self.drop_hidden(store, b"", &new);
        }
        Ok(report)
    }

    /// Gives new opaque regions their first content.
    fn seed_all(&self, changed: &[Changed], plan: &Plan) -> std::result::Result<(), ReloadError> {
        for change in changed.iter().filter(|change| change.to.is_opaque()) {
            let is_carried = |(other, _): (&Changed, &Planned)| {
                is_root(other) && Arc::ptr_eq(&other.to, &change.to)
            };
            if carried(changed, plan).any(is_carried) {
                continue;
            }
            self.seed(&change.to).map_err(|errno| ReloadError::Seed {
                path: text(&change.path),
                placement: change.to.placement,
                errno,
            })?;
        }
        Ok(())
    }

    /// Moves to their new stores the files of those changes that ask for it, and swaps the views.
    fn carry(
        &self,
        changed: &[Changed],
        plan: &Plan,
        old: &Arc<View>,
        new: &Arc<View>,
    ) -> Attempt<Vec<CarriedPath>> {
        let mut copies: Vec<Carried<'_>> = carried(changed, plan)
            .filter_map(|(change, _)| {
                let store = change.to.store.as_ref()?;
                let regions = (&change.from, &change.to);
                Some(Carried::new(self, (old, new), &change.path, regions, store))
            })
            .collect();
        let moved = self.carry_all(&mut copies, changed, plan, old, new);
        for copy in &copies {
            copy.store.discard(&copy.aside);
        }
        Ok(moved?.map(|places| {
            let moved = carried(changed, plan).zip(places);
            let told = moved.filter(|((_, planned), _)| planned.fate == Fate::Carried);
            told.map(|((_, planned), (replaced, open))| CarriedPath {
                path: planned.path.clone(),
                replaced,
                open,
            })
            .collect()
        }))
    }

    fn carry_all(
        &self,
        copies: &mut [Carried<'_>],
        changed: &[Changed],
        plan: &Plan,
        old: &Arc<View>,
        new: &Arc<View>,
    ) -> Attempt<Vec<Placed>> {
        for copy in copies.iter_mut() {
            let copied = copy.run(false).and_then(|()| copy.store.sync());
            copied.map_err(|errno| copy.error(errno))?;
        }
        let frozen = match copies.is_empty() {
            true => None,
            false => Some(self.freeze_quiet(changed, plan, old)?),
        };
        let now = self.planned(changed, old, new);
        let unforeseen = |(before, now): (&Planned, &Planned)| {
            now.fate == Fate::Carried && !matches!(before.fate, Fate::Carried | Fate::Seeded)
        };
        if plan.changes.iter().zip(&now.changes).any(unforeseen) {
            return Ok(Err(now));
        }
        for copy in copies.iter_mut() {
            copy.run(true).map_err(|errno| copy.error(errno))?;
        }
        let mut places = Vec::new();
        for copy in copies.iter() {
            places.push(
                self.place_carried(copy)
                    .map_err(|errno| copy.error(errno))?,
            );
        }
        let open = carried(changed, plan).map(|(change, _)| self.written_in(change));
        let open: Vec<usize> = open.collect();
        *self.view.write() = Arc::clone(new);
        drop(frozen);
        for copy in copies.iter() {
            // Only after this is the old place given up.
            if let Err(e) = copy.store.sync() {
                tracing::warn!("{}: {e}", text(copy.path));
            }
        }
        Ok(Ok(places.into_iter().zip(open).collect()))
    }

    /// Holds all operations at a moment at which nobody has a file open for writing that is carried over, if there is one
    /// before long: what is written to an open file after that is not in its copy.
    fn freeze_quiet(
        &self,
        changed: &[Changed],
        plan: &Plan,
        old: &Arc<View>,
    ) -> std::result::Result<freeze::Frozen<'_>, ReloadError> {
        let deadline = Instant::now() + QUIET;
        loop {
            let frozen = self.freeze(old).ok_or(ReloadError::Busy)?;
            let quiet = || carried(changed, plan).all(|(change, _)| self.written_in(change) == 0);
            // Nothing new is opened now, and what is open may be closed soon: the kernel tells of that after the fact.
            let breath = Instant::now() + BREATH;
            while !quiet() && Instant::now() < breath {
                std::thread::sleep(Duration::from_millis(1));
            }
            if quiet() || Instant::now() > deadline {
                return Ok(frozen);
            }
            drop(frozen);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Carried<'_> {
    fn error(&self, errno: Errno) -> ReloadError {
        ReloadError::Carry {
            path: text(self.path),
            from: self.from.placement,
            to: self.to.placement,
            reason: errno.to_string(),
        }
    }
}

/// The changes whose files move, with what is planned for each.
fn carried<'a>(
    changed: &'a [Changed],
    plan: &'a Plan,
) -> impl Iterator<Item = (&'a Changed, &'a Planned)> {
    let all = changed.iter().zip(&plan.changes);
    all.filter(|(change, planned)| match planned.fate {
        Fate::Carried => true,
        // What may change at any time is copied as it is shown; so is what the first content of a rule around it left out.
        Fate::Seeded => change.from.copies_up() || !is_root(change),
        _ => false,
    })
}

/// Whether the path that changes is that of its new rule.
fn is_root(change: &Changed) -> bool {
    change.to.path.strip_prefix(b"/") == Some(change.path.as_slice())
}

/// Whether everything can be carried that has to be.
fn check(changed: &[Changed], plan: &Plan, new: &View) -> std::result::Result<(), ReloadError> {
    for (change, planned) in carried(changed, plan) {
        let same_kind = planned.from == planned.to;
        let reason = match place::obstacle(change, new) {
            Some(reason) => reason.to_owned(),
            None if same_kind && planned.open > 0 => {
                format!(
                    "{} files are open in the store that is to be left",
                    planned.open
                )
            }
            None => continue,
        };
        return Err(ReloadError::Carry {
            path: planned.path.clone(),
            from: planned.from,
            to: planned.to,
            reason,
        });
    }
    Ok(())
}

/// Waits until operations that began with the old view have ended. One that hangs on a dead
/// server is not waited for: it can only answer for what was true when it was asked.
fn wait_for_users(old: &Arc<View>) {
    let deadline = Instant::now() + LONGEST_OPERATION;
    while Arc::strong_count(old) > 1 {
        if Instant::now() > deadline {
            tracing::warn!("a request from before the reload is still waiting for its layer");
            return;
        }
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// How long a reload waits for a moment at which nothing is being written that it carries over.
const QUIET: Duration = Duration::from_secs(2);
/// How long all operations are held for it at a time.
const BREATH: Duration = Duration::from_millis(30);
/// How long a reload waits for requests that are under way.
const LONGEST_OPERATION: Duration = Duration::from_secs(10);

/// Paths (without leading slash) whose region differs between two views.
fn changes(old: &View, new: &View) -> Vec<Changed> {
    let mut paths: Vec<Vec<u8>> = vec![Vec::new()];
    for region in old.regions().chain(new.regions()) {
        let path = region.path.strip_prefix(b"/").unwrap_or(&region.path);
        paths.push(path.to_vec());
    }
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .filter_map(|path| {
            let (from, to) = (old.place(&path).region, new.place(&path).region);
            let same = Arc::ptr_eq(&from, &to) || from.same_as(&to);
            (!same).then_some(Changed { path, from, to })
        })
        .collect()
}

fn text(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}
