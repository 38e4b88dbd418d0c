//! Random operations against a mount and against a simple model of it.
//!
//! `STATELITE_CASES` and `STATELITE_OPS` say how many and (on average) how long, `STATELITE_SEED` which. A failing
//! sequence is made smaller before it is shown.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::layers::{RULES, SEEDED, expected, make, plain, prepare};
use common::ops::{Op, agree, op, resolve, tallied, tally, xattr_for};
use common::snapshot::{Snapshot, differences, snapshot};
use common::tree::{How, Kind, Place, Tree};
use common::{World, env, names};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use rustix::fs::{CWD, FileType, Mode, OFlags, RenameFlags, XattrFlags};
use rustix::io::Errno;

struct Run {
    world: World,
    tree: Tree,
    layers: Vec<Snapshot>,
    edits: usize,
}

impl Run {
    fn start() -> Result<Option<Self>> {
        let Some(world) = World::new("model")? else {
            return Ok(None);
        };
        let mut world = world.trees().freshness("live");
        let rules: Vec<(&str, Place)> = RULES
            .iter()
            .map(|(path, place, _)| (*path, *place))
            .collect();
        let mut tree = Tree::new(&rules);
        for (_, _, rule) in RULES {
            let (path, option) = rule.split_once('=').unwrap_or((rule, ""));
            world = world.rule(path, option);
        }
        make(&world)?;
        prepare(&world, &mut tree)?;
        world.start()?;
        let mut run = Self {
            world,
            tree,
            layers: Vec::new(),
            edits: 0,
        };
        run.layers = run.layers_now()?;
        Ok(Some(run))
    }

