//! Commands that ask or change a running mount, or check tables.

use super::{CheckArgs, ExplainArgs, PlanArgs, ReloadArgs, StatusArgs, say};
use crate::config::assemble;
use crate::control::{Answer, Request, client};
use crate::overlay::explain::Explanation;
use crate::overlay::plan::Effect;
use anyhow::{Context as _, bail};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn json(value: &impl serde::Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// `statelitefs explain`.
///
/// # Errors
/// If no mount answers, or a path lies in none.
pub fn explain(args: &ExplainArgs) -> anyhow::Result<()> {
    let mut asked: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    let mut order = Vec::new();
    for path in &args.paths {
        let (mount, inner) = match &args.mount {
            Some(mount) => (client::the_mount(Some(mount))?, path.clone()),
            None => client::mount_of(&lexical(path)?)?,
        };
        if !inner.is_absolute() {
            bail!("{}: not an absolute path", inner.display());
        }
        let inner = inner.to_string_lossy().into_owned();
        order.push((mount.clone(), inner.clone()));
        asked.entry(mount).or_default().push(inner);
    }
    let mut answers: BTreeMap<(PathBuf, String), Explanation> = BTreeMap::new();
    for (mount, paths) in asked {
        match client::ask(&mount, &Request::Explain(paths.clone()))? {
            Answer::Explained(all) => {
                for (path, explanation) in paths.into_iter().zip(all) {
                    answers.insert((mount.clone(), path), explanation);
                }
            }
            _ => bail!("unexpected answer"),
        }
    }
    let ordered: Vec<&Explanation> = order.iter().filter_map(|key| answers.get(key)).collect();
    if args.json {
        say(json(&ordered)?)?;
    } else {
        for explanation in ordered {
            say(explanation_text(explanation))?;
        }
    }
    Ok(())
}

/// An absolute path without `.` and `..`, symlinks left as they are.
fn lexical(path: &Path) -> anyhow::Result<PathBuf> {
    use std::path::Component;
    let mut out = PathBuf::new();
    for part in std::path::absolute(path)?.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    Ok(out)
}

/// An explanation for people.
pub fn explanation_text(e: &Explanation) -> String {
    let mut lines = vec![format!(
        "{}: {}",
        e.path,
        e.kind.as_deref().unwrap_or("nothing is shown here")
    )];
    let mut line = |key: &str, value: String| lines.push(format!("  {key:<10} {value}"));
    match (&e.rule, &e.option, &e.origin) {
        (Some(rule), Some(option), Some(origin)) => {
            line("rule", format!("{rule}  option {option:?}  from {origin}"));
        }
        _ => line("rule", "none: the image decides".into()),
    }
    line("placement", e.placement.to_string());
    for source in &e.sources {
        line(
            "source",
            format!("{}  {}", source.layer, source.path.display()),
        );
    }
    if let Some(target) = &e.target {
        line("target", target.clone());
    }
    if let Some(inode) = e.inode {
        line("inode", inode.to_string());
    }
    line("a write", e.write.clone());
    line("freshness", e.freshness.clone());
    lines.push(String::new());
    lines.join("\n")
}

/// `statelitefs status`.
///
/// # Errors
/// If no mount answers.
pub fn status(args: &StatusArgs) -> anyhow::Result<()> {
    let mount = client::the_mount(args.mountpoint.as_deref())?;
    let Answer::Status(status) = client::ask(&mount, &Request::Status)? else {
        bail!("unexpected answer");
    };
    if args.http {
        return super::http::answer(&status.prometheus());
    }
    if args.json {
        say(json(&status)?)?;
    } else if args.prometheus {
        say(status.prometheus())?;
    } else {
        say(status.text())?;
    }
    Ok(())
}

/// `statelitefs reload`.
///
/// # Errors
/// Everything wrong with the new policy; nothing has changed then.
pub fn reload(args: ReloadArgs) -> anyhow::Result<()> {
    let mount = client::the_mount(args.mountpoint.as_deref())?;
    let mut policy = args.policy;
    super::daemon::absolute_policy(&mut policy, &std::env::current_dir()?);
    let request = Request::Reload {
        policy: Box::new(policy),
        new_generation: args.new_generation,
    };
    let Answer::Reloaded(report, warnings) = client::ask(&mount, &request)? else {
        bail!("unexpected answer");
    };
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    if args.json {
        return say(json(&report)?);
    }
    let (generation, changed) = (report.generation, report.changed.len());
    let mut text = format!("generation {generation}, changed paths: {changed}\n");
    for path in &report.changed {
        let _ = writeln!(text, "  {path}");
    }
    for (paths, effect) in [
        (&report.parked, Effect::Parked),
        (&report.left, Effect::Left),
    ] {
        for path in paths {
            let _ = writeln!(text, "  {path}: {}", effect.text());
        }
    }
    say(&text)
}

/// `statelitefs plan`. True if files of the node's own would no longer be shown, or stand in the way.
///
/// # Errors
/// Everything wrong with the new policy.
pub fn plan(args: PlanArgs) -> anyhow::Result<bool> {
    let mount = client::the_mount(args.mountpoint.as_deref())?;
    let mut policy = args.policy;
    super::daemon::absolute_policy(&mut policy, &std::env::current_dir()?);
    let Answer::Planned(plan, warnings) = client::ask(&mount, &Request::Plan(Box::new(policy)))?
    else {
        bail!("unexpected answer");
    };
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    if args.json {
        say(json(&plan)?)?;
        return Ok(plan.loses());
    }
    let mut text = String::new();
    for step in &plan.steps {
        let (path, from, to) = (&step.path, step.from, step.to);
        let _ = writeln!(text, "{path}: {from} -> {to}: {}", step.effect.text());
    }
    say(text)?;
    Ok(plan.loses())
}

/// `statelitefs check`.
///
/// # Errors
/// All refused rows, one a line.
pub fn check(args: &CheckArgs) -> anyhow::Result<()> {
    let warnings = assemble::check(&args.tables, args.dialect)
        .with_context(|| format!("{} is refused", args.tables.display()))?;
    let mut text = String::new();
    for warning in &warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    let _ = writeln!(text, "ok, warnings: {}", warnings.len());
    say(&text)
}
