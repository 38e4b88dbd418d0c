//! What is below tftpdir afterwards.

use super::world::{NOBODY, World, listing};
use insta::assert_snapshot;
use statelite_mgmt::bootconf::plan::NodePlan;
use statelite_mgmt::bootconf::stale::Names;
use statelite_mgmt::bootconf::{BootError, write};
use std::os::unix::fs::MetadataExt as _;

fn carry_out(plan: &NodePlan) {
    for copy in &plan.copies {
        write::copy(copy).unwrap();
    }
    write::apply(plan, &mut Names::default()).unwrap();
}

const BOOT: [&str; 2] = [
    "xcat/osimage/rhels9.4-x86_64-statelite-compute/initrd-statelite.gz",
    "xcat/osimage/rhels9.4-x86_64-statelite-compute/kernel",
];

#[test]
fn every_loader_finds_its_names_and_leaves_none_behind() {
    for (netboot, image, local) in [
        (
            "pxe",
            &["pxelinux.cfg/AC0A0101 -> n01", "pxelinux.cfg/n01"][..],
            &["pxelinux.cfg/AC0A0101 -> n01", "pxelinux.cfg/n01"][..],
        ),
        (
            "xnba",
            &[
                "xcat/xnba/nodes/n01",
                "xcat/xnba/nodes/n01.elilo",
                "xcat/xnba/nodes/n01.uefi",
            ],
            &["xcat/xnba/nodes/n01"],
        ),
        (
            "ipxe",
            &[
                "xcat/ipxe/nodes/01-52-54-00-ab-cd-ef -> n01",
                "xcat/ipxe/nodes/n01",
            ],
            &[
                "xcat/ipxe/nodes/01-52-54-00-ab-cd-ef -> n01",
                "xcat/ipxe/nodes/n01",
            ],
        ),
        (
            "grub2",
            &[
                "boot/grub2/grub.cfg-01-52-54-00-ab-cd-ef",
                "boot/grub2/grub.cfg-AC0A0101",
                "boot/grub2/grub2-n01 -> grub2.x86_64",
                "boot/grub2/n01",
            ],
            &[
                "boot/grub2/grub.cfg-01-52-54-00-ab-cd-ef",
                "boot/grub2/grub.cfg-AC0A0101",
                "boot/grub2/n01",
            ],
        ),
        (
            "petitboot",
            &["AC0A0101", "petitboot/n01"],
            &["AC0A0101", "petitboot/n01"],
        ),
        (
            "yaboot",
            &["etc/ac0a0101", "etc/n01", "yaboot.conf-52-54-00-ab-cd-ef"],
            &["etc/ac0a0101", "etc/n01", "yaboot.conf-52-54-00-ab-cd-ef"],
        ),
    ] {
        let mut world = World::current();
        let tftpdir = world.tftpdir();
        world.netboot(netboot);
        let expect = |names: &[&str]| {
            let mut names: Vec<_> = names
                .iter()
                .chain(&BOOT)
                .map(|name| (*name).to_owned())
                .collect();
            names.sort();
            names
        };
        let plan = world.usual();
        carry_out(&plan);
        assert_eq!(listing(&tftpdir), expect(image), "{netboot}");
        // Again, from an old state: aliases are names of the new file.
        carry_out(&plan);
        assert_eq!(listing(&tftpdir), expect(image), "{netboot}");
        let first = tftpdir.join(&plan.files[0].0);
        for alias in &plan.aliases {
            let path = tftpdir.join(alias.path());
            if let Ok(meta) = std::fs::metadata(&path) {
                assert_eq!(
                    meta.ino(),
                    std::fs::metadata(&first).unwrap().ino(),
                    "{netboot} {}",
                    path.display()
                );
            }
        }
        assert_eq!(std::fs::metadata(&first).unwrap().mode() & 0o777, 0o644);
        let text = write::read_first(&plan).unwrap().unwrap();
        assert_eq!(
            plan.loader.state(&text),
            "statelite rhels9.4-x86_64-compute",
            "{netboot}"
        );

        let boot = world.plan("boot");
        carry_out(&boot);
        assert_eq!(listing(&tftpdir), expect(local), "{netboot} boot");
        assert_eq!(
            plan.loader
                .state(&write::read_first(&boot).unwrap().unwrap()),
            "boot",
            "{netboot}"
        );
        carry_out(&world.plan("offline"));
        assert_eq!(listing(&tftpdir), expect(&[]), "{netboot} offline");
        assert_eq!(write::read_first(&boot).unwrap(), None);
    }
}

