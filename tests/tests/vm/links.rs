//! Link mode: the same tables and the same program, on an image that liteimg has prepared, as xCAT's nodes boot.

use std::fs;

use statelite_mgmt::image::lite;
use statelite_policy::{Dialect, NodeIdentity, Tables};
use statelite_tests::vm::node::Node;
use statelite_tests::vm::site::{Mode, Site, Spec};
use statelite_tests::vm::turn;
use statelite_tests::vm::xcatd::Tables as Answers;

use crate::health;

/// What the tests add to the table, in the words of today.
const CURRENT: &str = "\"ALL\",\"/var/lib/kept/\",\"persistent\",,\n\
    \"ALL\",\"/etc/kept.conf\",\"link,persistent\",,\n\
    \"ALL\",\"/etc/bound.conf\",\"tmpfs\",,\n\
    \"ALL\",\"/etc/joined\",\"con\",,\n\
    \"ALL\",\"/etc/joined.link\",\"link,con\",,\n\
    \"ALL\",\"/etc/shown.link\",\"link,ro\",,\n";

/// The same in the words of 2010, where what is no `bind` is a link.
const OLD: &str = "\"ALL\",\"/var/lib/kept/\",\"bind,persistent\",,\n\
    \"ALL\",\"/etc/kept.conf\",\"persistent\",,\n\
    \"ALL\",\"/etc/bound.conf\",\"bind\",,\n\
    \"ALL\",\"/etc/joined.link\",\"con\",,\n\
    \"ALL\",\"/etc/shown.link\",\"ro\",,\n";

/// Prepares the site's image for these rows, or gives it back as it was.
fn liteimg(site: &mut Site, table: Option<&str>, dialect: Dialect) {
    let rules: Vec<_> = match table {
        None => Vec::new(),
        Some(table) => {
            let tables = Tables {
                litefile: Some(("litefile", table.as_bytes())),
                ..Tables::default()
            };
            let node = NodeIdentity {
                image: "debian12".to_owned(),
                ..NodeIdentity::default()
            };
            let policy = statelite_policy::build(&tables, &node, dialect).unwrap();
            policy.tree.rules().cloned().collect()
        }
    };
    let options = lite::Options {
        no_sync: true,
        ..lite::Options::default()
    };
    lite::apply(&site.image(), "debian12", &rules, dialect, options).unwrap();
    // It remembers what names led to before, which a server in the kernel does not.
    site.image_server().up().unwrap();
}

/// The content that the table's rows are about: in the image, and in two trees.
fn fill(site: &Site) -> Vec<String> {
    let image = site.image().join("etc");
    for name in ["kept.conf", "bound.conf", "joined", "joined.link"] {
        fs::write(image.join(name), format!("{name} of the image\n")).unwrap();
    }
    fs::write(image.join("shown.link"), "").unwrap();
    let _ = fs::remove_file(image.join("resolv.conf"));
    fs::write(image.join("resolv.conf"), "#Dummy resolv.conf\n").unwrap();
    fs::write(image.join("motd"), "motd of the image\n").unwrap();
    fs::create_dir_all(site.image().join("var/lib/kept/sub")).unwrap();
    fs::write(site.image().join("var/lib/kept/sub/file"), "first\n").unwrap();
    for (tree, files) in [
        ("high", &["joined", "joined.link", "motd"][..]),
        ("low", &["joined", "joined.link", "motd", "shown.link"]),
    ] {
        let etc = site.trees().join(tree).join("etc");
        fs::create_dir_all(&etc).unwrap();
        for name in files {
            fs::write(etc.join(name), format!("{name} of {tree}\n")).unwrap();
        }
    }
    ["high", "low"]
        .map(|tree| format!("10.77.0.2:/trees/{tree}"))
        .to_vec()
}

