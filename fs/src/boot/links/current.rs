//! The options of the current dialect (facts §2, table "Node-side effect").

use super::Script;
use super::entry::Entry;
use super::place::parent;
use super::step::Step;
use std::path::Path;

/// The copy command in the log.
const CP: &str = "cp -r -a";

/// Does what an entry's option asks for, with each of its sources.
pub(super) fn handle(script: &mut Script<'_>, entry: &Entry) {
    let found = sources(script, entry);
    if found.places.is_empty() {
        script.nowhere(entry);
        return;
    }
    for source in &found.places {
        let tmpfs = script.places.tmpfs(&entry.path);
        script.make_parent_or_link(&tmpfs);
        match entry.option.as_str() {
            "con" | "link,con" => script.perform(&Step::Append {
                source: source.clone(),
                target: tmpfs,
            }),
            "ro" => read_only(script, entry, source, &tmpfs),
            "link,ro" => read_only_link(script, entry, source, &tmpfs),
            "persistent" => persistent(script, entry, source),
            "link,persistent" => persistent_link(script, entry, source, &tmpfs),
            "localdisk" => local(script, entry, source),
            "tmpfs" | "tempfs" | "rw" => {
                script.copy(source, &tmpfs, CP);
                bind_unless_child(script, entry, tmpfs);
            }
            // The image's link points there already.
            "" | "link" | "tmpfs,rw" => script.copy(source, &tmpfs, CP),
            _ => {}
        }
    }
    // What only the image has is appended, but never bound.
    if entry.option == "con" && found.in_trees {
        let target = format!("{}{}", script.places.root, entry.path);
        bind(script, script.places.tmpfs(&entry.path), target, false);
    }
}

/// Where an entry's content comes from.
struct Sources {
    places: Vec<String>,
    /// Whether the last tree that has the entry gives anything.
    in_trees: bool,
}

/// A directory that lies in no other entry is taken from every tree that has it, in order, but not from one that has a
/// direct child entry of it as well; everything else from the first tree. If the last tree that was looked at has the
/// path and gives nothing (an empty directory, a child entry), the image's copy is taken besides: the stock script's
/// mark of having found something is lost then.
fn sources(script: &Script<'_>, entry: &Entry) -> Sources {
    let places = script.places;
    let all = matches!(entry.option.as_str(), "con" | "link,con");
    let mut found = Sources {
        places: Vec::new(),
        in_trees: false,
    };
    for tree in places.trees() {
        let place = format!("{tree}{}", entry.path);
        let path = Path::new(&place);
        if !path.exists() {
            continue;
        }
        let whole = path.is_dir() && entry.parent.is_none();
        let child_in_tree = |child: &String| Path::new(&format!("{tree}{child}")).exists();
        found.in_trees = !(is_empty(path) || whole && entry.children.iter().any(child_in_tree));
        if found.in_trees {
            found.places.push(place);
            if !whole && !all {
                break;
            }
        }
    }
    if !found.in_trees {
        found.places.extend(places.default(&entry.path));
    }
    found
}

fn is_empty(path: &Path) -> bool {
    std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

fn persistent(script: &mut Script<'_>, entry: &Entry, source: &str) {
    let stored = script.places.stored(&entry.path);
    script.make_parent(&stored);
    copy_if_absent(script, source, &stored);
    let target = script
        .places
        .doubly_slashed(entry.path.trim_end_matches('/'));
    bind(script, stored, target, false);
}

fn persistent_link(script: &mut Script<'_>, entry: &Entry, source: &str, tmpfs: &str) {
    let stored = script.places.stored(entry.path.trim_end_matches('/'));
    script.make_parent(&stored);
    copy_if_absent(script, source, &stored);
    let name = tmpfs.trim_end_matches('/').to_owned();
    match entry.parent.as_deref() {
        // The tmpfs has a copy of the directory, and a place to mount at in it.
        Some("" | "link" | "tmpfs,rw") => bind(script, stored, name, false),
        // The parent's own link leads into the store already.
        Some(_) => {}
        None => {
            if Path::new(&name).is_dir() {
                script.perform(&Step::Remove(name.clone()));
            }
            let text = script.places.seen(&stored).to_owned();
            script.perform(&Step::Link { text, name });
        }
    }
}

fn copy_if_absent(script: &mut Script<'_>, source: &str, target: &str) {
    if !Path::new(target).exists() {
        script.copy(source, target, CP);
    }
}

fn local(script: &mut Script<'_>, entry: &Entry, source: &str) {
    let target = script.places.local(&entry.path);
    script.make_parent_or_link(&target);
    let (from, to) = (Path::new(source), Path::new(&target));
    if from.is_dir() && !to.is_dir() {
        script.copy_into(source, parent(&target).unwrap_or("/"), CP);
    } else if !from.is_dir() && !to.is_file() {
        script.copy_into(source, &target, CP);
    }
    bind_unless_child(script, entry, target);
}

/// An empty placeholder in the tmpfs, and the source itself bound over the path.
fn read_only(script: &mut Script<'_>, entry: &Entry, source: &str, placeholder: &str) {
    let made = Step::Remove(placeholder.to_owned())
        .perform(script.hands)
        .and_then(|()| {
            if placeholder.ends_with('/') {
                std::fs::create_dir(placeholder)
            } else {
                std::fs::File::create(placeholder).map(drop)
            }
        });
    if let Err(error) = made {
        script.hands.say(&format!("{placeholder}: {error}"));
    }
    // A directory's trailing slash stays.
    let target = format!("{}{}", script.places.root, entry.path);
    bind(script, source.to_owned(), target, true);
}

fn read_only_link(script: &mut Script<'_>, entry: &Entry, source: &str, tmpfs: &str) {
    if entry.parent.is_none() {
        let text = script.places.seen(source).to_owned();
        let name = tmpfs.trim_end_matches('/').to_owned();
        script.perform(&Step::Link { text, name });
    }
}

fn bind_unless_child(script: &mut Script<'_>, entry: &Entry, source: String) {
    if entry.parent.is_none() {
        let path = entry.path.trim_end_matches('/');
        let target = format!("{}{path}", script.places.root);
        bind(script, source, target, false);
    }
}

fn bind(script: &mut Script<'_>, source: String, target: String, read_only: bool) {
    script.perform(&Step::Bind {
        source,
        target,
        read_only,
    });
}
