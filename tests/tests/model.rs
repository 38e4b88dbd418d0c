//! Random operations against a mount and against a simple model of it.
//!
//! `STATELITE_CASES` and `STATELITE_OPS` say how many and how long, `STATELITE_SEED` which. A failing sequence is made
//! smaller before it is shown.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use common::snapshot::{Snapshot, differences, snapshot};
use common::tree::{How, Kind, Place, Tree};
use common::{World, env, name, names};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use rustix::fs::{CWD, FileType, Mode, OFlags, RenameFlags, XattrFlags};
use rustix::io::Errno;

/// A change or a look. Paths are relative to the root of the mount.
#[derive(Debug, Clone)]
enum Op {
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

const RULES: [(&str, Place, &str); 8] = [
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
const SEEDED: [&str; 2] = ["d/per", "d/pf"];
const DIRS: [&str; 12] = ["", "", "d", "d/s", "d/per", "d/per/v", "d/per/x", "ro", "ro/v", "x", "x/y", "d/s/z"];
const NAMES: [&str; 14] = ["a", "b", "d", "s", "x", "y", "z", "h1", "h2", "con", "pf", "vf", "v", "per"];
const XATTRS: [&str; 2] = ["user.one", "trusted.two"];

/// The layers: which layer has which file. Directories end in a slash.
const LAYERS: [(&str, &str); 27] = [
    ("image", "a"), ("image", "b"), ("image", "d/a"), ("image", "d/s/a"), ("image", "d/s/z/b"), ("image", "x/a"),
    ("image", "x/y/b"), ("image", "x/y/s/a"), ("image", "ro/a"), ("image", "ro/x/b"), ("image", "ro/v/a"),
    ("image", "ro/v/x/a"), ("image", "ro/vf"), ("image", "d/per/a"), ("image", "d/per/x/b"), ("image", "d/pf"),
    ("image", "d/per/v/a"), ("t1", "d/a"), ("t1", "d/b"), ("t1", "x/y/a"), ("t2", "d/a"), ("t2", "d/s/b"),
    ("t2", "ro/x/a"), ("t1", "con"), ("t2", "con"), ("image", "con"), ("image", "s/"),
];

struct Run {
    world: World,
    tree: Tree,
    layers: Vec<Snapshot>,
    edits: usize,
}

fn below(path: &str, top: &str) -> bool {
    top.is_empty() || path == top || path.starts_with(&format!("{top}/"))
}

impl Run {
    fn start() -> Result<Option<Self>> {
        let Some(world) = World::new("model")? else { return Ok(None) };
        let mut world = world.trees().freshness("live");
        let rules: Vec<(&str, Place)> = RULES.iter().map(|(path, place, _)| (*path, *place)).collect();
        let mut tree = Tree::new(&rules);
        for (_, _, rule) in RULES {
            let (path, option) = rule.split_once('=').unwrap_or((rule, ""));
            world = world.rule(path, option);
        }
        for (layer, path) in LAYERS {
            if path.ends_with('/') {
                world.dir(&format!("{layer}/{path}"))?;
                continue;
            }
            let file = world.put(&format!("{layer}/{path}"), format!("{layer}:{path}\n"))?;
            common::chmod(&file, 0o640)?;
            if path != "con" {
                rustix::fs::setxattr(&file, "user.one", layer.as_bytes(), XattrFlags::empty())?;
            }
        }
        for link in lower_links() {
            fs::hard_link(world.at("image/b"), world.at(&format!("image/{link}")))?;
        }
        std::os::unix::fs::symlink("/nonexistent-model", world.at("image/x/z"))?;
        prepare(&world, &mut tree)?;
        world.start()?;
        let mut run = Self { world, tree, layers: Vec::new(), edits: 0 };
        run.layers = run.layers_now()?;
        Ok(Some(run))
    }

    fn layers_now(&self) -> Result<Vec<Snapshot>> {
        ["image", "t1", "t2"].iter().map(|layer| snapshot(&self.world.at(layer))).collect()
    }

    /// Whether what happened is what the model says, and brings the model up to date.
    fn step(&mut self, op: &Op) -> Result<()> {
        let m = |path: &str| self.world.m(path);
        let mode = |mode: u16| Mode::from_raw_mode(u32::from(mode));
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let open = |path: &str, more: OFlags| rustix::fs::open(m(path), flags | more, mode(0o644));
        let tree = &mut self.tree;
        match op {
            Op::Create(path, bits) => {
                let made = rustix::fs::open(m(path), flags | OFlags::CREATE | OFlags::EXCL, mode(*bits)).map(drop);
                if agree(op, made, &tree.may_make(path))? {
                    tree.add(path, Kind::File(Vec::new()), u32::from(*bits));
                }
            }
            Op::Write(path, byte, offset, length) => {
                let wanted = tree.may_open(path);
                if let Ok(id) = wanted && tree.node(id).kind == Kind::Fifo {
                    return Ok(());
                }
                let (data, at) = (vec![*byte; usize::from(*length)], usize::from(*offset));
                let written = open(path, OFlags::empty()).and_then(|fd| rustix::io::pwrite(fd, &data, at as u64));
                if agree(op, written, &wanted.clone().err().unwrap_or_default())?
                    && let Ok(id) = wanted
                    && let Kind::File(content) = &mut tree.own(id).kind
                {
                    let end = if data.is_empty() { 0 } else { at + data.len() };
                    if content.len() < end {
                        content.resize(end, 0);
                    }
                    content.splice(at.min(end)..end, data);
                }
            }
            Op::Append(path, byte) => {
                let wanted = tree.may_open(path);
                if let Ok(id) = wanted && tree.node(id).kind == Kind::Fifo {
                    return Ok(());
                }
                let written = open(path, OFlags::APPEND).and_then(|fd| rustix::io::write(fd, &[*byte; 3]));
                if agree(op, written, &wanted.clone().err().unwrap_or_default())?
                    && let Ok(id) = wanted
                    && let Kind::File(content) = &mut tree.own(id).kind
                {
                    content.extend([*byte; 3]);
                }
            }
            Op::Truncate(path, length) => {
                let wanted = tree.may_open(path);
                if let Ok(id) = wanted && tree.node(id).kind == Kind::Fifo {
                    return Ok(());
                }
                let cut = open(path, OFlags::empty()).and_then(|fd| rustix::fs::ftruncate(fd, u64::from(*length)));
                if agree(op, cut, &wanted.clone().err().unwrap_or_default())?
                    && let Ok(id) = wanted
                    && let Kind::File(content) = &mut tree.own(id).kind
                {
                    content.resize(usize::from(*length), 0);
                }
            }
            Op::Chmod(path, bits) => {
                let wanted = tree.may_change(path);
                if tree.exists(path).is_ok_and(|id| matches!(tree.node(id).kind, Kind::Link(_))) {
                    return Ok(());
                }
                let done = rustix::fs::chmod(m(path), mode(*bits));
                if agree(op, done, &wanted.clone().err().unwrap_or_default())? && let Ok(id) = wanted {
                    tree.own(id).mode = u32::from(*bits);
                }
            }
            Op::Mkdir(path) => {
                if agree(op, rustix::fs::mkdir(m(path), mode(0o750)), &tree.may_make(path))? {
                    tree.add(path, Kind::Dir(BTreeMap::new()), 0o750);
                }
            }
            Op::Rmdir(path) | Op::Unlink(path) if SEEDED.contains(&path.as_str()) => {}
            Op::Rmdir(path) => {
                if agree(op, rustix::fs::rmdir(m(path)), &tree.may_remove(path, true))? {
                    tree.remove(path);
                }
            }
            Op::Unlink(path) => {
                if agree(op, rustix::fs::unlink(m(path)), &tree.may_remove(path, false))? {
                    tree.remove(path);
                }
            }
            Op::Rename(from, _, _) if SEEDED.contains(&from.as_str()) => {}
            Op::Rename(from, to, how) => {
                let flags = match how {
                    How::Replace => RenameFlags::empty(),
                    How::Refuse => RenameFlags::NOREPLACE,
                    How::Exchange => RenameFlags::EXCHANGE,
                };
                let (errors, same) = tree.may_rename(from, to, *how);
                let done = rustix::fs::renameat_with(CWD, m(from), CWD, m(to), flags);
                if agree(op, done, &errors)? && !same {
                    tree.rename(from, to, *how);
                }
            }
            Op::Link(from, to) => {
                if agree(op, rustix::fs::link(m(from), m(to)), &tree.may_link(from, to))? {
                    tree.link(from, to);
                }
            }
            Op::Symlink(path) => {
                if agree(op, rustix::fs::symlink("/nonexistent-new", m(path)), &tree.may_make(path))? {
                    tree.add(path, Kind::Link("/nonexistent-new".to_owned()), 0o777);
                }
            }
            Op::Fifo(path) => {
                let made = rustix::fs::mknodat(CWD, m(path), FileType::Fifo, mode(0o600), 0);
                if agree(op, made, &tree.may_make(path))? {
                    tree.add(path, Kind::Fifo, 0o600);
                }
            }
            Op::SetXattr(path, key, value) => {
                let key = xattr_for(tree, path, *key);
                let wanted = tree.may_change(path);
                let done = rustix::fs::lsetxattr(m(path), key, &[*value], XattrFlags::empty());
                if agree(op, done, &wanted.clone().err().unwrap_or_default())? && let Ok(id) = wanted {
                    tree.own(id).xattrs.insert(key.to_owned(), vec![*value]);
                }
            }
            Op::RemoveXattr(path, key) => {
                let key = xattr_for(tree, path, *key);
                let mut wanted = tree.may_change(path).err().unwrap_or_default();
                let id = tree.exists(path).ok();
                if id.is_some_and(|id| !tree.node(id).xattrs.contains_key(key)) {
                    wanted.insert(Errno::NODATA.raw_os_error());
                }
                if agree(op, rustix::fs::lremovexattr(m(path), key), &wanted)? && let Some(id) = id {
                    tree.own(id).xattrs.remove(key);
                }
            }
            Op::Read(path) => {
                let id = tree.exists(path);
                if let Ok(id) = &id && let Kind::File(content) = &tree.node(*id).kind {
                    let got = fs::read(m(path))?;
                    ensure!(&got == content, "{op:?}: {} bytes, wanted {}", got.len(), content.len());
                } else {
                    let got = rustix::fs::lstat(m(path)).map(drop);
                    agree(op, got, &id.err().unwrap_or_default())?;
                }
            }
            Op::List(path) => {
                if let Ok(id) = tree.exists(path) && tree.is_dir(id) {
                    let wanted: Vec<String> = tree.children(id).into_keys().collect();
                    let got = names(m(path))?;
                    ensure!(got == wanted, "{op:?}: got {got:?}, wanted {wanted:?}");
                }
            }
            Op::EditLower(path, byte) => self.edit(path, *byte)?,
            Op::AddLower(path) => self.grow(path)?,
            Op::Remount => self.world.remount()?,
        }
        Ok(())
    }

    fn edit(&mut self, path: &str, byte: u8) -> Result<()> {
        let Ok(id) = self.tree.exists(path) else { return Ok(()) };
        let (Some(lower), Kind::File(old)) = (self.tree.node(id).lower.clone(), self.tree.node(id).kind.clone()) else {
            return Ok(());
        };
        if self.edits >= 2 || self.tree.links(id) > 1 {
            return Ok(());
        }
        let new = vec![byte; old.len() + 7];
        fs::write(&lower, &new)?;
        self.tree.node_mut(id).kind = Kind::File(new);
        self.settle()
    }

    fn grow(&mut self, path: &str) -> Result<()> {
        let Ok(id) = self.tree.exists(path) else { return Ok(()) };
        let Some(lower) = self.tree.node(id).lower.clone().filter(|_| self.tree.is_dir(id)) else {
            return Ok(());
        };
        if self.edits >= 2 {
            return Ok(());
        }
        let name = format!("added{}", self.edits);
        fs::write(lower.join(&name), "added")?;
        common::chmod(lower.join(&name), 0o644)?;
        let path = format!("{path}/{name}");
        let new = self.tree.add(path.trim_start_matches('/'), Kind::File(b"added".to_vec()), 0o644);
        self.tree.node_mut(new).lower = Some(lower.join(&name));
        self.settle()
    }

    /// Waits until an edit must show.
    fn settle(&mut self) -> Result<()> {
        self.edits += 1;
        self.layers = self.layers_now()?;
        std::thread::sleep(Duration::from_millis(1150));
        Ok(())
    }

    /// The whole mount, now and mounted anew, against the model; and the layers against themselves.
    fn finish(&mut self) -> Result<()> {
        self.compare("at the end")?;
        self.world.remount()?;
        self.compare("after remount")?;
        self.world.stop()?;
        for (now, before) in self.layers_now()?.iter().zip(&self.layers) {
            let lines = differences(now, before);
            ensure!(lines.is_empty(), "a lower layer changed: {lines:#?}");
        }
        Ok(())
    }

    fn compare(&self, when: &str) -> Result<()> {
        let plain = |mut all: Snapshot| {
            for entry in all.values_mut() {
                entry.mtime = (0, 0);
                entry.xattrs.retain(|key, _| XATTRS.contains(&key.as_str()));
            }
            all
        };
        let mut got = plain(snapshot(&self.world.m(""))?);
        let mut wanted = self.expected();
        got.remove(&PathBuf::new());
        wanted.remove(&PathBuf::new());
        let lines = differences(&got, &wanted);
        ensure!(lines.is_empty(), "{when}: {lines:#?}");
        Ok(())
    }

    fn expected(&self) -> Snapshot {
        let mut all = Snapshot::new();
        let mut todo = vec![(PathBuf::new(), 0)];
        while let Some((path, id)) = todo.pop() {
            let node = self.tree.node(id);
            let (kind, content) = match &node.kind {
                Kind::Dir(children) => {
                    todo.extend(children.iter().map(|(name, id)| (path.join(name), *id)));
                    (0o040_000, Vec::new())
                }
                Kind::File(content) => (0o100_000, content.clone()),
                Kind::Link(target) => (0o120_000, target.clone().into_bytes()),
                Kind::Fifo => (0o010_000, Vec::new()),
            };
            let entry = common::snapshot::Entry {
                mode: kind | node.mode,
                uid: 0,
                gid: 0,
                nlink: if kind == 0o040_000 { 0 } else { self.tree.links(id) },
                rdev: 0,
                content,
                mtime: (0, 0),
                xattrs: node.xattrs.clone(),
            };
            all.insert(path, entry);
        }
        all
    }
}

/// `user.*` is for files and directories only.
fn xattr_for(tree: &Tree, path: &str, key: u8) -> &'static str {
    let plain = tree.exists(path).map(|id| matches!(tree.node(id).kind, Kind::File(_) | Kind::Dir(_)));
    let [user, trusted] = XATTRS;
    if key == 0 && plain.unwrap_or(true) { user } else { trusted }
}

/// Requires the outcome the model has; returns whether the call succeeded.
fn agree<T>(op: &Op, got: rustix::io::Result<T>, wanted: &common::tree::Errors) -> Result<bool> {
    let got = got.map_or_else(Errno::raw_os_error, |_| 0);
    let fits = if wanted.is_empty() { got == 0 } else { wanted.contains(&got) };
    if !fits {
        let wanted: Vec<String> = wanted.iter().map(|errno| name(*errno)).collect();
        bail!("{op:?}: {}, wanted {wanted:?} (success if empty)", name(got));
    }
    Ok(got == 0)
}

/// Fills the model with what the layers merge to.
fn prepare(world: &World, tree: &mut Tree) -> Result<()> {
    for layer in ["t1", "t2", "image"] {
        for (path, entry) in snapshot(&world.at(layer))? {
            let Some(text) = path.to_str().filter(|text| !text.is_empty()) else { continue };
            let seeded = SEEDED.iter().any(|top| below(text, top)) && !below(text, "d/per/v");
            let lower = (!seeded).then(|| world.at(layer).join(&path));
            let kind = entry.mode & 0o170_000;
            let known = tree.find(text).is_ok_and(|(_, found)| found.is_some());
            if text == "con" {
                // Both trees, and not the image.
                if !known {
                    tree.add(text, Kind::File(b"t1:con\nt2:con\n".to_vec()), entry.mode & 0o7777);
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
fn lower_links() -> &'static [&'static str] {
    if env("STATELITE_LOWER_LINKS", 1) == 1 { &["h1", "x/h2"] } else { &[] }
}

fn path() -> impl Strategy<Value = String> {
    (prop::sample::select(&DIRS[..]), prop::sample::select(&NAMES[..]))
        .prop_map(|(dir, name)| if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") })
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![4 => Just(How::Replace), 1 => Just(How::Refuse), 1 => Just(How::Exchange)]
}

fn op() -> impl Strategy<Value = Op> {
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

fn case(ops: &[Op]) -> Result<()> {
    let Some(mut run) = Run::start()? else { return Ok(()) };
    for op in ops {
        run.step(op)?;
    }
    run.finish()
}

#[test]
fn random_operations_do_what_the_model_does() {
    if !statelite_tests::root_or_skip("model") {
        return;
    }
    let config = Config {
        cases: u32::try_from(env("STATELITE_CASES", 64)).unwrap(),
        max_shrink_iters: u32::try_from(env("STATELITE_SHRINK", 300)).unwrap(),
        failure_persistence: None,
        ..Config::default()
    };
    let mut seed = [0_u8; 32];
    seed[..8].copy_from_slice(&(env("STATELITE_SEED", 1) as u64).to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let ops = prop::collection::vec(op(), 1..env("STATELITE_OPS", 60).max(2));
    let outcome = runner.run(&ops, |ops| {
        case(&ops).map_err(|error| {
            // Making it smaller takes a while.
            eprintln!("{} operations: {error:#}", ops.len());
            TestCaseError::fail(format!("{error:#}"))
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
