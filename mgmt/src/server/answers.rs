//! What one node is told, computed once per generation and kept within bounds.

use super::world::World;
use crate::resolve;
use crate::resolve::answer::{Answer, answer};
use lru::LruCache;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use statelite_policy::Dialect;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An answer in which a command of the tables (`#CMD=...#`) had a part is kept only this long: the command may say
/// something else next time, but a node that asks twice while it boots costs one run.
const COMMAND_MEMORY: Duration = Duration::from_secs(5);

/// Everything one node is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The node.
    pub node: String,
    /// Its image.
    pub image: String,
    /// What the option words mean.
    pub dialect: Dialect,
    /// The lines.
    pub answer: Answer,
    /// Changes exactly when one of the above does: SHA-256, in hexadecimal digits.
    pub digest: String,
}

/// What a node is told, or why it is told nothing.
pub type Outcome = Result<Known, String>;

impl Known {
    /// Computes it. May run commands of the tables: not for asynchronous threads.
    ///
    /// # Errors
    /// Why the node has no policy, for people.
    pub fn compute(world: &World, node: &str) -> Outcome {
        let site = world.about(node);
        let image = resolve::image_of(&site, node).map_err(|error| error.to_string())?;
        let answer = answer(&site, node).map_err(|error| error.to_string())?;
        let dialect = resolve::dialect(&site);
        let text = format!("{node}\n{image}\n{dialect}\n{}\n", answer.digest());
        let bytes = Sha256::digest(text.as_bytes());
        Ok(Self {
            node: node.to_owned(),
            digest: bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            image,
            dialect,
            answer,
        })
    }
}

/// About how much memory it takes, bytes.
fn bytes(outcome: &Outcome) -> usize {
    let lines = |lines: &[String]| lines.iter().map(|line| line.len() + 24).sum::<usize>();
    512 + match outcome {
        Ok(known) => lines(&known.answer.litefile) + lines(&known.answer.litetree),
        Err(text) => text.len(),
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
    answer: Arc<Outcome>,
    until: Option<Instant>,
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
    pub fn get(&self, world: &World, node: &str) -> Option<Arc<Outcome>> {
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
    pub fn answer(&self, world: &World, node: &str) -> Arc<Outcome> {
        if let Some(known) = self.get(world, node) {
            return known;
        }
        let known = Arc::new(Known::compute(world, node));
        let until = world
            .runs_commands()
            .then(|| Instant::now() + COMMAND_MEMORY);
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
        state.bytes += bytes(&entry.answer);
        if let Some((_, old)) = state.entries.push(node.to_owned(), entry) {
            state.bytes = state.bytes.saturating_sub(bytes(&old.answer));
        }
        while state.bytes > self.most_bytes {
            let Some((_, old)) = state.entries.pop_lru() else {
                break;
            };
            state.bytes = state.bytes.saturating_sub(bytes(&old.answer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::testing;

    #[test]
    fn a_node_is_told_its_rows() {
        let world = World::new(testing::site(), 1, false);
        let known = Known::compute(&world, "n01").unwrap();
        let lines = known.answer.litefile;
        for line in ["tmpfs         /etc/adjtime", "persistent    /var/log/"] {
            assert!(lines.iter().any(|one| one == line), "{line} in {lines:?}");
        }
        assert!(!lines.iter().any(|line| line.contains("/etc/none")));
        let trees = known.answer.litetree;
        assert_eq!(trees, ["10.0.0.254:/statelite/n01", "cnfs:/gpfs/compute"]);
        assert_eq!(known.answer.statemnt.as_deref(), Some("cnfs:/state"));
        let without = Known::compute(&world, "n03").unwrap_err();
        assert!(without.contains("nodetype.os"), "{without}");
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
        let digest = |world| Known::compute(world, "n01").unwrap().digest;
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
