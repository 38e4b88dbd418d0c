//! What substitutions give for the nodes they serve. A value set literally is judged by the rules of its column; one that is
//! computed by the same.

use super::{Facts, Sink, images, nodes, sources};
use crate::bootconf::check;
use crate::tables::schema::{STATELITE, TABLES};
use crate::tables::site::is_directory;
use crate::tables::substitution::{Outcome, Substitution};
use crate::tables::{Row, Table};
use std::collections::{BTreeMap, HashMap};

/// A cell of a column.
enum Cell<'a> {
    /// Text, or what another rule refuses.
    Text,
    /// The row, what it computes, and whether it is written with slashes.
    Computed((usize, &'a Row), Substitution, bool),
}

pub(super) fn value(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    // A node, and its groups.
    let mut served: Option<Vec<Vec<&str>>> = None;
    for table in TABLES.iter().copied().filter(|table| table.by_node()) {
        let columns = table.columns.iter().map(|column| column.name);
        for column in columns.filter(|name| !matches!(*name, "node" | "comments" | "disable")) {
            let cells = cells(facts, table, column);
            if !cells
                .values()
                .any(|cell| matches!(cell, Cell::Computed(..)))
            {
                continue;
            }
            let names = |node| {
                let groups = facts.site.groups(node);
                std::iter::once(node).chain(groups).collect()
            };
            let served = served.get_or_insert_with(|| facts.site.nodes().map(names).collect());
            for (_, (row, wrong)) in wrong(facts, (table, column), &cells, served) {
                // What no rule for literal values lets in.
                let forceable = table.name != STATELITE.name;
                sink.report_nodes(table, row, column, wrong, forceable);
            }
        }
    }
}

/// The cells of a column by the node or group of their rows, each compiled once.
fn cells<'a>(
    facts: &Facts<'a>,
    table: &'static Table,
    column: &'static str,
) -> HashMap<&'a str, Cell<'a>> {
    let mut cells = HashMap::new();
    for (row, text) in facts.values(table, column) {
        let slashes = text.starts_with('/');
        let literal = !slashes && !text.starts_with('|') || slashes && is_directory(table, column);
        let cell = match Substitution::parse(text) {
            Ok(Some(made)) if !literal => Cell::Computed(row, made, slashes),
            _ => Cell::Text,
        };
        let key = row.1.get(table, "node").unwrap_or_default();
        cells.entry(key).or_insert(cell);
    }
    cells
}

/// By the number of the row: the nodes that get a wrong value by it, in the order of the nodelist table. The cell that counts is
/// found as [`crate::tables::Site::find`] does.
fn wrong<'a>(
    facts: &Facts<'_>,
    (table, column): (&'static Table, &'static str),
    cells: &HashMap<&str, Cell<'a>>,
    served: &[Vec<&str>],
) -> BTreeMap<usize, ((usize, &'a Row), Vec<String>)> {
    let mut wrong = BTreeMap::new();
    for names in served {
        let node = names.first().copied().unwrap_or_default();
        for cell in names.iter().filter_map(|name| cells.get(name)) {
            let Cell::Computed(row, made, slashes) = cell else {
                break;
            };
            let why = match made.apply(node) {
                Ok(Outcome::Unmatched) if !slashes => continue,
                Ok(Outcome::Unmatched | Outcome::Blank) => None,
                Ok(Outcome::Value(value)) => judge(facts, table, column, &value),
                Err(error) => Some(error.to_string()),
            };
            if let Some(why) = why {
                let (_, nodes) = wrong.entry(row.0).or_insert((*row, Vec::new()));
                nodes.push(format!("for {node}: {why}"));
            }
            break;
        }
    }
    wrong
}

/// What the rules for literal values say.
fn judge(facts: &Facts<'_>, table: &Table, column: &str, value: &str) -> Option<String> {
    let shown = |why: &str| format!("\"{}\": {why}", value.escape_debug());
    match (table.name, column) {
        ("hosts", "ip") => nodes::no_address(value),
        ("noderes", "netboot") => nodes::no_loader(value),
        ("nodetype", "provmethod") => images::no_method(facts, value),
        ("statelite", "statemnt") => sources::no_source(value).map(|why| shown(&why)),
        ("statelite", "mntopts") => sources::no_options(value).map(shown),
        _ => check::value(table.name, column, value).map(|why| shown(&why)),
    }
}
