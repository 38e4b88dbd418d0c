//! A node that starts from its firmware: DHCP and TFTP of QEMU's user network, pxelinux, then kernel and initramfs.

mod vm;

use std::fs;

use statelite_tests::vm::node::BOOT;
use statelite_tests::vm::qemu::Start;
use statelite_tests::vm::site::{Mode, Site, Spec};
use statelite_tests::vm::turn;

#[test]
fn a_node_starts_through_pxelinux() {
    if !vm::can_run("a_node_starts_through_pxelinux") {
        return;
    }
    let _turn = turn().unwrap();
    let site = Site::new("pxe").unwrap();
    let spec = Spec::new(1, Mode::Overlay);
    let tftp = site.image().with_file_name("tftp");
    let files = tftp.join("xcat/osimage/debian12");
    fs::create_dir_all(&files).unwrap();
    fs::create_dir_all(tftp.join("pxelinux.cfg")).unwrap();
    for (from, to) in [
        ("/usr/lib/PXELINUX/pxelinux.0", tftp.join("pxelinux.0")),
        (
            "/usr/lib/syslinux/modules/bios/ldlinux.c32",
            tftp.join("ldlinux.c32"),
        ),
    ] {
        fs::copy(from, to).unwrap();
    }
    fs::copy(&spec.kernel.files().unwrap().vmlinuz, files.join("kernel")).unwrap();
    fs::copy(site.initrd(&spec).unwrap(), files.join("initrd")).unwrap();
    // The form that nodeset writes, under the name that pxelinux looks for: the address in hexadecimal.
    let config = format!(
        "#statelite debian12\nDEFAULT xCAT\nLABEL xCAT\n KERNEL xcat/osimage/debian12/kernel\n APPEND initrd=xcat/osimage/debian12/initrd {}\n IPAPPEND 2\n",
        spec.cmdline()
    );
    fs::write(tftp.join("pxelinux.cfg/n01"), config).unwrap();
    std::os::unix::fs::symlink("n01", tftp.join("pxelinux.cfg/0A00020F")).unwrap();

    let start = Start::Pxe {
        tftp,
        file: "pxelinux.0".to_owned(),
    };
    let mut node = site.switch_on(&spec, start).unwrap();
    node.wait_shell(BOOT).unwrap();
    node.wait_running().unwrap();
    let mac = format!("~BOOTIF=01-{}", "52-54-00-12-34-01");
    vm::checks(
        &mut node,
        &[("cat /proc/cmdline", &mac), ("hostname", "n01")],
    )
    .unwrap();
    vm::power_off(&mut node).unwrap();
}
