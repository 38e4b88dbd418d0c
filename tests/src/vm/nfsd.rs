//! The NFS server of the kernel, as clusters have it, in a virtual machine of its own: versions 3, 4.1 and 4.2.
//!
//! It has no system, only an initramfs with the kernel's modules, `rpcbind`, `rpc.nfsd`, `rpc.mountd` and `exportfs`. What it
//! gives away is a copy of a directory, made into an ext4 file system when it starts: later edits do not reach it.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use super::cage::Cage;
use super::initramfs;
use super::kernel::Kernel;
use super::qemu::{Machine, Qemu, Start};
use super::{lock, packages, state_dir};
use crate::cmd::Cmd;

const INIT: &str = include_str!("initramfs/nfsd-init");
const PACKAGE: &str = "nfs-kernel-server";
const MODULES: [&str; 5] = [
    "virtio_pci",
    "virtio_net",
    "virtio_rng",
    "virtio_blk",
    "nfsd",
];
/// Port mapper, NFS, mount protocol.
const PORTS: [u16; 3] = [111, 2049, 20048];
/// Emulated, on a busy machine.
const START: Duration = Duration::from_secs(90);

/// A running one. Dropping it ends it.
#[derive(Debug)]
pub struct Nfsd {
    qemu: Qemu,
}

impl Nfsd {
    /// Starts one at a new address of the cage. It gives `image` away, read-only, as `/rootimg`; `dir` is
    /// made for its files.
    ///
    /// # Errors
    /// When it does not come up, with the end of its console.
    pub fn start(cage: &Arc<Cage>, address: Ipv4Addr, image: &Path, dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        cage.add_address(&address.to_string())?;
        let disk = disk(image, dir)?;
        let kernel = Kernel::V6_12.files()?;
        let initrd = dir.join("initrd");
        initramfs::pack(&kernel, &MODULES, &tree(dir)?, &initrd)?;
        let machine = Machine {
            number: 200,
            start: Start::Direct {
                kernel: kernel.vmlinuz,
                initrd,
                cmdline: "console=ttyS0 panic=-1 quiet".to_owned(),
            },
            memory: 768,
            lease: None,
            disk: Some(disk),
            forward: PORTS.map(|port| (address, port)).to_vec(),
        };
        let mut qemu = Qemu::start(cage, &machine, dir)?;
        let console = qemu.console().clone();
        console
            .wait("nfsd-init: serving", START, || qemu.alive())
            .context("the NFS server of the kernel")?;
        Ok(Self { qemu })
    }

    /// Whether it runs.
    pub fn alive(&mut self) -> bool {
        self.qemu.alive()
    }
}

/// A file with an ext4 file system that holds a copy of the directory.
fn disk(image: &Path, dir: &Path) -> Result<PathBuf> {
    let disk = dir.join("disk");
    let used = Cmd::new("du").args(["-sxm"]).arg(image).check()?.stdout;
    let used: u64 = used
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .with_context(|| format!("du says {used}"))?;
    Cmd::new("mke2fs")
        .args([
            "-q",
            "-F",
            "-t",
            "ext4",
            "-O",
            "^has_journal",
            "-N",
            "65536",
            "-d",
        ])
        .args([image, &disk])
        .arg(format!("{}M", used * 5 / 4 + 128))
        .limit(Duration::from_secs(120))
        .check()?;
    Ok(disk)
}

/// The programs and the libraries they need, as a tree for the initramfs.
fn tree(dir: &Path) -> Result<PathBuf> {
    let (server, tree) = (unpacked()?, dir.join("tree"));
    fs::create_dir_all(tree.join("bin"))?;
    let mut programs = vec![PathBuf::from("/usr/sbin/rpcbind")];
    for name in ["rpc.nfsd", "rpc.mountd", "exportfs"] {
        programs.push(server.join("usr/sbin").join(name));
    }
    for program in &programs {
        let name = program.file_name().context("a program without a name")?;
        fs::copy(program, tree.join("bin").join(name))
            .with_context(|| program.display().to_string())?;
        let needs = Cmd::new("ldd").arg(program).check()?.stdout;
        for library in needs
            .split_whitespace()
            .filter(|word| word.starts_with('/'))
        {
            let to = tree.join(library.trim_start_matches('/'));
            fs::create_dir_all(to.parent().context("a library")?)?;
            fs::copy(library, to).with_context(|| library.to_owned())?;
        }
    }
    let init = tree.join("init");
    fs::write(&init, INIT)?;
    fs::set_permissions(init, fs::Permissions::from_mode(0o755))?;
    Ok(tree)
}

/// The package, unpacked and not installed: this machine is to serve nothing.
fn unpacked() -> Result<PathBuf> {
    let dir = state_dir().join(PACKAGE);
    let _alone = lock(PACKAGE)?;
    if !dir.exists() {
        let unfinished = dir.with_extension("unfinished");
        let _ = fs::remove_dir_all(&unfinished);
        fs::create_dir_all(&unfinished)?;
        let download = packages::apt()?.cmd("apt-get");
        let args = ["-q", "download", PACKAGE];
        download.args(args).dir(&unfinished).check()?;
        Cmd::new("sh")
            .args(["-c", "dpkg -x *.deb . && rm *.deb"])
            .dir(&unfinished)
            .check()?;
        fs::rename(&unfinished, &dir)?;
    }
    Ok(dir)
}
