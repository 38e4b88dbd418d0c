//! Rules that nobody lists and a distribution cannot do without.
//!
//! The tables are older than systemd. With those of the cookbook a node of today comes up degraded: `/etc/machine-id` cannot
//! be written, and services whose `StateDirectory=` is below `/var/lib/systemd` do not start. Where no row says anything about
//! such a path, it is volatile on a node that has booted in FUSE mode. A row for the path or for a directory above it has the
//! last word, whatever it says. Link mode stays what it was.

use crate::model::{Flavour, Origin, Placement, Rule};
use crate::tree::PolicyTree;

/// What systemd writes while it boots, and whether that is a directory.
const SYSTEMD: [(&str, bool); 2] = [("/etc/machine-id", false), ("/var/lib/systemd", true)];

/// Where such a rule comes from, as `explain` tells it.
pub const FOR_SYSTEMD: &str = "no row is about it, and systemd writes it while it boots";

/// The rules for systemd that `tree` leaves open.
pub fn for_systemd(tree: &PolicyTree) -> impl Iterator<Item = Rule> {
    let open = |path: &str| tree.governing(path.as_bytes()).is_none();
    SYSTEMD
        .into_iter()
        .filter(move |(path, _)| open(path))
        .map(|(path, directory)| Rule {
            path: path.to_owned(),
            directory,
            placement: Placement::Volatile,
            flavour: Flavour::Bind,
            option: "tmpfs,rw".to_owned(),
            origin: Origin::Implied(FOR_SYSTEMD),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Dialect;
    use crate::rule_arg;

    fn implied(rules: &[&str]) -> Vec<String> {
        let read = |rule: &&str| rule_arg::parse(rule, Dialect::Current).unwrap();
        let tree = PolicyTree::from_rules(rules.iter().map(read).collect()).unwrap();
        for_systemd(&tree).map(|rule| rule.path).collect()
    }

    #[test]
    fn a_row_at_or_above_the_path_has_the_last_word() {
        let both = ["/etc/machine-id", "/var/lib/systemd"];
        assert_eq!(implied(&[]), both);
        assert_eq!(
            implied(&["/var/lib/systemd/linger/=persistent", "/etc/fstab="]),
            both
        );
        assert_eq!(implied(&["/etc/=ro"]), ["/var/lib/systemd"]);
        assert_eq!(implied(&["/var/lib=persistent"]), ["/etc/machine-id"]);
        assert_eq!(implied(&["/etc/machine-id=persistent", "/var/="]), [""; 0]);
        assert_eq!(implied(&["/="]), [""; 0]);
    }
}
