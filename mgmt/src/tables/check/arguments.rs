//! Kernel arguments that the boot loader of a node would take as its own: the rule nodeset has, when a value is set.

use super::sources::without_commands;
use super::{Facts, Sink};
use crate::bootconf::Era;
use crate::bootconf::check::value;
use crate::bootconf::cmdline::extra;
use crate::bootconf::loader::{self, LOADERS, Loader};
use crate::resolve;
use crate::tables::schema::{self, LINUXIMAGE, NODERES, SITE};
use crate::tables::{Row, Table};

/// Which command lines a value is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum In {
    Every,
    /// Not that of 2010.
    Current,
}

/// The columns whose values are part of the command line, but for those that hold numbers or names of hosts.
const COLUMNS: &[(&str, &str, In)] = &[
    ("linuximage", "addkcmdline", In::Every),
    ("linuximage", "rootimgdir", In::Every),
    ("linuximage", "nodebootif", In::Current),
    ("linuximage", "dump", In::Current),
    ("linuximage", "crashkernelsize", In::Current),
    ("osimage", "nfsrootopts", In::Current),
    ("noderes", "nfsdir", In::Every),
    ("noderes", "installnic", In::Current),
    ("noderes", "primarynic", In::Current),
    ("statelite", "statemnt", In::Every),
    ("statelite", "mntopts", In::Current),
    ("site", "installdir", In::Every),
    ("site", "useflowcontrol", In::Current),
];

/// A value that some loader takes as its own, and each of those loaders with the reason.
struct Suspect<'a> {
    table: &'static Table,
    column: &'static str,
    row: (usize, &'a Row),
    text: &'a str,
    loaders: Vec<(&'static str, &'static str)>,
}

/// A node, its loader, and its image if that is known.
struct Booted<'a> {
    node: &'a str,
    loader: &'static str,
    image: Option<String>,
}

pub(super) fn arguments(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    let suspects = suspects(facts);
    if suspects.is_empty() {
        return;
    }
    let site = facts.site;
    let booted = |node| {
        let netboot = site.node_value(node, &NODERES, "netboot");
        let loader = netboot.as_deref().and_then(loader::find)?;
        Some(Booted {
            node,
            loader: loader.name,
            image: resolve::image_of(site, node).ok(),
        })
    };
    let nodes: Vec<Booted<'_>> = site.nodes().filter_map(booted).collect();
    for suspect in suspects {
        let (table, column, row) = (suspect.table, suspect.column, suspect.row);
        let shown = suspect.text.escape_debug();
        let wrong = nodes.iter().filter_map(|booted| {
            let Booted { node, loader, .. } = booted;
            let mut reasons = suspect.loaders.iter();
            let (_, why) = reasons.find(|(name, _)| name == loader)?;
            let reason = || format!("for {node}, which boots by {loader}: \"{shown}\": {why}");
            suspect.reaches(facts, booted).then(reason)
        });
        let wrong = wrong.collect();
        let column = if table.name == SITE.name {
            "value"
        } else {
            column
        };
        sink.report_nodes(table, row, column, wrong, true);
    }
}

impl Suspect<'_> {
    /// Whether the value is the node's.
    fn reaches(&self, facts: &Facts<'_>, booted: &Booted<'_>) -> bool {
        let key = self.row.1.key(self.table);
        if self.table.by_node() {
            let found = facts.site.find(booted.node, self.table, self.column);
            return found.is_ok_and(|found| found.is_some_and(|found| key == [found.from]));
        }
        self.table.name == SITE.name || booted.image.as_deref().is_some_and(|image| key == [image])
    }
}

/// The values to be compared with the loaders of nodes. Mostly there is none, and no node is looked at.
fn suspects<'a>(facts: &Facts<'a>) -> Vec<Suspect<'a>> {
    let mut suspects = Vec::new();
    for (name, column, lines) in COLUMNS.iter().copied() {
        let Some(table) = schema::table(name) else {
            continue;
        };
        if lines == In::Current && facts.dialect != Era::Current {
            continue;
        }
        let values: Vec<_> = match name == SITE.name {
            true => facts.setting(column).into_iter().collect(),
            false => facts.values(table, column).collect(),
        };
        for (row, text) in values {
            // A boot target brings its own arguments.
            let unused = column == "addkcmdline" && row.1.get(&LINUXIMAGE, "boottarget").is_some();
            let computed = table.by_node() && text.starts_with('|');
            let elsewhere = name != "statelite" && value(name, column, text).is_some();
            if unused || computed || elsewhere {
                continue;
            }
            let reason = |loader: &&'static Loader| {
                let words = words(facts, column, text, loader)?;
                Some((loader.name, (loader.misreads)(&words)?))
            };
            let loaders: Vec<_> = LOADERS.iter().filter_map(reason).collect();
            if !loaders.is_empty() {
                suspects.push(Suspect {
                    table,
                    column,
                    row,
                    text,
                    loaders,
                });
            }
        }
    }
    suspects
}

/// What the loader reads for certain, whatever variables, templates and commands give.
fn words(facts: &Facts<'_>, column: &str, text: &str, loader: &Loader) -> Option<String> {
    Some(match column {
        "addkcmdline" => {
            let text = extra::without_templates(text);
            loader.added.of(&text, facts.dialect)
        }
        "statemnt" => format!("STATEMNT={}", without_commands(text)?.replace('$', "")),
        // It is never the begin of a word.
        _ => format!("={text}"),
    })
}
