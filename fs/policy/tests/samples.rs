//! The sample tables of the seed and of the current documentation, read whole.

use statelite_policy::{
    Dialect, Flavour, NodeIdentity, Origin, Placement, Policy, Refusals, Tables, TreeLayer, build,
    check, csv,
};

const REDHAT: &[u8] = include_bytes!("data/litefile.seed.redhat.csv");
const SLES11: &[u8] = include_bytes!("data/litefile.seed.sles11.csv");
const MATRIX: &[u8] = include_bytes!("data/litefile.option-matrix.csv");
const TREE_SEED: &[u8] = include_bytes!("data/litetree.seed.csv");
const TREE_TWO: &[u8] = include_bytes!("data/litetree.seed.two-level.csv");
const TREE_CURRENT: &[u8] = include_bytes!("data/litetree.current-header.csv");
const STATE_SEED: &[u8] = include_bytes!("data/statelite.seed.csv");
const STATE_CURRENT: &[u8] = include_bytes!("data/statelite.current-header.csv");
const STATE_TYPO: &[u8] = include_bytes!("data/statelite.seed.verbatim-typo.csv");

fn node(name: &str) -> NodeIdentity {
    let variables = [
        ("noderes.nfsserver", "10.0.0.1"),
        ("nodepos.room", "r1"),
        ("nodetype.os", "rhel5.3"),
        ("nodetype.arch", "ppc64"),
        ("nodetype.profile", "compute"),
    ];
    NodeIdentity {
        name: name.into(),
        image: "rhel5.3-ppc64-statelite-compute".into(),
        variables: variables
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
        ..NodeIdentity::default()
    }
}

fn from(
    litefile: &[u8],
    litetree: &[u8],
    statelite: &[u8],
    name: &str,
) -> Result<Policy, Refusals> {
    let tables = Tables {
        litefile: Some(("litefile.csv", litefile)),
        litetree: Some(("litetree.csv", litetree)),
        statelite: Some(("statelite.csv", statelite)),
    };
    build(&tables, &node(name), Dialect::Current)
}

#[test]
fn seed_tables_read_alike_in_both_dialects() {
    for (text, rows) in [(REDHAT, 42), (SLES11, 24)] {
        let tables = Tables {
            litefile: Some(("litefile.csv", text)),
            ..Tables::default()
        };
        for dialect in [Dialect::Current, Dialect::Seed2010] {
            let policy = build(&tables, &node("n"), dialect).unwrap();
            assert_eq!(policy.tree.len(), rows);
            assert!(
                policy
                    .tree
                    .rules()
                    .all(|rule| rule.placement == Placement::Volatile
                        && rule.flavour == Flavour::Link
                        && rule.option == "tmpfs,rw")
            );
            assert_eq!(policy.warnings, []);
            assert_eq!(check(&tables, dialect), Ok(vec![]));
        }
    }
    let policy = from(REDHAT, TREE_TWO, STATE_SEED, "japan").unwrap();
    let rule = policy.tree.governing(b"/var/lib/ntp/drift").unwrap();
    assert_eq!((rule.path.as_str(), rule.directory), ("/var/lib/ntp", true));
    assert_eq!(
        rule.origin,
        Origin::Row {
            file: "litefile.csv".into(),
            line: 35,
            image: "ALL".into()
        }
    );
}

