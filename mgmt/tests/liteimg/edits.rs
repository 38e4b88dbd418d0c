//! Files that are changed besides the litefile table: fstab, root's password, synchronised ones.

use crate::random::{build, impossible, inodes, path, steady, tables, trees};
use crate::tree::{assert_same, lines, make};
use crate::{QUICK, rules};
use proptest::prelude::*;
use statelite_mgmt::image::lite::edit::{Change, Content, Edit};
use statelite_mgmt::image::lite::{self, LiteError, Options, Report};
use statelite_policy::{Dialect, Rule};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

fn run(
    root: &Path,
    rules: &[Rule],
    edits: &[Edit],
    abort_after: Option<u64>,
) -> Result<Report, LiteError> {
    let options = Options {
        abort_after,
        ..QUICK
    };
    let what = (rules, edits);
    lite::apply_edited(
        root,
        "img",
        what,
        Dialect::Current,
        options,
        &mut |_, _, _| {},
    )
}

fn apply(root: &Path, rules: &[Rule], edits: &[Edit]) -> Report {
    let report = run(root, rules, edits, None).unwrap();
    let again = run(root, rules, edits, None).unwrap();
    assert_eq!(again.steps, [], "a second run has nothing to do");
    report
}

fn edit(path: &str, change: Change) -> Edit {
    let path = path.to_owned();
    Edit { path, change }
}

fn hash(hash: &str) -> Edit {
    edit("etc/shadow", Change::RootHash(hash.to_owned()))
}

fn read_only() -> Edit {
    edit("etc/fstab", Change::ReadOnlyRoot("c_x86_64".into()))
}

fn file(path: &str, text: &str) -> Edit {
    let file = Content {
        bytes: text.into(),
        mode: 0o640,
        uid: 0,
        gid: 0,
        mtime: Some((1_234_567, 0)),
    };
    edit(path, Change::File(file))
}

fn text(root: &Path, path: &str) -> String {
    fs::read_to_string(root.join(path)).unwrap()
}

fn image(root: &Path) {
    make(
        root,
        &[
            "etc/shadow=root:*:1:0:9:7:::\nbin:*:1::::::\n:600",
            "etc/fstab=c_x86_64 / tmpfs rw 0 1\n",
            "etc/motd=old\n",
            "opt/link>/etc/motd",
        ],
    );
}

#[test]
fn a_warning_is_said_once_though_two_plans_see_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    make(root, &["etc/rel>other"]);
    // The row makes the file, and then there is something to change: two plans.
    let rows = rules(&["/etc/rel tmpfs", "/etc/new"]);
    let report = apply(root, &rows, &[file("etc/new", "x")]);
    assert_eq!(text(root, ".default/etc/new"), "x");
    let relative = report
        .warnings
        .iter()
        .filter(|w| w.contains("relative link"));
    assert_eq!(relative.count(), 1, "{:?}", report.warnings);
}

#[test]
fn files_are_changed_and_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    image(root);
    let before = lines(root);
    let numbers = inodes(root, &before);
    let tables = [
        rules(&["/tmp/"]),
        rules(&["/etc/shadow", "/etc/fstab tmpfs"]),
        rules(&["/etc/ tmpfs"]),
        rules(&["/etc/ link"]),
    ];
    for table in &tables {
        let edits = [
            hash("$6$a$b"),
            read_only(),
            file("etc/motd", "new\n"),
            file("etc/more/deep", "x"),
        ];
        apply(root, table, &edits);
        let get = |path: &str| text(root, path);
        let shadow = get("etc/shadow");
        assert_eq!(shadow, "root:$6$a$b:1:0:9:7:::\nbin:*:1::::::\n");
        assert_eq!(get("etc/fstab"), "c_x86_64 / tmpfs ro 0 1\n");
        assert_eq!(get("etc/motd"), "new\n");
        assert_eq!(get("etc/more/deep"), "x");
        let meta = fs::metadata(root.join("etc/shadow")).unwrap();
        assert_eq!(meta.mode() & 0o7777, 0o600, "as the image's own");
        let meta = fs::metadata(root.join("etc/motd")).unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.mtime()), (0o640, 1_234_567));
        for copy in [".default/etc/shadow", ".default/etc/fstab"] {
            let copied = root.join(copy);
            if fs::symlink_metadata(&copied).is_ok() {
                assert_eq!(text(root, copy), get(&copy[".default/".len()..]), "{copy}");
            }
        }
    }
    // Another password, and a file less.
    apply(root, &tables[3], &[hash("$6$c$d"), read_only()]);
    assert!(text(root, "etc/shadow").starts_with("root:$6$c$d:1:"));
    assert_eq!(text(root, "etc/motd"), "old\n");
    assert!(!root.join("etc/more").exists());
    apply(root, &[], &[hash("$6$c$d")]);
    assert_same(&lines(root), &before, "undone");
    assert_eq!(inodes(root, &before), numbers, "the very files");
}

