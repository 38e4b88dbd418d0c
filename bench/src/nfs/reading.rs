//! What a node's kernel has counted at one moment, read without touching more of `/` than need be.

use anyhow::{Context, Result};

use super::mountstats::Traffic;
use super::result::{Daemon, Phase};

/// Prints the files that a reading is made of; for the node's shell. It starts one program only.
pub const SHELL: &str = "for p in /proc/[0-9]*; do read -r n <$p/cmdline; case \"$n\" in @*) d=$p;; esac; done 2>/dev/null; \
    head -v -n 99999 ${d:+$d/mountinfo $d/mountstats $d/stat $d/status} \
    /proc/self/mountinfo /proc/self/mountstats /proc/stat /proc/uptime";

/// Clock ticks in a second of `/proc`, the same on every architecture of Linux.
const TICKS: f64 = 100.0;

/// Counters since the node's start.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Of all NFS file systems, whoever has them mounted.
    pub traffic: Traffic,
    /// Seconds since the kernel's start.
    pub uptime: f64,
    /// Seconds of CPU time, user and system.
    pub cpu: f64,
    /// The daemon that serves `/`, if there is one.
    pub daemon: Option<Daemon>,
}

impl Reading {
    /// Reads the text that [`SHELL`] prints: each file below a line `==> NAME <==`.
    ///
    /// # Errors
    /// When something is not there or is not what it should be.
    pub fn parse(text: &str) -> Result<Self> {
        let files = files(text);
        let file = |name: &str| {
            let found = files.iter().find(|(known, _)| known == name);
            found
                .map(|(_, body)| body.as_str())
                .with_context(|| format!("no {name}"))
        };
        let mut processes = Vec::new();
        let mut daemon = None;
        for (name, info) in &files {
            let Some(dir) = name.strip_suffix("/mountinfo") else {
                continue;
            };
            processes.push((info.as_str(), file(&format!("{dir}/mountstats"))?));
            if dir != "/proc/self" {
                daemon = Some(Daemon {
                    rss_kib: rss(file(&format!("{dir}/status"))?).context("VmRSS")?,
                    cpu: of_process(file(&format!("{dir}/stat"))?).context("stat of the daemon")?,
                });
            }
        }
        Ok(Self {
            traffic: Traffic::of(&processes)?,
            uptime: first_number(file("/proc/uptime")?).context("uptime")?,
            cpu: of_machine(file("/proc/stat")?).context("/proc/stat")?,
            daemon,
        })
    }

    /// The phase that ended with this reading and began with that one.
    pub fn since(&self, before: &Reading, name: &str) -> Phase {
        Phase {
            name: name.to_owned(),
            traffic: &self.traffic - &before.traffic,
            wall: self.uptime - before.uptime,
            cpu: self.cpu - before.cpu,
        }
    }

    /// Everything since the node's start as a phase.
    pub fn whole(&self, name: &str) -> Phase {
        Phase {
            name: name.to_owned(),
            traffic: self.traffic.clone(),
            wall: self.uptime,
            cpu: self.cpu,
        }
    }
}

fn files(text: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        let name = line
            .strip_prefix("==> ")
            .and_then(|rest| rest.strip_suffix(" <=="));
        if let Some(name) = name {
            files.push((name.to_owned(), String::new()));
        } else if let Some((_, body)) = files.last_mut() {
            body.push_str(line);
            body.push('\n');
        }
    }
    files
}

fn first_number(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

fn rss(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User and system time of `/proc/PID/stat`; the name before it may hold anything.
fn of_process(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some((next()? + next()?) / TICKS)
}

/// All but idle and waiting time of the first line of `/proc/stat`.
fn of_machine(stat: &str) -> Option<f64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Vec<f64> = line
        .split_whitespace()
        .map_while(|word| word.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal; guest times are in user already.
    let busy = [0, 1, 2, 5, 6].map(|at| fields.get(at).copied());
    Some(
        busy.into_iter()
            .collect::<Option<Vec<f64>>>()?
            .iter()
            .sum::<f64>()
            / TICKS,
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MOUNT: &str = "22 1 0:40 / / ro - nfs a:/i ro\n";
    const STATS: &str = "device a:/i mounted on / with fstype nfs statvers=1.1\n\tper-op statistics\n\t READ: 5 5 0 7 9 0 0 0 0\n";

    fn text(daemon: bool) -> String {
        let daemon = if daemon {
            format!(
                "==> /proc/7/mountinfo <==\n{MOUNT}\n==> /proc/7/mountstats <==\n{STATS}\n\
                 ==> /proc/7/stat <==\n7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0\n\n\
                 ==> /proc/7/status <==\nName: x\nVmRSS:\t 9000 kB\n\n"
            )
        } else {
            String::new()
        };
        format!(
            "{daemon}==> /proc/self/mountinfo <==\n{MOUNT}\n==> /proc/self/mountstats <==\n{STATS}\n\
             ==> /proc/stat <==\ncpu  100 0 200 999 50 1 2 0 0 0\ncpu0 1\n\n==> /proc/uptime <==\n12.50 3.00\n"
        )
    }

    #[test]
    fn counters_are_found_with_and_without_a_daemon() {
        let reading = Reading::parse(&text(false)).unwrap();
        assert_eq!(reading.traffic.calls["READ"], 5);
        assert_eq!((reading.uptime, reading.cpu), (12.5, 3.03));
        assert!(reading.daemon.is_none());
        let reading = Reading::parse(&text(true)).unwrap();
        assert_eq!(reading.traffic.total(), 5);
        let daemon = reading.daemon.unwrap();
        assert_eq!((daemon.rss_kib, daemon.cpu), (9000, 2.0));
    }

    #[test]
    fn what_is_missing_is_named() {
        let cut = text(true).replace("==> /proc/uptime", "==> /proc/other");
        let error = Reading::parse(&cut).unwrap_err();
        assert_eq!(error.to_string(), "no /proc/uptime");
    }
}
