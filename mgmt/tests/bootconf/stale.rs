//! A boot file that nodeset wrote once must not boot another node later.

use super::command::{run, store, text};
use super::world::{World, listing};
use std::fs;

const IMAGE: &str = "osimage=rhels9.4-x86_64-statelite-compute";
const LOADERS: [&str; 8] = [
    "pxe",
    "xnba",
    "ipxe",
    "grub2",
    "httpboot",
    "petitboot",
    "yaboot",
    "grub2-http",
];

/// Two nodes: n01 has 172.10.1.1, n02 172.10.1.2.
fn two() -> World {
    let mut world = World::current();
    world.set("nodelist", "n02", &[("groups", "all")]);
    world.set("hosts", "n02", &[("ip", "172.10.1.2")]);
    world.set("mac", "n02", &[("mac", "52:54:00:00:00:02")]);
    world
}

/// Runs a command that must succeed; what it says on standard error.
fn good(db: &str, words: &str) -> String {
    let words: Vec<_> = words.split(' ').collect();
    let done = run(db, &words);
    assert!(done.status.success(), "{words:?}: {done:?}");
    text(&done.stderr)
}

/// The files below tftpdir that are not kernels.
fn names(tftpdir: &std::path::Path) -> Vec<String> {
    let mut names = listing(tftpdir);
    names.retain(|name| !name.starts_with("xcat/osimage/"));
    names
}

#[test]
fn another_loader_leaves_nothing_of_the_one_before() {
    let mut world = World::current();
    let tftpdir = world.tftpdir();
    let db = store(&world);
    for netboot in LOADERS {
        good(&db, &format!("nodech n01 noderes.netboot={netboot}"));
        good(&db, &format!("nodeset n01 {IMAGE}"));
        let alone = names(&tftpdir);
        for before in LOADERS {
            good(&db, &format!("nodech n01 noderes.netboot={before}"));
            good(&db, &format!("nodeset n01 {IMAGE}"));
            good(&db, &format!("nodech n01 noderes.netboot={netboot}"));
            let shown = run(&db, &["nodeset", "n01", IMAGE, "--dry-run"]);
            good(&db, &format!("nodeset n01 {IMAGE}"));
            let mut now = names(&tftpdir);
            // What all nodes share stays.
            now.retain(|name| alone.contains(name) || !name.contains("grub2.x86_64.efi"));
            assert_eq!(now, alone, "{before} -> {netboot}");
            let shown = text(&shown.stdout);
            if before == "pxe" && netboot == "petitboot" {
                let line = format!("remove {}\n", tftpdir.join("pxelinux.cfg/n01").display());
                assert!(shown.contains(&line), "{shown}");
            }
        }
        good(&db, "nodeset n01 offline");
        let mut left = names(&tftpdir);
        left.retain(|name| !name.contains("grub2.x86_64.efi"));
        assert_eq!(left, [""; 0], "{netboot} offline");
    }
}

#[test]
fn a_node_does_not_boot_by_a_name_that_its_address_had_for_another() {
    for (netboot, then) in [
        ("pxe", "xnba"),
        ("petitboot", "ipxe"),
        ("yaboot", "grub2"),
        ("grub2", "xnba"),
    ] {
        let mut world = two();
        let tftpdir = world.tftpdir();
        world.netboot(netboot);
        let db = store(&world);
        good(&db, &format!("nodeset n01 {IMAGE}"));
        let alias = |names: &[String]| {
            let ours = |name: &&String| name.to_uppercase().contains("AC0A0101");
            names.iter().find(ours).cloned()
        };
        assert!(alias(&names(&tftpdir)).is_some(), "{netboot}");
        // n01 has another address and another loader, and nodeset was not run for it; n02 has its old address.
        good(
            &db,
            &format!("nodech n01 hosts.ip=172.10.1.77 noderes.netboot={then}"),
        );
        good(&db, "nodech n02 hosts.ip=172.10.1.1");
        let warned = good(&db, "nodeset n02 offline");
        assert_eq!(alias(&names(&tftpdir)), None, "{netboot}");
        assert!(
            warned.contains("was a name of n01's boot file and is not any more: run nodeset n01"),
            "{netboot}: {warned}"
        );
        assert_eq!(good(&db, "nodeset n02 offline"), "", "{netboot}");
    }
}

