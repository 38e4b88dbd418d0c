//! What changes for a node between what it was last given and what the tables say now.
//!
//! What happens to the node's own data is said twice: at a reload of its running daemon, which moves no files and
//! refuses what would need it, and at a reboot, after which RAM is empty.

use super::answer::Answer;
use super::given::Given;
use super::{ResolveError, dialect, image_of, policy};
use crate::tables::Site;
use serde::Serialize;
use statelite_policy::{
    Dialect, NodeIdentity, Origin, Placement, Policy, Refusals, Source, SourceError, Tables,
    TreeLayer,
};

/// A value before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pair<T> {
    /// As given.
    pub old: T,
    /// As the tables are now.
    pub new: T,
}

/// A path that is decided differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathChange {
    /// The path of the rule.
    pub path: String,
    /// Where it lives, before and after.
    pub placement: Pair<Placement>,
    /// What a reload of the running node does.
    pub reload: String,
    /// What the next boot does.
    pub reboot: String,
}

/// All differences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The node.
    pub node: String,
    /// When it was given what it has.
    pub given: String,
    /// Digests of the answers.
    pub digest: Pair<String>,
    /// The images, when they differ.
    pub image: Option<Pair<String>>,
    /// The dialects, when they differ.
    pub dialect: Option<Pair<String>>,
    /// Paths that live elsewhere, or whose rule comes or goes.
    pub paths: Vec<PathChange>,
    /// The trees, when they differ.
    pub trees: Option<Pair<Vec<String>>>,
    /// The persistent store, when it differs.
    pub store: Option<Pair<Option<String>>>,
    /// litefile lines that differ in their word alone: link mode may do them differently.
    pub words: Vec<Pair<String>>,
    /// Whether a reboot changes anything.
    pub reboot: bool,
}

