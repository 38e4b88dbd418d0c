//! Media copied by the real command, and the commands that need an image but no packages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod images;

use images::{Place, can_run, tool};
use statelite_mgmt::tables::schema::{LINUXIMAGE, OSIMAGE};
use std::fs;

const INFO: &str = "Debian GNU/Linux 12.5.0 \"Bookworm\" - Official amd64 DVD Binary-1 with firmware 20240210-11:28\n";

fn medium(place: &Place) {
    place.write("medium/.disk/info", INFO, 0o444);
    place.write(
        "medium/dists/bookworm/main/binary-amd64/Packages",
        "",
        0o444,
    );
    place.write("medium/pool/main/x.deb", "package", 0o444);
    std::os::unix::fs::symlink("bookworm", place.path("medium/dists/stable")).unwrap();
}

/// What must hold after a copy from whatever kind of medium.
fn copied(place: &Place) {
    let dir = "install/debian12.5.0/x86_64";
    assert_eq!(place.text(&format!("{dir}/pool/main/x.deb")), "package");
    assert_eq!(place.text(&format!("{dir}/.disk/info")), INFO);
    assert!(place.path(&format!("{dir}/dists/stable/main")).is_dir());
    let image = "debian12.5.0-x86_64-statelite-compute";
    let site = place.store().site().unwrap();
    let row = site.row(&OSIMAGE, &[image]).expect("registered");
    assert_eq!(row.get(&OSIMAGE, "osvers"), Some("debian12.5.0"));
    let row = site.row(&LINUXIMAGE, &[image]).expect("registered");
    assert_eq!(row.get(&LINUXIMAGE, "pkgdir"), place.path(dir).to_str());
    // What genimage makes of it.
    let plan = place.good("genimage", &[image, "--dryrun"]);
    assert!(plan.contains("bookworm main'"), "{plan}");
}

#[test]
fn a_directory_is_inspected_and_copied() {
    let place = Place::new();
    medium(&place);
    let source = place.path("medium").display().to_string();
    let said = place.good("copycds", &["-i", &source]);
    assert_eq!(
        said,
        format!("OS Image:{source}\nDISTNAME:debian12.5.0\nARCH:x86_64\n")
    );
    assert!(!place.path("install/debian12.5.0").exists());
    let said = place.good("copycds", &[&source]);
    assert!(said.contains("Media copy operation successful"), "{said}");
    copied(&place);
    place.good("copycds", &[&source]);
    place.good(
        "copycds",
        &["-n", "debian12", "-a", "x86_64", "-w", &source],
    );
    assert!(place.path("install/debian12/x86_64/pool").is_dir());
    assert_eq!(place.store().site().unwrap().rows(&OSIMAGE).len(), 1);
}

#[test]
fn an_iso_image_is_copied_and_nothing_stays_mounted() {
    if !can_run("copying an ISO image", &["xorriso", "mount"]) {
        return;
    }
    let place = Place::new();
    medium(&place);
    let args = [
        "-as",
        "mkisofs",
        "-quiet",
        "-R",
        "-o",
        "medium.iso",
        "medium",
    ];
    tool("xorriso", &args, &place.path(""));
    let iso = place.path("medium.iso").display().to_string();
    let said = place.good("copycds", &["-i", &iso]);
    assert!(said.contains("DISTNAME:debian12.5.0"), "{said}");
    place.good("copycds", &[&iso]);
    copied(&place);
    let names: Vec<_> = fs::read_dir(place.path("install"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["debian12.5.0"], "nothing of the mount is left");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(place.path("").to_str().unwrap().trim_end_matches('/')));
}

#[test]
fn what_is_no_medium_is_refused_with_the_way_out() {
    let place = Place::new();
    place.write("pictures/beach.jpg", "", 0o644);
    let source = place.path("pictures").display().to_string();
    let errors = place.bad("copycds", &[&source]);
    assert!(
        errors.contains("say what it is with -n OS -a ARCH"),
        "{errors}"
    );
    let errors = place.bad("copycds", &["-n", "../x", "-a", "x86_64", &source]);
    assert!(errors.contains("may have letters"), "{errors}");
    place.good("copycds", &["-n", "sles11.1", "-a", "ppc64", &source]);
    assert!(place.path("install/sles11.1/ppc64/beach.jpg").exists());
}

