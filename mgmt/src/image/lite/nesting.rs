//! Which rows may stand below which in link mode.
//!
//! The parent of a row is the nearest row above it that is written with a trailing slash. The texts are xCAT's where
//! xCAT has one. Both dialects are judged by what a word does, not by how it is spelt. `/etc/mtab`, which is always
//! listed, is judged by nothing here: else `/etc/` could not be persistent.

use serde::Serialize;
use statelite_policy::{Flavour, Placement, Rule};
use std::collections::BTreeMap;

/// Always listed, and never in anybody's way.
const MTAB: &str = "/etc/mtab";
/// What liteimg itself keeps at the top of an image. Nothing in there can be listed.
pub const RESERVED: [&str; 4] = [".statelite", ".default", ".statebackup", ".sllocal"];

/// What is wrong, or odd, about the place of a row in link mode. Paths are as the rows write them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// {path} is directory, don't use "con" as its option
    #[error("{path} is directory, don't use \"con\" as its option")]
    ConDirectory {
        /// The row.
        path: String,
    },
    /// the directory "{parent}" should not be with "ro" or "con" as its option
    #[error("the directory \"{parent}\" should not be with \"ro\" or \"con\" as its option")]
    ReadOnlyParent {
        /// The row that has rows below it.
        parent: String,
    },
    /// Based on the option of {parent}, {child} should not use "link,ro" as its option
    #[error("Based on the option of {parent}, {child} should not use \"link,ro\" as its option")]
    ReadOnlyChild {
        /// The row above.
        parent: String,
        /// The row below.
        child: String,
    },
    /// Based on the option of {parent}, {child} can only use "link"-based options
    #[error("Based on the option of {parent}, {child} can only use \"link\"-based options")]
    BindChild {
        /// The row above.
        parent: String,
        /// The row below.
        child: String,
    },
    /// {child} should have persistent option like {parent}
    #[error("{child} should have persistent option like {parent}")]
    NotPersistent {
        /// The row above.
        parent: String,
        /// The row below.
        child: String,
    },
    /// Based on the option of {parent}, {child} should not use "link"-based options
    #[error(
        "Based on the option of {parent}, {child} should not use \"link\"-based options: it is treated like a bind option"
    )]
    LinkChild {
        /// The row above.
        parent: String,
        /// The row below.
        child: String,
    },
    /// {path} cannot be listed in link mode
    #[error(
        "{path} cannot be listed in link mode: it is the root, or liteimg keeps its own files there"
    )]
    Reserved {
        /// The row.
        path: String,
    },
}

impl Problem {
    /// Whether the table cannot be used; else it is only odd. xCAT accepts the odd ones.
    #[must_use]
    pub fn refuses(&self) -> bool {
        !matches!(self, Self::LinkChild { .. })
    }

    /// The path of the row to blame.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::ConDirectory { path } | Self::Reserved { path } => path,
            Self::ReadOnlyParent { parent } => parent,
            Self::ReadOnlyChild { child, .. }
            | Self::BindChild { child, .. }
            | Self::NotPersistent { child, .. }
            | Self::LinkChild { child, .. } => child,
        }
    }
}

/// The path of a rule as its row writes it, with the trailing slash.
#[must_use]
pub fn written(rule: &Rule) -> String {
    if rule.directory && rule.path != "/" {
        format!("{}/", rule.path)
    } else {
        rule.path.clone()
    }
}

/// The nearest rule above `path` among those given by path.
pub(crate) fn nearest<'a, T>(rules: &'a BTreeMap<&str, T>, path: &str) -> Option<&'a T> {
    let mut path = path;
    while let Some((above, _)) = path.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
        if let Some(rule) = rules.get(above) {
            return Some(rule);
        }
        path = above;
    }
    None
}

/// Everything wrong with the places of the rules, in the order of their paths.
#[must_use]
pub fn check(rules: &[Rule]) -> Vec<Problem> {
    let directories = rules.iter().filter(|rule| rule.directory);
    let parents: BTreeMap<&str, &Rule> = directories.map(|rule| (&*rule.path, rule)).collect();
    let mut sorted: Vec<&Rule> = rules.iter().filter(|rule| rule.path != MTAB).collect();
    sorted.sort_by(|a, b| a.path.cmp(&b.path));
    let mut problems = Vec::new();
    for rule in sorted {
        let path = written(rule);
        let top = rule.path.split('/').nth(1).unwrap_or_default();
        if top.is_empty() || RESERVED.contains(&top) {
            problems.push(Problem::Reserved { path });
            continue;
        }
        if rule.directory && rule.placement == Placement::Concat {
            problems.push(Problem::ConDirectory { path });
            continue;
        }
        if let Some(parent) = nearest(&parents, &rule.path) {
            problems.extend(pair(parent, rule));
        }
    }
    let mut seen = Vec::new();
    problems.retain(|problem| {
        let new = !seen.contains(problem);
        seen.push(problem.clone());
        new
    });
    problems
}