/// What every node in link mode has, whatever its table means.
fn is_linked(node: &mut Node) {
    health::checks(
        node,
        &[
            ("systemctl --failed --no-legend --plain", ""),
            ("findmnt -rn -o FSTYPE /", "nfs"),
            (
                "findmnt -rn -o OPTIONS / | grep -oE '\\b(ro|nocto)\\b'",
                "ro",
            ),
            ("findmnt -rn -o FSTYPE /.statelite", "tmpfs"),
            (
                "findmnt -rn -t fuse,overlay; ps -eo args | grep -c '^@'",
                "0",
            ),
            ("touch /usr/bin/new 2>&1", "~Read-only file system"),
            (
                "readlink /etc/adjtime /etc/machine-id /tmp /var/log",
                "../.statelite/tmpfs/etc/adjtime\n../.statelite/tmpfs/etc/machine-id\n\
                 ./.statelite/tmpfs/tmp\n../.statelite/tmpfs/var/log",
            ),
            ("readlink /etc/mtab", "../proc/self/mounts"),
            ("readlink /.statelite/tmpfs/etc/mtab", "/proc/mounts"),
            ("wc -c </etc/machine-id", "33"),
            ("stat -fc %T /tmp/ /etc/adjtime", "tmpfs\ntmpfs"),
            (
                "cat /.statelite/litetree",
                "10.77.0.2:/trees/high\n10.77.0.2:/trees/low",
            ),
            // The image's copy is no part of it when a tree has one; the link leads to what was joined at the boot.
            (
                "cat /etc/joined.link",
                "joined.link of high\njoined.link of low",
            ),
            (
                "readlink /etc/joined.link",
                "../.statelite/tmpfs/etc/joined.link",
            ),
            (
                "cat /etc/motd /etc/shown.link",
                "motd of high\nshown.link of low",
            ),
            (
                "readlink /etc/kept.conf",
                "../.statelite/tmpfs/etc/kept.conf",
            ),
            (
                "findmnt -rn -o SOURCE /var/lib/kept",
                "10.77.0.3:/state/n01/var/lib/kept",
            ),
            ("echo x >>/etc/bound.conf && tail -n 1 /etc/bound.conf", "x"),
            ("findmnt -rn -o FSTYPE /etc/bound.conf", "tmpfs"),
        ],
    )
    .unwrap();
}

/// What is mounted as the persistent store.
const STORE: &str = "findmnt -rn -o SOURCE /.statelite/persistent";

/// A command that says how a file system is mounted, as far as it tells one era from the other.
fn options(place: &str) -> String {
    format!(
        "findmnt -rn -o OPTIONS {place} | tr , '\\n' | grep -xE 'r[ow]|nolock|proto=.*|vers=.*|timeo=14|rsize=32768' | sort -u"
    )
}

/// The lines of `statelite.log`, which tools of a site read.
fn logged(node: &mut Node, lines: &[&str]) {
    let log = node.check("cat /.statelite/statelite.log").unwrap();
    for line in lines {
        let line = line.replace('%', "/newroot");
        assert!(
            log.lines().any(|one| one == line),
            "no line {line:?} in\n{log}"
        );
    }
}

