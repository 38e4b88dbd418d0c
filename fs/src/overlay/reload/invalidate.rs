//! What the kernel has to forget after a reload.

use super::super::node::Node;
use super::super::{Overlay, ident};
use super::Changed;
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// Tells the kernel what to forget.
pub trait Invalidate {
    /// Name `name` in directory `parent`, with all that is cached below it. `path` is the path in
    /// the view: a directory that others have mounted something in must not lose the mount.
    fn entry(&self, parent: u64, name: &[u8], path: &[u8]) -> Dropped;
    /// Attributes and pages of `ino`.
    fn inode(&self, ino: u64);
}

/// How much the kernel forgot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// The name with all below it.
    All,
    /// The name; what is cached below it, absent names among it, stays.
    NameOnly,
}

impl Overlay {
    /// Has the kernel forget each name a directory now shows: it may believe them to be absent.
    fn drop_names_in(&self, node: &Arc<Node>, path: &[u8], kernel: &dyn Invalidate) -> usize {
        let Ok(listing) = self.list(&self.view(), node) else {
            return 0;
        };
        let names = listing.after(0);
        for entry in names {
            kernel.entry(
                node.ino,
                &entry.name,
                &super::super::layer::join(path, &entry.name),
            );
        }
        names.len()
    }

    pub(super) fn invalidate(
        &self,
        changed: &[Changed],
        everything: bool,
        kernel: &dyn Invalidate,
    ) -> usize {
        if changed.is_empty() && !everything {
            return 0;
        }
        let paths: FxHashSet<&[u8]> = changed.iter().map(|c| c.path.as_slice()).collect();
        // Names on the way to a changed path: they may appear or go with it.
        let mut on_the_way: FxHashSet<&[u8]> = FxHashSet::default();
        for path in &paths {
            for (at, _) in path.iter().enumerate().filter(|(_, b)| **b == b'/') {
                on_the_way.extend(path.get(..at));
            }
        }
        let nodes = self.nodes.all();
        let mut known: FxHashSet<Vec<u8>> = FxHashSet::default();
        let mut count = 0;
        for node in &nodes {
            let Some(path) = node.path() else { continue };
            let below = everything || is_below(&path, &paths);
            let synthetic = ident::layer_of(node.identity) == ident::SYNTHETIC;
            if (below || synthetic)
                && let Some(link) = node.link()
            {
                let dropped = kernel.entry(link.parent.ino, &link.name, &path);
                count += 1;
                if dropped == Dropped::NameOnly && node.is_dir() {
                    count += self.drop_names_in(node, &path, kernel);
                }
            } else if below && node.ino == ident::ROOT {
                count += self.drop_names_in(node, &path, kernel);
            }
            if below {
                node.with_dir(|body| body.told = None);
                kernel.inode(node.ino);
                count += 1;
            }
            if node.is_dir() || on_the_way.contains(path.as_slice()) {
                known.insert(path);
            }
        }
        for node in nodes.iter().filter(|node| node.is_dir()) {
            let Some(path) = node.path() else { continue };
            let mut touched = false;
            for target in paths.iter().chain(&on_the_way) {
                let Some(name) = direct_child(&path, target) else {
                    continue;
                };
                if paths.contains(target) || !known.contains(*target) {
                    kernel.entry(node.ino, name, target);
                    count += 1;
                    touched = true;
                }
            }
            if touched {
                kernel.inode(node.ino);
                count += 1;
            }
        }
        count
    }
}

fn is_below(path: &[u8], roots: &FxHashSet<&[u8]>) -> bool {
    roots.contains(path)
        || roots.contains(&b""[..])
        || path
            .iter()
            .enumerate()
            .filter(|(_, b)| **b == b'/')
            .any(|(at, _)| path.get(..at).is_some_and(|p| roots.contains(p)))
}

/// Name of `path` in directory `dir`, if it is directly in it.
fn direct_child<'a>(dir: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    let rest = if dir.is_empty() {
        path
    } else {
        path.strip_prefix(dir)?.strip_prefix(b"/")?
    };
    (!rest.is_empty() && !rest.contains(&b'/')).then_some(rest)
}