#[test]
fn a_node_that_gets_the_address_of_another_takes_the_name_over() {
    let mut world = two();
    let tftpdir = world.tftpdir();
    let db = store(&world);
    good(&db, &format!("nodeset n01-n02 {IMAGE}"));
    // They change places: nobody lacks anything afterwards.
    good(&db, "nodech n01 hosts.ip=172.10.1.2");
    good(&db, "nodech n02 hosts.ip=172.10.1.1");
    assert_eq!(good(&db, &format!("nodeset n01-n02 {IMAGE}")), "");
    let swapped = [
        "pxelinux.cfg/AC0A0101 -> n02",
        "pxelinux.cfg/AC0A0102 -> n01",
        "pxelinux.cfg/n01",
        "pxelinux.cfg/n02",
    ];
    assert_eq!(names(&tftpdir), swapped);
    // Both have it now: one of them is told.
    good(&db, "nodech n01 hosts.ip=172.10.1.1");
    let warned = good(&db, &format!("nodeset n01-n02 {IMAGE}"));
    assert!(
        warned.starts_with("Warning: n02: ")
            && warned
                .contains("AC0A0101 was a name of n01's boot file, and n01 has the same address"),
        "{warned}"
    );
}

#[test]
fn files_that_are_not_nodesets_are_left_and_named() {
    let mut world = two();
    let tftpdir = world.tftpdir();
    world.netboot("grub2");
    let db = store(&world);
    let own = [
        "pxelinux.cfg/n01",
        "pxelinux.cfg/AC0A0101",
        "pxelinux.cfg/default",
        "AC0A0102",
        "etc/n02",
    ];
    for name in own {
        let path = tftpdir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "DEFAULT rescue\n").unwrap();
    }
    let link = tftpdir.join("pxelinux.cfg/AC0A0102");
    std::os::unix::fs::symlink("default", &link).unwrap();
    let warned = good(&db, &format!("nodeset n01-n02 {IMAGE}"));
    let now = names(&tftpdir);
    for name in own {
        assert!(now.iter().any(|there| there == name), "{name}: {now:?}");
    }
    assert!(link.is_symlink());
    for (node, name) in [
        ("n01", "pxelinux.cfg/n01"),
        ("n01", "pxelinux.cfg/AC0A0101"),
        ("n02", "pxelinux.cfg/AC0A0102"),
        ("n02", "AC0A0102"),
        ("n02", "etc/n02"),
    ] {
        let line = format!(
            "Warning: {node}: {} is not of nodeset, and stays: firmware that asks for it gets it\n",
            tftpdir.join(name).display()
        );
        assert!(warned.contains(&line), "{warned}");
    }
    assert_eq!(warned.lines().count(), 5, "{warned}");
}

#[test]
fn noderm_takes_boot_files_along() {
    let mut world = two();
    let tftpdir = world.tftpdir();
    let db = store(&world);
    for netboot in LOADERS {
        good(&db, &format!("nodech n02 noderes.netboot={netboot}"));
        good(&db, &format!("nodeset n01-n02 {IMAGE}"));
        good(&db, "nodeset n02 offline");
        let alone = names(&tftpdir);
        good(&db, &format!("nodeset n02 {IMAGE}"));
        let mut nodes = names(&tftpdir);
        nodes.retain(|name| !alone.contains(name));
        assert_ne!(nodes, [""; 0], "{netboot}");
        let rows = text(&run(&db, &["tabdump", "nodelist"]).stdout);
        assert_eq!(good(&db, "noderm n02"), "", "{netboot}");
        assert_eq!(names(&tftpdir), alone, "{netboot}");
        assert!(rows.contains("n02"), "{rows}");
        good(
            &db,
            "nodeadd n02 groups=all hosts.ip=172.10.1.2 mac.mac=52:54:00:00:00:02",
        );
    }
    // A file that is in the way is named.
    fs::remove_file(tftpdir.join("pxelinux.cfg/n01")).unwrap();
    fs::create_dir(tftpdir.join("pxelinux.cfg/n01")).unwrap();
    let warned = good(&db, "noderm n01");
    assert!(
        warned.contains("pxelinux.cfg/n01 is not of nodeset, and stays"),
        "{warned}"
    );
}

#[test]
fn the_root_of_this_host_is_no_tftpdir() {
    let world = World::current();
    let db = store(&world);
    for words in [
        ["chtab", "node=n01", "noderes.tftpdir=/"],
        ["chtab", "key=tftpdir", "site.value=//"],
    ] {
        let refused = run(&db, &words);
        assert_eq!(refused.status.code(), Some(1), "{words:?}");
        let said = text(&refused.stderr);
        assert!(said.contains("it is the root of this host"), "{said}");
    }
}
