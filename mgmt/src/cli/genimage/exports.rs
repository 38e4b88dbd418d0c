//! `exports`.

use crate::bootconf::address::Lookup;
use crate::cli::Context;
use crate::image::exports::{self, Style};
use crate::noderange;
use clap::Args;
use std::process::ExitCode;

/// Arguments of `exports`.
#[derive(Debug, Args)]
pub struct ExportsArgs {
    /// The nodes
    #[arg(
        value_name = "NODERANGE",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    pub nodes: Option<String>,
    /// All nodes
    #[arg(short = 'a', long)]
    pub all: bool,
    /// Only what this server exports: a service node, or any other host, by a name or an address
    #[arg(long, value_name = "HOST")]
    pub server: Option<String>,
    /// Who may mount: a network, a host or a pattern
    #[arg(long, value_name = "CLIENTS", default_value = "*")]
    pub clients: String,
    /// Let clients come from unprivileged ports
    #[arg(long)]
    pub insecure: bool,
    /// Export litetree directories writable, as xCAT does
    #[arg(long)]
    pub writable_trees: bool,
    /// Print blocks for NFS-Ganesha in place of lines for /etc/exports
    #[arg(long)]
    pub ganesha: bool,
}

/// Prints exports.
///
/// # Errors
/// When a node's tables are incomplete.
pub fn run(context: &Context, args: ExportsArgs) -> anyhow::Result<ExitCode> {
    let site = context.site()?;
    let nodes = match &args.nodes {
        Some(range) => noderange::expand(&site, range)?,
        None => site.nodes().map(str::to_owned).collect(),
    };
    let mut found = exports::of_nodes(&site, &nodes)?;
    if let Some(server) = &args.server {
        let lookup = Lookup::default();
        found.retain(|export| exports::is_of(export, &site, server, lookup));
    }
    let style = Style {
        clients: args.clients,
        insecure: args.insecure,
        writable_trees: args.writable_trees,
    };
    let text = match args.ganesha {
        true => exports::ganesha(&found, &style),
        false => exports::lines(&found, &style),
    };
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}
