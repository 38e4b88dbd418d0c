use crate::noderange::expand;
use crate::tables::schema::{self, NODEGROUP, NODELIST, NODETYPE};
use crate::tables::{Row, Site, csv};
use proptest::prelude::*;

fn site(groups: &str) -> Site {
    let mut site = Site::default();
    for (table, text) in [
        (
            "nodelist",
            "node,groups\nn1,\"rack1,all\"\nn2,\"rack1,all\"\nn3,\"rack2,all\"\nn4,all\nnode7,all",
        ),
        (
            "nodetype",
            "node,os,arch\nrack1,rhels6.3,x86_64\nn2,rhels9.4,\nn3,debian12,ppc64",
        ),
        (
            "mac",
            "node,mac\nn1,52:54:00:00:00:01\nn4,00:11:22:33:44:55",
        ),
        ("nodehm", "node,mgt\nn1,ipmi\nn4,hmc"),
        ("nodepos", "node,u\nn4,12"),
        ("nodegroup", groups),
    ] {
        let table = schema::table(table).unwrap();
        let rows = csv::read(table, table.name, format!("#{text}\n").as_bytes()).unwrap();
        site.put(table, rows);
    }
    site
}

fn members(groups: &str, range: &str) -> String {
    match expand(&site(groups), range) {
        Ok(nodes) => nodes.join(" "),
        Err(error) => error.to_string(),
    }
}

#[test]
fn dynamic_groups() {
    for (wherevals, wanted) in [
        ("nodetype.os==rhels6.3", "n1"),
        ("nodetype.os=rhels6.3", "n1"),
        ("os!=rhels6.3", "n2 n3 n4 node7"),
        ("nodetype.os==rhels6.3||mac.mac=~/^00:11/", "n1 n4"),
        ("nodetype.os==rhels6.3 || mac.mac=~^00:11", "n1 n4"),
        ("os=~/^rhels/::arch==x86_64", "n1 n2"),
        ("os=~/^rhels/::os!~/^rhels6/", "n2"),
        ("mgt==hmc::unit==12||os==debian12", "n3 n4"),
        ("groups=~(^|,)rack1(,|$)", "n1 n2"),
        ("nodelist.node==n3", "n3"),
        ("os==none", ""),
    ] {
        let groups = format!("groupname,grouptype,wherevals\ndyn,dynamic,\"{wherevals}\"");
        assert_eq!(members(&groups, "dyn"), wanted, "{wherevals}");
        let without: Vec<_> = ["n1", "n2", "n3", "n4", "node7"]
            .into_iter()
            .filter(|node| !wanted.split(' ').any(|member| member == *node))
            .collect();
        assert_eq!(
            members(&groups, "all,-dyn"),
            without.join(" "),
            "{wherevals}"
        );
    }
}

#[test]
fn static_groups() {
    for (row, range, wanted) in [
        // xCAT's own form: the nodelist table has the members.
        ("rack1,static,static,,", "rack1", "n1 n2"),
        ("g,static,\"n3, n1\",,", "g", "n1 n3"),
        ("g,,n3,,", "g", "n3"),
        ("rack1,,n4,,", "rack1", "n1 n2 n4"),
        ("g,static,,\"rack1,rack2\",", "g", "n1 n2 n3"),
        ("g,static,n99,nonesuch,", "g", ""),
        ("g,static,,,", "g,n1", "n1"),
        // A node of that name is the node; a dynamic group comes before the nodelist table's.
        ("n1,static,n3,,", "n1", "n1"),
        ("rack1,dynamic,dynamic,,os==debian12", "rack1", "n3"),
        ("rack[1-2],static,n4,,", "rack[1-2]", "n4"),
        ("rack2,static,n4,,", "rack[1-2]", "n1 n2 n3 n4"),
        ("7,static,n4,,", "7", "n4"),
        ("g,static,,7,", "g", ""),
    ] {
        let groups = format!("groupname,grouptype,members,membergroups,wherevals\n{row}");
        assert_eq!(members(&groups, range), wanted, "{row}");
    }
    let nested = "groupname,grouptype,membergroups,wherevals\na,static,\"b,rack2\",\nb,static,c,\n\
                  c,dynamic,,mgt==hmc\nd,static,\"b,c,a\",";
    assert_eq!(members(nested, "a"), "n3 n4");
    assert_eq!(members(nested, "d@b,n1"), "n1 n4");
}

#[test]
fn disabled_rows_are_no_groups() {
    let groups = "groupname,grouptype,wherevals,disable\ndyn,dynamic,os==debian12,1";
    assert_eq!(
        members(groups, "dyn"),
        "Invalid nodes and/or groups in noderange: dyn"
    );
}

