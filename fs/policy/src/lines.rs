//! A policy from the lines that a node gets of its management server: `OPTION PATH` and `SERVER:DIR[ :OPTIONS]`.
//!
//! The server has merged the rows and filled in the variables; what is left is to read them. As with tables, the
//! whole is taken or nothing.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::litefile::{self, Draft};
use crate::model::{Dialect, Origin};
use crate::policy::{Policy, TreeLayer};
use crate::refusal::{Refusals, Report};
use crate::source::Source;
use crate::tree::PolicyTree;

/// Text with one line for each entry, and a label for messages.
pub type Labelled<'a> = (&'a str, &'a str);

/// Builds a policy from lines. A path that is there twice is refused; `/etc/mtab` is added when it is missing.
///
/// # Errors
/// Every line that cannot be followed.
pub fn build(
    litefile: Labelled<'_>,
    litetree: Labelled<'_>,
    dialect: Dialect,
) -> Result<Policy, Refusals> {
    let mut report = Report::new(litefile.0);
    let mut rules = Vec::new();
    let mut seen = BTreeSet::new();
    for (number, line) in numbered(litefile.1) {
        let (option, path) = split(line);
        let draft = match Draft::new(Cow::Borrowed(path), option, dialect) {
            Ok(draft) => draft,
            Err(error) => {
                report.refuse(number, None, format_args!("\"{line}\": {error}"));
                continue;
            }
        };
        let rule = draft.into_rule(origin(litefile.0, number));
        if seen.insert(rule.path.clone()) {
            rules.push(rule);
        } else {
            report.refuse(number, None, format_args!("{} is there twice", rule.path));
        }
    }
    if !seen.contains(litefile::MTAB) {
        rules.push(litefile::implied_mtab());
    }
    let mut trees = Report::new(litetree.0);
    let mut layers = Vec::new();
    for (number, line) in numbered(litetree.1) {
        match line.parse::<Source>() {
            Ok(source) => layers.push(TreeLayer {
                priority: (layers.len() + 1).to_string(),
                source,
                origin: origin(litetree.0, number),
            }),
            Err(error) => trees.refuse(number, None, format_args!("\"{line}\": {error}")),
        }
    }
    let tree = PolicyTree::from_rules(rules).unwrap_or_else(|error| {
        report.refuse(0, None, error);
        PolicyTree::default()
    });
    report.refusals.append(&mut trees.refusals);
    if !report.refusals.is_empty() {
        return Err(Refusals(report.refusals));
    }
    Ok(Policy {
        tree,
        layers,
        statemnt: None,
        warnings: report.warnings,
    })
}

fn numbered(text: &str) -> impl Iterator<Item = (u64, &str)> {
    let lines = (1..).zip(text.lines().map(str::trim));
    lines.filter(|(_, line)| !line.is_empty())
}

/// Option and path; a line that begins with the path has a blank option.
fn split(line: &str) -> (&str, &str) {
    if line.starts_with('/') {
        return ("", line);
    }
    match line.split_once(char::is_whitespace) {
        Some((option, path)) => (option, path.trim_start()),
        None => (line, ""),
    }
}

fn origin(file: &str, line: u64) -> Origin {
    Origin::Row {
        file: file.to_owned(),
        line,
        image: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Placement;

    #[test]
    fn lines_become_rules_and_layers() {
        let litefile = "tmpfs         /etc/adjtime\npersistent    /var/log/\n\n/opt/x\nlink,ro       /etc/motd\n";
        let litetree = "10.0.0.1:/statelite/n01\ncnfs:/gpfs/dallas/ :soft\n";
        let policy = build(
            ("litefile", litefile),
            ("litetree", litetree),
            Dialect::Current,
        )
        .unwrap();
        for (path, placement) in [
            ("/etc/adjtime", Placement::Volatile),
            ("/var/log/messages", Placement::Persistent),
            ("/opt/x", Placement::Volatile),
            ("/etc/motd", Placement::Tree),
            ("/etc/mtab", Placement::Volatile),
        ] {
            let rule = policy.tree.governing(path.as_bytes()).unwrap();
            assert_eq!(rule.placement, placement, "{path}");
        }
        let sources: Vec<_> = policy
            .layers
            .iter()
            .map(|l| format!("{:#}", l.source))
            .collect();
        assert_eq!(
            sources,
            ["10.0.0.1:/statelite/n01", "cnfs:/gpfs/dallas/ :soft"]
        );
        let rule = policy.tree.governing(b"/var/log").unwrap();
        assert_eq!(rule.origin.to_string(), "litefile:2 (blank image)");
    }

    #[test]
    fn one_wrong_line_refuses_the_whole() {
        for (litefile, litetree, says) in [
            ("tmpfs /a\nfast /b\n", "", "fast"),
            ("tmpfs a\n", "", "not absolute"),
            ("tmpfs\n", "", "empty"),
            ("tmpfs /a\nro /a\n", "", "twice"),
            ("tmpfs /a\n", "somewhere\n", "somewhere"),
        ] {
            let error = build(
                ("litefile", litefile),
                ("litetree", litetree),
                Dialect::Current,
            );
            let text = error.unwrap_err().to_string();
            assert!(text.contains(says), "{litefile:?} {litetree:?}: {text}");
        }
    }
}
