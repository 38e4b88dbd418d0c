use super::*;
use crate::tables::Row;
use crate::tables::schema::{NODELIST, NODETYPE, SITE};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn add(site: &mut Site, node: &str, groups: &str) {
    let row = Row::new(&NODELIST).with(&NODELIST, "node", node);
    site.add(&NODELIST, row.with(&NODELIST, "groups", groups));
}

fn site() -> Site {
    let mut site = Site::default();
    for number in 1..=12 {
        let rack = if number < 7 { "rack1" } else { "rack2" };
        add(&mut site, &format!("n{number}"), &format!("{rack},all"));
    }
    for (node, groups) in [
        ("node3", "all"),
        ("node4", "all"),
        ("c01", "padded"),
        ("c02", "padded"),
        ("n1-n2", "odd"),
        ("rack2x", ""),
        ("shadow", "all"),
        ("sn-1", "shadow"),
    ] {
        add(&mut site, node, groups);
    }
    for (node, os) in [("rack1", "rhels6.2"), ("n7", "sles11.1")] {
        let row = Row::new(&NODETYPE).with(&NODETYPE, "node", node);
        site.add(&NODETYPE, row.with(&NODETYPE, "os", os));
    }
    site
}

fn nodes(range: &str) -> String {
    match expand(&site(), range) {
        Ok(nodes) => nodes.join(" "),
        Err(error) => format!("{range}: {error}"),
    }
}

#[test]
fn ranges() {
    for (range, wanted) in [
        ("n2", "n2"),
        ("n2,n1,n2", "n1 n2"),
        (" n1 , n2,,", "n1 n2"),
        ("rack1,-n1-n5", "n6"),
        ("-n1,n1,n2", "n2"),
        ("n[1-3]@rack1", "n1 n2 n3"),
        ("n6-n8@rack2,n1", "n1 n7 n8"),
        ("(n6-n8,n1)@rack2", "n7 n8"),
        ("all@(rack1,n7),-(n2-n6)", "n1 n7"),
        ("((n1))", "n1"),
        ("n[1-2,4]", "n1 n2 n4"),
        ("n10+2", "n10 n11 n12"),
        ("3", "node3"),
        ("3-4", "node3 node4"),
        ("[3-4]", "node3 node4"),
        ("c01-c02", "c01 c02"),
        ("/n1.", "n10 n11 n12"),
        ("/n1|n2", "n1 n2"),
        ("/c0[1,2]", "c01 c02"),
        ("all@/n(1|2)", "n1 n2"),
        ("n1-n2", "n1-n2"),
        ("n1:n2", "n1 n2"),
        ("shadow", "shadow"),
        ("rack1-rack2@/n[67]", "n6 n7"),
        ("nodetype.os==sles11.1", "n7"),
        ("nodetype.os=rhels6.2@n1-n3", ""),
        ("nodetype.os=rhels6.2@n[1-3]", "n1 n2 n3"),
        ("rack1@nodetype.os!=rhels6.2", ""),
        ("n[6-8]@nodetype.os=~/^rh/", "n6"),
        ("n[6-8]@nodetype.os!~rh", "n7 n8"),
        ("n[6-8]@nodetype.os==", "n8"),
        ("groups=~(^|,)rack2(,|$)@n[6-8]", "n7 n8"),
        ("nodelist.node==n7", "n7"),
    ] {
        let wanted = match range {
            // The whole word is a node, so it is not a range.
            "nodetype.os=rhels6.2@n1-n3" => "n1 n2 n3",
            _ => wanted,
        };
        assert_eq!(nodes(range), wanted, "{range}");
    }
}

