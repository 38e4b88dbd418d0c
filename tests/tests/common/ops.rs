//! The operations of the model test, and how they are drawn.

use anyhow::{Result, bail};
use proptest::prelude::*;
use rustix::io::Errno;

use super::name;
use super::tree::{Errors, How, Kind, Node, Tree};

/// A change or a look. Paths are relative to the root of the mount.
#[derive(Debug, Clone)]
pub enum Op {
    Create(String, u16),
    Write(String, u8, u16, u16),
    Append(String, u8),
    Truncate(String, u16),
    Chmod(String, u16),
    Mkdir(String),
    Rmdir(String),
    Unlink(String),
    Rename(String, String, How),
    Link(String, String),
    Symlink(String),
    Fifo(String),
    SetXattr(String, u8, u8),
    RemoveXattr(String, u8),
    Read(String),
    List(String),
    /// Another content for a file of a lower layer that shows.
    EditLower(String, u8),
    /// A new file in a directory of the image that shows.
    AddLower(String),
    Remount,
}

pub const DIRS: [&str; 12] = [
    "", "", "d", "d/s", "d/per", "d/per/v", "d/per/x", "ro", "ro/v", "x", "x/y", "d/s/z",
];
pub const NAMES: [&str; 14] = [
    "a", "b", "d", "s", "x", "y", "z", "h1", "h2", "con", "pf", "vf", "v", "per",
];
pub const XATTRS: [&str; 2] = ["user.one", "trusted.two"];

/// `user.*` is for files and directories only.
pub fn xattr_for(tree: &Tree, path: &str, key: u8) -> &'static str {
    let plain = tree
        .exists(path)
        .map(|id| matches!(tree.node(id).kind, Kind::File(_) | Kind::Dir(_)));
    let [user, trusted] = XATTRS;
    if key == 0 && plain.unwrap_or(true) {
        user
    } else {
        trusted
    }
}

/// How often each kind of operation was done, and how often it succeeded.
static TALLY: std::sync::Mutex<std::collections::BTreeMap<String, (u64, u64)>> =
    std::sync::Mutex::new(std::collections::BTreeMap::new());

/// Counts an operation that was done.
pub fn tally(op: &Op, succeeded: bool) {
    let text = format!("{op:?}");
    let kind = text.split('(').next().unwrap_or_default().to_owned();
    if let Ok(mut all) = TALLY.lock() {
        let (done, good) = all.entry(kind).or_default();
        *done += 1;
        *good += u64::from(succeeded);
    }
}

/// Operations done and succeeded, all and by kind.
pub fn tallied() -> (u64, u64, String) {
    let all = TALLY.lock().map(|all| all.clone()).unwrap_or_default();
    let (done, good) = all.values().fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    (done, good, format!("{all:?}"))
}

/// Requires the outcome the model has; returns whether the call succeeded.
pub fn agree<T>(op: &Op, got: rustix::io::Result<T>, wanted: &Errors) -> Result<bool> {
    let got = got.map_or_else(Errno::raw_os_error, |_| 0);
    let fits = if wanted.is_empty() {
        got == 0
    } else {
        wanted.contains(&got)
    };
    if !fits {
        let wanted: Vec<String> = wanted.iter().map(|errno| name(*errno)).collect();
        bail!(
            "{op:?}: {}, wanted {wanted:?} (success if empty)",
            name(got)
        );
    }
    tally(op, got == 0);
    Ok(got == 0)
}

/// A path: mostly `?N`, the N-th of those there are when the operation is done, else one of a fixed set.
pub fn path() -> impl Strategy<Value = String> {
    let fixed = (
        prop::sample::select(&DIRS[..]),
        prop::sample::select(&NAMES[..]),
    );
    let fixed = fixed.prop_map(|(dir, name)| match dir {
        "" => name.to_owned(),
        dir => format!("{dir}/{name}"),
    });
    prop_oneof![2 => there(), 1 => fixed]
}

/// A path that is there.
pub fn there() -> impl Strategy<Value = String> {
    any::<u16>().prop_map(|number| format!("?{number}"))
}

/// A path that mostly is not there, in a directory that is.
pub fn free() -> impl Strategy<Value = String> {
    let below = (any::<u16>(), prop::sample::select(&NAMES[..]));
    prop_oneof![2 => below.prop_map(|(number, name)| format!("?{number}/{name}")), 1 => path()]
}

