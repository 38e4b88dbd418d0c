//! What nodes get: `litefile`, `ilitefile`, `litetree`, `lslite`, `explain`, `diff`.
//!
//! The first four print what xCAT's print. A node that cannot be resolved is named on standard error, and the others are
//! printed all the same.

pub mod diff;
pub mod explain;

use super::{Context, report};
use crate::noderange::{self, RangeError};
use crate::resolve::answer::{self, Answer};
use crate::resolve::{self, ResolveError, many};
use crate::tables::Site;
use crate::tables::schema::OSIMAGE;
use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::json;
use std::process::ExitCode;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print where the listed files of nodes live
    #[command(after_help = "\
Each line is NODE: OPTION PATH, as nodes are told. A name that is no node and no group, but an image, is taken as by ilitefile.")]
    Litefile(RangeArgs),
    /// Print the litefile rows of an image
    Ilitefile(ImageArgs),
    /// Print the trees that nodes take initial content from
    #[command(
        after_help = "Each line is NODE: SERVER:DIRECTORY[ :MNTOPTS], the first searched first."
    )]
    Litetree(RangeArgs),
    /// Print image, persistent directory, litefile and litetree of nodes
    Lslite(LsliteArgs),
    /// Say which row and which file decide a path of a node, and what a write would do
    Explain(explain::ExplainArgs),
    /// Say what a reload or a reboot would change for a node
    Diff(diff::DiffArgs),
}

/// Nodes.
#[derive(Debug, Args)]
pub struct RangeArgs {
    /// Which nodes
    #[arg(value_name = "NODERANGE")]
    pub range: String,
}

/// An image.
#[derive(Debug, Args)]
pub struct ImageArgs {
    /// Name of the image
    #[arg(value_name = "IMAGE")]
    pub image: String,
}

/// Arguments of `lslite`.
#[derive(Debug, Args)]
pub struct LsliteArgs {
    /// Print the litefile rows of this image
    #[arg(short, value_name = "IMAGE", conflicts_with = "range")]
    pub image: Option<String>,
    /// Which nodes
    #[arg(value_name = "NODERANGE", required_unless_present = "image")]
    pub range: Option<String>,
    /// Accepted for xCAT's sake
    #[arg(short = 'V', long = "verbose", hide = true)]
    pub verbose: bool,
}

/// Runs a command of this group.
///
/// # Errors
/// What stops the command, to be printed.
pub fn run(context: &Context, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Litefile(args) => litefile(context, &args.range),
        Command::Ilitefile(args) => ilitefile(context, &context.site()?, &args.image),
        Command::Litetree(args) => {
            let site = context.site()?;
            each(context, &site, &args.range, |answer| {
                (json!({ "litetree": answer.litetree }), answer.litetree)
            })
        }
        Command::Lslite(args) => lslite(context, &args),
        Command::Explain(args) => explain::run(context, &args),
        Command::Diff(args) => diff::run(context, &args),
    }
}

/// Prints something of the answer of every node of a range: as JSON, or lines with the node's name before.
fn each(
    context: &Context,
    site: &Site,
    range: &str,
    show: impl Fn(Answer) -> (serde_json::Value, Vec<String>),
) -> anyhow::Result<ExitCode> {
    let nodes = noderange::expand_local(site, range)?;
    let mut output = Output::new(context);
    let answers = many::map(&nodes, |node| answer::answer(site, node));
    for (node, answer) in nodes.into_iter().zip(answers) {
        match answer {
            Ok(answer) => {
                let (mut value, lines) = show(answer);
                if let Some(object) = value.as_object_mut() {
                    object.insert("node".into(), node.as_str().into());
                }
                output.add(value, || answer::prefixed(&node, &lines));
            }
            Err(error) => output.fail(&node, &error),
        }
    }
    output.finish()
}

/// What is to be printed, and whether something is missing in it.
struct Output {
    json: bool,
    values: Vec<serde_json::Value>,
    lines: Vec<String>,
    failed: bool,
}

impl Output {
    fn new(context: &Context) -> Self {
        Self {
            json: context.global.json,
            values: Vec::new(),
            lines: Vec::new(),
            failed: false,
        }
    }

    fn add(&mut self, value: serde_json::Value, lines: impl FnOnce() -> Vec<String>) {
        if self.json {
            self.values.push(value);
        } else {
            self.lines.extend(lines());
        }
    }

