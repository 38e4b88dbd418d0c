//! iPXE for a site without xCAT: `xcat/ipxe/nodes/NODE`, found by the DHCP server's word or as `01-MAC` beside it.
//!
//! One script serves BIOS and UEFI. With `ipxe-tftp` nothing but TFTP is needed, which the iPXE in network cards and in
//! QEMU speaks; `ipxe` fetches kernel and initrd over HTTP, which is faster, from a web server that shows tftpdir under
//! its own path.

use super::{Alias, Boot, BootFile, Loader, Needs};
use crate::bootconf::BootError;
use crate::bootconf::cmdline::{self, Added};
use crate::bootconf::facts::KnownAs;
use crate::bootconf::mac::Mac;

/// iPXE.
pub static LOADER: Loader = Loader {
    name: "ipxe",
    netboot: &["ipxe", "ipxe-tftp"],
    help: "iPXE, BIOS and UEFI, over HTTP or TFTP",
    dir: "xcat/ipxe/nodes",
    suffixes: &[""],
    state_line: 1,
    absent: "offline",
    alias_dirs: &["xcat/ipxe/nodes"],
    files,
    local: || "#!ipxe\n#boot\nexit\n".to_owned(),
    aliases,
    needs: Needs::Name,
    added: Added::Words,
    misreads: super::ipxe_script,
};

fn files(boot: &Boot<'_>) -> Result<Vec<BootFile>, BootError> {
    let facts = boot.facts;
    let settings = &facts.settings;
    let base = match boot.netboot {
        "ipxe-tftp" => "tftp://${next-server}".to_owned(),
        _ => format!(
            "{}://${{next-server}}{}{}",
            settings.httpmethod,
            settings.port_suffix(),
            settings.tftpdir
        ),
    };
    let line = cmdline::line(facts, Some("${next-server}"), &LOADER)?;
    let initrd = facts.probe.initrd_name;
    // The kernel finds its initrd by the name on its command line under UEFI; under BIOS the word does no harm.
    // A server that is away for a while is waited for.
    let text = format!(
        "#!ipxe\n#{state}\n:again\nkernel {base}/{kernel} initrd={initrd} {line} \
         BOOTIF=01-${{netX/mac:hexhyp}} || goto wait\ninitrd {base}/{path} || goto wait\nboot || goto wait\n\
         :wait\necho Cannot load {node} from ${{next-server}}, trying again in 10 seconds\nsleep 10\nimgfree\ngoto again\n",
        state = boot.state,
        kernel = facts.kernel(),
        path = facts.initrd(),
        node = facts.node,
    );
    Ok(vec![BootFile { suffix: "", text }])
}

fn aliases(known_as: &KnownAs) -> Vec<Alias> {
    let link = |mac: Mac| {
        Alias::Symbolic(
            format!("{}/{}", LOADER.dir, mac.with_type()),
            known_as.node.clone(),
        )
    };
    known_as.mac.map(link).into_iter().collect()
}
