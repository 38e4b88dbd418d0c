//! `/proc/self/mountstats`: what NFS mounts asked of their servers.

use std::collections::BTreeMap;
use std::ops::Sub;

use serde::{Deserialize, Serialize};

/// Calls and bytes, summed over mounts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Calls by operation.
    pub calls: BTreeMap<String, u64>,
    /// Bytes sent, headers of RPC included.
    pub sent: u64,
    /// Bytes received, headers of RPC included.
    pub received: u64,
}

impl Traffic {
    /// The sum over all NFS mounts of the text. A mount that is listed twice (a clone of another) counts once: mounts
    /// of one server and directory share their counters.
    pub fn parse(text: &str) -> Self {
        let mut sum = Self::default();
        let mut seen = Vec::new();
        let mut skip = true;
        let mut in_ops = false;
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let ["device", device, "mounted", "on", ..] = words.as_slice() {
                in_ops = false;
                let nfs = line.contains(" fstype nfs");
                skip = !nfs || seen.contains(&(*device).to_owned());
                if nfs {
                    seen.push((*device).to_owned());
                }
            } else if line.trim() == "per-op statistics" {
                in_ops = true;
            } else if in_ops && !skip {
                sum.add(&words);
            }
        }
        sum
    }

    /// One line: `READ: calls transmissions timeouts sent received ...`.
    fn add(&mut self, words: &[&str]) {
        let [name, calls, _, _, sent, received, ..] = words else {
            return;
        };
        let number = |text: &str| text.parse::<u64>().unwrap_or(0);
        let (Some(name), calls) = (name.strip_suffix(':'), number(calls)) else {
            return;
        };
        if calls > 0 {
            *self.calls.entry(name.to_owned()).or_default() += calls;
        }
        self.sent += number(sent);
        self.received += number(received);
    }

    /// All calls.
    pub fn total(&self) -> u64 {
        self.calls.values().sum()
    }
}

impl Sub<&Traffic> for &Traffic {
    type Output = Traffic;

    /// What came between two readings.
    fn sub(self, before: &Traffic) -> Traffic {
        let calls = self.calls.iter().map(|(name, calls)| {
            let earlier = before.calls.get(name).copied().unwrap_or(0);
            (name.clone(), calls.saturating_sub(earlier))
        });
        Traffic {
            calls: calls.filter(|(_, calls)| *calls > 0).collect(),
            sent: self.sent.saturating_sub(before.sent),
            received: self.received.saturating_sub(before.received),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TEXT: &str = "\
device proc mounted on /proc with fstype proc
device 10.0.2.2:/rootimg mounted on /lower with fstype nfs statvers=1.1
\topts:\tro,vers=3
\tbytes:\t1 2 3 4 5 6 7 8
\tper-op statistics
\t        NULL: 1 1 0 44 24 0 0 0 0
\t     GETATTR: 10 10 0 1000 1120 0 3 4 0
\t        READ: 5 5 0 700 66000 0 12 15 0
device 10.0.2.2:/rootimg mounted on /other with fstype nfs statvers=1.1
\tper-op statistics
\t     GETATTR: 10 10 0 1000 1120 0 3 4 0
device 10.0.2.2:/state mounted on /p with fstype nfs4 statvers=1.1
\tper-op statistics
\t     GETATTR: 2 2 0 200 240 0 3 4 0
";

    #[test]
    fn mounts_are_summed_and_clones_counted_once() {
        let traffic = Traffic::parse(TEXT);
        assert_eq!(traffic.calls["GETATTR"], 12);
        assert_eq!(traffic.total(), 18);
        assert_eq!((traffic.sent, traffic.received), (1944, 67_384));
    }

    #[test]
    fn differences() {
        let after = Traffic::parse(TEXT);
        let mut before = after.clone();
        before.calls.insert("GETATTR".to_owned(), 2);
        before.sent = 944;
        let between = &after - &before;
        assert_eq!(between.calls["GETATTR"], 10);
        assert!(!between.calls.contains_key("READ"));
        assert_eq!(between.sent, 1000);
    }
}
