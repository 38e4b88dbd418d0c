//! What a measurement comes to, and the three ways to show it.
//!
//! [`Report`] is the JSON document. The table and the chart show its medians.

pub mod json;
pub mod svg;
pub mod table;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::machine::Machine;
use crate::peers::{self, Missing};
use crate::stats::{self, Summary};
use crate::tree::{Scale, Tree};
use crate::workload::{Phase, Row, Unit};

/// Everything that was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// Rounds asked for.
    pub rounds: u32,
    /// How big the rows were.
    pub scale: Scale,
    /// On what.
    pub tree: Tree,
    /// The targets measured.
    pub targets: Vec<Target>,
    /// The targets asked for that could not be measured.
    pub missing: Vec<Missing>,
    /// Pinned, unpinned, or both in this order.
    pub suites: Vec<Suite>,
}

/// A target that was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Its version.
    pub version: String,
    /// Whether the goals are meant for it.
    pub ours: bool,
}

/// All rows, measured one way.
#[derive(Debug, Serialize)]
pub struct Suite {
    /// Caller and daemon on one CPU.
    pub pinned: bool,
    /// A line for each row and phase.
    pub lines: Vec<Line>,
    /// Our own counters after a row's first visit: target, row, what `statelitefs status --json` said.
    pub counters: BTreeMap<String, BTreeMap<String, serde_json::Value>>,
}

/// One row in one phase.
#[derive(Debug, Serialize)]
pub struct Line {
    /// The row.
    pub row: &'static str,
    /// What it does.
    pub about: &'static str,
    /// When.
    pub phase: Phase,
    /// What the numbers are.
    pub unit: &'static str,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// The ratio we want: at most, or at least if more is better.
    pub goal: Option<f64>,
    /// One for each target, in order.
    pub cells: Vec<Cell>,
}

/// One row in one phase on one target.
#[derive(Debug, Default, Serialize)]
pub struct Cell {
    /// All runs of each round; empty where there was none.
    pub samples: Vec<Vec<f64>>,
    /// Over the rounds' best runs.
    pub value: Option<Summary>,
    /// Over the rounds' ratios to the bare directory.
    pub ratio: Option<Summary>,
    /// Why there is no number.
    pub error: Option<String>,
}

impl Line {
    /// Makes a line of what was measured; the bare directory is the first target.
    pub fn new(row: &Row, phase: Phase, measured: Vec<(Vec<Vec<f64>>, Option<String>)>) -> Line {
        let best = |samples: &[Vec<f64>]| -> Vec<Option<f64>> {
            samples.iter().map(|runs| row.unit.best(runs)).collect()
        };
        let base = measured
            .first()
            .map(|(samples, _)| best(samples))
            .unwrap_or_default();
        let cells = measured.into_iter().map(|(samples, error)| {
            let ours = best(&samples);
            let values: Vec<f64> = ours.iter().copied().flatten().collect();
            let ratio = stats::summary(&stats::ratios(&ours, &base));
            Cell {
                value: stats::summary(&values),
                ratio,
                samples,
                error,
            }
        });
        Line {
            row: row.name,
            about: row.about,
            phase,
            unit: row.unit.name(),
            higher_is_better: row.unit.higher_is_better(),
            goal: row.goal_in(phase),
            cells: cells.collect(),
        }
    }

    /// Whether the cell reaches the goal; `None` without goal. A failed cell misses it.
    pub fn reaches_goal(&self, cell: &Cell) -> Option<bool> {
        let goal = self.goal?;
        let ratio = cell.ratio.map(|ratio| ratio.median);
        Some(ratio.is_some_and(|ratio| {
            if self.higher_is_better {
                ratio >= goal
            } else {
                ratio <= goal
            }
        }))
    }

    /// Whether `cell` is better than `other`; `None` if `other` has no number.
    pub fn ahead(&self, cell: &Cell, other: &Cell) -> Option<bool> {
        let other = other.ratio?.median;
        let own = cell.ratio.map(|ratio| ratio.median);
        Some(own.is_some_and(|own| {
            if self.higher_is_better {
                own > other
            } else {
                own < other
            }
        }))
    }

    /// How many times slower (or bigger) than the bare directory; below 1 is better.
    pub fn slowdown(&self, cell: &Cell) -> Option<f64> {
        let ratio = cell.ratio?.median;
        Some(if self.higher_is_better {
            1.0 / ratio
        } else {
            ratio
        })
    }

    /// Whether the numbers are whole MiB or MB/s and read better without decimals.
    pub fn unit_is_coarse(&self) -> bool {
        [
            Unit::Megabytes.name(),
            Unit::Mib.name(),
            Unit::KiloOps.name(),
        ]
        .contains(&self.unit)
    }
}

/// What our targets reached in one suite.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The target.
    pub target: &'static str,
    /// Goals reached, of how many.
    pub goals: (usize, usize),
    /// `row phase` of the goals missed.
    pub missed: Vec<String>,
    /// Lines on which it is ahead of the rival, of how many.
    pub ahead: (usize, usize),
    /// `row phase` of the lines on which it is not.
    pub behind: Vec<String>,
}

impl Report {
    /// What each of our targets reached.
    pub fn verdicts(&self, suite: &Suite) -> Vec<Verdict> {
        let rival = self
            .targets
            .iter()
            .position(|target| target.name == peers::RIVAL);
        let ours = self
            .targets
            .iter()
            .enumerate()
            .filter(|(_, target)| target.ours);
        ours.map(|(index, target)| {
            let judge = |reached: &dyn Fn(&Line, &Cell) -> Option<bool>| {
                let judged = suite
                    .lines
                    .iter()
                    .filter_map(|line| Some((line, reached(line, line.cells.get(index)?)?)));
                let judged: Vec<_> = judged.collect();
                let failed: Vec<String> = judged
                    .iter()
                    .filter(|(_, good)| !good)
                    .map(|(line, _)| line.title())
                    .collect();
                ((judged.len() - failed.len(), judged.len()), failed)
            };
            let (goals, missed) = judge(&|line, cell| line.reaches_goal(cell));
            let (ahead, behind) = judge(&|line, cell| line.ahead(cell, line.cells.get(rival?)?));
            Verdict {
                target: target.name,
                goals,
                missed,
                ahead,
                behind,
            }
        })
        .collect()
    }
}

impl Line {
    /// Row and phase.
    pub fn title(&self) -> String {
        format!("{} {}", self.row, self.phase)
    }
}

#[cfg(test)]
pub mod tests;
