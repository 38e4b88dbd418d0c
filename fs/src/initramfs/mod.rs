//! A bare initramfs: this program as `/init`, the kernel modules it needs, and nothing else.
//!
//! | module | question |
//! |---|---|
//! | [`archive`] | how files become a cpio archive |
//! | [`modules`] | which module files a name stands for, and in what order they are loaded |
//! | [`firmware`] | which firmware files go along with modules |
//! | [`unpack`] | how compressed modules are read |
//! | [`capabilities`] | which files of the image have capabilities |
//! | [`elf`] | whether a program runs without libraries |
//!
//! The kernel unpacks the archive into memory and starts `/init`, which is this program; see
//! [`crate::boot`] for what it then does. Two lists tell it which modules to load: [`LOAD`] names
//! files in their order, [`DRIVERS`] has lines of a device pattern and the files to load for it.

pub mod archive;
pub mod capabilities;
pub mod elf;
pub mod firmware;
pub mod modules;
pub mod unpack;

use anyhow::{Context as _, anyhow, bail};
use archive::Archive;
use modules::Tree;
use std::path::{Path, PathBuf};

/// Files loaded at every start, one a line, in this order.
pub const LOAD: &str = "etc/statelite/modules";
/// Files loaded when a device is there: `PATTERN FILE...`, in this order.
pub const DRIVERS: &str = "etc/statelite/drivers";
/// The certificate of the authority that signed the management server's.
pub const CA: &str = "etc/statelite/ca.pem";
/// File capabilities of the image, which NFS does not carry.
pub const CAPABILITIES: &str = "etc/statelite/capabilities";
/// Tables of a node that asks no server.
pub const TABLES: &str = "etc/statelite/tables";

/// Modules that every node needs, as far as the kernel has them as modules.
const WANTED: [&str; 6] = ["fuse", "nfs", "nfsv3", "nfsv4", "virtio_pci", "virtio-rng"];

/// Drivers of network cards, loaded when the card is there.
const CARDS: [&str; 19] = [
    "virtio_net",
    "e1000",
    "e1000e",
    "igb",
    "igc",
    "ixgbe",
    "i40e",
    "ice",
    "r8169",
    "tg3",
    "bnx2x",
    "bnxt_en",
    "mlx4_en",
    "mlx5_core",
    "be2net",
    "vmxnet3",
    "hv_netvsc",
    "ena",
    "gve",
];

/// Drivers of devices that another module brings, with that module: they are loaded together when its own device is
/// there. One that is told of devices only later (Hyper-V's bus) would else be looked through too early.
const BROUGHT: [(&str, &str); 2] = [("mlx4_en", "mlx4_core"), ("hv_netvsc", "hv_vmbus")];

/// Cards that do nothing without firmware from a file.
const WITH_FIRMWARE: [&str; 1] = ["bnx2x"];

/// What busybox is called as, for whoever ends up in its shell.
const APPLETS: [&str; 34] = [
    "sh", "ash", "cat", "cp", "chroot", "df", "dmesg", "echo", "env", "find", "free", "grep",
    "head", "id", "ip", "kill", "ln", "ls", "lsmod", "mkdir", "mount", "mv", "nslookup", "ping",
    "poweroff", "ps", "reboot", "rm", "sleep", "tail", "umount", "uname", "vi", "wget",
];

/// What goes into a bare initramfs.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// Directory of one kernel's modules (`/lib/modules/VERSION`); none for a kernel without.
    pub modules_dir: Option<PathBuf>,
    /// Further modules, by name or alias.
    pub modules: Vec<String>,
    /// Further files: from, and to where.
    pub files: Vec<(PathBuf, String)>,
    /// This program, linked statically.
    pub binary: PathBuf,
    /// A static busybox, for the shell.
    pub busybox: Option<PathBuf>,
    /// Certificate of the authority.
    pub ca: Option<PathBuf>,
    /// Directory with tables of a node that asks no server.
    pub tables: Option<PathBuf>,
    /// The image, for its file capabilities.
    pub image: Option<PathBuf>,
}

