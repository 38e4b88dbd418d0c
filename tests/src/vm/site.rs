//! A small data centre: an image server, a state server, and nodes that boot from them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};

use super::cage::Cage;
use super::kernel::Kernel;
use super::nfs::{Export, NfsServer};
use super::node::Node;
use super::qemu::{Machine, Start};
use super::tools::{self, Tool};
use super::xcatd::{self, Authority, Tables, Xcatd};
use super::{image, initramfs, packages};
use crate::{paths, scratch};

/// Where the image and the litetree directories are.
pub const IMAGES: &str = "10.77.0.2";
/// Where persistent state is.
pub const STATES: &str = "10.77.0.3";

/// What a node's `/` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Mode {
    /// The kernel's overlayfs, with a tmpfs for every change: the baseline.
    Overlay,
    /// Our daemon.
    Fuse,
    /// Links and bind mounts by our program, as xCAT does it.
    Links,
}

/// The version of NFS that a node mounts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Nfs {
    /// Version 3.
    #[value(name = "3")]
    V3,
    /// Version 4.1.
    #[value(name = "4.1")]
    V41,
}

/// What to boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Its number, from 1. The node is called n01 and so on.
    pub number: u8,
    /// The kernel.
    pub kernel: Kernel,
    /// What `/` is.
    pub mode: Mode,
    /// How the image is mounted.
    pub nfs: Nfs,
    /// More words for the kernel's command line.
    pub more: Vec<String>,
    /// Memory in MiB.
    pub memory: u32,
    /// What makes its initramfs; the baseline has one of its own.
    pub tool: Tool,
    /// Whether it has the certificate with which it can tell a true management server.
    pub verify: bool,
}

/// The servers, and the files that they give away.
#[derive(Debug)]
pub struct Site {
    /// Node consoles and other logs stay here.
    logs: PathBuf,
    authority: Arc<Authority>,
    initrds: Mutex<BTreeMap<(Kernel, Mode, Tool, bool), PathBuf>>,
    images: NfsServer,
    states: NfsServer,
    cage: Arc<Cage>,
    dir: tempfile::TempDir,
}

impl Mode {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::Fuse => "fuse",
            Self::Links => "links",
        }
    }
}

impl Nfs {
    /// As mount options have it.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::V3 => "3",
            Self::V41 => "4.1",
        }
    }
}

impl Spec {
    /// A node with kernel 6.12 over NFS 3.
    #[must_use]
    pub fn new(number: u8, mode: Mode) -> Self {
        Self {
            number,
            kernel: Kernel::V6_12,
            mode,
            nfs: Nfs::V3,
            more: Vec::new(),
            memory: 1024,
            tool: Tool::Bare,
            verify: true,
        }
    }

    /// A node of ours that has no system: its process 1 is the shell of the tests.
    #[must_use]
    pub fn bare(number: u8) -> Self {
        Self {
            more: vec![format!("init={}", image::SHELL_INIT)],
            memory: 512,
            ..Self::new(number, Mode::Fuse)
        }
    }

    /// The same with more words on the kernel's command line; of a word that is there twice the last counts.
    #[must_use]
    pub fn with(mut self, words: &str) -> Self {
        self.more
            .extend(words.split_whitespace().map(str::to_owned));
        self
    }

    /// The node's name.
    #[must_use]
    pub fn name(&self) -> String {
        format!("n{:02}", self.number)
    }

    /// The address at which the node finds its management server, and by which that one knows it.
    #[must_use]
    pub fn management(&self) -> String {
        format!("10.77.1.{}", self.number)
    }

    /// The kernel's command line, in the form that nodeset writes.
    #[must_use]
    pub fn cmdline(&self) -> String {
        let node = self.name();
        let mut words = vec![
            format!("root=nfs:{IMAGES}:/rootimg:ro,vers={}", self.nfs.version()),
            format!("STATEMNT={STATES}:/state"),
            format!("XCAT={}:3001", self.management()),
            format!("NODE={node}"),
            "XCATHTTPPORT=80".to_owned(),
            "ip=dhcp".to_owned(),
            "console=ttyS0".to_owned(),
            "net.ifnames=0".to_owned(),
            format!("systemd.hostname={node}"),
            // A console that hangs up cuts what others write to it.
            "systemd.getty_auto=no".to_owned(),
            "panic=-1".to_owned(),
            // What guards a processor against guessing is slow where there is none that guesses.
            "mitigations=off".to_owned(),
        ];
        if self.mode == Mode::Links {
            words.push("statelite.mode=links".to_owned());
        }
        words.extend(self.more.iter().cloned());
        words.join(" ")
    }
}

impl Site {
    /// Sets one up: packages, a fresh copy of the image, the servers.
    ///
    /// # Errors
    /// When any of them cannot be had here.
    pub fn new(name: &str) -> Result<Self> {
        Self::with_image_at(name, "/rootimg")
    }

