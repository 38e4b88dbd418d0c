//! A small report that the tests of table, JSON and chart share, and tests of its arithmetic.
#![allow(clippy::unwrap_used)]
use std::path::PathBuf;

use super::*;
use crate::workload::rows;

/// Two rounds of two rows on the bare directory, the rival, and ours.
pub fn sample() -> Report {
    let row = |name: &str| rows().into_iter().find(|row| row.name == name).unwrap();
    let times = |a: f64, b: f64| (vec![vec![a, a * 2.0], vec![b]], None);
    let walk = vec![times(0.1, 0.2), times(0.3, 0.6), times(0.12, 0.26)];
    let seq = vec![
        times(2500.0, 5000.0),
        times(1000.0, 4000.0),
        (vec![vec![], vec![]], Some("exit status: 1".into())),
    ];
    let target = |name, ours| Target {
        name,
        about: "",
        version: "1".into(),
        ours,
    };
    Report {
        machine: Machine {
            kernel: "6.18".into(),
            cpus: 2,
            ..Machine::default()
        },
        rounds: 2,
        scale: Scale::QUICK,
        tree: Tree {
            dir: PathBuf::from("/t"),
            small_files: vec![],
        },
        targets: vec![
            target("bare", false),
            target("fuse-overlayfs", false),
            target("statelitefs", true),
        ],
        missing: vec![Missing {
            target: "mergerfs",
            why: "no network & no luck".into(),
        }],
        suites: vec![Suite {
            pinned: true,
            lines: vec![
                Line::new(&row("walk"), Phase::Warm, walk),
                Line::new(&row("seq"), Phase::Warm, seq),
            ],
            counters: BTreeMap::new(),
        }],
    }
}

#[test]
fn ratios_are_those_of_the_same_round() {
    let report = sample();
    let line = report.suites.first().unwrap().lines.first().unwrap();
    let ratios: Vec<f64> = line
        .cells
        .iter()
        .map(|cell| cell.ratio.unwrap().median)
        .collect();
    for (found, expected) in ratios.iter().zip([1.0, 3.0, 1.25]) {
        assert!((found - expected).abs() < 1e-9, "{ratios:?}");
    }
}

#[test]
fn more_is_better_for_throughput() {
    let report = sample();
    let line = report.suites.first().unwrap().lines.last().unwrap();
    let rival = line.cells.get(1).unwrap();
    assert!(
        (rival.ratio.unwrap().median - 0.6).abs() < 1e-9,
        "{:?}",
        rival.ratio
    );
    assert_eq!(line.reaches_goal(rival), Some(false));
    assert!((line.slowdown(rival).unwrap() - 1.0 / 0.6).abs() < 1e-9);
}

#[test]
fn a_failed_row_misses_its_goal_and_is_behind() {
    let report = sample();
    let verdicts = report.verdicts(report.suites.first().unwrap());
    let expected = Verdict {
        target: "statelitefs",
        goals: (1, 2),
        missed: vec!["seq warm".into()],
        ahead: (1, 2),
        behind: vec!["seq warm".into()],
    };
    assert_eq!(verdicts, [expected]);
}
