//! What a run of `statelite-bench nfs` comes to.

use serde::{Deserialize, Serialize};

use super::mountstats::Traffic;
use crate::machine::Machine;

/// Everything that was found.
#[derive(Debug, Serialize, Deserialize)]
pub struct NfsReport {
    /// Where the virtual machines ran.
    pub machine: Machine,
    /// What was measured, for people.
    pub about: Vec<String>,
    /// One for each mode and NFS version, in the order measured.
    pub runs: Vec<Run>,
    /// What was asked for and could not be measured, with the reason.
    pub missing: Vec<String>,
}

/// One node in one mode, from its mount to the end of its idle phase.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// The mode's name.
    pub mode: String,
    /// NFS version, `3` or `4.1`.
    pub nfs: String,
    /// Kernel release of the node.
    pub kernel: String,
    /// The phases in order.
    pub phases: Vec<Phase>,
    /// Bytes of RAM used by tmpfs at multi-user.
    pub tmpfs_bytes: u64,
    /// The daemon at the end, if the mode has one.
    pub daemon: Option<Daemon>,
}

/// A stretch of a node's life.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Phase {
    /// `boot`, `work`, `policy paths`, `policy paths again`, `idle`.
    pub name: String,
    /// NFS traffic.
    pub traffic: Traffic,
    /// Seconds on the clock of the node.
    pub wall: f64,
    /// Seconds of CPU time of the node, user and system.
    pub cpu: f64,
}

/// What the daemon costs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Daemon {
    /// Resident memory in KiB.
    pub rss_kib: u64,
    /// CPU time since its start, in seconds.
    pub cpu: f64,
}

impl NfsReport {
    /// The names of all phases, in the order of the first run that has them.
    pub fn phases(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for phase in self.runs.iter().flat_map(|run| &run.phases) {
            if !names.contains(&phase.name.as_str()) {
                names.push(&phase.name);
            }
        }
        names
    }

    /// The NFS versions, in order.
    pub fn versions(&self) -> Vec<&str> {
        let mut versions: Vec<&str> = Vec::new();
        for run in &self.runs {
            if !versions.contains(&run.nfs.as_str()) {
                versions.push(&run.nfs);
            }
        }
        versions
    }

    /// All operations, those with most calls first.
    pub fn operations(&self) -> Vec<String> {
        let mut sums = std::collections::BTreeMap::<&str, u64>::new();
        for phase in self.runs.iter().flat_map(|run| &run.phases) {
            for (name, calls) in &phase.traffic.calls {
                *sums.entry(name).or_default() += calls;
            }
        }
        let mut all: Vec<_> = sums.into_iter().collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        all.into_iter().map(|(name, _)| name.to_owned()).collect()
    }
}

impl Run {
    /// The phase of this name.
    pub fn phase(&self, name: &str) -> Option<&Phase> {
        self.phases.iter().find(|phase| phase.name == name)
    }
}

/// One run for each mode and NFS version, in the order in which they first came: phase by phase the one with the
/// median number of calls, and the median of what it took of RAM.
pub fn medians(all: &[Run]) -> Vec<Run> {
    let mut merged: Vec<Run> = Vec::new();
    for first in all {
        let same = |run: &&Run| run.mode == first.mode && run.nfs == first.nfs;
        if merged.iter().any(|run| same(&run)) {
            continue;
        }
        let runs: Vec<&Run> = all.iter().filter(same).collect();
        let mut run = first.clone();
        for phase in &mut run.phases {
            let name = phase.name.clone();
            let phases = runs.iter().filter_map(|run| run.phase(&name));
            let found = middle(phases.collect(), |phase: &&Phase| phase.traffic.total());
            if let Some(found) = found.cloned() {
                *phase = found;
            }
        }
        let sizes = runs.iter().map(|run| run.tmpfs_bytes).collect();
        run.tmpfs_bytes = middle(sizes, |size| *size).unwrap_or(run.tmpfs_bytes);
        let daemons = runs.iter().filter_map(|run| run.daemon.clone()).collect();
        run.daemon = middle(daemons, |daemon: &Daemon| daemon.rss_kib);
        merged.push(run);
    }
    merged
}

/// The one in the middle; of an even number the lower of both.
fn middle<T>(mut all: Vec<T>, key: impl Fn(&T) -> u64) -> Option<T> {
    all.sort_by_key(key);
    let at = all.len().checked_sub(1)? / 2;
    all.into_iter().nth(at)
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Two modes with two phases.
    pub fn sample() -> NfsReport {
        let phase = |name: &str, calls: &[(&str, u64)]| Phase {
            name: name.to_owned(),
            traffic: Traffic {
                calls: calls.iter().map(|(n, c)| ((*n).to_owned(), *c)).collect(),
                sent: 1000,
                received: 2_000_000,
            },
            wall: 10.5,
            cpu: 7.25,
        };
        let run = |mode: &str, factor: u64, daemon| Run {
            mode: mode.to_owned(),
            nfs: "3".to_owned(),
            kernel: "6.12".to_owned(),
            phases: vec![
                phase("boot", &[("GETATTR", 10 * factor), ("READ", 7 * factor)]),
                phase("idle", &[("GETATTR", factor)]),
            ],
            tmpfs_bytes: 3 << 20,
            daemon,
        };
        let daemon = Daemon {
            rss_kib: 9000,
            cpu: 1.5,
        };
        NfsReport {
            machine: Machine::default(),
            about: vec!["a sample".to_owned()],
            runs: vec![
                run("overlayfs", 2, None),
                run("statelitefs", 1, Some(daemon)),
            ],
            missing: vec!["links 2010: <no image>".to_owned()],
        }
    }

    #[test]
    fn operations_are_sorted_by_weight() {
        assert_eq!(sample().operations(), ["GETATTR", "READ"]);
        assert_eq!(sample().phases(), ["boot", "idle"]);
        assert_eq!(sample().versions(), ["3"]);
    }

    #[test]
    fn of_three_rounds_the_median_is_told() {
        let mut all = Vec::new();
        for factor in [3, 1, 2] {
            let mut runs = sample().runs;
            for run in &mut runs {
                for calls in run
                    .phases
                    .iter_mut()
                    .flat_map(|p| p.traffic.calls.values_mut())
                {
                    *calls *= factor;
                }
                run.tmpfs_bytes *= factor;
            }
            all.extend(runs);
        }
        let runs = medians(&all);
        assert_eq!(runs.len(), 2);
        let told: Vec<u64> = runs
            .iter()
            .map(|r| r.phase("boot").unwrap().traffic.total())
            .collect();
        assert_eq!(told, [68, 34]);
        assert_eq!(runs[0].tmpfs_bytes, 6 << 20);
    }
}
