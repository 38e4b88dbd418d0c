//! What a rule found, and all of it together.

use crate::tables::row::place;
use serde::Serialize;
use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;

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
}

/// A finding that did not stop a change.
pub type Warning = Finding;

impl Finding {
    /// What it says about which row, wherever in the table that is.
    fn content(&self) -> impl Hash + Eq + use<> {
        let place = (self.rule, self.table, self.column, self.severity);
        (place, self.key.clone(), self.reason.clone())
    }
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
        let known: HashSet<_> = before.findings.iter().map(Finding::content).collect();
        let findings = self.findings.into_iter();
        let new = findings.filter(|finding| !known.contains(&finding.content()));
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
