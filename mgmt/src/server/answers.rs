//! What one node is told, computed once per generation and kept within bounds.

use super::world::World;
use crate::resolve;
use crate::tables::schema::{LITETREE, STATELITE};
use lru::LruCache;
use parking_lot::Mutex;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An answer in which a command of the tables (`#CMD=...#`) had a part is kept only this long: the command may say
/// something else next time, but a node that asks twice while it boots costs one run.
const COMMAND_MEMORY: Duration = Duration::from_secs(5);

/// Everything one node is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The node.
    pub node: String,
    /// Its image.
    pub image: Option<String>,
    /// What the option words mean: `2010` or `current`.
    pub dialect: String,
    /// `OPTION PATH`, sorted by path, or why there is nothing.
    pub litefile: Result<Vec<String>, String>,
    /// `SERVER:DIR`, in the order of priority, or why there is nothing.
    pub litetree: Result<Vec<String>, String>,
    /// Where its persistent state is kept.
    pub statemnt: Option<String>,
}

impl Answer {
    /// Computes it. May run commands of the tables: not for asynchronous threads.
    #[must_use]
    pub fn compute(world: &World, node: &str) -> Self {
        let site = world.about(node);
        let policy = resolve::policy(&site, node);
        let statemnt = policy.ok().and_then(|policy| policy.statemnt);
        Self {
            node: node.to_owned(),
            image: resolve::image_of(&site, node).ok(),
            dialect: resolve::dialect(&site).to_string(),
            litefile: super::lines::litefile(&site, node),
            litetree: super::lines::litetree(&site, node),
            statemnt: statemnt.map(|source| source.to_string()),
        }
    }

    /// Changes exactly when something the node is told does: SHA-256, in hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        let bytes = Sha256::digest(&text);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn bytes(&self) -> usize {
        let lines = |lines: &Result<Vec<String>, String>| match lines {
            Ok(lines) => lines.iter().map(|line| line.len() + 24).sum(),
            Err(text) => text.len(),
        };
        256 + lines(&self.litefile) + lines(&self.litetree)
    }
}

/// Answers of the present generation.
#[derive(Debug)]
pub struct Cache {
    most_bytes: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    generation: u64,
    bytes: usize,
    entries: LruCache<String, Entry>,
    hits: u64,
    computed: u64,
}

#[derive(Debug)]
struct Entry {
    answer: Arc<Known>,
    until: Option<Instant>,
}

/// An answer with its digest.
#[derive(Debug, PartialEq, Eq)]
pub struct Known {
    /// The answer.
    pub answer: Answer,
    /// Its digest.
    pub digest: String,
}

impl Cache {
    /// Keeps at most so many answers, in so much memory.
    #[must_use]
    pub fn new(answers: usize, most_bytes: usize) -> Self {
        let answers = NonZeroUsize::new(answers).unwrap_or(NonZeroUsize::MIN);
        Self {
            most_bytes,
            state: Mutex::new(State {
                generation: 0,
                bytes: 0,
                entries: LruCache::new(answers),
                hits: 0,
                computed: 0,
            }),
        }
    }

    /// The node's answer in this world, if it is kept.
    #[must_use]
    pub fn get(&self, world: &World, node: &str) -> Option<Arc<Known>> {
        let mut state = self.state.lock();
        if state.generation != world.generation() {
            return None;
        }
        let entry = state.entries.get(node)?;
        if entry.until.is_some_and(|until| until <= Instant::now()) {
            return None;
        }
        let answer = Arc::clone(&entry.answer);
        state.hits += 1;
        Some(answer)
    }

    /// The node's answer, computed if it is not kept. Blocks.
    #[must_use]
    pub fn answer(&self, world: &World, node: &str) -> Arc<Known> {
        if let Some(known) = self.get(world, node) {
            return known;
        }
        let answer = Answer::compute(world, node);
        let digest = answer.digest();
        let known = Arc::new(Known { answer, digest });
        let until = runs_commands(world).then(|| Instant::now() + COMMAND_MEMORY);
        self.put(
            world.generation(),
            node,
            Entry {
                answer: Arc::clone(&known),
                until,
            },
        );
        known
    }