#[test]
fn accounts_and_keys_reach_an_image() {
    if !can_run("bringing accounts into an image", &[]) {
        return;
    }
    let place = Place::new();
    for (dir, users, hash) in [
        ("node", "ann:x:1000:1000::/home/ann:/bin/sh\n", "$y$n"),
        ("R", "", "*"),
    ] {
        place.write(
            &format!("{dir}/etc/passwd"),
            &format!("root:x:0:0:root:/root:/bin/sh\n{users}"),
            0o644,
        );
        place.write(&format!("{dir}/etc/group"), "root:x:0:\n", 0o644);
        place.write(
            &format!("{dir}/etc/shadow"),
            &format!("root:{hash}:1::::::\n"),
            0o640,
        );
    }
    let (root, node) = (
        place.path("R").display().to_string(),
        place.path("node").display().to_string(),
    );
    place.good("add_passwd", &[&root, "--from", &node]);
    assert!(
        place
            .text("R/etc/passwd")
            .ends_with("ann:x:1000:1000::/home/ann:/bin/sh\n")
    );
    assert_eq!(place.text("R/etc/shadow"), "root:$y$n:1::::::\n");

    let client = fs::read("/etc/ssh/ssh_config").ok();
    place.write("R/etc/ssh/sshd_config", "X11Forwarding no\n", 0o644);
    place.write("R/etc/ssh/ssh_config", "", 0o644);
    place.write("keys/ssh_host_ed25519_key", "key", 0o600);
    place.write("own/id_rsa.pub", "ssh-rsa AAAA root\n", 0o644);
    let (keys, own) = (
        place.path("keys").display().to_string(),
        place.path("own").display().to_string(),
    );
    place.good("add_ssh", &[&root, "--hostkeys", &keys, "--own", &own]);
    assert_eq!(place.text("R/etc/ssh/ssh_host_ed25519_key"), "key");
    assert_eq!(
        place.text("R/root/.ssh/authorized_keys"),
        "ssh-rsa AAAA root\n"
    );
    assert!(
        place
            .text("R/etc/ssh/ssh_config")
            .contains("StrictHostKeyChecking no")
    );
    assert_eq!(
        fs::read("/etc/ssh/ssh_config").ok(),
        client,
        "the management node's own settings stay"
    );
}

#[test]
fn exports_of_all_nodes_are_printed() {
    use statelite_mgmt::tables::Row;
    use statelite_mgmt::tables::schema::{NODELIST, NODETYPE, STATELITE};
    let place = Place::new();
    let change = |site: &mut statelite_mgmt::tables::Site| {
        let row = Row::new(&NODELIST).with(&NODELIST, "node", "n1");
        site.add(&NODELIST, row);
        let mut row = Row::new(&NODETYPE).with(&NODETYPE, "node", "n1");
        for (column, value) in [
            ("os", "debian12"),
            ("arch", "x86_64"),
            ("profile", "compute"),
        ] {
            row = row.with(&NODETYPE, column, value);
        }
        site.add(&NODETYPE, row);
        let row = Row::new(&STATELITE).with(&STATELITE, "node", "n1");
        site.add(
            &STATELITE,
            row.with(&STATELITE, "statemnt", "cnfs:/gpfs/state"),
        );
        Ok(())
    };
    place.store().change(change, true).unwrap();
    let root = place
        .path("install/netboot/debian12/x86_64/compute/rootimg")
        .display()
        .to_string();
    let said = place.good("exports", &["-a", "--insecure"]);
    assert_eq!(
        said,
        format!(
            "# the server of the images\n{root} *(ro,no_root_squash,sync,no_subtree_check,insecure)\n\
             # cnfs\n/gpfs/state *(rw,no_root_squash,sync,no_subtree_check,insecure)\n"
        )
    );
    let said = place.good("exports", &["n1", "--server", "cnfs", "--ganesha"]);
    assert!(
        said.contains("Path = \"/gpfs/state\";") && said.contains("Minor_Versions = 0,1"),
        "{said}"
    );
    assert!(!said.contains("rootimg"), "{said}");
}
