//! The sample tables, in both dialects: every link text and every byte of `litefile.save`.

use crate::QUICK;
use crate::tree::{Lines, assert_same, lines, make};
use statelite_mgmt::image::lite;
use statelite_policy::{Dialect, NodeIdentity, Rule, Tables};
use std::fs;
use std::path::Path;

/// A little of what such an image has.
const IMAGE: &[&str] = &[
    "etc/adjtime=0.0",
    "etc/fstab=compute_x86_64 / tmpfs rw 0 1",
    "etc/inittab=id:3:initdefault:",
    "etc/mtab=",
    "etc/ntp.conf=server",
    "etc/ssh/sshd_config=UsePAM yes:600",
    "etc/ssh/ssh_host_key=secret:600",
    "etc/a-default=1",
    "etc/a-tmpfs=2",
    "etc/a-ro=3",
    "etc/a-link-con=4",
    "var/p/there=5",
    "tmp/:1777",
    "var/log/messages=m",
    "var/lib/ntp/drift=0",
    "var/run/",
    "var/empty/:711",
    "root/:700",
];

fn sample(name: &str, dialect: Dialect) -> Vec<Rule> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/samples")
        .join(name);
    let text = fs::read(path).unwrap();
    let tables = Tables {
        litefile: Some((name, &text)),
        ..Tables::default()
    };
    let node = NodeIdentity {
        image: "compute".into(),
        ..NodeIdentity::default()
    };
    let policy = statelite_policy::build(&tables, &node, dialect).unwrap();
    policy.tree.rules().cloned().collect()
}

/// The tree as text: names, kinds, link texts and modes of what liteimg made.
fn shown(root: &Path, lines: &Lines) -> String {
    let mut text = String::new();
    for (name, line) in lines.iter().filter(|(name, _)| !name.is_empty()) {
        let mode = line.split(' ').next().unwrap_or_default();
        let what = match fs::read_link(root.join(name)) {
            Ok(target) => format!("{name} -> {}", target.display()),
            Err(_) => format!("{name} {mode}"),
        };
        text.push_str(&format!("{what}\n"));
    }
    text
}

fn golden(sample_name: &str, dialect: Dialect) -> (String, String) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    make(root, IMAGE);
    let before = lines(root);
    let rules = sample(sample_name, dialect);
    lite::apply(root, "compute", &rules, dialect, QUICK).unwrap();
    let tree = shown(root, &lines(root));
    let save = fs::read_to_string(root.join(".statelite/litefile.save")).unwrap();
    assert_eq!(
        lite::apply(root, "compute", &rules, dialect, QUICK)
            .unwrap()
            .steps,
        []
    );
    lite::apply(root, "compute", &[], dialect, QUICK).unwrap();
    assert_same(&lines(root), &before, sample_name);
    (tree, save)
}

#[test]
fn the_redhat_table_of_2010() {
    let (tree, save) = golden("litefile.seed.redhat.csv", Dialect::Seed2010);
    insta::assert_snapshot!("redhat-2010-tree", tree);
    insta::assert_snapshot!("redhat-2010-save", save);
    let (current, save) = golden("litefile.seed.redhat.csv", Dialect::Current);
    assert_eq!(current, tree, "blank means link in both dialects");
    insta::assert_snapshot!("redhat-current-save", save);
}

#[test]
fn every_option() {
    let (tree, save) = golden("litefile.option-matrix.csv", Dialect::Current);
    insta::assert_snapshot!("options-tree", tree);
    insta::assert_snapshot!("options-save", save);
}

#[test]
fn the_sles_table() {
    let (tree, save) = golden("litefile.seed.sles11.csv", Dialect::Seed2010);
    insta::assert_snapshot!("sles-tree", tree);
    insta::assert_snapshot!("sles-save", save);
}
