//! Sections 2.6 and 2.7: what the image is made of.

use anyhow::Result;
use statelite_tests::vm::image::{PROBE, SHELL_UNIT};

use super::book::Book;

const CUSTOM: &str = "/install/custom/netboot/debian";

/// "Copy the packages from the distro media into /install", and "create a list of distro packages".
pub fn distro(book: &mut Book) -> Result<()> {
    book.mn.write(
        "/iso/debian-12.5.0-amd64-DVD-1/.disk/info",
        "Debian GNU/Linux 12.5.0 \"Bookworm\" - Official amd64 DVD Binary-1 with firmware 20240210-11:28\n",
    )?;
    book.run("copycds /iso/debian-12.5.0-amd64-DVD-1")?;
    book.run("test -f /install/debian12.5.0/x86_64/.disk/info")?;
    book.prints(
        "tabdump osimage | grep -o '^\"[^\"]*\"'",
        "\"debian12.5.0-x86_64-statelite-compute\"\n",
    )?;

    book.run(&format!("mkdir -p {CUSTOM}"))?;
    book.run(&format!(
        "cd {CUSTOM} && cp /usr/share/statelite/netboot/debian/compute.pkglist compute.pkglist"
    ))?;
    // "You can then add more packages": what is looked at in the nodes, and the kernel for virtual machines.
    book.run(&format!(
        "cd {CUSTOM} && sed -i 's/^linux-image-amd64$/linux-image-cloud-amd64/' compute.pkglist && \
         sed -i 's/^cron$/cron\\npython3/' compute.pkglist"
    ))?;
    Ok(())
}

/// "Put your third party packages into the directory." Here it is a package with the shell and the probe that the test
/// needs in its nodes.
pub fn third_party(book: &mut Book) -> Result<()> {
    let control = "Package: site-tools\nVersion: 1.0\nArchitecture: all\nMaintainer: Site <site@example.org>\n\
                   Description: tools of the site\n";
    let unit = "/usr/lib/systemd/system/statelite-test-shell.service";
    let wants = "usr/lib/systemd/system/sysinit.target.wants";
    let work = "/root/site-tools";
    for (path, text) in [
        ("/DEBIAN/control", control),
        (unit, SHELL_UNIT),
        ("/usr/lib/systemd/system-shutdown/statelite-probe", PROBE),
    ] {
        book.mn.write(&format!("{work}{path}"), text)?;
    }
    book.run(&format!(
        "cd {work} && chmod 755 usr/lib/systemd/system-shutdown/statelite-probe && mkdir -p {wants} && \
         ln -s ../statelite-test-shell.service {wants}/"
    ))?;
    let other = "/install/post/otherpkgs/debian12/x86_64";
    book.run(&format!("mkdir -p {other} && dpkg-deb --build --root-owner-group {work} {other}/site-tools_1.0_all.deb"))?;
    book.run(&format!(
        "echo site-tools >{CUSTOM}/compute.otherpkgs.pkglist"
    ))?;
    Ok(())
}
