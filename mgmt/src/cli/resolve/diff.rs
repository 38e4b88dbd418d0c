//! `diff`: what a reload or a reboot would change for a node.

use crate::cli::records::RecordsArgs;
use crate::cli::{Context, report};
use crate::resolve::difference::{Difference, difference};
use crate::resolve::given;
use anyhow::bail;
use clap::Args;
use std::process::ExitCode;

/// Arguments of `diff`.
#[derive(Debug, Args)]
#[command(after_help = "\
Compared are the tables and what `statelite serve` has recorded of the node's last question. The exit status is 0 when \
a reboot would change nothing and 1 when it would, or when nothing is recorded.")]
pub struct DiffArgs {
    /// The node
    #[arg(value_name = "NODE")]
    pub node: String,
    /// Where the records are
    #[command(flatten)]
    pub records: RecordsArgs,
}

/// Runs `diff`.
///
/// # Errors
/// An unknown node, refused rows, or a record that cannot be read.
pub fn run(context: &Context, args: &DiffArgs) -> anyhow::Result<ExitCode> {
    let site = context.site()?;
    if !site.has_node(&args.node) {
        bail!("no node \"{}\" in the nodelist table", args.node);
    }
    let dir = args.records.dir(context)?;
    let Some(last) = given::last(&dir, &args.node)? else {
        bail!(
            "nothing is recorded of {} in {}: it has not asked a server that keeps its records there (state in serve.toml, \
             --state)",
            args.node,
            given::records(&dir).display()
        );
    };
    let found = difference(&site, &args.node, &last)?;
    if context.global.json {
        report::json(&found)?;
    } else {
        report::lines(&text(&found))?;
    }
    Ok(if found.reboot {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn text(found: &Difference) -> Vec<String> {
    let mut lines = vec![format!("{}: given {}", found.node, found.given)];
    for (what, pair) in [("image", &found.image), ("dialect", &found.dialect)] {
        if let Some(pair) = pair {
            lines.push(format!("{what}: {} -> {}", pair.old, pair.new));
        }
    }
    for change in &found.paths {
        let placement = &change.placement;
        if placement.old == placement.new {
            lines.push(format!(
                "{}: {}, by another rule",
                change.path, placement.new
            ));
            continue;
        }
        lines.push(format!(
            "{}: {} -> {}",
            change.path, placement.old, placement.new
        ));
        lines.push(format!("  reload: {}", change.reload));
        lines.push(format!("  reboot: {}", change.reboot));
    }
    if let Some(trees) = &found.trees {
        lines.push("trees:".into());
        lines.extend(trees.old.iter().map(|tree| format!("  - {tree}")));
        lines.extend(trees.new.iter().map(|tree| format!("  + {tree}")));
        lines.push("  the node's own changes stay; the rest is read from the new trees".into());
    }
    if let Some(store) = &found.store {
        let named = |store: &Option<String>| store.clone().unwrap_or_else(|| "none".into());
        lines.push(format!(
            "persistent store: {} -> {}",
            named(&store.old),
            named(&store.new)
        ));
        lines.push("  reload: refused while a rule needs the old one".into());
        lines.push("  reboot: the new store counts; nothing is moved from the old one".into());
    }
    if !found.words.is_empty() {
        lines.push("other words, which only link mode does differently:".into());
        for pair in &found.words {
            lines.push(format!("  {} -> {}", pair.old, pair.new));
        }
    }
    lines.push(if found.reboot {
        format!("A reboot would change {}.", found.node)
    } else {
        format!(
            "A reboot would not change {}: it has what the tables say.",
            found.node
        )
    });
    lines
}
