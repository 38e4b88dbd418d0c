//! 100,000 rows: every rule is there and found. Times are printed by the example `build_100k`, never asserted.

use std::fmt::Write as _;

use statelite_policy::{Dialect, NodeIdentity, Placement, Tables, build, check};

const ROWS: usize = 100_000;

fn path(row: usize) -> String {
    format!(
        "/opt/part{}/directory{}/file{}",
        row / 10_000,
        row / 100 % 100,
        row % 100
    )
}

#[test]
fn a_hundred_thousand_rows() {
    let mut text = String::from("#image,file,options,comments,disable\n");
    for row in 0..ROWS {
        writeln!(
            text,
            "\"ALL\",\"{}\",\"{}\",,",
            path(row),
            if row % 2 == 0 { "ro" } else { "rw" }
        )
        .unwrap();
    }
    writeln!(text, "\"compute\",\"{}\",\"persistent\",,", path(5)).unwrap();
    let node = NodeIdentity {
        name: "n".into(),
        image: "compute".into(),
        ..NodeIdentity::default()
    };
    let tables = Tables {
        litefile: Some(("litefile.csv", text.as_bytes())),
        ..Tables::default()
    };
    assert_eq!(check(&tables, Dialect::Current), Ok(vec![]));
    let policy = build(&tables, &node, Dialect::Current).unwrap();
    assert_eq!(policy.tree.len(), ROWS + 1);
    for row in 0..ROWS {
        let expected = match row {
            5 => Placement::Persistent,
            row if row % 2 == 0 => Placement::Tree,
            _ => Placement::Volatile,
        };
        assert_eq!(
            policy.tree.placement(path(row).as_bytes()),
            expected,
            "{row}"
        );
    }
    assert_eq!(
        policy.tree.placement(b"/opt/part0/directory0"),
        Placement::Image
    );
}

#[test]
fn every_one_of_many_bad_rows_is_reported() {
    let mut text = String::from("#image,file,options,comments,disable\n");
    for row in 0..1000 {
        writeln!(text, "\"ALL\",\"{}\",\"nonsense\",,", path(row)).unwrap();
    }
    let tables = Tables {
        litefile: Some(("litefile.csv", text.as_bytes())),
        ..Tables::default()
    };
    let refusals = check(&tables, Dialect::Current).unwrap_err();
    let lines: Vec<u64> = refusals.0.iter().map(|refusal| refusal.line).collect();
    assert_eq!(lines, (2..1002).collect::<Vec<u64>>());
}
