//! Random tables on random trees: prepared, prepared again, changed, undone, and broken off on the way.

use crate::tree::{Lines, age, assert_same, lines};
use crate::{QUICK, apply, rule};
use proptest::prelude::*;
use statelite_mgmt::image::lite::nesting::{self, Problem};
use statelite_mgmt::image::lite::{self, LiteError, Options};
use statelite_policy::{Dialect, Rule};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// Few names, so that rules and trees meet often.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const OPTIONS: [&str; 11] = [
    "",
    "tmpfs",
    "rw",
    "persistent",
    "localdisk",
    "ro",
    "con",
    "link",
    "link,ro",
    "link,con",
    "link,persistent",
];

#[derive(Debug, Clone)]
pub enum Thing {
    Dir(u32),
    File(String, u32),
    Sparse,
    Link(String),
    Name(usize),
    Fifo,
    Device,
}

pub type Tree = BTreeMap<String, Thing>;

pub fn path(depth: usize) -> impl Strategy<Value = String> {
    let names = prop::collection::vec(prop::sample::select(&NAMES[..]), 1..=depth);
    names.prop_map(|names| names.join("/"))
}

fn thing() -> impl Strategy<Value = Thing> {
    let mode = prop::sample::select(vec![0o755, 0o700, 0o1777, 0o2750, 0o4711, 0o644]);
    let target = prop_oneof![
        path(3),
        path(2).prop_map(|p| format!("/{p}")),
        path(2).prop_map(|p| format!("../{p}")),
        Just("/etc/passwd".to_owned()),
    ];
    prop_oneof![
        4 => mode.clone().prop_map(Thing::Dir),
        4 => ("[a-z]{0,5}", mode).prop_map(|(text, mode)| Thing::File(text, mode)),
        2 => target.prop_map(Thing::Link),
        1 => any::<usize>().prop_map(Thing::Name),
        1 => Just(Thing::Fifo),
        1 => Just(Thing::Sparse),
        1 => Just(Thing::Device),
    ]
}

pub fn trees() -> impl Strategy<Value = Tree> {
    prop::collection::btree_map(path(4), thing(), 0..14)
}

/// Rules without those that stand where they must not.
pub fn tables() -> impl Strategy<Value = Vec<Rule>> {
    let row = (path(4), any::<bool>(), prop::sample::select(&OPTIONS[..]));
    prop::collection::vec(row, 0..6).prop_map(|rows| {
        let mut rules: BTreeMap<String, Rule> = BTreeMap::new();
        for (path, directory, option) in rows {
            let slash = if directory { "/" } else { "" };
            let new = rule(&format!("/{path}{slash} {option}"));
            let mut with = rules.clone();
            with.insert(path, new);
            let all: Vec<Rule> = with.values().cloned().collect();
            if !nesting::check(&all).iter().any(Problem::refuses) {
                rules = with;
            }
        }
        rules.into_values().collect()
    })
}

/// Makes the tree; what does not fit is left out.
pub fn build(root: &Path, tree: &Tree) {
    let mut files = Vec::new();
    for (name, thing) in tree {
        let path = root.join(name);
        let parent = path.parent().unwrap();
        let real = |path: &Path| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
        let mut above = parent;
        while above != root && fs::symlink_metadata(above).is_err() {
            above = above.parent().unwrap();
        }
        if !(above.starts_with(root)
            && parent
                .ancestors()
                .take_while(|p| *p != root)
                .all(|p| real(p) || fs::symlink_metadata(p).is_err()))
        {
            continue;
        }
        fs::create_dir_all(parent).unwrap();
        match thing {
            Thing::Dir(_) => fs::create_dir(&path).unwrap(),
            Thing::File(text, _) => fs::write(&path, text).unwrap(),
            Thing::Sparse => fs::File::create(&path).unwrap().set_len(100_000).unwrap(),
            Thing::Link(text) => std::os::unix::fs::symlink(text, &path).unwrap(),
            Thing::Name(index) => match files.get(index % files.len().max(1)) {
                Some(first) => fs::hard_link(first, &path).unwrap(),
                None => continue,
            },
            Thing::Fifo | Thing::Device => {
                let kind = match thing {
                    Thing::Device if rustix::process::geteuid().is_root() => {
                        rustix::fs::FileType::CharacterDevice
                    }
                    _ => rustix::fs::FileType::Fifo,
                };
                let mode = rustix::fs::Mode::RUSR;
                let device = rustix::fs::makedev(1, 3);
                rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, device).unwrap();
            }
        }
        if let Thing::Dir(mode) | Thing::File(_, mode) = thing {
            if rustix::process::geteuid().is_root() {
                std::os::unix::fs::lchown(&path, Some(mode % 7), Some(mode % 5)).unwrap();
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(mode | 0o700)).unwrap();
            // Not every file system has them; then they are not tested.
            let flags = rustix::fs::XattrFlags::empty();
            let _ = rustix::fs::setxattr(&path, "user.note", name.as_bytes(), flags);
        }
        if fs::symlink_metadata(&path).unwrap().is_file() {
            files.push(path);
        }
    }
    age(root, &mut 1_000_000);
}

