//! What a node is told, line by line: the same lines on the wire and from the `litefile` and `litetree` commands.
//!
//! Lines are sorted as xCAT sorts them: files by their bytes as written, trailing slash included; trees by priority.
//! The option word is the normal one of the dialect: a blank cell is sent as `tmpfs,rw`, and `/etc/mtab`, which is
//! always there, as `link` when no row lists it.

use super::{ResolveError, policy};
use crate::tables::Site;
use sha2::{Digest as _, Sha256};
use statelite_policy::{Policy, Rule, wire};

/// Everything a node is told about its files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// `OPTION PATH`, sorted by path.
    pub litefile: Vec<String>,
    /// `server:dir[ :mntopts]`, by priority.
    pub litetree: Vec<String>,
    /// `server:dir[ :mntopts]` of the persistent store, without the node's own directory.
    pub statemnt: Option<String>,
}

impl Answer {
    /// The answer that says this policy.
    #[must_use]
    pub fn of(policy: &Policy) -> Self {
        let trees = policy.layers.iter();
        Self {
            litefile: files(policy),
            litetree: trees.map(|layer| format!("{:#}", layer.source)).collect(),
            statemnt: policy.statemnt.as_ref().map(|source| format!("{source:#}")),
        }
    }

    /// SHA-256 of all lines, in hex: equal answers, and only they, have equal digests.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let store = self.statemnt.as_slice();
        for (name, lines) in [
            ("litefile", self.litefile.as_slice()),
            ("litetree", self.litetree.as_slice()),
            ("statemnt", store),
        ] {
            // The count keeps a line of one list from passing for one of the next.
            hash.update(format!("{name} {}\n", lines.len()));
            for line in lines {
                hash.update(line);
                hash.update("\n");
            }
        }
        let bytes = hash.finalize();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A rule's path as a row writes it: with a trailing slash for a directory.
#[must_use]
pub fn written_path(rule: &Rule) -> String {
    match rule.path.as_str() {
        "/" => "/".to_owned(),
        path if rule.directory => format!("{path}/"),
        path => path.to_owned(),
    }
}

/// `OPTION PATH` of every rule, sorted by the path as written.
#[must_use]
pub fn files(policy: &Policy) -> Vec<String> {
    let mut rules: Vec<_> = policy
        .tree
        .rules()
        .map(|rule| (written_path(rule), rule.option.as_str()))
        .collect();
    rules.sort();
    let lines = rules.iter();
    lines
        .map(|(path, option)| wire::litefile_line(option, path))
        .collect()
}

/// A node's answer.
///
/// # Errors
/// [`ResolveError`], with every refused row.
pub fn answer(site: &Site, node: &str) -> Result<Answer, ResolveError> {
    Ok(Answer::of(&policy(site, node)?))
}

/// `NODE: OPTION PATH`: what `litefile NODE` prints and the wire sends.
///
/// # Errors
/// As [`answer`].
pub fn litefile_lines(site: &Site, node: &str) -> Result<Vec<String>, ResolveError> {
    Ok(prefixed(node, &answer(site, node)?.litefile))
}

/// `NODE: server:dir[ :mntopts]`: what `litetree NODE` prints and the wire sends.
///
/// # Errors
/// As [`answer`].
pub fn litetree_lines(site: &Site, node: &str) -> Result<Vec<String>, ResolveError> {
    Ok(prefixed(node, &answer(site, node)?.litetree))
}

/// The lines with the node's, or an image's, name before each.
#[must_use]
pub fn prefixed(name: &str, lines: &[String]) -> Vec<String> {
    lines.iter().map(|line| format!("{name}: {line}")).collect()
}

/// The digest of a node's answer, see [`Answer::digest`].
///
/// # Errors
/// As [`answer`].
pub fn digest(site: &Site, node: &str) -> Result<String, ResolveError> {
    Ok(answer(site, node)?.digest())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::Row;
    use crate::tables::schema::{LITEFILE, LITETREE, NODELIST, NODETYPE, STATELITE};

    fn site(files: &[(&str, &str)]) -> Site {
        let mut site = Site::default();
        site.add(
            &NODELIST,
            Row::new(&NODELIST).with(&NODELIST, "node", "n01"),
        );
        let kind = Row::new(&NODETYPE).with(&NODETYPE, "node", "n01");
        let kind = kind.with(&NODETYPE, "os", "rhels6.2");
        let kind = kind.with(&NODETYPE, "arch", "x86_64");
        site.add(&NODETYPE, kind.with(&NODETYPE, "profile", "compute"));
        for (file, option) in files {
            let row = Row::new(&LITEFILE).with(&LITEFILE, "image", "ALL");
            let row = row.with(&LITEFILE, "file", file);
            site.add(&LITEFILE, row.with(&LITEFILE, "options", option));
        }
        site
    }

    #[test]
    fn lines_are_those_of_the_wire_sample() {
        let mut site = site(&[("/etc/adjtime", "tmpfs")]);
        assert_eq!(
            litefile_lines(&site, "n01").unwrap(),
            [
                "n01: tmpfs         /etc/adjtime",
                "n01: link          /etc/mtab"
            ]
        );
        for (priority, directory, mntopts) in [
            ("10", "cnfs:/gpfs/dallas/", "soft"),
            ("2", "10.0.0.1:/statelite/$node", ""),
        ] {
            let row = Row::new(&LITETREE).with(&LITETREE, "priority", priority);
            let row = row.with(&LITETREE, "directory", directory);
            site.add(&LITETREE, row.with(&LITETREE, "mntopts", mntopts));
        }
        assert_eq!(
            litetree_lines(&site, "n01").unwrap(),
            [
                "n01: 10.0.0.1:/statelite/n01",
                "n01: cnfs:/gpfs/dallas/ :soft"
            ]
        );
    }

    #[test]
    fn files_are_sorted_as_written_and_blank_is_named() {
        let site = site(&[
            ("/etc/ssh/", ""),
            ("/etc/ssh-x", "ro"),
            ("/etc/mtab", "persistent"),
        ]);
        assert_eq!(
            answer(&site, "n01").unwrap().litefile,
            [
                "tmpfs,rw      /etc/mtab",
                "ro            /etc/ssh-x",
                "tmpfs,rw      /etc/ssh/"
            ]
        );
    }

    #[test]
    fn digests_tell_answers_apart() {
        let line = |text: &str| vec![text.to_owned()];
        let answers = [
            Answer::default(),
            Answer {
                litefile: line("a"),
                ..Answer::default()
            },
            Answer {
                litetree: line("a"),
                ..Answer::default()
            },
            Answer {
                statemnt: Some("a".into()),
                ..Answer::default()
            },
        ];
        let digests: std::collections::BTreeSet<_> = answers.iter().map(Answer::digest).collect();
        assert_eq!(digests.len(), answers.len());
        assert!(digests.iter().all(|digest| digest.len() == 64));
        assert_eq!(answers[1].digest(), answers[1].clone().digest());
        let mut site = site(&[]);
        let before = digest(&site, "n01").unwrap();
        let row = Row::new(&STATELITE).with(&STATELITE, "node", "n01");
        site.add(&STATELITE, row.with(&STATELITE, "statemnt", "s:/a"));
        assert_ne!(digest(&site, "n01").unwrap(), before);
    }
}
