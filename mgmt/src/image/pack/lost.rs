//! What the archive has no place for: cpio's newc form carries no extended attributes, so capabilities and ACLs are lost.
//!
//! Labels of SELinux are not counted: a node that enforces it relabels what it unpacks.

use std::collections::BTreeMap;

/// How many files a warning names.
const NAMED: usize = 10;

/// A kind of attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Capability,
    Acl,
    Other,
}

/// The kind of an attribute; none when nothing is lost by it.
pub(super) fn kind(key: &[u8]) -> Option<Kind> {
    match key {
        b"security.capability" => Some(Kind::Capability),
        b"system.posix_acl_access" | b"system.posix_acl_default" => Some(Kind::Acl),
        b"security.selinux" => None,
        // Our own note on the root, see `lite::root`.
        key if key.ends_with(b".statelite.mtime") => None,
        _ => Some(Kind::Other),
    }
}

/// Warnings, one for each kind, that name the files.
pub(super) fn warnings<'a>(files: impl Iterator<Item = (&'a [u8], &'a [Kind])>) -> Vec<String> {
    let mut by_kind: BTreeMap<Kind, Vec<&[u8]>> = BTreeMap::new();
    for (path, kinds) in files {
        for kind in kinds {
            by_kind.entry(*kind).or_default().push(path);
        }
    }
    let text = |(kind, paths): (Kind, Vec<&[u8]>)| {
        let what = match kind {
            Kind::Capability => "file capabilities",
            Kind::Acl => "ACLs",
            Kind::Other => "extended attributes",
        };
        let names = paths.iter().take(NAMED);
        let names: Vec<_> = names
            .map(|path| format!("/{}", String::from_utf8_lossy(path)))
            .collect();
        let more = match paths.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!(
            "{what} are not in the archive, which has no place for them, and nodes will not have them: {}{more}",
            names.join(", ")
        )
    };
    by_kind.into_iter().map(text).collect()
}
