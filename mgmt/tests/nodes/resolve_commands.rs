use crate::cluster::{Cluster, sample};

/// The `<info>` lines of a sample answer.
fn info(name: &str) -> String {
    let text = std::fs::read_to_string(sample(name)).unwrap();
    let response = statelite_policy::wire::Response::parse(&text).unwrap();
    let lines = response.info.iter().map(|line| format!("{line}\n"));
    lines.collect()
}

#[test]
fn the_wire_samples_are_what_the_commands_print() {
    let cluster = Cluster::new();
    cluster.chtab("image=ALL,file=/etc/adjtime", "litefile.options=tmpfs");
    cluster.load("litetree", "litetree.current-header.csv");
    assert_eq!(
        cluster.good("litefile n01"),
        info("wire.litefile.response.xml")
    );
    assert_eq!(
        cluster.good("litetree n01"),
        info("wire.litetree.response.xml")
    );
    assert_eq!(
        cluster.good("litetree n01-n02").lines().next_back(),
        Some("n02: cnfs:/gpfs/dallas/ :soft")
    );
}

#[test]
fn the_option_matrix_word_by_word() {
    let cluster = Cluster::new();
    cluster.load("litefile", "litefile.option-matrix.csv");
    let wanted = "\
con           /etc/a-con
tmpfs,rw      /etc/a-default
link          /etc/a-link
link,con      /etc/a-link-con
link,persistent /etc/a-link-persistent
link,ro       /etc/a-link-ro
localdisk     /etc/a-localdisk
persistent    /etc/a-persistent
ro            /etc/a-ro
rw            /etc/a-rw
tmpfs         /etc/a-tmpfs
link          /etc/mtab
tmpfs         /var/p/
persistent    /var/p/child
";
    let named = |name: &str| -> String {
        let lines = wanted.lines().map(|line| format!("{name}: {line}\n"));
        lines.collect()
    };
    // Persistent paths without a store: said, but printed as xCAT does.
    assert_eq!(cluster.good("litefile n02"), named("n02"));
    let image = "rhels6.2-x86_64-statelite-compute";
    let done = cluster.run(&format!("ilitefile {image}"));
    // An image has no statemnt; its nodes may have, or may not.
    assert_eq!((done.out, done.err), (named(image), String::new()));
}

#[test]
fn the_cookbooks_rows() {
    let cluster = Cluster::new();
    cluster.chtab("key=statelitedialect", "site.value=2010");
    cluster.load("litefile", "litefile.seed.redhat.csv");
    cluster.load("litetree", "litetree.seed.csv");
    cluster.chtab("node=compute", "nodepos.room=newyork-590Madison");
    let files = cluster.good("litefile n01");
    assert_eq!(files.lines().count(), 42);
    assert!(
        files
            .lines()
            .all(|line| line.starts_with("n01: tmpfs,rw      /")),
        "{files}"
    );
    assert!(files.contains("n01: tmpfs,rw      /etc/mtab\n"));
    let mut sorted: Vec<&str> = files.lines().collect();
    sorted.sort_unstable();
    assert_eq!(sorted, files.lines().collect::<Vec<_>>());
    assert_eq!(
        cluster.good("litetree n01"),
        "n01: 10.0.0.1:/syncdirs/newyork-590Madison/rhels6.2/x86_64/compute\n"
    );
    cluster.load("litetree", "litetree.seed.two-level.csv");
    assert_eq!(
        cluster.good("litetree n01"),
        "n01: 10.0.0.1:/statelite/n01\nn01: cnfs:/gpfs/dallas/\n"
    );
}

