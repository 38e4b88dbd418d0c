//! The policy as a trie by path component.
//!
//! Only paths that lead to a rule have a position, so a position with children always has rules below it. Looking up
//! a child is one hash look-up; finding the rule of a path costs its number of components, whatever the number of rules.

use rustc_hash::FxHashMap;

use crate::model::{Origin, Placement, Rule};
use crate::path::{self, PathError};

/// A place in a [`PolicyTree`]. Valid only for the tree that gave it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Pos(u32);

/// Why a list of rules is not a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// {path} has two rules: {first} and {second}
    #[error("{path} has two rules: {first} and {second}")]
    Duplicate {
        /// The path both rules name.
        path: String,
        /// Origin of the rule given first.
        first: Box<Origin>,
        /// Origin of the other rule.
        second: Box<Origin>,
    },
    /// a rule's path "{path}" is not usable: {error}
    #[error("a rule's path \"{path}\" is not usable: {error}")]
    Path {
        /// The path as given.
        path: String,
        /// What is wrong with it.
        error: PathError,
    },
    /// more than 4,294,967,295 path components
    #[error("more than 4,294,967,295 path components")]
    TooLarge,
}

#[derive(Debug, Clone, Default)]
struct Node {
    rule: Option<u32>,
    children: FxHashMap<Box<[u8]>, Pos>,
}

/// All rules of one node, looked up component by component.
#[derive(Debug, Clone)]
pub struct PolicyTree {
    nodes: Vec<Node>,
    /// In the order given.
    rules: Vec<Rule>,
    /// Indices into `rules` by path.
    sorted: Vec<u32>,
}

impl Default for PolicyTree {
    /// The empty policy: everything is the image.
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            rules: Vec::new(),
            sorted: Vec::new(),
        }
    }
}

impl PolicyTree {
    /// The position of `/`. It exists in every tree.
    pub const ROOT: Pos = Pos(0);

    /// Builds the tree. Any nesting is allowed; a path may have one rule only, whether or not written with a slash.
    ///
    /// # Errors
    /// [`TreeError::Duplicate`] when two rules name one path, [`TreeError::Path`] when a path is not normalised.
    pub fn from_rules(rules: Vec<Rule>) -> Result<Self, TreeError> {
        let mut tree = Self {
            nodes: Vec::with_capacity(rules.len() + 1),
            rules: Vec::new(),
            sorted: Vec::new(),
        };
        tree.nodes.push(Node::default());
        for (index, rule) in rules.iter().enumerate() {
            path::require_normal(&rule.path).map_err(|error| TreeError::Path {
                path: rule.path.clone(),
                error,
            })?;
            let index = u32::try_from(index).map_err(|_| TreeError::TooLarge)?;
            let pos = tree.grow(rule.path.as_bytes())?;
            let Some(node) = tree.nodes.get_mut(pos.0 as usize) else {
                return Err(TreeError::TooLarge);
            };
            if let Some(first) = node
                .rule
                .replace(index)
                .and_then(|first| rules.get(first as usize))
            {
                return Err(TreeError::Duplicate {
                    path: rule.path.clone(),
                    first: Box::new(first.origin.clone()),
                    second: Box::new(rule.origin.clone()),
                });
            }
        }
        let mut order: Vec<(&str, u32)> = rules
            .iter()
            .map(|rule| rule.path.as_str())
            .zip(0..)
            .collect();
        order.sort_unstable();
        tree.sorted = order.into_iter().map(|(_, index)| index).collect();
        tree.rules = rules;
        Ok(tree)
    }

    /// The position of `path`, made where it is missing.
    fn grow(&mut self, path: &[u8]) -> Result<Pos, TreeError> {
        let mut pos = Self::ROOT;
        for name in components(path) {
            if let Some(next) = self.child(pos, name) {
                pos = next;
                continue;
            }
            let next = Pos(u32::try_from(self.nodes.len()).map_err(|_| TreeError::TooLarge)?);
            if let Some(node) = self.nodes.get_mut(pos.0 as usize) {
                node.children.insert(name.into(), next);
            }
            self.nodes.push(Node::default());
            pos = next;
        }
        Ok(pos)
    }

    fn node(&self, pos: Pos) -> Option<&Node> {
        self.nodes.get(pos.0 as usize)
    }

    /// The position one component below `pos`, if a rule is there or further below. One hash look-up.
    #[must_use]
    pub fn child(&self, pos: Pos, name: &[u8]) -> Option<Pos> {
        self.node(pos)?.children.get(name).copied()
    }

    /// The rule exactly at `pos`.
    #[must_use]
    pub fn rule(&self, pos: Pos) -> Option<&Rule> {
        self.rules.get(self.node(pos)?.rule? as usize)
    }

    /// The components below `pos` that lead to a rule, in no particular order.
    pub fn children(&self, pos: Pos) -> impl Iterator<Item = (&[u8], Pos)> {
        self.node(pos).into_iter().flat_map(|node| {
            node.children
                .iter()
                .map(|(name, pos)| (name.as_ref(), *pos))
        })
    }

    /// The position of exactly this path, if it is on the way to a rule. Repeated and trailing slashes do not matter.
    #[must_use]
    pub fn position(&self, path: &[u8]) -> Option<Pos> {
        components(path).try_fold(Self::ROOT, |pos, name| self.child(pos, name))
    }

    /// The longest rule whose path is `path` or an ancestor of it.
    ///
    /// A rule without a trailing slash governs below its path too: whether it is a directory is known only from its
    /// source, so the caller checks. `.` and `..` are names like any other here.
    #[must_use]
    pub fn governing(&self, path: &[u8]) -> Option<&Rule> {
        let mut pos = Self::ROOT;
        let mut found = self.rule(pos);
        for name in components(path) {
            let Some(next) = self.child(pos, name) else {
                break;
            };
            pos = next;
            found = self.rule(pos).or(found);
        }
        found
    }

    /// The effective placement of `path`: that of its [governing](Self::governing) rule, else the image.
    #[must_use]
    pub fn placement(&self, path: &[u8]) -> Placement {
        self.governing(path)
            .map_or(Placement::Image, |rule| rule.placement)
    }

    /// All rules, sorted by path (byte order).
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.sorted
            .iter()
            .filter_map(|index| self.rules.get(*index as usize))
    }

    /// The number of rules.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether any rule is strictly below `pos`.
    #[must_use]
    pub fn has_rules_below(&self, pos: Pos) -> bool {
        self.node(pos).is_some_and(|node| !node.children.is_empty())
    }
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests;
