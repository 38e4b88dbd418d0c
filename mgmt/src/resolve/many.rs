//! Many nodes at once: a command in a table may take seconds for each.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many nodes are resolved at a time.
pub const AT_ONCE: usize = 16;

/// The result for each item, in their order; at most [`AT_ONCE`] are computed at a time.
pub fn map<T: Sync, R: Send>(items: &[T], compute: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            match items.get(place) {
                Some(item) => done.push((place, compute(item))),
                None => return done,
            }
        }
    };
    let mut done = std::thread::scope(|scope| {
        let workers: Vec<_> = (1..AT_ONCE.min(items.len()))
            .map(|_| scope.spawn(worker))
            .collect();
        let mut done = worker();
        for other in workers {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn results_are_in_order_and_items_run_side_by_side() {
        for count in [0, 1, 2, 100] {
            let items: Vec<usize> = (0..count).collect();
            let doubled: Vec<usize> = (0..count).map(|item| item * 2).collect();
            assert_eq!(map(&items, |item| item * 2), doubled);
        }
        // Every one waits for all others.
        let barrier = Barrier::new(AT_ONCE);
        let items: Vec<usize> = (0..AT_ONCE).collect();
        let leaders = map(&items, |_| barrier.wait().is_leader());
        assert_eq!(leaders.into_iter().filter(|leader| *leader).count(), 1);
    }
}
