//! The command itself, with tables in a file.

use super::world::{World, listing};
use statelite_mgmt::tables::schema::{NODETYPE, TABLES};
use statelite_mgmt::tables::{Site, Store};
use std::path::Path;
use std::process::{Command, Output};

pub fn store(world: &World) -> String {
    let db = world.dir.path().join("tables.sqlite").display().to_string();
    let mut store = Store::open(&db).unwrap();
    let site = world.site.clone();
    let fill = |stored: &mut Site| {
        for table in TABLES {
            if !site.rows(table).is_empty() {
                stored.put(table, site.rows(table).to_vec());
            }
        }
        Ok(())
    };
    store.change(fill, true).unwrap();
    db
}

pub fn run(db: &str, args: &[&str]) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_statelite"));
    Command::new(program)
        .arg("--db")
        .arg(db)
        .args(args)
        .output()
        .unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn nodeset_writes_files_says_so_and_persists_the_image() {
    let mut world = World::current();
    let tftpdir = world.tftpdir();
    let db = store(&world);
    let image = "osimage=rhels9.4-x86_64-statelite-compute";
    let shown = run(&db, &["nodeset", "all", image, "--dry-run"]);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    let shown = text(&shown.stdout);
    assert!(
        shown.starts_with("n01: statelite rhels9.4-x86_64-compute\ncopy "),
        "{shown}"
    );
    assert!(
        shown.contains("/pxelinux.cfg/n01\n#statelite rhels9.4-x86_64-compute\nDEFAULT xCAT\n"),
        "{shown}"
    );
    assert!(shown.contains("/pxelinux.cfg/AC0A0101 -> n01\n"), "{shown}");
    assert!(!tftpdir.exists());
    let nodetype = |column| {
        Store::open(&db)
            .unwrap()
            .site()
            .unwrap()
            .node_value("n01", &NODETYPE, column)
    };
    assert_eq!(nodetype("provmethod"), None);

    let set = run(&db, &["nodeset", "n01", image]);
    assert!(set.status.success(), "{}", text(&set.stderr));
    assert_eq!(
        text(&set.stdout),
        "n01: statelite rhels9.4-x86_64-compute\n"
    );
    assert_eq!(
        nodetype("provmethod").as_deref(),
        Some("rhels9.4-x86_64-statelite-compute")
    );
    assert_eq!(listing(&tftpdir).len(), 4);
    assert_eq!(
        text(&run(&db, &["nodeset", "n01", "stat"]).stdout),
        "n01: statelite rhels9.4-x86_64-compute\n"
    );
    let json = run(&db, &["nodeset", "n01", "osimage", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json[0]["state"], "statelite rhels9.4-x86_64-compute");
    assert_eq!(
        json[0]["files"][0]["path"],
        tftpdir.join("pxelinux.cfg/n01").to_str().unwrap()
    );
    assert_eq!(
        text(&run(&db, &["nodeset", "n01", "boot"]).stdout),
        "n01: boot\n"
    );
    assert_eq!(
        text(&run(&db, &["nodeset", "n01", "stat"]).stdout),
        "n01: boot\n"
    );
    assert_eq!(
        text(&run(&db, &["nodeset", "n01", "offline"]).stdout),
        "n01: offline\n"
    );
    assert!(!tftpdir.join("pxelinux.cfg/n01").exists());
}

#[test]
fn one_nodes_failure_stops_no_other() {
    let mut world = World::current();
    let tftpdir = world.tftpdir();
    for (node, ip) in [("n02", ""), ("n03", "172.10.1.3")] {
        world.set("nodelist", node, &[("groups", "all")]);
        world.set("hosts", node, &[("ip", ip)]);
    }
    // A name that no resolver knows.
    world.set(
        "nodelist",
        "n02",
        &[
            ("groups", "other"),
            ("node", "n02.invalid"),
            ("groups", "all"),
        ],
    );
    let db = store(&world);
    let set = run(
        &db,
        &[
            "nodeset",
            "all",
            "osimage=rhels9.4-x86_64-statelite-compute",
        ],
    );
    assert_eq!(set.status.code(), Some(1));
    assert_eq!(
        text(&set.stdout),
        "n01: statelite rhels9.4-x86_64-compute\nn03: statelite rhels9.4-x86_64-compute\n"
    );
    assert!(
        text(&set.stderr).starts_with("Error: n02.invalid: no IPv4 address"),
        "{}",
        text(&set.stderr)
    );
    assert!(tftpdir.join("pxelinux.cfg/n03").exists());
    let site = Store::open(&db).unwrap().site().unwrap();
    assert_eq!(
        site.node_value("n02.invalid", &NODETYPE, "provmethod"),
        None
    );
    assert!(site.node_value("n03", &NODETYPE, "provmethod").is_some());
}

#[test]
fn the_cookbooks_command_needs_its_dialect() {
    let mut world = World::seed("x86_64");
    world.setting("statelitedialect", "current");
    let tftpdir = world.tftpdir();
    let db = store(&world);
    let command = [
        "nodeset",
        "all",
        "statelite=rhel5.3-x86_64-statelite-compute",
    ];
    let refused = run(&db, &command);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr)
            .contains("have been deprecated, use \"nodeset <noderange> osimage=<osimage_name>\"")
    );
    assert!(!tftpdir.exists());
    let set = run(&db, &[&command[..], &["--dialect", "2010"]].concat());
    assert_eq!(
        text(&set.stdout),
        "n01: statelite rhel5.3-x86_64-compute\n",
        "{}",
        text(&set.stderr)
    );
    assert!(
        tftpdir
            .join("xcat/netboot/rhel5.3/x86_64/compute/initrd.gz")
            .exists()
    );
}

