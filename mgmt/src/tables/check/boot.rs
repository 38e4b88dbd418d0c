//! Values that reach boot files: the rules nodeset has, when a value is set.

use super::{Facts, Sink};
use crate::bootconf::check::{RULES, value};
use crate::bootconf::cmdline::extra;
use crate::bootconf::loader::{self, LOADERS, Loader};
use crate::resolve;
use crate::tables::schema::{self, LINUXIMAGE, NODERES, SITE};

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

/// Kernel arguments of an image that the boot loader of one of its nodes would take as its own.
pub(super) fn arguments(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    let bad = |text: &str| {
        let text = extra::without_templates(text);
        let reason = move |loader: &&'static Loader| {
            let words = loader.added.of(&text, facts.dialect);
            Some((loader.name, (loader.misreads)(&words)?))
        };
        LOADERS.iter().filter_map(reason).collect::<Vec<_>>()
    };
    // A boot target brings its own arguments.
    let rows: Vec<_> = facts
        .values(&LINUXIMAGE, "addkcmdline")
        .filter(|((_, row), _)| row.get(&LINUXIMAGE, "boottarget").is_none())
        .map(|(row, text)| (row, text, bad(text)))
        .filter(|(.., bad)| !bad.is_empty())
        .collect();
    if rows.is_empty() {
        return;
    }
    let mut used = std::collections::HashMap::new();
    for node in facts.site.nodes() {
        let netboot = facts.site.node_value(node, &NODERES, "netboot");
        let loader = netboot.as_deref().and_then(loader::find);
        if let (Some(loader), Ok(image)) = (loader, resolve::image_of(facts.site, node)) {
            used.entry((image, loader.name)).or_insert(node);
        }
    }
    for (row, text, bad) in rows {
        let image = row.1.get(&LINUXIMAGE, "imagename").unwrap_or_default();
        for (name, why) in bad {
            if let Some(node) = used.get(&(image.to_owned(), name)) {
                let shown = text.escape_debug();
                let reason = format_args!("\"{shown}\": {why} ({node} boots it by {name})");
                sink.report(&LINUXIMAGE, row, "addkcmdline", reason);
            }
        }
    }
}