/// Puts the archive together.
///
/// # Errors
/// A file that cannot be read; a program that is not static; a module that is not there.
pub fn build(contents: &Contents) -> anyhow::Result<Archive> {
    let mut archive = Archive::default();
    for dir in ["proc", "sys", "dev", "run", "newroot", "etc/statelite"] {
        archive.directory(dir)?;
    }
    archive.device("dev/console", 0o600, 5, 1)?;
    archive.device("dev/null", 0o666, 1, 3)?;
    archive.file("init", 0o755, read_static(&contents.binary)?)?;
    if let Some(busybox) = &contents.busybox {
        archive.file("bin/busybox", 0o755, read_static(busybox)?)?;
        for applet in APPLETS {
            archive.symlink(&format!("bin/{applet}"), "busybox")?;
        }
    }
    if let Some(ca) = &contents.ca {
        archive.file(CA, 0o644, read(ca)?)?;
    }
    if let Some(dir) = &contents.tables {
        add_tables(&mut archive, dir)?;
    }
    if let Some(image) = &contents.image {
        archive.file(CAPABILITIES, 0o644, capabilities::list(image)?)?;
    }
    // Before the modules: a file that is given wins over firmware that is found.
    for (from, to) in &contents.files {
        archive.file(to.trim_start_matches('/'), mode_of(from)?, read(from)?)?;
    }
    if let Some(dir) = &contents.modules_dir {
        add_modules(&mut archive, dir, &contents.modules)?;
    } else if let Some(name) = contents.modules.first() {
        bail!("module {name}: no --modules-dir to take it from");
    }
    Ok(archive)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| path.display().to_string())
}

fn mode_of(path: &Path) -> anyhow::Result<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = path
        .metadata()
        .with_context(|| path.display().to_string())?;
    Ok(metadata.permissions().mode() & 0o7777)
}

fn read_static(path: &Path) -> anyhow::Result<Vec<u8>> {
    let program = read(path)?;
    match elf::interpreter(&program) {
        Ok(None) => {
            elf::without_sections(program).map_err(|why| anyhow!("{}: {why}", path.display()))
        }
        Ok(Some(loader)) => bail!(
            "{}: not linked statically (it needs {loader}), so it cannot run in an initramfs; build it with \
             RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target x86_64-unknown-linux-gnu",
            path.display()
        ),
        Err(why) => bail!("{}: {why}", path.display()),
    }
}

fn add_tables(archive: &mut Archive, dir: &Path) -> anyhow::Result<()> {
    let mut found = false;
    for name in ["litefile.csv", "litetree.csv", "statelite.csv"] {
        let path = dir.join(name);
        if path.exists() {
            archive.file(&format!("{TABLES}/{name}"), 0o644, read(&path)?)?;
            found = true;
        }
    }
    if !found {
        bail!("{}: no table (litefile.csv, ...) is there", dir.display());
    }
    Ok(())
}

fn add_modules(archive: &mut Archive, dir: &Path, more: &[String]) -> anyhow::Result<()> {
    let tree = Tree::read(dir)?;
    let firmware = firmware::Places::of(dir);
    let mut load = Vec::new();
    for name in WANTED {
        // One that the kernel does not have as a module is built in, or not needed there.
        load.extend(tree.resolve(name).unwrap_or_default());
    }
    for name in more {
        let files = tree.resolve(name)?;
        for file in &files {
            firmware.add(archive, &read_module(dir, file)?)?;
        }
        load.extend(files);
    }
    let mut drivers = String::new();
    for name in CARDS {
        let Ok(files) = tree.resolve(name) else {
            continue;
        };
        drivers.push_str(&driver(&tree, name, &files));
        for file in &files {
            add_module(archive, dir, file)?;
        }
        if let (true, Some(file)) = (WITH_FIRMWARE.contains(&name), files.last()) {
            firmware.add(archive, &read_module(dir, file)?)?;
        }
    }
    let mut list = String::new();
    let mut listed = std::collections::BTreeSet::new();
    for file in &load {
        add_module(archive, dir, file)?;
        if listed.insert(file) {
            list.push_str(&place(file));
            list.push('\n');
        }
    }
    archive.file(LOAD, 0o644, list.into_bytes())?;
    archive.file(DRIVERS, 0o644, drivers.into_bytes())
}

/// Lines of [`DRIVERS`] for the card's driver `name`.
fn driver(tree: &Tree, name: &str, files: &[String]) -> String {
    let files: Vec<String> = files.iter().map(|file| place(file)).collect();
    let bringer = BROUGHT
        .iter()
        .find(|(brought, _)| *brought == name)
        .map(|(_, bringer)| tree.patterns(bringer));
    tree.patterns(name)
        .chain(bringer.into_iter().flatten())
        .map(|pattern| format!("{pattern} {}\n", files.join(" ")))
        .collect()
}

/// Where the archive has a module, unpacked.
fn place(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    format!("lib/modules/{}", unpack::plain_name(name))
}

fn add_module(archive: &mut Archive, dir: &Path, file: &str) -> anyhow::Result<()> {
    let to = place(file);
    if archive.has(&to) {
        return Ok(());
    }
    archive.file(&to, 0o644, read_module(dir, file)?)
}

/// A module, unpacked.
fn read_module(dir: &Path, file: &str) -> anyhow::Result<Vec<u8>> {
    let path = dir.join(file);
    unpack::unpack(file, read(&path)?)
        .with_context(|| format!("{}: cannot be unpacked", path.display()))
}

#[cfg(test)]
mod tests;
