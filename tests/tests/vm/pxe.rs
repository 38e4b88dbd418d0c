//! A node that starts from its firmware: DHCP and TFTP of QEMU's user network, pxelinux, then what the management side
//! made: boot files by nodeset, kernel and initramfs by genimage, and its policy by `statelite serve`.

use std::fs;
use std::path::Path;

use anyhow::Result;
use statelite_tests::vm::manage::Management;
use statelite_tests::vm::node::BOOT;
use statelite_tests::vm::qemu::Start;
use statelite_tests::vm::site::{IMAGES, Mode, STATES, Site, Spec};
use statelite_tests::vm::tools::{self, Tool};
use statelite_tests::vm::turn;

use crate::health;

const IMAGE: &str = "debian12-x86_64-statelite-compute";
/// The address that QEMU gives a guest. Servers see it under the one that it has called; so a node has both in `hosts`.
const GUEST: &str = "10.0.2.15";

/// The tables of a site with this node.
fn fill(management: &Management, spec: &Spec, mac: &str) -> Result<()> {
    let address = spec.management();
    let node = format!("node={}", spec.name());
    management.restore("litefile", health::TABLE)?;
    for (table, key, columns) in [
        ("site", "key=master", vec![format!("value={address}")]),
        ("nodelist", &*node, vec!["groups=all".to_owned()]),
        (
            "hosts",
            &*node,
            vec![
                format!("ip={GUEST}"),
                format!("otherinterfaces=-mgt:{address}"),
            ],
        ),
        ("mac", &*node, vec![format!("mac={mac}")]),
        (
            "nodetype",
            &*node,
            ["os=debian12", "arch=x86_64", "profile=compute"]
                .map(str::to_owned)
                .into_iter()
                .chain([format!("provmethod={IMAGE}")])
                .collect(),
        ),
        (
            "noderes",
            &*node,
            vec![
                format!("xcatmaster={address}"),
                format!("nfsserver={IMAGES}"),
                "nfsdir=/exports".to_owned(),
                "netboot=pxe".to_owned(),
            ],
        ),
        (
            "nodehm",
            &*node,
            ["serialport=0", "serialspeed=115200"]
                .map(str::to_owned)
                .to_vec(),
        ),
        (
            "statelite",
            &*node,
            vec![format!("statemnt={STATES}:/state")],
        ),
        (
            "osimage",
            &format!("imagename={IMAGE}"),
            [
                "provmethod=statelite",
                "osvers=debian12",
                "osarch=x86_64",
                "profile=compute",
            ]
            .map(str::to_owned)
            .to_vec(),
        ),
        (
            "linuximage",
            &format!("imagename={IMAGE}"),
            vec!["addkcmdline=net.ifnames=0 systemd.getty_auto=no panic=-1".to_owned()],
        ),
    ] {
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        management.set(table, key, &columns)?;
    }
    Ok(())
}

/// What pxelinux itself needs.
fn firmware(tftp: &Path) -> Result<()> {
    for from in [
        "/usr/lib/PXELINUX/pxelinux.0",
        "/usr/lib/syslinux/modules/bios/ldlinux.c32",
    ] {
        let name = Path::new(from).file_name().unwrap_or_default();
        fs::copy(from, tftp.join(name))?;
    }
    Ok(())
}

#[test]
fn a_node_starts_through_pxelinux_with_what_the_management_side_made() {
    if !health::can_run("a_node_starts_through_pxelinux_with_what_the_management_side_made") {
        return;
    }
    let _turn = turn().unwrap();
    let site =
        Site::with_image_at("pxe", "/exports/netboot/debian12/x86_64/compute/rootimg").unwrap();
    let spec = Spec::new(1, Mode::Fuse);
    let dir = site.image().with_file_name("management");
    let management = Management::new(&dir).unwrap();
    let mac = "52:54:00:12:34:01";
    fill(&management, &spec, mac).unwrap();

    site.cage().add_address(&spec.management()).unwrap();
    let _server = management.serve(site.cage(), &spec.management()).unwrap();
    let kernel = spec.kernel.files().unwrap();
    tools::genimage(&management, Tool::Bare, &kernel, Some(&management.ca())).unwrap();
    let tftp = dir.join("tftp");
    firmware(&tftp).unwrap();
    let osimage = format!("osimage={IMAGE}");
    let nodeset = management.cmd("nodeset").args([&spec.name(), &osimage]);
    nodeset.check().unwrap();

    // It waits while the policy table lets no node ask, and goes on when the rows are there again.
    let policy = management.cmd("tabdump").arg("policy").check().unwrap();
    let header = policy.stdout.lines().next().unwrap_or_default();
    management.restore("policy", header).unwrap();
    let file = "pxelinux.0".to_owned();
    let mut node = site.switch_on(&spec, Start::Pxe { tftp, file }).unwrap();
    node.wait_console(
        "the policy table does not let this node ask for litefile and litetree",
        BOOT,
    )
    .unwrap();
    management.restore("policy", &policy.stdout).unwrap();
    node.wait_shell(BOOT).unwrap();
    node.wait_running().unwrap();
    let bootif = format!("~BOOTIF=01-{}", mac.replace(':', "-"));
    health::checks(
        &mut node,
        &[
            ("cat /proc/cmdline", &bootif),
            ("cat /proc/cmdline", "~NODE=n01"),
            ("hostname", "n01"),
            // The server was the true one: its certificate is checked, and nobody had to be believed.
            (
                "dmesg | grep -c 'statelitefs: the policy is there after'",
                "1",
            ),
            (
                "dmesg | grep statelitefs | grep -ciE 'verif|certificate|saved policy'",
                "0",
            ),
        ],
    )
    .unwrap();
    health::works_as_a_machine(&mut node).unwrap();
    health::is_ours(&mut node).unwrap();
    health::power_off(&mut node).unwrap();
}
