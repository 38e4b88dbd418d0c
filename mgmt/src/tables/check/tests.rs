//! Every rule with a table that breaks it, and the whole message.

use super::finding::Severity::{Refusal, Warning as Odd};
use super::*;
use crate::tables::csv;
use crate::tables::schema;
use std::collections::BTreeSet;

mod arguments;
mod computed;
mod policy;
mod told;

/// A site in which nothing is wrong.
const GOOD: &[&str] = &[
    "nodelist: node,groups\nn1,\"compute,all\"\nn2,all",
    "osimage: imagename,groups,provmethod\ndeb,lite,statelite\nsles,,statelite",
    "nodetype: node,os,arch,profile,provmethod\nall,rhel6,x86_64,web,deb\nn1,,,,netboot",
    "litefile: image,file,options\nALL,/etc/motd,\nlite,/var/log/,persistent\nsles,/tmp/,\n\
     rhel6-x86_64-statelite-web,/srv/,ro",
    "litetree: priority,directory\n1.0,$noderes.nfsserver:/lite/$node\n2,cnfs:/gpfs/#CMD=echo x y#/",
    "statelite: node,statemnt\nall,$noderes.nfsserver:/state/$nodetype.profile",
    "noderes: node,netboot,nfsserver\nall,xnba,|n(\\d+)|nfs$1|",
    "hosts: node,ip\nn1,10.0.0.1\nn2,10.0.0.2",
    "postscripts: node,postscripts\nxcatdefaults,syslog",
    "policy: priority,commands,rule\n4.7,litefile,allow\n5,,Trusted",
];

fn site(tables: &[&str]) -> Site {
    let mut site = Site::default();
    // Where a test is about something else, nodes may ask.
    let policy = tables.iter().any(|text| text.starts_with("policy: "));
    let usual = (!policy).then_some("policy: priority,rule\n1,allow");
    for text in tables.iter().copied().chain(usual) {
        let (name, text) = text.split_once(": ").unwrap();
        let table = schema::table(name).unwrap();
        let text = format!("#{text}\n");
        let mut rows = site.rows(table).to_vec();
        rows.extend(csv::read(table, name, text.as_bytes()).unwrap());
        site.put(table, rows);
    }
    site
}

fn found(tables: &[&str]) -> Vec<Finding> {
    check(&site(tables)).findings
}

#[test]
fn a_good_site_has_no_findings() {
    assert_eq!(check(&site(GOOD)).to_string(), "");
    assert_eq!(check(&Site::default()).to_string(), "");
}