    /// The same, with another name for the exported image.
    ///
    /// # Errors
    /// When any of them cannot be had here.
    pub fn with_image_at(name: &str, image: &str) -> Result<Self> {
        packages::install()?;
        let dir = scratch::directory()?;
        let logs = paths::target_dir()?.join("vm-logs").join(name);
        std::fs::create_dir_all(&logs)?;
        let at = |sub: &str| dir.path().join(sub);
        image::copy(&at("rootimg"))?;
        for sub in ["trees", "state"] {
            std::fs::create_dir_all(at(sub))?;
        }
        let export = |sub: &str, name: &str, writable| Export {
            path: at(sub),
            name: name.to_owned(),
            writable,
        };
        let cage = Arc::new(Cage::new()?);
        let start = |host, address, exports: &[Export]| {
            NfsServer::start(&cage, (host, address), &at(host), exports)
                .with_context(|| format!("NFS server {host}"))
        };
        let read_only = [
            export("rootimg", image, false),
            export("trees", "/trees", false),
        ];
        let images = start("images", IMAGES, &read_only)?;
        let states = start("states", STATES, &[export("state", "/state", true)])?;
        Ok(Self {
            logs,
            authority: Arc::new(Authority::new()?),
            initrds: Mutex::default(),
            images,
            states,
            cage,
            dir,
        })
    }

    /// The image as the server sees it.
    #[must_use]
    pub fn image(&self) -> PathBuf {
        self.dir.path().join("rootimg")
    }

    /// What the litetree directories are below; nodes know it as `10.77.0.2:/trees`.
    #[must_use]
    pub fn trees(&self) -> PathBuf {
        self.dir.path().join("trees")
    }

    /// Copies a directory to the image server, and returns it as litetree has it.
    ///
    /// # Errors
    /// When it cannot be copied, for instance because the name is taken.
    pub fn add_tree(&self, name: &str, from: &Path) -> Result<String> {
        let to = self.trees().join(name);
        crate::cmd::Cmd::new("cp")
            .arg("-aT")
            .args([from, &to])
            .check()?;
        Ok(format!("{IMAGES}:/trees/{name}"))
    }

    /// What the persistent directories are below, one per node.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// The server of the image and the trees.
    pub fn image_server(&mut self) -> &mut NfsServer {
        &mut self.images
    }

    /// The server of persistent state.
    pub fn state_server(&mut self) -> &mut NfsServer {
        &mut self.states
    }

    /// Where everything runs.
    #[must_use]
    pub fn cage(&self) -> &Arc<Cage> {
        &self.cage
    }

    /// Where nodes leave their consoles.
    #[must_use]
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// Switches a node on. Its console stays in [`Self::logs`].
    ///
    /// # Errors
    /// When kernel or initramfs cannot be made, or QEMU does not start.
    pub fn boot(&self, spec: &Spec) -> Result<Node> {
        let kernel = spec.kernel.files()?;
        let start = Start::Direct {
            initrd: self.initrd(spec)?,
            kernel: kernel.vmlinuz,
            cmdline: spec.cmdline(),
        };
        self.switch_on(spec, start)
    }

    /// Switches a node on that starts in a way of its own.
    ///
    /// # Errors
    /// When QEMU does not start.
    pub fn switch_on(&self, spec: &Spec, start: Start) -> Result<Node> {
        let machine = Machine {
            number: spec.number,
            start,
            memory: spec.memory,
            lease: None,
            disk: None,
            forward: Vec::new(),
        };
        let dir = self.dir.path().join(spec.name());
        let node = Node::switch_on(&self.cage, &spec.name(), machine, &dir)?;
        let kept = self.logs.join(format!("{}.console", spec.name()));
        let _ = std::fs::remove_file(&kept);
        std::fs::hard_link(node.console().path(), &kept)
            .or_else(|_| std::os::unix::fs::symlink(node.console().path(), &kept))?;
        Ok(node)
    }

    /// A management server for this node that knows these tables.
    ///
    /// # Errors
    /// When it has one already.
    pub fn manage(&self, spec: &Spec, litefile: &str, litetree: &[String]) -> Result<Xcatd> {
        let tables = Tables::new(&spec.name(), litefile, litetree)?;
        Xcatd::start(&self.cage, &self.authority, &spec.management(), tables)
    }

    /// The initramfs for a node, made the first time.
    ///
    /// # Errors
    /// When a module or a program is missing.
    pub fn initrd(&self, spec: &Spec) -> Result<PathBuf> {
        // Link mode boots with the same one as FUSE mode.
        let baseline = spec.mode == Mode::Overlay;
        let kind = if baseline { Mode::Overlay } else { Mode::Fuse };
        let key = (spec.kernel, kind, spec.tool, spec.verify);
        let mut made = self.initrds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = made.get(&key) {
            return Ok(path.clone());
        }
        let number = made.len();
        let mut path = self.dir.path().join(format!("initrd-{number}"));
        let files = spec.kernel.files()?;
        if baseline {
            initramfs::overlay(&files, &path.with_extension("d"), &path)?;
        } else {
            let ca = self.dir.path().join("ca.pem");
            xcatd::write_ca(&self.authority, &ca)?;
            let ca = spec.verify.then_some(ca.as_path());
            match spec.tool {
                Tool::Bare => initramfs::statelitefs(&files, &self.image(), ca, &path)?,
                tool => path = tools::initrd(tool, &files, ca, &path.with_extension("d"))?,
            }
        }
        made.insert(key, path.clone());
        Ok(path)
    }
}
