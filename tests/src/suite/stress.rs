//! stress-ng's file-system class, one stressor at a time, each in a directory of its own that has to be removable.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{Setting, clean};
use crate::cmd::{Cmd, End, Outcome};
use crate::compare::{Results, Verdict};
use crate::tools;

const PROGRAM: &str = "/usr/bin/stress-ng";

/// The short list: those that work on names, data, locks and attributes in the directory they are given.
const SHORT: [&str; 27] = [
    "access",
    "chdir",
    "chmod",
    "chown",
    "copy-file",
    "dentry",
    "dir",
    "dirdeep",
    "fallocate",
    "fcntl",
    "filename",
    "flock",
    "fpunch",
    "fstat",
    "getdent",
    "hdd",
    "inotify",
    "iomix",
    "link",
    "lockf",
    "open",
    "rename",
    "symlink",
    "sync-file",
    "touch",
    "utime",
    "xattr",
];

/// Runs it.
pub fn run(setting: &Setting, dir: &Path) -> Result<Results> {
    tools::debian("stress-ng", PROGRAM)?;
    let names = if setting.amount.all_stressors {
        class()?
    } else {
        SHORT.iter().map(|name| (*name).to_owned()).collect()
    };
    let start = Instant::now();
    let mut results = Results::default();
    for name in names {
        let work = dir.join(&name);
        let made = Cmd::new("mkdir").arg(&work).run()?;
        let outcome = if made.success() {
            stressor(setting, &name, &work)?
        } else {
            made
        };
        results.stuck |= outcome.end == End::Stuck;
        results.note(&name, verdict(&outcome));
        if results.stuck {
            break;
        }
        clean(&work, &format!("{name} (clean up)"), &mut results)?;
    }
    results.elapsed = start.elapsed();
    Ok(results)
}

fn stressor(setting: &Setting, name: &str, dir: &Path) -> Result<Outcome> {
    let time = setting.amount.stress_time;
    Cmd::new(PROGRAM)
        .arg(format!("--{name}"))
        .arg(setting.amount.stress_workers.to_string())
        .arg("--timeout")
        .arg(format!("{}s", time.as_secs().max(1)))
        .arg("--temp-path")
        .arg(dir)
        .args(["--verify", "--no-rand-seed", "--log-brief"])
        .limit(time * 4 + Duration::from_secs(90))
        .run()
}

/// Exit statuses: 0 success, 1 no stressor run, 2 a stressor failed, 3 no resources, 4 not implemented, more: died.
/// A stressor that finds its facility missing says so and counts as a success; here it is skipped.
fn verdict(outcome: &Outcome) -> Verdict {
    let text = outcome.text();
    let line = |word: &str| {
        text.lines()
            .find(|line| line.contains(word))
            .map(|line| line.trim().to_owned())
    };
    match outcome.end {
        End::Code(0) => line("skipping stress").map_or(Verdict::Passed, Verdict::Skipped),
        End::Code(1) if text.contains("No stress workers invoked") => {
            Verdict::Skipped(line("disabled").unwrap_or_default())
        }
        End::Code(3 | 4) if text.contains("skipping stress") => {
            Verdict::Skipped(line("skipping stress").unwrap_or_default())
        }
        _ => Verdict::Failed(outcome.to_string()),
    }
}

/// The names in the class, as this stress-ng knows it: `class 'filesystem' stressors: access bind-mount ...`.
fn class() -> Result<Vec<String>> {
    // It prints the list and exits with a status of its own choosing.
    let outcome = Cmd::new(PROGRAM).args(["--class", "filesystem?"]).run()?;
    parse_class(&outcome.text()).with_context(|| outcome.to_string())
}

fn parse_class(text: &str) -> Option<Vec<String>> {
    let (_, names) = text.split_once("stressors:")?;
    let names: Vec<String> = names
        .lines()
        .next()?
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    (names.len() > 10).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(code: i32, text: &str) -> Outcome {
        Outcome {
            line: "stress-ng".to_owned(),
            end: End::Code(code),
            stdout: text.to_owned(),
            stderr: String::new(),
            elapsed: Duration::ZERO,
        }
    }

    #[test]
    fn tells_failed_from_missing() {
        assert_eq!(
            verdict(&outcome(0, "successful run completed in 1.00s")),
            Verdict::Passed
        );
        let skip = "fiemap: FS_IOC_FIEMAP not supported on the file system, skipping stressor";
        assert_eq!(
            verdict(&outcome(0, skip)),
            Verdict::Skipped(skip.to_owned())
        );
        assert!(matches!(
            verdict(&outcome(3, "x: skipping stress test")),
            Verdict::Skipped(_)
        ));
        assert!(matches!(
            verdict(&outcome(3, "out of inodes")),
            Verdict::Failed(_)
        ));
        assert!(matches!(
            verdict(&outcome(2, "link: failed")),
            Verdict::Failed(_)
        ));
        assert!(matches!(
            verdict(&outcome(1, "No stress workers invoked")),
            Verdict::Skipped(_)
        ));
    }

    #[test]
    fn reads_the_class() {
        let text = "class 'filesystem' stressors: a b c d e f g h i j k\n";
        assert_eq!(parse_class(text).unwrap().len(), 11);
        assert_eq!(parse_class("unknown option"), None);
    }
}
