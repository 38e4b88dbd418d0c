//! Boots a diskless node in a virtual machine and gives you its shell.

use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use statelite_tests::vm::kernel::Kernel;
use statelite_tests::vm::node::{BOOT, Node};
use statelite_tests::vm::site::{Mode, Nfs, Site, Spec};
use statelite_tests::vm::tools::Tool;
use statelite_tests::vm::{self, image, packages};

const TABLE: &str = include_str!("../../tests/data/litefile.debian.csv");

/// Boots a diskless node in a virtual machine and gives you its shell. Needs root, and a Debian 12 machine.
///
/// The first time it installs what is missing, downloads kernels and makes an image: some minutes. Everything runs in
/// a network that leads nowhere else, and is gone when you leave the shell.
#[derive(Debug, Parser)]
struct Args {
    /// Only install what is needed and make kernels and image.
    #[arg(long)]
    prepare: bool,
    /// The kernel: 6.1 or 6.12.
    #[arg(long, default_value = "6.12")]
    kernel: Kernel,
    /// What `/` is: our daemon, the kernel's overlayfs, or links as xCAT makes them.
    #[arg(long, value_enum, default_value = "fuse")]
    mode: Mode,
    /// The NFS version of the image's mount.
    #[arg(long, value_enum, default_value = "3")]
    nfs: Nfs,
    /// What makes the initramfs.
    #[arg(long, value_enum, default_value = "bare")]
    tool: Tool,
    /// The litefile table, in tabdump form; the default is the cookbook's with Debian's rows.
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// A directory that comes before the image, as if it were in litetree (repeatable).
    #[arg(long, value_name = "DIR")]
    tree: Vec<PathBuf>,
    /// More words for the kernel's command line.
    #[arg(long)]
    append: Vec<String>,
    /// Memory of the node in MiB.
    #[arg(long, default_value_t = 1024)]
    memory: u32,
    /// Run this in the node, print what it writes, and switch off. The exit status is the command's.
    #[arg(long, value_name = "COMMAND")]
    run: Vec<String>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("node: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<ExitCode> {
    if args.prepare {
        packages::install()?;
        for kernel in Kernel::ALL {
            let files = kernel.files()?;
            println!("kernel {}: {}", files.release, files.vmlinuz.display());
        }
        println!("image: {}", image::base()?.display());
        return Ok(ExitCode::SUCCESS);
    }
    let _turn = vm::turn()?;
    let site = Site::new("node")?;
    let mut spec = Spec::new(1, args.mode);
    spec.kernel = args.kernel;
    spec.nfs = args.nfs;
    spec.tool = args.tool;
    spec.more.clone_from(&args.append);
    spec.memory = args.memory;
    eprintln!(
        "booting {} with kernel {}, / by {}, NFS {}; the console is in {}",
        spec.name(),
        spec.kernel,
        spec.mode.name(),
        spec.nfs.version(),
        site.logs().display()
    );
    let table = match &args.table {
        Some(file) => std::fs::read_to_string(file).with_context(|| file.display().to_string())?,
        None => TABLE.to_owned(),
    };
    let mut trees = Vec::new();
    for (number, tree) in (1..).zip(&args.tree) {
        trees.push(site.add_tree(&number.to_string(), tree)?);
    }
    let _server = site.manage(&spec, &table, &trees)?;
    let start = Instant::now();
    let mut node = site.boot(&spec)?;
    node.wait_shell(BOOT)?;
    eprintln!("  its shell answers after {} s", start.elapsed().as_secs());
    let state = node.wait_booted()?;
    eprintln!("  {state} after {} s", start.elapsed().as_secs());
    let code = if args.run.is_empty() {
        shell(&site, &node)?;
        ExitCode::SUCCESS
    } else {
        commands(&mut node, &args.run)?
    };
    if node.alive() {
        node.power_off()?;
    }
    Ok(code)
}

fn commands(node: &mut Node, commands: &[String]) -> Result<ExitCode> {
    let mut worst = ExitCode::SUCCESS;
    for command in commands {
        let reply = node.run(command)?;
        println!("{}", reply.output);
        if reply.code != 0 {
            worst = u8::try_from(reply.code).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    }
    Ok(worst)
}

/// An interactive login over ssh.
fn shell(site: &Site, node: &Node) -> Result<()> {
    eprintln!(
        "\n*** {} is yours. Its image is {}, its persistent state is below {};\n\
         *** edit the image there and see it change here. Leave with `exit` or ^D, and the node is switched off.\n",
        node.name(),
        site.image().display(),
        site.state().display()
    );
    // Whatever it ends with: what the last command of the session said is no matter of ours.
    let _status = node
        .cage()
        .command("ssh")
        .arg("-t")
        .args(node.ssh_args()?)
        .stdin(Stdio::inherit())
        .status()
        .context("cannot start ssh")?;
    Ok(())
}
