//! Boots a diskless node in a virtual machine and gives you its shell.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use statelite_tests::vm::kernel::Kernel;
use statelite_tests::vm::{image, packages};

/// Boots a diskless node in a virtual machine and gives you its shell. Needs root, and a Debian 12 machine.
#[derive(Debug, Parser)]
struct Args {
    /// Only install what is needed and make kernels and image.
    #[arg(long)]
    prepare: bool,
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
    packages::install()?;
    if args.prepare {
        for kernel in Kernel::ALL {
            let files = kernel.files()?;
            println!("kernel {}: {}", files.release, files.vmlinuz.display());
        }
        println!("image: {}", image::base()?.display());
    }
    Ok(ExitCode::SUCCESS)
}
