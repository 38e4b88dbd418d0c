//! Commands that make images: genimage, copycds, add_passwd, add_ssh, exports.

mod copycds;
mod exports;
pub(crate) mod make;

use super::Context;
use crate::image::root::Root;
use crate::image::{accounts, ssh};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Install an image's packages into its root, and make its kernel and initrd
    Genimage(Box<make::GenimageArgs>),
    /// Copy a distribution's medium into the install directory
    Copycds(copycds::CopycdsArgs),
    /// Bring accounts of the management node into an image
    #[command(name = "add_passwd")]
    AddPasswd(AddPasswdArgs),
    /// Bring SSH settings, host keys and root's keys into an image
    #[command(name = "add_ssh")]
    AddSsh(AddSshArgs),
    /// Print what NFS servers must export to nodes
    Exports(exports::ExportsArgs),
}

/// Arguments of `add_passwd`.
#[derive(Debug, Args)]
pub struct AddPasswdArgs {
    /// The image's root, e.g. /install/netboot/rhels5.3/x86_64/compute/rootimg
    #[arg(value_name = "ROOTIMG")]
    pub root: PathBuf,
    /// Copy passwd, group and shadow as they are, as xCAT does
    ///
    /// Without it accounts of people (numbers from 1000) and root's password come over, and the image's system
    /// accounts, which its packages made, stay.
    #[arg(long)]
    pub whole: bool,
    /// The root whose accounts are taken
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub from: PathBuf,
}

/// Arguments of `add_ssh`.
#[derive(Debug, Args)]
pub struct AddSshArgs {
    /// The image's root, e.g. /install/netboot/rhels5.3/x86_64/compute/rootimg
    #[arg(value_name = "ROOTIMG")]
    pub root: PathBuf,
    /// The nodes' host keys, ssh_host_*_key [default: /etc/statelite/hostkeys, else /etc/xcat/hostkeys]
    #[arg(long, value_name = "DIR")]
    pub hostkeys: Option<PathBuf>,
    /// Files for root's .ssh directory in the image [default: INSTALLDIR/postscripts/_ssh]
    #[arg(long, value_name = "DIR")]
    pub shared: Option<PathBuf>,
    /// Root's own .ssh directory, for id_rsa, id_ed25519 and config
    #[arg(long, value_name = "DIR", default_value = "/root/.ssh")]
    pub own: PathBuf,
}

/// Runs a command.
///
/// # Errors
/// As the command.
pub fn run(context: &Context, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Genimage(args) => make::run(context, *args),
        Command::Copycds(args) => copycds::run(context, &args),
        Command::AddPasswd(args) => add_passwd(&args),
        Command::AddSsh(args) => add_ssh(context, args),
        Command::Exports(args) => exports::run(context, args),
    }
}

fn add_passwd(args: &AddPasswdArgs) -> anyhow::Result<ExitCode> {
    let done = accounts::bring(&args.from, &args.root, args.whole);
    done.context("no account was changed, or not all were")?;
    Ok(ExitCode::SUCCESS)
}

/// Where host keys may be, the first that is there counts.
const HOST_KEYS: [&str; 2] = ["/etc/statelite/hostkeys", "/etc/xcat/hostkeys"];

fn add_ssh(context: &Context, args: AddSshArgs) -> anyhow::Result<ExitCode> {
    let shared = match args.shared {
        Some(dir) => dir,
        None => {
            let site = context.site()?;
            PathBuf::from(crate::image::genimage::install_dir(&site)).join("postscripts/_ssh")
        }
    };
    let [first, second] = HOST_KEYS.map(PathBuf::from);
    let usual = if first.is_dir() || !second.is_dir() {
        first
    } else {
        second
    };
    let keys = ssh::Keys {
        host: args.hostkeys.unwrap_or(usual),
        shared,
        root: args.own,
    };
    for line in ssh::bring(&keys, &Root::open(&args.root)?)? {
        eprintln!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}