#[test]
fn a_node_that_moved_leaves_no_name_behind_and_others_keep_theirs() {
    for netboot in ["pxe", "grub2", "petitboot", "yaboot", "ipxe"] {
        let mut world = World::current();
        let tftpdir = world.tftpdir();
        world.netboot(netboot);
        carry_out(&world.usual());
        let before = listing(&tftpdir);
        std::fs::write(tftpdir.join("AC0A0202"), "of another node").unwrap();
        world.set("hosts", "n01", &[("ip", "172.10.1.77")]);
        world.set("mac", "n01", &[("mac", "52:54:00:00:00:77")]);
        carry_out(&world.usual());
        let moved: Vec<_> = before
            .iter()
            .map(|name| {
                let name = name
                    .replace("AC0A0101", "AC0A014D")
                    .replace("ac0a0101", "ac0a014d");
                name.replace("52-54-00-ab-cd-ef", "52-54-00-00-00-77")
            })
            .collect();
        let mut wanted = [moved, vec!["AC0A0202".to_owned()]].concat();
        wanted.sort();
        assert_eq!(listing(&tftpdir), wanted, "{netboot}");
    }
}

#[test]
fn further_interfaces_are_names_too() {
    let mut world = World::current();
    world.set(
        "mac",
        "n01",
        &[(
            "mac",
            "52:54:00:00:00:02!n01-ib|52:54:00:00:00:03!*NOIP*|52:54:00:00:00:01!n01",
        )],
    );
    world.set("hosts", "n01-ib", &[("ip", "10.2.0.1")]);
    world.netboot("grub2");
    let names: Vec<_> = world
        .usual()
        .aliases
        .iter()
        .map(|alias| alias.path().to_owned())
        .collect();
    assert_eq!(
        names,
        [
            "boot/grub2/grub.cfg-AC0A0101",
            "boot/grub2/grub.cfg-0A020001",
            "boot/grub2/grub.cfg-01-52-54-00-00-00-01",
            "boot/grub2/grub2-n01",
        ]
    );
}

#[test]
fn kernels_are_replaced_when_they_changed_and_only_then() {
    let mut world = World::current();
    let tftpdir = world.tftpdir();
    let plan = world.usual();
    carry_out(&plan);
    let kernel = tftpdir.join(BOOT[1]);
    let before = std::fs::metadata(&kernel).unwrap().ino();
    carry_out(&plan);
    assert_eq!(std::fs::metadata(&kernel).unwrap().ino(), before);
    std::fs::write(world.image().join("kernel"), "a new kernel").unwrap();
    carry_out(&plan);
    assert_eq!(std::fs::read_to_string(&kernel).unwrap(), "a new kernel");
    assert_ne!(std::fs::metadata(&kernel).unwrap().ino(), before);
}

#[test]
fn a_failure_leaves_the_old_file_and_nothing_else() {
    let mut world = World::current();
    let tftpdir = world.tftpdir();
    let plan = world.usual();
    carry_out(&plan);
    // A directory where the alias should be cannot be replaced by it.
    let alias = tftpdir.join("pxelinux.cfg/AC0A0101");
    std::fs::remove_file(&alias).unwrap();
    std::fs::create_dir_all(alias.join("x")).unwrap();
    let error = write::apply(&plan, &mut Names::default()).unwrap_err();
    assert!(
        matches!(&error, BootError::Io { path, .. } if *path == alias),
        "{error}"
    );
    let names = listing(&tftpdir);
    assert!(
        names.iter().all(|name| !name.ends_with(".new")),
        "{names:?}"
    );
}

