use super::*;
use crate::model::Dialect;
use crate::rule_arg;

fn rule(argument: &str) -> Rule {
    rule_arg::parse(argument, Dialect::Current).unwrap()
}

fn tree(arguments: &[&str]) -> PolicyTree {
    PolicyTree::from_rules(arguments.iter().map(|argument| rule(argument)).collect()).unwrap()
}

#[test]
fn the_longest_path_wins_at_any_depth() {
    let tree = tree(&[
        "/=ro",
        "/var/=tmpfs",
        "/var/lib/a/b/c=persistent",
        "/var/lib/=localdisk",
        "/etc/motd=con",
    ]);
    for (path, winner, placement) in [
        ("/", "/", Placement::Tree),
        ("/usr/bin/ls", "/", Placement::Tree),
        ("/variable", "/", Placement::Tree),
        ("/var", "/var", Placement::Volatile),
        ("/var/log/messages", "/var", Placement::Volatile),
        ("/var/lib", "/var/lib", Placement::Local),
        ("/var/lib/a/b", "/var/lib", Placement::Local),
        ("/var/lib/a/b/c", "/var/lib/a/b/c", Placement::Persistent),
        (
            "/var/lib/a/b/c/d/e",
            "/var/lib/a/b/c",
            Placement::Persistent,
        ),
        ("/etc/motd", "/etc/motd", Placement::Concat),
        ("//etc//motd/", "/etc/motd", Placement::Concat),
    ] {
        let governing = tree.governing(path.as_bytes()).unwrap();
        assert_eq!(
            (governing.path.as_str(), governing.placement),
            (winner, placement),
            "{path}"
        );
    }
}

#[test]
fn without_a_rule_it_is_the_image() {
    let tree = tree(&["/var/log/=tmpfs"]);
    assert_eq!(tree.governing(b"/var"), None);
    assert_eq!(tree.placement(b"/var/lib"), Placement::Image);
    assert_eq!(PolicyTree::default().placement(b"/"), Placement::Image);
    assert!(PolicyTree::default().is_empty());
}

#[test]
fn positions_lead_to_rules() {
    let tree = tree(&[
        "/var/log/=tmpfs",
        "/var/log/keep=persistent",
        "/var/run/=tmpfs",
    ]);
    let var = tree.child(PolicyTree::ROOT, b"var").unwrap();
    assert_eq!(tree.position(b"/var"), Some(var));
    assert_eq!(tree.rule(var), None);
    assert!(tree.has_rules_below(var));
    let mut names: Vec<_> = tree.children(var).map(|(name, _)| name.to_vec()).collect();
    names.sort();
    assert_eq!(names, [b"log".to_vec(), b"run".to_vec()]);
    let keep = tree.position(b"/var/log/keep").unwrap();
    assert_eq!(
        tree.rule(keep).map(|rule| rule.placement),
        Some(Placement::Persistent)
    );
    assert!(!tree.has_rules_below(keep));
    assert_eq!(tree.position(b"/usr"), None);
    assert_eq!(tree.child(PolicyTree::ROOT, b"var/log"), None);
}

#[test]
fn names_that_are_not_utf8_have_no_rule() {
    let tree = tree(&["/var/=tmpfs"]);
    assert_eq!(tree.child(PolicyTree::ROOT, b"\xff"), None);
    assert_eq!(tree.placement(b"/var/\xff\xfe"), Placement::Volatile);
}

#[test]
fn one_path_has_one_rule() {
    let error = PolicyTree::from_rules(vec![rule("/var/=tmpfs"), rule("/etc=ro"), rule("/var=ro")])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "/var has two rules: the command line and the command line"
    );
    let TreeError::Duplicate { path, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(path, "/var");
}

#[test]
fn paths_must_be_normal() {
    for path in ["/var/", "var", "//var", "", "/a/../b"] {
        let bad = Rule {
            path: path.into(),
            ..rule("/x=ro")
        };
        assert!(
            matches!(
                PolicyTree::from_rules(vec![bad]),
                Err(TreeError::Path { .. })
            ),
            "{path}"
        );
    }
}

#[test]
fn rules_come_sorted_by_path() {
    let tree = tree(&["/b=ro", "/a/c=ro", "/a-b=ro", "/=ro", "/a=ro"]);
    let paths: Vec<_> = tree.rules().map(|rule| rule.path.as_str()).collect();
    assert_eq!(paths, ["/", "/a", "/a-b", "/a/c", "/b"]);
    assert_eq!(tree.len(), 5);
}
