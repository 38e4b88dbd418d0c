//! `prsync`: rsync to many nodes at once, every line with the node's name in front.
//!
//! Two forms (facts §9): `prsync FILE... NR:/dest`, and the seed's `cd /; prsync install SN:/`. Options in front go to
//! rsync. The remote shell is rsync's own choice (`RSYNC_RSH`).

use super::remote::{Output, Run, run_all};
use crate::noderange;
use crate::tables::Site;
use std::ffi::OsString;

/// What is to be copied where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Options for rsync.
    pub options: Vec<String>,
    /// Local files and directories.
    pub sources: Vec<String>,
    /// The nodes, sorted.
    pub nodes: Vec<String>,
    /// Where on the nodes.
    pub destination: String,
}

/// Why the words make no job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// nothing to copy: prsync FILE... NODERANGE:/DEST
    #[error("nothing to copy: prsync FILE... NODERANGE:/DEST")]
    Sources,
    /// "{0}": where to? NODERANGE:/DEST, an absolute path
    #[error("\"{0}\": where to? NODERANGE:/DEST, an absolute path")]
    Destination(String),
    /// {0}
    #[error(transparent)]
    Range(#[from] noderange::RangeError),
}

impl Job {
    /// Makes a job of command line words; the last is the destination.
    ///
    /// # Errors
    /// [`JobError`]
    pub fn parse(site: &Site, words: &[String]) -> Result<Self, JobError> {
        let (last, words) = words.split_last().ok_or(JobError::Sources)?;
        // The range may hold colons (a1:a9) and slashes; the destination begins at the last ":/".
        let place = last
            .rfind(":/")
            .ok_or_else(|| JobError::Destination(last.clone()))?;
        let (range, destination) = last.split_at(place);
        let (options, sources): (Vec<_>, Vec<_>) = words
            .iter()
            .cloned()
            .partition(|word| word.starts_with('-'));
        if sources.is_empty() {
            return Err(JobError::Sources);
        }
        Ok(Self {
            options,
            sources,
            nodes: noderange::expand(site, range)?,
            destination: destination.trim_start_matches(':').to_owned(),
        })
    }

    /// The arguments of rsync for one node. Whole trees with all attributes, names as they are.
    #[must_use]
    pub fn arguments(&self, node: &str) -> Vec<OsString> {
        let mut words: Vec<OsString> = ["-aH", "--protect-args"].map(OsString::from).to_vec();
        words.extend(self.options.iter().map(OsString::from));
        words.push("--".into());
        words.extend(self.sources.iter().map(OsString::from));
        words.push(format!("{node}:{}", self.destination).into());
        words
    }

    /// Runs rsync for every node, at most `at_once` at a time. Lines go to `out` and `err` as `NODE: LINE`. Returns the nodes
    /// that failed and why.
    ///
    /// # Errors
    /// When rsync cannot be started at all.
    pub fn run(
        &self,
        program: &str,
        at_once: usize,
        out: &Output,
        err: &Output,
    ) -> anyhow::Result<Vec<(String, String)>> {
        let runs = self.nodes.iter().map(|node| Run {
            host: node.clone(),
            arguments: self.arguments(node),
        });
        run_all(program, &runs.collect::<Vec<_>>(), at_once, out, err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::testing;
    use parking_lot::Mutex;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn both_forms() {
        let site = testing::site();
        let job = Job::parse(&site, &words("install sn1:/")).unwrap();
        assert_eq!(
            (job.sources, job.nodes, job.destination),
            (words("install"), words("sn1"), "/".into())
        );
        let job = Job::parse(&site, &words("-v --delete /a b compute:/opt/x")).unwrap();
        assert_eq!(
            (job.options, job.sources),
            (words("-v --delete"), words("/a b"))
        );
        assert_eq!(
            (job.nodes, job.destination),
            (words("n01 n02"), "/opt/x".into())
        );
        for (line, message) in [
            ("", "nothing to copy"),
            ("sn1:/", "nothing to copy"),
            ("a sn1", "where to?"),
            ("a sn1:x", "where to?"),
            ("a nonesuch:/", "nonesuch"),
        ] {
            let error = Job::parse(&site, &words(line)).unwrap_err().to_string();
            assert!(error.contains(message), "{line}: {error}");
        }
    }

    #[test]
    fn names_of_files_are_no_options() {
        let job = Job {
            options: vec![],
            sources: vec!["a b".into()],
            nodes: vec!["n01".into()],
            destination: "/x".into(),
        };
        assert_eq!(
            job.arguments("n01"),
            ["-aH", "--protect-args", "--", "a b", "n01:/x"]
        );
    }

    /// A remote shell that runs the command here, in a directory of the node's own.
    fn remote_shell(dir: &std::path::Path) -> String {
        let path = dir.join("rsh");
        let text = format!(
            "#!/bin/sh\nnode=$1; shift\n[ \"$node\" = n02 ] && {{ echo 'no route' >&2; exit 255; }}\n\
             cd {0}/$node || exit 1\nexec \"$@\"\n",
            dir.display()
        );
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn files_arrive_and_a_dead_node_is_named() {
        if Command::new("rsync").arg("--version").output().is_err() {
            eprintln!("SKIPPED: prsync needs rsync");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        for node in ["n01", "n02", "n03"] {
            std::fs::create_dir(dir.path().join(node)).unwrap();
        }
        std::fs::create_dir(dir.path().join("install")).unwrap();
        std::fs::write(dir.path().join("install/a file"), "x").unwrap();
        let job = Job {
            options: vec!["-v".into(), format!("--rsh={}", remote_shell(dir.path()))],
            sources: vec![dir.path().join("install").to_str().unwrap().to_owned()],
            nodes: ["n01", "n02", "n03"].map(str::to_owned).to_vec(),
            destination: "./".into(),
        };
        let (out, err) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let failed = job.run("rsync", 2, &out, &err).unwrap();
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0].0, "n02");
        for node in ["n01", "n03"] {
            let copied = dir.path().join(node).join("install/a file");
            assert_eq!(std::fs::read_to_string(copied).unwrap(), "x", "{node}");
        }
        let out = String::from_utf8(out.into_inner()).unwrap();
        assert!(out.lines().all(|line| line.starts_with("n0")), "{out}");
        assert!(out.contains("n03: install/a file"), "{out}");
        let err = String::from_utf8(err.into_inner()).unwrap();
        assert!(err.contains("n02: no route"), "{err}");
    }

    #[test]
    fn a_missing_rsync_is_said_once() {
        let job = Job::parse(&testing::site(), &words("/etc/hostname compute:/")).unwrap();
        let (out, err) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let error = job.run("/nonexistent/rsync", 4, &out, &err).unwrap_err();
        assert!(error.to_string().contains("is it installed?"));
    }
}
