//! Sections 2.12 to 2.14: boot files, and nodes that start with them.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use statelite_tests::vm::host::Host;
use statelite_tests::vm::nfs::NfsServer;
use statelite_tests::vm::node::{BOOT, Node};
use statelite_tests::vm::qemu::{Lease, Machine, Start};
use statelite_tests::vm::turn;

use super::book::{Book, CNFS, IMAGE, IMAGE_DIR, MASTER, NFS};
use super::exports;
use crate::health;

/// Starts the NFS servers with what `statelite exports` says.
fn nfs_servers(book: &mut Book) -> Result<()> {
    let gpfs = book.dir.path().join("gpfs");
    for (host, address) in [("images", NFS), ("cnfs", CNFS)] {
        let text = book.run(&format!(
            "statelite exports -a --ganesha --server {address}"
        ))?;
        let place = |path: &str| match path.strip_prefix("/gpfs/") {
            Some(rest) => gpfs.join(rest),
            None => book.mn.disk(path),
        };
        let exports = exports::parse(&text, place)?;
        let dir = book.dir.path().join(host);
        let server = NfsServer::start(&book.cage, (host, address), &dir, &exports)?;
        book.nfs.push(server);
    }
    Ok(())
}

/// What pxelinux itself needs, which xCAT brings along.
pub fn firmware(host: &Host) -> Result<()> {
    for from in [
        "/usr/lib/PXELINUX/pxelinux.0",
        "/usr/lib/syslinux/modules/bios/ldlinux.c32",
    ] {
        let name = Path::new(from).file_name().unwrap_or_default();
        fs::copy(from, host.disk("/tftpboot").join(name)).with_context(|| from.to_owned())?;
    }
    Ok(())
}

/// `rpower NODE boot`: the node's firmware asks the network. The console is kept under the name `console`.
pub fn power_on(book: &mut Book, number: u8, tftp: PathBuf, console: &str) -> Result<Node> {
    if book.turn.is_none() {
        book.turn = Some(turn()?);
    }
    let name = format!("n{number:02}");
    let machine = Machine {
        number,
        start: Start::Pxe {
            tftp,
            file: "pxelinux.0".to_owned(),
        },
        memory: 1024,
        disk: None,
        forward: Vec::new(),
        lease: Some(Lease {
            name: name.clone(),
            address: Ipv4Addr::new(10, 0, 1 + number, 15),
        }),
    };
    let dir = book.dir.path().join(console);
    let start = Instant::now();
    let mut node = Node::switch_on(&book.cage, &name, machine, &dir)?;
    let kept = book.logs.join(format!("{console}.console"));
    let _ = fs::remove_file(&kept);
    fs::hard_link(node.console().path(), &kept)
        .or_else(|_| std::os::unix::fs::symlink(node.console().path(), &kept))?;
    node.wait_shell(BOOT)?;
    let shell = start.elapsed().as_secs_f64();
    node.wait_running()?;
    let running = start.elapsed().as_secs_f64();
    eprintln!("    {console}: its shell answered after {shell:.0} s, it ran after {running:.0} s");
    Ok(node)
}

/// In FUSE mode the image is as genimage left it.
pub fn fuse(book: &mut Book) -> Result<()> {
    nfs_servers(book)?;
    firmware(&book.mn)?;
    book.run(&format!("nodeset n01 osimage={IMAGE}"))?;
    book.prints(
        "cat /tftpboot/pxelinux.cfg/n01",
        &format!(
            "#statelite debian12-x86_64-compute\nDEFAULT xCAT\nLABEL xCAT\n KERNEL xcat/osimage/{IMAGE}/kernel\n \
             APPEND initrd=xcat/osimage/{IMAGE}/initrd-statelite.gz root=nfs:{NFS}:{IMAGE_DIR}/rootimg:ro \
             STATEMNT={CNFS}:/gpfs/state XCAT={MASTER}:3001 NODE=n01 XCATHTTPPORT=80 netdev=eth0  console=tty0 \
             console=ttyS0,115200 MNTOPTS= net.ifnames=0 systemd.getty_auto=no panic=-1 \n  IPAPPEND 2\n"
        ),
    )?;
    let mut node = power_on(book, 1, book.mn.disk("/tftpboot"), "n01-fuse")?;
    health::works_as_a_machine(&mut node)?;
    health::is_ours(&mut node)?;
    is_the_node(&mut node, "newyork-590Madison", "of n01")?;
    no_doubt_of_the_server(&mut node)?;
    node.check("echo fuse >/var/lib/kept/mode && echo changed >>/etc/kept.conf && echo gone >/var/tmp/gone")?;
    let kept = book.dir.path().join("gpfs/state/n01/etc/kept.conf");
    ensure!(
        fs::read_to_string(kept)? == "of n01\nchanged\n",
        "what was written is not on the server"
    );
    // 2.10: an edit of the image shows at once.
    book.run(&format!("echo edited >{IMAGE_DIR}/rootimg/etc/edited"))?;
    let shows =
        "for i in $(seq 100); do [ -e /etc/edited ] && break; sleep .2; done; cat /etc/edited";
    health::checks(&mut node, &[(shows, "edited")])?;
    health::power_off(&mut node)?;
    Ok(())
}