#[test]
fn what_needs_no_change_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    image(root);
    let edits = [
        hash("*"),
        file("etc/motd", "old\n"),
        edit("etc/none", Change::RootHash("*".into())),
    ];
    let report = apply(root, &rules(&["/tmp/"]), &edits);
    assert!(!root.join(".statelite/originals").exists(), "{report:?}");
    // A directory is not replaced by a file.
    let report = apply(root, &rules(&["/tmp/"]), &[file("etc", "x")]);
    assert_eq!(
        report.warnings,
        ["/etc is no file in the image: it is left alone"]
    );
}

#[test]
fn a_path_over_a_link_changes_what_the_link_leads_to() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    image(root);
    let before = lines(root);
    apply(root, &rules(&["/etc/motd"]), &[file("opt/link", "new\n")]);
    assert!(root.join("opt/link").is_symlink());
    assert_eq!(text(root, ".default/etc/motd"), "new\n");
    apply(root, &[], &[]);
    assert_same(&lines(root), &before, "undone");
}

#[test]
fn two_names_of_one_file_are_done_once() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    image(root);
    let before = lines(root);
    let edits = [file("opt/link", "by link\n"), file("etc/motd", "by name\n")];
    let report = apply(root, &rules(&["/tmp/"]), &edits);
    assert_eq!(
        report.warnings,
        ["/etc/motd is /opt/link by another name: only that file is put in"]
    );
    assert_eq!(text(root, "etc/motd"), "by link\n");
    run(root, &[], &[], None).unwrap();
    assert_same(&lines(root), &before, "undone");
}

#[test]
fn what_somebody_changed_since_stays_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    image(root);
    let table = rules(&["/tmp/"]);
    apply(root, &table, &[hash("$6$a$b"), file("etc/motd", "new\n")]);
    let changed = "root:$6$own$own:2:0:9:7:::\nnew:*:1::::::\n";
    fs::write(root.join("etc/shadow"), changed).unwrap();
    fs::write(root.join("etc/motd"), "theirs\n").unwrap();
    // The password is put into what they wrote, and the file into its place; what was there is kept.
    let report = apply(root, &table, &[hash("$6$a$b"), file("etc/motd", "new\n")]);
    assert_eq!(report.warnings.len(), 2, "{:?}", report.warnings);
    assert_eq!(
        text(root, "etc/shadow"),
        changed.replace("$6$own$own", "$6$a$b")
    );
    assert_eq!(text(root, "etc/motd"), "new\n");
    apply(root, &[], &[]);
    assert_eq!(text(root, "etc/shadow"), changed);
    assert_eq!(text(root, "etc/motd"), "theirs\n");
    // With a change after the last run, undo leaves it.
    apply(root, &table, &[hash("$6$a$b")]);
    fs::write(root.join("etc/shadow"), "root:x:::::::\n").unwrap();
    let report = run(root, &[], &[], None).unwrap();
    assert!(
        report.warnings[0].starts_with("/etc/shadow was changed after liteimg had changed it"),
        "{:?}",
        report.warnings
    );
    assert_eq!(text(root, "etc/shadow"), "root:x:::::::\n");
}

