//! `check`.

use crate::cli::{Context, report};
use crate::tables::check::{RULES, Severity, check};
use serde_json::json;
use std::process::ExitCode;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// List the rules instead
    #[arg(long)]
    pub rules: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<ExitCode> {
    if args.rules {
        return rules(context);
    }
    let found = check(&context.site()?);
    let refusals = found.refusals().count();
    let warnings = found.findings.len() - refusals;
    if context.global.json {
        report::json(&json!({
            "refusals": refusals,
            "warnings": warnings,
            "findings": found.findings,
        }))?;
    } else {
        let mut text = String::new();
        for finding in &found.findings {
            let word = match finding.severity {
                Severity::Refusal => "Error",
                Severity::Warning => "Warning",
            };
            text += &format!("{word}: {finding} [{}]\n", finding.rule);
        }
        text += &format!("{refusals} errors, {warnings} warnings\n");
        report::print(&text)?;
    }
    Ok(if refusals == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn rules(context: &Context) -> anyhow::Result<ExitCode> {
    if context.global.json {
        let rules = RULES.iter().map(|rule| {
            json!({
                "rule": rule.id,
                "severity": rule.severity,
                "forceable": rule.forceable,
                "help": rule.help,
            })
        });
        report::json(&rules.collect::<Vec<_>>())?;
    } else {
        let lines = RULES.iter().map(|rule| {
            let weight = match (rule.severity, rule.forceable) {
                (Severity::Refusal, false) => "refused",
                (Severity::Refusal, true) => "refused, unless forced",
                (Severity::Warning, _) => "warning",
            };
            format!("{:<20}{weight:<24}{}\n", rule.id, rule.help)
        });
        report::print(&lines.collect::<String>())?;
    }
    Ok(ExitCode::SUCCESS)
}
