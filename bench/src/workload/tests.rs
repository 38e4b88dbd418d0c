#![allow(clippy::unwrap_used)]
use super::*;

#[test]
fn names_are_unique_and_loops_bear_their_row_name() {
    let mut names = names();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
    for row in rows() {
        if let Job::Loop(op) = row.job {
            assert_eq!(op.word(), row.name);
        }
    }
}

#[test]
fn units_turn_seconds_into_numbers() {
    let cases = [
        (Unit::Seconds, 2.0, 5, 2.0),
        (Unit::MicrosPerOp, 2.0, 1_000_000, 2.0),
        (Unit::KiloOps, 2.0, 8_000, 4.0),
        (Unit::Megabytes, 0.5, 1_000_000, 2.0),
        (Unit::Mib, 33.0, 7, 33.0),
    ];
    for (unit, found, amount, value) in cases {
        assert!((unit.value(found, amount) - value).abs() < 1e-9, "{unit:?}");
    }
}

#[test]
fn the_best_run_depends_on_the_unit() {
    assert_eq!(Unit::Seconds.best(&[2.0, 1.0, 3.0]), Some(1.0));
    assert_eq!(Unit::Megabytes.best(&[2.0, 1.0, 3.0]), Some(3.0));
    assert_eq!(Unit::Seconds.best(&[]), None);
}

#[test]
fn goals_do_not_hold_for_the_first_run() {
    let walk = rows().into_iter().find(|row| row.name == "walk").unwrap();
    assert_eq!(walk.goal_in(Phase::First), None);
    assert_eq!(walk.goal_in(Phase::Warm), Some(1.4));
}

#[test]
fn rows_that_drop_caches_come_last() {
    let rows = rows();
    let first = rows.iter().position(Row::drops_caches).unwrap();
    assert!(rows.iter().skip(first).all(Row::drops_caches));
}
