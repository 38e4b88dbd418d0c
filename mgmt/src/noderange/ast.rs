//! The tree of a range.

use super::criterion::Criterion;
use regex::Regex;

/// A comma list.
#[derive(Debug, Clone)]
pub struct Union {
    /// In the order written.
    pub terms: Vec<Term>,
}

/// One element of a comma list: atoms joined by `@`.
#[derive(Debug, Clone)]
pub struct Term {
    /// Written with a leading `-`: taken away from everything else in the list, at its end.
    pub exclude: bool,
    /// What is intersected; at least one.
    pub atoms: Vec<Atom>,
}

/// The smallest part with a meaning of its own.
#[derive(Debug, Clone)]
pub enum Atom {
    /// `(...)`
    Parens(Union),
    /// A node, a group, or names that count up.
    Word(String),
    /// `/regex`, anchored at both ends.
    Regex(Regex),
    /// `^file`
    File(String),
    /// `table.column==value`
    Criterion(Criterion),
}
