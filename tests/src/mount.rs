//! A `statelitefs` mount as a value: started from a description, unmounted on drop whatever happened meanwhile.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::mount::{UnmountFlags, unmount};

use crate::cmd::Cmd;
use crate::{mountinfo, paths};

/// How long `statelitefs mount` may take until the mount is ready.
const START: Duration = Duration::from_secs(60);
/// How long `statelitefs umount` may take before the mount is aborted.
const STOP: Duration = Duration::from_secs(20);
/// Where the kernel offers the abort switch of each FUSE connection.
const CONNECTIONS: &str = "/sys/fs/fuse/connections";

/// Whether file data may go past the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Passthrough {
    /// Where the kernel and the placement allow it.
    Auto,
    /// Never.
    Off,
}

/// The tables of a management node, for a mount that resolves its own policy.
#[derive(Debug, Clone)]
pub struct Tables {
    /// Directory with `litefile.csv`, `litetree.csv` and `statelite.csv`.
    pub dir: PathBuf,
    /// The node whose view is mounted.
    pub node: String,
    /// The name by which table rows know the image.
    pub image_name: String,
}

/// What to mount. Fields left at their default are not put on the command line.
#[derive(Debug, Clone)]
pub struct MountSpec {
    /// Root of the image.
    pub image: PathBuf,
    /// Litetree layers, first wins.
    pub trees: Vec<PathBuf>,
    /// Store of volatile data.
    pub volatile: Option<PathBuf>,
    /// Store of persistent data.
    pub persistent: Option<PathBuf>,
    /// Store of local data.
    pub local: Option<PathBuf>,
    /// What shows at `/.statelite`.
    pub views: Option<PathBuf>,
    /// Pairs of path and option.
    pub rules: Vec<(String, String)>,
    /// Rules that nobody has to list.
    pub implied: Option<String>,
    /// Rules and trees from tables.
    pub tables: Option<Tables>,
    /// File capabilities of the image.
    pub capabilities: Option<PathBuf>,
    /// Whether file data may go past the daemon.
    pub passthrough: Option<Passthrough>,
    /// Threads of the daemon.
    pub threads: Option<usize>,
    /// Files of layers on a server to keep open.
    pub kept_files: Option<usize>,
    /// `live` or `published`.
    pub freshness: Option<String>,
    /// After this long the watchdog aborts the connection.
    pub lifetime: Duration,
}

impl MountSpec {
    /// An image without any rule; ten minutes to live.
    pub fn new(image: impl Into<PathBuf>) -> Self {
        Self {
            image: image.into(),
            trees: Vec::new(),
            volatile: None,
            persistent: None,
            local: None,
            views: None,
            rules: Vec::new(),
            implied: None,
            tables: None,
            capabilities: None,
            passthrough: None,
            threads: None,
            kept_files: None,
            freshness: None,
            lifetime: Duration::from_secs(600),
        }
    }

    /// Adds a rule.
    #[must_use]
    pub fn rule(mut self, path: &str, option: &str) -> Self {
        self.rules.push((path.to_owned(), option.to_owned()));
        self
    }

    /// The command line after the program's name.
    fn args(&self, mountpoint: &Path) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec!["mount".into(), "--image".into(), (&self.image).into()];
        let mut option = |name: &str, value: OsString| args.extend([name.into(), value]);
        for tree in &self.trees {
            option("--tree", tree.into());
        }
        let stores = [
            ("--volatile", &self.volatile),
            ("--persistent", &self.persistent),
            ("--local", &self.local),
            ("--views", &self.views),
            ("--capabilities", &self.capabilities),
        ];
        for (name, store) in stores {
            if let Some(dir) = store {
                option(name, dir.into());
            }
        }
        for (path, placement) in &self.rules {
            option("--rule", format!("{path}={placement}").into());
        }
        if let Some(implied) = &self.implied {
            option("--implied", implied.into());
        }
        if let Some(tables) = &self.tables {
            option("--tables", (&tables.dir).into());
            option("--node", (&tables.node).into());
            option("--image-name", (&tables.image_name).into());
        }
        if let Some(passthrough) = self.passthrough {
            let word = match passthrough {
                Passthrough::Auto => "auto",
                Passthrough::Off => "off",
            };
            option("--passthrough", word.into());
        }
        if let Some(threads) = self.threads {
            option("--threads", threads.to_string().into());
        }
        if let Some(most) = self.kept_files {
            option("--kept-files", most.to_string().into());
        }
        if let Some(freshness) = &self.freshness {
            option("--freshness", freshness.into());
        }
        args.push(mountpoint.into());
        args
    }
}

