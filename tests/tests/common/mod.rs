//! What the end-to-end tests have in common: a set of layers with a mount over them, and small helpers.

#![allow(dead_code, unreachable_pub)]

pub mod json;
pub mod layers;
pub mod mapped;
pub mod ops;
pub mod snapshot;
pub mod tree;
pub mod user;

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::io::Errno;
use statelite_tests::cmd::{Cmd, Outcome};
use statelite_tests::mount::{Mount, MountSpec, Passthrough};
use statelite_tests::scratch::{self, Store};
use statelite_tests::{paths, root_or_skip};

/// Layers, stores and a mount over them.
pub struct World {
    // Dropped in this order: the mount before what it stands on.
    mount: Option<Mount>,
    pub spec: MountSpec,
    _base: Option<Store>,
    dir: PathBuf,
    _scratch: tempfile::TempDir,
}

/// Where the layers and stores are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// A tmpfs.
    Tmpfs,
    /// The scratch disk.
    Disk,
    /// An ext4 of their own.
    Ext4,
}

impl World {
    /// Layers on a tmpfs, not mounted yet; none without root.
    pub fn new(test: &str) -> Result<Option<Self>> {
        Self::on(test, On::Tmpfs)
    }

    /// Layers on the given kind of file system, not mounted yet; none without root.
    pub fn on(test: &str, on: On) -> Result<Option<Self>> {
        if !root_or_skip(test) {
            return Ok(None);
        }
        // Modes in these tests are meant as they are written.
        rustix::process::umask(rustix::fs::Mode::empty());
        let scratch = scratch::directory()?;
        let place = scratch.path().join("w");
        let base = match on {
            On::Tmpfs => Some(Store::tmpfs(&place)?),
            On::Ext4 => Some(Store::ext4(&place)?),
            On::Disk => None,
        };
        fs::create_dir_all(&place)?;
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755))?;
        for name in ["image", "t1", "t2", "vol", "per", "loc", "m"] {
            fs::create_dir(place.join(name))?;
            fs::set_permissions(place.join(name), fs::Permissions::from_mode(0o755))?;
        }
        let mut spec = MountSpec::new(place.join("image"));
        spec.volatile = Some(place.join("vol"));
        spec.persistent = Some(place.join("per"));
        spec.local = Some(place.join("loc"));
        spec.lifetime = Duration::from_secs(180);
        Ok(Some(Self {
            mount: None,
            spec,
            _base: base,
            dir: place,
            _scratch: scratch,
        }))
    }

    /// Adds a rule.
    #[must_use]
    pub fn rule(mut self, path: &str, option: &str) -> Self {
        self.spec.rules.push((path.to_owned(), option.to_owned()));
        self
    }

    /// Adds both trees.
    #[must_use]
    pub fn trees(mut self) -> Self {
        self.spec.trees = vec![self.at("t1"), self.at("t2")];
        self
    }

    #[must_use]
    pub fn passthrough(mut self, mode: Passthrough) -> Self {
        self.spec.passthrough = Some(mode);
        self
    }

    #[must_use]
    pub fn freshness(mut self, word: &str) -> Self {
        self.spec.freshness = Some(word.to_owned());
        self
    }

    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.spec.threads = Some(threads);
        self
    }

    /// A path beside the layers: `image/etc/x`, `t1/..`, `vol/..`, `per/..`, `m/..`.
    pub fn at(&self, path: &str) -> PathBuf {
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        let dir = self.dir.join(first);
        if rest.is_empty() { dir } else { dir.join(rest) }
    }

    /// A path in the mount.
    pub fn m(&self, path: &str) -> PathBuf {
        self.dir.join("m").join(path.trim_start_matches('/'))
    }

    /// Writes a file in a layer, with its directories.
    pub fn put(&self, path: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let file = self.at(path);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&file, content).with_context(|| format!("writing {path}"))?;
        Ok(file)
    }

    /// Makes a directory in a layer.
    pub fn dir(&self, path: &str) -> Result<PathBuf> {
        let dir = self.at(path);
        fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    /// Mounts.
    pub fn start(&mut self) -> Result<()> {
        ensure!(self.mount.is_none(), "mounted already");
        self.mount = Some(Mount::start(&self.spec, &self.at("m"))?);
        Ok(())
    }

    /// Unmounts and waits until the daemon has let go.
    pub fn stop(&mut self) -> Result<()> {
        let pid = self.status()?.number("pid")?;
        self.mount = None;
        wait_for(Duration::from_secs(20), "the daemon to end", || ended(pid))
    }

    /// Forgets a mount whose daemon is gone.
    pub fn abandon(&mut self) {
        self.mount = None;
    }

    /// Unmounts and mounts again over the same stores.
    pub fn remount(&mut self) -> Result<()> {
        self.stop()?;
        self.start()
    }

    /// The answer of `status --json`.
    pub fn status(&self) -> Result<json::Json> {
        let outcome = self.program(&["status", "--json"], &[])?;
        ensure!(outcome.success(), "{outcome}");
        Ok(json::Json::new(outcome.stdout))
    }

    /// Runs the program with these words, the mountpoint, and these further words.
    pub fn program(&self, before: &[&str], after: &[&str]) -> Result<Outcome> {
        Cmd::new(paths::statelitefs()?)
            .args(before)
            .arg(self.at("m"))
            .args(after)
            .limit(Duration::from_secs(60))
            .run()
    }

    /// Reloads with these rules instead of the present ones.
    pub fn reload(&self, rules: &[(&str, &str)]) -> Result<Outcome> {
        self.with_rules("reload", rules)
    }

    /// What a reload with these rules would do.
    pub fn plan(&self, rules: &[(&str, &str)]) -> Result<Outcome> {
        self.with_rules("plan", rules)
    }

    fn with_rules(&self, command: &str, rules: &[(&str, &str)]) -> Result<Outcome> {
        let mut words: Vec<String> = Vec::new();
        for (path, option) in rules {
            words.extend(["--rule".to_owned(), format!("{path}={option}")]);
        }
        for tree in &self.spec.trees {
            words.extend(["--tree".to_owned(), tree.display().to_string()]);
        }
        words.push("--json".to_owned());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.program(&[command], &words)
    }

    /// As [`World::reload`], and has to succeed.
    pub fn reload_ok(&self, rules: &[(&str, &str)]) -> Result<Outcome> {
        let outcome = self.reload(rules)?;
        ensure!(outcome.success(), "{outcome}");
        Ok(outcome)
    }

    /// `explain PATH --json`.
    pub fn explain(&self, path: &str) -> Result<String> {
        let outcome = Cmd::new(paths::statelitefs()?)
            .args(["explain", "--json", "--mount"])
            .arg(self.at("m"))
            .arg(path)
            .check()?;
        Ok(outcome.stdout)
    }
}

