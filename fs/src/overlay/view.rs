//! A view: one policy over one set of layers. A reload replaces the whole view at once.

use super::layer::Layer;
use super::region::Region;
use super::store::Store;
use rustc_hash::FxHashMap;
use statelite_policy::{Flavour, Origin, Placement, PolicyTree, Pos, Rule};
use std::sync::Arc;

/// The layers a view is made of.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// The image, with what liteimg moved inside it first.
    pub image: Vec<Arc<Layer>>,
    /// litetree layers, first match first.
    pub trees: Vec<Arc<Layer>>,
    /// Where volatile changes go.
    pub volatile: Option<Arc<Store>>,
    /// Where this node's persistent files are.
    pub persistent: Option<Arc<Store>>,
    /// The local disk.
    pub local: Option<Arc<Store>>,
    /// What an administrator looks for in `/.statelite`: tables, log, and the stores as they are.
    pub views: Option<Arc<Layer>>,
}

/// Where [`Layers::views`] shows.
pub const VIEWS: &str = "/.statelite";

impl Layers {
    /// Trees in priority order, then the image.
    pub fn merged(&self) -> Vec<Arc<Layer>> {
        self.trees.iter().chain(&self.image).cloned().collect()
    }

    /// The store of a placement.
    pub fn store(&self, placement: Placement) -> Option<&Arc<Store>> {
        match placement {
            Placement::Volatile | Placement::Concat => self.volatile.as_ref(),
            Placement::Persistent => self.persistent.as_ref(),
            Placement::Local => self.local.as_ref(),
            Placement::Image | Placement::Tree => None,
        }
    }

    /// All stores.
    pub fn stores(&self) -> impl Iterator<Item = &Arc<Store>> {
        [&self.volatile, &self.persistent, &self.local]
            .into_iter()
            .flatten()
    }
}

/// Why a policy cannot be shown with the layers at hand.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// A rule needs a store that was not given.
    #[error("{path}: option \"{option}\" needs a {placement} store, but none is configured")]
    NoStore {
        /// Path of the rule.
        path: String,
        /// Option as written.
        option: String,
        /// The placement it asks for.
        placement: Placement,
    },
}

/// One policy over one set of layers.
#[derive(Debug)]
pub struct View {
    /// Counts reloads, from 1.
    pub generation: u64,
    /// The rules by path.
    pub policy: PolicyTree,
    /// The layers.
    pub layers: Layers,
    /// The region of everything that no rule covers.
    pub image: Arc<Region>,
    regions: FxHashMap<Pos, Arc<Region>>,
}

/// A position in the view: which region answers, and which rules lie below.
#[derive(Clone, Debug)]
pub struct Place {
    /// Generation of the view this was computed from.
    pub generation: u64,
    /// Position in the policy tree while rules lie at or below this path.
    pub pos: Option<Pos>,
    /// The region that answers.
    pub region: Arc<Region>,
}

impl View {
    /// Builds the regions of `policy`. Regions that are the same in `previous` are kept, so that
    /// files in them need not be looked up again.
    ///
    /// # Errors
    /// [`ViewError::NoStore`] for the first rule that lacks its store.
    pub fn new(
        generation: u64,
        policy: PolicyTree,
        layers: Layers,
        previous: Option<&View>,
    ) -> Result<View, ViewError> {
        let merged: Arc<[Arc<Layer>]> = layers.merged().into();
        let image_layers: Arc<[Arc<Layer>]> = layers.image.clone().into();
        let keep = |region: Region, old: Option<&Arc<Region>>| match old {
            Some(old) if old.same_as(&region) && old.rule == region.rule => Arc::clone(old),
            _ => Arc::new(region),
        };
        let image = keep(
            Region::new(b"/", None, None, image_layers),
            previous.map(|v| &v.image),
        );
        let mut regions = FxHashMap::default();
        for rule in policy.rules() {
            let Some(pos) = policy.position(rule.path.as_bytes()) else {
                continue;
            };
            let store = layers.store(rule.placement).cloned();
            if store.is_none() && needs_store(rule) {
                return Err(ViewError::NoStore {
                    path: rule.path.clone(),
                    option: rule.option.clone(),
                    placement: rule.placement,
                });
            }
            let path = rule.path.as_bytes();
            let sources = match &layers.views {
                Some(views) if is_views(rule) => [Arc::clone(views)].into(),
                _ => Arc::clone(&merged),
            };
            let old = previous.and_then(|v| v.regions.get(&v.policy.position(path)?));
            let region = Region::new(path, Some(rule.clone()), store, sources);
            regions.insert(pos, keep(region, old));
        }
        Ok(View {
            generation,
            policy,
            layers,
            image,
            regions,
        })
    }

    /// Place of the root directory.
    pub fn root(&self) -> Place {
        Place {
            generation: self.generation,
            pos: Some(PolicyTree::ROOT),
            region: self
                .regions
                .get(&PolicyTree::ROOT)
                .map_or_else(|| Arc::clone(&self.image), Arc::clone),
        }
    }

    /// Place of entry `name` in a directory at `parent`.
    pub fn step(&self, parent: &Place, name: &[u8]) -> Place {
        let pos = parent.pos.and_then(|pos| self.policy.child(pos, name));
        Place {
            generation: self.generation,
            pos,
            region: pos
                .and_then(|pos| self.regions.get(&pos))
                .map_or_else(|| Arc::clone(&parent.region), Arc::clone),
        }
    }

    /// Place of an absolute path.
    pub fn place(&self, path: &[u8]) -> Place {
        path.split(|b| *b == b'/')
            .filter(|name| !name.is_empty())
            .fold(self.root(), |place, name| self.step(&place, name))
    }

    /// The region a rule makes exactly at `pos`.
    pub fn region_at(&self, pos: Pos) -> Option<&Arc<Region>> {
        self.regions.get(&pos)
    }

    /// All regions that rules make.
    pub fn regions(&self) -> impl Iterator<Item = &Arc<Region>> {
        self.regions.values()
    }
}

/// The rule that shows the views; a row of a table for the same path wins over it.
#[must_use]
pub fn views_rule() -> Rule {
    Rule {
        path: VIEWS.to_owned(),
        directory: true,
        placement: Placement::Tree,
        flavour: Flavour::Bind,
        option: "ro".to_owned(),
        origin: Origin::Implied(VIEWS_REASON),
    }
}

const VIEWS_REASON: &str = "/.statelite shows the node's tables, log and stores";

fn is_views(rule: &Rule) -> bool {
    matches!(rule.origin, Origin::Implied(why) if why == VIEWS_REASON)
}

fn needs_store(rule: &Rule) -> bool {
    !matches!(rule.placement, Placement::Image | Placement::Tree)
}

impl Place {
    /// Whether a rule stands exactly here.
    pub fn is_rule_root(&self, view: &View) -> bool {
        self.pos.is_some_and(|pos| view.region_at(pos).is_some())
    }
}
