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
//! | [`priorities`] | the order of litetree and policy |
//! | [`nodes`] | names of nodes, boot loaders, addresses |
//! | [`regexes`] | substitution values |
//! | [`settings`] | site and policy |

mod facts;
mod finding;
mod images;
mod keys;
mod litefile;
mod nesting;
mod nodes;
mod priorities;
mod regexes;
mod settings;
mod sources;

use facts::Facts;
pub use finding::{Finding, Report, Severity, Warning};

use super::schema::TABLES;
use super::{Row, Site, Table};
use finding::Severity::{Refusal, Warning as Odd};
use std::collections::HashSet;

/// One thing that is checked.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its name, as findings carry it.
    pub id: &'static str,
    /// How bad a finding is, unless the mode of the site says otherwise.
    pub severity: Severity,
    /// Whether xCAT would work with such a value, so that `--force` gets it in.
    pub forceable: bool,
    /// What it finds, in a line.
    pub help: &'static str,
    find: fn(&Facts<'_>, &mut Sink<'_>),
}

type Find = fn(&Facts<'_>, &mut Sink<'_>);

/// A refusal that nothing overrides.
const fn never(id: &'static str, help: &'static str, find: Find) -> Rule {
    Rule {
        id,
        severity: Refusal,
        forceable: false,
        help,
        find,
    }
}

/// A refusal that xCAT does not have.
const fn refuse(id: &'static str, help: &'static str, find: Find) -> Rule {
    Rule {
        forceable: true,
        ..never(id, help, find)
    }
}

const fn warn(id: &'static str, help: &'static str, find: Find) -> Rule {
    Rule {
        severity: Odd,
        forceable: true,
        ..never(id, help, find)
    }
}

/// Every rule. [`self`] says which module has it.
pub const RULES: &[Rule] = &[
    never(
        "duplicate-key",
        "two rows with the same key",
        keys::duplicate,
    ),
    never("required", "a column without its value", keys::required),
    warn(
        "disable-word",
        "a word that disables a row although it does not look so",
        keys::disable,
    ),
    refuse(
        "unknown-image",
        "a row for an image nobody has defined",
        images::unknown,
    ),
    warn(
        "blank-image",
        "a litefile row with a blank image",
        images::blank,
    ),
    refuse(
        "unknown-provmethod",
        "a node's provmethod is no image and no method",
        images::provmethod,
    ),
    warn(
        "image-groups",
        "an osimage with several groups",
        images::groups,
    ),
    never(
        "nfsrootopts",
        "mount options of the root in a bad form",
        images::nfsrootopts,
    ),
    never("path", "a litefile path that cannot be one", litefile::path),
    refuse(
        "wildcard",
        "a litefile path with wildcards",
        litefile::wildcard,
    ),
    never(
        "option",
        "an option word the dialect does not have",
        litefile::option,
    ),
    warn(
        "odd-option",
        "an option word xCAT reads in another way",
        litefile::odd_option,
    ),
    never(
        "con-directory",
        "concatenation of a directory",
        litefile::con_directory,
    ),
    never(
        "mtab-directory",
        "/etc/mtab as a directory",
        litefile::mtab_directory,
    ),
    never(
        "same-path",
        "one path twice for the same image",
        litefile::same_path,
    ),
    never(
        "nesting",
        "rows below rows as link mode cannot have them",
        nesting::nesting,
    ),
    warn(
        "deep-nesting",
        "more than one level of rows below rows",
        nesting::deep,
    ),
    never(
        "source",
        "a litetree directory or statemnt that cannot be one",
        sources::source,
    ),
    refuse(
        "no-server",
        "a litetree directory or statemnt without a server",
        sources::no_server,
    ),
    warn(
        "literal-server",
        "a statemnt xCAT garbles",
        sources::literal_server,
    ),
    refuse(
        "variable",
        "a variable of a table or column that does not exist",
        sources::variable,
    ),
    warn(
        "unset-setting",
        "a variable of a site setting that is not set",
        sources::unset,
    ),
    never("mntopts", "mount options in a bad form", sources::mntopts),
    never(
        "priority",
        "a priority that is not a number",
        priorities::number,
    ),
    never(
        "equal-priority",
        "two numbers that are equal though written differently",
        priorities::equal,
    ),
    never("node-name", "a node name that cannot be one", nodes::name),
    warn(
        "unknown-node",
        "a row of a node or group that does not exist",
        nodes::unknown,
    ),
    refuse("netboot", "an unknown boot loader", nodes::netboot),
    refuse("address", "an address that is none", nodes::address),
    warn(
        "same-address",
        "two nodes with the same address",
        nodes::same_address,
    ),
    refuse(
        "regex",
        "a substitution that does not compile",
        regexes::compile,
    ),
    warn(
        "regex-path",
        "a path that is read as a substitution",
        regexes::path,
    ),
    refuse(
        "policy-rule",
        "an unknown word in policy.rule",
        settings::policy_rule,
    ),
    never(
        "setting",
        "a site setting with a value it cannot have",
        settings::setting,
    ),
];

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
        });
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
