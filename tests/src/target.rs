//! What a suite runs on: a bare store, or a directory of something mounted over that store.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::image;
use crate::mount::{Mount, MountSpec, Passthrough};
use crate::scratch::{self, Store};

/// Where in the merged tree a suite runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Place {
    /// A directory with option `tmpfs`, kept on a tmpfs.
    Volatile,
    /// A directory with option `persistent`, kept on ext4.
    Persistent,
    /// A directory with option `localdisk`, kept on ext4.
    Local,
}

impl Place {
    /// The directory of the merged tree.
    #[must_use]
    pub fn dir(self) -> &'static str {
        match self {
            Self::Volatile => "vol",
            Self::Persistent => "per",
            Self::Local => "loc",
        }
    }

    /// The option of its rule.
    #[must_use]
    pub fn option(self) -> &'static str {
        match self {
            Self::Volatile => "tmpfs",
            Self::Persistent => "persistent",
            Self::Local => "localdisk",
        }
    }

    /// The kind of file system that its data lies on.
    #[must_use]
    pub fn kind(self) -> StoreKind {
        match self {
            Self::Volatile => StoreKind::Tmpfs,
            Self::Persistent | Self::Local => StoreKind::Ext4,
        }
    }
}

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoreKind {
    /// Memory.
    Tmpfs,
    /// A disk.
    Ext4,
}

/// What stands over the stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TargetKind {
    /// The product.
    Statelitefs,
    /// Kernel overlayfs, to try this harness and as a yardstick.
    Overlay,
}

/// The stores of one run, and the directory that holds their mountpoints.
#[derive(Debug)]
pub struct Stores {
    // Unmounted in this order, before the directory goes.
    tmpfs: Store,
    ext4: Store,
    secondary: Store,
    dir: TempDir,
}

impl Stores {
    /// Makes them all.
    pub fn new() -> Result<Self> {
        let dir = scratch::directory()?;
        Ok(Self {
            tmpfs: Store::tmpfs(&dir.path().join("tmpfs"))?,
            ext4: Store::ext4(&dir.path().join("ext4"))?,
            secondary: Store::tmpfs(&dir.path().join("secondary"))?,
            dir,
        })
    }

    /// The store of a kind.
    #[must_use]
    pub fn of(&self, kind: StoreKind) -> &Store {
        match kind {
            StoreKind::Tmpfs => &self.tmpfs,
            StoreKind::Ext4 => &self.ext4,
        }
    }

    /// A directory to test the bare store in.
    pub fn bare(&self, kind: StoreKind) -> Result<PathBuf> {
        self.of(kind).dir("bare")
    }

    /// Another file system, for tests of EXDEV.
    #[must_use]
    pub fn secondary(&self) -> &Path {
        self.secondary.root()
    }

    /// Room for files of a run.
    #[must_use]
    pub fn room(&self) -> &Path {
        self.dir.path()
    }
}

/// Something mounted over the stores.
#[derive(Debug)]
pub enum Target {
    /// The product.
    Statelitefs(Mount),
    /// One overlayfs for each place.
    Overlay(Vec<(Place, Store)>),
}

impl Target {
    /// Mounts. Names must differ within a run: each gets fresh stores under its name.
    pub fn start(kind: TargetKind, stores: &Stores, name: &str, options: Options) -> Result<Self> {
        let image = stores.room().join("image");
        if !image.exists() {
            image::synthetic(&image).context("the synthetic image")?;
        }
        let mountpoint = stores.room().join(format!("m.{name}"));
        match kind {
            TargetKind::Statelitefs => {
                let mut spec = MountSpec::new(&image);
                for place in PLACES {
                    spec = spec.rule(&format!("/{}/", place.dir()), place.option());
                }
                let store = |place: Place| {
                    stores
                        .of(place.kind())
                        .dir(&format!("{name}.{}", place.dir()))
                        .map(Some)
                };
                spec.volatile = store(Place::Volatile)?;
                spec.persistent = store(Place::Persistent)?;
                spec.local = store(Place::Local)?;
                spec.passthrough = Some(options.passthrough);
                spec.threads = Some(options.threads);
                spec.lifetime = options.lifetime;
                Ok(Self::Statelitefs(Mount::start(&spec, &mountpoint)?))
            }
            TargetKind::Overlay => {
                let overlay = |place: Place| {
                    let root = mountpoint.join(place.dir());
                    let lower = image.join(place.dir());
                    let store = stores.of(place.kind());
                    Ok((
                        place,
                        Store::overlay(&root, &lower, store, &format!("{name}.{}", place.dir()))?,
                    ))
                };
                Ok(Self::Overlay(
                    PLACES.into_iter().map(overlay).collect::<Result<_>>()?,
                ))
            }
        }
    }

    /// The directory to test.
    pub fn dir(&self, place: Place) -> Result<PathBuf> {
        match self {
            Self::Statelitefs(mount) => Ok(mount.root().join(place.dir())),
            Self::Overlay(stores) => stores
                .iter()
                .find(|(at, _)| *at == place)
                .map(|(_, store)| store.root().to_path_buf())
                .context("a place without an overlay"),
        }
    }

    /// Frees whatever hangs in it.
    pub fn abort(&self) {
        if let Self::Statelitefs(mount) = self {
            mount.abort();
        }
    }
}

/// All places.
pub const PLACES: [Place; 3] = [Place::Volatile, Place::Persistent, Place::Local];

/// How the product is mounted.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether file data may go past the daemon.
    pub passthrough: Passthrough,
    /// Threads of the daemon.
    pub threads: usize,
    /// When the watchdog ends it.
    pub lifetime: Duration,
}
