//! Making the new root, from the side of the process that starts the boot.

use super::cmdline::CommandLine;
use super::init;
use std::path::Path;

/// Makes the new root at `newroot`; `bare` if no other program has brought up the network.
///
/// # Errors
/// Everything that keeps the node from having its root.
pub fn root(line: &CommandLine, text: &str, newroot: &Path, bare: bool) -> anyhow::Result<()> {
    let _ = (line, text, newroot, bare);
    anyhow::bail!("not there yet")
}

/// Stops for a shell, if asked to.
pub fn pause(wanted: bool, place: &str) {
    if wanted && !init::shell(place) {
        tracing::warn!("shell {place}: there is none in this initramfs (--busybox)");
    }
}