/// A running mount.
#[derive(Debug)]
pub struct Mount {
    mountpoint: PathBuf,
    minor: u32,
    /// Dropping it ends the watchdog.
    _watchdog: Sender<()>,
}

impl Mount {
    /// Creates the mountpoint and mounts.
    pub fn start(spec: &MountSpec, mountpoint: &Path) -> Result<Self> {
        let program = paths::statelitefs()?;
        std::fs::create_dir_all(mountpoint)
            .with_context(|| format!("mountpoint {}", mountpoint.display()))?;
        let mountpoint = mountpoint.canonicalize()?;
        let outcome = Cmd::new(&program)
            .args(spec.args(&mountpoint))
            .limit(START)
            .run()?;
        let entry = mountinfo::at(&mountpoint)?;
        if !outcome.success() {
            if entry.is_some() {
                detach(&mountpoint);
            }
            bail!("{outcome}");
        }
        let Some(entry) = entry else {
            bail!(
                "{}: returned success, but {} is not a mountpoint",
                outcome.line,
                mountpoint.display()
            );
        };
        let watchdog = watch(entry.minor, spec.lifetime, mountpoint.clone());
        Ok(Self {
            mountpoint,
            minor: entry.minor,
            _watchdog: watchdog,
        })
    }

    /// The root of the merged tree.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.mountpoint
    }

    /// Lets every blocked and every later call on the mount fail.
    pub fn abort(&self) {
        abort(self.minor);
    }

    fn stop(&self) -> Result<()> {
        if let Ok(program) = paths::statelitefs() {
            let outcome = Cmd::new(program)
                .arg("umount")
                .arg(&self.mountpoint)
                .limit(STOP)
                .run()?;
            if !outcome.success() {
                eprintln!("{outcome}");
            }
        }
        if mountinfo::at(&self.mountpoint)?.is_some() {
            eprintln!(
                "aborting the connection of {}, which is still mounted",
                self.mountpoint.display()
            );
            self.abort();
            detach(&self.mountpoint);
        }
        Ok(())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("unmounting {}: {error:#}", self.mountpoint.display());
            self.abort();
            detach(&self.mountpoint);
        }
    }
}

/// Takes everything at or below a directory out of the tree, topmost first; what is busy goes away once it is free.
pub(crate) fn detach(dir: &Path) {
    let mounted = mountinfo::below(dir).unwrap_or_default();
    for mountpoint in mounted.iter().rev() {
        if let Err(error) = unmount(mountpoint, UnmountFlags::DETACH) {
            eprintln!("cannot unmount {}: {error}", mountpoint.display());
        }
    }
}

fn watch(minor: u32, lifetime: Duration, mountpoint: PathBuf) -> Sender<()> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        if receiver.recv_timeout(lifetime) == Err(RecvTimeoutError::Timeout) {
            eprintln!(
                "WATCHDOG: {} lived longer than {} s: aborted",
                mountpoint.display(),
                lifetime.as_secs()
            );
            abort(minor);
        }
    });
    sender
}

fn abort(minor: u32) {
    let switch = Path::new(CONNECTIONS).join(minor.to_string()).join("abort");
    if !switch.exists() {
        // Fails harmlessly where fusectl is mounted and the connection is gone.
        let _ = Cmd::new("mount")
            .args(["-t", "fusectl", "fusectl", CONNECTIONS])
            .run();
    }
    if let Err(error) = std::fs::write(&switch, "1") {
        eprintln!("cannot abort {}: {error}", switch.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(spec: &MountSpec) -> String {
        let args = spec.args(Path::new("/m"));
        args.iter()
            .map(|arg| arg.to_str().unwrap())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn a_bare_spec_says_only_the_image() {
        assert_eq!(line(&MountSpec::new("/img")), "mount --image /img /m");
    }

    #[test]
    fn a_full_spec_says_everything_in_order() {
        let mut spec = MountSpec::new("/img")
            .rule("/vol/", "tmpfs")
            .rule("/per/", "persistent");
        spec.trees = vec!["/t1".into(), "/t2".into()];
        spec.volatile = Some("/v".into());
        spec.persistent = Some("/p".into());
        spec.local = Some("/l".into());
        spec.passthrough = Some(Passthrough::Off);
        spec.threads = Some(4);
        spec.freshness = Some("live".to_owned());
        let expected = "mount --image /img --tree /t1 --tree /t2 --volatile /v --persistent /p --local /l \
            --rule /vol/=tmpfs --rule /per/=persistent --passthrough off --threads 4 --freshness live /m";
        assert_eq!(line(&spec), expected);
    }
}
