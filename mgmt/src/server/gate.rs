//! How many connections there are, in all and per address, and who may still come in.
//!
//! An address over its limit is turned away at once: the client knows it and tries again, and nothing is kept for it.
//! When every place is taken, the oldest connection that has not yet shown itself worth its place gives it up: those that
//! begin TLS and say no more are always older than a node that is about to ask.

use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::Notify;

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
    /// Connections that may be asked to go, the oldest first.
    guests: BTreeMap<u64, Arc<Notify>>,
    next: u64,
    turned_away: u64,
    sent_away: u64,
}

/// The right to be connected; given back when dropped.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
    peer: IpAddr,
    number: u64,
    go: Arc<Notify>,
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
        if theirs >= self.per_peer || !state.make_room(self.most) {
            state.turned_away += 1;
            return None;
        }
        let go = Arc::new(Notify::new());
        let number = state.next;
        state.next += 1;
        state.open += 1;
        state.peers.insert(peer, theirs + 1);
        state.guests.insert(number, Arc::clone(&go));
        Some(Pass {
            gate: Arc::clone(self),
            peer,
            number,
            go,
        })
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

    /// How many had to go for a newer one since the start.
    #[must_use]
    pub fn sent_away(&self) -> u64 {
        self.state.lock().sent_away
    }
}

impl State {
    /// Whether one more fits. Those who are asked to go still count until they are gone; an eighth more may be in
    /// for that moment.
    fn make_room(&mut self, most: usize) -> bool {
        if self.open < most {
            return true;
        }
        if self.open > most + most / 8 {
            return false;
        }
        match self.guests.pop_first() {
            Some((_, go)) => {
                self.sent_away += 1;
                go.notify_one();
                true
            }
            None => false,
        }
    }
}

impl Pass {
    /// Resolves when the place is wanted by somebody else.
    pub async fn wanted(&self) {
        self.go.notified().await;
    }

    /// From now on the connection is not asked to go.
    pub fn stay(&self) {
        self.gate.state.lock().guests.remove(&self.number);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock();
        state.open = state.open.saturating_sub(1);
        state.guests.remove(&self.number);
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
        drop(first);
        assert!(gate.enter(a).is_some());
        assert_eq!((gate.open(), gate.turned_away()), (2, 1));
    }

    #[tokio::test]
    async fn the_oldest_guest_goes_when_all_places_are_taken() {
        let gate = Gate::new(2, 9);
        let peer = IpAddr::from([10, 0, 0, 1]);
        let [resident, guest] = [gate.enter(peer).unwrap(), gate.enter(peer).unwrap()];
        resident.stay();
        let newer = gate.enter(peer).unwrap();
        guest.wanted().await;
        assert_eq!(gate.sent_away(), 1);
        assert!(gate.enter(peer).is_none(), "the guest has not gone yet");
        drop(guest);
        newer.stay();
        assert!(gate.enter(peer).is_none(), "only residents are left");
        drop(resident);
        assert!(gate.enter(peer).is_some());
    }

    #[test]
    fn nothing_is_kept_of_those_who_left() {
        let gate = Gate::new(10, 10);
        for last in 0..=255u8 {
            drop(gate.enter(IpAddr::from([10, 0, 0, last])));
        }
        let state = gate.state.lock();
        assert!(state.peers.is_empty() && state.guests.is_empty());
    }
}