/// What is wrong with one row below another.
fn pair(above: &Rule, below: &Rule) -> Option<Problem> {
    let (parent, child) = (written(above), written(below));
    if matches!(above.placement, Placement::Tree | Placement::Concat) {
        return Some(Problem::ReadOnlyParent { parent });
    }
    match (above.flavour, below.flavour) {
        (Flavour::Link, Flavour::Link) if below.placement == Placement::Tree => {
            return Some(Problem::ReadOnlyChild { parent, child });
        }
        (Flavour::Link, Flavour::Bind) => return Some(Problem::BindChild { parent, child }),
        _ => {}
    }
    if above.placement == Placement::Persistent && below.placement != Placement::Persistent {
        return Some(Problem::NotPersistent { parent, child });
    }
    (above.flavour == Flavour::Bind && below.flavour == Flavour::Link)
        .then_some(Problem::LinkChild { parent, child })
}

#[cfg(test)]
mod tests {
    use super::*;
    use statelite_policy::{Dialect, Origin};

    pub(crate) fn rule(text: &str, option: &str, dialect: Dialect) -> Rule {
        let word = statelite_policy::options::parse(option, dialect).unwrap();
        Rule {
            path: text.trim_end_matches('/').to_owned(),
            directory: text.ends_with('/'),
            placement: word.placement,
            flavour: word.flavour,
            option: word.normal().to_owned(),
            origin: Origin::CommandLine,
        }
    }

    #[test]
    fn every_pair_is_judged_as_xcat_judges_it() {
        for (dialect, parent, child, wanted) in [
            (
                "current",
                "ro",
                "tmpfs",
                "the directory \"/p/\" should not be with \"ro\" or \"con\" as its option",
            ),
            (
                "current",
                "link,ro",
                "link",
                "the directory \"/p/\" should not be with \"ro\" or \"con\" as its option",
            ),
            (
                "current",
                "link",
                "link,ro",
                "Based on the option of /p/, /p/a/c should not use \"link,ro\" as its option",
            ),
            (
                "current",
                "link",
                "tmpfs",
                "Based on the option of /p/, /p/a/c can only use \"link\"-based options",
            ),
            (
                "current",
                "",
                "localdisk",
                "Based on the option of /p/, /p/a/c can only use \"link\"-based options",
            ),
            (
                "current",
                "persistent",
                "tmpfs",
                "/p/a/c should have persistent option like /p/",
            ),
            (
                "current",
                "link,persistent",
                "link",
                "/p/a/c should have persistent option like /p/",
            ),
            ("current", "tmpfs", "persistent", ""),
            ("current", "tmpfs", "ro", ""),
            ("current", "link", "link,persistent", ""),
            ("current", "link", "link,con", ""),
            ("current", "persistent", "persistent", ""),
            ("2010", "", "persistent", ""),
            (
                "2010",
                "",
                "ro",
                "Based on the option of /p/, /p/a/c should not use \"link,ro\" as its option",
            ),
            ("2010", "bind", "bind,persistent", ""),
            (
                "2010",
                "persistent",
                "bind",
                "Based on the option of /p/, /p/a/c can only use \"link\"-based options",
            ),
        ] {
            let dialect = dialect.parse().unwrap();
            let rules = [rule("/p/a/c", child, dialect), rule("/p/", parent, dialect)];
            let found: Vec<_> = check(&rules).iter().map(Problem::to_string).collect();
            let wanted: Vec<_> = Some(wanted).filter(|w| !w.is_empty()).into_iter().collect();
            assert_eq!(found, wanted, "{parent:?} above {child:?}");
            assert!(check(&rules).iter().all(Problem::refuses));
        }
    }

    #[test]
    fn a_link_below_a_bind_is_odd_but_accepted() {
        let rules = [
            rule("/p/", "tmpfs", Dialect::Current),
            rule("/p/c", "link", Dialect::Current),
        ];
        let problems = check(&rules);
        assert!(matches!(&*problems, [problem @ Problem::LinkChild { .. }] if !problem.refuses()));
    }

    #[test]
    fn the_nearest_directory_row_is_the_parent_and_mtab_is_nobodys_child() {
        let rules = |middle: &str| {
            [
                rule("/p/", "link", Dialect::Current),
                rule(middle, "link,persistent", Dialect::Current),
                rule("/p/a/c", "link", Dialect::Current),
            ]
        };
        assert_eq!(check(&rules("/p/a/")).len(), 1);
        assert_eq!(check(&rules("/p/a")), []);
        let etc = [
            rule("/etc/", "persistent", Dialect::Current),
            rule("/etc/mtab", "", Dialect::Current),
        ];
        assert_eq!(check(&etc), []);
    }

    #[test]
    fn the_root_and_liteimgs_own_directories_cannot_be_listed() {
        for path in ["/", "/.statelite/x", "/.default/", "/.sllocal/"] {
            let rules = [rule(path, "tmpfs", Dialect::Current)];
            assert!(
                matches!(&*check(&rules), [Problem::Reserved { .. }]),
                "{path}"
            );
        }
        assert_eq!(check(&[rule("/.stateliter", "", Dialect::Current)]), []);
    }
}
