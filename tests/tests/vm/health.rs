//! What the tests of virtual machines share: what a healthy node is, and the record of its traffic.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use statelite_tests::vm::image::USER;
use statelite_tests::vm::node::Node;
use statelite_tests::vm::site::{Site, Spec};

/// The table of the cookbook as it is: what FUSE mode needs for Debian.
pub const COOKBOOK: &str = include_str!("../data/litefile.seed.redhat.csv");
/// With the rows besides that Debian's systemd needs in link mode, and one for `/etc/motd`.
pub const TABLE: &str = include_str!("../data/litefile.debian.csv");

/// Whether virtual machines can run here; says so loudly when not.
pub fn can_run(test: &str) -> bool {
    if cfg!(not(target_arch = "x86_64")) {
        eprintln!("SKIPPED: {test}: needs x86_64");
        return false;
    }
    statelite_tests::root_or_skip(test)
}

/// A command, and what it has to say: all its output, or with `~` before it something that is in it.
type Check<'a> = (&'a str, &'a str);

/// Runs every check, and reports all that fail.
pub fn checks(node: &mut Node, checks: &[Check<'_>]) -> Result<()> {
    let mut failed = String::new();
    for (command, expected) in checks {
        let reply = node.run(command)?;
        let said = reply.output.trim();
        let good = match expected.strip_prefix('~') {
            Some(part) => said.contains(part),
            None => said == *expected,
        };
        if !good {
            writeln!(
                failed,
                "{command}\n    expected {expected:?}\n    said     {said:?}"
            )?;
        }
    }
    ensure!(failed.is_empty(), "node {}:\n{failed}", node.name());
    Ok(())
}

/// What works on every node, whatever its `/` is made of.
pub fn works_as_a_machine(node: &mut Node) -> Result<()> {
    let su = |command: &str| format!("su - {USER} -c '{command}' 2>&1");
    checks(
        node,
        &[
            ("systemctl is-system-running", "running"),
            ("systemctl --failed --no-legend --plain", ""),
            (
                "journalctl -b --no-pager | grep -iE 'i/o error|input/output error|stale file handle|endpoint is not connected'",
                "",
            ),
            (&su("id -un"), USER),
            ("wc -c </etc/machine-id", "33"),
            (
                "journalctl -b --no-pager -u cron | grep -m1 Started",
                "~Started",
            ),
            (
                "logger -t probe hello; for i in $(seq 50); do grep 'probe: hello' /var/log/syslog && break; sleep .2; done",
                "~probe: hello",
            ),
            (
                "journalctl --flush && ls -d /var/log/journal/$(cat /etc/machine-id)",
                "~/var/log/journal/",
            ),
            (
                "systemd-tmpfiles --create >/dev/null 2>&1; stat -c %a /tmp/.X11-unix",
                "1777",
            ),
            (
                "ssh-keygen -A >/dev/null && ls /etc/ssh/ssh_host_ed25519_key",
                "/etc/ssh/ssh_host_ed25519_key",
            ),
            (
                "echo a >/var/tmp/a && mv /var/tmp/a /var/tmp/b && cat /var/tmp/b",
                "a",
            ),
            (
                "python3 -c 'import json, ssl, email.message; print(json.dumps([1]))'",
                "[1]",
            ),
            (
                "dpkg-query -W -f '${Package}\\n' systemd rsyslog",
                "rsyslog\nsystemd",
            ),
        ],
    )?;
    let ssh = node.ssh("id -un; cat /proc/sys/kernel/hostname")?;
    ensure!(ssh.stdout == format!("root\n{}\n", node.name()), "{ssh}");
    Ok(())
}

/// What is so only when our daemon serves `/`.
pub fn is_ours(node: &mut Node) -> Result<()> {
    checks(
        node,
        &[
            ("findmnt -no FSTYPE / | grep -c ^fuse", "1"),
            ("findmnt -rn -t nfs,nfs4,overlay", ""),
            ("ps -eo args | grep -c '^@'", "1"),
            ("touch /usr/bin/new 2>&1", "~Read-only file system"),
            ("grep -c /etc/mtab /.statelite/litefile", "1"),
            (STOP, "~No such file"),
            // NFS carries no file capabilities; the initramfs has a list of them.
            ("getcap /usr/bin/ping", "/usr/bin/ping cap_net_raw=ep"),
            (
                &format!("su - {USER} -c 'ping -c1 -W9 10.77.0.2' 2>&1 | grep -o '1 received'"),
                "1 received",
            ),
        ],
    )
}

/// Stops the daemon over and over for a second, as often as the processor allows, then asks it for something that nobody
/// has asked for yet. So many stops meet any moment at which one could be for good.
const STOP: &str = "p=$(pgrep -f ^@statelitefs) && python3 -c \"import os, time
end = time.monotonic() + 1
while time.monotonic() < end: os.kill($p, 19)\" && ls /usr/share/$$none 2>&1";

/// Cron has done its work: it looks once a minute.
pub fn cron_ran(node: &mut Node) -> Result<()> {
    let wait = "for i in $(seq 50); do grep -q ran /var/log/cron-probe && break; sleep 2; done 2>/dev/null; cat /var/log/cron-probe";
    let reply = node.run_within(wait, Duration::from_secs(150))?;
    ensure!(
        reply.output.contains("ran"),
        "cron did nothing: {}",
        reply.output
    );
    Ok(())
}

/// What a boot cost.
#[derive(Debug)]
pub struct Boot {
    /// From power on until systemd says that it is finished.
    pub seconds: f64,
    /// All NFS calls until then.
    pub calls: u64,
}

/// The calls of each kind of boot in this run, as last counted.
static COUNTED: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

fn kind(spec: &Spec) -> String {
    format!(
        "{}-{}-nfs{}",
        spec.mode.name(),
        spec.kernel,
        spec.nfs.version()
    )
}

/// The calls that such a boot took earlier in this run, if there was one.
pub fn calls_of(spec: &Spec) -> Option<u64> {
    let counted = COUNTED.lock().unwrap_or_else(PoisonError::into_inner);
    counted.get(&kind(spec)).copied()
}

/// Boots a node, requires that all of it runs, and keeps a record of what it cost beside its console.
pub fn boot(site: &Site, spec: &Spec) -> Result<(Node, Boot)> {
    let start = Instant::now();
    let mut node = site.boot(spec)?;
    node.wait_running()?;
    let seconds = start.elapsed().as_secs_f64();
    let traffic = node.traffic()?;
    let calls = traffic.iter().map(|mount| mount.total()).sum();
    // A count that misses the image's mount would pass every comparison.
    ensure!(
        calls > 500,
        "{calls} NFS calls are not a boot's: {traffic:?}"
    );
    let mounts: Vec<_> = traffic
        .iter()
        .map(|mount| {
            serde_json::json!({"device": mount.device, "calls": mount.calls, "total": mount.total(),
                "sent": mount.sent, "received": mount.received})
        })
        .collect();
    let what = kind(spec);
    let mut counted = COUNTED.lock().unwrap_or_else(PoisonError::into_inner);
    counted.insert(what.clone(), calls);
    drop(counted);
    let record =
        serde_json::json!({"boot": what, "seconds": seconds, "calls": calls, "mounts": mounts});
    std::fs::write(
        site.logs().join(format!("{what}.json")),
        format!("{record:#}\n"),
    )?;
    eprintln!("booted {what}: {calls} NFS calls, {seconds:.0} s");
    for mount in &traffic {
        eprintln!("    {}: {:?}", mount.device, mount.calls);
    }
    Ok((node, Boot { seconds, calls }))
}

/// Switches off, and requires that `/` worked until the end. Returns how long it took, in seconds.
pub fn power_off(node: &mut Node) -> Result<f64> {
    let start = Instant::now();
    let console = node.power_off()?;
    worked_to_the_end(node, "poweroff", &console)?;
    Ok(start.elapsed().as_secs_f64())
}

/// The same for a reboot. The machine is off then, where it would start again.
pub fn reboot(node: &mut Node) -> Result<f64> {
    let start = Instant::now();
    let console = node.reboot()?;
    worked_to_the_end(node, "reboot", &console)?;
    Ok(start.elapsed().as_secs_f64())
}

fn worked_to_the_end(node: &Node, how: &str, console: &str) -> Result<()> {
    let said = console.split_once(&format!("shutdown-probe: {how}"));
    let said = said.and_then(|(_, rest)| rest.split_once("shutdown-probe: end"));
    let Some((probe, _)) = said else {
        anyhow::bail!(
            "the probe at the end of the {how} did not finish\n{}",
            node.console().tail()
        );
    };
    let programs: usize = probe
        .lines()
        .nth(1)
        .unwrap_or_default()
        .trim()
        .parse()
        .unwrap_or(0);
    ensure!(
        programs > 100,
        "/ does not work at the end of the {how}: {probe}"
    );
    Ok(())
}
