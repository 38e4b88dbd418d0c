//! Link mode: mounts as xCAT's initramfs makes them, then [`super::links`].

use super::cmdline::{CommandLine, PolicyFrom};
use super::gather::{Gather, node_name};
use super::links::place::{Places, persistent_dir, tree_dir};
use super::links::{Hands, Script, finish};
use super::mounts::{self, Mounter};
use super::net::{Network, resolve::Resolver};
use super::{start, views};
use anyhow::{Context as _, bail};
use rustix::mount::{MountFlags, mount_bind, mount_remount};
use statelite_policy::{Dialect, Source};
use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Makes the root of a node in link mode at `newroot`.
///
/// # Errors
/// Everything that keeps the node from having its root.
pub fn root(line: &CommandLine, network: &Network, newroot: &Path) -> anyhow::Result<()> {
    if matches!(line.policy, PolicyFrom::Tables(_)) {
        bail!("statelite.mode=links asks a server: statelite.policy=file:DIR does not go with it");
    }
    let gather = Gather {
        line,
        mounter: Mounter::new(Resolver::new(network))?,
        ca: std::fs::read(Path::new("/").join(crate::initramfs::CA)).ok(),
    };
    gather.image(newroot)?;
    let statelite = newroot.join(".statelite");
    if !statelite.is_dir() {
        bail!(
            "the image has no /.statelite: statelite.mode=links needs an image that liteimg has prepared"
        );
    }
    start::pause(line.shell, "before the stores are mounted");
    mounts::tmpfs(&statelite, line.volatile_size.as_deref())?;
    let mode = std::fs::Permissions::from_mode(tmpfs_mode(line.dialect));
    std::fs::set_permissions(&statelite, mode).context("/.statelite")?;
    for dir in ["tmpfs", "persistent", "mnt"] {
        std::fs::create_dir(statelite.join(dir))?;
    }
    let Some(node) = node_name(line, network) else {
        bail!("this node's name is not known: NODE=NAME is missing on the kernel command line");
    };
    let persistent = persistent_dir(&node, line.dialect);
    let store = newroot.join(persistent.trim_start_matches('/'));
    let has_store = match line.dialect {
        Dialect::Current => gather.persistent(&node, &store)?,
        Dialect::Seed2010 => gather.all_stores(&statelite.join("persistent"))?,
    };
    if has_store {
        // In 2010 the first persistent entry made it; the policy is kept in it.
        std::fs::create_dir_all(&store).context("the node's directory in the store")?;
    }
    start::pause(line.shell, "after the stores are mounted");
    let lines = gather.lines(Some(&node), has_store.then_some(store.as_path()))?;
    views::write_lines(&statelite, &lines)?;
    let parse = |line: &String| line.parse().with_context(|| line.clone());
    let sources: Vec<Source> = lines
        .litetree
        .iter()
        .map(parse)
        .collect::<anyhow::Result<_>>()?;
    let below = |dir: String| newroot.join(dir.trim_start_matches('/'));
    gather.trees(&sources, |source| below(tree_dir(source, line.dialect)));
    let places = Places {
        root: newroot.to_string_lossy().trim_end_matches('/').to_owned(),
        trees: sources.iter().map(|s| tree_dir(s, line.dialect)).collect(),
        persistent,
    };
    finish::before(Path::new("/"), &places, line.dialect, &mut Mounts);
    let mut log = File::create(statelite.join("statelite.log")).context("statelite.log")?;
    let mut script = Script {
        places: &places,
        hands: &mut Mounts,
        log: &mut log,
    };
    let entries: Vec<(String, String)> = lines.litefile.iter().map(|line| entry(line)).collect();
    script.run(&entries, line.dialect);
    finish::after(Path::new("/"), &places, line.dialect, &mut Mounts);
    rustix::process::chdir("/").context("/")
}

/// Mode of the tmpfs. In 2010 that of genimage's `--permission`, of which a node is not told; today the kernel's own.
fn tmpfs_mode(dialect: Dialect) -> u32 {
    match dialect {
        Dialect::Current => 0o1777,
        Dialect::Seed2010 => 0o755,
    }
}

/// Option and path of a line.
fn entry(line: &str) -> (String, String) {
    match line.split_once(char::is_whitespace) {
        Some((option, path)) => (option.to_owned(), path.trim().to_owned()),
        None => (String::new(), line.to_owned()),
    }
}

/// Does what the script asks for.
#[derive(Debug)]
struct Mounts;

impl Hands for Mounts {
    fn bind(&mut self, source: &Path, target: &Path, read_only: bool) -> std::io::Result<()> {
        mount_bind(source, target)?;
        if read_only {
            mount_remount(target, MountFlags::BIND | MountFlags::RDONLY, c"")?;
        }
        Ok(())
    }

    fn say(&mut self, message: &str) {
        tracing::warn!("{message}");
    }
}