/// Rule, severity, table that breaks it, message. More tables of the good site come with it.
type Case = (&'static str, Severity, &'static str, &'static str);

const CASES: &[Case] = &[
    (
        "duplicate-key",
        Refusal,
        "litefile: image,file,disable\nALL,/a,1\nALL,/a,",
        "litefile: row 2 (\"ALL\", \"/a\"): column image: another row has the same image and file",
    ),
    (
        "required",
        Refusal,
        "litetree: priority,directory\n1,",
        "litetree: row 1 (\"1\"): column directory: a value is needed: server:dir, with $node, $table.column, $site.key \
         and #CMD=...#",
    ),
    (
        "disable-word",
        Odd,
        "site: key,value,disable\na,b,off",
        "site: row 1 (\"a\"): column disable: \"off\" disables the row: only blank, 0 and no keep it live",
    ),
    (
        "unknown-image",
        Refusal,
        "litefile: image,file\ndep,/a",
        "litefile: row 1 (\"dep\", \"/a\"): column image: no osimage \"dep\", and no osimage has that group: the row \
         applies to no node",
    ),
    (
        "unknown-image",
        Refusal,
        "litetree: priority,image,directory\n1,dep,s:/a",
        "litetree: row 1 (\"1\"): column image: no osimage \"dep\", and no osimage has that group: the row applies to no \
         node",
    ),
    (
        "unknown-image",
        Refusal,
        "linuximage: imagename\ndep",
        "linuximage: row 1 (\"dep\"): column imagename: no osimage \"dep\"",
    ),
    (
        "blank-image",
        Odd,
        "litefile: image,file\n,/a",
        "litefile: row 1 (\"\", \"/a\"): column image: read as every image; current xCAT finds no such rows: write ALL",
    ),
    (
        "unknown-provmethod",
        Refusal,
        "nodetype: node,provmethod\nn1,debb",
        "nodetype: row 1 (\"n1\"): column provmethod: no osimage \"debb\" (else it is one of: install netboot statelite \
         boot sysclone osimage)",
    ),
    (
        "image-groups",
        Odd,
        "osimage: imagename,groups\nx,\"a,b\"",
        "osimage: row 1 (\"x\"): column groups: \"a,b\" is compared as one word with litefile.image and litetree.image, \
         so neither group alone matches",
    ),
    (
        "nfsrootopts",
        Refusal,
        "osimage: imagename,nfsrootopts\nx,\"nolock, tcp\"",
        "osimage: row 1 (\"x\"): column nfsrootopts: options are separated by commas, without whitespace",
    ),
    (
        "nfsrootopts",
        Refusal,
        "osimage: imagename,nfsrootopts\nx,\"nolock,,tcp\"",
        "osimage: row 1 (\"x\"): column nfsrootopts: there is a comma without an option",
    ),
    (
        "nfsrootopts",
        Refusal,
        "osimage: imagename,nfsrootopts\nx,\"nolock,rw\"",
        "osimage: row 1 (\"x\"): column nfsrootopts: \"rw\" is not possible: all nodes share this root, and it is mounted \
         read-only",
    ),
    (
        "nfsrootopts",
        Refusal,
        "osimage: imagename,nfsrootopts\nx,defaults",
        "osimage: row 1 (\"x\"): column nfsrootopts: \"defaults\" is not possible: it would make the root writable",
    ),
    (
        "path",
        Refusal,
        "litefile: image,file\nALL,etc/motd",
        "litefile: row 1 (\"ALL\", \"etc/motd\"): column file: the path is not absolute",
    ),
    (
        "path",
        Refusal,
        "litefile: image,file\nALL,\"/etc/a b\"",
        "litefile: row 1 (\"ALL\", \"/etc/a b\"): column file: the path contains whitespace",
    ),
    (
        "path",
        Refusal,
        "litefile: image,file\nALL,/etc/a:b",
        "litefile: row 1 (\"ALL\", \"/etc/a:b\"): column file: the path contains \":\"",
    ),
    (
        "path",
        Refusal,
        "litefile: image,file\nALL,/etc/../a",
        "litefile: row 1 (\"ALL\", \"/etc/../a\"): column file: the path contains a \".\" or \"..\" component",
    ),
    (
        "wildcard",
        Refusal,
        "litefile: image,file\nALL,/etc/*.conf",
        "litefile: row 1 (\"ALL\", \"/etc/*.conf\"): column file: wildcards are not expanded: the row would name this one \
         path literally",
    ),
    (
        "option",
        Refusal,
        "litefile: image,file,options\nALL,/a,bind",
        "litefile: row 1 (\"ALL\", \"/a\"): column options: unknown option \"bind\": a word of the 2010 dialect (allowed \
         in the current dialect: tmpfs,rw blank link tmpfs tempfs rw persistent link,persistent localdisk ro link,ro con \
         link,con)",
    ),
    (
        "odd-option",
        Odd,
        "litefile: image,file,options\nALL,/a,tempfs",
        "litefile: row 1 (\"ALL\", \"/a\"): column options: \"tempfs\" is a misspelling of xCAT's documents, read as \
         \"tmpfs\"; xCAT's liteimg refuses it",
    ),
    (
        "odd-option",
        Odd,
        "litefile: image,file,options\nALL,/etc/mtab,persistent",
        "litefile: row 1 (\"ALL\", \"/etc/mtab\"): column options: the option is not used: /etc/mtab is always \
         \"tmpfs,rw\"",
    ),
    (
        "con-directory",
        Refusal,
        "litefile: image,file,options\nALL,/a/,\"link,con\"",
        "litefile: row 1 (\"ALL\", \"/a/\"): column options: /a is a directory, \"link,con\" is for files",
    ),
    (
        "mtab-directory",
        Refusal,
        "litefile: image,file\nALL,/etc/mtab/",
        "litefile: row 1 (\"ALL\", \"/etc/mtab/\"): column file: /etc/mtab is a file: write it without a slash at the end",
    ),
    (
        "same-path",
        Refusal,
        "litefile: image,file\nALL,/a\nALL,/a/",
        "litefile: row 2 (\"ALL\", \"/a/\"): column file: /a is the same path, listed for the same image",
    ),
    (
        "nesting",
        Odd,
        "litefile: image,file,options\nALL,/a/,ro\nALL,/a/b,",
        "litefile: row 1 (\"ALL\", \"/a/\"): column options: the directory \"/a/\" should not be with \"ro\" or \"con\" as \
         its option (link mode would refuse this; FUSE mode does not mind)",
    ),
    (
        "deep-nesting",
        Odd,
        "litefile: image,file,options\nALL,/a/,\nALL,/a/b/,\nALL,/a/b/c,",
        "litefile: row 3 (\"ALL\", \"/a/b/c\"): column options: /a/b/c is below /a/b/, and that below /a/: link mode knows \
         only one level",
    ),
    (
        "source",
        Refusal,
        "litetree: priority,directory\n1,$noderes.nfsserver",
        "litetree: row 1 (\"1\"): column directory: neither server:dir nor an absolute local directory",
    ),
    (
        "source",
        Refusal,
        "litetree: priority,directory\n1,:/a",
        "litetree: row 1 (\"1\"): column directory: nothing before the \":\": expected server:dir",
    ),
    (
        "source",
        Refusal,
        "statelite: node,statemnt\nall,s:/a/$node-x",
        "statelite: row 1 (\"all\"): column statemnt: \"$node-x\" is no variable: expected $node, $table.column or \
         $site.key, ended by \"/\", \"$\" or \":\"",
    ),
    (
        "source",
        Refusal,
        "litetree: priority,directory\n1,s:/#CMD=x",
        "litetree: row 1 (\"1\"): column directory: a command is written #CMD=...#",
    ),
    (
        "no-server",
        Odd,
        "litetree: priority,directory\n1,/a",
        "litetree: row 1 (\"1\"): column directory: there is no server: read as a directory of the node itself; xCAT never \
         mounts it",
    ),
    (
        "literal-server",
        Odd,
        "statelite: node,statemnt\nall,s:/a/$nodetype.os",
        "statelite: row 1 (\"all\"): column statemnt: right here, but current xCAT puts a slash before a server without a \
         variable when the directory has one, and the mount fails there",
    ),
    (
        "variable",
        Refusal,
        "litetree: priority,directory\n1,$nodepos.rom:/a",
        "litetree: row 1 (\"1\"): column directory: $nodepos.rom: the table nodepos has no column \"rom\" (it has: node \
         rack u chassis slot room height comments disable)",
    ),
    (
        "variable",
        Refusal,
        "litetree: priority,directory\n1,s:/$vpd.serial",
        "litetree: row 1 (\"1\"): column directory: $vpd.serial: there is no table \"vpd\" here",
    ),
    (
        "variable",
        Refusal,
        "litetree: priority,directory\n1,s:/$osimage.groups",
        "litetree: row 1 (\"1\"): column directory: $osimage.groups: the rows of the table osimage are not about nodes",
    ),
    (
        "mntopts",
        Refusal,
        "statelite: node,statemnt,mntopts\nall,s:/a,\"soft, tcp\"",
        "statelite: row 1 (\"all\"): column mntopts: mount options are separated by commas, without whitespace",
    ),
    (
        "priority",
        Refusal,
        "litetree: priority,directory\nfirst,s:/a",
        "litetree: row 1 (\"first\"): column priority: \"first\" is not a number",
    ),
    (
        "equal-priority",
        Refusal,
        "litetree: priority,directory\n1,s:/a\n1.0,s:/b",
        "litetree: row 2 (\"1.0\"): column priority: the row 1 has the same priority: which of them comes first would be \
         chance",
    ),
    (
        "node-name",
        Refusal,
        "nodelist: node\n../n9",
        "nodelist: row 1 (\"../n9\"): column node: \"../n9\" is no host name: letters, digits, \"-\", \"_\" and \".\", the \
         first a letter or digit",
    ),
    (
        "unknown-node",
        Odd,
        "noderes: node\nn9",
        "noderes: row 1 (\"n9\"): column node: no node and no group \"n9\" in the nodelist table",
    ),
    (
        "nodegroup",
        Refusal,
        "nodegroup: groupname,grouptype,wherevals\ng,dynamic,",
        "nodegroup: row 1 (\"g\"): column wherevals: there are no wherevals; a dynamic group needs at least one \
         condition, ATTR==VALUE",
    ),
    (
        "nodegroup",
        Refusal,
        "nodegroup: groupname,grouptype,wherevals\ng,dynamic,nodetype.os==x||rhels6",
        "nodegroup: row 1 (\"g\"): column wherevals: \"rhels6\" is no condition: ATTR==VALUE, ATTR!=VALUE, ATTR=~REGEX \
         or ATTR!~REGEX",
    ),
    (
        "nodegroup",
        Refusal,
        "nodegroup: groupname,grouptype,wherevals\ng,dynamic,nodetype.oss==x",
        "nodegroup: row 1 (\"g\"): column wherevals: noderange: \"nodetype.oss\" is no table.column of nodes",
    ),
    (
        "nodegroup",
        Refusal,
        "nodegroup: groupname,grouptype\ng,dynamik",
        "nodegroup: row 1 (\"g\"): column grouptype: unknown grouptype \"dynamik\" (static, dynamic)",
    ),
    (
        "nodegroup",
        Refusal,
        "nodegroup: groupname,membergroups\ng,all\nh,h",
        "nodegroup: row 2 (\"h\"): column membergroups: its membergroups lead back to it: h -> h",
    ),
    (
        "unknown-member",
        Odd,
        "nodegroup: groupname,members\ng,\"n1,n9\"",
        "nodegroup: row 1 (\"g\"): column members: there is no node \"n9\"",
    ),
    (
        "unknown-member",
        Odd,
        "nodegroup: groupname,membergroups\ng,\"all,h\"",
        "nodegroup: row 1 (\"g\"): column membergroups: there is no group \"h\"",
    ),
    (
        "netboot",
        Refusal,
        "noderes: node,netboot\nn1,pxee",
        "noderes: row 1 (\"n1\"): column netboot: unknown boot loader \"pxee\" (known: pxe, xnba, ipxe, ipxe-tftp, grub2, \
         grub2-tftp, grub2-http, httpboot, petitboot, yaboot)",
    ),
    (
        "boot-value",
        Refusal,
        "nodehm: node,serialport,serialspeed\nn1,ttyS0,9600",
        "nodehm: row 1 (\"n1\"): column serialport: \"ttyS0\": it is no number",
    ),
    (
        "boot-value",
        Refusal,
        "mac: node,mac\nn1,52:54",
        "mac: row 1 (\"n1\"): column mac: \"52:54\": \"52:54\" is no MAC address (six pairs of hexadecimal digits)",
    ),
    (
        "boot-value",
        Refusal,
        "site: key,value\ntftpdir,tftpboot",
        "site: row 1 (\"tftpdir\"): column value: \"tftpboot\": it is no absolute path",
    ),
    (
        "address",
        Refusal,
        "hosts: node,ip\nn1,10.0.0",
        "hosts: row 1 (\"n1\"): column ip: \"10.0.0\" is no IP address",
    ),
    (
        "same-address",
        Odd,
        "hosts: node,ip\nn1,10.0.0.1\nn2,10.0.0.1",
        "hosts: row 2 (\"n2\"): column ip: 10.0.0.1 is the address of n1 too: the server cannot tell the nodes apart",
    ),
    (
        "same-mac",
        Refusal,
        "mac: node,mac\nn2,52:54:00:00:00:01\nn1,\"52:54:00:00:00:02!*NOIP*|525400000001\"",
        "mac: row 1 (\"n2\"): column mac: 52:54:00:00:00:01 belongs to n1 (mac: row 2, \"n1\") and to n2 (mac: row 1, \
         \"n2\"): one of them would boot as the other",
    ),
    (
        "same-mac",
        Refusal,
        "mac: node,mac\nall,52:54:00:00:00:01",
        "mac: row 1 (\"all\"): column mac: 52:54:00:00:00:01 would be the address of n1 and n2: one of them would boot as \
         the other",
    ),
    (
        "regex",
        Refusal,
        "noderes: node,nfsserver\nall,|n(|x|",
        "noderes: row 1 (\"all\"): column nfsserver: the pattern \"n(\" is not understood: unclosed group",
    ),
    (
        "regex",
        Refusal,
        "noderes: node,nfsserver\nall,/n(?=1)/x/",
        "noderes: row 1 (\"all\"): column nfsserver: the pattern \"n(?=1)\" is not understood: look-around, including \
         look-ahead and look-behind, is not supported",
    ),
    (
        "regex",
        Refusal,
        "noderes: node,nfsserver\nall,|n(\\d+)|x$2|",
        "noderes: row 1 (\"all\"): column nfsserver: \"$2\" is used, but the pattern has only 1 in parentheses",
    ),
    (
        "regex-path",
        Odd,
        "noderes: node,nfsdir\nall,/gpfs/state/",
        "noderes: row 1 (\"all\"): column nfsdir: read as a directory; xCAT would replace \"gpfs\" by \"state\" in \
         the node's name: write /gpfs/state",
    ),
    (
        "setting",
        Refusal,
        "site: key,value\nstatelitedialect,2011",
        "site: row 1 (\"statelitedialect\"): column value: unknown dialect \"2011\" (allowed: current, 2010)",
    ),
    (
        "setting",
        Refusal,
        "site: key,value\nstatelitemode,link",
        "site: row 1 (\"statelitemode\"): column value: unknown mode \"link\" (allowed: fuse, links)",
    ),
    (
        "setting",
        Refusal,
        "site: key,value\nxcatdport,0",
        "site: row 1 (\"xcatdport\"): column value: xcatdport is a port: a number from 1 to 65535, not \"0\"",
    ),
];

#[test]
fn every_rule_says_row_column_and_reason() {
    let cases = || {
        CASES
            .iter()
            .chain(told::CASES)
            .chain(policy::CASES)
            .chain(computed::CASES)
            .chain(arguments::CASES)
    };
    for (rule, severity, table, message) in cases() {
        let name = table.split_once(':').unwrap().0;
        // The good site without its own rows of that table, so that rows count from 1.
        let own = |text: &&&str| !text.starts_with(&format!("{name}: "));
        let mut tables: Vec<_> = GOOD.iter().filter(own).copied().collect();
        tables.push(table);
        let found = found(&tables);
        let mine: Vec<_> = found.iter().filter(|f| f.rule == *rule).collect();
        assert_eq!(mine.len(), 1, "{table}\n{found:#?}");
        assert_eq!(mine[0].to_string(), *message);
        assert_eq!(mine[0].severity, *severity, "{message}");
    }
    let tested: BTreeSet<_> = cases().map(|case| case.0).collect();
    let rules: BTreeSet<_> = RULES.iter().map(|rule| rule.id).collect();
    assert_eq!(tested, rules);
}

#[test]
fn nesting_is_refused_in_link_mode_only() {
    let table = "litefile: image,file,options\nALL,/a/,ro\nALL,/a/b,";
    assert!(check(&site(&[table])).acceptable());
    let report = check(&site(&[table, "site: key,value\nstatelitemode,links"]));
    assert_eq!(
        report.to_string(),
        "litefile: row 1 (\"ALL\", \"/a/\"): column options: the directory \"/a/\" should not be with \"ro\" or \"con\" \
         as its option"
    );
    assert!(!report.acceptable());
    assert!(!report.forced().acceptable());
}

#[test]
fn nesting_is_judged_for_every_image_as_its_nodes_see_it() {
    let links = "site: key,value\nstatelitemode,links";
    let osimage = "osimage: imagename,groups\ndeb,lite\nsles,";
    // For sles the child is a link, for all others a bind.
    let rows = "litefile: image,file,options\nALL,/a/,link\nALL,/a/b,tmpfs\nsles,/a/b,link";
    let found = found(&[links, osimage, rows]);
    let texts: Vec<_> = found.iter().map(Finding::to_string).collect();
    assert_eq!(
        texts,
        [
            "litefile: row 2 (\"ALL\", \"/a/b\"): column options: Based on the option of /a/, /a/b can only use \
             \"link\"-based options"
        ]
    );
    // A parent of one image makes a row for all wrong there.
    let rows = "litefile: image,file,options\nALL,/a/b,tmpfs\nlite,/a/,link\ndeb,/c,";
    let found = check(&site(&[links, osimage, rows])).findings;
    let texts: Vec<_> = found.iter().map(Finding::to_string).collect();
    assert_eq!(texts.len(), 2, "{texts:#?}");
    assert!(texts[0].ends_with("can only use \"link\"-based options, for the image deb"));
}

#[test]
fn no_server_is_refused_in_link_mode() {
    let report = check(&site(&[
        "site: key,value\nstatelitemode,links",
        "litetree: priority,directory\n1,/a",
    ]));
    assert_eq!(
        report.to_string(),
        "litetree: row 1 (\"1\"): column directory: there is no server: link mode never mounts it. Expected server:dir"
    );
    assert!(report.forced().acceptable());
}

#[test]
fn the_words_of_2010_are_judged_by_their_dialect() {
    let rows = "litefile: image,file,options\nALL,/a,bind\nALL,/b,\"link,ro\"\nALL,/c,tmpfs";
    let report = check(&site(&["site: key,value\nstatelitedialect,2010", rows]));
    let found: Vec<_> = report.findings.iter().map(|f| (f.rule, f.row)).collect();
    assert_eq!(found, [("option", Some(2)), ("odd-option", Some(3))]);
}

#[test]
fn disabled_rows_are_judged_by_their_keys_alone() {
    let rows = "litefile: image,file,options,disable\nnone,a b,nonsense,1\nnone,,,yes";
    let found = found(&[rows]);
    let found: Vec<_> = found.iter().map(|f| (f.rule, f.column)).collect();
    assert_eq!(found, [("required", Some("file"))]);
}

#[test]
fn one_of_several_groups_is_explained() {
    let found = found(&[
        "osimage: imagename,groups\nx,\"a, b\"",
        "litefile: image,file\nb,/a",
    ]);
    let reason = &found
        .iter()
        .find(|f| f.rule == "unknown-image")
        .unwrap()
        .reason;
    assert!(
        reason.ends_with("the row applies only as \"a, b\""),
        "{reason}"
    );
}

#[test]
fn only_what_is_new_counts() {
    let before = check(&site(&["litefile: image,file\nnone,/a"]));
    let after = site(&["litefile: image,file\nALL,/0\nnone,/a\nnone,/b"]);
    let new = check(&after).new_since(&before);
    let keys: Vec<_> = new.findings.iter().map(|f| f.key.clone()).collect();
    assert_eq!(keys, [["none", "/b"]]);
}

#[test]
fn nodes_have_no_values_by_groups_of_the_nodegroup_table() {
    let found = found(&[
        "nodegroup: groupname,grouptype,wherevals\ndyn,dynamic,os==x",
        "noderes: node\ndyn",
    ]);
    let texts: Vec<_> = found.iter().map(Finding::to_string).collect();
    assert_eq!(
        texts,
        [
            "noderes: row 1 (\"dyn\"): column node: \"dyn\" is a group of the nodegroup table alone: nodes have values \
             by the groups of nodelist.groups only"
        ]
    );
}