    /// How many answers were kept ready, and how many computed, since the start.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.hits, state.computed)
    }

    fn put(&self, generation: u64, node: &str, entry: Entry) {
        let mut state = self.state.lock();
        state.computed += 1;
        if generation < state.generation {
            return;
        }
        if generation > state.generation {
            state.entries.clear();
            state.bytes = 0;
            state.generation = generation;
        }
        state.bytes += entry.answer.answer.bytes();
        if let Some((_, old)) = state.entries.push(node.to_owned(), entry) {
            state.bytes = state.bytes.saturating_sub(old.answer.answer.bytes());
        }
        while state.bytes > self.most_bytes {
            let Some((_, old)) = state.entries.pop_lru() else {
                break;
            };
            state.bytes = state.bytes.saturating_sub(old.answer.answer.bytes());
        }
    }
}

/// Whether a directory of the tables is the output of a command.
fn runs_commands(world: &World) -> bool {
    let runs = |table: &'static crate::tables::Table, column| {
        let mut rows = world.site().live(table);
        rows.any(|row| {
            row.get(table, column)
                .is_some_and(|cell| cell.contains("#CMD="))
        })
    };
    runs(&LITETREE, "directory") || runs(&STATELITE, "statemnt")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::testing;

    #[test]
    fn a_node_is_told_its_rows() {
        let world = World::new(testing::site(), 1, false);
        let answer = Answer::compute(&world, "n01");
        let lines = answer.litefile.unwrap();
        for line in ["tmpfs         /etc/adjtime", "persistent    /var/log/"] {
            assert!(lines.iter().any(|one| one == line), "{line} in {lines:?}");
        }
        assert!(!lines.iter().any(|line| line.contains("/etc/none")));
        let trees = answer.litetree.unwrap();
        assert_eq!(trees, ["10.0.0.254:/statelite/n01", "cnfs:/gpfs/compute"]);
        assert_eq!(answer.statemnt.as_deref(), Some("cnfs:/state"));
        let without = Answer::compute(&world, "n03");
        assert!(without.litefile.unwrap_err().contains("nodetype.os"));
    }

    #[test]
    fn the_digest_follows_what_the_node_is_told() {
        let mut site = testing::site();
        let before = World::new(site.clone(), 1, false);
        let extra = testing::row(
            &crate::tables::schema::LITEFILE,
            "image=other file=/x options=tmpfs",
        );
        site.add(&crate::tables::schema::LITEFILE, extra);
        let same = World::new(site.clone(), 2, false);
        let extra = testing::row(
            &crate::tables::schema::LITEFILE,
            "image=img file=/y options=tmpfs",
        );
        site.add(&crate::tables::schema::LITEFILE, extra);
        let other = World::new(site, 3, false);
        let digest = |world| Answer::compute(world, "n01").digest();
        assert_eq!(digest(&before), digest(&same));
        assert_ne!(digest(&before), digest(&other));
        assert_eq!(digest(&before).len(), 64);
    }

    #[test]
    fn answers_are_kept_within_bounds_and_one_generation() {
        let world = World::new(testing::site(), 1, false);
        let cache = Cache::new(2, 1 << 20);
        for node in ["n01", "n02", "n01", "n03"] {
            let _ = cache.answer(&world, node);
        }
        assert_eq!(cache.counts(), (1, 3));
        assert!(cache.get(&world, "n02").is_none(), "the least used went");
        let next = World::new(testing::site(), 2, false);
        assert!(cache.get(&next, "n01").is_none());
        let small = Cache::new(100, 1);
        let _ = small.answer(&world, "n01");
        assert_eq!(small.state.lock().bytes, 0, "too large to keep");
    }
}
