//! The tree of a range to nodes.

use super::ast::{Atom, Term, Union};
use super::group::{self, Group, GroupError};
use super::names::names;
use super::parser::parse;
use super::{MAX_DEPTH, MAX_NAMES, MAX_WORK, Names, Options, RangeError};
use crate::tables::schema::NODEGROUP;
use crate::tables::{Row, Site};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

/// A set of names, sorted.
pub(super) type Set<'a> = BTreeSet<Cow<'a, str>>;

/// What is put before a bare number.
const PREFIX: &str = "node";

/// Nodes and groups, looked up by name.
#[derive(Debug)]
pub(super) struct Index<'a> {
    site: &'a Site,
    nodes: BTreeSet<&'a str>,
    groups: HashMap<&'a str, Vec<&'a str>>,
}

impl<'a> Index<'a> {
    pub(super) fn new(site: &'a Site) -> Self {
        let mut groups: HashMap<&str, Vec<&str>> = HashMap::new();
        let nodes: BTreeSet<&str> = site.nodes().collect();
        for node in &nodes {
            for group in site.groups(node) {
                groups.entry(group).or_default().push(node);
            }
        }
        Self {
            site,
            nodes,
            groups,
        }
    }
}

/// Walks a tree.
#[derive(Debug)]
pub(super) struct Evaluator<'a, 'o> {
    index: &'o Index<'a>,
    options: Options<'o>,
    /// How many names may still be made.
    left: usize,
    /// How many nodes may still be looked at.
    work: usize,
    missing: BTreeSet<String>,
    /// The static groups that are being walked, from the outermost.
    within: Vec<&'a str>,
    /// The nodes of the dynamic groups that were named already.
    dynamic: HashMap<&'a str, Vec<&'a str>>,
}

impl<'a, 'o> Evaluator<'a, 'o> {
    pub(super) fn new(index: &'o Index<'a>, options: Options<'o>) -> Self {
        Self {
            index,
            options,
            left: MAX_NAMES,
            work: MAX_WORK,
            missing: BTreeSet::new(),
            within: Vec::new(),
            dynamic: HashMap::new(),
        }
    }