/// Why there is nothing to compare.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DifferenceError {
    /// {0}
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// the record of {node} cannot be read: {reason}; remove it, it is written again when the node asks
    #[error(
        "the record of {node} cannot be read: {reason}; remove it, it is written again when the node asks"
    )]
    Record {
        /// The node.
        node: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Compares what a node was given with the tables.
///
/// # Errors
/// [`DifferenceError`].
pub fn difference(site: &Site, node: &str, given: &Given) -> Result<Difference, DifferenceError> {
    let image = image_of(site, node)?;
    let new = policy(site, node)?;
    let old = recorded(node, given).map_err(|reason| DifferenceError::Record {
        node: node.to_owned(),
        reason,
    })?;
    let answer = Answer::of(&new);
    let digest = answer.digest();
    let plan = statelite_policy::diff(&old, &new);
    let paths = plan.changes.into_iter().map(|change| {
        let (reload, reboot) = fate(change.from, change.to);
        PathChange {
            path: change.path,
            placement: Pair {
                old: change.from,
                new: change.to,
            },
            reload,
            reboot,
        }
    });
    let pair = |old: &str, new: String| {
        (old != new).then(|| Pair {
            old: old.to_owned(),
            new,
        })
    };
    let paths: Vec<PathChange> = paths.collect();
    let moved = |path: &str| paths.iter().any(|change| change.path == path);
    let words = words(&given.litefile, &answer.litefile, moved);
    let image = pair(&given.image, image);
    let dialect = pair(&given.dialect, dialect(site).to_string());
    Ok(Difference {
        node: node.to_owned(),
        given: given.time.clone(),
        reboot: given.digest != digest || image.is_some() || dialect.is_some(),
        digest: Pair {
            old: given.digest.clone(),
            new: digest,
        },
        image,
        dialect,
        trees: plan.layers_changed.then(|| Pair {
            old: given.litetree.clone(),
            new: answer.litetree,
        }),
        store: plan.statemnt_changed.then(|| Pair {
            old: given.statemnt.clone(),
            new: answer.statemnt,
        }),
        paths,
        words,
    })
}

/// Lines whose path is in both lists with another word, and that are not said as a change of place.
fn words(old: &[String], new: &[String], moved: impl Fn(&str) -> bool) -> Vec<Pair<String>> {
    let path = |line: &String| line.rsplit(' ').next().unwrap_or_default().to_owned();
    let changed = old.iter().filter_map(|line| {
        let other = new.iter().find(|other| path(other) == path(line))?;
        let short = path(line);
        let short = short.trim_end_matches('/');
        (other != line && !moved(short)).then(|| Pair {
            old: line.clone(),
            new: other.clone(),
        })
    });
    changed.collect()
}

/// The policy that was given.
fn recorded(node: &str, given: &Given) -> Result<Policy, String> {
    let dialect: Dialect = given.dialect.parse().map_err(|error| format!("{error}"))?;
    let mut csv = String::from("#image,file,options,comments,disable\n");
    for line in &given.litefile {
        let (option, path) = line
            .split_once(' ')
            .ok_or_else(|| format!("\"{line}\" is not OPTION PATH"))?;
        csv.push_str(&format!(
            "\"ALL\",\"{}\",\"{option}\",,\n",
            path.trim_start()
        ));
    }
    let tables = Tables {
        litefile: Some(("record", csv.as_bytes())),
        ..Tables::default()
    };
    let identity = NodeIdentity {
        name: node.to_owned(),
        ..NodeIdentity::default()
    };
    let built = statelite_policy::build(&tables, &identity, dialect);
    let mut policy = built.map_err(|refusals: Refusals| refusals.to_string())?;
    let source = |line: &String| {
        let parsed: Result<Source, SourceError> = line.parse();
        parsed.map_err(|error| format!("\"{line}\": {error}"))
    };
    for (index, line) in given.litetree.iter().enumerate() {
        policy.layers.push(TreeLayer {
            priority: (index + 1).to_string(),
            source: source(line)?,
            origin: Origin::Implied("as recorded"),
        });
    }
    policy.statemnt = given.statemnt.as_ref().map(source).transpose()?;
    Ok(policy)
}

/// What happens to a path's data at a reload and at a reboot.
fn fate(from: Placement, to: Placement) -> (String, String) {
    use Placement::{Concat, Image, Local, Persistent, Tree, Volatile};
    let read_only = |placement| matches!(placement, Image | Tree);
    let in_ram = |placement| matches!(placement, Volatile | Concat);
    let reload = match (from, to) {
        (from, to) if from == to => "stays as it is",
        (from, to) if read_only(from) && read_only(to) => "shows what the server has there",
        (from, to) if read_only(from) && in_ram(to) => "becomes writable",
        (from, _) if read_only(from) => "is copied to the store first, then becomes writable",
        (from, to) if in_ram(from) && in_ram(to) => "stays writable; its changes stay",
        (from, to) if in_ram(from) && read_only(to) => {
            "shows the server's content; the node's changes are parked, and come back with the rule"
        }
        (from, _) if in_ram(from) => {
            "is copied to the store first; refused if the node has changed it, for files would move"
        }
        (_, to) if read_only(to) => "shows the server's content; the stored copy stays where it is",
        _ => "is refused if the store has it, for files would move",
    };
    let first = match to {
        to if from == to => "stays as it is",
        to if read_only(to) => "shows the server's content",
        Persistent | Local => "is taken from the store, or copied there first",
        _ => "is writable and begins as the server has it",
    };
    let rest = match from {
        from if from == to => "",
        from if in_ram(from) => "; what is in RAM is gone",
        Persistent | Local => "; the stored copy stays where it is, unused",
        _ => "",
    };
    (reload.to_owned(), format!("{first}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::Row;
    use crate::tables::schema::{LITEFILE, LITETREE, NODELIST, NODETYPE, SITE, STATELITE};

    fn site(files: &[(&str, &str)], tree: &str, store: &str, image: &str) -> Site {
        let mut site = Site::default();
        site.add(&NODELIST, Row::new(&NODELIST).with(&NODELIST, "node", "n1"));
        let kind = Row::new(&NODETYPE).with(&NODETYPE, "node", "n1");
        let kind = kind
            .with(&NODETYPE, "os", "deb12")
            .with(&NODETYPE, "arch", "x86_64");
        let kind = kind.with(&NODETYPE, "provmethod", image);
        site.add(&NODETYPE, kind.with(&NODETYPE, "profile", "p"));
        for (file, option) in files {
            let row = Row::new(&LITEFILE).with(&LITEFILE, "image", "ALL");
            let row = row.with(&LITEFILE, "file", file);
            site.add(&LITEFILE, row.with(&LITEFILE, "options", option));
        }
        let row = Row::new(&LITETREE).with(&LITETREE, "priority", "1");
        site.add(&LITETREE, row.with(&LITETREE, "directory", tree));
        let row = Row::new(&STATELITE).with(&STATELITE, "node", "n1");
        site.add(&STATELITE, row.with(&STATELITE, "statemnt", store));
        site
    }

    fn given(site: &Site) -> Given {
        let answer = Answer::of(&policy(site, "n1").unwrap());
        Given::now(&answer, &image_of(site, "n1").unwrap(), dialect(site))
    }

    #[test]
    fn equal_tables_make_no_difference() {
        for option in ["", "ro", "con", "link,persistent", "localdisk"] {
            let site = site(
                &[("/etc/x", option), ("/var/", "tmpfs")],
                "s:/t",
                "s:/a",
                "one",
            );
            let found = difference(&site, "n1", &given(&site)).unwrap();
            assert!(
                !found.reboot && found.paths.is_empty() && found.words.is_empty(),
                "{option}"
            );
            assert!(found.trees.is_none() && found.store.is_none() && found.image.is_none());
        }
    }

    #[test]
    fn every_difference_is_named() {
        let old = site(
            &[
                ("/var/", "tmpfs"),
                ("/var/log/", "tmpfs"),
                ("/etc/motd", "ro"),
                ("/root/", "tmpfs"),
            ],
            "s:/t",
            "s:/a",
            "one",
        );
        let new = site(
            &[
                ("/var/", "tmpfs"),
                ("/var/log/", "persistent"),
                ("/root/", "rw"),
                ("/opt/", "rw"),
            ],
            "s:/u",
            "s:/b",
            "two",
        );
        let found = difference(&new, "n1", &given(&old)).unwrap();
        assert!(found.reboot && found.digest.old != found.digest.new);
        let paths: Vec<String> = found
            .paths
            .iter()
            .map(|change| {
                format!(
                    "{} {} {}",
                    change.path, change.placement.old, change.placement.new
                )
            })
            .collect();
        assert_eq!(
            paths,
            [
                "/etc/motd tree image",
                "/opt image volatile",
                "/var/log volatile persistent"
            ]
        );
        assert_eq!(found.image.unwrap().new, "two");
        assert_eq!(found.trees.unwrap().new, ["s:/u"]);
        assert_eq!(found.store.unwrap().old.as_deref(), Some("s:/a"));
        assert_eq!(found.words.len(), 1);
        assert_eq!(found.words[0].new, "rw            /root/");
    }

    #[test]
    fn a_dialect_is_a_difference() {
        let mut site = site(&[("/etc/x", "persistent")], "s:/t", "s:/a", "one");
        let given = given(&site);
        let row = Row::new(&SITE).with(&SITE, "key", "statelitedialect");
        site.add(&SITE, row.with(&SITE, "value", "2010"));
        let found = difference(&site, "n1", &given).unwrap();
        assert!(found.reboot && found.dialect.is_some() && found.paths.is_empty());
    }

    #[test]
    fn what_happens_to_data() {
        use Placement::*;
        for (from, to, reload, reboot) in [
            (
                Image,
                Volatile,
                "becomes writable",
                "begins as the server has it",
            ),
            (
                Tree,
                Persistent,
                "copied to the store first",
                "taken from the store",
            ),
            (
                Volatile,
                Local,
                "refused if the node has changed it",
                "what is in RAM is gone",
            ),
            (Volatile, Image, "parked", "what is in RAM is gone"),
            (
                Persistent,
                Volatile,
                "refused if the store has it",
                "stays where it is, unused",
            ),
            (
                Persistent,
                Local,
                "refused if the store has it",
                "stays where it is, unused",
            ),
            (
                Persistent,
                Tree,
                "stored copy stays",
                "stays where it is, unused",
            ),
            (
                Image,
                Tree,
                "shows what the server has",
                "shows the server's content",
            ),
            (
                Concat,
                Volatile,
                "its changes stay",
                "what is in RAM is gone",
            ),
            (Volatile, Volatile, "stays as it is", "stays as it is"),
        ] {
            let (at_reload, at_reboot) = fate(from, to);
            assert!(at_reload.contains(reload), "{from} {to}: {at_reload}");
            assert!(at_reboot.contains(reboot), "{from} {to}: {at_reboot}");
        }
    }

    #[test]
    fn a_record_that_makes_no_sense_is_named() {
        let site = site(&[], "s:/t", "s:/a", "one");
        let good = given(&site);
        for (bad, message) in [
            (
                Given {
                    dialect: "x".into(),
                    ..good.clone()
                },
                "unknown dialect",
            ),
            (
                Given {
                    litefile: vec!["x".into()],
                    ..good.clone()
                },
                "is not OPTION PATH",
            ),
            (
                Given {
                    litefile: vec!["x /a".into()],
                    ..good.clone()
                },
                "unknown option",
            ),
            (
                Given {
                    litetree: vec!["x".into()],
                    ..good.clone()
                },
                "neither server:dir",
            ),
            (
                Given {
                    statemnt: Some("x".into()),
                    ..good.clone()
                },
                "neither server:dir",
            ),
        ] {
            let error = difference(&site, "n1", &bad).unwrap_err().to_string();
            assert!(
                error.starts_with("the record of n1 cannot be read: "),
                "{error}"
            );
            assert!(
                error.contains(message) && error.contains("remove it"),
                "{error}"
            );
        }
    }
}
