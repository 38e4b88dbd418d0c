//! Diskless nodes in virtual machines: images, kernels, NFS servers and management servers for them.
//!
//! # The model
//!
//! A [`site::Site`] is a small data centre in one network namespace ([`cage::Cage`]) that has loopback alone: no packet
//! leaves. In it run NFS servers ([`nfs::NfsServer`], and the kernel's in a machine of its own, [`nfsd::Nfsd`]), a management server per node ([`xcatd::Xcatd`]) and QEMU.
//! Each server has an address of its own, so that one of them can be down. Guests reach them through QEMU's user
//! network, and have no other way out. A server sees a guest under the address that the guest called, which is why
//! each node has a management address of its own.
//!
//! A [`node::Node`] is one QEMU process. Its console is a file; commands go over the second serial port, to a shell that
//! the image starts early ([`shell::Shell`]), because that works while the network or half of the system does not.
//! `ssh` works too once the node is up. QEMU emulates the processor: hardware acceleration is not there or not usable on
//! many machines, and a result must not depend on it.
//!
//! What is expensive is made once and kept in [`state_dir`]: kernels ([`kernel`]), the Debian image ([`image`]). A
//! site works on a copy of the image, so tests may edit it.
//!
//! Nothing waits without a limit, and everything of a site ends when the process that made it ends.

pub mod apt;
pub mod cage;
pub mod console;
pub mod host;
pub mod image;
pub mod initramfs;
pub mod kernel;
pub mod manage;
pub mod mountstats;
pub mod nfs;
pub mod nfsd;
pub mod node;
pub mod packages;
pub mod qemu;
pub mod shell;
pub mod site;
pub mod tools;
pub mod xcatd;

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Where kernels and images are kept: `STATELITE_VM_DIR`, or `/var/tmp/statelite-vm`.
#[must_use]
pub fn state_dir() -> PathBuf {
    std::env::var_os("STATELITE_VM_DIR")
        .map_or_else(|| PathBuf::from("/var/tmp/statelite-vm"), PathBuf::from)
}

/// Held while virtual machines run, by whoever runs them: more of them at once than there are processors would only slow
/// each other down.
#[derive(Debug)]
pub struct Turn(#[allow(dead_code, reason = "the locks go with the files")] Vec<File>);

/// How often a turn that is taken is asked for again.
const AGAIN: Duration = Duration::from_millis(200);

/// Waits for a processor of this machine.
///
/// # Errors
/// When the lock files in [`state_dir`] cannot be made.
pub fn turn() -> Result<Turn> {
    let places = places()?;
    loop {
        for place in &places {
            match flock(place, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Turn(vec![place.try_clone()?])),
                Err(Errno::WOULDBLOCK) => {}
                Err(error) => return Err(error.into()),
            }
        }
        std::thread::sleep(AGAIN);
    }
}

/// Waits for all of them: for who runs many machines at once, or measures.
///
/// # Errors
/// As [`turn`].
pub fn whole_turn() -> Result<Turn> {
    let places = places()?;
    for place in &places {
        flock(place, FlockOperation::LockExclusive)?;
    }
    Ok(Turn(places))
}

/// A file to lock for each processor.
fn places() -> Result<Vec<File>> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (0..processors)
        .map(|number| open(&format!("turn-{number}")))
        .collect()
}

/// Held while something in [`state_dir`] is made.
pub(crate) fn lock(name: &str) -> Result<File> {
    let file = open(name)?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

fn open(name: &str) -> Result<File> {
    let dir = state_dir();
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(File::create(dir.join(format!("{name}.lock")))?)
}
