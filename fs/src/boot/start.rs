//! Making the new root, from the side of the process that starts the boot.

use super::cmdline::{CommandLine, Mode, WordError};
use super::talk::{Order, Talk, Word};
use super::{gather, init, keep, linked, net, status};
use anyhow::{Context as _, bail};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Makes the new root at `newroot`, as the command line `text` asks for.
///
/// # Errors
/// Everything that keeps the node from having its root.
pub fn root(line: &CommandLine, text: &str, newroot: &Path) -> anyhow::Result<()> {
    for warning in &line.warnings {
        tracing::warn!("kernel command line: {warning}");
    }
    if line.partition {
        tracing::warn!("local disks are not partitioned here: localdisk paths are kept in memory");
    }
    let network = net::up(line)?;
    take_name(line, &network);
    status::tell(line, &network);
    if line.mode == Mode::Links {
        return linked::root(line, &network, newroot);
    }
    let (ours, theirs) = UnixStream::pair()?;
    // The '@' tells systemd to leave the process alone at switch-root and at shutdown.
    let daemon = Command::new("/proc/self/exe")
        .arg0("@statelitefs")
        .args(["boot", "--daemon"])
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .spawn()
        .context("the daemon cannot be started")?;
    let mut talk = Talk::new(ours);
    talk.say(&Order {
        cmdline: text.to_owned(),
        newroot: newroot.to_owned(),
        network,
    })?;
    loop {
        match talk.hear()? {
            Some(Word::Shell(place)) => {
                pause(true, &place);
                talk.say(&())?;
            }
            Some(Word::Ready) => break,
            Some(Word::Failed(why)) => bail!("{why}"),
            None => bail!(
                "the daemon (process {}) is gone before the root answers",
                daemon.id()
            ),
        }
    }
    shown(newroot)?;
    if let Err(e) = keep::network(newroot, Path::new("/run")) {
        tracing::warn!("networkd may take the address away that / is reached over: {e}");
    }
    Ok(())
}

/// Gives the machine its name before anything is mounted: to an NFS 4.1 server a client is its host name, and nodes
/// that are all called `(none)` take each other's state away.
fn take_name(line: &CommandLine, network: &net::Network) {
    let Some(name) = gather::node_name(line, network) else {
        tracing::warn!(
            "no name for this node (NODE=NAME): an NFS 4 server cannot tell it from other nodes without one"
        );
        return;
    };
    if let Err(e) = rustix::system::sethostname(name.as_bytes()) {
        tracing::warn!("the host name {name} cannot be set: {e}");
    }
}

/// Whether the root is there.
fn shown(newroot: &Path) -> anyhow::Result<()> {
    const FUSE: u64 = 0x6573_5546;
    let shown = rustix::fs::statfs(newroot).context("the root does not answer")?;
    if shown.f_type as u64 != FUSE {
        bail!("{} does not show the root", newroot.display());
    }
    Ok(())
}

/// All wrong words.
pub fn told(errors: &[WordError]) -> String {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Stops for a shell, if asked to.
pub fn pause(wanted: bool, place: &str) {
    if wanted && !init::shell(place) {
        tracing::warn!("shell {place}: there is none in this initramfs (--busybox)");
    }
}
