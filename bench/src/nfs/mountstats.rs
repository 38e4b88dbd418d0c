//! `/proc/self/mountstats`: what NFS mounts asked of their servers.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Sub;

use anyhow::{Context, Result, bail, ensure};
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
    /// The sum over the NFS file systems of some processes, each given as the text of its `mountinfo` and of its
    /// `mountstats`. A file system counts once, however often it is mounted and in however many mount tables: its
    /// counters are the same everywhere. What `mountstats` calls a device does not tell file systems apart (a bind
    /// mount shows another directory there), so the device numbers of `mountinfo` do.
    ///
    /// # Errors
    /// When the two texts of a process do not list the same mounts, as after a mount between the readings.
    pub fn of(processes: &[(&str, &str)]) -> Result<Self> {
        let mut sum = Self::default();
        let mut seen = BTreeSet::new();
        for (info, stats) in processes {
            let mut mounts = info.lines().filter(|line| !line.trim().is_empty());
            let mut skip = true;
            let mut in_ops = false;
            for line in stats.lines() {
                let words: Vec<&str> = line.split_whitespace().collect();
                if let ["device", _, "mounted", "on", place, ..]
                | ["no", "device", "mounted", "on", place, ..] = words.as_slice()
                {
                    let mount = mounts.next().context("mountinfo is shorter")?;
                    let fields: Vec<&str> = mount.split(' ').collect();
                    let (Some(number), Some(at)) = (fields.get(2), fields.get(4)) else {
                        bail!("not a line of mountinfo: {mount}");
                    };
                    ensure!(
                        at == place,
                        "mountinfo has {at} where mountstats has {place}"
                    );
                    in_ops = false;
                    skip = !line.contains(" fstype nfs") || !seen.insert((*number).to_owned());
                } else if line.trim() == "per-op statistics" {
                    in_ops = true;
                } else if in_ops && !skip {
                    sum.add(&words);
                }
            }
        }
        Ok(sum)
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

    const INFO: &str = "\
21 1 0:20 / /proc rw shared:1 - proc proc rw
22 1 0:40 / /lower ro - nfs 10.0.2.2:/rootimg ro,vers=3
23 1 0:40 /etc/x /other ro - nfs 10.0.2.2:/rootimg ro,vers=3
24 1 0:41 / /p rw - nfs4 10.0.2.2:/state rw
";
    const STATS: &str = "\
device proc mounted on /proc with fstype proc
device 10.0.2.2:/rootimg mounted on /lower with fstype nfs statvers=1.1
\topts:\tro,vers=3
\tbytes:\t1 2 3 4 5 6 7 8
\tper-op statistics
\t        NULL: 1 1 0 44 24 0 0 0 0
\t     GETATTR: 10 10 0 1000 1120 0 3 4 0
\t        READ: 5 5 0 700 66000 0 12 15 0
device 10.0.2.2:/rootimg/etc/x mounted on /other with fstype nfs statvers=1.1
\tper-op statistics
\t     GETATTR: 10 10 0 1000 1120 0 3 4 0
device 10.0.2.2:/state mounted on /p with fstype nfs4 statvers=1.1
\tper-op statistics
\t     GETATTR: 2 2 0 200 240 0 3 4 0
";

    #[test]
    fn a_file_system_counts_once_wherever_it_is_mounted() {
        let traffic = Traffic::of(&[(INFO, STATS), (INFO, STATS)]).unwrap();
        assert_eq!(traffic.calls["GETATTR"], 12);
        assert_eq!(traffic.total(), 18);
        assert_eq!((traffic.sent, traffic.received), (1944, 67_384));
    }

    #[test]
    fn texts_that_do_not_fit_are_refused() {
        let shorter = INFO.lines().skip(1).collect::<Vec<_>>().join("\n");
        let error = Traffic::of(&[(&shorter, STATS)]).unwrap_err();
        assert!(
            error.to_string().contains("mountstats has /proc"),
            "{error}"
        );
    }

    #[test]
    fn differences() {
        let after = Traffic::of(&[(INFO, STATS)]).unwrap();
        let mut before = after.clone();
        before.calls.insert("GETATTR".to_owned(), 2);
        before.sent = 944;
        let between = &after - &before;
        assert_eq!(between.calls["GETATTR"], 10);
        assert!(!between.calls.contains_key("READ"));
        assert_eq!(between.sent, 1000);
    }
}
