//! A simple model of a merged tree: what names there are and which rule each lies under.

#![allow(clippy::indexing_slicing)] // An id is an index, and nodes are never removed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rustix::io::Errno;

pub type Id = usize;

/// Where a path's files live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    ReadOnly,
    Volatile,
    Persistent,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Dir(BTreeMap<String, Id>),
    File(Vec<u8>),
    Link(String),
    Fifo,
}

#[derive(Debug, Clone)]
pub struct Node {
    pub kind: Kind,
    pub mode: u32,
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// The file in a layer that still is its content, or the directory of the image that shows through.
    pub lower: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub struct Tree {
    pub nodes: Vec<Node>,
    pub rules: BTreeMap<String, Place>,
}

/// All errors a call may fail with; it has to succeed if there are none.
pub type Errors = BTreeSet<i32>;

fn one(errno: Errno) -> Errors {
    [errno.raw_os_error()].into()
}

impl Tree {
    pub fn new(rules: &[(&str, Place)]) -> Self {
        let root = Node {
            kind: Kind::Dir(BTreeMap::new()),
            mode: 0o755,
            xattrs: BTreeMap::new(),
            lower: None,
        };
        Self {
            nodes: vec![root],
            rules: rules
                .iter()
                .map(|(path, place)| ((*path).to_owned(), *place))
                .collect(),
        }
    }

    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    pub fn node_mut(&mut self, id: Id) -> &mut Node {
        &mut self.nodes[id]
    }

    /// A node that changes, and so no longer is a lower file.
    pub fn own(&mut self, id: Id) -> &mut Node {
        let node = &mut self.nodes[id];
        if !matches!(node.kind, Kind::Dir(_)) {
            node.lower = None;
        }
        node
    }

    pub fn is_dir(&self, id: Id) -> bool {
        matches!(self.node(id).kind, Kind::Dir(_))
    }

    pub fn children(&self, id: Id) -> BTreeMap<String, Id> {
        match &self.node(id).kind {
            Kind::Dir(children) => children.clone(),
            _ => BTreeMap::new(),
        }
    }

    /// What a path is: the parent directory and the node there, if any. Links on the way lead nowhere.
    pub fn find(&self, path: &str) -> Result<(Id, Option<Id>), Errno> {
        let (mut dir, mut rest) = (
            0,
            path.split('/').filter(|name| !name.is_empty()).peekable(),
        );
        if rest.peek().is_none() {
            return Ok((0, Some(0)));
        }
        while let Some(name) = rest.next() {
            let found = match &self.node(dir).kind {
                Kind::Dir(children) => children.get(name).copied(),
                Kind::Link(_) => return Err(Errno::NOENT),
                _ => return Err(Errno::NOTDIR),
            };
            if rest.peek().is_none() {
                return Ok((dir, found));
            }
            dir = found.ok_or(Errno::NOENT)?;
        }
        Err(Errno::NOENT)
    }

    pub fn exists(&self, path: &str) -> Result<Id, Errors> {
        self.find(path)
            .map_err(one)?
            .1
            .ok_or_else(|| one(Errno::NOENT))
    }

    fn set(&mut self, path: &str, id: Option<Id>) {
        let Ok((dir, _)) = self.find(path) else {
            return;
        };
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        if let Kind::Dir(children) = &mut self.nodes[dir].kind {
            match id {
                Some(id) => children.insert(name, id),
                None => children.remove(&name),
            };
        }
    }

    /// Puts a new node at a path.
    pub fn add(&mut self, path: &str, kind: Kind, mode: u32) -> Id {
        self.nodes.push(Node {
            kind,
            mode,
            xattrs: BTreeMap::new(),
            lower: None,
        });
        let id = self.nodes.len() - 1;
        self.set(path, Some(id));
        id
    }

    /// The directory at a path, made with its parents if need be; for preparing the tree.
    pub fn dirs(&mut self, path: &str) -> Id {
        match self.find(path) {
            Ok((_, Some(id))) => id,
            _ => {
                let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
                self.dirs(parent);
                self.add(path, Kind::Dir(BTreeMap::new()), 0o755)
            }
        }
    }

    pub fn place(&self, path: &str) -> Place {
        let covers =
            |rule: &str| rule.is_empty() || path == rule || path.starts_with(&format!("{rule}/"));
        let best = self
            .rules
            .iter()
            .filter(|(rule, _)| covers(rule))
            .max_by_key(|(rule, _)| rule.len());
        best.map_or(Place::ReadOnly, |(_, place)| *place)
    }

    fn rules_below(&self, path: &str) -> bool {
        self.rules
            .keys()
            .any(|rule| rule.starts_with(&format!("{path}/")))
    }

    pub fn links(&self, id: Id) -> u64 {
        let dirs = self.reachable();
        let all = dirs
            .iter()
            .flat_map(|dir| self.children(*dir).into_values());
        all.filter(|child| *child == id).count() as u64
    }

    /// All paths but the root.
    pub fn paths(&self) -> Vec<(String, Id)> {
        let mut found = Vec::new();
        let mut todo = vec![(String::new(), 0)];
        while let Some((path, id)) = todo.pop() {
            for (name, child) in self.children(id) {
                let path = format!("{path}/{name}").trim_start_matches('/').to_owned();
                found.push((path.clone(), child));
                todo.push((path, child));
            }
        }
        found.sort();
        found
    }

    fn reachable(&self) -> Vec<Id> {
        let mut found = vec![0];
        let mut at = 0;
        while let Some(id) = found.get(at).copied() {
            found.extend(
                self.children(id)
                    .into_values()
                    .filter(|child| self.is_dir(*child)),
            );
            at += 1;
        }
        found
    }