#[test]
fn option_matrix() {
    let policy = from(MATRIX, TREE_CURRENT, STATE_SEED, "japan").unwrap();
    let placements: Vec<_> = policy
        .tree
        .rules()
        .map(|rule| (rule.path.as_str(), rule.placement, rule.flavour))
        .collect();
    use Flavour::{Bind, Link};
    use Placement::{Concat, Local, Persistent, Tree, Volatile};
    assert_eq!(
        placements,
        [
            ("/etc/a-con", Concat, Bind),
            ("/etc/a-default", Volatile, Link),
            ("/etc/a-link", Volatile, Link),
            ("/etc/a-link-con", Concat, Link),
            ("/etc/a-link-persistent", Persistent, Link),
            ("/etc/a-link-ro", Tree, Link),
            ("/etc/a-localdisk", Local, Bind),
            ("/etc/a-persistent", Persistent, Bind),
            ("/etc/a-ro", Tree, Bind),
            ("/etc/a-rw", Volatile, Bind),
            ("/etc/a-tmpfs", Volatile, Bind),
            ("/etc/mtab", Volatile, Link),
            ("/var/p", Volatile, Bind),
            ("/var/p/child", Persistent, Bind),
        ]
    );
    assert!(matches!(
        policy.tree.governing(b"/etc/mtab").unwrap().origin,
        Origin::Implied(_)
    ));

    let tables = Tables {
        litefile: Some(("litefile.csv", MATRIX)),
        ..Tables::default()
    };
    let refusals = check(&tables, Dialect::Seed2010).unwrap_err();
    let lines: Vec<_> = refusals
        .0
        .iter()
        .map(|refusal| (refusal.line, refusal.column.as_deref()))
        .collect();
    assert_eq!(
        lines,
        [4, 8, 9, 10, 11, 12].map(|line| (line, Some("options"))),
        "{refusals}"
    );
}

fn layers(text: &[u8], name: &str) -> Vec<String> {
    match from(REDHAT, text, STATE_SEED, name) {
        Ok(policy) => {
            let shown = |layer: &TreeLayer| format!("{} {:#}", layer.priority, layer.source);
            policy.layers.iter().map(shown).collect()
        }
        Err(refusals) => vec![format!("refused: {refusals}")],
    }
}

#[test]
fn litetree_samples() {
    assert_eq!(
        layers(TREE_SEED, "japan"),
        ["1 10.0.0.1:/syncdirs/r1/rhel5.3/ppc64/compute"]
    );
    assert_eq!(
        layers(TREE_TWO, "n01"),
        ["1 10.0.0.1:/statelite/n01", "2 cnfs:/gpfs/dallas/"]
    );
    assert_eq!(
        layers(TREE_CURRENT, "n01"),
        ["1 10.0.0.1:/statelite/n01", "2 cnfs:/gpfs/dallas/ :soft"]
    );
}

#[test]
fn statelite_samples() {
    let statemnt = |text, name| {
        from(REDHAT, TREE_TWO, text, name)
            .unwrap()
            .statemnt
            .map(|s| format!("{s:#}"))
    };
    assert_eq!(
        statemnt(STATE_SEED, "japan").as_deref(),
        Some("cnfs:/gpfs/state")
    );
    assert_eq!(
        statemnt(STATE_SEED, "hv32lpar05").as_deref(),
        Some("10.0.0.1:/lite/state")
    );
    assert_eq!(statemnt(STATE_SEED, "other"), None);
    assert_eq!(
        statemnt(STATE_CURRENT, "cn1").as_deref(),
        Some("10.0.0.1:/lite/state/compute :soft,timeo=30")
    );
}

#[test]
fn the_verbatim_typo_stops_its_own_node_only() {
    let refusals = from(REDHAT, TREE_TWO, STATE_TYPO, "hv32lpar05").unwrap_err();
    assert_eq!(
        refusals.to_string(),
        "statelite.csv:2: column statemnt: $noderes.nfssserver has no value for node hv32lpar05"
    );
    assert!(from(REDHAT, TREE_TWO, STATE_TYPO, "japan").is_ok());
}

#[test]
fn samples_are_exactly_what_the_writer_writes() {
    for (text, schema) in [
        (REDHAT, csv::LITEFILE),
        (SLES11, csv::LITEFILE),
        (MATRIX, csv::LITEFILE),
        (TREE_SEED, csv::LITETREE),
        (TREE_TWO, csv::LITETREE),
        (TREE_CURRENT, csv::LITETREE),
        (STATE_SEED, csv::STATELITE),
        (STATE_CURRENT, csv::STATELITE),
        (STATE_TYPO, csv::STATELITE),
    ] {
        let table = csv::parse("sample", text, &schema).unwrap();
        assert_eq!(csv::write(&table).as_bytes(), text);
    }
}
