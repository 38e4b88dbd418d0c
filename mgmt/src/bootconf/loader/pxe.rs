//! pxelinux: `pxelinux.cfg/NODE`, found by the address of the node in upper case hexadecimal digits.

use super::{Alias, Boot, BootFile, Loader, Needs, hexips};
use crate::bootconf::cmdline::{self, Added};
use crate::bootconf::facts::KnownAs;
use crate::bootconf::{BootError, Era};

/// pxelinux.
pub static LOADER: Loader = Loader {
    name: "pxe",
    netboot: &["pxe"],
    help: "pxelinux, BIOS",
    dir: "pxelinux.cfg",
    suffixes: &[""],
    state_line: 0,
    absent: "boot",
    alias_dirs: &["pxelinux.cfg"],
    files,
    local: || "#boot\nDEFAULT xCAT\nLABEL xCAT\nLOCALBOOT 0\n".to_owned(),
    aliases,
    needs: Needs::Address,
    added: Added::Words,
    misreads: super::as_is,
};

fn files(boot: &Boot<'_>) -> Result<Vec<BootFile>, BootError> {
    let facts = boot.facts;
    let line = cmdline::line(facts, None, &LOADER)?;
    let mut text = format!(
        "#{}\nDEFAULT xCAT\nLABEL xCAT\n KERNEL {}\n APPEND initrd={} {line}\n",
        boot.state,
        facts.kernel(),
        facts.initrd(),
    );
    if facts.era == Era::Current {
        text += "  IPAPPEND 2\n";
    }
    Ok(vec![BootFile { suffix: "", text }])
}

fn aliases(known_as: &KnownAs) -> Vec<Alias> {
    let link = |name| Alias::Symbolic(format!("pxelinux.cfg/{name}"), known_as.node.clone());
    hexips(known_as).map(link).collect()
}
