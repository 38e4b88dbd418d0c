//! `nodeset`: which image nodes boot. `dnsmasq` is of the same group.

pub(super) mod spread;
pub(super) mod taken;

use super::Context;
use crate::bootconf::address::Lookup;
use crate::bootconf::plan::{self, Copy, NodePlan, Outcome, Request};
use crate::bootconf::stale::{Names, Stale};
use crate::bootconf::target::Target;
use crate::bootconf::{BootError, Era, write};
use crate::hierarchy::boot_files;
use crate::resolve::given;
use crate::{noderange, resolve};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::process::ExitCode;

/// Boot files.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Set what nodes boot, and write their boot files
    Nodeset(NodesetArgs),
    /// Print a dnsmasq configuration that leads nodes to their boot files, for a site without xCAT
    Dnsmasq(super::dnsmasq::DnsmasqArgs),
}

/// Arguments of `nodeset`.
#[derive(Debug, Args)]
pub struct NodesetArgs {
    /// Nodes
    #[arg(value_name = "NODERANGE")]
    pub nodes: String,
    /// osimage[=NAME], boot (from the own disk), offline (no boot file), stat (say the state); in the 2010 dialect also
    /// statelite[=OS-ARCH-PROFILE]
    #[arg(value_name = "STATE")]
    pub state: String,
    /// Form of the boot files, current or 2010; otherwise site.statelitedialect
    #[arg(long, value_name = "DIALECT")]
    pub dialect: Option<Era>,
    /// Print the files, change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Leave kernel and initrd below tftpdir as they are
    #[arg(long)]
    pub noupdateinitrd: bool,
    /// With site.sharedtftp=0: write the files of this host alone, do not bring those of service nodes to them
    #[arg(long)]
    pub local: bool,
}

/// Runs a command of this group.
///
/// # Errors
/// As the command.
pub fn run(context: &Context, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Nodeset(args) => nodeset(context, &args),
        Command::Dnsmasq(args) => super::dnsmasq::run(context, args),
    }
}

