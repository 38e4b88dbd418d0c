//! Any table: keys, required values, `disable`.

use super::{Facts, Sink};
use crate::tables::schema::{LITEFILE, TABLES};
use std::collections::HashSet;

/// xCAT's databases do not take a second row with the same key, disabled or not.
pub(super) fn duplicate(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for table in TABLES {
        let mut seen = HashSet::new();
        let Some(column) = table.keys.first() else {
            continue;
        };
        for row in facts.site.rows(table).iter().enumerate() {
            if !seen.insert(row.1.key(table)) {
                let names = table.keys.join(" and ");
                let reason = format_args!("another row has the same {names}");
                sink.report(table, row, column, reason);
            }
        }
    }
}

pub(super) fn required(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for table in TABLES {
        for column in table.columns.iter().filter(|column| column.required) {
            if table.name == LITEFILE.name && column.name == "image" {
                continue; // blank means every image: see the rule blank-image
            }
            for row in facts.site.rows(table).iter().enumerate() {
                if row.1.get(table, column.name).is_none() {
                    let reason = format_args!("a value is needed: {}", column.help);
                    sink.report(table, row, column.name, reason);
                }
            }
        }
    }
}

pub(super) fn disable(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    let plain = ["1", "yes", "y", "true"];
    for table in TABLES {
        for row in facts.site.rows(table).iter().enumerate() {
            let Some(word) = row.1.get(table, "disable") else {
                continue;
            };
            if !row.1.live(table) && !plain.iter().any(|yes| word.eq_ignore_ascii_case(yes)) {
                let reason =
                    format_args!("\"{word}\" disables the row: only blank, 0 and no keep it live");
                sink.report(table, row, "disable", reason);
            }
        }
    }
}
