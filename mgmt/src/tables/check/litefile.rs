//! Paths and options of litefile rows.

use super::{Facts, Sink};
use crate::tables::Row;
use crate::tables::schema::LITEFILE;
use statelite_policy::options::{self, Word};
use statelite_policy::path::{self, RowPath};
use std::collections::HashMap;

/// The misspelling of xCAT's documents.
const TEMPFS: &str = "tempfs";
const MTAB: &str = "/etc/mtab";

/// A row that is in order.
pub(super) struct Good<'a> {
    pub(super) place: (usize, &'a Row),
    pub(super) image: &'a str,
    pub(super) path: RowPath<'a>,
    pub(super) word: &'static Word,
}

/// The live rows whose path and option are in order; the others are for [`path`] and [`option`].
pub(super) fn good<'a>(facts: &Facts<'a>) -> impl Iterator<Item = Good<'a>> {
    let dialect = facts.dialect;
    facts
        .values(&LITEFILE, "file")
        .filter_map(move |(place, file)| {
            let word = place.1.get(&LITEFILE, "options").unwrap_or_default();
            Some(Good {
                place,
                image: place.1.get(&LITEFILE, "image").unwrap_or_default(),
                path: path::parse(file).ok()?,
                word: options::parse(word, dialect).ok()?,
            })
        })
}

pub(super) fn path(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for (row, file) in facts.values(&LITEFILE, "file") {
        if let Err(error) = path::parse(file) {
            sink.report(&LITEFILE, row, "file", error);
        }
    }
}

pub(super) fn wildcard(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for (row, file) in facts.values(&LITEFILE, "file") {
        if path::looks_like_wildcard(file) {
            let reason = "wildcards are not expanded: the row would name this one path literally";
            sink.report(&LITEFILE, row, "file", reason);
        }
    }
}

pub(super) fn option(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for (row, word) in facts.values(&LITEFILE, "options") {
        if let Err(error) = options::parse(word, facts.dialect) {
            sink.report(&LITEFILE, row, "options", error);
        }
    }
}

pub(super) fn odd_option(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for row in good(facts) {
        let word = row.place.1.get(&LITEFILE, "options").unwrap_or_default();
        let reason = if word == TEMPFS {
            "\"tempfs\" is a misspelling of xCAT's documents, read as \"tmpfs\"; xCAT's liteimg refuses it"
        } else if row.path.path == MTAB && !matches!(word, "" | "link" | "tmpfs,rw") {
            "the option is not used: /etc/mtab is always \"tmpfs,rw\""
        } else if let Some(caution) = row.word.caution {
            caution
        } else {
            continue;
        };
        sink.report(&LITEFILE, row.place, "options", reason);
    }
}

pub(super) fn con_directory(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for row in good(facts) {
        if row.path.directory && row.word.files_only() {
            let reason = format_args!(
                "{} is a directory, \"{}\" is for files",
                row.path.path,
                row.word.normal()
            );
            sink.report(&LITEFILE, row.place, "options", reason);
        }
    }
}

pub(super) fn mtab_directory(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for row in good(facts).filter(|row| row.path.directory && row.path.path == MTAB) {
        sink.report(
            &LITEFILE,
            row.place,
            "file",
            "/etc/mtab is a file: write it without a slash at the end",
        );
    }
}

/// `/a` and `/a/` are two keys and one path.
pub(super) fn same_path(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    let mut seen = HashMap::new();
    for row in good(facts) {
        let file = row.place.1.get(&LITEFILE, "file").unwrap_or_default();
        match seen.insert((row.image, row.path.path), file) {
            Some(other) if other != file => {
                let reason = format_args!("{other} is the same path, listed for the same image");
                sink.report(&LITEFILE, row.place, "file", reason);
            }
            _ => {} // the same text is a duplicate key
        }
    }
}