fn nodeset(context: &Context, args: &NodesetArgs) -> anyhow::Result<ExitCode> {
    let target: Target = args.state.parse()?;
    let mut store = context.existing()?;
    let before = store.site()?;
    let era = args.dialect.unwrap_or_else(|| resolve::dialect(&before));
    target.in_dialect(era)?;
    let nodes = noderange::expand(&before, &args.nodes)?;
    let request = Request {
        target,
        era,
        lookup: Lookup::default(),
    };
    let mut site = before.clone();
    let mut outcomes = plan::plan(&mut site, &nodes, &request);
    let change = !args.dry_run && request.target != Target::Stat;
    if change {
        let good: Vec<_> = outcomes
            .iter()
            .filter(|(_, outcome)| outcome.is_ok())
            .map(|(node, _)| node)
            .collect();
        let edit = |site: &mut crate::tables::Site| {
            good.iter()
                .try_for_each(|node| request.target.set(site, node))?;
            Ok(())
        };
        for warning in store.change(edit, false)? {
            eprintln!("Warning: {warning}");
        }
        let stale = carry_out(&mut outcomes, args);
        taken::warn(&site, &mut outcomes, &stale, request.lookup);
    }
    let state = given::state_dir(&context.global.db);
    let shares = match args.local || boot_files::shared(&site) || request.target == Target::Stat {
        true => Vec::new(),
        false => {
            let good = outcomes
                .iter()
                .filter_map(|(_, outcome)| outcome.as_ref().ok());
            let good: Vec<_> = good.collect();
            spread::shares(&state, &site, &good, &request)?
        }
    };
    let mut reports = Vec::new();
    let mut names = Names::default();
    let mut failed = false;
    for (node, outcome) in &outcomes {
        match report(
            node,
            outcome,
            &request.target,
            args.dry_run,
            context.global.json,
            &mut names,
        ) {
            Ok(report) => reports.push(report),
            Err(error) => {
                failed = true;
                eprintln!("Error: {node}: {error}");
                reports.push(json!({"node": node, "error": error.to_string()}));
            }
        }
    }
    if change {
        for arrival in spread::carry_out(&state, shares, !args.noupdateinitrd) {
            failed |= arrival.complain();
            reports.push(serde_json::to_value(arrival)?);
        }
    } else if !context.global.json {
        shares
            .iter()
            .for_each(|share| crate::cli::report::tell(&spread::listing(share)));
    }
    if context.global.json {
        crate::cli::report::json(&reports)?;
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Copies and writes; a node's failure takes the place of its plan and stops no other node.
/// Returns what was found stale of each node, in their order.
fn carry_out(outcomes: &mut [(String, Outcome)], args: &NodesetArgs) -> Vec<Stale> {
    let mut copied: HashMap<Copy, Result<(), BootError>> = HashMap::new();
    let mut names = Names::default();
    let mut all = Vec::new();
    for (_, outcome) in outcomes {
        let mut stale = Stale::default();
        let done = outcome.as_ref().map_err(Clone::clone).and_then(|plan| {
            let copies: &[Copy] = match args.noupdateinitrd {
                true => &[],
                false => &plan.copies,
            };
            copies.iter().try_for_each(|copy| {
                let done = copied.entry(copy.clone());
                done.or_insert_with(|| write::copy(copy)).clone()
            })?;
            write::apply(plan, &mut names)
        });
        match done {
            Ok(found) => stale = found,
            Err(error) => *outcome = Err(error),
        }
        all.push(stale);
    }
    all
}

/// Prints what became of a node, and returns the same for JSON.
fn report(
    node: &str,
    outcome: &Outcome,
    target: &Target,
    dry: bool,
    quiet: bool,
    names: &mut Names,
) -> Result<Value, BootError> {
    let plan = outcome.clone()?;
    let state = match target {
        Target::Stat => match write::read_first(&plan)? {
            Some(text) => plan.loader.state(&text),
            None => plan.loader.absent.to_owned(),
        },
        _ => plan.state.clone(),
    };
    for warning in &plan.warnings {
        eprintln!("Warning: {node}: {warning}");
    }
    if !quiet {
        say!("{node}: {state}");
        if dry && *target != Target::Stat {
            let stale = Stale::of_plan(&plan, names)?;
            crate::cli::report::tell(&listing(&plan, &stale));
        }
    }
    let path = |path: &str| plan.tftpdir.join(path);
    let files = plan.files.iter().map(|(name, text)| {
        let content = dry.then_some(text);
        json!({"path": path(name), "content": content})
    });
    Ok(json!({
        "node": node,
        "state": state,
        "loader": plan.loader.name,
        "files": files.collect::<Vec<_>>(),
        "aliases": plan.aliases.iter().map(|alias| path(alias.path())).collect::<Vec<_>>(),
        "copies": plan.copies.iter().map(|copy| json!({"from": copy.from, "to": copy.to})).collect::<Vec<_>>(),
        "warnings": plan.warnings,
    }))
}

/// What `--dry-run` shows: what would be copied, written and linked, with the text of every file.
fn listing(plan: &NodePlan, stale: &Stale) -> String {
    use crate::bootconf::loader::Alias;
    let mut text = String::new();
    for copy in &plan.copies {
        text += &format!("copy {} -> {}\n", copy.from.display(), copy.to.display());
    }
    for (path, content) in &plan.files {
        text += &format!("write {}\n{content}", plan.tftpdir.join(path).display());
        if !content.ends_with('\n') {
            text += "\n\\ No newline at end of file\n";
        }
    }
    for alias in &plan.aliases {
        let path = plan.tftpdir.join(alias.path());
        let path = path.display();
        text += &match alias {
            Alias::Hard(_) => format!("hard link {path}\n"),
            Alias::Symbolic(_, target) | Alias::Loader(_, target) | Alias::Shared(_, target) => {
                format!("link {path} -> {target}\n")
            }
        };
    }
    for path in &stale.remove {
        text += &format!("remove {}\n", path.display());
    }
    text
}
