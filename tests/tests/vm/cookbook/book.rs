//! The machines of the site, and section 2's beginning: a management node that is set up and running.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use statelite_mgmt::cli::LINKS;
use statelite_tests::vm::cage::Cage;
use statelite_tests::vm::host::Host;
use statelite_tests::vm::nfs::NfsServer;
use statelite_tests::vm::{self, image, initramfs};
use statelite_tests::{paths, scratch};

/// Where nodes find the management node.
pub const MASTER: &str = "10.77.1.1";
/// The address of the management node's NFS server, which is a host of its own here.
pub const NFS: &str = "10.77.0.2";
/// The server of persistent state: the cookbook's `cnfs`.
pub const CNFS: &str = "10.77.0.3";
/// The service node.
pub const SN: &str = "10.77.0.4";
/// As whom a server other than the management node sees a node.
const OUTSIDE: &str = "10.77.0.1";

/// The image's directory.
pub const IMAGE_DIR: &str = "/install/netboot/debian12/x86_64/compute";
/// The image's name.
pub const IMAGE: &str = "debian12-x86_64-statelite-compute";

/// Everything that runs, in the order in which it ends.
#[derive(Debug)]
pub struct Book {
    /// Held from the first boot on.
    pub turn: Option<vm::Turn>,
    /// Where consoles are kept.
    pub logs: PathBuf,
    /// The management node.
    pub mn: Host,
    /// The service node.
    pub sn: Option<Host>,
    /// NFS servers.
    pub nfs: Vec<NfsServer>,
    /// The network.
    pub cage: Arc<Cage>,
    /// All files.
    pub dir: tempfile::TempDir,
}

impl Book {
    /// A clean machine, not more.
    pub fn open() -> Result<Self> {
        vm::packages::install()?;
        let dir = scratch::directory()?;
        let logs = paths::target_dir()?.join("vm-logs/cookbook");
        fs::create_dir_all(&logs)?;
        let disk = ["/install", "/tftpboot", "/syncdirs", "/statelite"];
        let mn = Host::start("mn", &dir.path().join("mn"), &disk)?;
        let cage = Arc::new(Cage::new()?);
        cage.add_address(MASTER)?;
        Ok(Self {
            turn: None,
            logs,
            mn,
            sn: None,
            nfs: Vec::new(),
            cage,
            dir,
        })
    }

    /// Types a command on the management node; it has to succeed. Returns what it printed on standard output.
    pub fn run(&self, text: &str) -> Result<String> {
        Ok(self.mn.cmd(text).check()?.stdout)
    }

    /// The same, and requires this output.
    pub fn prints(&self, text: &str, wanted: &str) -> Result<()> {
        let said = self.run(text)?;
        ensure!(
            said == wanted,
            "{text}\nprinted\n{said}and should have printed\n{wanted}"
        );
        Ok(())
    }

    /// Types a command that has to fail, with these words.
    pub fn refused(&self, text: &str, words: &str) -> Result<()> {
        let outcome = self.mn.cmd(text).run()?;
        ensure!(
            !outcome.success() && outcome.stderr.contains(words),
            "{text}: no \"{words}\" in {outcome}"
        );
        Ok(())
    }

    /// Edits a table with `tabedit`, the editor putting this text in the place of what was there.
    pub fn tabedit(&self, table: &str, text: &str) -> Result<()> {
        self.mn.write(&format!("/root/{table}.csv"), text)?;
        self.run(&format!("EDITOR='cp /root/{table}.csv' tabedit {table}"))?;
        Ok(())
    }
}

/// Puts the software onto a machine, as a package of it would.
pub fn install(host: &Host) -> Result<()> {
    let bin = host.inside("/usr/bin");
    for (from, name) in [
        (paths::statelite()?, "statelite"),
        (initramfs::static_binary()?, "statelitefs"),
    ] {
        fs::copy(&from, bin.join(name)).with_context(|| from.display().to_string())?;
        fs::set_permissions(bin.join(name), Permissions::from_mode(0o755))?;
    }
    for name in LINKS {
        symlink("statelite", bin.join(name))?;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("");
    let share = host.inside("/usr/share/statelite");
    fs::create_dir_all(&share)?;
    for part in ["mgmt/share/netboot", "fs/initramfs-tools", "fs/dracut"] {
        statelite_tests::cmd::Cmd::new("cp")
            .args(["-a", "--no-preserve=ownership"])
            .args([&source.join(part), &share])
            .check()?;
    }
    Ok(())
}

/// "The xCAT management node must be set up, and the nodes' hardware control, resource, and type attributes must be
/// defined."
pub fn management_node(book: &mut Book) -> Result<()> {
    let mn = &mut book.mn;
    mn.online(
        "apt-get -q update && apt-get -q install -y --no-install-recommends mmdebstrap rsync",
    )
    .check()?;
    install(mn)?;
    mn.write(
        "/etc/hosts",
        &format!("127.0.0.1 localhost\n{MASTER} mn\n{SN} sn1\n"),
    )?;
    mn.plug_in(book.cage.network());
    // A key of root, which add_ssh gives to the image.
    let key = image::ssh_key()?;
    for (from, to) in [
        (key.clone(), "id_ed25519"),
        (key.with_extension("pub"), "id_ed25519.pub"),
    ] {
        mn.write(&format!("/root/.ssh/{to}"), &fs::read_to_string(from)?)?;
    }
    book.run("chmod 700 /root/.ssh && chmod 600 /root/.ssh/id_ed25519")?;
    book.run("mkdir -p /etc/statelite/hostkeys && ssh-keygen -q -t ed25519 -N '' -f /etc/statelite/hostkeys/ssh_host_ed25519_key")?;

    book.run(&format!("chtab key=master site.value={MASTER}"))?;
    book.run(&format!(
        "nodeadd n01-n02 groups=japan,compute,all nodetype.os=debian12 nodetype.arch=x86_64 nodetype.profile=compute \
         nodehm.serialport=0 nodehm.serialspeed=115200 noderes.netboot=pxe noderes.xcatmaster={MASTER} noderes.nfsserver={NFS}"
    ))?;
    for (number, room, other) in [
        (1, "newyork-590Madison", MASTER),
        (2, "shanghai-11foo", OUTSIDE),
    ] {
        book.run(&format!(
            "nodech n0{number} mac.mac=52:54:00:12:34:0{number} hosts.ip=10.0.{}.15 \
             hosts.otherinterfaces=-boot:{other} nodepos.room={room}",
            number + 1
        ))?;
    }
    book.prints(
        "nodels compute nodepos.room",
        "n01: newyork-590Madison\nn02: shanghai-11foo\n",
    )?;
    let log = book.logs.join("serve.log");
    let server = book.mn.daemon("exec statelite serve", &log)?;
    listens(book, server, MASTER, &log)
}

/// Waits until `statelite serve` answers at an address.
pub fn listens(book: &Book, mut server: Child, address: &str, log: &Path) -> Result<()> {
    let dial = format!("exec 3<>/dev/tcp/{address}/3001");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !book.cage.cmd("bash").args(["-c", &dial]).run()?.success() {
        if server.try_wait()?.is_some() || Instant::now() > deadline {
            bail!(
                "it does not serve: {}",
                fs::read_to_string(log).unwrap_or_default()
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