    fn layers_now(&self) -> Result<Vec<Snapshot>> {
        ["image", "t1", "t2"]
            .iter()
            .map(|layer| snapshot(&self.world.at(layer)))
            .collect()
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
                let made =
                    rustix::fs::open(m(path), flags | OFlags::CREATE | OFlags::EXCL, mode(*bits))
                        .map(drop);
                if agree(op, made, &tree.may_make(path))? {
                    tree.add(path, Kind::File(Vec::new()), u32::from(*bits));
                }
            }
            Op::Write(path, byte, offset, length) => {
                let wanted = tree.may_open(path);
                if let Ok(id) = wanted
                    && tree.node(id).kind == Kind::Fifo
                {
                    return Ok(());
                }
                let (data, at) = (vec![*byte; usize::from(*length)], usize::from(*offset));
                let written = open(path, OFlags::empty())
                    .and_then(|fd| rustix::io::pwrite(fd, &data, at as u64));
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
                if let Ok(id) = wanted
                    && tree.node(id).kind == Kind::Fifo
                {
                    return Ok(());
                }
                let written =
                    open(path, OFlags::APPEND).and_then(|fd| rustix::io::write(fd, &[*byte; 3]));
                if agree(op, written, &wanted.clone().err().unwrap_or_default())?
                    && let Ok(id) = wanted
                    && let Kind::File(content) = &mut tree.own(id).kind
                {
                    content.extend([*byte; 3]);
                }
            }
            Op::Truncate(path, length) => {
                let wanted = tree.may_open(path);
                if let Ok(id) = wanted
                    && tree.node(id).kind == Kind::Fifo
                {
                    return Ok(());
                }
                let cut = open(path, OFlags::empty())
                    .and_then(|fd| rustix::fs::ftruncate(fd, u64::from(*length)));
                if agree(op, cut, &wanted.clone().err().unwrap_or_default())?
                    && let Ok(id) = wanted
                    && let Kind::File(content) = &mut tree.own(id).kind
                {
                    content.resize(usize::from(*length), 0);
                }
            }
            Op::Chmod(path, bits) => {
                let wanted = tree.may_change(path);
                if tree
                    .exists(path)
                    .is_ok_and(|id| matches!(tree.node(id).kind, Kind::Link(_)))
                {
                    return Ok(());
                }
                let done = rustix::fs::chmod(m(path), mode(*bits));
                if agree(op, done, &wanted.clone().err().unwrap_or_default())?
                    && let Ok(id) = wanted
                {
                    tree.own(id).mode = u32::from(*bits);
                }
            }
            Op::Mkdir(path) => {
                if agree(
                    op,
                    rustix::fs::mkdir(m(path), mode(0o750)),
                    &tree.may_make(path),
                )? {
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
                if agree(
                    op,
                    rustix::fs::unlink(m(path)),
                    &tree.may_remove(path, false),
                )? {
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
                if agree(
                    op,
                    rustix::fs::link(m(from), m(to)),
                    &tree.may_link(from, to),
                )? {
                    tree.link(from, to);
                }
            }
            Op::Symlink(path) => {
                if agree(
                    op,
                    rustix::fs::symlink("/nonexistent-new", m(path)),
                    &tree.may_make(path),
                )? {
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
                if agree(op, done, &wanted.clone().err().unwrap_or_default())?
                    && let Ok(id) = wanted
                {
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
                if agree(op, rustix::fs::lremovexattr(m(path), key), &wanted)?
                    && let Some(id) = id
                {
                    tree.own(id).xattrs.remove(key);
                }
            }
            Op::Read(path) => {
                let id = tree.exists(path);
                if let Ok(id) = &id
                    && let Kind::File(content) = &tree.node(*id).kind
                {
                    let got = fs::read(m(path))?;
                    ensure!(
                        &got == content,
                        "{op:?}: {} bytes, wanted {}",
                        got.len(),
                        content.len()
                    );
                } else {
                    let got = rustix::fs::lstat(m(path)).map(drop);
                    agree(op, got, &id.err().unwrap_or_default())?;
                }
            }
            Op::List(path) => {
                if let Ok(id) = tree.exists(path)
                    && tree.is_dir(id)
                {
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
        let Ok(id) = self.tree.exists(path) else {
            return Ok(());
        };
        let (Some(lower), Kind::File(old)) = (
            self.tree.node(id).lower.clone(),
            self.tree.node(id).kind.clone(),
        ) else {
            return Ok(());
        };
        if self.edits >= 1 || self.tree.links(id) > 1 {
            return Ok(());
        }
        let new = vec![byte; old.len() + 7];
        fs::write(&lower, &new)?;
        self.tree.node_mut(id).kind = Kind::File(new);
        self.settle()
    }

    fn grow(&mut self, path: &str) -> Result<()> {
        let Ok(id) = self.tree.exists(path) else {
            return Ok(());
        };
        let Some(lower) = self
            .tree
            .node(id)
            .lower
            .clone()
            .filter(|_| self.tree.is_dir(id))
        else {
            return Ok(());
        };
        if self.edits >= 1 {
            return Ok(());
        }
        let name = format!("added{}", self.edits);
        fs::write(lower.join(&name), "added")?;
        common::chmod(lower.join(&name), 0o644)?;
        let path = format!("{path}/{name}");
        let new = self.tree.add(
            path.trim_start_matches('/'),
            Kind::File(b"added".to_vec()),
            0o644,
        );
        self.tree.node_mut(new).lower = Some(lower.join(&name));
        self.settle()
    }

    /// Waits until an edit must show.
    fn settle(&mut self) -> Result<()> {
        self.edits += 1;
        tally(&Op::AddLower(String::new()), true);
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
        let mut got = plain(snapshot(&self.world.m(""))?);
        let mut wanted = expected(&self.tree);
        got.remove(&PathBuf::new());
        wanted.remove(&PathBuf::new());
        let lines = differences(&got, &wanted);
        ensure!(lines.is_empty(), "{when}: {lines:#?}");
        Ok(())
    }
}

fn case(ops: &[Op]) -> Result<()> {
    let Some(mut run) = Run::start()? else {
        return Ok(());
    };
    let mut done = Vec::new();
    let outcome = ops.iter().try_for_each(|op| {
        let op = resolve(op, &run.tree);
        done.push(op.clone());
        run.step(&op)
    });
    outcome
        .and_then(|()| run.finish())
        .with_context(|| format!("after {done:?}"))
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
    let ops = prop::collection::vec(op(), 1..=2 * env("STATELITE_OPS", 60));
    let outcome = runner.run(&ops, |ops| {
        case(&ops).map_err(|error| {
            // Making it smaller takes a while.
            eprintln!("{} operations: {error:#}", ops.len());
            TestCaseError::fail(format!("{error:#}"))
        })
    });
    let (done, good, kinds) = tallied();
    eprintln!("{done} operations, {good} succeeded: {kinds}");
    if let Err(error) = outcome {
        panic!("{error}");
    }
    // Else it would be a test of ENOENT.
    assert!(
        good * 3 >= done,
        "only {good} of {done} operations succeeded"
    );
}