#[test]
fn bad_groups_are_named() {
    for (row, message) in [
        (
            "g,dynamic,,",
            "nodegroup: group \"g\": there are no wherevals",
        ),
        (
            "g,dynamic,,oss==x",
            "noderange: nodegroup: group \"g\": noderange: \"oss\" is no table.column of nodes",
        ),
        ("g,dynamic,,site.key==x", "\"site.key\" is no table.column"),
        ("g,dynamic,,disable==1", "\"disable\" is no table.column"),
        ("g,dynamic,,rhels6", "\"rhels6\" is no condition"),
        ("g,dynamic,,os==x::", "\"\" is no condition"),
        ("g,dynamic,,os=~/(/", "is no regular expression"),
        ("g,fluid,,", "unknown grouptype \"fluid\""),
        (
            "g,,h,\nh,,g,",
            "group \"g\": its membergroups lead back to it: g -> h -> g",
        ),
        ("g,,g,", "lead back to it: g -> g"),
    ] {
        let groups = format!("groupname,grouptype,membergroups,wherevals\n{row}");
        let error = members(&groups, "n1,g");
        assert!(error.contains(message), "{row}: {error}");
        assert_eq!(members(&groups, "n1"), "n1", "others are not touched");
    }
}

#[test]
fn nesting_and_repetition_cost_little() {
    let chain: String = (0..5000).map(|n| format!("g{n},g{}\n", n + 1)).collect();
    let groups = format!("groupname,membergroups\n{chain}");
    assert!(members(&groups, "g0").contains("nested more than 32 deep"));
    // Every level names the next twice: 2^30 walks, were they all taken.
    let pairs: String = (0..30)
        .map(|n| format!("a{n},\"a{0},b{0}\"\nb{n},\"a{0},b{0}\"\n", n + 1))
        .collect();
    let groups = format!("groupname,membergroups\n{pairs}");
    assert!(members(&groups, "a0").contains("too many nodes too often"));
    let groups = "groupname,grouptype,wherevals\nd,dynamic,\"os=~/^(r|d).*[0-9]{1,50}/\"";
    let many = vec!["d"; 100_000].join(",");
    assert_eq!(members(groups, &many), "n1 n2 n3");
}

/// A condition as `wherevals` and as a criterion of a range, with the nodes it holds for by a computation of our own.
#[derive(Debug, Clone)]
struct Term {
    operator: &'static str,
    os: usize,
}

const SYSTEMS: [&str; 4] = ["", "rhels6", "rhels9", "debian12"];

impl Term {
    fn text(&self) -> String {
        format!("nodetype.os{}{}", self.operator, SYSTEMS[self.os])
    }

    fn holds(&self, os: usize) -> bool {
        match self.operator {
            "==" => os == self.os,
            "!=" => os != self.os,
            "=~" => SYSTEMS[os].contains(SYSTEMS[self.os]),
            _ => !SYSTEMS[os].contains(SYSTEMS[self.os]),
        }
    }
}

fn term() -> impl Strategy<Value = Term> {
    let operator = prop::sample::select(vec!["==", "!=", "=~", "!~"]);
    (operator, 0..SYSTEMS.len()).prop_map(|(operator, os)| Term { operator, os })
}

proptest! {
    #[test]
    fn wherevals_are_alternatives_of_conjunctions(
        systems in prop::collection::vec(0..SYSTEMS.len(), 1..12),
        terms in prop::collection::vec(prop::collection::vec(term(), 1..4), 1..4),
    ) {
        let mut site = Site::default();
        for (number, os) in systems.iter().enumerate() {
            let name = format!("n{number:02}");
            site.add(&NODELIST, Row::new(&NODELIST).with(&NODELIST, "node", &name));
            let row = Row::new(&NODETYPE).with(&NODETYPE, "node", &name);
            site.add(&NODETYPE, row.with(&NODETYPE, "os", SYSTEMS[*os]));
        }
        let join = |and: &str, or: &str| {
            let all = terms.iter().map(|all| all.iter().map(Term::text).collect::<Vec<_>>().join(and));
            all.collect::<Vec<_>>().join(or)
        };
        let row = Row::new(&NODEGROUP).with(&NODEGROUP, "groupname", "dyn").with(&NODEGROUP, "grouptype", "dynamic");
        site.add(&NODEGROUP, row.with(&NODEGROUP, "wherevals", &join("::", "||")));
        let numbered = systems.iter().enumerate();
        let wanted: Vec<String> = numbered
            .filter(|(_, os)| terms.iter().any(|all| all.iter().all(|term| term.holds(**os))))
            .map(|(number, _)| format!("n{number:02}"))
            .collect();
        prop_assert_eq!(expand(&site, "dyn").unwrap(), wanted.clone());
        prop_assert_eq!(expand(&site, &join("@", ",")).unwrap(), wanted);
    }

    #[test]
    fn no_group_panics(kind in "(static|dynamic|x)?", members in "[ng1,]{0,8}", groups in "[gnd,]{0,8}", wherevals in "[os=!~:|/x]{0,16}") {
        let mut site = site("groupname\ng");
        let mut row = Row::new(&NODEGROUP).with(&NODEGROUP, "groupname", "g");
        for (column, value) in [("grouptype", kind), ("members", members), ("membergroups", groups), ("wherevals", wherevals)] {
            row.set(&NODEGROUP, column, (!value.is_empty()).then_some(value));
        }
        site.put(&NODEGROUP, vec![row]);
        let _ = expand(&site, "g,n1");
        let _ = crate::tables::check::check(&site);
    }
}