    fn fail(&mut self, node: &str, error: &ResolveError) {
        self.failed = true;
        match error {
            ResolveError::Refused(refusals) => {
                for refusal in &refusals.0 {
                    eprintln!("Error: {node}: {refusal}");
                }
            }
            error => eprintln!("Error: {error}"),
        }
    }

    fn finish(self) -> anyhow::Result<ExitCode> {
        if self.json {
            report::json(&self.values)?;
        } else {
            report::lines(&self.lines)?;
        }
        Ok(if self.failed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
}

fn litefile(context: &Context, range: &str) -> anyhow::Result<ExitCode> {
    let site = context.site()?;
    // The cookbook's `litefile <image name>`; nodes and groups come first.
    if let Err(error) = noderange::expand_local(&site, range) {
        if resolve::knows_image(&site, range) {
            return ilitefile(context, &site, range);
        }
        if let RangeError::Unknown(_) = error {
            bail!(
                "{error}; nor is there an image of that name (ilitefile IMAGE prints the rows of any)"
            );
        }
        return Err(error.into());
    }
    each(context, &site, range, |answer| {
        (
            json!({ "litefile": rows(&answer.litefile) }),
            answer.litefile,
        )
    })
}

/// `OPTION PATH` lines for scripts.
fn rows(lines: &[String]) -> Vec<serde_json::Value> {
    let pairs = lines.iter().filter_map(|line| line.split_once(' '));
    pairs
        .map(|(option, path)| json!({ "option": option, "path": path.trim_start() }))
        .collect()
}

fn ilitefile(context: &Context, site: &Site, image: &str) -> anyhow::Result<ExitCode> {
    if !resolve::knows_image(site, image) {
        eprintln!(
            "Warning: there is no osimage \"{image}\", no litefile row for it and no node with it: these rows are for every image"
        );
    }
    let mut output = Output::new(context);
    match resolve::image_policy(site, image) {
        Ok(policy) => {
            let lines = answer::files(&policy);
            let value = json!({ "image": image, "litefile": rows(&lines) });
            output.add(value, || answer::prefixed(image, &lines));
        }
        Err(error) => output.fail(image, &error),
    }
    output.finish()
}

fn indented(lines: &[String]) -> impl Iterator<Item = String> {
    lines.iter().map(|line| format!("        {line}"))
}

fn lslite(context: &Context, args: &LsliteArgs) -> anyhow::Result<ExitCode> {
    let site = context.site()?;
    let mut output = Output::new(context);
    if let Some(image) = &args.image {
        if site.row(&OSIMAGE, &[image]).is_none() {
            bail!("The osimage named '{image}' is not defined.");
        }
        match resolve::image_policy(&site, image) {
            Ok(policy) => {
                let lines = answer::files(&policy);
                let value = json!({ "image": image, "litefile": rows(&lines) });
                output.add(value, || indented(&lines).collect());
            }
            Err(error) => output.fail(image, &error),
        }
        return output.finish();
    }
    let range = args.range.as_deref().unwrap_or_default();
    let nodes = noderange::expand_local(&site, range)?;
    let policies = many::map(&nodes, |node| {
        let image = resolve::image_of(&site, node)?;
        Ok((image, resolve::policy(&site, node)?))
    });
    for (node, found) in nodes.into_iter().zip(policies) {
        match found {
            Ok((image, policy)) => {
                let answer = Answer::of(&policy);
                let layers = policy.layers.iter().zip(&answer.litetree);
                let trees: Vec<String> = layers
                    .map(|(layer, line)| format!("{}, {line}", layer.priority))
                    .collect();
                let value = json!({
                    "node": node, "image": image, "statemnt": answer.statemnt,
                    "litefile": rows(&answer.litefile), "litetree": answer.litetree,
                });
                let store = policy.statemnt.iter().map(ToString::to_string);
                let store: Vec<String> = store.collect();
                output.add(value, || {
                    summary(&node, &image, &store, &answer.litefile, &trees)
                });
            }
            Err(error) => output.fail(&node, &error),
        }
    }
    output.finish()
}

/// The page of one node.
fn summary(
    node: &str,
    image: &str,
    store: &[String],
    files: &[String],
    trees: &[String],
) -> Vec<String> {
    let mut lines = vec![
        format!(">>>Node: {node}"),
        String::new(),
        format!("Osimage: {image}"),
        String::new(),
    ];
    for (head, block) in [
        ("Persistent directory (statelite table):", store),
        ("Litefiles (litefile table):", files),
        ("Litetree path (litetree table):", trees),
    ] {
        lines.push(head.to_owned());
        lines.extend(indented(block));
        lines.push(String::new());
    }
    lines
}