#[test]
fn it_runs_under_its_own_name() {
    let mut world = World::current();
    world.tftpdir();
    let db = store(&world);
    let link = world.dir.path().join("nodeset");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_statelite"), &link).unwrap();
    let stat = Command::new(&link)
        .args(["n01", "stat"])
        .env("STATELITE_DB", &db)
        .output()
        .unwrap();
    assert_eq!(text(&stat.stdout), "n01: boot\n", "{}", text(&stat.stderr));
    let bad = Command::new(&link)
        .args(["n01", "sleep"])
        .env("STATELITE_DB", &db)
        .output()
        .unwrap();
    assert_eq!(bad.status.code(), Some(1));
    assert!(text(&bad.stderr).contains("unknown state \"sleep\""));
}

#[test]
fn a_mac_address_of_two_nodes_boots_neither() {
    let mut world = World::current();
    let tftpdir = world.tftpdir();
    for (node, mac) in [
        ("n02", "52-54-00-ab-cd-ef!n02-ib"),
        ("n03", "52:54:00:00:00:03"),
    ] {
        world.set("nodelist", node, &[("groups", "all")]);
        world.set(
            "hosts",
            node,
            &[("ip", &format!("172.10.1.{}", &node[2..]))],
        );
        world.set("mac", node, &[("mac", mac)]);
    }
    let db = store(&world);
    let image = "osimage=rhels9.4-x86_64-statelite-compute";
    let set = run(&db, &["nodeset", "all", image]);
    assert_eq!(set.status.code(), Some(1));
    assert_eq!(
        text(&set.stdout),
        "n03: statelite rhels9.4-x86_64-compute\n"
    );
    let error = text(&set.stderr);
    for line in [
        "Error: n01: 52:54:00:ab:cd:ef belongs to n01 (mac: row 1, \"n01\") and to n02 (mac: row 2, \"n02\"): one of them \
         would boot as the other; correct the mac table\n",
        "Error: n02: 52:54:00:ab:cd:ef belongs to n02 (mac: row 2, \"n02\") and to n01 (mac: row 1, \"n01\")",
    ] {
        assert!(error.contains(line), "{error}");
    }
    assert!(!tftpdir.join("pxelinux.cfg/n01").exists());
    assert!(!run(&db, &["nodeset", "n01", "boot"]).status.success());
    // Out of the way it may always go.
    assert!(
        run(&db, &["nodeset", "n01-n02", "offline"])
            .status
            .success()
    );
    let check = run(&db, &["check"]);
    assert_eq!(check.status.code(), Some(1));
    let found = text(&check.stdout) + &text(&check.stderr);
    assert!(
        found.contains("mac: row 2 (\"n02\"): column mac: 52:54:00:ab:cd:ef belongs to n01"),
        "{found}"
    );
    let change = ["chtab", "node=n03", "mac.mac=52:54:00:ab:cd:ef"];
    let refused = text(&run(&db, &change).stderr);
    assert!(
        refused.contains("n01 (mac: row 1, \"n01\") and to n03 (mac: row 3, \"n03\")"),
        "{refused}"
    );
}