#[test]
fn link_mode_boots_in_both_dialects_and_shares_the_store() {
    if !health::can_run("link_mode_boots_in_both_dialects_and_shares_the_store") {
        return;
    }
    let _turn = turn().unwrap();
    let mut site = Site::new("links").unwrap();
    let trees = fill(&site);
    let table = format!("{}{CURRENT}", health::TABLE);
    liteimg(&mut site, Some(&table), Dialect::Current);
    let spec = Spec::new(1, Mode::Links).with("nameserver=10.77.0.99");
    let server = site.manage(&spec, &table, &trees).unwrap();
    let (mut node, boot) = health::boot(&site, &spec).unwrap();
    match health::calls_of(&Spec::new(1, Mode::Fuse)) {
        Some(ours) => {
            eprintln!(
                "NFS calls from mount to multi-user: link mode {}, ours {ours}",
                boot.calls
            );
            assert!(
                ours * 2 <= boot.calls,
                "more than half of link mode's calls"
            );
        }
        None => {
            eprintln!("NOT COMPARED: link mode with ours, whose test has not run before this one")
        }
    }
    is_linked(&mut node);
    health::checks(
        &mut node,
        &[
            ("stat -c %a /.statelite", "1777"),
            (STORE, "10.77.0.3:/state/n01"),
            ("cat /etc/resolv.conf", "~nameserver 10.77.0.99"),
            (&options("/.statelite/mnt/10.77.0.2/trees/low"), "nolock\nproto=tcp\nro\nvers=3"),
            (&options("/.statelite/persistent"), "proto=tcp\nrsize=32768\nrw\ntimeo=14\nvers=4.1"),
            ("cat /etc/joined", "joined of high\njoined of low"),
            ("findmnt -rn -o FSTYPE /etc/joined", "tmpfs"),
            ("findmnt -rn -o SOURCE /etc/motd", "10.77.0.2:/trees/high/etc/motd"),
            ("echo x >/etc/motd 2>&1", "~Read-only file system"),
            ("readlink /.statelite/tmpfs/etc/kept.conf", "/.statelite/persistent/etc/kept.conf"),
            (
                "readlink /.statelite/tmpfs/etc/shown.link",
                "/.statelite/mnt/10.77.0.2/trees/low/etc/shown.link",
            ),
            ("head -n 1 /.statelite/litefile", "tmpfs,rw      /etc/adjtime"),
            ("echo kept >>/etc/kept.conf; echo kept >/var/lib/kept/sub/file; echo lost >/etc/adjtime", ""),
        ],
    )
    .unwrap();
    logged(
        &mut node,
        &[
            "mkdir -p %/.statelite/tmpfs/etc",
            "cp -r -a %/.default/etc/adjtime %/.statelite/tmpfs/etc/adjtime",
            "cp -r -a %/.default/var/log/ %/.statelite/tmpfs/var/log/",
            "mout --bind -o ro %/.statelite/mnt/10.77.0.2/trees/high/etc/motd %/etc/motd",
            "cp -r -a %/.default/var/lib/kept/ %/.statelite/persistent/var/lib/kept/",
            "mount --bind %/.statelite/persistent/var/lib/kept/ %//var/lib/kept",
            "ln -sf /.statelite/persistent/etc/kept.conf %/.statelite/tmpfs/etc/kept.conf",
            "mount --bind %/.statelite/tmpfs/etc/bound.conf %/etc/bound.conf",
            "cat %/.statelite/mnt/10.77.0.2/trees/high/etc/joined >>%/.statelite/tmpfs/etc/joined",
            "cat %/.statelite/mnt/10.77.0.2/trees/low/etc/joined >>%/.statelite/tmpfs/etc/joined",
            "mount --bind %/.statelite/tmpfs/etc/joined %/etc/joined",
        ],
    );
    health::power_off(&mut node).unwrap();
    drop(node);

    // The same store, and the image prepared in the words of 2010.
    liteimg(&mut site, None, Dialect::Current);
    let table = format!("{}{OLD}", health::TABLE);
    liteimg(&mut site, Some(&table), Dialect::Seed2010);
    server.set_tables(Answers::new("n01", &table, &trees).unwrap());
    let spec = spec.with("statelite.dialect=2010");
    let (mut node, boot) = health::boot(&site, &spec).unwrap();
    eprintln!("in the dialect of 2010: {} calls", boot.calls);
    is_linked(&mut node);
    health::checks(
        &mut node,
        &[
            ("stat -c %a /.statelite", "755"),
            (STORE, "10.77.0.3:/state"),
            (
                &options("/.statelite/mnt/trees/low"),
                "nolock\nproto=tcp\nro\nvers=3",
            ),
            (
                &options("/.statelite/persistent"),
                "nolock\nproto=tcp\nrsize=32768\nrw\ntimeo=14\nvers=3",
            ),
            ("cat /etc/kept.conf", "kept.conf of the image\nkept"),
            ("cat /var/lib/kept/sub/file", "kept"),
            ("cat /etc/adjtime", ""),
            ("readlink /etc/motd", "../.statelite/tmpfs/etc/motd"),
            (
                "readlink /.statelite/tmpfs/etc/motd",
                "/.statelite/mnt/trees/high/etc/motd",
            ),
            (
                "readlink /.statelite/tmpfs/etc/kept.conf",
                "/.statelite/persistent/n01/etc/kept.conf",
            ),
        ],
    )
    .unwrap();
    logged(
        &mut node,
        &[
            "cp -a %/.default/etc/adjtime %/.statelite/tmpfs/etc/adjtime",
            "mount --bind %/.statelite/persistent/n01/var/lib/kept/ %//var/lib/kept",
            "ln -sf /.statelite/mnt/trees/high/etc/motd %/.statelite/tmpfs/etc/motd",
        ],
    );
    health::power_off(&mut node).unwrap();
}
