//! `dnsmasq`: a configuration of DHCP, TFTP and names for the nodes of the tables.

use super::Context;
use crate::bootconf::address::Lookup;
use crate::bootconf::dnsmasq::{Network, Options, config};
use crate::bootconf::write;
use crate::noderange;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `dnsmasq`.
#[derive(Debug, Args)]
pub struct DnsmasqArgs {
    /// Nodes; without it every node
    #[arg(value_name = "NODERANGE")]
    pub nodes: Option<String>,
    /// A network of nodes, ADDRESS/PREFIX; without any the masks of this host's interfaces count
    #[arg(long = "network", value_name = "NETWORK")]
    pub networks: Vec<Network>,
    /// Answer on this interface only
    #[arg(long = "interface", value_name = "NAME", value_parser = interface)]
    pub interfaces: Vec<String>,
    /// Do not answer for names
    #[arg(long)]
    pub no_dns: bool,
    /// Write to this file, in one step, instead of printing
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

fn interface(name: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-*:".contains(c);
    if !name.is_empty() && name.len() <= 15 && name.chars().all(good) {
        return Ok(name.to_owned());
    }
    Err("no name of a network interface".to_owned())
}

/// Prints or writes the configuration; nodes that cannot be in it are named on stderr.
///
/// # Errors
/// As reading the tables and writing the file.
pub fn run(context: &Context, args: DnsmasqArgs) -> anyhow::Result<ExitCode> {
    let site = context.site()?;
    let nodes = match &args.nodes {
        Some(range) => noderange::expand(&site, range)?,
        None => {
            let mut nodes: Vec<_> = site.nodes().map(str::to_owned).collect();
            nodes.sort();
            nodes
        }
    };
    let options = Options {
        networks: args.networks,
        interfaces: args.interfaces,
        names: !args.no_dns,
    };
    let (text, skipped) = config(&site, &nodes, &options, Lookup::default())?;
    for (node, reason) in &skipped {
        eprintln!("Warning: {node} is left out: {reason}");
    }
    match &args.output {
        Some(path) => write::replace(path, text.as_bytes())?,
        None => crate::cli::report::print(&text)?,
    }
    // A node that was asked for by name and is not there is a failure; of all nodes some may have other ways to boot.
    let failed = args.nodes.is_some() && !skipped.is_empty();
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
