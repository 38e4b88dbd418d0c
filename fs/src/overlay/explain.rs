//! Why a path looks as it does.

use super::Overlay;
use super::layer::Layer;
use super::node::{Body, Node, Presence};
use super::region::Region;
use super::view::View;
use crate::sys::Result;
use rustix::fs::FileType;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use statelite_policy::{Origin, Placement};
use std::path::PathBuf;
use std::sync::Arc;

/// One layer that answers for a path.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SourceFile {
    /// The layer: `image`, `tree 1`, `volatile`, ...
    pub layer: String,
    /// The file or directory in it, as the daemon's host names it.
    pub path: PathBuf,
}

/// The answer to `explain PATH`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// The path asked for.
    pub path: String,
    /// What is there: `file`, `directory`, `symlink`, ...; none if nothing is shown.
    pub kind: Option<String>,
    /// The path of the rule that decides; none if no row covers it.
    pub rule: Option<String>,
    /// The rule's option as written.
    pub option: Option<String>,
    /// Where the rule comes from.
    pub origin: Option<String>,
    /// Where the file lives.
    pub placement: Placement,
    /// What answers, first match first; several for a merged directory or a joined file.
    pub sources: Vec<SourceFile>,
    /// `st_ino`.
    pub inode: Option<u64>,
    /// Target of a symlink.
    pub target: Option<String>,
    /// What a write would do.
    pub write: String,
    /// How soon an edit of the source shows, in words.
    pub freshness: String,
}

impl Overlay {
    /// Explains `path` (absolute in the merged view). Symlinks are not followed.
    ///
    /// # Errors
    /// I/O errors of the layers. A path that does not exist is explained as such.
    pub fn explain(&self, path: &[u8]) -> Result<Explanation> {
        let view = self.view();
        let mut held = Vec::new();
        let mut node = Some(self.node(super::ident::ROOT)?);
        for name in path.split(|b| *b == b'/').filter(|name| !name.is_empty()) {
            let Some(dir) = node.take_if(|dir| dir.is_dir()) else {
                node = None;
                break;
            };
            match self.enter(&view, &dir, name) {
                Ok(entry) => {
                    held.push(entry.node.ino);
                    node = Some(entry.node);
                }
                Err(e) if super::lower::is_absent(e) => break,
                Err(e) => {
                    held.iter().for_each(|ino| self.nodes.release(*ino, 1));
                    return Err(e);
                }
            }
        }
        let explained = self.explain_node(&view, path, node.as_ref());
        for ino in held {
            self.nodes.release(ino, 1);
        }
        explained
    }

    fn explain_node(
        &self,
        view: &View,
        path: &[u8],
        node: Option<&Arc<Node>>,
    ) -> Result<Explanation> {
        let region = match node {
            Some(node) => self.place(view, node)?.region,
            None => view.place(path).region,
        };
        let rule = region.rule.as_ref();
        let body = node.map(|node| node.body());
        Ok(Explanation {
            path: String::from_utf8_lossy(path).into_owned(),
            kind: node.map(|node| kind_word(node.kind).to_owned()),
            rule: rule.map(|rule| match rule.directory && rule.path != "/" {
                true => format!("{}/", rule.path),
                false => rule.path.clone(),
            }),
            option: rule.map(|rule| rule.option.clone()),
            origin: rule.map(|rule| origin_text(&rule.origin)),
            placement: region.placement,
            sources: node.map_or_else(Vec::new, |node| sources(node, &region)),
            inode: node.map(|node| node.ino),
            target: match node {
                Some(node) if node.kind == FileType::Symlink => self
                    .readlink(node.ino)
                    .ok()
                    .map(|t| String::from_utf8_lossy(&t).into_owned()),
                _ => None,
            },
            write: write_text(&region, body.as_ref()),
            freshness: freshness_text(&region, body.as_ref()),
        })
    }
}

