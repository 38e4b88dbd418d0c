//! Single rows: merge order, disable, mtab, priorities, variables, and every refusal with its place.

use statelite_policy::{Dialect, NodeIdentity, Policy, Refusals, Tables, build, check};

const LITEFILE: &str = "#image,file,options,comments,disable\n";
const LITETREE: &str = "#priority,image,directory,mntopts,comments,disable\n";
const STATELITE: &str = "#node,image,statemnt,mntopts,comments,disable\n";

fn node() -> NodeIdentity {
    NodeIdentity {
        name: "cn1".into(),
        image: "compute".into(),
        image_groups: Some("grp".into()),
        groups: vec!["rack1".into(), "all".into()],
        variables: [("site.master".to_owned(), "10.0.0.1".to_owned())].into(),
    }
}

/// All three tables in one text: a line starting with `f `, `t ` or `s ` is a row of litefile, litetree, statelite.
fn with<T>(rows: &[&str], run: impl FnOnce(&Tables<'_>) -> T) -> T {
    let table = |header: &str, mark: &str| {
        let rows = rows.iter().filter_map(|row| row.strip_prefix(mark));
        rows.fold(header.to_owned(), |text, row| text + row + "\n")
    };
    let (files, trees, states) = (
        table(LITEFILE, "f "),
        table(LITETREE, "t "),
        table(STATELITE, "s "),
    );
    run(&Tables {
        litefile: Some(("litefile.csv", files.as_bytes())),
        litetree: Some(("litetree.csv", trees.as_bytes())),
        statelite: Some(("statelite.csv", states.as_bytes())),
    })
}

fn built(rows: &[&str]) -> Result<Policy, Refusals> {
    with(rows, |tables| build(tables, &node(), Dialect::Current))
}

fn refused(rows: &[&str]) -> Vec<String> {
    built(rows)
        .err()
        .unwrap_or_default()
        .0
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn warned(rows: &[&str]) -> Vec<String> {
    match built(rows) {
        Ok(policy) => policy.warnings.iter().map(ToString::to_string).collect(),
        Err(refusals) => vec![format!("refused: {refusals}")],
    }
}

fn option(policy: &Policy, path: &str) -> Option<String> {
    let pos = policy.tree.position(path.as_bytes())?;
    policy.tree.rule(pos).map(|rule| rule.option.clone())
}

#[test]
fn groups_blank_all_image_each_overwrites_the_one_before() {
    let rows = ["f grp,/a,ro", "f ,/a,rw", "f ALL,/a,con", "f compute,/a,"];
    for (count, expected) in [(1, "ro"), (2, "rw"), (3, "con"), (4, "tmpfs,rw")] {
        let mut some: Vec<_> = rows.iter().take(count).copied().collect();
        for _ in 0..count {
            some.rotate_left(1);
            assert_eq!(
                option(&built(&some).unwrap(), "/a").as_deref(),
                Some(expected),
                "{some:?}"
            );
        }
    }
}

#[test]
fn blank_image_may_be_null_or_empty_and_both_are_one_level() {
    assert_eq!(
        option(&built(&["f \"\",/a,ro"]).unwrap(), "/a").as_deref(),
        Some("ro")
    );
    assert_eq!(
        refused(&["f ,/a,ro", "f \"\",/a,rw"]),
        ["litefile.csv:3: column file: /a is listed for the same image on line 2 already"]
    );
}

#[test]
fn rows_of_other_images_do_not_count() {
    let policy = built(&["f service,/a,nonsense", "f service,relative,ro"]).unwrap();
    assert_eq!(option(&policy, "/a"), None);
    let verdict = with(
        &["f service,/a,nonsense", "f service,relative,ro"],
        |tables| check(tables, Dialect::Current),
    );
    assert_eq!(verdict.unwrap_err().0.len(), 2);
}

#[test]
fn a_slash_does_not_make_another_path() {
    assert_eq!(refused(&["f ALL,/a,ro", "f ALL,/a/,rw"]).len(), 1);
    let policy = built(&["f ALL,/a,ro", "f compute,/a/,rw"]).unwrap();
    assert_eq!(option(&policy, "/a").as_deref(), Some("rw"));
}

#[test]
fn disabled_rows_are_dropped_before_they_are_judged() {
    let policy = built(&[
        "f ALL,/a,ro,,1",
        "f ALL,bad path,nonsense,,yes",
        "f ALL,/a,rw,,no",
    ])
    .unwrap();
    assert_eq!(option(&policy, "/a").as_deref(), Some("rw"));
    assert_eq!(policy.warnings, []);
    assert_eq!(
        warned(&["f ALL,/a,ro,,off"]),
        [
            "litefile.csv:2: column disable: \"off\" disables the row: only blank, 0 and no keep it live"
        ]
    );
}

#[test]
fn mtab_is_always_there_and_always_tmpfs() {
    assert_eq!(
        option(&built(&[]).unwrap(), "/etc/mtab").as_deref(),
        Some("link")
    );
    assert_eq!(
        option(&built(&["f ALL,/etc/mtab,ro,,1"]).unwrap(), "/etc/mtab").as_deref(),
        Some("link")
    );
    assert_eq!(
        option(&built(&["f ALL,/etc/mtab,ro"]).unwrap(), "/etc/mtab").as_deref(),
        Some("tmpfs,rw")
    );
    assert_eq!(
        warned(&["f ALL,/etc/mtab,ro"]),
        ["litefile.csv:2: column options: /etc/mtab is always tmpfs,rw: \"ro\" is not used"]
    );
    assert!(warned(&["f ALL,/etc/mtab,"]).is_empty());
    assert!(built(&["f ALL,/etc/mtab/,"]).is_err());
    let none = build(&Tables::default(), &node(), Dialect::Current).unwrap();
    assert_eq!(none.tree.len(), 1);
}

#[test]
fn every_bad_row_is_named_in_one_go() {
    assert_eq!(
        refused(&[
            "f ALL,etc/x,ro",
            "f ALL,/etc/../x,ro",
            "f ALL,\"/etc/a b\",ro",
            "f ALL,,ro",
            "f ALL,/d/,con",
            "f ALL,/c:d,ro",
            "t one,,s:/a",
            "t 1,,s:/a/$node-x",
            "s cn1,,:/x",
        ]),
        [
            "litefile.csv:2: column file: the path is not absolute",
            "litefile.csv:3: column file: the path contains a \".\" or \"..\" component",
            "litefile.csv:4: column file: the path contains whitespace",
            "litefile.csv:5: column file: the path is empty",
            "litefile.csv:6: column options: a directory cannot be concatenated: the option \"con\" is for files",
            "litefile.csv:7: column file: the path contains \":\"",
            "litetree.csv:2: column priority: \"one\" is not a number",
            "litetree.csv:3: column directory: \"$node-x\" is no variable: expected $node, $table.column or $site.key, \
             ended by \"/\", \"$\" or \":\"",
            "statelite.csv:2: column statemnt: nothing before the \":\": expected server:dir",
        ]
    );
    let unknown = refused(&["f ALL,/x,foo"]);
    assert!(
        unknown[0].starts_with("litefile.csv:2: column options: unknown option \"foo\" (allowed"),
        "{unknown:?}"
    );
}

#[test]
fn the_words_of_2010_need_their_dialect() {
    let rows = ["f ALL,/a,bind", "f ALL,/b,tmpfs"];
    let policy = with(&rows, |tables| build(tables, &node(), Dialect::Seed2010)).unwrap();
    assert_eq!(policy.warnings.len(), 1, "bare tmpfs");
    assert!(refused(&rows)[0].contains("a word of the 2010 dialect"));
}

fn layers(rows: &[&str]) -> Vec<String> {
    match built(rows) {
        Ok(policy) => policy
            .layers
            .iter()
            .map(|layer| layer.source.to_string())
            .collect(),
        Err(refusals) => vec![format!("refused: {refusals}")],
    }
}

#[test]
fn priorities_are_numbers() {
    assert_eq!(
        layers(&["t 10,,s:/ten", "t 9,,s:/nine", "t 4.7,,s:/less"]),
        ["s:/less", "s:/nine", "s:/ten"]
    );
    assert_eq!(
        refused(&["t 1,,s:/a", "t 01,,s:/b"]),
        ["litetree.csv:3: column priority: the priority is that of line 2 for the same image"]
    );
    assert_eq!(
        layers(&["t 1,ALL,s:/all", "t 1,compute,s:/own", "t 2,service,s:/no"]),
        ["s:/own"]
    );
    assert_eq!(warned(&["t 1,ALL,s:/all", "t 1,compute,s:/own"]).len(), 1);
}

#[test]
fn undefined_variables_in_a_tree() {
    let rows = ["t 1,,$site.master:/a/$nodepos.room"];
    assert_eq!(layers(&rows), ["10.0.0.1:/a/UNDEFINED"]);
    assert_eq!(
        warned(&rows),
        [
            "litetree.csv:2: column directory: $nodepos.room has no value for node cn1: read as UNDEFINED"
        ]
    );
    assert_eq!(
        refused(&["t 1,,$noderes.nfsserver:/a"]),
        [
            "litetree.csv:2: column directory: $noderes.nfsserver has no value for node cn1: the server is unknown"
        ]
    );
    let overwritten = ["t 1,ALL,$noderes.nfsserver:/a", "t 1,compute,s:/b"];
    assert_eq!(layers(&overwritten), ["s:/b"]);
}

#[test]
fn commands_are_for_the_management_side() {
    assert!(refused(&["t 1,,s:/a/#CMD=uname -r#"])[0].contains("management side"));
    let verdict = with(&["t 1,other,s:/a/#CMD=uname -r#"], |tables| {
        check(tables, Dialect::Current)
    });
    assert!(verdict.is_err());
}

#[test]
fn own_row_then_groups_each_attribute_for_itself() {
    let statemnt = |rows: &[&str]| {
        built(rows)
            .unwrap()
            .statemnt
            .map(|source| format!("{source:#}"))
    };
    let rows = [
        "s all,,s:/all,hard",
        "s rack1,,s:/rack",
        "s cn2,,s:/other",
        "s cn1,,,soft",
    ];
    assert_eq!(statemnt(&rows).as_deref(), Some("s:/rack :soft"));
    assert_eq!(
        statemnt(&["s all,,s:/all,hard", "s rack1,,s:/rack,,,1"]).as_deref(),
        Some("s:/all :hard")
    );
    assert_eq!(
        refused(&["s cn1,,s:/a", "s cn1,,s:/b"]),
        ["statelite.csv:3: column node: cn1 has a row on line 2 already"]
    );
    assert!(refused(&["s ,,s:/a"])[0].contains("column node"));
    assert!(refused(&["s cn1,,s:/a,\"a b\""])[0].contains("column mntopts"));
}

#[test]
fn a_statemnt_shaped_like_a_regex() {
    let policy = built(&["s cn1,,/gpfs/state/"]).unwrap();
    assert_eq!(
        policy.statemnt.map(|source| source.to_string()).as_deref(),
        Some("/gpfs/state/")
    );
    assert_eq!(policy.warnings.len(), 1);
    assert!(refused(&["s cn1,,\"|cn(\\d+)|s:/state/$1|\""])[0].contains("management side"));
}

#[test]
fn persistent_without_a_store_is_odd() {
    let warnings = warned(&["f ALL,/a,persistent", "f ALL,/b/,persistent"]);
    assert_eq!(
        warnings,
        [
            "litefile.csv:2: column options: node cn1 has no statemnt to keep persistent paths in (2 of them, /a the first)"
        ]
    );
    let image = NodeIdentity::default();
    let tables = Tables {
        litefile: Some(("litefile.csv", b"#image,file,options\nALL,/a,persistent\n")),
        ..Tables::default()
    };
    let policy = statelite_policy::build(&tables, &image, Dialect::Current).unwrap();
    assert_eq!(policy.warnings, [], "the nodes of an image may have one");
}

#[test]
fn wildcards_and_lost_groups_are_odd() {
    assert_eq!(warned(&["f ALL,/var/log/*.log,"]).len(), 1);
    let node = NodeIdentity {
        image_groups: Some("a,b".into()),
        ..node()
    };
    let policy = with(&["f b,/x,ro"], |tables| {
        build(tables, &node, Dialect::Current)
    })
    .unwrap();
    assert_eq!((option(&policy, "/x"), policy.warnings.len()), (None, 1));
}

#[test]
fn a_table_without_header_never_counts_as_empty() {
    let tables = Tables {
        litefile: Some(("litefile.csv", b"")),
        ..Tables::default()
    };
    assert!(build(&tables, &node(), Dialect::Current).is_err());
}
