//! Values that reach boot files: the rules nodeset has, when a value is set.

use super::{Facts, Sink};
use crate::bootconf::check::{RULES, value};
use crate::tables::schema::{self, SITE};

/// Columns with a rule of their own in this directory.
const ELSEWHERE: &[(&str, &str)] = &[
    ("noderes", "netboot"),
    ("osimage", "nfsrootopts"),
    ("statelite", "mntopts"),
    ("site", "statelitemode"),
    ("site", "httpport"),
    ("site", "xcatdport"),
];

pub(super) fn boot_value(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for (table, column, _) in RULES {
        if ELSEWHERE.contains(&(table, column)) {
            continue;
        }
        if *table == SITE.name {
            if let Some((row, text)) = facts.setting(column)
                && let Some(why) = value(table, column, text)
            {
                let shown = text.escape_debug();
                sink.report(&SITE, row, "value", format_args!("\"{shown}\": {why}"));
            }
            continue;
        }
        let Some(table) = schema::table(table) else {
            continue;
        };
        for (row, text) in facts.values(table, column) {
            if let Some(why) = value(table.name, column, text) {
                let shown = text.escape_debug();
                sink.report(table, row, column, format_args!("\"{shown}\": {why}"));
            }
        }
    }
}
