//! The layers and rules of the model test, and the model of what they merge to.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use rustix::fs::XattrFlags;

use super::ops::XATTRS;
use super::snapshot::{Entry, Snapshot, snapshot};
use super::tree::{Kind, Place, Tree};
use super::{World, chmod, env};

pub const RULES: [(&str, Place, &str); 8] = [
    ("", Place::Volatile, "/=tmpfs"),
    ("ro", Place::ReadOnly, "/ro/=ro"),
    ("ro/v", Place::Volatile, "/ro/v/=tmpfs"),
    ("ro/vf", Place::Volatile, "/ro/vf=tmpfs"),
    ("d/per", Place::Persistent, "/d/per/=persistent"),
    ("d/per/v", Place::Volatile, "/d/per/v/=tmpfs"),
    ("d/pf", Place::Persistent, "/d/pf=persistent"),
    ("con", Place::Volatile, "/con=con"),
];
/// Removed paths of these rules would be seeded again after a remount: see `merge.rs`.
pub const SEEDED: [&str; 2] = ["d/per", "d/pf"];
/// The layers: which layer has which file. Directories end in a slash.
pub const LAYERS: [(&str, &str); 27] = [
    ("image", "a"),
    ("image", "b"),
    ("image", "d/a"),
    ("image", "d/s/a"),
    ("image", "d/s/z/b"),
    ("image", "x/a"),
    ("image", "x/y/b"),
    ("image", "x/y/s/a"),
    ("image", "ro/a"),
    ("image", "ro/x/b"),
    ("image", "ro/v/a"),
    ("image", "ro/v/x/a"),
    ("image", "ro/vf"),
    ("image", "d/per/a"),
    ("image", "d/per/x/b"),
    ("image", "d/pf"),
    ("image", "d/per/v/a"),
    ("t1", "d/a"),
    ("t1", "d/b"),
    ("t1", "x/y/a"),
    ("t2", "d/a"),
    ("t2", "d/s/b"),
    ("t2", "ro/x/a"),
    ("t1", "con"),
    ("t2", "con"),
    ("image", "con"),
    ("image", "s/"),
];

pub fn below(path: &str, top: &str) -> bool {
    top.is_empty() || path == top || path.starts_with(&format!("{top}/"))
}

/// Fills the model with what the layers merge to.
pub fn prepare(world: &World, tree: &mut Tree) -> Result<()> {
    for layer in ["t1", "t2", "image"] {
        for (path, entry) in snapshot(&world.at(layer))? {
            let Some(text) = path.to_str().filter(|text| !text.is_empty()) else {
                continue;
            };
            let seeded = SEEDED.iter().any(|top| below(text, top)) && !below(text, "d/per/v");
            let lower = (!seeded).then(|| world.at(layer).join(&path));
            let kind = entry.mode & 0o170_000;
            let known = tree.find(text).is_ok_and(|(_, found)| found.is_some());
            if text == "con" {
                // Both trees, and not the image.
                if !known {
                    tree.add(
                        text,
                        Kind::File(b"t1:con\nt2:con\n".to_vec()),
                        entry.mode & 0o7777,
                    );
                }
                continue;
            }
            if kind == 0o040_000 {
                let id = tree.dirs(text);
                tree.node_mut(id).mode = entry.mode & 0o7777;
                if layer == "image" {
                    tree.node_mut(id).lower = lower;
                }
                continue;
            }
            if known {
                continue;
            }
            let id = match kind {
                0o120_000 => tree.add(text, Kind::Link(String::from_utf8(entry.content)?), 0o777),
                _ => tree.add(text, Kind::File(entry.content), entry.mode & 0o7777),
            };
            tree.node_mut(id).xattrs = entry.xattrs;
            tree.node_mut(id).lower = lower;
        }
    }
    tree.node_mut(0).lower = Some(world.at("image"));
    // Hard links: the layers have them, the walk above does not.
    let first = tree.exists("b").map_err(|_| anyhow::anyhow!("no b"))?;
    for other in lower_links() {
        tree.remove(other);
        tree.link("b", other);
    }
    tree.node_mut(first).lower = Some(world.at("image/b"));
    Ok(())
}

/// Further names of the image's `b`; `STATELITE_LOWER_LINKS=0` leaves them out.
pub fn lower_links() -> &'static [&'static str] {
    if env("STATELITE_LOWER_LINKS", 1) == 1 {
        &["h1", "x/h2"]
    } else {
        &[]
    }
}

/// What the model knows of a tree: no times, and only the attributes it sets.
pub fn plain(mut all: Snapshot) -> Snapshot {
    for entry in all.values_mut() {
        entry.mtime = (0, 0);
        entry.xattrs.retain(|key, _| XATTRS.contains(&key.as_str()));
    }
    all
}

/// The model as a snapshot of a tree would be.
pub fn expected(tree: &Tree) -> Snapshot {
    let mut all = Snapshot::new();
    let mut todo = vec![(PathBuf::new(), 0)];
    while let Some((path, id)) = todo.pop() {
        let node = tree.node(id);
        let (kind, content) = match &node.kind {
            Kind::Dir(children) => {
                todo.extend(children.iter().map(|(name, id)| (path.join(name), *id)));
                (0o040_000, Vec::new())
            }
            Kind::File(content) => (0o100_000, content.clone()),
            Kind::Link(target) => (0o120_000, target.clone().into_bytes()),
            Kind::Fifo => (0o010_000, Vec::new()),
        };
        let entry = Entry {
            mode: kind | node.mode,
            uid: 0,
            gid: 0,
            nlink: if kind == 0o040_000 { 0 } else { tree.links(id) },
            rdev: 0,
            content,
            mtime: (0, 0),
            xattrs: node.xattrs.clone(),
        };
        all.insert(path, entry);
    }
    all
}

/// Makes the files of the layers.
pub fn make(world: &World) -> Result<()> {
    for (layer, path) in LAYERS {
        if path.ends_with('/') {
            world.dir(&format!("{layer}/{path}"))?;
            continue;
        }
        let file = world.put(&format!("{layer}/{path}"), format!("{layer}:{path}\n"))?;
        chmod(&file, 0o640)?;
        if path != "con" {
            rustix::fs::setxattr(&file, "user.one", layer.as_bytes(), XattrFlags::empty())?;
        }
    }
    for link in lower_links() {
        fs::hard_link(world.at("image/b"), world.at(&format!("image/{link}")))?;
    }
    std::os::unix::fs::symlink("/nonexistent-model", world.at("image/x/z"))?;
    Ok(())
}
