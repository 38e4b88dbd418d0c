//! Where sources and targets are. Paths are kept as text, for the log shows them as the stock script builds them.

use statelite_policy::{Dialect, Source};
use std::path::Path;

/// The directories of a node in link mode.
#[derive(Debug, Clone)]
pub struct Places {
    /// The new root, without a trailing slash: `/sysroot`.
    pub root: String,
    /// The mounted trees, first match first, relative to the new root: `/.statelite/mnt/SERVER/DIR`.
    pub trees: Vec<String>,
    /// The directory of this node's persistent data, relative to the new root.
    pub persistent: String,
}

/// Mount point of a tree below the new root. In 2010 the server was no part of it.
#[must_use]
pub fn tree_dir(source: &Source, dialect: Dialect) -> String {
    let path = source.path.trim_matches('/');
    match (&source.server, dialect) {
        (Some(server), Dialect::Current) => format!("/.statelite/mnt/{server}/{path}"),
        _ => format!("/.statelite/mnt/{path}"),
    }
}

/// The node's persistent directory below the new root. In 2010 the store itself was mounted, and the node's
/// directory is inside; later the node's directory is mounted.
#[must_use]
pub fn persistent_dir(node: &str, dialect: Dialect) -> String {
    match dialect {
        Dialect::Current => "/.statelite/persistent".to_owned(),
        Dialect::Seed2010 => format!("/.statelite/persistent/{node}"),
    }
}

impl Places {
    /// The place of an entry in the tmpfs.
    #[must_use]
    pub fn tmpfs(&self, path: &str) -> String {
        format!("{}/.statelite/tmpfs{path}", self.root)
    }

    /// The place of an entry in the persistent store.
    #[must_use]
    pub fn stored(&self, path: &str) -> String {
        format!("{}{}{path}", self.root, self.persistent)
    }

    /// The place of an entry on the local disk.
    #[must_use]
    pub fn local(&self, path: &str) -> String {
        format!("{}/.sllocal/localmnt{path}", self.root)
    }

    /// What liteimg kept of an entry, if it is there.
    #[must_use]
    pub fn default(&self, path: &str) -> Option<String> {
        let place = format!("{}/.default{path}", self.root);
        Path::new(&place).exists().then_some(place)
    }

    /// Where the trees are mounted, first match first.
    pub fn trees(&self) -> impl Iterator<Item = String> {
        let trees = self.trees.iter().map(|tree| tree.trim_end_matches('/'));
        trees.map(|tree| format!("{}{tree}", self.root))
    }

    /// The path below the new root as the stock script has it where persistent entries are mounted.
    #[must_use]
    pub fn doubly_slashed(&self, path: &str) -> String {
        format!("{}/{path}", self.root)
    }

    /// The entry in each tree that has it, first match first. An empty directory does not count.
    #[must_use]
    pub fn in_trees(&self, path: &str) -> Vec<String> {
        let places = self.trees().map(|tree| format!("{tree}{path}"));
        places
            .filter(|place| has_content(Path::new(place)))
            .collect()
    }

    /// The path as the node sees it once it runs: without the new root.
    #[must_use]
    pub fn seen<'p>(&self, place: &'p str) -> &'p str {
        place.strip_prefix(self.root.as_str()).unwrap_or(place)
    }
}

fn has_content(path: &Path) -> bool {
    match std::fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => path.exists(),
    }
}

/// The directory part of a path, a trailing slash not counting.
pub(super) fn parent(path: &str) -> Option<&str> {
    let (parent, _) = path.trim_end_matches('/').rsplit_once('/')?;
    Some(parent).filter(|parent| !parent.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_of_both_eras() {
        let source: Source = "cnfs:/gpfs/dallas/".parse().unwrap();
        assert_eq!(
            tree_dir(&source, Dialect::Current),
            "/.statelite/mnt/cnfs/gpfs/dallas"
        );
        assert_eq!(
            tree_dir(&source, Dialect::Seed2010),
            "/.statelite/mnt/gpfs/dallas"
        );
        assert_eq!(
            persistent_dir("n1", Dialect::Seed2010),
            "/.statelite/persistent/n1"
        );
    }

    #[test]
    fn parents() {
        assert_eq!(parent("/a/b/"), Some("/a"));
        assert_eq!(parent("/a"), None);
    }
}
