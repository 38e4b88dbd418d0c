//! What has to be written so that a table has these rows in this order: as little as possible.
//!
//! Rows are the same row when their keys are equal. A place is a number; new rows get numbers between those of their
//! neighbours, so that inserting one moves no other. Only when there is no number left, all rows are numbered again.

use super::backend::Stored;
use crate::tables::{Row, Table};
use std::collections::{HashMap, VecDeque};

/// Distance between the places of rows that are added at the end: many can be put between two later.
const STRIDE: i64 = 1 << 20;

/// What has to be written.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct Diff<'a> {
    /// Place and row.
    pub(super) added: Vec<(i64, &'a Row)>,
    /// Identity, place and row.
    pub(super) changed: Vec<(i64, i64, &'a Row)>,
    /// Identities.
    pub(super) removed: Vec<i64>,
}

impl Diff<'_> {
    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// What turns `old` into `new`.
pub(super) fn diff<'a>(table: &Table, old: &[Stored], new: &'a [Row]) -> Diff<'a> {
    let mut known: HashMap<Vec<&str>, VecDeque<&Stored>> = HashMap::new();
    for stored in old {
        let key = stored.row.key(table);
        known.entry(key).or_default().push_back(stored);
    }
    let mut pairs: Vec<(&'a Row, Option<&Stored>)> = Vec::with_capacity(new.len());
    for row in new {
        let key: Vec<&str> = row.key(table);
        pairs.push((
            row,
            known.get_mut(key.as_slice()).and_then(VecDeque::pop_front),
        ));
    }
    let orders: Vec<_> = pairs
        .iter()
        .map(|(_, stored)| stored.map(|stored| stored.order))
        .collect();
    let places = places(&orders);
    let mut diff = Diff::default();
    for ((row, stored), place) in pairs.into_iter().zip(places) {
        match stored {
            None => diff.added.push((place, row)),
            Some(stored) if stored.order != place || stored.row != *row => {
                diff.changed.push((stored.id, place, row));
            }
            Some(_) => {}
        }
    }
    diff.removed = known
        .into_values()
        .flatten()
        .map(|stored| stored.id)
        .collect();
    diff.removed.sort_unstable();
    diff
}

/// A place for every row; those it has now are kept as far as they ascend.
fn places(orders: &[Option<i64>]) -> Vec<i64> {
    let mut places: Vec<i64> = Vec::with_capacity(orders.len());
    let mut last = 0;
    let mut waiting = 0;
    for order in orders {
        match *order {
            Some(order) if order > last => {
                let Some(between) = spread(last, order, waiting) else {
                    return renumbered(orders.len());
                };
                places.extend(between);
                places.push(order);
                (last, waiting) = (order, 0);
            }
            _ => waiting += 1,
        }
    }
    let end = last.saturating_add(STRIDE.saturating_mul(waiting + 1));
    match spread(last, end, waiting) {
        Some(between) => places.extend(between),
        None => return renumbered(orders.len()),
    }
    places
}

/// `count` numbers between two others, or nothing when there are not so many.
fn spread(low: i64, high: i64, count: i64) -> Option<impl Iterator<Item = i64>> {
    let step = high.checked_sub(low)? / (count + 1);
    (step > 0 || count == 0).then(|| (1..=count).map(move |n| low + n * step))
}

fn renumbered(count: usize) -> Vec<i64> {
    (1..).map(|n: i64| n * STRIDE).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::schema::SITE;
    use proptest::prelude::*;

    fn row(key: &str, value: &str) -> Row {
        Row::new(&SITE)
            .with(&SITE, "key", key)
            .with(&SITE, "value", value)
    }

    /// What a database does with a diff.
    fn apply(old: &[Stored], diff: &Diff<'_>) -> Vec<Stored> {
        let mut rows = old.to_vec();
        rows.retain(|stored| !diff.removed.contains(&stored.id));
        for (id, order, row) in &diff.changed {
            let stored = rows.iter_mut().find(|stored| stored.id == *id).unwrap();
            (stored.order, stored.row) = (*order, (*row).clone());
        }
        let next = old.iter().map(|stored| stored.id).max().unwrap_or(0) + 1;
        for (id, (order, row)) in (next..).zip(&diff.added) {
            rows.push(Stored {
                id,
                order: *order,
                row: (*row).clone(),
            });
        }
        rows.sort_by_key(|stored| stored.order);
        rows
    }

    fn stored(rows: &[Row]) -> Vec<Stored> {
        apply(&[], &diff(&SITE, &[], rows))
    }

    #[test]
    fn a_row_in_the_middle_moves_no_other() {
        let old = stored(&[row("a", "1"), row("c", "1")]);
        let new = [row("a", "1"), row("b", "1"), row("c", "2")];
        let diff = diff(&SITE, &old, &new);
        assert_eq!(diff.added.len(), 1);
        assert_eq!(diff.changed, [(old[1].id, old[1].order, &new[2])]);
        assert!(diff.removed.is_empty());
    }

    #[test]
    fn without_room_all_are_numbered_again() {
        let mut old = stored(&[row("a", ""), row("b", "")]);
        old[1].order = old[0].order + 1;
        let new = [row("a", ""), row("x", ""), row("b", "")];
        let diff = diff(&SITE, &old, &new);
        let rows: Vec<_> = apply(&old, &diff).into_iter().map(|s| s.row).collect();
        assert_eq!(rows, new);
    }

    proptest! {
        #[test]
        fn a_diff_gives_the_rows_in_their_order(
            old in proptest::collection::vec(("[a-f]", "[01]"), 0..8),
            new in proptest::collection::vec(("[a-f]", "[01]"), 0..8),
        ) {
            let rows = |list: &[(String, String)]| {
                list.iter().map(|(key, value)| row(key, value)).collect::<Vec<_>>()
            };
            let (old, new) = (stored(&rows(&old)), rows(&new));
            let first = diff(&SITE, &old, &new);
            let after = apply(&old, &first);
            let got: Vec<_> = after.iter().map(|stored| stored.row.clone()).collect();
            prop_assert_eq!(&got, &new);
            prop_assert!(diff(&SITE, &after, &new).is_empty());
        }
    }
}
