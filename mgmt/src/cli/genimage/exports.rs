//! `exports`.

use crate::bootconf::address::Lookup;
use crate::cli::Context;
use crate::image::exports::{self, Style};
use crate::noderange;
use crate::resolve::ResolveError;
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

/// Prints exports. Nodes that are not known to boot an image, as service nodes, are left out with a warning where nobody
/// named them; another node whose directories are unknown makes the command fail when the others' are printed.
///
/// # Errors
/// When the tables or the range cannot be read.
pub fn run(context: &Context, args: ExportsArgs) -> anyhow::Result<ExitCode> {
    let site = context.site()?;
    let nodes = match &args.nodes {
        Some(range) => noderange::expand(&site, range)?,
        None => site.nodes().map(str::to_owned).collect(),
    };
    let exports::Found {
        exports: mut found,
        failed,
    } = exports::of_nodes(&site, &nodes);
    let many = args.all || args.server.is_some();
    let mut complete = true;
    for (node, error) in failed {
        match error {
            ResolveError::Incomplete { .. } if many => {
                eprintln!("Warning: {error}; it is left out");
            }
            ResolveError::Refused(refusals) => {
                complete = false;
                for refusal in &refusals.0 {
                    eprintln!("Error: {node}: {refusal}");
                }
            }
            error => {
                complete = false;
                eprintln!("Error: {error}");
            }
        }
    }
    if let Some(server) = &args.server {
        let lookup = Lookup::default();
        found.retain(|export| exports::is_of(export, &site, server, lookup));
        if found.is_empty() {
            eprintln!("Warning: nothing that these nodes need is on {server}");
        }
    }
    if context.global.json {
        crate::cli::report::json(&found)?;
        return Ok(status(complete));
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
    crate::cli::report::print(&text)?;
    Ok(status(complete))
}

fn status(complete: bool) -> ExitCode {
    match complete {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
