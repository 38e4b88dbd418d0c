//! The directory tree that everything is measured on.
//!
//! A Debian root made by mmdebstrap, and below `bench/` in it what the rows need (see [`layout`]). It is built once
//! and kept in the work directory; remove it there to have it built anew.

pub mod layout;
mod sources;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::exec::Runner;
use crate::install;
use crate::mounts;
use crate::workload::data::Numbers;
use crate::workload::tools::in_chroot;

/// What the root consists of beside Debian's minimal base.
const PACKAGES: &str = "python3,python3-requests,git,gcc,make,libc6-dev,perl,ca-certificates";

const SUITE: &str = "bookworm";
const MIRROR: &str = "http://deb.debian.org/debian";

/// Time for downloading and unpacking a root.
const BUILD_LIMIT: Duration = Duration::from_secs(1800);

/// How big the rows are.
#[derive(Debug, Clone, Serialize)]
pub struct Scale {
    /// MiB of the large file.
    pub data_mib: u64,
    /// MiB written by the write rows.
    pub write_mib: u64,
    /// Operations of the lookup rows.
    pub lookups: u64,
    /// Files of the create row.
    pub creates: u64,
    /// Pieces of the random rows.
    pub pieces: u64,
    /// C files compiled.
    pub sources: u64,
}

impl Scale {
    /// For numbers that count.
    pub const FULL: Scale = Scale {
        data_mib: 512,
        write_mib: 256,
        lookups: 20_000,
        creates: 10_000,
        pieces: 50_000,
        sources: 41,
    };
    /// For a look whether everything works.
    pub const QUICK: Scale = Scale {
        data_mib: 32,
        write_mib: 16,
        lookups: 2_000,
        creates: 500,
        pieces: 5_000,
        sources: 5,
    };
}

/// The tree, ready for use.
#[derive(Debug, Clone, Serialize)]
pub struct Tree {
    /// Where it is.
    pub dir: PathBuf,
    /// What the tar row reads, relative to it.
    pub small_files: Vec<String>,
}

impl Tree {
    /// Finds the tree or builds it.
    pub fn ready(
        runner: &Runner,
        given: Option<&Path>,
        work: &Path,
        scale: &Scale,
        install: bool,
    ) -> Result<Tree> {
        let dir = match given {
            Some(dir) => dir
                .canonicalize()
                .with_context(|| format!("--tree {}", dir.display()))?,
            None => debian(runner, &work.join("tree"), install)?,
        };
        if dir == Path::new("/") {
            bail!("--tree / would be changed while in use; give a copy");
        }
        let tree = Tree {
            small_files: small_files(&dir),
            dir,
        };
        let stamp = tree.dir.join(layout::STAMP);
        if !stamp.exists() {
            eprintln!("adding bench/ to {}", tree.dir.display());
            sources::generate(&tree.dir)?;
            commit(runner, &tree.dir)?;
            fs::write(&stamp, "complete\n")
                .with_context(|| format!("writing {}", stamp.display()))?;
        }
        tree.make_data_file(scale)?;
        Ok(tree)
    }

    /// The large file's name, relative to the tree.
    pub fn data_file(&self, scale: &Scale) -> String {
        format!("bench/data-{}.bin", scale.data_mib)
    }

    fn make_data_file(&self, scale: &Scale) -> Result<()> {
        let path = self.dir.join(self.data_file(scale));
        let size = scale.data_mib << 20;
        if fs::metadata(&path).is_ok_and(|meta| meta.len() == size) {
            return Ok(());
        }
        let mut file =
            File::create(&path).with_context(|| format!("creating {}", path.display()))?;
        let mut numbers = Numbers(scale.data_mib);
        for _ in 0..scale.data_mib {
            let block: Vec<u8> = (0..(1 << 17))
                .flat_map(|_| numbers.draw().to_le_bytes())
                .collect();
            file.write_all(&block)
                .with_context(|| format!("writing {}", path.display()))?;
        }
        file.sync_all()
            .with_context(|| format!("writing {}", path.display()))
    }

    /// Reads everything that rows touch, so that the lower directory is in memory.
    pub fn warm(&self, runner: &Runner, scale: &Scale, limit: Duration) -> Result<()> {
        let mut bash = Command::new("bash");
        let data = self.data_file(scale);
        let script = format!("tar cf - --exclude='./bench/data-*' . {data} | cat >/dev/null");
        bash.args(["-c", &script]).current_dir(&self.dir);
        runner.run(bash, limit).context("warming the tree")?;
        Ok(())
    }

    /// Reads the large file, so that it is in memory.
    pub fn warm_data(&self, scale: &Scale) -> Result<()> {
        let path = self.dir.join(self.data_file(scale));
        let mut file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        std::io::copy(&mut file, &mut std::io::sink()).context("reading the large file")?;
        Ok(())
    }
}

/// The directories of small files that a Debian root has, whichever of them are there.
fn small_files(dir: &Path) -> Vec<String> {
    let known = [
        "etc",
        "usr/include",
        "usr/share",
        "usr/lib/python3",
        "usr/lib/python3.11",
        "usr/lib/git-core",
    ];
    let there = known.into_iter().filter(|name| dir.join(name).is_dir());
    there
        .chain(["bench/git", "bench/cc", "bench/deep"])
        .map(str::to_owned)
        .collect()
}

fn debian(runner: &Runner, dir: &Path, install: bool) -> Result<PathBuf> {
    if dir.is_dir() {
        return Ok(dir.canonicalize()?);
    }
    let advice = "or give a Debian root with python3, git, gcc and make as --tree";
    let program = install::ensure(runner, "mmdebstrap", "mmdebstrap", install);
    let program = program.map_err(anyhow::Error::msg).context(advice)?;
    eprintln!("building a Debian {SUITE} root in {}", dir.display());
    let partial = dir.with_extension("partial");
    if partial.exists() {
        let partial = partial.canonicalize()?;
        if mounts::any_below(&partial) {
            bail!(
                "something is mounted below {}; unmount it first",
                partial.display()
            );
        }
        fs::remove_dir_all(&partial).with_context(|| format!("removing {}", partial.display()))?;
    }
    let mut build = Command::new(program);
    build
        .arg("--variant=minbase")
        .arg(format!("--include={PACKAGES}"))
        .arg(SUITE)
        .arg(&partial)
        .arg(MIRROR);
    runner
        .run(build, BUILD_LIMIT)
        .context("mmdebstrap")
        .context(advice)?;
    fs::rename(&partial, dir).with_context(|| format!("renaming {}", partial.display()))?;
    Ok(dir.canonicalize()?)
}

/// Makes `bench/git` a git checkout, with the tree's own git.
///
/// `checkStat=minimal` compares size and time only: a file system that shows other inode numbers than the lower
/// directory would otherwise read every file again, and the row would measure that and nothing else.
fn commit(runner: &Runner, dir: &Path) -> Result<()> {
    let steps: [&[&str]; 5] = [
        &["init", "-q"],
        &["config", "core.checkStat", "minimal"],
        &["add", "."],
        &[
            "-c",
            "user.name=bench",
            "-c",
            "user.email=bench@localhost",
            "commit",
            "-q",
            "-m",
            "all",
        ],
        &["gc", "-q"],
    ];
    for step in steps {
        let mut git = in_chroot(dir, "git");
        git.args(["-C", "/bench/git"]).args(step);
        runner
            .run(git, BUILD_LIMIT)
            .with_context(|| format!("git {} in the tree", step.join(" ")))?;
    }
    Ok(())
}
