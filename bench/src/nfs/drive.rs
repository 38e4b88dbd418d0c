//! One node in one mode, from power on to power off.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use statelite_tests::vm::kernel::Kernel;
use statelite_tests::vm::node::{BOOT, Node};
use statelite_tests::vm::site::{Mode as Root, Nfs, Site, Spec};

use super::mode::{Mode, TABLE};
use super::reading::{Reading, SHELL};
use super::result::{Phase, Run};

const SCRIPT: &str = include_str!("measure.py");
/// Where the image has the script.
const PLACE: &str = "usr/local/lib/statelite-bench/measure.py";

/// The work phase: what is run in the node, each in a shell of its own. There are two logins over ssh besides.
const WORK: [&str; 9] = [
    "python3 -c 'import json, ssl, asyncio, http.client, xml.dom.minidom, email.message, urllib.request, unittest, logging.handlers'",
    "python3 -c 'import json, ssl, asyncio, http.client, xml.dom.minidom, email.message, urllib.request, unittest, logging.handlers'",
    "dpkg -l >/dev/null",
    "dpkg -S /usr/bin/python3 >/dev/null",
    "dpkg --verify coreutils >/dev/null",
    "for i in $(seq 50); do logger -t bench line $i; done",
    "find /etc -type f -exec cat {} + >/dev/null",
    "ls -lR /usr/lib/systemd >/dev/null",
    "for i in $(seq 20); do /bin/true; stat /usr/bin/ls >/dev/null; done",
];

/// The manager of root's logins ends ten seconds after the last; it is no part of the next phase.
const LOGGED_OUT: &str =
    "for i in $(seq 60); do systemctl -q is-active user@0.service || break; sleep .5; done";

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// The numbers.
    pub run: Run,
    /// What a reader of the numbers should know.
    pub notes: Vec<String>,
}

/// Boots a node of this mode and measures it.
///
/// # Errors
/// When it does not boot, or something in it fails.
pub fn run(mode: &Mode, nfs: Nfs, kernel: Kernel, idle: u64) -> Result<Outcome> {
    let site = Site::new(&format!("bench-{}-nfs{}", mode.name, nfs.version()))?;
    let script = site.image().join(PLACE);
    fs::create_dir_all(script.parent().context("a directory")?)?;
    fs::write(&script, SCRIPT)?;
    mode.prepare(&site)?;
    let mut spec = Spec::new(1, mode.root);
    (spec.kernel, spec.nfs) = (kernel, nfs);
    spec.more = mode.words.iter().map(|word| (*word).to_owned()).collect();
    let asks = mode.root != Root::Overlay;
    let _server = asks.then(|| site.manage(&spec, TABLE, &[])).transpose()?;
    let mut node = site.boot(&spec)?;
    let state = node.wait_booted()?;
    let booted = read(&mut node)?;
    let mut notes = Vec::new();
    if state != "running" {
        let failed = node.check("systemctl --failed --no-legend --plain | cut -d' ' -f1")?;
        let units: Vec<&str> = failed.split_whitespace().collect();
        notes.push(format!("systemd says {state} ({})", units.join(", ")));
    }
    let kernel = node.check("uname -r")?.trim().to_owned();
    let tmpfs_bytes = tmpfs(&mut node)?;
    let mut phases = vec![booted.whole("boot")];
    let before = read(&mut node)?;
    work(&mut node)?;
    phases.push(read(&mut node)?.since(&before, "work"));
    node.check(LOGGED_OUT)?;
    // The first time something of them may have to be learned from the server, which the second time is known.
    for name in ["policy paths", "policy paths again"] {
        phases.push(within(&mut node, "policy", name, 0)?.0);
    }
    let (phase, last) = within(&mut node, &idle.to_string(), "idle", idle)?;
    phases.push(phase);
    // What is measured is measured; how a node ends is the tests' matter.
    if let Err(error) = node.power_off() {
        notes.push(format!("did not switch off: {error:#}"));
    }
    let run = Run {
        mode: mode.name.to_owned(),
        nfs: nfs.version().to_owned(),
        kernel,
        phases,
        tmpfs_bytes,
        daemon: last.daemon,
    };
    Ok(Outcome { run, notes })
}

fn read(node: &mut Node) -> Result<Reading> {
    Reading::parse(&node.check(SHELL)?)
}

/// A phase that the script runs, with both readings made inside it; `seconds` longer than a boot at most.
fn within(node: &mut Node, what: &str, name: &str, seconds: u64) -> Result<(Phase, Reading)> {
    let limit = BOOT + Duration::from_secs(seconds);
    let reply = node.run_within(&format!("python3 -I /{PLACE} {what}"), limit)?;
    ensure!(reply.code == 0, "phase {name}: {}", reply.output);
    let (before, after) = reply
        .output
        .split_once("\n######\n")
        .with_context(|| format!("phase {name}: {}", reply.output))?;
    let (before, after) = (Reading::parse(before)?, Reading::parse(after)?);
    Ok((after.since(&before, name), after))
}

fn work(node: &mut Node) -> Result<()> {
    for command in WORK {
        let reply = node.run_within(command, BOOT)?;
        ensure!(reply.code == 0, "{command}: {}", reply.output);
    }
    for _ in 0..2 {
        let login = node.ssh("id -un; hostname")?;
        ensure!(login.stdout.starts_with("root\n"), "ssh: {login}");
    }
    Ok(())
}

fn tmpfs(node: &mut Node) -> Result<u64> {
    let text = node.check(&format!("python3 -I /{PLACE} tmpfs"))?;
    let mut sum = 0;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let (bytes, _) = line.split_once(' ').unwrap_or((line, ""));
        sum += bytes
            .parse::<u64>()
            .with_context(|| format!("tmpfs: {text}"))?;
    }
    Ok(sum)
}
