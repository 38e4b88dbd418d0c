//! Rules about the policy table.

use super::{Case, Odd, Refusal};

pub(super) const CASES: &[Case] = &[
    (
        "policy-rule",
        Refusal,
        "policy: priority,rule\n1,alow",
        "policy: row 1 (\"1\"): column rule: unknown word \"alow\": xCAT denies then (known: allow accept trusted trust \
         deny)",
    ),
    (
        "policy-cell",
        Refusal,
        "policy: priority,commands,time,rule\n4.7,litefile,8:00-18.00,allow",
        "policy: row 1 (\"4.7\"): column time: \"8:00-18.00\" is no time of day: expected HH:MM-HH:MM[,...], from 00:00 \
         to 24:00: the row lets nobody in",
    ),
    (
        "policy-cell",
        Refusal,
        "policy: priority,time,rule\n4.7,25:00-26:00,deny",
        "policy: row 1 (\"4.7\"): column time: \"25:00-26:00\" is no time of day: expected HH:MM-HH:MM[,...], from 00:00 \
         to 24:00: it denies all the same",
    ),
    (
        "policy-cell",
        Odd,
        "policy: priority,time,rule\n4.7,08:00-08:00,deny",
        "policy: row 1 (\"4.7\"): column time: \"08:00-08:00\" ends when it begins: it never denies",
    ),
    (
        "policy-cell",
        Refusal,
        "policy: priority,noderange,rule\n4.7,((n1,allow",
        "policy: row 1 (\"4.7\"): column noderange: \"((n1\": noderange, at \"(n1\": \"(\" is not closed: the row lets \
         nobody in",
    ),
    (
        "policy-cell",
        Odd,
        "policy: priority,noderange,rule\n4.7,\"n1,nonesuch\",allow",
        "policy: row 1 (\"4.7\"): column noderange: \"n1,nonesuch\": Invalid nodes and/or groups in noderange: nonesuch: \
         the row lets nobody in",
    ),
    (
        "policy-cell",
        Odd,
        "policy: priority,noderange,rule\n4.7,\"n1,-all\",deny",
        "policy: row 1 (\"4.7\"): column noderange: \"n1,-all\" names no node: it never denies",
    ),
    (
        "policy-cell",
        Refusal,
        "policy: priority,parameters,rule\n4.7,(,deny",
        "policy: row 1 (\"4.7\"): column parameters: \"(\" is no regular expression: unclosed group: it denies all the \
         same",
    ),
    (
        "policy-denies",
        Odd,
        "policy: priority,commands,rule\n1,litetree,allow",
        LITEFILE_DENIED,
    ),
    (
        "policy-denies",
        Odd,
        // A command nobody serves.
        "policy: priority,commands,rule\n1,litetree,allow\n2,litfile,allow",
        LITEFILE_DENIED,
    ),
    (
        "policy-denies",
        Odd,
        // A cell that cannot be understood lets nobody in.
        "policy: priority,commands,noderange,rule\n1,litetree,,allow\n2,litefile,nonesuch,allow",
        LITEFILE_DENIED,
    ),
    (
        "policy-denies",
        Odd,
        // And it denies everybody.
        "policy: priority,commands,time,rule\n1,litetree,,allow\n2,,noon,deny\n4.7,litefile,,allow",
        LITEFILE_DENIED,
    ),
    (
        "policy-denies",
        Odd,
        // Only who has a certificate is let in; the rest is denied before it is allowed.
        "policy: priority,name,commands,rule\n1,*,,allow\n5,,litefile,allow\n4,,,deny\n2,,litetree,allow",
        LITEFILE_DENIED,
    ),
];

const LITEFILE_DENIED: &str = "policy: no row lets nodes ask \"litefile\": every node is denied. xCAT has the row \
                               priority=4.7 commands=litefile rule=allow";

#[test]
fn a_row_for_some_nodes_lets_nodes_ask() {
    for rows in [
        "priority,commands,noderange,rule\n1,,rack1,deny\n2,\"litetree, litefile\",,accept",
        "priority,host,commands,rule\n1,n1,*,Trusted",
        // A row that denies nobody.
        "priority,time,noderange,rule\n1,08:00-08:00,,deny\n2,,n1,allow",
    ] {
        let report = super::check(&super::site(&[
            "nodelist: node,groups\nn1,rack1",
            "litefile: image,file\nALL,/a",
            "litetree: priority,directory\n1,s:/a",
            &format!("policy: {rows}"),
        ]));
        let denied = report.findings.iter().any(|f| f.rule == "policy-denies");
        assert!(!denied, "{rows}: {report}");
    }
}

#[test]
fn cells_that_are_understood_are_good() {
    for cells in [
        "noderange,rule\n1,\"n1,all\",deny",
        "noderange,rule\n1,*,allow",
        "time,rule\n1,\" 22:00-6:00 , 12:00-24:00\",allow",
        "parameters,rule\n1,^-x (a|b)$,deny",
    ] {
        let policy = format!("policy: priority,{cells}");
        let report = super::check(&super::site(&["nodelist: node,groups\nn1,all", &policy]));
        assert_eq!(report.to_string(), "", "{cells}");
    }
}

#[test]
fn force_gets_a_cell_in_that_xcat_takes() {
    let report = super::check(&super::site(&["policy: priority,time,rule\n1,noon,deny"]));
    assert!(!report.acceptable());
    assert!(report.forced().acceptable());
}
