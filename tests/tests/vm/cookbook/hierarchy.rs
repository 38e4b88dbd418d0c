//! Section 6: a node by way of a service node. 6.2 is chapter 2.

use std::fs;

use anyhow::{Context, Result, ensure};
use statelite_tests::vm::host::Host;
use statelite_tests::vm::nfs::NfsServer;

use super::book::{self, Book, CNFS, IMAGE_DIR, MASTER, SN};
use super::{boot, exports};
use crate::health;

/// What the service node runs; the addresses of both are in its hosts file.
pub fn service_node(book: &mut Book) -> Result<()> {
    book.run(&format!("nodeadd sn1 groups=service hosts.ip={SN}"))?;
    book.run("chtab -d key=installloc site")?;
    book.run(&format!(
        "nodech n02 noderes.servicenode=sn1 noderes.xcatmaster={SN} noderes.nfsserver={SN}"
    ))?;
    let disk = ["/install", "/tftpboot", "/statelite"];
    let mut sn = Host::start("sn1", &book.dir.path().join("sn1"), &disk)?;
    sn.online("apt-get -q update && apt-get -q install -y --no-install-recommends rsync")
        .check()?;
    book::install(&sn)?;
    sn.write(
        "/etc/hosts",
        &format!("127.0.0.1 localhost\n{MASTER} mn\n{SN} sn1\n"),
    )?;

    // Its NFS server. "If the NFS directories defined in the litetree table are on the service node, it is better to
    // setup the NFS directories in the service node" (6.2).
    let text = book.run(&format!("statelite exports n02 --ganesha --server {SN}"))?;
    let exports = exports::parse(&text, |path| sn.disk(path))?;
    for export in &exports {
        fs::create_dir_all(&export.path)?;
    }
    sn.write(
        "/statelite/n02/etc/kept.conf",
        "of n02, at the service node\n",
    )?;
    let server = NfsServer::start(
        &book.cage,
        ("sn1", SN),
        &book.dir.path().join("sn1-nfs"),
        &exports,
    )?;
    sn.plug_in(server.network().context("the NFS server is gone")?);
    book.nfs.push(server);

    // The way in for prsync.
    let public = book.run("cat /root/.ssh/id_ed25519.pub")?;
    sn.write("/root/.ssh/authorized_keys", &public)?;
    sn.cmd("chmod 700 /root/.ssh && chmod 600 /root/.ssh/authorized_keys && mkdir -p /run/sshd")
        .check()?;
    let host_key = sn
        .cmd("cat /etc/ssh/ssh_host_ed25519_key.pub")
        .check()?
        .stdout;
    book.mn
        .write("/root/.ssh/known_hosts", &format!("sn1 {host_key}"))?;
    sn.cmd("/usr/sbin/sshd").check()?;

    // What `statelite serve` of a service node needs.
    book.run(&format!("mkdir -p /root/sn1 && statelite ca server sn1 {SN} --to /root/sn1 && statelite ca issue sn1"))?;
    book.run("ssh sn1 mkdir -p /etc/statelite/ca /var/lib/statelite")?;
    book.run(
        "scp -q /root/sn1/server.pem /root/sn1/server.key /root/sn1/ca.pem sn1:/etc/statelite/ca/",
    )?;
    for end in ["pem", "key"] {
        book.run(&format!(
            "scp -q /etc/statelite/ca/issued/sn1.{end} sn1:/etc/statelite/node.{end}"
        ))?;
    }
    book.sn = Some(sn);
    Ok(())
}

fn sn(book: &Book) -> Result<&Host> {
    book.sn.as_ref().context("there is no service node")
}

/// `cd /; prsync install <sn>:/`, over ssh.
pub fn sync(book: &mut Book) -> Result<()> {
    book.run("cd / && prsync install sn1:/")?;
    let differs = book.run("rsync -aHni --delete /install/ sn1:/install/")?;
    ensure!(differs.is_empty(), "prsync left differences:\n{differs}");
    // A change below /install, and once more.
    book.run(&format!(
        "rm -f {IMAGE_DIR}/rootimg/etc/edited && echo again >{IMAGE_DIR}/rootimg/etc/again"
    ))?;
    book.run("cd / && prsync --delete install sn1:/")?;
    sn(book)?
        .cmd(&format!(
            "test -f {IMAGE_DIR}/rootimg/etc/again && test ! -e {IMAGE_DIR}/rootimg/etc/edited"
        ))
        .check()?;
    Ok(())
}

/// `nodeset`, the boot files brought to the service node, and its server started.
pub fn boot_state(book: &mut Book) -> Result<()> {
    book.run("nodeset n02 statelite")?;
    let config = book.run("cat /tftpboot/pxelinux.cfg/n02")?;
    let words = format!("NFSROOT={SN}:{IMAGE_DIR} STATEMNT={CNFS}:/gpfs/state XCAT={SN}:3001 ");
    ensure!(config.contains(&words), "no {words:?} in {config}");
    boot::firmware(&book.mn)?;
    book.run("cd / && prsync tftpboot sn1:/")?;
    book.prints(
        "statelite servicenodes sn1 | head -n 1",
        "sn1: serves n02\n",
    )?;
    let sn = sn(book)?;
    sn.cmd(&format!("statelite pull --from https://{MASTER}:3443"))
        .check()?;
    let log = book.logs.join("serve-sn1.log");
    let server = sn.daemon(
        "exec statelite serve --snapshot /var/lib/statelite/snapshot.json",
        &log,
    )?;
    book::listens(book, server, SN, &log)
}

/// The node of the other room, which meets the service node alone.
pub fn node(book: &mut Book) -> Result<()> {
    let tftp = sn(book)?.disk("/tftpboot");
    let mut node = boot::power_on(book, 2, tftp, "n02-links")?;
    boot::has_links(&mut node)?;
    boot::is_the_node(&mut node, "shanghai-11foo", "of n02, at the service node")?;
    health::checks(
        &mut node,
        &[
            ("cat /etc/again", "again"),
            ("findmnt -no SOURCE /", &format!("{SN}:{IMAGE_DIR}/rootimg")),
            ("ls /var/lib/kept", ""),
        ],
    )?;
    health::power_off(&mut node)?;
    Ok(())
}
