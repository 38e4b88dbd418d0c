//! What a rule found, and all of it together.

use crate::tables::row::place;
use serde::Serialize;
use std::collections::HashSet;
use std::fmt;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A change that brings it in is refused.
    Refusal,
    /// Accepted, but probably not what was meant.
    Warning,
}

/// One thing that is wrong or odd.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Whether xCAT would accept it, so that `--force` turns the refusal into a warning.
    pub forceable: bool,
    /// The table.
    pub table: &'static str,
    /// The row's number in the table, from 1; none when no row is to blame.
    pub row: Option<usize>,
    /// The values of the row's key columns.
    pub key: Vec<String>,
    /// The column, when one is to blame.
    pub column: Option<&'static str>,
    /// What is wrong, and what would be allowed.
    pub reason: String,
    /// When the value is wrong for some nodes: each of them, and why. The reason is made from these.
    #[serde(skip)]
    pub(super) nodes: Vec<String>,
}

/// A finding that did not stop a change.
pub type Warning = Finding;

impl Finding {
    /// One thing that it says about its row.
    fn content(&self, reason: &str) -> Content {
        Content {
            rule: self.rule,
            table: self.table,
            column: self.column,
            severity: self.severity,
            key: self.key.clone(),
            reason: reason.to_owned(),
        }
    }

    /// All that it says.
    fn contents(&self) -> Vec<Content> {
        match self.nodes.is_empty() {
            true => vec![self.content(&self.reason)],
            false => self.nodes.iter().map(|node| self.content(node)).collect(),
        }
    }

    /// What of it is not known, if anything is.
    fn without(mut self, known: &HashSet<Content>) -> Option<Self> {
        if self.nodes.is_empty() {
            return (!known.contains(&self.content(&self.reason))).then_some(self);
        }
        let mut nodes = std::mem::take(&mut self.nodes);
        nodes.retain(|node| !known.contains(&self.content(node)));
        self.reason = of_nodes(&nodes)?;
        self.nodes = nodes;
        Some(self)
    }
}

/// What a finding says about which row, wherever in the table that is.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Content {
    rule: &'static str,
    table: &'static str,
    column: Option<&'static str>,
    severity: Severity,
    key: Vec<String>,
    reason: String,
}

/// The reason of a finding about nodes: the first of them, and how many more there are.
pub(super) fn of_nodes(nodes: &[String]) -> Option<String> {
    let (first, more) = nodes.split_first()?;
    Some(match more.len() {
        0 => first.clone(),
        1 => format!("{first} (and one more node)"),
        more => format!("{first} (and {more} more nodes)"),
    })
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.table)?;
        if let Some(row) = self.row {
            write!(f, ": {}", place(row, &self.key))?;
        }
        if let Some(column) = self.column {
            write!(f, ": column {column}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// Everything that was found. Displays one finding per line.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// In the order of tables and rows.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Those that stop a change.
    pub fn refusals(&self) -> impl Iterator<Item = &Finding> {
        let stops = |finding: &&Finding| finding.severity == Severity::Refusal;
        self.findings.iter().filter(stops)
    }

    /// Whether nothing stops a change.
    #[must_use]
    pub fn acceptable(&self) -> bool {
        self.refusals().next().is_none()
    }

    /// Only what `before` did not have.
    #[must_use]
    pub fn new_since(self, before: &Self) -> Self {
        let known: HashSet<_> = before.findings.iter().flat_map(Finding::contents).collect();
        let findings = self.findings.into_iter();
        let new = findings.filter_map(|finding| finding.without(&known));
        Self {
            findings: new.collect(),
        }
    }

    /// With refusals that xCAT would accept turned into warnings.
    #[must_use]
    pub fn forced(mut self) -> Self {
        for finding in &mut self.findings {
            if finding.forceable {
                finding.severity = Severity::Warning;
            }
        }
        self
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.findings.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            finding.fmt(f)?;
        }
        Ok(())
    }
}