    /// The nodes of a whole range.
    pub(super) fn run(mut self, tree: &Union) -> Result<Set<'a>, RangeError> {
        let found = self.union(tree)?;
        if self.missing.is_empty() {
            return Ok(found);
        }
        Err(RangeError::Unknown(Names(
            self.missing.into_iter().collect(),
        )))
    }

    fn union(&mut self, union: &Union) -> Result<Set<'a>, RangeError> {
        let (mut found, mut without) = (Set::new(), Set::new());
        for term in &union.terms {
            if term.exclude {
                let before = std::mem::replace(&mut self.options.groups, true);
                without.extend(self.term(term)?);
                self.options.groups = before;
            } else {
                found.extend(self.term(term)?);
            }
        }
        found.retain(|node| !without.contains(node));
        Ok(found)
    }

    fn term(&mut self, term: &Term) -> Result<Set<'a>, RangeError> {
        let mut found: Option<Set<'a>> = None;
        for atom in &term.atoms {
            let nodes = self.atom(atom)?;
            found = Some(match found {
                None => nodes,
                Some(mut found) => {
                    found.retain(|node| nodes.contains(node));
                    found
                }
            });
        }
        Ok(found.unwrap_or_default())
    }

    fn spend(&mut self, nodes: usize) -> Result<(), RangeError> {
        self.work = self.work.checked_sub(nodes).ok_or(RangeError::TooMuch)?;
        Ok(())
    }

    fn atom(&mut self, atom: &Atom) -> Result<Set<'a>, RangeError> {
        if let Atom::Regex(_) | Atom::Criterion(_) = atom {
            self.spend(self.index.nodes.len())?;
        }
        let nodes = self.index.nodes.iter().copied();
        match atom {
            Atom::Parens(union) => self.union(union),
            Atom::Word(word) => self.word(word),
            Atom::Regex(regex) => Ok(nodes
                .filter(|node| regex.is_match(node))
                .map(Cow::Borrowed)
                .collect()),
            Atom::Criterion(criterion) => Ok(nodes
                .filter(|node| criterion.holds(self.index.site, node))
                .map(Cow::Borrowed)
                .collect()),
            Atom::File(path) => self.file(path),
        }
    }

    fn word(&mut self, word: &str) -> Result<Set<'a>, RangeError> {
        let mut found = Set::new();
        if self.known(word, &mut found)? {
            return Ok(found);
        }
        match names(word)? {
            None => self.unknown(word, word, &mut found)?,
            Some(names) => {
                for name in names {
                    if !self.known(&name, &mut found)? {
                        self.unknown(word, &name, &mut found)?;
                    }
                }
            }
        }
        Ok(found)
    }

    /// Adds a node or the members of a group; false when the name is neither.
    fn known(&mut self, name: &str, found: &mut Set<'a>) -> Result<bool, RangeError> {
        let index = self.index;
        if let Some(node) = index.nodes.get(name) {
            self.spend(1)?;
            found.insert(Cow::Borrowed(node));
            return Ok(true);
        }
        let row = index.site.row(&NODEGROUP, &[name]);
        if !self.options.groups && (row.is_some() || index.groups.contains_key(name)) {
            return Err(RangeError::IsGroup(name.to_owned()));
        }
        if let Some(row) = row {
            self.group(row, found)?;
            return Ok(true);
        }
        if self.listed(name, found)? {
            return Ok(true);
        }
        if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
            return self.known(&format!("{PREFIX}{name}"), found);
        }
        Ok(false)
    }

    /// Adds the nodes of a group of the nodegroup table. A group without nodes is a group all the same.
    fn group(&mut self, row: &'a Row, found: &mut Set<'a>) -> Result<(), RangeError> {
        let index = self.index;
        let name = row.get(&NODEGROUP, "groupname").unwrap_or_default();
        let fail = |reason| RangeError::Group {
            name: name.to_owned(),
            reason,
        };
        if let Some(members) = self.dynamic.get(name) {
            found.extend(members.iter().map(|node| Cow::Borrowed(*node)));
            let count = members.len();
            return self.spend(count);
        }
        let (members, groups) = match group::group(row).map_err(fail)? {
            Group::Dynamic(conditions) => {
                self.spend(index.nodes.len().saturating_mul(conditions.count()))?;
                let nodes = index.nodes.iter().copied();
                let members = nodes.filter(|node| conditions.hold(index.site, node));
                let members: Vec<_> = members.collect();
                found.extend(members.iter().map(|node| Cow::Borrowed(*node)));
                self.dynamic.insert(name, members);
                return Ok(());
            }
            Group::Static { members, groups } => (members, groups),
        };
        if let Some(place) = self.within.iter().position(|outer| *outer == name) {
            let way = self.within.iter().skip(place).chain([&name]);
            let way: Vec<_> = way.copied().collect();
            return Err(fail(GroupError::Circle(way.join(" -> "))));
        }
        if self.within.len() >= MAX_DEPTH {
            return Err(fail(GroupError::TooDeep));
        }
        self.listed(name, found)?;
        self.spend(members.len() + groups.len())?;
        let nodes = members.iter().filter_map(|name| index.nodes.get(name));
        found.extend(nodes.map(|node| Cow::Borrowed(*node)));
        self.within.push(name);
        for inner in groups {
            match index.site.row(&NODEGROUP, &[inner]) {
                Some(row) => self.group(row, found)?,
                None => drop(self.listed(inner, found)?),
            }
        }
        self.within.pop();
        Ok(())
    }

    /// Adds the nodes that have a group in `nodelist.groups`; false when there are none.
    fn listed(&mut self, name: &str, found: &mut Set<'a>) -> Result<bool, RangeError> {
        let index = self.index;
        if let Some(members) = index.groups.get(name) {
            self.spend(members.len())?;
            found.extend(members.iter().map(|node| Cow::Borrowed(*node)));
            return Ok(true);
        }
        Ok(false)
    }

    /// A name that is neither node nor group: missing, or taken as it is.
    fn unknown(&mut self, word: &str, name: &str, found: &mut Set<'a>) -> Result<(), RangeError> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| RangeError::TooMany(word.to_owned()))?;
        if self.options.verify {
            self.missing.insert(name.to_owned());
        } else if name.bytes().all(|byte| byte.is_ascii_digit()) {
            found.insert(Cow::Owned(format!("{PREFIX}{name}")));
        } else {
            found.insert(Cow::Owned(name.to_owned()));
        }
        Ok(())
    }

    /// The ranges of a file: the first word of every line that does not begin with `#` or `^`. So a file cannot name
    /// another.
    fn file(&mut self, path: &str) -> Result<Set<'a>, RangeError> {
        let fail = |reason: String| RangeError::File {
            path: path.to_owned(),
            reason,
        };
        let Some(read) = self.options.files else {
            return Err(fail("files are not read here: name the nodes".into()));
        };
        let text = read(path).map_err(|error| fail(error.to_string()))?;
        let mut found = Set::new();
        for (number, line) in text.lines().enumerate() {
            if line.starts_with(['#', '^']) {
                continue;
            }
            let range = line.split([':', ' ', '\t']).next().unwrap_or_default();
            if range.is_empty() {
                continue;
            }
            let here = |error: RangeError| fail(format!("line {}: {error}", number + 1));
            let tree = parse(range).map_err(here)?;
            if names_a_file(&tree) {
                return Err(fail(format!("line {}: a file within a file", number + 1)));
            }
            found.extend(self.union(&tree).map_err(here)?);
        }
        Ok(found)
    }
}

fn names_a_file(union: &Union) -> bool {
    let atoms = union.terms.iter().flat_map(|term| &term.atoms);
    atoms.into_iter().any(|atom| match atom {
        Atom::File(_) => true,
        Atom::Parens(union) => names_a_file(union),
        _ => false,
    })
}