#[test]
fn refused_ranges() {
    for (range, message) in [
        ("", "the range is empty"),
        (" , ", "the range is empty"),
        (
            "n1,nonesuch,n99",
            "Invalid nodes and/or groups in noderange: n99,nonesuch",
        ),
        ("n11-n13", "Invalid nodes and/or groups in noderange: n13"),
        (
            "rack1,-n99",
            "Invalid nodes and/or groups in noderange: n99",
        ),
        (
            "n1-n999999999",
            "noderange: \"n1-n999999999\" gives more than 100000 names",
        ),
        ("n1@", "a node, a group or \"(\" is missing at the end"),
        (
            "@n1",
            "at \"@n1\": a node, a group or \"(\" is missing here",
        ),
        ("n1@-n2", "an exclusion stands after a comma: write A,-B"),
        ("(n1", "\"(\" is not closed"),
        ("n1)", "\")\" without \"(\""),
        ("()", "nothing in parentheses"),
        ("(n1)n2", "expected \",\", \"@\" or the end"),
        ("n[1", "\"[\" is not closed"),
        ("n1;n2", "no such character in names"),
        ("n1 n2", "at \" n2\": no such character in names"),
        ("/n(", "\"(\" is not closed"),
        ("/n*+{", "is no regular expression"),
        (
            "nodetype.nonesuch==x",
            "\"nodetype.nonesuch\" is no table.column of nodes",
        ),
        ("site.value==x", "is no table.column of nodes"),
        ("^", "a file name is missing"),
        ("^/etc/passwd", "/etc/passwd: files are not read here"),
    ] {
        let error = expand(&site(), range).unwrap_err().to_string();
        assert!(error.contains(message), "{range}: {error}");
    }
    let deep = format!("{}n1{}", "(".repeat(40), ")".repeat(40));
    assert_eq!(expand(&site(), &deep), Err(RangeError::TooDeep));
    assert_eq!(
        expand(&site(), &"x".repeat(MAX_TEXT + 1)),
        Err(RangeError::TooLong)
    );
    let many = "x1-x99999,".repeat(50);
    assert!(matches!(
        expand(&site(), &many),
        Err(RangeError::TooMany(_))
    ));
}

#[test]
fn many_missing_names_are_counted() {
    let error = expand(&site(), "x1-x30").unwrap_err().to_string();
    assert!(error.ends_with(" and 10 more"), "{error}");
}

#[test]
fn excluded_nodes_are_left_out_of_everything() {
    let mut site = site();
    let row = Row::new(&SITE).with(&SITE, "key", "excludenodes");
    site.add(&SITE, row.with(&SITE, "value", "n3,rack2,gone"));
    assert_eq!(expand(&site, "n[2-8]").unwrap(), ["n2", "n4", "n5", "n6"]);
    assert_eq!(expand(&site, "n3").unwrap(), [""; 0]);
    let all = Options {
        exclude: false,
        ..Options::default()
    };
    assert_eq!(expand_with(&site, "n3", all).unwrap(), ["n3"]);
    let mut site = self::site();
    let row = Row::new(&SITE).with(&SITE, "key", "excludenodes");
    site.add(&SITE, row.with(&SITE, "value", "(n3"));
    assert_eq!(
        expand(&site, "n1").unwrap_err().to_string(),
        "site.excludenodes: noderange, at \"(n3\": \"(\" is not closed"
    );
}

#[test]
fn names_of_nodes_to_be_added() {
    let new = Options {
        verify: false,
        ..Options::default()
    };
    let names = |range| expand_with(&site(), range, new).unwrap().join(" ");
    assert_eq!(names("x01-x03,n1,7"), "n1 node7 x01 x02 x03");
    assert_eq!(names("my-host"), "my-host");
}

#[test]
fn files_of_ranges() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list");
    std::fs::write(
        &path,
        "# of the day\nn1-n2\nn[3-4]: first\nn12 x\n\n^/etc/passwd\n",
    )
    .unwrap();
    let range = format!("^{},-n3", path.display());
    // "n1-n2" is a node here.
    assert_eq!(
        expand_local(&site(), &range).unwrap(),
        ["n1-n2", "n12", "n4"]
    );
    let without = format!("all,-^{}", path.display());
    let rest = expand_local(&site(), &without).unwrap();
    assert!(!rest.contains(&"n12".to_owned()) && rest.contains(&"n1".to_owned()));
    std::fs::write(&path, "n1\n(^/etc/passwd)\n").unwrap();
    let error = expand_local(&site(), &range).unwrap_err().to_string();
    assert!(error.contains("line 2: a file within a file"), "{error}");
    std::fs::write(&path, "n1\n(n2\n").unwrap();
    let error = expand_local(&site(), &range).unwrap_err().to_string();
    assert!(error.contains("line 2: noderange, at \"(n2\""), "{error}");
    let error = expand_local(&site(), "^/nonesuch").unwrap_err().to_string();
    assert!(error.starts_with("noderange: /nonesuch: "), "{error}");
}

