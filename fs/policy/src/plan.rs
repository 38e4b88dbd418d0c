//! What changes between two policies. Pure: nothing is applied here.

use serde::Serialize;

use crate::model::{Placement, Rule};
use crate::policy::Policy;
use crate::tree::PolicyTree;

/// One path that is decided differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The rule's path, normalised.
    pub path: String,
    /// Effective placement before: of the rule here, else of the governing rule above, else the image.
    pub from: Placement,
    /// Effective placement after, found the same way.
    pub to: Placement,
    /// The rule exactly here before.
    pub old: Option<Rule>,
    /// The rule exactly here after.
    pub new: Option<Rule>,
}

/// All differences between two policies.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Plan {
    /// Sorted by path.
    pub changes: Vec<Change>,
    /// The tree layers or their order differ.
    pub layers_changed: bool,
    /// The persistent store is another one.
    pub statemnt_changed: bool,
}

impl Change {
    /// Whether the path's effective placement is another one, so that data may have to move (design §4).
    ///
    /// False for a rule that comes or goes without making a difference at its own path.
    #[must_use]
    pub fn moves(&self) -> bool {
        self.from != self.to
    }
}

impl Plan {
    /// Whether the two policies decide everything alike.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && !self.layers_changed && !self.statemnt_changed
    }
}

/// Compares two policies.
///
/// Listed is every path that has a rule in one policy only, and every path whose rule places it elsewhere. A rule that
/// comes or goes is listed even when the placement stays, for it holds its path against changes above and cuts a
/// region. Origin, flavour and option word alone make no difference.
#[must_use]
pub fn diff(old: &Policy, new: &Policy) -> Plan {
    let layers = old.layers.iter().map(|layer| &layer.source);
    let same_layers = old.layers.len() == new.layers.len()
        && layers
            .zip(&new.layers)
            .all(|(old, new)| old.same_place(&new.source));
    let same_statemnt = match (&old.statemnt, &new.statemnt) {
        (Some(old), Some(new)) => old.same_place(new),
        (old, new) => old.is_none() && new.is_none(),
    };
    Plan {
        changes: changes(&old.tree, &new.tree),
        layers_changed: !same_layers,
        statemnt_changed: !same_statemnt,
    }
}

/// Walks both sorted lists of rules side by side.
fn changes(old: &PolicyTree, new: &PolicyTree) -> Vec<Change> {
    let mut changes = Vec::new();
    let (mut olds, mut news) = (old.rules().peekable(), new.rules().peekable());
    loop {
        let path = match (olds.peek(), news.peek()) {
            (None, None) => return changes,
            (Some(rule), None) | (None, Some(rule)) => &rule.path,
            (Some(a), Some(b)) => (&a.path).min(&b.path),
        };
        let before = olds.next_if(|rule| rule.path == *path);
        let after = news.next_if(|rule| rule.path == *path);
        let (from, to) = (
            old.placement(path.as_bytes()),
            new.placement(path.as_bytes()),
        );
        if before.is_none() || after.is_none() || from != to {
            changes.push(Change {
                path: path.clone(),
                from,
                to,
                old: before.cloned(),
                new: after.cloned(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Dialect;
    use crate::rule_arg;

    fn policy(arguments: &[&str]) -> Policy {
        let rules = arguments
            .iter()
            .map(|argument| rule_arg::parse(argument, Dialect::Current).unwrap())
            .collect();
        Policy {
            tree: PolicyTree::from_rules(rules).unwrap(),
            ..Policy::default()
        }
    }

    #[test]
    fn changes_name_the_effective_placements() {
        let old = policy(&[
            "/var/=tmpfs",
            "/var/log/=persistent",
            "/etc/motd=ro",
            "/etc/same=ro",
        ]);
        let new = policy(&[
            "/var/=localdisk",
            "/var/tmp/=localdisk",
            "/etc/same=link,ro",
            "/root/=rw",
        ]);
        let plan = diff(&old, &new);
        let shown: Vec<_> = plan
            .changes
            .iter()
            .map(|change| {
                format!(
                    "{} {} {} {}",
                    change.path,
                    change.from,
                    change.to,
                    change.moves()
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "/etc/motd tree image true",
                "/root image volatile true",
                "/var volatile local true",
                "/var/log persistent local true",
                "/var/tmp volatile local true",
            ]
        );
    }

    #[test]
    fn a_rule_that_only_cuts_is_listed() {
        let plan = diff(
            &policy(&["/var/=tmpfs"]),
            &policy(&["/var/=tmpfs", "/var/log/=tmpfs"]),
        );
        assert_eq!(plan.changes.len(), 1);
        assert!(
            plan.changes
                .iter()
                .all(|change| !change.moves() && change.old.is_none())
        );
    }

    #[test]
    fn stores_and_layers_are_compared_by_place() {
        let store = |text: &str| Policy {
            statemnt: Some(text.parse().unwrap()),
            ..Policy::default()
        };
        assert!(diff(&store("s:/a"), &store("s:/a/")).is_empty());
        assert!(diff(&store("s:/a"), &store("s:/b")).statemnt_changed);
        assert!(diff(&store("s:/a"), &Policy::default()).statemnt_changed);
    }
}