#[test]
fn nobody_else_reads_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    image(root);
    for point in 0.. {
        if run(
            root,
            &rules(&["/tmp/"]),
            &[hash("$6$secret$x")],
            Some(point),
        )
        .is_ok()
        {
            break;
        }
        for name in [".statelite", ".statelite.new"] {
            let journal = root.join(name).join("journal");
            if let Ok(meta) = fs::metadata(journal) {
                assert_eq!(
                    meta.permissions().mode() & 0o077,
                    0,
                    "after {point} changes"
                );
            }
        }
    }
    assert!(text(root, "etc/shadow").starts_with("root:$6$secret$x:"));
}

/// As for tables alone: broken off at every change, and once more while that is finished.
fn at_every_point(
    make: &dyn Fn(&Path),
    first: &(Vec<Rule>, Vec<Edit>),
    second: &(Vec<Rule>, Vec<Edit>),
) {
    let whole = tempfile::tempdir().unwrap();
    make(whole.path());
    let before = lines(whole.path());
    for (table, edits) in [first, second] {
        match run(whole.path(), table, edits, None) {
            Ok(_) => {}
            Err(error) if impossible(&error) => return,
            Err(error) => panic!("{error}"),
        }
    }
    let wanted = steady(&lines(whole.path()), &before);
    for point in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        make(root);
        run(root, &first.0, &first.1, None).unwrap();
        match run(root, &second.0, &second.1, Some(point)) {
            Ok(_) => return,
            Err(error) => assert!(error.aborted(), "{error}"),
        }
        let _ = run(root, &second.0, &second.1, Some(point * 7 % 13));
        apply(root, &second.0, &second.1);
        let what = format!("broken off after {point} changes");
        assert_same(&steady(&lines(root), &before), &wanted, &what);
        run(root, &[], &[], None).unwrap();
        assert_same(
            &lines(root),
            &before,
            &format!("undone after {point} changes"),
        );
    }
}

#[test]
fn a_usual_change_can_break_off_anywhere() {
    let first = (
        rules(&["/etc/shadow", "/tmp/"]),
        vec![hash("$6$a$b"), read_only(), file("etc/more/deep", "x")],
    );
    let second = (
        rules(&["/etc/ tmpfs", "/tmp/"]),
        vec![hash("$6$c$d"), file("etc/motd", "new\n")],
    );
    let none = (Vec::new(), Vec::new());
    for (first, second) in [
        (&none, &first),
        (&first, &second),
        (&second, &first),
        (&second, &none),
    ] {
        at_every_point(&image, first, second);
    }
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let one = (path(4), "[a-c]{0,3}").prop_map(|(path, text)| file(&path, &text));
    prop::collection::btree_map(path(4), one, 0..4).prop_map(|edits| {
        // As a user's list: no file below another one.
        let mut chosen: Vec<Edit> = Vec::new();
        for (path, edit) in edits {
            let edit = Edit { path, ..edit };
            let below = |one: &str, other: &str| other.starts_with(&format!("{one}/"));
            if !chosen
                .iter()
                .any(|c| below(&c.path, &edit.path) || below(&edit.path, &c.path))
            {
                chosen.push(edit);
            }
        }
        chosen
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::cases(100), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_sequence_can_be_undone(tree in trees(), sequence in prop::collection::vec((tables(), edits()), 1..4)) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        build(root, &tree);
        let before = lines(root);
        let numbers = inodes(root, &before);
        for (table, edits) in &sequence {
            match run(root, table, edits, None) {
                Ok(_) => {}
                Err(error) if impossible(&error) => continue,
                Err(error) => panic!("{error}"),
            }
            let again = run(root, table, edits, None).unwrap();
            prop_assert_eq!(again.steps, [], "a second run has nothing to do");
        }
        run(root, &[], &[], None).unwrap();
        assert_same(&lines(root), &before, "undone");
        prop_assert_eq!(inodes(root, &before), numbers, "the very things, not copies of them");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::cases(6), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_change_can_break_off_anywhere(tree in trees(), first in (tables(), edits()), second in (tables(), edits())) {
        at_every_point(&|root| build(root, &tree), &first, &second);
    }
}
