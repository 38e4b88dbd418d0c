//! What another policy would do to a running mount, path by path, before anything happens. A reload does what its plan says,
//! or nothing.

use super::Overlay;
use super::layer::Layer;
use super::lower::is_absent;
use super::own::Own;
use super::region::Region;
use super::reload::ReloadError;
use super::store::Store;
use super::view::{Layers, View};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use statelite_policy::{Placement, PolicyTree};
use std::sync::Arc;

/// What happens at a path whose rule changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Other sources, or another rule for the same; nothing of the node's own is concerned.
    Shown,
    /// It can be written to from then on.
    Writable,
    /// The same, and changes that were parked are shown again.
    ComesBack,
    /// It can no longer be written to; the node has nothing of its own there.
    ReadOnly,
    /// It is copied from the server to the store first.
    Copied,
    /// The store has it already, and that is what is shown.
    Stored,
    /// The node's changes are kept in memory and no longer shown.
    Parked,
    /// The node's files stay in the store and are no longer shown; or what it had removed is shown again.
    Left,
    /// The node's files would have to move to another store: the whole policy is refused.
    Refused,
}

impl Effect {
    /// Whether files of the node's own would no longer be shown, or stand in the way.
    #[must_use]
    pub fn loses(self) -> bool {
        matches!(self, Effect::Parked | Effect::Left | Effect::Refused)
    }

    /// In a few words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Effect::Shown => "shown anew",
            Effect::Writable => "becomes writable",
            Effect::ReadOnly => "becomes read-only",
            Effect::ComesBack => "becomes writable, and this node's earlier changes come back",
            Effect::Copied => "copied from the server to the store first",
            Effect::Stored => "shown as the store has it",
            Effect::Parked => "this node's changes are kept but no longer shown",
            Effect::Left => {
                "what this node has stored or removed there no longer counts; the store stays as it is"
            }
            Effect::Refused => "refused: this node's own files would have to move to another store",
        }
    }
}

/// One path of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The path.
    pub path: String,
    /// Its placement now.
    pub from: Placement,
    /// Its placement then.
    pub to: Placement,
    /// What that does.
    pub effect: Effect,
}

/// What a policy would do; empty if it is the one in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The paths whose rule changes, in order.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Whether something of the node's own would no longer be shown, or stands in the way.
    #[must_use]
    pub fn loses(&self) -> bool {
        self.steps.iter().any(|step| step.effect.loses())
    }
}

/// A changed path.
#[derive(Debug)]
pub(super) struct Changed {
    pub path: Vec<u8>,
    pub from: Arc<Region>,
    pub to: Arc<Region>,
    /// Paths below it that rules of their own decide, before or after.
    pub inside: Vec<Vec<u8>>,
}

impl Overlay {
    /// What [`Overlay::reload`] would do with this policy and these layers now.
    ///
    /// # Errors
    /// A rule whose store is missing, or one that cannot be asked what it has.
    pub fn plan(&self, policy: PolicyTree, layers: Layers) -> Result<Plan, ReloadError> {
        let old = self.view();
        let new = View::new(old.generation + 1, policy, layers, Some(&old))?;
        let step = |change: Changed| {
            Ok(Step {
                path: text(&change.path),
                from: change.from.placement,
                to: change.to.placement,
                effect: change.effect(self)?,
            })
        };
        let steps: Result<_, ReloadError> = changes(&old, &new).into_iter().map(step).collect();
        Ok(Plan { steps: steps? })
    }
}

impl Changed {
    /// Whether the node has volatile changes there that would not be shown.
    pub fn leaves_volatile(&self, overlay: &Overlay) -> bool {
        self.from.copies_up() && !self.to.copies_up() && self.has_own(overlay, &self.from)
    }

    /// What the change does, by what the stores have now. What cannot be looked at in a volatile store counts as the node's own.
    ///
    /// # Errors
    /// [`ReloadError::Seed`] if a persistent or local store cannot be asked.
    pub fn effect(&self, overlay: &Overlay) -> Result<Effect, ReloadError> {
        let (from, to) = (&self.from, &self.to);
        let sure = |answer: crate::sys::Result<bool>, region: &Region| {
            answer.map_err(|errno| ReloadError::Seed {
                path: text(&self.path),
                placement: region.placement,
                errno,
            })
        };
        if self.leaves_volatile(overlay) {
            return Ok(if to.is_opaque() {
                Effect::Refused
            } else {
                Effect::Parked
            });
        }
        if from.is_opaque() && from.placement != to.placement {
            let store = from.store.as_ref();
            if sure(store.map_or(Ok(false), |s| exists(s, &self.path)), from)? {
                return Ok(if to.store.is_some() {
                    Effect::Refused
                } else {
                    Effect::Left
                });
            }
            // Removed by the node: it will be there again.
            let flags = OFlags::PATH | OFlags::NOFOLLOW;
            let again = |layer: &Arc<Layer>| layer.open_at(&self.path, flags).is_ok();
            if from.sources.iter().any(again) && !sure(overlay.would_seed(from), from)? {
                return Ok(Effect::Left);
            }
        }
        if to.is_opaque() {
            // A path that falls to the rule around it: seeding that one leaves alone what the store has.
            let around = to.path.strip_prefix(b"/") != Some(self.path.as_slice());
            let store = to.store.as_ref().filter(|_| around);
            if sure(store.map_or(Ok(false), |s| exists(s, &self.path)), to)? {
                return Ok(Effect::Stored);
            }
            return Ok(match sure(overlay.would_seed(to), to)? {
                true => Effect::Copied,
                false => Effect::Stored,
            });
        }
        Ok(match (from.store.is_some(), to.store.is_some()) {
            (false, true) if self.has_own(overlay, to) => Effect::ComesBack,
            (false, true) => Effect::Writable,
            (true, false) => Effect::ReadOnly,
            _ => Effect::Shown,
        })
    }

    /// Whether the store of `region`, one of the two and a union, has something of the node's own there.
    fn has_own(&self, overlay: &Overlay, region: &Region) -> bool {
        region.store.as_ref().is_some_and(|store| {
            let own = Own {
                fds: &overlay.fds,
                store,
                lowers: region.lowers(),
                inside: &self.inside,
            };
            own.any(&self.path)
        })
    }
}

/// Paths (without leading slash) whose region differs between two views.
pub(super) fn changes(old: &View, new: &View) -> Vec<Changed> {
    let mut paths: Vec<Vec<u8>> = vec![Vec::new()];
    for region in old.regions().chain(new.regions()) {
        let path = region.path.strip_prefix(b"/").unwrap_or(&region.path);
        paths.push(path.to_vec());
    }
    paths.sort();
    paths.dedup();
    let all = &paths;
    all.iter()
        .filter_map(|path| {
            let (from, to) = (old.place(path).region, new.place(path).region);
            let same = Arc::ptr_eq(&from, &to) || from.same_as(&to);
            (!same).then(|| Changed {
                inside: all
                    .iter()
                    .filter(|one| is_below(one, path))
                    .cloned()
                    .collect(),
                path: path.clone(),
                from,
                to,
            })
        })
        .collect()
}

fn is_below(path: &[u8], top: &[u8]) -> bool {
    match path.strip_prefix(top) {
        Some(rest) => !rest.is_empty() && (top.is_empty() || rest.starts_with(b"/")),
        None => false,
    }
}

pub(super) fn text(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}

fn exists(store: &Store, path: &[u8]) -> crate::sys::Result<bool> {
    match store.layer.open_at(path, OFlags::PATH | OFlags::NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(e) if is_absent(e) => Ok(false),
        Err(e) => Err(e),
    }
}
