//! Substitution values: `|pattern|replacement|`, or `/pattern/replacement/` with exactly three slashes.

use super::{Facts, Sink};
use crate::tables::schema::{NODERES, STATELITE, TABLES};
use crate::tables::substitution::Substitution;
use crate::tables::{Row, Table};

/// Columns in which a value between slashes is more likely a path.
const PATHS: &[(&Table, &str)] = &[
    (&STATELITE, "statemnt"),
    (&NODERES, "nfsdir"),
    (&NODERES, "tftpdir"),
];

/// Pattern and replacement.
fn parts(value: &str) -> Option<(&str, &str)> {
    let sign = value.chars().next().filter(|c| matches!(c, '|' | '/'))?;
    let inner = value.strip_prefix(sign)?.strip_suffix(sign)?;
    let (pattern, replacement) = inner.split_once(sign)?;
    (!replacement.contains(sign)).then_some((pattern, replacement))
}

fn is_path(table: &Table, column: &str, value: &str) -> bool {
    let listed = |(t, c): &(&Table, &str)| t.name == table.name && *c == column;
    value.starts_with('/') && PATHS.iter().any(listed)
}

/// Every substitution of the tables about nodes.
fn each(
    facts: &Facts<'_>,
    mut found: impl FnMut(&'static Table, (usize, &Row), &'static str, &str, (&str, &str)),
) {
    columns(|table, column| {
        for (row, value) in facts.values(table, column) {
            if let Some(parts) = parts(value) {
                found(table, row, column, value, parts);
            }
        }
    });
}

/// Every column of the tables about nodes whose values may be substitutions.
fn columns(mut each: impl FnMut(&'static Table, &'static str)) {
    for table in TABLES.iter().copied().filter(|table| table.by_node()) {
        let columns = table.columns.iter().map(|column| column.name);
        for column in columns.filter(|name| !matches!(*name, "node" | "comments" | "disable")) {
            each(table, column);
        }
    }
}

pub(super) fn compile(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    columns(|table, column| {
        for (row, value) in facts.values(table, column) {
            if is_path(table, column, value) {
                continue;
            }
            if let Err(error) = Substitution::parse(value) {
                sink.report(table, row, column, format_args!("{error}"));
            }
        }
    });
}

pub(super) fn path(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    each(
        facts,
        |table, row, column, value, (pattern, replacement)| {
            if is_path(table, column, value) {
                let reason = format_args!(
                    "with exactly three slashes, two of them at the ends, this is a substitution of \"{pattern}\" by \
                 \"{replacement}\" in the node's name: write {} if it is a directory",
                    value.trim_end_matches('/')
                );
                sink.report(table, row, column, reason);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn forms() {
        for (value, wanted) in [
            ("|n(\\d+)|10.0.0.($1)|", Some(("n(\\d+)", "10.0.0.($1)"))),
            ("/gpfs/state/", Some(("gpfs", "state"))),
            ("|a|b|c|", None),
            ("/a/b/c/", None),
            ("/a/", None),
            ("/a/b", None),
            ("|", None),
            ("", None),
            ("/a|b/", None),
        ] {
            assert_eq!(parts(value), wanted, "{value}");
        }
    }
}