#[test]
fn the_name_of_an_image_boots_that_images_directory() {
    let mut world = World::seed("x86_64");
    let tftpdir = world.tftpdir();
    world.set("noderes", "all", &[("nfsdir", "")]);
    let other = world.dir.path().join("other");
    std::fs::create_dir_all(other.join("rootimg/etc")).unwrap();
    for name in ["kernel", "initrd.gz"] {
        std::fs::write(other.join(name), format!("{name} of other")).unwrap();
    }
    let system = [
        ("provmethod", "statelite"),
        ("osvers", "rhel5.3"),
        ("osarch", "x86_64"),
        ("profile", "compute"),
    ];
    world.set("osimage", "img", &system);
    world.set(
        "linuximage",
        "img",
        &[("rootimgdir", other.to_str().unwrap())],
    );
    let db = store(&world);
    let set = run(&db, &["nodeset", "n01", "statelite=img"]);
    assert!(set.status.success(), "{}", text(&set.stderr));
    let file = std::fs::read_to_string(tftpdir.join("pxelinux.cfg/n01")).unwrap();
    let root = format!("NFSROOT=172.10.0.1:{} ", other.display());
    assert!(file.contains(&root), "{file}");
    let kernel = tftpdir.join("xcat/netboot/rhel5.3/x86_64/compute/kernel");
    assert_eq!(std::fs::read_to_string(kernel).unwrap(), "kernel of other");
    // The words of 2010 without a name mean the usual image again.
    assert!(run(&db, &["nodeset", "n01", "statelite"]).status.success());
    let file = std::fs::read_to_string(tftpdir.join("pxelinux.cfg/n01")).unwrap();
    assert!(!file.contains(&root), "{file}");
}

#[test]
fn arguments_that_a_nodes_loader_takes_as_its_own_are_refused_when_they_are_set() {
    let name = "rhels9.4-x86_64-statelite-compute";
    let mut world = World::current();
    world.set("linuximage", name, &[("addkcmdline", "quiet")]);
    let db = store(&world);
    let key = format!("imagename={name}");
    let set = |words: &str| {
        let value = format!("linuximage.addkcmdline={words}");
        let done = run(&db, &["chtab", &key, &value]);
        (done.status.success(), text(&done.stderr))
    };
    let loader = |netboot: &str| {
        let done = run(
            &db,
            &["nodech", "n01", &format!("noderes.netboot={netboot}")],
        );
        (done.status.success(), text(&done.stderr))
    };
    for (netboot, bad, good) in [
        ("grub2", "it's", "#NODEATTRIB:nodetype:os# R::it's"),
        ("xnba", "a || sh", "a||sh"),
        ("petitboot", "a=\"b\"", "$x || it's"),
        ("yaboot", "a=\"b\"", "$x || it's"),
    ] {
        assert!(loader(netboot).0);
        let (taken, said) = set(bad);
        let wanted = format!(
            "linuximage: row 1 (\"{name}\"): column addkcmdline: for n01, which boots by {netboot}: \"{}\": ",
            bad.escape_debug()
        );
        assert!(!taken && said.contains(&wanted), "{netboot}: {said}");
        assert_eq!(set(good), (true, String::new()), "{netboot}");
        // pxelinux takes all of it; then the loader is what is refused.
        assert!(loader("pxe").0);
        assert_eq!(set(bad), (true, String::new()));
        let (taken, said) = loader(netboot);
        assert!(!taken && said.contains(&wanted), "{netboot}: {said}");
        assert!(set("quiet").0);
    }
}

#[test]
fn mount_options_that_a_nodes_loader_takes_as_its_own_are_refused_when_they_are_set() {
    let world = World::current();
    let db = store(&world);
    let run = |words: &[&str]| {
        let done = run(&db, words);
        (done.status.success(), text(&done.stderr))
    };
    assert!(run(&["nodech", "n01", "noderes.netboot=grub2"]).0);
    let options = "statelite.mntopts=soft;reboot";
    let (taken, said) = run(&["chtab", "node=n01", options]);
    let wanted = "column mntopts: for n01, which boots by grub2: \"soft;reboot\": GRUB takes ";
    assert!(!taken && said.contains(wanted), "{said}");
    let good = [
        "chtab",
        "node=n01",
        "statelite.statemnt=s:/state",
        "statelite.mntopts=soft",
    ];
    let (taken, said) = run(&good);
    assert!(taken, "{said}");
    let (taken, said) = run(&["chtab", "--force", "node=n01", options]);
    assert!(taken && said.contains(wanted), "{said}");
}
