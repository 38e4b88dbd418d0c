//! `explain`: one path of one node.

use crate::cli::{Context, report};
use crate::resolve::explain::{Explanation, explain};
use crate::resolve::places::Places;
use clap::Args;
use std::process::ExitCode;

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The node
    #[arg(value_name = "NODE")]
    pub node: String,
    /// The path, as on the node
    #[arg(value_name = "PATH")]
    pub path: String,
}

/// Runs `explain`.
///
/// # Errors
/// An unknown node, refused rows, or a bad path.
pub fn run(context: &Context, args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let site = context.site()?;
    let places = Places::of_this_machine(&site);
    let found = explain(&site, &places, &args.node, &args.path)?;
    if context.global.json {
        report::json(&found)?;
    } else {
        report::lines(&text(&found))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// For people: a word at the left says what each line is about.
fn text(found: &Explanation) -> Vec<String> {
    let mut lines = vec![format!(
        "{} on {} (image {})",
        found.path, found.node, found.image
    )];
    let mut add = |head: &str, texts: &[String]| {
        for (index, text) in texts.iter().enumerate() {
            let head = if index == 0 { head } else { "" };
            lines.push(format!("  {head:<10} {text}"));
        }
    };
    let rule = match (&found.rule, &found.origin) {
        (Some(rule), Some(origin)) => format!(
            "{} {}, {origin}",
            crate::resolve::answer::written_path(rule),
            rule.option
        ),
        _ => "none: what no row lists is the image's, read-only".to_owned(),
    };
    add("rule", &[rule]);
    add("placement", &[found.placement.to_string()]);
    let searched = found.searched.iter().map(|candidate| {
        let file = candidate.file.as_ref();
        let file = file.filter(|_| candidate.seen.is_known());
        let at = file.map_or_else(String::new, |file| format!("{}: ", file.display()));
        format!(
            "{} ({}): {at}{}",
            candidate.layer, candidate.source, candidate.seen
        )
    });
    add("searched", &searched.collect::<Vec<_>>());
    let mut answers: Vec<String> = found
        .answers
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    if answers.is_empty() {
        answers.push("nothing of what can be looked at here".into());
    }
    if !found.unless.is_empty() {
        answers.push(format!("unless {} has it", found.unless.join(" or ")));
    }
    add("answers", &answers);
    add("a write", std::slice::from_ref(&found.write));
    add("note", &found.notes);
    lines
}