/// The operation with its paths as they are in this tree.
pub fn resolve(op: &Op, tree: &Tree) -> Op {
    let all = |wanted: &dyn Fn(&Node) -> bool| -> Vec<String> {
        let paths = tree.paths().into_iter();
        paths
            .filter(|(_, id)| wanted(tree.node(*id)))
            .map(|(path, _)| path)
            .collect()
    };
    let dir = |node: &Node| matches!(node.kind, Kind::Dir(_));
    let pick = |path: &String, wanted: &dyn Fn(&Node) -> bool| -> String {
        let Some(rest) = path.strip_prefix('?') else {
            return path.clone();
        };
        let (number, name) = rest.split_once('/').unwrap_or((rest, ""));
        let from = if name.is_empty() {
            all(wanted)
        } else {
            all(&dir)
        };
        let number: usize = number.parse().unwrap_or_default();
        let chosen = from
            .get(number % from.len().max(1))
            .cloned()
            .unwrap_or_default();
        if name.is_empty() {
            chosen
        } else {
            format!("{chosen}/{name}")
        }
    };
    let any = |_: &Node| true;
    let file = |node: &Node| matches!(node.kind, Kind::File(_));
    let shows = |node: &Node| node.lower.is_some();
    let mut op = op.clone();
    match &mut op {
        Op::Rename(a, b, _) | Op::Link(a, b) => {
            *a = pick(a, &any);
            *b = pick(b, &any);
        }
        Op::Write(path, ..) | Op::Append(path, _) | Op::Truncate(path, _) => {
            *path = pick(path, &file)
        }
        Op::Unlink(path) => *path = pick(path, &|node| !dir(node)),
        Op::Rmdir(path) | Op::List(path) => *path = pick(path, &dir),
        Op::EditLower(path, _) => *path = pick(path, &|node| file(node) && shows(node)),
        Op::AddLower(path) => *path = pick(path, &|node| dir(node) && shows(node)),
        Op::Create(path, _)
        | Op::Chmod(path, _)
        | Op::SetXattr(path, ..)
        | Op::RemoveXattr(path, _) => {
            *path = pick(path, &any);
        }
        Op::Mkdir(path) | Op::Symlink(path) | Op::Fifo(path) | Op::Read(path) => {
            *path = pick(path, &any)
        }
        Op::Remount => {}
    }
    op
}

pub fn how() -> impl Strategy<Value = How> {
    prop_oneof![4 => Just(How::Replace), 1 => Just(How::Refuse), 1 => Just(How::Exchange)]
}

pub fn op() -> impl Strategy<Value = Op> {
    let modes = || prop::sample::select(&[0o600_u16, 0o644, 0o755, 0o4711][..]);
    prop_oneof![
        3 => (free(), modes()).prop_map(|(path, mode)| Op::Create(path, mode)),
        4 => (path(), any::<u8>(), 0..9000_u16, 0..5000_u16).prop_map(|(p, b, o, l)| Op::Write(p, b, o, l)),
        2 => (path(), any::<u8>()).prop_map(|(path, byte)| Op::Append(path, byte)),
        1 => (path(), 0..9000_u16).prop_map(|(path, length)| Op::Truncate(path, length)),
        2 => (path(), modes()).prop_map(|(path, mode)| Op::Chmod(path, mode)),
        3 => free().prop_map(Op::Mkdir),
        3 => prop_oneof![2 => there(), 1 => path()].prop_map(Op::Rmdir),
        5 => path().prop_map(Op::Unlink),
        10 => (path(), prop_oneof![1 => path(), 2 => free()], how()).prop_map(|(from, to, how)| Op::Rename(from, to, how)),
        4 => (path(), free()).prop_map(|(from, to)| Op::Link(from, to)),
        1 => free().prop_map(Op::Symlink),
        1 => free().prop_map(Op::Fifo),
        2 => (path(), 0..2_u8, any::<u8>()).prop_map(|(path, key, value)| Op::SetXattr(path, key, value)),
        1 => (path(), 0..2_u8).prop_map(|(path, key)| Op::RemoveXattr(path, key)),
        2 => path().prop_map(Op::Read),
        2 => prop_oneof![path(), Just(String::new())].prop_map(Op::List),
        1 => (there(), any::<u8>()).prop_map(|(path, byte)| Op::EditLower(path, byte)),
        1 => there().prop_map(Op::AddLower),
        1 => Just(Op::Remount),
    ]
}
