//! Groups of the nodegroup table.
//!
//! A dynamic group has the nodes for which its `wherevals` holds: conditions joined by `::` must all hold, `||` joins
//! alternatives and binds less. A static group has the nodes that name it in `nodelist.groups`, those of `members`, and
//! those of the groups of `membergroups`, which may be of any kind but must not lead back to it.

use super::criterion::Criterion;
use super::{MAX_DEPTH, RangeError};
use crate::tables::schema::NODEGROUP;
use crate::tables::{Row, Site};

/// Between conditions that must all hold.
const AND: &str = "::";
/// Between alternatives.
const OR: &str = "||";

/// Why a group cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// there are no wherevals; a dynamic group needs at least one condition, ATTR==VALUE
    #[error("there are no wherevals; a dynamic group needs at least one condition, ATTR==VALUE")]
    NoConditions,
    /// "{0}" is no condition: ATTR==VALUE, ATTR!=VALUE, ATTR=~REGEX or ATTR!~REGEX
    #[error("\"{0}\" is no condition: ATTR==VALUE, ATTR!=VALUE, ATTR=~REGEX or ATTR!~REGEX")]
    NoCondition(String),
    /// {0}
    #[error(transparent)]
    Condition(Box<RangeError>),
    /// unknown grouptype "{0}" (static, dynamic)
    #[error("unknown grouptype \"{0}\" (static, dynamic)")]
    Type(String),
    /// its membergroups are nested more than {MAX_DEPTH} deep
    #[error("its membergroups are nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// its membergroups lead back to it: {0}
    #[error("its membergroups lead back to it: {0}")]
    Circle(String),
}

/// What a row of the nodegroup table says.
#[derive(Debug, Clone)]
pub enum Group<'a> {
    /// Nodes and groups by name, besides the nodes of `nodelist.groups`.
    Static {
        /// Names of nodes.
        members: Vec<&'a str>,
        /// Names of groups.
        groups: Vec<&'a str>,
    },
    /// Nodes by what the tables say about them.
    Dynamic(Conditions),
}

/// `wherevals`: alternatives of conditions that must all hold.
#[derive(Debug, Clone)]
pub struct Conditions(Vec<Vec<Criterion>>);

impl Conditions {
    /// Reads `wherevals`.
    ///
    /// # Errors
    /// [`GroupError`] when it is blank or holds something that is no condition.
    pub fn parse(text: &str) -> Result<Self, GroupError> {
        if text.trim().is_empty() {
            return Err(GroupError::NoConditions);
        }
        let condition = |word: &str| {
            let word = word.trim();
            let found = Criterion::parse_attribute(word);
            let found = found.map_err(|error| GroupError::Condition(Box::new(error)))?;
            found.ok_or_else(|| GroupError::NoCondition(word.to_owned()))
        };
        let all = |text: &str| text.split(AND).map(condition).collect();
        Ok(Self(text.split(OR).map(all).collect::<Result<_, _>>()?))
    }

    /// Whether a node meets them.
    #[must_use]
    pub fn hold(&self, site: &Site, node: &str) -> bool {
        let all = |list: &Vec<Criterion>| list.iter().all(|one| one.holds(site, node));
        self.0.iter().any(all)
    }

    /// How many conditions there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }
}

/// Reads a row of the nodegroup table.
///
/// # Errors
/// [`GroupError`] when it makes no group.
pub fn group(row: &Row) -> Result<Group<'_>, GroupError> {
    match row.get(&NODEGROUP, "grouptype").unwrap_or("static") {
        "dynamic" => {
            let text = row.get(&NODEGROUP, "wherevals").unwrap_or_default();
            Ok(Group::Dynamic(Conditions::parse(text)?))
        }
        "static" => Ok(Group::Static {
            members: names(row, "members")
                .filter(|name| !["static", "dynamic"].contains(name))
                .collect(),
            groups: names(row, "membergroups").collect(),
        }),
        other => Err(GroupError::Type(other.to_owned())),
    }
}

/// The names in a comma list.
pub(crate) fn names<'a>(row: &'a Row, column: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    let list = row.get(&NODEGROUP, column).unwrap_or_default();
    let names = list.split(',').map(str::trim);
    names.filter(|name| !name.is_empty())
}

/// The way on which `membergroups` lead from a group back to itself.
#[must_use]
pub fn circle(site: &Site, name: &str) -> Option<Vec<String>> {
    let mut seen = Vec::new();
    let mut open = vec![vec![name]];
    while let Some(way) = open.pop() {
        let row = way.last().and_then(|last| site.row(&NODEGROUP, &[last]));
        let groups = match row.map(group) {
            Some(Ok(Group::Static { groups, .. })) => groups,
            _ => continue,
        };
        for next in groups {
            let mut further = way.clone();
            further.push(next);
            if next == name {
                return Some(further.into_iter().map(str::to_owned).collect());
            }
            if !seen.contains(&next) {
                seen.push(next);
                open.push(further);
            }
        }
    }
    None
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