    fn writable(&self, path: &str, errors: &mut Errors) {
        if self.place(path) == Place::ReadOnly {
            errors.insert(Errno::ROFS.raw_os_error());
        }
    }

    /// Errors of making a name.
    pub fn may_make(&self, path: &str) -> Errors {
        match self.find(path) {
            Err(errno) => one(errno),
            Ok((_, Some(_))) => one(Errno::EXIST),
            Ok((_, None)) => {
                let mut errors = Errors::new();
                self.writable(path, &mut errors);
                errors
            }
        }
    }

    /// Errors of changing what is there.
    pub fn may_change(&self, path: &str) -> Result<Id, Errors> {
        let id = self.exists(path)?;
        let mut errors = Errors::new();
        self.writable(path, &mut errors);
        if errors.is_empty() {
            Ok(id)
        } else {
            Err(errors)
        }
    }

    /// Errors of opening a file to write, which must not be a link.
    pub fn may_open(&self, path: &str) -> Result<Id, Errors> {
        let id = self.exists(path)?;
        match self.node(id).kind {
            Kind::Dir(_) => Err(one(Errno::ISDIR)),
            Kind::Link(_) => Err(one(Errno::LOOP)),
            _ => self.may_change(path),
        }
    }

    pub fn may_remove(&self, path: &str, dir: bool) -> Errors {
        let id = match self.exists(path) {
            Ok(id) => id,
            Err(errors) => return errors,
        };
        let mut errors = Errors::new();
        self.writable(path, &mut errors);
        if dir && self.rules_below(path) {
            errors.extend(one(Errno::BUSY));
        }
        match (dir, self.is_dir(id)) {
            (true, false) => errors.extend(one(Errno::NOTDIR)),
            (false, true) => errors.extend(one(Errno::ISDIR)),
            (true, true) if !self.children(id).is_empty() => errors.extend(one(Errno::NOTEMPTY)),
            _ => {}
        }
        errors
    }

    pub fn remove(&mut self, path: &str) {
        self.set(path, None);
    }

    pub fn may_link(&self, from: &str, to: &str) -> Errors {
        let mut errors = Errors::new();
        let source = self.exists(from);
        if let Err(more) = &source {
            errors.extend(more);
        }
        match self.find(to) {
            Err(errno) => errors.extend(one(errno)),
            Ok((_, Some(_))) => errors.extend(one(Errno::EXIST)),
            Ok((_, None)) => {}
        }
        if source.is_ok_and(|id| self.is_dir(id)) {
            errors.extend(one(Errno::PERM));
        }
        self.cross(from, to, &mut errors);
        errors
    }

    fn cross(&self, from: &str, to: &str, errors: &mut Errors) {
        match (self.place(from), self.place(to)) {
            (Place::ReadOnly, Place::ReadOnly) => errors.extend(one(Errno::ROFS)),
            (a, b) if a != b => errors.extend(one(Errno::XDEV)),
            _ => {}
        }
    }

    pub fn link(&mut self, from: &str, to: &str) {
        if let Ok(id) = self.exists(from) {
            self.own(id);
            self.set(to, Some(id));
        }
    }

    /// Errors of renaming, and whether it does nothing because both are the same file.
    pub fn may_rename(&self, from: &str, to: &str, how: How) -> (Errors, bool) {
        let mut errors = Errors::new();
        let source = self.exists(from);
        let target = self.find(to);
        if let Err(more) = &source {
            errors.extend(more);
        }
        if let Err(errno) = target {
            errors.extend(one(errno));
        }
        let (Ok(source), Ok((_, target))) = (source, target) else {
            return (errors, false);
        };
        match (how, target) {
            (How::Refuse, Some(_)) => return (one(Errno::EXIST), false),
            (How::Exchange, None) => errors.extend(one(Errno::NOENT)),
            _ => {}
        }
        if target == Some(source) {
            return (errors, true);
        }
        if to.starts_with(&format!("{from}/")) {
            errors.extend(one(Errno::INVAL));
        }
        if from.starts_with(&format!("{to}/")) {
            errors.extend(one(if how == How::Exchange {
                Errno::INVAL
            } else {
                Errno::NOTEMPTY
            }));
        }
        self.cross(from, to, &mut errors);
        let (dir, target_dir) = (self.is_dir(source), target.map(|id| self.is_dir(id)));
        let fixed = |path: &str| self.rules.contains_key(path);
        let holds = self.rules_below(from) || self.rules_below(to);
        let moved_target = how == How::Exchange && target_dir == Some(true);
        if (dir && (holds || fixed(from))) || (moved_target && (holds || fixed(to))) {
            errors.extend(one(Errno::BUSY));
        }
        if dir && target_dir == Some(true) && fixed(to) {
            errors.extend(one(Errno::BUSY));
        }
        if how != How::Exchange {
            match (dir, target_dir) {
                (true, Some(false)) => errors.extend(one(Errno::NOTDIR)),
                (false, Some(true)) => errors.extend(one(Errno::ISDIR)),
                (true, Some(true)) if target.is_some_and(|id| !self.children(id).is_empty()) => {
                    errors.extend(one(Errno::NOTEMPTY));
                }
                _ => {}
            }
        }
        (errors, false)
    }

    pub fn rename(&mut self, from: &str, to: &str, how: How) {
        let (source, target) = (self.exists(from), self.exists(to));
        let Ok(source) = source else { return };
        self.own(source);
        match (how, target) {
            (How::Exchange, Ok(target)) => {
                self.own(target);
                self.set(from, Some(target));
            }
            _ => self.set(from, None),
        }
        self.set(to, Some(source));
    }
}

/// What a rename does when the name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Replace,
    Refuse,
    Exchange,
}