#[test]
fn lslite_has_xcats_form() {
    let cluster = Cluster::new();
    cluster.chtab("image=ALL,file=/etc/adjtime", "litefile.comments=x");
    cluster.load("litetree", "litetree.current-header.csv");
    cluster.chtab(
        "node=compute",
        "statelite.statemnt=$noderes.nfsserver:/lite/state",
    );
    let page = "\
>>>Node: n01

Osimage: rhels6.2-x86_64-statelite-compute

Persistent directory (statelite table):
        10.0.0.1:/lite/state

Litefiles (litefile table):
        tmpfs,rw      /etc/adjtime
        link          /etc/mtab

Litetree path (litetree table):
        1, 10.0.0.1:/statelite/n01
        2, cnfs:/gpfs/dallas/ :soft

";
    assert_eq!(cluster.good("lslite n01"), page);
    assert_eq!(
        cluster.good("lslite n01,n02"),
        page.to_owned() + &page.replace("n01", "n02")
    );
    assert_eq!(
        cluster.bad("lslite -i nonesuch"),
        "Error: The osimage named 'nonesuch' is not defined.\n"
    );
    cluster.good("chtab imagename=compute osimage.provmethod=statelite");
    assert_eq!(
        cluster.good("lslite -i compute"),
        "        tmpfs,rw      /etc/adjtime\n        link          /etc/mtab\n"
    );
    assert_eq!(cluster.run("lslite").code, 2);
    // The cookbook's `litefile <image name>`.
    assert_eq!(
        cluster.good("litefile compute"),
        cluster.good("litefile n01,n02,n03"),
        "a group comes first"
    );
    cluster.good("chtab imagename=img osimage.provmethod=statelite");
    assert_eq!(cluster.good("litefile img"), cluster.good("ilitefile img"));
    // Images that are in no row of the osimage table: by nodetype, and by a litefile row.
    let implied = "rhels6.2-x86_64-statelite-compute";
    let done = cluster.run(&format!("ilitefile {implied}"));
    assert_eq!((done.code, done.err), (0, String::new()));
    assert_eq!(cluster.good(&format!("litefile {implied}")), done.out);
    cluster.good("chtab --force image=listed,file=/a litefile.options=tmpfs");
    assert!(cluster.good("litefile listed").contains("tmpfs         /a"));
    for name in ["nonesuch", "ALL"] {
        assert_eq!(
            cluster.bad(&format!("litefile {name}")),
            format!(
                "Error: Invalid nodes and/or groups in noderange: {name}; nor is there an image of that name \
                 (ilitefile IMAGE prints the rows of any)\n"
            )
        );
    }
}

#[test]
fn json_for_scripts() {
    let cluster = Cluster::new();
    cluster.chtab("image=ALL,file=/var/log/", "litefile.options=tmpfs");
    cluster.load("litetree", "litetree.current-header.csv");
    let read =
        |words: &str| -> serde_json::Value { serde_json::from_str(&cluster.good(words)).unwrap() };
    let files = read("litefile n01 --json");
    assert_eq!(files[0]["node"], "n01");
    assert_eq!(files[0]["litefile"][1]["option"], "tmpfs");
    assert_eq!(files[0]["litefile"][1]["path"], "/var/log/");
    assert_eq!(
        read("litetree n01 --json")[0]["litetree"][1],
        "cnfs:/gpfs/dallas/ :soft"
    );
    assert_eq!(read("ilitefile img --json")[0]["image"], "img");
    let page = read("lslite n01 --json");
    assert_eq!(page[0]["statemnt"], serde_json::Value::Null);
}

#[test]
fn one_node_that_fails_does_not_stop_the_others() {
    let cluster = Cluster::new();
    cluster.good("nodech -d n02 nodetype");
    for command in ["litefile", "litetree", "lslite"] {
        let done = cluster.run(&format!("{command} n01-n03"));
        assert_eq!(done.code, 1, "{command}");
        assert_eq!(
            done.err,
            "Error: n02: nodetype.os is not set, so its image is unknown\n"
        );
        assert!(
            command == "litetree" || done.out.contains("n03"),
            "{command}"
        );
    }
    assert!(cluster.bad("litefile n99").contains("noderange: n99"));
}

#[test]
fn commands_in_tables_are_run_and_checked() {
    let cluster = Cluster::new();
    cluster.chtab(
        "priority=1",
        "litetree.directory=s:/trees/#CMD=echo of-$node#/x",
    );
    assert_eq!(
        cluster.good("litetree n01-n02"),
        "n01: s:/trees/of-n01/x\nn02: s:/trees/of-n02/x\n"
    );
    cluster.chtab("key=statelitecmdtimeout", "site.value=1");
    for (command, message) in [
        ("exit 3", "command \"exit 3\": it ended with exit status: 3"),
        (
            "echo no room >&2; false",
            "it ended with exit status: 1: no room",
        ),
        ("true", "command \"true\" printed nothing"),
        ("echo a b", "printed \"a b\": expected one word"),
        (
            "echo ../../etc",
            "expected one word that can stand in a path",
        ),
        (
            "sleep 100",
            "it ran for more than 1s (site.statelitecmdtimeout, seconds)",
        ),
    ] {
        let value = format!("litetree.directory=s:/trees/#CMD={command}#");
        cluster.chtab("priority=1", &value);
        let said = cluster.bad("litetree n01");
        assert!(
            said.starts_with("Error: litetree: row 1 (\"1\"): column directory: for node n01: "),
            "{said}"
        );
        assert!(said.contains(message), "{said}");
    }
}

