//! The options of 2010 (facts §2): what is no `bind` is a link of the image, and `tmpfs` alone is ignored.

use super::Script;
use super::entry::Entry;
use super::step::Step;
use std::path::Path;

/// The copy command in the log.
const CP: &str = "cp -a";

/// Does what an entry's option asks for, with each of its sources.
pub(super) fn handle(script: &mut Script<'_>, entry: &Entry) {
    let mut sources = script.places.in_trees(&entry.path);
    if entry.option != "con" {
        sources.truncate(1);
    }
    if sources.is_empty() {
        sources.extend(script.places.default(&entry.path));
    }
    if sources.is_empty() {
        script.nowhere(entry);
    }
    for source in sources {
        let tmpfs = script.places.tmpfs(&entry.path);
        script.make_parent(&tmpfs);
        match entry.option.as_str() {
            "" | "tmpfs,rw" => script.copy(&source, &tmpfs, CP),
            "bind" => {
                script.copy(&source, &tmpfs, CP);
                if entry.parent.is_none() {
                    let path = entry.path.trim_end_matches('/');
                    let target = format!("{}{path}", script.places.root);
                    bind(script, tmpfs, target);
                }
            }
            "bind,persistent" => {
                let stored = store(script, entry, &source);
                let path = entry.path.trim_end_matches('/');
                let target = script.places.doubly_slashed(path);
                bind(script, stored, target);
            }
            "con" => script.perform(&Step::Append {
                source,
                target: tmpfs,
            }),
            "ro" => {
                let text = script.places.seen(&source).to_owned();
                let name = tmpfs.trim_end_matches('/').to_owned();
                script.perform(&Step::Link { text, name });
            }
            option if option.starts_with("persistent") => {
                let stored = store(script, entry, &source);
                persistent_link(script, &stored, tmpfs.trim_end_matches('/'));
            }
            // `tmpfs` is documented, but the script has no branch for it.
            _ => {}
        }
    }
}

/// Copies to the store what it does not have yet.
fn store(script: &mut Script<'_>, entry: &Entry, source: &str) -> String {
    let stored = script.places.stored(&entry.path);
    script.make_parent(&stored);
    if !Path::new(&stored).exists() {
        script.copy(source, &stored, CP);
    }
    stored
}

fn persistent_link(script: &mut Script<'_>, stored: &str, name: &str) {
    let (text, name) = (script.places.seen(stored).to_owned(), name.to_owned());
    if Path::new(&name).is_dir() {
        script.perform(&Step::Remove(name.clone()));
    }
    script.perform(&Step::Link { text, name });
}

fn bind(script: &mut Script<'_>, source: String, target: String) {
    script.perform(&Step::Bind {
        source,
        target,
        read_only: false,
    });
}
