use crate::cluster::Cluster;
use std::process::Command;

#[test]
fn nodes_are_added_listed_changed_and_removed() {
    let cluster = Cluster::new();
    assert_eq!(cluster.good("nodels"), "n01\nn02\nn03\n");
    assert_eq!(cluster.good("nodels compute,-n02"), "n01\nn03\n");
    assert_eq!(cluster.good("nodels n01 nodetype.os"), "n01: rhels6.2\n");
    assert_eq!(
        cluster.good("nodels n01 nodetype.os -H"),
        "n01: nodetype.os: rhels6.2\n"
    );
    assert_eq!(
        cluster.good("nodels n[01-02] groups mgt"),
        "n01: groups: compute,all\nn01: mgt: \nn02: groups: compute,all\nn02: mgt: \n"
    );
    cluster.good("nodech n02 nodetype.os=rhels6.3 groups,=rack1");
    assert_eq!(
        cluster.good("nodels n02 groups"),
        "n02: rack1,compute,all\n"
    );
    assert_eq!(cluster.good("nodels all@nodetype.os==rhels6.3"), "n02\n");
    assert_eq!(cluster.good("nodels all@nodetype.os=~/6.2/"), "n01\nn03\n");
    cluster.good("nodech n02 groups^=rack1");
    cluster.good("nodech -d n03 noderes");
    assert_eq!(cluster.good("nodels n03 noderes.nfsserver"), "n03: \n");
    cluster.good("noderm n02");
    assert_eq!(cluster.good("nodels"), "n01\nn03\n");
    assert!(!cluster.good("tabdump nodetype").contains("n02"));
    assert_eq!(
        cluster.bad("nodels n02,n99"),
        "Error: Invalid nodes and/or groups in noderange: n02,n99\n"
    );
}

#[test]
fn values_come_from_groups_and_are_computed() {
    let cluster = Cluster::new();
    cluster.chtab("node=all", "hosts.ip=|n(\\d+)|10.0.0.($1+100)|");
    cluster.chtab("node=compute", "nodehm.mgt=ipmi");
    assert_eq!(
        cluster.good("nodels n01-n03 hosts.ip"),
        "n01: 10.0.0.101\nn02: 10.0.0.102\nn03: 10.0.0.103\n"
    );
    assert_eq!(
        cluster.good("nodels n01 mgt hosts.ip -b"),
        "n01: mgt: ipmi (inherited from group compute)\n\
         n01: hosts.ip: 10.0.0.101 (inherited from group all)\n"
    );
    cluster.good("nodech n01 nodehm.mgt=");
    assert_eq!(cluster.good("nodels n01-n02 mgt"), "n01: \nn02: ipmi\n");
    let json = cluster.good("nodels n02 mgt hosts.ip --json");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["node"], "n02");
    assert_eq!(json[0]["mgt"], "ipmi");
    cluster.words(&[
        "chtab",
        "--force",
        "node=all",
        "hosts.ip=|n(\\d+)|10.0.0.($1/($1-1))|",
    ]);
    let done = cluster.run("nodels n01-n03 hosts.ip");
    assert_eq!(done.code, 1);
    assert_eq!(done.out, "n02: 10.0.0.2\nn03: 10.0.0.1\n");
    assert!(
        done.err.contains("hosts: row all: column ip: "),
        "{}",
        done.err
    );
    assert!(done.err.contains("for node n01: "), "{}", done.err);
    assert!(done.err.contains("a division by zero"), "{}", done.err);
}

#[test]
fn hidden_nodes_are_listed_when_asked_for() {
    let cluster = Cluster::new();
    cluster.good("nodech n02 nodelist.hidden=1");
    assert_eq!(cluster.good("nodels"), "n01\nn03\n");
    assert_eq!(cluster.good("nodels -S"), "n01\nn02\nn03\n");
    assert_eq!(cluster.good("nodels n02"), "n02\n");
}

