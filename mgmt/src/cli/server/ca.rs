//! `statelite ca`.

use crate::cli::Context;
use crate::hierarchy::snapshot::replace;
use crate::server::ca::{Authority, Facts};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `ca`.
#[derive(Debug, Args)]
pub struct Ca {
    /// Directory of the certificates
    #[arg(long, global = true, value_name = "DIR", default_value_os_t = super::default_ca())]
    pub ca: PathBuf,
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Make the authority; `serve` does it on its first run
    Init,
    /// Show the certificates and when they end
    Show,
    /// Sign a certificate for a node or service node
    Issue {
        /// The node, as in the tables
        node: String,
        /// Days it is valid
        #[arg(long, default_value_t = 730, value_parser = clap::value_parser!(u64).range(1..=7300))]
        days: u64,
        /// Accept a name that is not in the nodelist table
        #[arg(long)]
        force: bool,
    },
    /// Sign a certificate for another server, for instance a service node's `serve`
    Server {
        /// Its names and addresses
        #[arg(required = true)]
        names: Vec<String>,
        /// Where server.pem, server.key and ca.pem are written
        #[arg(long, value_name = "DIR", default_value = ".")]
        to: PathBuf,
    },
}

/// Runs it.
///
/// # Errors
/// What went wrong, for people.
pub fn run(context: &Context, args: Ca) -> anyhow::Result<ExitCode> {
    let authority = Authority::new(&args.ca);
    match args.action {
        Action::Init => {
            authority.init()?;
            say!("{}", authority.path("ca.pem").display());
        }
        Action::Show => show(context, &authority)?,
        Action::Issue { node, days, force } => {
            if !force && !context.site()?.has_node(&node) {
                anyhow::bail!("{node}: not in the nodelist table; --force to sign all the same");
            }
            authority.issue(&node, days)?;
            for end in ["pem", "key"] {
                say!(
                    "{}",
                    authority.path(&format!("issued/{node}.{end}")).display()
                );
            }
        }
        Action::Server { names, to } => server(&authority, &names, &to)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn server(authority: &Authority, names: &[String], to: &Path) -> anyhow::Result<()> {
    let names: BTreeSet<String> = names.iter().cloned().collect();
    let pair = authority.sign_server(&names)?;
    let root = std::fs::read_to_string(authority.path("ca.pem"))
        .with_context(|| authority.path("ca.pem").display().to_string())?;
    for (name, text) in [
        ("server.key", &pair.key),
        ("server.pem", &pair.certificate),
        ("ca.pem", &root),
    ] {
        let path = to.join(name);
        if path == authority.path(name) {
            continue;
        }
        replace(&path, text.as_bytes()).with_context(|| path.display().to_string())?;
        say!("{}", path.display());
    }
    Ok(())
}

fn show(context: &Context, authority: &Authority) -> anyhow::Result<()> {
    let mut files = vec!["ca.pem".to_owned(), "server.pem".to_owned()];
    let issued = std::fs::read_dir(authority.path("issued"));
    let issued = issued.into_iter().flatten().flatten();
    let mut issued: Vec<_> = issued
        .map(|entry| format!("issued/{}", entry.file_name().to_string_lossy()))
        .filter(|name| name.ends_with(".pem"))
        .collect();
    issued.sort();
    files.extend(issued);
    let mut shown: Vec<(String, Facts)> = Vec::new();
    for file in files {
        if authority.path(&file).exists() {
            let facts = authority.facts(&file)?;
            shown.push((file, facts));
        }
    }
    anyhow::ensure!(
        !shown.is_empty(),
        "{}: no certificates; `statelite ca init` makes an authority",
        authority.path("").display()
    );
    if context.global.json {
        let value: serde_json::Map<_, _> = shown
            .into_iter()
            .map(|(file, facts)| serde_json::to_value(facts).map(|facts| (file, facts)))
            .collect::<Result<_, _>>()?;
        crate::cli::report::json(&value)?;
        return Ok(());
    }
    for (file, facts) in shown {
        let end = i64::try_from(facts.expires).unwrap_or(i64::MAX);
        let end = jiff::Timestamp::from_second(end).map(|end| end.strftime("%Y-%m-%d").to_string());
        let names = facts.names.into_iter().collect::<Vec<_>>().join(",");
        say!(
            "{file}: {} until {} {names}",
            facts.name,
            end.unwrap_or_default()
        );
    }
    Ok(())
}