#[test]
fn xnba_for_uefi() {
    let mut world = World::current();
    world.netboot("xnba");
    world.setting("httpport", "8080");
    let plan = world.usual();
    let text = |suffix: &str| {
        let found = plan.files.iter().find(|(path, _)| path.ends_with(suffix));
        found.map(|(_, text)| text.clone()).unwrap_or_default()
    };
    assert_snapshot!(text(".uefi"), @r"
    #!gpxe
    chain http://${next-server}:8080/tftpboot/xcat/elilo-x64.efi -C /tftpboot/xcat/xnba/nodes/n01.elilo
    ");
    assert_snapshot!(text(".elilo"), @r#"
    default="xCAT"
    delay=0

    image=/tftpboot/xcat/osimage/rhels9.4-x86_64-statelite-compute/kernel
       label="xCAT"
       initrd=/tftpboot/xcat/osimage/rhels9.4-x86_64-statelite-compute/initrd-statelite.gz
       append="root=nfs:172.10.0.1:/install/netboot/rhels9.4/x86_64/compute/rootimg:ro STATEMNT=cnfs:/gpfs/state XCAT=172.10.0.1:3001 NODE=n01 XCATHTTPPORT=8080  console=tty0 console=ttyS0,115200n8r selinux=0  MNTOPTS= BOOTIF=%B"
    "#);
    std::fs::write(world.image().join("kernel"), b"MZ....PE\0\0\x64\x86....").unwrap();
    let plan = world.usual();
    assert_eq!(plan.files.len(), 2);
    assert_snapshot!(plan.files[1].1, @r"
    #!gpxe
    imgfetch -n kernel http://${next-server}:8080/tftpboot/xcat/osimage/rhels9.4-x86_64-statelite-compute/kernel
    imgload kernel
    imgargs kernel root=nfs:172.10.0.1:/install/netboot/rhels9.4/x86_64/compute/rootimg:ro STATEMNT=cnfs:/gpfs/state XCAT=172.10.0.1:3001 NODE=n01 XCATHTTPPORT=8080  console=tty0 console=ttyS0,115200n8r selinux=0  MNTOPTS= BOOTIF=01-${netX/mac:hexhyp} initrd=initrd
    imgfetch -n initrd http://${next-server}:8080/tftpboot/xcat/osimage/rhels9.4-x86_64-statelite-compute/initrd-statelite.gz
    imgexec kernel
    ");
}

#[test]
fn ipxe_over_http_and_over_tftp() {
    let mut world = World::current();
    world.netboot("ipxe");
    assert_snapshot!(world.text(), @r"
    #!ipxe
    #statelite rhels9.4-x86_64-compute
    :again
    kernel http://${next-server}/tftpboot/xcat/osimage/rhels9.4-x86_64-statelite-compute/kernel initrd=initrd-statelite.gz root=nfs:172.10.0.1:/install/netboot/rhels9.4/x86_64/compute/rootimg:ro STATEMNT=cnfs:/gpfs/state XCAT=172.10.0.1:3001 NODE=n01 XCATHTTPPORT=80  console=tty0 console=ttyS0,115200n8r selinux=0  MNTOPTS= BOOTIF=01-${netX/mac:hexhyp} || goto wait
    initrd http://${next-server}/tftpboot/xcat/osimage/rhels9.4-x86_64-statelite-compute/initrd-statelite.gz || goto wait
    boot || goto wait
    :wait
    echo Cannot load n01 from ${next-server}, trying again in 10 seconds
    sleep 10
    imgfree
    goto again
    ");
    world.netboot("ipxe-tftp");
    assert!(
        world
            .text()
            .contains("\nkernel tftp://${next-server}/xcat/osimage/")
    );
}

#[test]
fn grub_over_http_and_uefi_http_boot() {
    let mut world = World::current();
    world.setting("httpport", "8080");
    world.netboot("grub2-http");
    let text = world.text();
    assert!(
        text.contains("    set root=http,172.10.0.1:8080\n"),
        "{text}"
    );
    assert!(
        text.contains("    linuxefi /tftpboot/xcat/osimage/"),
        "{text}"
    );
    world.netboot("httpboot");
    assert_snapshot!(world.text(), @r#"
    #statelite rhels9.4-x86_64-compute
    set timeout=5
    set default="xCAT OS Deployment"
    menuentry "xCAT OS Deployment" {
        insmod http
        insmod tftp
        set root=http,172.10.0.1:8080
        echo Loading Install kernel ...
        linux /tftpboot/xcat/osimage/rhels9.4-x86_64-statelite-compute/kernel root=nfs:172.10.0.1:/install/netboot/rhels9.4/x86_64/compute/rootimg:ro STATEMNT=cnfs:/gpfs/state XCAT=172.10.0.1:3001 NODE=n01 XCATHTTPPORT=8080  console=tty0 console=ttyS0,115200n8r selinux=0  MNTOPTS= BOOTIF=$net_default_mac
        echo Loading initial ramdisk ...
        initrd /tftpboot/xcat/osimage/rhels9.4-x86_64-statelite-compute/initrd-statelite.gz
    }
    "#);
    let tftpdir = world.tftpdir();
    carry_out(&world.usual());
    let shared = "boot/grub2/grub2.x86_64.efi -> grub2.x86_64".to_owned();
    assert!(listing(&tftpdir).contains(&shared));
    carry_out(&world.plan("offline"));
    assert!(
        listing(&tftpdir).contains(&shared),
        "other nodes boot with it"
    );
}

#[test]
fn a_node_without_loader_or_address_is_told_what_to_set() {
    let state = "osimage=rhels9.4-x86_64-statelite-compute";
    let mut world = World::current();
    world.netboot("");
    assert!(
        world
            .outcome(state, NOBODY)
            .unwrap_err()
            .to_string()
            .contains("noderes.netboot is not set")
    );
    world.netboot("lilo");
    assert!(
        world
            .outcome(state, NOBODY)
            .unwrap_err()
            .to_string()
            .contains("no boot loader \"lilo\"")
    );
    world.netboot("pxe");
    world.set("hosts", "n01", &[("ip", "")]);
    assert!(
        world
            .outcome(state, NOBODY)
            .unwrap_err()
            .to_string()
            .contains("set hosts.ip")
    );
    world.netboot("xnba");
    assert!(
        world.outcome(state, NOBODY).is_ok(),
        "the DHCP server names the file"
    );
}