#[test]
fn what_is_refused_changes_nothing() {
    let cluster = Cluster::new();
    let before = cluster.good("tabdump nodetype") + &cluster.good("tabdump nodelist");
    for (words, message) in [
        (
            "nodech n01 nodetype.os=x nodetype.nonesuch=y",
            "Error: nodetype.nonesuch not a valid table.column description\n",
        ),
        ("nodech n99 nodetype.os=x", "noderange: n99"),
        ("nodech n01 nodetype", "\"nodetype\" is no change"),
        (
            "nodech -d n01 nodetype.os",
            ". and = not valid in delete mode",
        ),
        ("nodeadd n09 nodetype.os=x", "nodeadd needs groups=GROUP"),
        (
            "nodeadd compute groups=zap",
            "\"compute\" is a group: expected names of nodes",
        ),
        ("nodeadd n01,n04 groups=all", "n01 (was in compute,all)"),
        (
            "nodeadd n1-n999999999 groups=all",
            "gives more than 100000 names",
        ),
        ("nodels n01 nodetype.os==x", "choose nodes in the range"),
        (
            "nodech n01 noderes.netboot=floppy",
            "unknown boot loader \"floppy\"",
        ),
    ] {
        let said = cluster.bad(words);
        assert!(said.contains(message), "{words}: {said}");
    }
    let after = cluster.good("tabdump nodetype") + &cluster.good("tabdump nodelist");
    assert_eq!(before, after);
    for words in ["nodech n01", "nodeadd n09", "noderm"] {
        assert_eq!(cluster.run(words).code, 2, "{words}");
    }
    let done = cluster.run("nodeadd Big01 groups=all");
    assert_eq!(done.code, 0);
    assert!(done.err.contains("capital letters"), "{}", done.err);
}

#[test]
fn an_error_is_said_once() {
    let cluster = Cluster::new();
    for words in ["prsync /x nosuch:/y", "nodels nosuch"] {
        assert_eq!(
            cluster.bad(words),
            "Error: Invalid nodes and/or groups in noderange: nosuch\n"
        );
    }
    let said = cluster.bad("nodels nonesuch.x==1");
    assert_eq!(said.matches("nonesuch").count(), 1, "{said}");
    let said = cluster.bad("liteimg img --rootimg /nonexistent/rootimg");
    assert_eq!(said.matches("No such file").count(), 1, "{said}");
}

#[test]
fn ranges_read_files_on_the_command_line() {
    let cluster = Cluster::new();
    std::fs::write(cluster.dir.path().join("list"), "# some\nn01\nn03 spare\n").unwrap();
    assert_eq!(cluster.good("nodels ^list"), "n01\nn03\n");
    cluster.good("nodels all,-^list");
    cluster.chtab("key=excludenodes", "site.value=n03");
    assert_eq!(cluster.good("nodels all"), "n01\nn02\n");
    assert_eq!(cluster.good("nodels"), "n01\nn02\nn03\n");
}

#[test]
fn a_link_of_the_commands_name_is_the_command() {
    let cluster = Cluster::new();
    let link = cluster.dir.path().join("nodels");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_statelite"), &link).unwrap();
    let output = Command::new(link)
        .args(["n01", "groups"])
        .env("STATELITE_DB", cluster.dir.path().join("tables.sqlite"))
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"n01: compute,all\n");
}

#[test]
fn groups_by_a_condition() {
    let cluster = Cluster::new();
    cluster.good("nodech n02 nodetype.os=rhels6.3");
    cluster.good("nodech n03 mac.mac=52:54:00:00:00:03");
    let dynamic = |wherevals: &str| {
        let wherevals = format!("nodegroup.wherevals={wherevals}");
        let kind = "nodegroup.grouptype=dynamic";
        cluster.words(&["chtab", "groupname=dyn", kind, &wherevals])
    };
    let done = dynamic("nodetype.os==rhels6.3||mac.mac=~/03$/");
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(cluster.good("nodels dyn"), "n02\nn03\n");
    assert_eq!(cluster.good("nodels all,-dyn"), "n01\n");
    cluster.good("nodech n02 nodetype.os=rhels6.2");
    assert_eq!(cluster.good("nodels dyn"), "n03\n");
    let done = dynamic("rhels6.3");
    assert_eq!(done.code, 1);
    assert!(
        done.err
            .contains("(\"dyn\"): column wherevals: \"rhels6.3\" is no condition"),
        "{}",
        done.err
    );
    assert_eq!(cluster.good("nodels dyn"), "n03\n", "as before");
    let help = cluster.good("tabdump -d nodegroup");
    assert!(
        help.contains("wherevals:\tdynamic group: ATTR==VALUE"),
        "{help}"
    );
}