/// A range as a tree of our own, to be written down and computed by hand.
#[derive(Debug, Clone)]
enum Model {
    Node(usize),
    Rack(usize),
    Span(usize, usize),
    And(Box<Model>, Box<Model>),
    List(Vec<(bool, Model)>),
}

impl Model {
    fn text(&self) -> String {
        match self {
            Self::Node(n) => format!("n{n}"),
            Self::Rack(n) => format!("rack{n}"),
            Self::Span(a, b) => format!("n[{a}-{b}]"),
            Self::And(a, b) => format!("{}@{}", a.atom(), b.atom()),
            Self::List(items) => {
                let items = items.iter().map(|(minus, item)| {
                    format!("{}{}", if *minus { "-" } else { "" }, item.atom())
                });
                items.collect::<Vec<_>>().join(",")
            }
        }
    }

    fn atom(&self) -> String {
        match self {
            Self::And(..) | Self::List(_) => format!("({})", self.text()),
            _ => self.text(),
        }
    }

    fn nodes(&self) -> BTreeSet<usize> {
        match self {
            Self::Node(n) => [*n].into(),
            Self::Rack(1) => (1..7).collect(),
            Self::Rack(_) => (7..=12).collect(),
            Self::Span(a, b) => (*a..=*b).collect(),
            Self::And(a, b) => a.nodes().intersection(&b.nodes()).copied().collect(),
            Self::List(items) => {
                let pick = |wanted: bool| {
                    let some = items.iter().filter(move |(minus, _)| *minus == wanted);
                    some.flat_map(|(_, item)| item.nodes())
                        .collect::<BTreeSet<_>>()
                };
                pick(false).difference(&pick(true)).copied().collect()
            }
        }
    }
}

fn model() -> impl Strategy<Value = Model> {
    let leaf = prop_oneof![
        (1usize..=12).prop_map(Model::Node),
        (1usize..=2).prop_map(Model::Rack),
        (1usize..=12, 0usize..=11).prop_map(|(a, more)| Model::Span(a, (a + more).min(12))),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            pair.prop_map(|(a, b)| Model::And(Box::new(a), Box::new(b))),
            prop::collection::vec((any::<bool>(), inner), 1..4).prop_map(Model::List),
        ]
    })
}

proptest! {
    #[test]
    fn ranges_are_sets(model in model()) {
        let text = model.text();
        let wanted: BTreeSet<String> = model.nodes().iter().map(|n| format!("n{n}")).collect();
        let found = expand(&site(), &text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        prop_assert!(found.is_sorted());
        prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), wanted, "{}", text);
    }

    #[test]
    fn laws_of_sets(a in model(), b in model(), c in model()) {
        let site = site();
        let [a, b, c] = [a, b, c].map(|model| model.atom());
        let same = |left: String, right: String| -> Result<(), TestCaseError> {
            prop_assert_eq!(expand(&site, &left), expand(&site, &right), "{} and {}", left, right);
            Ok(())
        };
        same(format!("{a},{b}"), format!("{b},{a}"))?;
        same(format!("{a}@{b}"), format!("{b}@{a}"))?;
        same(format!("{a}@({b},{c})"), format!("{a}@{b},{a}@{c}"))?;
        same(format!("{a},-{b},-{c}"), format!("{a},-({b},{c})"))?;
        same(format!("{a},{a}@{b}"), a.clone())?;
        same(format!("{a},-{b}"), format!("{a},-{a}@{b}"))?;
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,40}") {
        let _ = expand(&site(), &text);
    }

    #[test]
    fn no_text_of_our_characters_panics(text in "[n1rack@,()\\[\\]/^=!~.:+ -]{0,24}") {
        let _ = expand(&site(), &text);
        let new = Options { verify: false, ..Options::default() };
        let _ = expand_with(&site(), &text, new);
    }
}
