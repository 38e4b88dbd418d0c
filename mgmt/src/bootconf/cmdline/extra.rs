//! What an administrator adds: linuximage.addkcmdline with its templates, and the words of our own that a setting asks for.
//!
//! `#NODEATTRIB:TABLE:COLUMN#` and `#TABLE:TABLE:$NODE:COLUMN#` (or `THISNODE`) stand for a value of the node. xCAT
//! knows them for pxe and xnba only and writes them as they are elsewhere, which no kernel can use; here they work for
//! every loader.

use crate::bootconf::facts::Facts;
use crate::bootconf::{BootError, Era};
use crate::tables::schema;
use regex::{Captures, Regex};
use std::sync::LazyLock;

static TEMPLATE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new("#(NODEATTRIB|TABLE):([^:#]+):([^:#]+)(?::([^:#]+))?#").ok());

/// The words of addkcmdline with their templates filled in; a value that is not set is empty.
///
/// # Errors
/// [`BootError::Value`] for a template that names no table or column, or another key than the node.
pub fn words(facts: &Facts<'_>) -> Result<String, BootError> {
    let Some(text) = facts.image.addkcmdline.as_deref() else {
        return Ok(String::new());
    };
    let mut error = None;
    let fill = |found: &Captures<'_>| match value(facts, found) {
        Ok(value) => value,
        Err(why) => {
            error.get_or_insert(why);
            String::new()
        }
    };
    let words = match TEMPLATE.as_ref() {
        Some(template) => template.replace_all(text, fill).into_owned(),
        None => text.to_owned(),
    };
    let bad = |why| BootError::Value {
        column: "linuximage.addkcmdline",
        value: text.escape_debug().to_string(),
        why,
    };
    if let Some(why) = error {
        return Err(bad(why));
    }
    // A value filled in can bring what the text itself must not have.
    if words.contains(|c: char| c.is_control()) {
        return Err(bad("a value in it has a control character".to_owned()));
    }
    Ok(words)
}

/// The words without their templates: what stands in every node's boot file, whatever its values are.
#[must_use]
pub fn without_templates(words: &str) -> String {
    match TEMPLATE.as_ref() {
        Some(template) => template.replace_all(words, "").into_owned(),
        None => words.to_owned(),
    }
}

fn value(facts: &Facts<'_>, found: &Captures<'_>) -> Result<String, String> {
    let part = |index| found.get(index).map_or("", |part| part.as_str());
    let (table, column) = match (part(1), part(4)) {
        ("NODEATTRIB", "") => (part(2), part(3)),
        ("TABLE", column) if !column.is_empty() => {
            let key = part(3);
            if !key.contains("THISNODE") && !key.contains("$NODE") {
                return Err(format!(
                    "{}: the key can only be $NODE or THISNODE",
                    part(0)
                ));
            }
            (part(2), column)
        }
        _ => {
            return Err(format!(
                "{}: expected #NODEATTRIB:TABLE:COLUMN# or #TABLE:TABLE:$NODE:COLUMN#",
                part(0)
            ));
        }
    };
    let known = schema::table(table).filter(|table| table.by_node());
    let known = known.filter(|table| table.index(column).is_some());
    let Some(table) = known else {
        return Err(format!(
            "{}: there is no column {column} of nodes in a table {table}",
            part(0)
        ));
    };
    Ok(facts
        .site
        .node_value(&facts.node, table, column)
        .unwrap_or_default())
}

/// The words that are for this boot, each with a blank after it: those that begin with `R::` are for an installed system.
#[must_use]
pub fn volatile(words: &str) -> String {
    let words = words
        .split_whitespace()
        .filter(|word| !word.starts_with("R::"));
    words.map(|word| format!("{word} ")).collect()
}

/// Our own words, when `site.statelitemode` asks for them: ` statelite.mode=links`, and ` statelite.dialect=2010` where the
/// option words have their meaning of 2010. An image whose addkcmdline has one of them decides for itself.
#[must_use]
pub fn mode(facts: &Facts<'_>, words: &str) -> String {
    let Some(mode) = facts.settings.mode.as_deref() else {
        return String::new();
    };
    let has = |key: &str| words.split_whitespace().any(|word| word.starts_with(key));
    let mut text = String::new();
    if mode == "links" && !has("statelite.mode=") {
        text += " statelite.mode=links";
    }
    if facts.era == Era::Seed2010 && !has("statelite.dialect=") {
        text += " statelite.dialect=2010";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_installed_systems_are_left_out() {
        for (text, wanted) in [
            ("console=ttyS0 quiet", "console=ttyS0 quiet "),
            ("R::root=/dev/sda R::x", ""),
            ("first R::p=1 second  R::l third", "first second third "),
            ("", ""),
        ] {
            assert_eq!(volatile(text), wanted, "{text:?}");
        }
    }
}
