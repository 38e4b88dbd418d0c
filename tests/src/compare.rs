//! What a suite found, and the comparison with what it found on the bare store.

use std::collections::BTreeMap;
use std::time::Duration;

/// How one case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As it should.
    Passed,
    /// Not applicable here.
    Skipped(String),
    /// Otherwise, and how.
    Failed(String),
}

/// What one run of a suite found.
#[derive(Debug, Clone, Default)]
pub struct Results {
    /// By name of the case.
    pub cases: BTreeMap<String, Verdict>,
    /// Something could not be killed: what it ran on has to be aborted.
    pub stuck: bool,
    /// How long it took.
    pub elapsed: Duration,
}

impl Results {
    /// Notes a case. Of several verdicts for one name the worst stays.
    pub fn note(&mut self, name: impl Into<String>, verdict: Verdict) {
        let slot = self.cases.entry(name.into()).or_insert(Verdict::Passed);
        if rank(&verdict) >= rank(slot) {
            *slot = verdict;
        }
    }

    /// Takes in the cases of another run.
    pub fn merge(&mut self, other: Self) {
        for (name, verdict) in other.cases {
            self.note(name, verdict);
        }
        self.stuck |= other.stuck;
        self.elapsed = self.elapsed.max(other.elapsed);
    }

    /// How many passed, failed and were skipped.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        let of = |wanted: u8| {
            self.cases
                .values()
                .filter(|verdict| rank(verdict) == wanted)
                .count()
        };
        (of(0), of(2), of(1))
    }

    /// The failed cases.
    pub fn failed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.cases
            .iter()
            .filter_map(|(name, verdict)| match verdict {
                Verdict::Failed(why) => Some((name.as_str(), why.as_str())),
                _ => None,
            })
    }
}

fn rank(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Passed => 0,
        Verdict::Skipped(_) => 1,
        Verdict::Failed(_) => 2,
    }
}

/// A suite on a target, measured against the same suite on the bare store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// How many passed on the target.
    pub passed: usize,
    /// Failed, or never came up, on the target although the store passes it: name and reason.
    pub worse: Vec<(String, String)>,
    /// Fails on both.
    pub same: Vec<String>,
    /// Skipped on the target although the store passes it: a facility that the target lacks.
    pub lacking: Vec<(String, String)>,
    /// How many were skipped on the target, the lacking ones included.
    pub skipped: usize,
}

/// Compares.
#[must_use]
pub fn compare(store: &Results, target: &Results) -> Comparison {
    let mut comparison = Comparison::default();
    for (name, verdict) in &target.cases {
        let on_store = store.cases.get(name);
        match verdict {
            Verdict::Passed => comparison.passed += 1,
            Verdict::Skipped(why) => {
                comparison.skipped += 1;
                if on_store == Some(&Verdict::Passed) {
                    comparison.lacking.push((name.clone(), why.clone()));
                }
            }
            Verdict::Failed(_) if matches!(on_store, Some(Verdict::Failed(_))) => {
                comparison.same.push(name.clone())
            }
            Verdict::Failed(why) => comparison.worse.push((name.clone(), why.clone())),
        }
    }
    for (name, verdict) in &store.cases {
        if *verdict == Verdict::Passed && !target.cases.contains_key(name) {
            comparison
                .worse
                .push((name.clone(), "did not come up".to_owned()));
        }
    }
    comparison
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(cases: &[(&str, Verdict)]) -> Results {
        let mut results = Results::default();
        for (name, verdict) in cases {
            results.note(*name, verdict.clone());
        }
        results
    }

    fn failed() -> Verdict {
        Verdict::Failed("why".to_owned())
    }

    fn skipped() -> Verdict {
        Verdict::Skipped("because".to_owned())
    }

    #[test]
    fn only_what_the_store_passes_can_fail() {
        let store = results(&[
            ("a", Verdict::Passed),
            ("b", failed()),
            ("c", Verdict::Passed),
            ("e", skipped()),
        ]);
        let target = results(&[
            ("a", failed()),
            ("b", failed()),
            ("c", Verdict::Passed),
            ("e", skipped()),
        ]);
        let comparison = compare(&store, &target);
        assert_eq!((comparison.passed, comparison.skipped), (1, 1));
        assert_eq!(comparison.worse, [("a".to_owned(), "why".to_owned())]);
        assert_eq!(comparison.same, ["b"]);
        assert!(comparison.lacking.is_empty());
    }

    #[test]
    fn a_failure_where_the_store_skips_counts() {
        let comparison = compare(&results(&[("a", skipped())]), &results(&[("a", failed())]));
        assert_eq!(comparison.worse.len(), 1);
    }

    #[test]
    fn what_never_came_up_counts_and_what_is_lacking_is_told() {
        let store = results(&[
            ("a", Verdict::Passed),
            ("b", Verdict::Passed),
            ("c", failed()),
        ]);
        let comparison = compare(&store, &results(&[("b", skipped())]));
        assert_eq!(
            comparison.worse,
            [("a".to_owned(), "did not come up".to_owned())]
        );
        assert_eq!(comparison.lacking, [("b".to_owned(), "because".to_owned())]);
    }

    #[test]
    fn the_worst_verdict_of_a_name_stays() {
        let results = results(&[
            ("a", failed()),
            ("a", Verdict::Passed),
            ("b", Verdict::Passed),
            ("b", skipped()),
        ]);
        assert_eq!(results.counts(), (0, 1, 1));
    }
}
