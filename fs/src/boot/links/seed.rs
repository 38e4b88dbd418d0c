//! The options of 2010 (facts §2): what is no `bind` is a link of the image, and `tmpfs` alone is ignored.

use super::Script;
use super::entry::Entry;
use super::step::Step;
use std::path::Path;

/// The copy command in the log.
const CP: &str = "cp -a";

/// Does what an entry's option asks for.
pub(super) fn handle(script: &mut Script<'_>, entry: &Entry) {
    let option = entry.option.as_str();
    if option.starts_with("persistent") {
        persistent(script, entry, false);
    } else {
        match option {
            "bind,persistent" => persistent(script, entry, true),
            "bind" => volatile(script, entry, true),
            "ro" => read_only(script, entry),
            "con" => concatenate(script, entry),
            // Documented, but the script has no branch for it.
            "tmpfs" => {}
            _ => volatile(script, entry, false),
        }
    }
}

fn source(script: &mut Script<'_>, entry: &Entry) -> Option<String> {
    let found = script.places.in_trees(&entry.path).into_iter().next();
    let found = found.or_else(|| script.places.default(&entry.path));
    if found.is_none() {
        script.nowhere(entry);
    }
    found
}

fn volatile(script: &mut Script<'_>, entry: &Entry, bind: bool) {
    let Some(source) = source(script, entry) else {
        return;
    };
    let target = script.places.tmpfs(&entry.path);
    script.make_parent(&target);
    script.copy(&source, &target, CP);
    if bind {
        bind_over(script, entry, target);
    }
}

fn persistent(script: &mut Script<'_>, entry: &Entry, bind: bool) {
    let stored = script.places.stored(&entry.path);
    if !Path::new(&stored).exists() {
        let Some(source) = source(script, entry) else {
            return;
        };
        script.make_parent(&stored);
        script.copy(&source, &stored, CP);
    }
    if bind {
        bind_over(script, entry, stored);
        return;
    }
    let name = script.places.tmpfs(entry.path.trim_end_matches('/'));
    script.make_parent(&name);
    let text = script.places.seen(&stored).to_owned();
    script.perform(&Step::Link { text, name });
}

fn read_only(script: &mut Script<'_>, entry: &Entry) {
    let Some(source) = source(script, entry) else {
        return;
    };
    let name = script.places.tmpfs(entry.path.trim_end_matches('/'));
    script.make_parent(&name);
    let text = script.places.seen(&source).to_owned();
    script.perform(&Step::Link { text, name });
}

fn concatenate(script: &mut Script<'_>, entry: &Entry) {
    let target = script.places.tmpfs(&entry.path);
    let mut parts = script.places.in_trees(&entry.path);
    if parts.is_empty() {
        parts.extend(script.places.default(&entry.path));
    }
    if parts.is_empty() {
        script.nowhere(entry);
    }
    for source in parts {
        script.make_parent(&target);
        let target = target.clone();
        script.perform(&Step::Append { source, target });
    }
}

fn bind_over(script: &mut Script<'_>, entry: &Entry, source: String) {
    let target = format!("{}{}", script.places.root, entry.path.trim_end_matches('/'));
    script.perform(&Step::Bind {
        source,
        target,
        read_only: false,
    });
}