/// Whether a tree and a table cannot go together for a reason that a test of its own covers.
pub fn impossible(error: &LiteError) -> bool {
    matches!(
        error,
        LiteError::NotADirectory { .. } | LiteError::Loop(_) | LiteError::Overlap { .. }
    )
}

/// A prepared image but for what differs from run to run: the times of what liteimg made, and its record of them.
pub fn steady(lines: &Lines, original: &Lines) -> Lines {
    let old: Vec<&String> = original.values().collect();
    let mut steady = Lines::new();
    for (name, line) in lines {
        if name == ".statelite/liteimg.state" {
            continue;
        }
        let mut words: Vec<&str> = line.split(' ').collect();
        if !old.contains(&line) {
            words.remove(2);
        }
        steady.insert(name.clone(), words.join(" "));
    }
    steady
}

pub fn inodes(root: &Path, lines: &Lines) -> Vec<(String, u64)> {
    let ino = |name: &String| fs::symlink_metadata(root.join(name)).unwrap().ino();
    lines.keys().map(|name| (name.clone(), ino(name))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::cases(150), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_sequence_of_tables_can_be_undone(tree in trees(), tables in prop::collection::vec(tables(), 1..4)) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        build(root, &tree);
        let before = lines(root);
        let numbers = inodes(root, &before);
        for table in &tables {
            match apply(root, table) {
                Ok(_) => {}
                Err(error) if impossible(&error) => continue,
                Err(error) => panic!("{error}"),
            }
            let again = apply(root, table).unwrap();
            prop_assert_eq!(again.steps, [], "a second run has nothing to do");
        }
        apply(root, &[]).unwrap();
        assert_same(&lines(root), &before, "undone");
        prop_assert_eq!(inodes(root, &before), numbers, "the very things, not copies of them");
    }

    #[test]
    fn the_way_to_a_table_does_not_matter(tree in trees(), first in tables(), second in tables()) {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for root in [one.path(), other.path()] {
            build(root, &tree);
        }
        let before = lines(one.path());
        if second.is_empty() || apply(one.path(), &first).is_err() {
            return Ok(());
        }
        let results = [apply(one.path(), &second), apply(other.path(), &second)];
        let [Ok(_), Ok(_)] = results else {
            prop_assert!(results.iter().all(Result::is_err), "{results:?}");
            return Ok(());
        };
        let [found, wanted] = [one.path(), other.path()].map(|root| steady(&lines(root), &before));
        assert_same(&found, &wanted, "by way of the first table");
    }
}

/// Runs a change of tables, broken off after `abort_after` changes, and finishes it.
pub fn broken_off(root: &Path, table: &[Rule], abort_after: u64) -> bool {
    let options = Options {
        abort_after: Some(abort_after),
        ..QUICK
    };
    match lite::apply(root, "img", table, Dialect::Current, options) {
        Ok(_) => false,
        Err(error) => {
            assert!(error.aborted(), "{error}");
            true
        }
    }
}