/// It is the node that the tables describe: its name, its kernel, its file of the tree, what 2.7 and 2.10 put in.
pub fn is_the_node(node: &mut Node, room: &str, kept: &str) -> Result<()> {
    let (name, motd) = (node.name().to_owned(), format!("this is {room}"));
    health::checks(
        node,
        &[
            ("hostname", &name),
            ("uname -r", "~6.12."),
            ("cat /etc/motd", &motd),
            ("head -n 1 /etc/kept.conf", kept),
            ("id -un sitedaemon", "sitedaemon"),
            ("dpkg-query -W -f '${Version}' site-tools", "1.0"),
        ],
    )
}

/// Its certificate was checked and was good; nothing saved was needed.
fn no_doubt_of_the_server(node: &mut Node) -> Result<()> {
    health::checks(
        node,
        &[(
            "dmesg | grep statelitefs | grep -ciE 'verif|certificate|saved policy'",
            "0",
        )],
    )
}

/// "This creates 2 levels of indirection."
pub fn liteimg(book: &mut Book) -> Result<()> {
    for (key, value) in [("statelitedialect", "2010"), ("statelitemode", "links")] {
        book.run(&format!("chtab key={key} site.value={value}"))?;
    }
    book.run("liteimg debian12-x86_64-compute")?;
    book.run("liteimg -o debian12 -a x86_64 -p compute --check")?;
    // 2.1 again: this NFS server knows names of directories from before, which a server in the kernel would forget.
    for server in &mut book.nfs {
        server.up()?;
    }
    let root = format!("{IMAGE_DIR}/rootimg");
    for (link, to) in [
        ("etc/ntp.conf", "../.statelite/tmpfs/etc/ntp.conf"),
        (
            ".statelite/tmpfs/etc/ntp.conf",
            "../../../.default/etc/ntp.conf",
        ),
    ] {
        book.prints(&format!("readlink {root}/{link}"), &format!("{to}\n"))?;
    }
    book.prints(&format!("cat {root}/etc/kept.conf"), "from the image\n")
}

/// "Or just run nodeset NODERANGE statelite."
pub fn links(book: &mut Book) -> Result<()> {
    book.run("nodeset n01 statelite=debian12-x86_64-compute")?;
    let config = book.run("cat /tftpboot/pxelinux.cfg/n01")?;
    book.run("nodeset n01 statelite")?;
    book.prints("cat /tftpboot/pxelinux.cfg/n01", &config)?;
    book.prints(
        "cat /tftpboot/pxelinux.cfg/n01",
        &format!(
            "#statelite debian12-x86_64-compute\nDEFAULT xCAT\nLABEL xCAT\n KERNEL xcat/netboot/debian12/x86_64/compute/kernel\n \
             APPEND initrd=xcat/netboot/debian12/x86_64/compute/initrd.gz NFSROOT={NFS}:{IMAGE_DIR} \
             STATEMNT={CNFS}:/gpfs/state XCAT={MASTER}:3001 console=tty0 console=ttyS0,115200 statelite.mode=links \
             statelite.dialect=2010 net.ifnames=0 systemd.getty_auto=no panic=-1\n"
        ),
    )?;
    let mut node = power_on(book, 1, book.mn.disk("/tftpboot"), "n01-links")?;
    has_links(&mut node)?;
    is_the_node(&mut node, "newyork-590Madison", "of n01")?;
    no_doubt_of_the_server(&mut node)?;
    health::checks(
        &mut node,
        &[
            // Kept over the reboot, and over the change of the mode.
            ("cat /var/lib/kept/mode", "fuse"),
            ("cat /etc/kept.conf", "of n01\nchanged"),
            ("ls /var/tmp/gone 2>&1", "~No such file"),
        ],
    )?;
    node.check("echo links >/var/lib/kept/mode")?;
    let kept = book.dir.path().join("gpfs/state/n01/var/lib/kept/mode");
    ensure!(
        fs::read_to_string(kept)? == "links\n",
        "what was written is not on the server"
    );
    health::power_off(&mut node)?;
    Ok(())
}

/// What is so in link mode: section 4 of the cookbook.
pub fn has_links(node: &mut Node) -> Result<()> {
    health::works_as_a_machine(node)?;
    health::checks(
        node,
        &[
            ("findmnt -no FSTYPE /", "~nfs"),
            ("findmnt -no FSTYPE /.statelite", "tmpfs"),
            ("readlink /etc/adjtime", "../.statelite/tmpfs/etc/adjtime"),
            ("readlink -f /etc/adjtime", "/.statelite/tmpfs/etc/adjtime"),
            (
                "readlink -f /var/lib/kept | grep -c ^/.statelite/persistent/n0",
                "1",
            ),
            ("grep -c 'ln -sf' /.statelite/statelite.log", "~"),
            ("touch /usr/bin/new 2>&1", "~Read-only file system"),
        ],
    )
}
