//! The tour: this machine's own `/` as the image, the cookbook's table over it, and what then
//! happens to reads and writes. It needs root and `/dev/fuse`, changes nothing of the machine and
//! leaves nothing behind.
//!
//! | module | what it does |
//! |---|---|
//! | `place` | the temporary directory with tables, trees and store; mounting it |
//! | `clean` | removing that directory, and those of demos that were killed |
//! | `console` | prints commands and results, and counts what did not come out as told |
//! | `tour` | the steps |
//! | `image` | proof that the image was not touched |
//! | `shell` | `demo --shell` |

mod clean;
mod console;
mod image;
mod place;
mod shell;
mod tour;

use super::DemoArgs;
use anyhow::bail;
use console::Console;
use place::Place;
use rustix::thread::{CapabilitySet, capabilities};
use std::path::Path;

/// Runs the demo.
///
/// # Errors
/// If something that it needs is missing, if it cannot be set up, or if a step of the tour did
/// not come out as it should.
pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    check_needs()?;
    clean::sweep();
    let place = Place::make()?;
    let mut console = Console::default();
    console.note(&format!(
        "statelitefs demo: / of this machine is the read-only image of a node called \"{}\".",
        place::NODE
    ));
    for line in place.describe() {
        console.note(&line);
    }
    let result = if args.shell {
        shell::run(&place, &mut console)
    } else {
        tour::run(&place, &mut console)
    };
    let cleaned = place.remove();
    result?;
    cleaned?;
    match console.failures() {
        0 => Ok(()),
        n => bail!("demo: {n} of the things above did not come out as they should"),
    }
}

/// Refuses to start where it cannot work, saying all that is missing at once.
fn check_needs() -> anyhow::Result<()> {
    let admin =
        capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN));
    let root = rustix::process::geteuid().is_root();
    let needs = [
        (root, "root: run it with sudo, or as root"),
        (
            admin || !root,
            "the capability to mount (CAP_SYS_ADMIN): a container needs to be a privileged one",
        ),
        (
            Path::new("/dev/fuse").exists(),
            "/dev/fuse: load the kernel module (modprobe fuse), or give the container the device",
        ),
        (Path::new("/proc/self/fd").exists(), "/proc: mount it"),
    ];
    let missing: Vec<&str> = needs
        .iter()
        .filter(|(there, _)| !there)
        .map(|(_, what)| *what)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "the demo mounts a file system, and this is missing:\n  {}",
        missing.join("\n  ")
    )
}
