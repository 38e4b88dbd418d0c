//! UEFI HTTP boot: the firmware fetches `boot/grub2/grub2.ARCH.efi`, a link to the GRUB binary `grub2.ARCH`, over HTTP, and
//! that finds its configuration beside itself, as with [`super::grub2`].
//!
//! The name ends in `.efi` because firmware tells by it what the file is. The words are `linux` and `initrd`, which
//! every GRUB has, also with Secure Boot.

use super::{Alias, Boot, BootFile, Loader, Needs, grub2};
use crate::bootconf::BootError;
use crate::bootconf::cmdline::Added;
use crate::bootconf::facts::KnownAs;

/// UEFI HTTP boot.
pub static LOADER: Loader = Loader {
    name: "httpboot",
    netboot: &["httpboot"],
    help: "UEFI HTTP boot with GRUB 2",
    dir: "boot/grub2",
    suffixes: &[""],
    state_line: 0,
    absent: "offline",
    alias_dirs: &["boot/grub2"],
    files,
    local: || "#boot\nset timeout=5\nexit\n".to_owned(),
    aliases,
    needs: Needs::Address,
    added: Added::Words,
    misreads: grub2::script,
};

/// The path of the loader that the DHCP server names, below tftpdir.
#[must_use]
pub fn binary(arch: &str) -> String {
    format!("boot/grub2/grub2.{arch}.efi")
}

fn files(boot: &Boot<'_>) -> Result<Vec<BootFile>, BootError> {
    let text = grub2::menu(boot, true, ["linux", "initrd"])? + "\n";
    Ok(vec![BootFile { suffix: "", text }])
}

fn aliases(known_as: &KnownAs) -> Vec<Alias> {
    let mut aliases = grub2::aliases(known_as);
    let arch = grub2::arch(known_as);
    aliases.push(Alias::Shared(binary(&arch), format!("grub2.{arch}")));
    aliases
}