fn kind_word(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "file",
        FileType::Directory => "directory",
        FileType::Symlink => "symlink",
        FileType::Fifo => "fifo",
        FileType::Socket => "socket",
        FileType::CharacterDevice => "character device",
        FileType::BlockDevice => "block device",
        _ => "unknown",
    }
}

fn origin_text(origin: &Origin) -> String {
    match origin {
        Origin::Row { file, line, image } => format!("{file}:{line} (image {image:?})"),
        Origin::CommandLine => "the settings of the mount".to_owned(),
        Origin::Implied(why) => format!("implied: {why}"),
    }
}

fn at(layer: &Layer, path: &[u8]) -> SourceFile {
    SourceFile {
        layer: layer.label.clone(),
        path: layer.path.join(String::from_utf8_lossy(path).as_ref()),
    }
}

fn sources(node: &Arc<Node>, region: &Region) -> Vec<SourceFile> {
    let own = || -> Option<SourceFile> {
        let store = region.store.as_ref()?;
        Some(at(&store.layer, &node.path()?))
    };
    let child = |dir: &super::layer::LayerDir, name: &[u8]| {
        at(&dir.layer, &super::layer::join(&dir.path, name))
    };
    match node.body() {
        Body::Upper { .. } => own().into_iter().collect(),
        Body::Lower { dir, name } => vec![child(&dir, &name)],
        Body::Concat { parts, name } => parts.iter().map(|dir| child(dir, &name)).collect(),
        Body::Dir(body) => {
            let upper = (body.upper == Presence::Present).then(own).flatten();
            let lowers = body.lowers.iter().map(|dir| at(&dir.layer, &dir.path));
            upper.into_iter().chain(lowers).collect()
        }
        Body::Symlink(_) | Body::Orphan(_) | Body::Gone(_) => Vec::new(),
    }
}

fn write_text(region: &Region, body: Option<&Body>) -> String {
    let in_store = match body {
        Some(Body::Upper { .. }) => true,
        Some(Body::Dir(dir)) => dir.upper == Presence::Present,
        _ => false,
    };
    // A volatile store may be a directory that somebody named.
    let ram = region.store.as_ref().is_none_or(|store| store.ram);
    let (place, end) = match ram {
        true => ("RAM", "gone at reboot"),
        false => ("the volatile store", "which is on a disk and stays"),
    };
    match region.placement {
        Placement::Image => "refused with EROFS: no rule makes this path writable".into(),
        Placement::Tree => "refused with EROFS: the rule says ro".into(),
        Placement::Volatile if in_store => format!("changes the copy in {place}; {end}"),
        Placement::Volatile if body.is_none() => format!("makes it in {place}; {end}"),
        Placement::Volatile => format!("copies it up to {place} first; {end}"),
        Placement::Concat if in_store => {
            format!("changes the copy in {place} (no longer joined); {end}")
        }
        Placement::Concat => format!("turns the joined file into a copy in {place}"),
        Placement::Persistent => "changes this node's persistent copy; survives reboot".into(),
        Placement::Local => "changes the copy on the local disk; survives reboot".into(),
    }
}

fn freshness_text(region: &Region, body: Option<&Body>) -> String {
    let ttl = region.lower_ttl();
    if region.is_opaque() || matches!(body, Some(Body::Upper { .. } | Body::Orphan(_))) {
        "edits of the image do not show: the store has its own copy".into()
    } else if matches!(body, Some(Body::Symlink(_))) {
        "it has no source".into()
    } else if ttl == super::layer::FOREVER {
        "edits of the source show at the next reload".into()
    } else {
        "edits of the source show within about a second".into()
    }
}

/// Refuses paths that are not absolute, for callers that parse user input.
///
/// # Errors
/// `EINVAL`.
pub fn check_absolute(path: &[u8]) -> Result<()> {
    if path.starts_with(b"/") {
        Ok(())
    } else {
        Err(Errno::INVAL)
    }
}
