//! The table of nodes by number.
//!
//! A node enters it when the kernel first hears of it and leaves it when the kernel has forgotten
//! it and no node below needs it as a parent. A count reaches zero only under the lock of the node's
//! shard, so a node found in the table is never on its way out.

use super::ident;
use super::node::{Link, Node};
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const SHARDS: usize = 16;

/// Nodes by number.
#[derive(Debug)]
pub struct NodeTable {
    shards: [RwLock<FxHashMap<u64, Arc<Node>>>; SHARDS],
    displaced: Mutex<FxHashMap<u64, u64>>,
    next_displaced: AtomicU64,
    forgotten: AtomicU64,
}

impl NodeTable {
    /// A table with just the root.
    pub fn new(root: Arc<Node>) -> NodeTable {
        let table = NodeTable {
            shards: Default::default(),
            displaced: Mutex::default(),
            next_displaced: AtomicU64::new(1),
            forgotten: AtomicU64::new(0),
        };
        root.refs.store(1, Ordering::Relaxed);
        if let Some(shard) = table.shard(root.ino) {
            shard.write().insert(root.ino, root);
        }
        table
    }

    fn shard(&self, ino: u64) -> Option<&RwLock<FxHashMap<u64, Arc<Node>>>> {
        self.shards.get(ident::mix(ino) as usize % SHARDS)
    }

    /// The node with number `ino`.
    pub fn get(&self, ino: u64) -> Option<Arc<Node>> {
        self.shard(ino)?.read().get(&ino).cloned()
    }

    /// The node that stands for `identity`, if the kernel knows it.
    pub fn find(&self, identity: u64) -> Option<Arc<Node>> {
        self.get(self.number_of(identity))
    }

    /// The number under which `identity` is shown.
    pub fn number_of(&self, identity: u64) -> u64 {
        self.displaced
            .lock()
            .get(&identity)
            .copied()
            .unwrap_or(identity)
    }

    /// Finds the node for `identity`, or enters the one that `make` builds for the number it is
    /// given; either way the kernel's count on it grows by one. `fits` refuses a node that is in
    /// the table but stands for something else; the new one is then displaced to another number.
    pub fn intern(
        &self,
        identity: u64,
        fits: impl Fn(&Node) -> bool,
        make: impl FnOnce(u64) -> Node,
    ) -> (Arc<Node>, bool) {
        let mut number = self.number_of(identity);
        loop {
            let Some(shard) = self.shard(number) else {
                // Not reachable: the index is taken modulo the number of shards.
                return (Arc::new(make(number)), true);
            };
            let mut shard = shard.write();
            match shard.get(&number) {
                Some(node) if fits(node) => {
                    node.refs.fetch_add(1, Ordering::Relaxed);
                    return (Arc::clone(node), false);
                }
                Some(_) => {
                    number = ident::displaced(self.next_displaced.fetch_add(1, Ordering::Relaxed));
                    drop(shard);
                    self.displaced.lock().insert(identity, number);
                }
                None => {
                    let node = Arc::new(make(number));
                    node.refs.store(1, Ordering::Relaxed);
                    for link in &node.state.read().links {
                        link.parent.refs.fetch_add(1, Ordering::Relaxed);
                    }
                    shard.insert(number, Arc::clone(&node));
                    return (node, true);
                }
            }
        }
    }

    /// Takes `n` references from node `ino`, and removes it (and parents only it kept) at zero.
    pub fn release(&self, ino: u64, n: u64) {
        let mut queue = vec![(ino, n)];
        while let Some((ino, n)) = queue.pop() {
            if ino == ident::ROOT {
                continue;
            }
            let Some(shard) = self.shard(ino) else {
                continue;
            };
            let mut shard = shard.write();
            let Some(node) = shard.get(&ino) else {
                continue;
            };
            let taken = node
                .refs
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |refs| {
                    Some(refs.saturating_sub(n))
                });
            if taken.is_ok_and(|before| before > n) {
                continue;
            }
            if let Some(node) = shard.remove(&ino) {
                if shard.len() * 4 < shard.capacity() {
                    let target = shard.len() * 2;
                    shard.shrink_to(target);
                }
                drop(shard);
                self.forgotten.fetch_add(1, Ordering::Relaxed);
                if node.identity != node.ino {
                    let mut displaced = self.displaced.lock();
                    if displaced.get(&node.identity) == Some(&node.ino) {
                        displaced.remove(&node.identity);
                    }
                }
                for link in std::mem::take(&mut node.state.write().links) {
                    queue.push((link.parent.ino, 1));
                }
            }
        }
    }

    /// Sets the names of `node`, keeping its parents alive as long as it has them.
    pub fn set_links(&self, node: &Node, links: Vec<Link>) {
        for link in &links {
            self.pin(&link.parent);
        }
        let old = std::mem::replace(&mut node.state.write().links, links);
        for link in old {
            self.release(link.parent.ino, 1);
        }
    }

    /// Counts a reference on a directory that is known to be in the table or held by its caller.
    fn pin(&self, node: &Arc<Node>) {
        let Some(shard) = self.shard(node.ino) else {
            return;
        };
        let mut shard = shard.write();
        node.refs.fetch_add(1, Ordering::Relaxed);
        // It may just have been forgotten; it is needed again.
        shard.entry(node.ino).or_insert_with(|| Arc::clone(node));
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|s| s.read().len()).sum()
    }

    /// Whether the table is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Nodes removed so far.
    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// A copy of all nodes.
    pub fn all(&self) -> Vec<Arc<Node>> {
        self.shards
            .iter()
            .flat_map(|s| s.read().values().cloned().collect::<Vec<_>>())
            .collect()
    }
}
