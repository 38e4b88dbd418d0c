//! Nodes that boot from the initrds of real tools: dracut and initramfs-tools of a Debian root, run by genimage.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use statelite_tests::vm::kernel::Kernel;
use statelite_tests::vm::node::{BOOT, COMMAND, Node};
use statelite_tests::vm::site::{Mode, Nfs, Site, Spec};
use statelite_tests::vm::tools::{self, Tool};
use statelite_tests::vm::turn;

use crate::health;

/// What the tests add to the table.
const MORE: &str = "\"ALL\",\"/var/lib/kept/\",\"persistent\",,\n";

fn table() -> String {
    format!("{}{MORE}", health::TABLE)
}

fn spec(tool: Tool, kernel: Kernel, nfs: Nfs) -> Spec {
    let mut spec = Spec::new(1, Mode::Fuse);
    (spec.tool, spec.kernel, spec.nfs) = (tool, kernel, nfs);
    spec
}

/// A running node is a whole one, keeps what it must, and goes off in time.
fn is_whole(site: &Site, node: &mut Node) -> Result<()> {
    health::works_as_a_machine(node)?;
    health::is_ours(node)?;
    health::checks(
        node,
        &[
            // Nothing of the initramfs is left but the daemon.
            (
                "findmnt -rn -o TARGET | grep -E 'sysroot|newroot|/root$'",
                "",
            ),
            (
                "systemctl list-units --all --plain --no-legend | grep -E 'dracut|initrd|sysroot' | grep -v 'inactive dead'",
                "",
            ),
            ("ip -o -4 addr show dev eth0 | grep -c inet", "1"),
        ],
    )?;
    node.check("echo kept >/var/lib/kept/file")?;
    let kept = site.state().join("n01/var/lib/kept/file");
    let kept = fs::read_to_string(&kept).context("on the server")?;
    ensure!(kept == "kept\n", "{kept:?} on the server");
    let seconds = health::power_off(node)?;
    eprintln!("switched off in {seconds:.0} s");
    ensure!(seconds < 30.0, "it took {seconds:.0} s to switch off");
    Ok(())
}

#[test]
fn dracut_boots_our_root_and_gives_a_shell_when_it_cannot() {
    if !health::can_run("dracut_boots_our_root_and_gives_a_shell_when_it_cannot") {
        return;
    }
    let _turn = turn().unwrap();
    let site = Site::new("dracut").unwrap();
    let spec = spec(Tool::Dracut, Kernel::V6_12, Nfs::V3);
    // dracut's initramfs loads autofs4, and systemd then expects modules in the image.
    tools::add_modules(&spec.kernel.files().unwrap(), &site.image()).unwrap();
    let server = site.manage(&spec, &table(), &[]).unwrap();
    let (mut node, _) = health::boot(&site, &spec).unwrap();
    assert!(server.asked().iter().any(|command| command == "litefile"));
    is_whole(&site, &mut node).unwrap();
    let console = node.console().text();
    assert!(console.contains("dracut"), "the boot was not dracut's");
    drop(node);

    let mut wrong = spec.clone();
    wrong
        .more
        .extend(["shell", "init=/no/such/init"].map(str::to_owned));
    let mut node = site.boot(&wrong).unwrap();
    go_through_stops(&mut node, &STOPS[..2]).unwrap();
    node.wait_console("statelitefs could not mount the root", BOOT)
        .unwrap();
    answers(
        &mut node,
        "echo this is process $((50 + 5))\n",
        "process 55",
    )
    .unwrap();
    let said = node.console().text();
    assert!(said.contains("the image has no /no/such/init"), "{said}");
}

/// What the word `shell` stops at, in order.
const STOPS: [&str; 3] = [
    "before the stores are mounted",
    "after the stores are mounted",
    "before the node's own init starts",
];

/// Uses the shell at each stop, and leaves it.
fn go_through_stops(node: &mut Node, stops: &[&str]) -> Result<()> {
    for (number, stop) in (1..).zip(stops) {
        node.wait_console(&format!("shell: {stop}"), BOOT)?;
        // The answer differs from what is typed, which the console shows too.
        let answer = format!("stop {number} is process 1{number}");
        let typed = format!("echo stop {number} is process $((10 + {number}))\n");
        answers(node, &typed, &answer)?;
        node.type_in("exit\n")?;
    }
    Ok(())
}

/// Types until there is an answer: what is typed before the shell reads is lost.
fn answers(node: &mut Node, typed: &str, answer: &str) -> Result<()> {
    let deadline = Instant::now() + COMMAND;
    loop {
        node.type_in(typed)?;
        let waited = node.wait_console(answer, Duration::from_secs(5));
        if waited.is_ok() || Instant::now() > deadline {
            return waited;
        }
    }
}

#[test]
fn initramfs_tools_boots_our_root_and_stops_for_a_shell() {
    if !health::can_run("initramfs_tools_boots_our_root_and_stops_for_a_shell") {
        return;
    }
    let _turn = turn().unwrap();
    let site = Site::new("initramfs-tools").unwrap();
    let mut spec = spec(Tool::InitramfsTools, Kernel::V6_1, Nfs::V41);
    spec.more.push("shell".to_owned());
    let server = site.manage(&spec, &table(), &[]).unwrap();
    let mut node = site.boot(&spec).unwrap();
    go_through_stops(&mut node, &STOPS).unwrap();
    node.wait_running().unwrap();
    assert!(server.asked().iter().any(|command| command == "litefile"));
    is_whole(&site, &mut node).unwrap();
}
