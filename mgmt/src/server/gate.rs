//! How many connections there are, in all and per address, and who may still come in.
//!
//! A connection over the limit is closed at once: a client that is turned away knows it and tries again, and nothing is
//! kept for it.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Counts the connections of one port.
#[derive(Debug)]
pub struct Gate {
    most: usize,
    per_peer: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: usize,
    peers: HashMap<IpAddr, usize>,
    turned_away: u64,
}

/// The right to be connected; given back when dropped.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
    peer: IpAddr,
}

impl Gate {
    /// A gate for `most` connections in all and `per_peer` of one address.
    #[must_use]
    pub fn new(most: usize, per_peer: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            per_peer,
            state: Mutex::default(),
        })
    }

    /// Lets a connection in, or not.
    #[must_use]
    pub fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Pass> {
        let mut state = self.state.lock();
        let theirs = state.peers.get(&peer).copied().unwrap_or(0);
        if state.open >= self.most || theirs >= self.per_peer {
            state.turned_away += 1;
            return None;
        }
        state.open += 1;
        state.peers.insert(peer, theirs + 1);
        Some(Pass {
            gate: Arc::clone(self),
            peer,
        })
    }

    /// Whether more than three quarters of the places are taken.
    #[must_use]
    pub fn crowded(&self) -> bool {
        self.open() > self.most / 4 * 3
    }

    /// How many are connected.
    #[must_use]
    pub fn open(&self) -> usize {
        self.state.lock().open
    }

    /// How many were turned away since the start.
    #[must_use]
    pub fn turned_away(&self) -> u64 {
        self.state.lock().turned_away
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock();
        state.open = state.open.saturating_sub(1);
        match state.peers.get_mut(&self.peer) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                state.peers.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all() {
        let [a, b] = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let gate = Gate::new(3, 2);
        let first = gate.enter(a).unwrap();
        let _second = gate.enter(a).unwrap();
        assert!(gate.enter(a).is_none());
        let _third = gate.enter(b).unwrap();
        assert!(gate.enter(b).is_none(), "all are taken");
        drop(first);
        assert!(gate.enter(b).is_some());
        assert_eq!((gate.open(), gate.turned_away()), (2, 2));
    }

    #[test]
    fn nothing_is_kept_of_those_who_left() {
        let gate = Gate::new(10, 10);
        for last in 0..=255u8 {
            drop(gate.enter(IpAddr::from([10, 0, 0, last])));
        }
        assert!(gate.state.lock().peers.is_empty());
    }
}
