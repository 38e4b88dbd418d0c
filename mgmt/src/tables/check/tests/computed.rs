//! What substitutions give for nodes.

use super::{Case, Refusal, check, site};

pub(super) const CASES: &[Case] = &[
    (
        "computed-value",
        Refusal,
        "hosts: node,ip\nall,|n(\\d+)|10.0.0.($1+255)|",
        "hosts: row 1 (\"all\"): column ip: for n1: \"10.0.0.256\" is no IP address (and one more node)",
    ),
    (
        "computed-value",
        Refusal,
        "hosts: node,ip\nall,|n(\\d+)|10.0.0.($1+254)|",
        "hosts: row 1 (\"all\"): column ip: for n2: \"10.0.0.256\" is no IP address",
    ),
    (
        "computed-value",
        Refusal,
        "hosts: node,ip\nn1,10.0.0.1\nall,|n(\\d+)|10.0.0.($1/0)|",
        "hosts: row 2 (\"all\"): column ip: for n2: \"($1/0)\" cannot be computed: a division by zero",
    ),
    (
        "computed-value",
        Refusal,
        "noderes: node,netboot,xcatmaster\nall,xnba,|n(\\d+)|bad host ($1+0)|",
        "noderes: row 1 (\"all\"): column xcatmaster: for n1: \"bad host 1\": it is no host name or address (and one more \
         node)",
    ),
    (
        "computed-value",
        Refusal,
        "noderes: node,netboot\nall,|n(\\d+)|xnba$1|\nn2,pxe",
        "noderes: row 1 (\"all\"): column netboot: for n1: unknown boot loader \"xnba1\" (known: pxe, xnba, ipxe, \
         ipxe-tftp, grub2, grub2-tftp, grub2-http, httpboot, petitboot, yaboot)",
    ),
    (
        "computed-value",
        Refusal,
        "nodetype: node,provmethod\nn1,/n/deb/",
        "nodetype: row 1 (\"n1\"): column provmethod: for n1: no osimage \"deb1\" (else it is one of: install netboot \
         statelite boot sysclone osimage)",
    ),
    (
        "computed-value",
        Refusal,
        "statelite: node,statemnt\nn2,|(n\\d+)|state/$1|",
        "statelite: row 1 (\"n2\"): column statemnt: for n2: \"state/n2\": neither server:dir nor an absolute local directory",
    ),
    (
        "computed-value",
        Refusal,
        "statelite: node,statemnt,mntopts\nn2,s:/a,|n(\\d+)|soft retry=$1|",
        "statelite: row 1 (\"n2\"): column mntopts: for n2: \"soft retry=2\": mount options are separated by commas, \
         without whitespace",
    ),
    (
        "computed-value",
        Refusal,
        "mac: node,mac\nall,|n(\\d+)|52:54:00:00:00:($1)|",
        "mac: row 1 (\"all\"): column mac: for n1: \"52:54:00:00:00:1\": \"52:54:00:00:00:1\" is no MAC address (six pairs \
         of hexadecimal digits) (and one more node)",
    ),
];

#[test]
fn numbers_in_names_need_no_pattern() {
    let nodes = "nodelist: node,groups\nr1n007,all\nr2n300,all\nn300,all\nlogin,all";
    for (ip, wanted) in [
        (
            "|10.0.($1).($2)|",
            "for r2n300: \"10.0.2.300\" is no IP address",
        ),
        ("|10.0.(9-$1).($2%100)|", ""),
        (
            "|10.0.0.($1/0)|",
            "for r1n007: \"($1/0)\" cannot be computed: a division by zero",
        ),
    ] {
        let own = "n300,10.0.0.1";
        let report = check(&site(&[nodes, &format!("hosts: node,ip\n{own}\nall,{ip}")]));
        let mine = report
            .findings
            .iter()
            .find(|finding| finding.rule == "computed-value");
        let reason = mine.map_or("", |finding| &finding.reason);
        assert!(
            reason.starts_with(wanted) && reason.is_empty() == wanted.is_empty(),
            "{report}"
        );
    }
    // The node with one number has no second.
    let report = check(&site(&[nodes, "hosts: node,ip\nall,|10.0.($1).($2%100)|"]));
    assert_eq!(
        report.to_string(),
        "hosts: row 1 (\"all\"): column ip: for n300: \"($2%100)\" cannot be computed: there is no number $2 in the name"
    );
}

const NODES: &str = "nodelist: node,groups\nn1,all\nn2,all\nlogin,all";

#[test]
fn only_the_cell_that_counts_is_judged() {
    for hosts in [
        // The node's own row comes first, whatever is in the group's.
        "n1,10.0.0.1\nn2,10.0.0.2\nall,|n(\\d+)|x|",
        // No match: the next group, or no value.
        "all,|x(\\d+)|bad|",
        // Empty text ends the search.
        "n1,|^.*$||\nn2,|^.*$||\nall,|n\\d|bad|",
        // The numbers in the name; login has none.
        "all,|10.0.0.($1)|",
    ] {
        let report = check(&site(&[NODES, &format!("hosts: node,ip\n{hosts}")]));
        assert_eq!(report.to_string(), "", "{hosts}");
    }
    let path = "noderes: node,nfsdir\nall,/gpfs/";
    assert_eq!(check(&site(&[NODES, path])).to_string(), "");
}

#[test]
fn a_node_less_is_nothing_new_and_a_node_more_is() {
    let hosts = "hosts: node,ip\nall,|n(\\d+)|10.0.0.($1+255)|";
    let of = |nodes: &str| check(&site(&[&format!("nodelist: node,groups\n{nodes}"), hosts]));
    let before = of("n1,all\nn2,all\nn3,all");
    assert!(of("n2,all\nn3,all").new_since(&before).findings.is_empty());
    let more = of("n1,all\nn2,all\nn3,all\nn9,all").new_since(&before);
    assert_eq!(
        more.to_string(),
        "hosts: row 1 (\"all\"): column ip: for n9: \"10.0.0.264\" is no IP address"
    );
    assert!(more.forced().acceptable());
}

#[test]
fn thousands_of_nodes_are_judged_quickly() {
    let nodes: String = (1..=5000).map(|n| format!("\nn{n},\"a,b,all\"")).collect();
    let nodes = format!("nodelist: node,groups{nodes}");
    let site = site(&[
        &nodes,
        "hosts: node,ip\nall,|n(\\d+)|10.0.($1/20).($1%20+1)|",
        "noderes: node,netboot,nfsserver,xcatmaster\nall,xnba,|n(\\d+)|nfs($1/500)|,|n(\\d+)|mn($1/500)|",
        "nodehm: node,serialport\nall,|($1)|",
    ]);
    let start = std::time::Instant::now();
    let report = check(&site);
    let took = start.elapsed();
    eprintln!("5,000 nodes, 4 columns: {took:?}");
    let bad = report
        .findings
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>();
    assert_eq!(bad.len(), 0, "{bad:#?}");
    assert!(took.as_secs() < 20, "{took:?}");
}

#[test]
fn force_gets_in_what_it_would_get_in_literally() {
    for (table, acceptable) in [
        ("hosts: node,ip\nall,|n(\\d+)|10.0.0.($1+255)|", true),
        ("statelite: node,statemnt\nall,|n(\\d+)|state/$1|", false),
    ] {
        let report = check(&site(&[NODES, table]));
        assert!(!report.acceptable());
        assert_eq!(report.forced().acceptable(), acceptable, "{table}");
    }
}
