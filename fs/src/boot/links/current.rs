//! The options of the current dialect (facts §2, table "Node-side effect").

use super::Script;
use super::entry::Entry;
use super::step::Step;
use std::path::Path;

/// The copy command in the log.
const CP: &str = "cp -r -a";

/// Does what an entry's option asks for.
pub(super) fn handle(script: &mut Script<'_>, entry: &Entry) {
    match entry.option.as_str() {
        "con" => concatenate(script, entry, true),
        "link,con" => concatenate(script, entry, false),
        "ro" => read_only(script, entry),
        "link,ro" => read_only_link(script, entry),
        "persistent" => persistent(script, entry, false),
        "link,persistent" => persistent(script, entry, true),
        "localdisk" => local(script, entry),
        "tmpfs" | "tempfs" | "rw" => volatile(script, entry, entry.parent.is_none()),
        // `link`, `tmpfs,rw` and blank: the image's link points there already.
        _ => volatile(script, entry, false),
    }
}

/// Where an entry's content comes from. A directory that lies in no other is copied from every tree that has it, in
/// order; a tree that also has one of its children is passed over for the directory itself.
fn sources(script: &Script<'_>, entry: &Entry) -> Vec<String> {
    let places = script.places;
    let mut found = places.in_trees(&entry.path);
    if entry.path.ends_with('/') && entry.parent.is_none() {
        found.retain(|place| {
            let tree = place.strip_suffix(entry.path.as_str()).unwrap_or(place);
            let holds = |child: &String| Path::new(&format!("{tree}{child}")).exists();
            !entry.children.iter().any(holds)
        });
    } else {
        found.truncate(1);
    }
    if found.is_empty() {
        found.extend(places.default(&entry.path));
    }
    found
}

fn volatile(script: &mut Script<'_>, entry: &Entry, bind: bool) {
    let target = script.places.tmpfs(&entry.path);
    let sources = sources(script, entry);
    if sources.is_empty() {
        script.nowhere(entry);
    }
    for source in sources {
        script.make_parent(&target);
        script.copy(&source, &target, CP);
        if bind {
            bind_over(script, entry, &target, false);
        }
    }
}

fn persistent(script: &mut Script<'_>, entry: &Entry, link: bool) {
    let stored = script.places.stored(&entry.path);
    if !Path::new(&stored).exists() {
        let sources = sources(script, entry);
        if sources.is_empty() {
            script.nowhere(entry);
            return;
        }
        for source in sources {
            script.make_parent(&stored);
            script.copy(&source, &stored, CP);
        }
    }
    let linked_parent = entry
        .parent
        .as_ref()
        .is_some_and(|parent| is_link(&parent.option));
    if link && linked_parent {
        let target = script.places.tmpfs(&entry.path);
        script.perform(&Step::Bind {
            source: stored,
            target,
            read_only: false,
        });
    } else if link {
        let name = script.places.tmpfs(entry.path.trim_end_matches('/'));
        script.make_parent(&name);
        let text = script.places.seen(&stored).to_owned();
        script.perform(&Step::Link { text, name });
    } else {
        // The stock script puts the root before a path that has one slash too many for entries inside others.
        let root = &script.places.root;
        let slash = if entry.parent.is_some() { "/" } else { "" };
        let target = format!("{root}{slash}{}", entry.path.trim_end_matches('/'));
        script.perform(&Step::Bind {
            source: stored,
            target,
            read_only: false,
        });
    }
}

fn local(script: &mut Script<'_>, entry: &Entry) {
    let target = script.places.local(&entry.path);
    if !Path::new(&target).exists() {
        let sources = sources(script, entry);
        if sources.is_empty() {
            script.nowhere(entry);
            return;
        }
        for source in sources {
            script.make_parent(&target);
            script.copy(&source, &target, CP);
        }
    }
    if entry.parent.is_none() {
        bind_over(script, entry, &target, false);
    }
}

fn concatenate(script: &mut Script<'_>, entry: &Entry, bind: bool) {
    let target = script.places.tmpfs(&entry.path);
    let mut parts = script.places.in_trees(&entry.path);
    // What only the image has is appended, but never bound.
    let bind = bind && !parts.is_empty();
    if parts.is_empty() {
        parts.extend(script.places.default(&entry.path));
    }
    if parts.is_empty() {
        script.nowhere(entry);
        return;
    }
    for source in parts {
        script.make_parent(&target);
        let target = target.clone();
        script.perform(&Step::Append { source, target });
    }
    if bind {
        bind_over(script, entry, &target, false);
    }
}

/// An empty placeholder in the tmpfs, and the source itself bound over the path.
fn read_only(script: &mut Script<'_>, entry: &Entry) {
    let Some(source) = first(script, entry) else {
        script.nowhere(entry);
        return;
    };
    let placeholder = script.places.tmpfs(&entry.path);
    if Path::new(&placeholder).exists() {
        script.perform(&Step::Remove(placeholder.clone()));
    }
    let made = match super::place::parent(&placeholder) {
        Some(parent) => std::fs::create_dir_all(parent),
        None => Ok(()),
    };
    let made = made.and_then(|()| {
        if entry.path.ends_with('/') {
            std::fs::create_dir_all(&placeholder)
        } else {
            std::fs::File::create(&placeholder).map(drop)
        }
    });
    if let Err(error) = made {
        script.hands.say(&format!("{placeholder}: {error}"));
    }
    bind_over(script, entry, &source, true);
}

fn read_only_link(script: &mut Script<'_>, entry: &Entry) {
    if entry.parent.is_some() {
        return;
    }
    let Some(source) = first(script, entry) else {
        script.nowhere(entry);
        return;
    };
    let name = script.places.tmpfs(entry.path.trim_end_matches('/'));
    script.make_parent(&name);
    let text = script.places.seen(&source).to_owned();
    script.perform(&Step::Link { text, name });
}

fn first(script: &Script<'_>, entry: &Entry) -> Option<String> {
    let found = script.places.in_trees(&entry.path).into_iter().next();
    found.or_else(|| script.places.default(&entry.path))
}

fn bind_over(script: &mut Script<'_>, entry: &Entry, source: &str, read_only: bool) {
    let target = format!("{}{}", script.places.root, entry.path.trim_end_matches('/'));
    let source = source.to_owned();
    script.perform(&Step::Bind {
        source,
        target,
        read_only,
    });
}

fn is_link(option: &str) -> bool {
    matches!(option, "" | "tmpfs,rw") || option.starts_with("link")
}
