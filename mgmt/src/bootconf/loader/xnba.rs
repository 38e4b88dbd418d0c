//! xNBA, xCAT's own iPXE: `xcat/xnba/nodes/NODE`, for UEFI `NODE.uefi`, and for kernels that UEFI cannot start
//! `NODE.elilo`. The DHCP server names the script, so there are no aliases.
//!
//! The address of the master is left to the loader (`${next-server}`, `%N` in elilo), and files come from `/tftpboot` over
//! HTTP whatever tftpdir is: so does xCAT, whose web server has that alias.

use super::{Boot, BootFile, Loader, Needs};
use crate::bootconf::BootError;
use crate::bootconf::cmdline::{self, Added, extra};
use crate::bootconf::image::Family;

/// xNBA.
pub static LOADER: Loader = Loader {
    name: "xnba",
    netboot: &["xnba"],
    help: "xNBA of xCAT, BIOS and UEFI",
    dir: "xcat/xnba/nodes",
    suffixes: &["", ".uefi", ".elilo", ".pxelinux"],
    state_line: 1,
    absent: "offline",
    alias_dirs: &[],
    files,
    local: || "#!gpxe\n#boot\nexit\n".to_owned(),
    aliases: |_| Vec::new(),
    needs: Needs::Name,
    added: Added::Words,
    misreads: super::ipxe_script,
};

fn files(boot: &Boot<'_>) -> Result<Vec<BootFile>, BootError> {
    let facts = boot.facts;
    let line = cmdline::line(facts, Some("${next-server}"), &LOADER)?;
    let base = format!(
        "http://${{next-server}}{}/tftpboot",
        facts.settings.port_suffix()
    );
    let script = |state: &str, more: &str| {
        format!(
            "#!gpxe\n{state}imgfetch -n kernel {base}/{kernel}\nimgload kernel\n\
             imgargs kernel {line} BOOTIF=01-${{netX/mac:hexhyp}}{more}\n\
             imgfetch -n initrd {base}/{initrd}\nimgexec kernel\n",
            kernel = facts.kernel(),
            initrd = facts.initrd(),
        )
    };
    let file = |suffix, text| BootFile { suffix, text };
    let mut files = vec![file("", script(&format!("#{}\n", boot.state), ""))];
    // Kernels of SLES 11 say that UEFI can start them, and then lose their initrd.
    let sles11 = facts.image.family() == Family::Sles && facts.image.os.contains("11");
    if facts.probe.efistub && !sles11 {
        files.push(file(".uefi", script("", " initrd=initrd")));
        return Ok(files);
    }
    let node = &facts.node;
    let chain = format!(
        "#!gpxe\nchain {base}/xcat/elilo-x64.efi -C /tftpboot/xcat/xnba/nodes/{node}.elilo\n"
    );
    let line = cmdline::line(facts, Some("%N"), &LOADER)?;
    cmdline::readable(&extra::words(facts)?, &line, super::quoted)?;
    let elilo = format!(
        "default=\"xCAT\"\ndelay=0\n\nimage=/tftpboot/{}\n   label=\"xCAT\"\n   initrd=/tftpboot/{}\n   \
         append=\"{line} BOOTIF=%B\"\n",
        facts.kernel(),
        facts.initrd(),
    );
    files.extend([file(".uefi", chain), file(".elilo", elilo)]);
    Ok(files)
}
