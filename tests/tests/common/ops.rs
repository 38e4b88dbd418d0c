//! The operations of the model test, and how they are drawn.

use anyhow::{Result, bail};
use proptest::prelude::*;
use rustix::io::Errno;

use super::name;
use super::tree::{Errors, How, Kind, Tree};

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
    Ok(got == 0)
}

pub fn path() -> impl Strategy<Value = String> {
    (
        prop::sample::select(&DIRS[..]),
        prop::sample::select(&NAMES[..]),
    )
        .prop_map(|(dir, name)| {
            if dir.is_empty() {
                name.to_owned()
            } else {
                format!("{dir}/{name}")
            }
        })
}

pub fn how() -> impl Strategy<Value = How> {
    prop_oneof![4 => Just(How::Replace), 1 => Just(How::Refuse), 1 => Just(How::Exchange)]
}

pub fn op() -> impl Strategy<Value = Op> {
    let modes = || prop::sample::select(&[0o600_u16, 0o644, 0o755, 0o4711][..]);
    prop_oneof![
        3 => (path(), modes()).prop_map(|(path, mode)| Op::Create(path, mode)),
        4 => (path(), any::<u8>(), 0..9000_u16, 0..5000_u16).prop_map(|(p, b, o, l)| Op::Write(p, b, o, l)),
        2 => (path(), any::<u8>()).prop_map(|(path, byte)| Op::Append(path, byte)),
        1 => (path(), 0..9000_u16).prop_map(|(path, length)| Op::Truncate(path, length)),
        2 => (path(), modes()).prop_map(|(path, mode)| Op::Chmod(path, mode)),
        3 => path().prop_map(Op::Mkdir),
        3 => path().prop_map(Op::Rmdir),
        5 => path().prop_map(Op::Unlink),
        10 => (path(), path(), how()).prop_map(|(from, to, how)| Op::Rename(from, to, how)),
        4 => (path(), path()).prop_map(|(from, to)| Op::Link(from, to)),
        1 => path().prop_map(Op::Symlink),
        1 => path().prop_map(Op::Fifo),
        2 => (path(), 0..2_u8, any::<u8>()).prop_map(|(path, key, value)| Op::SetXattr(path, key, value)),
        1 => (path(), 0..2_u8).prop_map(|(path, key)| Op::RemoveXattr(path, key)),
        2 => path().prop_map(Op::Read),
        2 => prop_oneof![path(), Just(String::new())].prop_map(Op::List),
        1 => (path(), any::<u8>()).prop_map(|(path, byte)| Op::EditLower(path, byte)),
        1 => path().prop_map(Op::AddLower),
        1 => Just(Op::Remount),
    ]
}
