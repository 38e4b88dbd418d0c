//! `statelitefs initramfs`: writes a bare initramfs.

use crate::initramfs::{Contents, build};
use anyhow::Context as _;
use clap::Args;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

/// How the archive is packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Packing {
    /// gzip, which every kernel unpacks.
    #[default]
    Gzip,
    /// Not at all.
    None,
}

/// Arguments of `initramfs`.
#[derive(Debug, Args)]
pub struct InitramfsArgs {
    /// The kernel's modules, e.g. `/lib/modules/6.12.0`; leave out if all it needs is built in
    #[arg(long, value_name = "DIR")]
    pub modules_dir: Option<PathBuf>,
    /// File to write
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// A further module to load, by name or alias (repeatable)
    ///
    /// FUSE, the NFS client and the usual network cards are there without being named.
    #[arg(long, value_name = "NAME")]
    pub module: Vec<String>,
    /// A further file, and where it goes (repeatable)
    #[arg(long, value_name = "SRC:DST", value_parser = parse_file)]
    pub file: Vec<(PathBuf, String)>,
    /// A static busybox: gives `shell` on the kernel command line its shell
    #[arg(long, value_name = "FILE")]
    pub busybox: Option<PathBuf>,
    /// Certificate (PEM) of the authority that signed the management server's
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Tables for `statelite.policy=file:/etc/statelite/tables`
    #[arg(long, value_name = "DIR")]
    pub tables: Option<PathBuf>,
    /// The image on this machine's disk: its file capabilities, which NFS does not carry, go along
    #[arg(long, value_name = "DIR")]
    pub image: Option<PathBuf>,
    /// This program, linked statically [default: the running one]
    #[arg(long, value_name = "FILE")]
    pub binary: Option<PathBuf>,
    /// Compression
    #[arg(long, value_name = "HOW", default_value = "gzip")]
    pub compress: Packing,
}

fn parse_file(text: &str) -> Result<(PathBuf, String), String> {
    match text.split_once(':') {
        Some((from, to)) if !from.is_empty() && to.starts_with('/') => {
            Ok((from.into(), to.to_owned()))
        }
        _ => Err("expected SRC:DST, DST absolute".into()),
    }
}

/// Writes the archive beside its place and renames it there when it is whole.
///
/// # Errors
/// Those of [`build`] and of writing.
pub fn run(args: InitramfsArgs) -> anyhow::Result<()> {
    let binary = match args.binary {
        Some(binary) => binary,
        None => std::env::current_exe().context("cannot find this program")?,
    };
    let archive = build(&Contents {
        modules_dir: args.modules_dir,
        modules: args.module,
        files: args.file,
        binary,
        busybox: args.busybox,
        ca: args.ca,
        tables: args.tables,
        image: args.image,
    })?;
    let mut name = args.output.clone().into_os_string();
    name.push(".new");
    let new = PathBuf::from(name);
    let written = write(&archive, &new, args.compress)
        .and_then(|()| std::fs::rename(&new, &args.output))
        .with_context(|| args.output.display().to_string());
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    written
}

/// Prints the file capabilities of the image at `root`.
///
/// # Errors
/// A directory that cannot be read; standard output that takes nothing.
pub fn capabilities(root: &std::path::Path) -> anyhow::Result<()> {
    super::say(crate::initramfs::capabilities::list(root)?)
}

fn write(
    archive: &crate::initramfs::archive::Archive,
    to: &std::path::Path,
    packing: Packing,
) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create(to)?);
    match packing {
        Packing::None => archive.write(&mut out)?,
        Packing::Gzip => {
            let mut gz = flate2::write::GzEncoder::new(out, flate2::Compression::default());
            archive.write(&mut gz)?;
            out = gz.finish()?;
        }
    }
    out.flush()?;
    out.get_ref().sync_all()
}
