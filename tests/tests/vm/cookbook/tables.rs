//! Sections 2.1 to 2.5 and 3: the tables, and the commands that tell what is in them.

use std::fs;

use anyhow::{Result, ensure};

use super::book::{Book, CNFS, IMAGE, NFS};
use crate::health::TABLE;

/// "You may want some files in the image to be stored permanently."
const PERSISTENT: &str =
    "\"ALL\",\"/var/lib/kept/\",\"persistent\",,\n\"ALL\",\"/etc/kept.conf\",\"persistent\",,\n";

/// "Change it to read-only": each image is named, in place of all of /install.
pub fn exports(book: &mut Book) -> Result<()> {
    book.run("statelite exports -a >>/etc/exports")?;
    book.prints(
        "cat /etc/exports",
        &format!("# {NFS}\n/install/netboot/debian12/x86_64/compute/rootimg *(ro,no_root_squash,sync,no_subtree_check)\n"),
    )
}

/// The sample for RedHat with Debian's rows, by `tabedit`.
pub fn litefile(book: &mut Book) -> Result<()> {
    // As it is printed, with blanks before the quotation marks, nothing reads it.
    book.mn.write(
        "/root/litefile.csv",
        &TABLE.replace("\"ALL\",", "\"ALL\", "),
    )?;
    book.refused(
        "EDITOR='cp /root/litefile.csv' tabedit litefile </dev/null",
        "litefile.csv",
    )?;
    let table = format!("{TABLE}{PERSISTENT}");
    book.tabedit("litefile", &table)?;
    book.prints("tabdump litefile", &table)
}

/// Both examples: by the node's room, and by its name.
pub fn litetree(book: &mut Book) -> Result<()> {
    let table = format!(
        "#priority,image,directory,comments,disable\n\
         1,,{NFS}:/syncdirs/$nodepos.room/$nodetype.os/$nodetype.arch/$nodetype.profile\n\
         2,,$noderes.nfsserver:/statelite/$node\n"
    );
    book.tabedit("litetree", &table)?;
    for (node, room) in [("n01", "newyork-590Madison"), ("n02", "shanghai-11foo")] {
        let tree = format!("/syncdirs/{room}/debian12/x86_64/compute/etc");
        book.run(&format!(
            "mkdir -p {tree} /statelite/{node}/etc && echo 'this is {room}' >{tree}/motd"
        ))?;
        book.run(&format!(
            "echo 'of {node}' >/statelite/{node}/etc/kept.conf"
        ))?;
        book.prints(
            &format!("litetree {node}"),
            &format!("{node}: {NFS}:/syncdirs/{room}/debian12/x86_64/compute\n{node}: {NFS}:/statelite/{node}\n"),
        )?;
    }
    Ok(())
}

/// The example for the group japan. `cnfs` stands with its address: there is no name server.
pub fn statelite(book: &mut Book) -> Result<()> {
    let misspelt =
        "#node,image,statemnt,comments,disable\n\"n01\",,\"$noderes.nfssserver:/lite/state\",,\n";
    book.mn.write("/root/statelite.csv", misspelt)?;
    book.refused(
        "EDITOR='cp /root/statelite.csv' tabedit statelite </dev/null",
        "nfssserver",
    )?;
    let table =
        format!("#node,image,statemnt,comments,disable\n\"japan\",,\"{CNFS}:/gpfs/state\",,\n");
    book.tabedit("statelite", &table)?;
    fs::create_dir_all(book.dir.path().join("gpfs/state"))?;
    book.run("statelite exports -a >/etc/exports")?;
    let text = book.run("cat /etc/exports")?;
    for line in [
        "/install/netboot/debian12/x86_64/compute/rootimg *(ro,",
        "/syncdirs/newyork-590Madison/debian12/x86_64/compute *(ro,",
        "/statelite/n02 *(ro,",
        "/gpfs/state *(rw,no_root_squash,sync,no_subtree_check)",
    ] {
        ensure!(text.contains(line), "\"{line}\" is missing in\n{text}");
    }
    Ok(())
}

/// "Ensure policies are set up correctly."
pub fn policy(book: &mut Book) -> Result<()> {
    let before = book.run("tabdump policy")?;
    book.run("chtab priority=4.7 policy.commands=litefile policy.rule=allow")?;
    book.run("chtab priority=4.8 policy.commands=litetree policy.rule=allow")?;
    book.prints("tabdump policy", &before)
}

/// `litefile`, `ilitefile`, `litetree`, `lslite`.
pub fn queries(book: &mut Book) -> Result<()> {
    for (command, line) in [
        (
            "litefile n01".to_owned(),
            "n01: tmpfs,rw      /etc/adjtime\n".to_owned(),
        ),
        (
            "litefile n01".to_owned(),
            "n01: persistent    /var/lib/kept/\n".to_owned(),
        ),
        (
            format!("ilitefile {IMAGE}"),
            format!("{IMAGE}: ro            /etc/motd\n"),
        ),
        (
            "lslite n01".to_owned(),
            format!("        {CNFS}:/gpfs/state\n"),
        ),
        ("lslite n01".to_owned(), format!("Osimage: {IMAGE}\n")),
    ] {
        let said = book.run(&command)?;
        ensure!(said.contains(&line), "{command}: no {line:?} in\n{said}");
    }
    book.run("statelite check")?;
    Ok(())
}