/// Whether a process has ended. Where nobody collects it at once it is still listed, as a zombie.
pub fn ended(pid: u64) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| {
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.starts_with(" Z"))
    })
}

/// Polls a condition.
pub fn wait_for(limit: Duration, what: &str, mut ready: impl FnMut() -> bool) -> Result<()> {
    let start = Instant::now();
    while !ready() {
        if start.elapsed() > limit {
            bail!("waited {limit:?} for {what}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Requires a call to fail with this error.
#[track_caller]
pub fn fails<T, E: Into<Code>>(result: std::result::Result<T, E>, errno: Errno) -> Result<()> {
    let at = std::panic::Location::caller();
    let got = match result {
        Ok(_) => 0,
        Err(error) => error.into().0,
    };
    if got != errno.raw_os_error() {
        bail!("{at}: {} instead of {errno:?}", name(got));
    }
    Ok(())
}

/// The number in an error.
pub struct Code(pub i32);

impl From<io::Error> for Code {
    fn from(error: io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or(-1))
    }
}

impl From<Errno> for Code {
    fn from(error: Errno) -> Self {
        Self(error.raw_os_error())
    }
}

/// What an error number is called.
pub fn name(errno: i32) -> String {
    if errno == 0 {
        "success".to_owned()
    } else {
        format!("{:?}", Errno::from_raw_os_error(errno))
    }
}

/// Requires two values to be equal.
#[track_caller]
pub fn same<T: PartialEq<U> + std::fmt::Debug, U: std::fmt::Debug>(
    got: T,
    wanted: U,
    what: &str,
) -> Result<()> {
    let at = std::panic::Location::caller();
    ensure!(
        got == wanted,
        "{at}: {what}: got {got:?}, wanted {wanted:?}"
    );
    Ok(())
}

/// Reads a small file.
#[track_caller]
pub fn read(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let at = std::panic::Location::caller();
    let bytes = fs::read(path).with_context(|| format!("{at}: reading {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The names in a directory, sorted.
#[track_caller]
pub fn names(dir: impl AsRef<Path>) -> Result<Vec<String>> {
    let dir = dir.as_ref();
    let at = std::panic::Location::caller();
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("{at}: listing {}", dir.display()))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// `st_ino` without following a link.
#[track_caller]
pub fn ino(path: impl AsRef<Path>) -> Result<u64> {
    Ok(meta(path)?.ino())
}

/// `lstat`.
#[track_caller]
pub fn meta(path: impl AsRef<Path>) -> Result<fs::Metadata> {
    let path = path.as_ref();
    let at = std::panic::Location::caller();
    fs::symlink_metadata(path).with_context(|| format!("{at}: stat {}", path.display()))
}

/// Whether the name is there, link or not.
pub fn exists(path: impl AsRef<Path>) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// `chmod`.
pub fn chmod(path: impl AsRef<Path>, mode: u32) -> Result<()> {
    let path = path.as_ref();
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("chmod {}", path.display()))
}

/// Changes a file in place, without truncating it.
pub fn write_at(path: impl AsRef<Path>, data: &[u8], offset: u64) -> Result<()> {
    use std::os::unix::fs::FileExt;
    let path = path.as_ref();
    let file = fs::OpenOptions::new().write(true).open(path);
    let file = file.with_context(|| format!("opening {} to write", path.display()))?;
    file.write_all_at(data, offset)
        .with_context(|| format!("writing {}", path.display()))
}

/// Opens to append and writes.
pub fn append(path: impl AsRef<Path>, data: &[u8]) -> Result<()> {
    use io::Write;
    let path = path.as_ref();
    let file = fs::OpenOptions::new().append(true).open(path);
    let mut file = file.with_context(|| format!("opening {} to append", path.display()))?;
    file.write_all(data)
        .with_context(|| format!("appending to {}", path.display()))
}

/// A number from the environment.
pub fn env(name: &str, default: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

/// Runs a program that has to succeed.
pub fn run(words: &[&str]) -> Result<Outcome> {
    let (program, args) = words.split_first().context("no program")?;
    Cmd::new(program).args(args).check()
}
