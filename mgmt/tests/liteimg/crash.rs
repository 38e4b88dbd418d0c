//! Runs that are broken off between any two changes they make to an image.

use crate::random::{broken_off, build, impossible, steady, tables, trees};
use crate::tree::{assert_same, lines};
use crate::{apply, rules};
use proptest::prelude::*;
use statelite_policy::Rule;
use std::path::Path;

/// Breaks the change from one table to another off after every number of changes, and once more while it is being
/// finished. In the end the image must be as if nothing had happened, and the undo exact.
fn at_every_point(make: &dyn Fn(&Path), first: &[Rule], second: &[Rule]) -> bool {
    let whole = tempfile::tempdir().unwrap();
    make(whole.path());
    let before = lines(whole.path());
    for table in [first, second] {
        match apply(whole.path(), table) {
            Ok(_) => {}
            Err(error) if impossible(&error) => return false,
            Err(error) => panic!("{error}"),
        }
    }
    let wanted = steady(&lines(whole.path()), &before);
    let mut point = 0;
    loop {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        make(root);
        apply(root, first).unwrap();
        if !broken_off(root, second, point) {
            break;
        }
        // The second try ends early too, at some other point.
        broken_off(root, second, point * 7 % 13);
        apply(root, second).unwrap();
        let found = steady(&lines(root), &before);
        assert_same(
            &found,
            &wanted,
            &format!("broken off after {point} changes"),
        );
        apply(root, &[]).unwrap();
        assert_same(
            &lines(root),
            &before,
            &format!("undone after {point} changes"),
        );
        point += 1;
    }
    true
}

#[test]
fn a_usual_change_can_break_off_anywhere() {
    let make = |root: &Path| {
        crate::tree::make(
            root,
            &[
                "etc/a=1",
                "etc/b=2",
                "var/log/x=3",
                "var/log/y&var/log/x",
                "tmp/:1777",
                "lock>/srv/lock",
                "srv/lock/",
            ],
        );
    };
    let first = rules(&[
        "/etc/a",
        "/etc/new",
        "/var/ tmpfs",
        "/var/log/x persistent",
        "/tmp/",
        "/lock/f",
    ]);
    let second = rules(&[
        "/etc/",
        "/etc/a",
        "/etc/deep/er",
        "/var/log/",
        "/tmp/ rw",
        "/lock/f",
        "/lock/g ro",
    ]);
    for (first, second) in [
        (&first, &second),
        (&second, &first),
        (&vec![], &first),
        (&vec![], &second),
    ] {
        assert!(at_every_point(&make, first, second));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::cases(12), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_change_can_break_off_anywhere(tree in trees(), first in tables(), second in tables()) {
        at_every_point(&|root| build(root, &tree), &first, &second);
    }
}
