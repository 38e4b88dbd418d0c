//! Whether the tables make sense together: every [`Rule`] looks at the whole site and reports [`Finding`]s.
//!
//! A refusal stops the change that brings it in. Where xCAT would take the same value and work with it, `--force` turns
//! the refusal into a warning. What was wrong before a change does not stop it: `statelite check` reports that. Disabled
//! rows are judged by their keys alone.
//!
//! | module | rules about |
//! |---|---|
//! | [`keys`] | any table: keys, required values, `disable` |
//! | [`images`] | names of images, osimage and linuximage |
//! | [`litefile`] | paths and options |
//! | [`nesting`] | rows below rows, in link mode |
//! | [`sources`] | litetree and statelite: `server:dir`, variables, mount options |
//! | [`wire`] | what nodes are told of them |
//! | [`priorities`] | the order of litetree and policy |
//! | [`nodes`] | names of nodes, boot loaders, addresses |
//! | [`groups`] | the nodegroup table |
//! | [`boot`], [`arguments`] | values that reach boot files |
//! | [`regexes`] | substitution values |
//! | [`computed`] | what they give for nodes |
//! | [`policy`] | the policy table |
//! | [`settings`] | the site table |

mod arguments;
mod boot;
mod computed;
mod facts;
mod finding;
mod groups;
mod images;
mod keys;
mod litefile;
mod nesting;
mod nodes;
mod policy;
mod priorities;
mod regexes;
mod rules;
mod settings;
mod sources;
mod wire;

use facts::Facts;
pub use finding::{Finding, Report, Severity, Warning};
pub use rules::{RULES, Rule};

use super::schema::TABLES;
use super::{Row, Site, Table};
use std::collections::HashSet;

/// What a rule reports to.
#[derive(Debug)]
struct Sink<'a> {
    rule: &'a Rule,
    findings: &'a mut Vec<Finding>,
}

impl Sink<'_> {
    /// Reports a row, counted from 0, and a column of it.
    fn report(
        &mut self,
        table: &'static Table,
        (index, row): (usize, &Row),
        column: &'static str,
        reason: impl std::fmt::Display,
    ) {
        self.report_as(self.rule.severity, table, (index, row), column, reason);
    }

    /// Reports what no row is to blame for.
    fn report_table(&mut self, table: &'static Table, reason: impl std::fmt::Display) {
        self.findings.push(Finding {
            rule: self.rule.id,
            severity: self.rule.severity,
            forceable: self.rule.forceable,
            table: table.name,
            row: None,
            key: Vec::new(),
            column: None,
            reason: reason.to_string(),
            nodes: Vec::new(),
        });
    }

    fn report_as(
        &mut self,
        severity: Severity,
        table: &'static Table,
        (index, row): (usize, &Row),
        column: &'static str,
        reason: impl std::fmt::Display,
    ) {
        self.findings.push(Finding {
            rule: self.rule.id,
            severity,
            forceable: self.rule.forceable,
            table: table.name,
            row: Some(index + 1),
            key: row.key(table).into_iter().map(str::to_owned).collect(),
            column: Some(column),
            reason: reason.to_string(),
            nodes: Vec::new(),
        });
    }

    /// Reports what a row does to nodes, each with what is wrong, and whether `--force` may override that as the rule has it.
    fn report_nodes(
        &mut self,
        table: &'static Table,
        row: (usize, &Row),
        column: &'static str,
        nodes: Vec<String>,
        forceable: bool,
    ) {
        if let Some(reason) = finding::of_nodes(&nodes) {
            self.report(table, row, column, reason);
            if let Some(finding) = self.findings.last_mut() {
                finding.nodes = nodes;
                finding.forceable &= forceable;
            }
        }
    }
}

/// Everything that is wrong or odd, in the order of tables and rows.
#[must_use]
pub fn check(site: &Site) -> Report {
    let facts = Facts::new(site);
    let mut findings = Vec::new();
    for rule in RULES {
        (rule.find)(
            &facts,
            &mut Sink {
                rule,
                findings: &mut findings,
            },
        );
    }
    let place = |name| TABLES.iter().position(|table| table.name == name);
    findings.sort_by_key(|finding| (place(finding.table), finding.row));
    let mut seen = HashSet::new();
    findings.retain(|finding| seen.insert(finding.clone()));
    Report { findings }
}

#[cfg(test)]
mod tests;
