//! Which rows a node uses, and which of two rows wins.
//!
//! Merge order (facts §1): rows whose image equals the node's `osimage.groups`, then rows with a blank image, then
//! `ALL`, then rows with exactly the node's image; later overwrites earlier. `image` has no wildcards and no lists.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

/// Who the node is: everything the tables can depend on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NodeIdentity {
    /// The node's name, `$node` in a directory.
    pub name: String,
    /// The name of the node's osimage.
    pub image: String,
    /// `osimage.groups` of that image, compared as one whole string (as xCAT does).
    pub image_groups: Option<String>,
    /// `nodelist.groups` in their order, for the statelite table.
    pub groups: Vec<String>,
    /// Values of `$table.column` and `$site.key`, by `table.column` without the dollar sign. Empty means missing.
    pub variables: BTreeMap<String, String>,
}

/// How strongly a row applies to a node; a greater level overwrites a smaller one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The row's image is the osimage's groups value.
    Group,
    /// The row's image is blank (NULL or empty string).
    Blank,
    /// The row's image is `ALL`.
    All,
    /// The row's image is the node's image.
    Image,
}

impl NodeIdentity {
    /// The level at which a row with this image cell applies to the node, or `None` when it does not.
    #[must_use]
    pub fn level(&self, image: &str) -> Option<Level> {
        if image.is_empty() {
            Some(Level::Blank)
        } else if image == self.image {
            Some(Level::Image)
        } else if image == "ALL" {
            Some(Level::All)
        } else if self.image_groups.as_deref() == Some(image) {
            Some(Level::Group)
        } else {
            None
        }
    }

    /// Whether `image` is one of several groups of the osimage: xCAT does not look into the list.
    pub(crate) fn misses_group(&self, image: &str) -> bool {
        let groups = self.image_groups.as_deref().unwrap_or_default();
        !image.is_empty()
            && groups.contains(',')
            && groups.split(',').any(|group| group.trim() == image)
    }
}

/// For whom a table is read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope<'n> {
    /// Only the rows that apply to this node are looked at.
    Node(&'n NodeIdentity),
    /// Every live row is looked at; each image is a world of its own.
    Everything,
}

impl Scope<'_> {
    /// The level of a row, or `None` when the row is not looked at.
    pub(crate) fn level(&self, image: &str) -> Option<Level> {
        match self {
            Self::Node(node) => node.level(image),
            Self::Everything => Some(Level::Image),
        }
    }
}

/// What the merge keeps of a row.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    pub(crate) level: Level,
    pub(crate) line: u64,
    pub(crate) value: T,
}

/// Rows by key; a row of a greater level overwrites, two of one level collide.
#[derive(Debug)]
pub(crate) struct Merge<K, T> {
    index: FxHashMap<K, usize>,
    kept: Vec<Kept<T>>,
}

impl<K: Eq + Hash, T> Merge<K, T> {
    /// `expected` is a guess at the number of rows, to save growing.
    pub(crate) fn new(expected: usize) -> Self {
        let index = FxHashMap::with_capacity_and_hasher(expected, rustc_hash::FxBuildHasher);
        Self {
            index,
            kept: Vec::with_capacity(expected),
        }
    }

    /// Offers a row. `Err` gives the line of the row that has the same key at the same level.
    pub(crate) fn offer(&mut self, key: K, level: Level, line: u64, value: T) -> Result<(), u64> {
        let row = Kept { level, line, value };
        match self.index.entry(key) {
            Entry::Vacant(vacant) => {
                vacant.insert(self.kept.len());
                self.kept.push(row);
            }
            Entry::Occupied(occupied) => {
                let Some(kept) = self.kept.get_mut(*occupied.get()) else {
                    return Ok(());
                };
                if kept.level == level {
                    return Err(kept.line);
                }
                if kept.level < level {
                    *kept = row;
                }
            }
        }
        Ok(())
    }

    /// The winners, in the order in which their keys were first seen.
    pub(crate) fn into_kept(self) -> Vec<Kept<T>> {
        self.kept
    }
}

/// Whether a row with this `disable` cell is live: NULL or one of `0 no NO No nO` (facts §1).
///
/// The empty string is live too, although xCAT's SQL would not say so: a hand-written table quotes blank cells. The
/// second value is what to warn about.
pub(crate) fn live(disable: Option<&str>) -> (bool, Option<String>) {
    match disable {
        None => (true, None),
        Some("") => (
            true,
            Some(
                "an empty string is read as blank: the row is live (xCAT would disable it)".into(),
            ),
        ),
        Some(value) if value == "0" || value.eq_ignore_ascii_case("no") => (true, None),
        Some(value)
            if value == "1"
                || ["yes", "y", "true"]
                    .iter()
                    .any(|yes| value.eq_ignore_ascii_case(yes)) =>
        {
            (false, None)
        }
        Some(value) => (
            false,
            Some(format!(
                "\"{value}\" disables the row: only blank, 0 and no keep it live"
            )),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> NodeIdentity {
        NodeIdentity {
            image: "compute".into(),
            image_groups: Some("a,b".into()),
            ..NodeIdentity::default()
        }
    }

    #[test]
    fn levels_are_ordered_as_in_xcat() {
        let node = node();
        let levels: Vec<_> = ["a,b", "", "ALL", "compute"]
            .iter()
            .map(|image| node.level(image))
            .collect();
        assert!(
            levels.is_sorted() && levels.iter().all(Option::is_some),
            "{levels:?}"
        );
    }

    #[test]
    fn stronger_rows_overwrite_in_any_order_and_equals_collide() {
        let mut merge = Merge::new(0);
        for (level, line) in [
            (Level::All, 2),
            (Level::Blank, 3),
            (Level::Image, 4),
            (Level::Group, 5),
        ] {
            assert_eq!(merge.offer("/a", level, line, line), Ok(()));
        }
        assert_eq!(merge.offer("/a", Level::Image, 6, 6), Err(4));
        let kept: Vec<_> = merge.into_kept().iter().map(|kept| kept.value).collect();
        assert_eq!(kept, [4]);
    }

    #[test]
    fn disable_values() {
        for value in ["0", "no", "NO", "No", "nO"] {
            assert_eq!(live(Some(value)), (true, None), "{value}");
        }
        for value in ["1", "yes", "YES", "true"] {
            assert_eq!(live(Some(value)), (false, None), "{value}");
        }
        for value in ["off", "00", " no", "2", "false"] {
            let (live, warning) = live(Some(value));
            assert!(!live && warning.is_some(), "{value}");
        }
        assert_eq!(live(None), (true, None));
        assert!(live(Some("")).0 && live(Some("")).1.is_some());
    }

    #[test]
    fn groups_are_one_string() {
        assert_eq!(node().level("a"), None);
        assert!(node().misses_group("a"));
        assert!(!node().misses_group("a,b"));
    }
}
