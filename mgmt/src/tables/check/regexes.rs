//! Values that are computed from the node's name: [`crate::tables::substitution`].

use super::{Facts, Sink};
use crate::tables::schema::TABLES;
use crate::tables::site::is_directory;
use crate::tables::substitution::Substitution;
use crate::tables::{Row, Table};

/// Every value of the tables about nodes that could be computed.
fn each(
    facts: &Facts<'_>,
    mut found: impl FnMut(&'static Table, (usize, &Row), &'static str, &str),
) {
    for table in TABLES.iter().copied().filter(|table| table.by_node()) {
        let columns = table.columns.iter().map(|column| column.name);
        for column in columns.filter(|name| !matches!(*name, "node" | "comments" | "disable")) {
            for (row, value) in facts.values(table, column) {
                if value.starts_with(['|', '/']) {
                    found(table, row, column, value);
                }
            }
        }
    }
}

pub(super) fn compile(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    each(facts, |table, row, column, value| {
        let path = value.starts_with('/') && is_directory(table, column);
        if !path && let Err(error) = Substitution::parse(value) {
            sink.report(table, row, column, error);
        }
    });
}

pub(super) fn path(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    each(facts, |table, row, column, value| {
        let inside = value
            .strip_prefix('/')
            .and_then(|rest| rest.strip_suffix('/'));
        let parts = inside.and_then(|inside| inside.split_once('/'));
        let parts = parts.filter(|(_, replacement)| !replacement.contains('/'));
        if let Some((pattern, replacement)) = parts.filter(|_| is_directory(table, column)) {
            let reason = format_args!(
                "read as a directory; xCAT would replace \"{pattern}\" by \"{replacement}\" in the node's name: write {}",
                value.trim_end_matches('/')
            );
            sink.report(table, row, column, reason);
        }
    });
}
