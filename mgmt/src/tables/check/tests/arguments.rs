//! Kernel arguments that boot loaders would take as their own.

use super::{Case, Refusal, check, site};

pub(super) const CASES: &[Case] = &[
    (
        "boot-arguments",
        Refusal,
        "linuximage: imagename,addkcmdline\ndeb,a || sh",
        "linuximage: row 1 (\"deb\"): column addkcmdline: for n2, which boots by xnba: \"a || sh\": iPXE takes the words \
         || && ; and those that begin with # as its own, and fills in ${...}",
    ),
    (
        "boot-arguments",
        Refusal,
        "noderes: node,netboot,primarynic\nall,grub2,eth0;x",
        "noderes: row 1 (\"all\"): column primarynic: for n1, which boots by grub2: \"eth0;x\": GRUB takes ; & | < > { } \" ' \
         \\ $ and a # that begins a word as its own (and one more node)",
    ),
    (
        "boot-arguments",
        Refusal,
        "noderes: node,netboot,nfsdir\nall,grub2,/a\nn1,,/a;b",
        "noderes: row 2 (\"n1\"): column nfsdir: for n1, which boots by grub2: \"/a;b\": GRUB takes ; & | < > { } \" ' \\ $ \
         and a # that begins a word as its own",
    ),
];

const SITE: &[&str] = &[
    "nodelist: node,groups\nn1,compute\nn2,compute",
    "osimage: imagename\ndeb",
    "nodetype: node,os,arch,profile,provmethod\ncompute,debian12,x86_64,compute,deb",
];

/// What is found about command lines in these tables with that loader.
fn found(netboot: &str, tables: &[&str]) -> Vec<String> {
    let noderes = format!("noderes: node,netboot\nn1,{netboot}");
    let tables: Vec<_> = SITE
        .iter()
        .chain(tables)
        .copied()
        .chain([noderes.as_str()])
        .collect();
    let findings = check(&site(&tables)).findings.into_iter();
    let mine = findings.filter(|finding| finding.rule == "boot-arguments");
    mine.map(|finding| finding.to_string()).collect()
}

#[test]
fn every_part_of_the_line_is_judged_by_the_loader_of_the_node() {
    for table in [
        "statelite: node,statemnt,mntopts\ncompute,s:/a,soft;reboot",
        "statelite: node,statemnt,mntopts\ncompute,s:/a,\"a\"\"b\"",
        "statelite: node,statemnt\ncompute,cnfs:/gpfs/a{b",
        "statelite: node,statemnt\ncompute,cnfs:/gpfs/$node/a&b",
        "osimage: imagename,nfsrootopts\ndeb,nolock;x",
        "linuximage: imagename,dump\ndeb,nfs://s/a;b",
        "linuximage: imagename,dump,crashkernelsize\ndeb,nfs://s/a,128M;x",
        "linuximage: imagename,nodebootif\ndeb,eth0;x",
        "linuximage: imagename,rootimgdir\ndeb,/install/a&b",
        "linuximage: imagename,addkcmdline\ndeb,a;b",
        "site: key,value\ninstalldir,/install;x",
        "site: key,value\nuseflowcontrol,1;x",
    ] {
        let grub = found("grub2", &[table]);
        assert_eq!(grub.len(), 1, "{table}: {grub:#?}");
        assert!(
            grub[0].contains("for n1, which boots by grub2: "),
            "{grub:?}"
        );
        assert_eq!(found("pxe", &[table]), [""; 0], "{table}");
    }
}

#[test]
fn what_reaches_no_line_is_not_judged() {
    for table in [
        // Variables and commands are filled in before.
        "statelite: node,statemnt\ncompute,$noderes.nfsserver:/a/$node/#CMD=a | b#",
        "statelite: node,statemnt\ncompute,#CMD=a | b#",
        "statelite: node,statemnt\ncompute,|n(\\d+)|s:/a$1|",
        // It begins no word.
        "statelite: node,statemnt,mntopts\ncompute,s:/a,#x",
        // Rows of other nodes and images.
        "statelite: node,statemnt,mntopts\nn2,s:/a,soft;x",
        "statelite: node,statemnt,mntopts\nn1,s:/a,soft\ncompute,s:/b,soft;x",
        "linuximage: imagename,addkcmdline,boottarget\ndeb,a;b,t",
        "site: key,value\nsomething,a;b",
    ] {
        assert_eq!(found("grub2", &[table]), [""; 0], "{table}");
    }
    // The line of 2010 has no mount options.
    let options = "statelite: node,statemnt,mntopts\ncompute,s:/a{,soft;x";
    let of_2010 = found(
        "grub2",
        &[options, "site: key,value\nstatelitedialect,2010"],
    );
    assert_eq!(of_2010.len(), 1, "{of_2010:#?}");
    assert!(of_2010[0].contains("column statemnt"), "{of_2010:#?}");
}

#[test]
fn the_first_node_gone_is_nothing_new() {
    let of = |nodes: &str| {
        let nodes = format!("nodelist: node,groups\n{nodes}");
        let options = "statelite: node,statemnt,mntopts\ncompute,s:/a,soft;x";
        check(&site(&[
            &nodes,
            options,
            "noderes: node,netboot\ncompute,grub2",
        ]))
    };
    let before = of("n1,compute\nn2,compute");
    assert!(!before.acceptable());
    assert!(of("n2,compute").new_since(&before).findings.is_empty());
}