#[test]
fn a_store_whose_server_is_unknown_is_refused_with_its_row() {
    let cluster = Cluster::new();
    let row = "statelite.statemnt=$noderes.nfssserver:/lite/state";
    let done = cluster.words(&["chtab", "--force", "node=compute", row]);
    if done.code != 0 {
        // The check of the tables stops it, which is as good.
        assert!(done.err.contains("nfssserver"), "{}", done.err);
        return;
    }
    let said = cluster.bad("litefile n01");
    assert!(
        said.contains("statelite: row 1 (\"compute\"): column statemnt: "),
        "{said}"
    );
}

#[test]
fn a_row_has_one_name_in_all_messages() {
    let cluster = Cluster::new();
    // The third row, on the fourth line, of priority 2.
    for (priority, directory) in [("1", "s:/a"), ("5", "s:/b"), ("2", "s:/#CMD=false#")] {
        cluster.chtab(
            &format!("priority={priority}"),
            &format!("litetree.directory={directory}"),
        );
    }
    let name = "litetree: row 3 (\"2\"): column directory: ";
    let said = cluster.bad("litetree n01");
    assert!(said.contains(name), "{said}");
    cluster.chtab("priority=2", "litetree.directory=$noderes.tftpserver:/x");
    for command in ["litetree n01", "lslite n01", "explain n01 /etc/x"] {
        let said = cluster.bad(command);
        assert!(said.contains(name), "{command}: {said}");
    }
    let done = cluster.words(&[
        "chtab",
        "priority=2",
        "litetree.directory=$noderes.nonesuch:/x",
    ]);
    assert!(done.err.contains(name), "{}", done.err);
}

#[test]
fn commands_of_several_nodes_run_side_by_side() {
    let cluster = Cluster::new();
    let dir = cluster.dir.path().join("met");
    std::fs::create_dir(&dir).unwrap();
    let dir = dir.display();
    // Each waits until all three have come: one after the other they would all run into their time limit.
    let command = format!(
        "touch {dir}/$node; while [ `ls {dir} | wc -l` -lt 3 ]; do sleep 0.05; done; echo x"
    );
    let value = format!("litetree.directory=s:/trees/#CMD={command}#/$node");
    cluster.chtab("priority=1", &value);
    let wanted = "n01: s:/trees/x/n01\nn02: s:/trees/x/n02\nn03: s:/trees/x/n03\n";
    for command in ["litetree", "lslite", "exports"] {
        for node in ["n01", "n02", "n03"] {
            drop(std::fs::remove_file(format!("{dir}/{node}")));
        }
        let text = cluster.good(&format!("{command} n01-n03"));
        match command {
            "litetree" => assert_eq!(text, wanted),
            _ => assert_eq!(text.matches("/trees/x/n0").count(), 3, "{text}"),
        }
    }
}

#[test]
fn exports_are_printed_for_all_nodes_that_have_an_image() {
    let cluster = Cluster::new();
    cluster.chtab("priority=1", "litetree.directory=cnfs:/trees/$node");
    let whole = cluster.good("exports -a");
    let listed = cluster.good("exports -a --json");
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    for export in listed.as_array().unwrap() {
        assert!(whole.contains(export["path"].as_str().unwrap()), "{export}");
        assert!(["image", "tree", "persistent"].contains(&export["content"].as_str().unwrap()));
    }
    assert_eq!(
        listed.as_array().unwrap().len(),
        whole.lines().filter(|line| line.starts_with('/')).count()
    );
    let nowhere = cluster.run("exports -a --server nosuch");
    assert!(
        nowhere
            .err
            .contains("nothing that these nodes need is on nosuch"),
        "{}",
        nowhere.err
    );
    assert!(whole.contains("/trees/n03 "), "{whole}");
    cluster.good("nodeadd sn1 groups=service");
    for words in ["exports -a", "exports n01-n03,sn1 --server cnfs"] {
        let done = cluster.run(words);
        assert_eq!(done.code, 0, "{words}: {}", done.err);
        assert_eq!(
            done.err,
            "Warning: sn1: nodetype.os is not set, so its image is unknown; it is left out\n"
        );
        assert_eq!(done.out.matches("/trees/n0").count(), 3, "{}", done.out);
    }
    assert_eq!(cluster.run("exports -a").out, whole);
    // Who names a node wants it.
    let done = cluster.run("exports sn1,n01");
    assert_eq!(done.code, 1);
    assert_eq!(
        done.err,
        "Error: sn1: nodetype.os is not set, so its image is unknown\n"
    );
    assert!(done.out.contains("/trees/n01 "), "{}", done.out);
    // So does a node whose rows are wrong.
    cluster.chtab("priority=1", "litetree.directory=cnfs:/trees/#CMD=exit 3#");
    let done = cluster.run("exports -a");
    assert_eq!(done.code, 1);
    assert_eq!(
        done.err.matches("Error: litetree: row 1").count(),
        3,
        "{}",
        done.err
    );
}
