//! The crate `pjdfstest`: 398 cases, each a small question about POSIX.
//!
//! Two users with groups of their own are needed; every Debian has `nobody` and `daemon`, so none are created. All
//! features that Linux has are on. Off: BSD flags, NFSv4 ACLs, birth times as BSD reads them, and remounting (`erofs`),
//! which would take the tested mount away from under other suites. A second file system is given, for EXDEV.
//!
//! It binds sockets by absolute path, with 54 bytes of its own in an address of at most 107: the tested directory has
//! to have a short name, or every socket case fails everywhere.
//!
//! Its character devices are all number 0:0, which is overlayfs's whiteout: kernel overlayfs refuses them (EPERM) and
//! fails 41 cases for that alone. The product has no such excuse.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Setting;
use crate::cmd::Cmd;
use crate::cmd::End;
use crate::compare::{Results, Verdict};
use crate::tools::PJDFSTEST;

const CONFIG: &str = r#"
[features]
posix_fallocate = {}
rename_ctime = {}
utime_now = {}
utimensat = {}

[settings]
naptime = 0.01
allow_remount = false

[dummy_auth]
entries = [["nobody", "nogroup"], ["daemon", "daemon"]]
"#;

/// The longest directory name that leaves room for the sockets.
const LONGEST: usize = 107 - 54;

/// Runs it.
pub fn run(setting: &Setting, dir: &Path) -> Result<Results> {
    ensure!(
        dir.as_os_str().len() <= LONGEST,
        "{}: too long for pjdfstest's sockets",
        dir.display()
    );
    let config = setting.room.join("pjdfstest.toml");
    std::fs::write(&config, CONFIG)?;
    let outcome = Cmd::new(PJDFSTEST.path()?)
        .arg("-c")
        .arg(config)
        .arg("-s")
        .arg(&setting.secondary)
        .arg("-p")
        .arg(dir)
        .env("NO_COLOR", "1")
        .env("RUST_BACKTRACE", "0")
        .limit(Duration::from_secs(300))
        .run()?;
    let mut results = Results {
        cases: parse(&outcome.stdout),
        stuck: outcome.end == End::Stuck,
        elapsed: outcome.elapsed,
    };
    let verdict = match outcome.end {
        End::Code(0 | 1) if outcome.stdout.contains("\nSummary: ") => Verdict::Passed,
        _ => Verdict::Failed(outcome.to_string()),
    };
    results.note("(whole run)", verdict);
    Ok(results)
}

/// Lines `NAME ok`, `NAME FAILED`, `NAME skipped`; reasons follow, indented.
fn parse(output: &str) -> BTreeMap<String, Verdict> {
    let mut results = Results::default();
    let mut lines = output.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((name, verdict)) = line.split_once(' ') else {
            continue;
        };
        let mut reason = || {
            lines
                .next_if(|next| next.starts_with('\t'))
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        let verdict = match verdict.trim() {
            "ok" => Verdict::Passed,
            "FAILED" => Verdict::Failed(reason()),
            "skipped" => Verdict::Skipped(reason()),
            _ => continue,
        };
        results.note(name, verdict);
    }
    results.cases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_three_verdicts() {
        let output = "\
open::a                                ok
link::b                                FAILED
\tcalled `Result::unwrap()` on an `Err` value: EPERM
Backtrace:
   0: main
chmod::c                               skipped
\tRemounts (allow_remount) are not allowed

Summary: 1 failed, 1 skipped, 1 passed, 0 expected failures, 3 total
";
        let cases = parse(output);
        assert_eq!(cases.len(), 3);
        assert_eq!(cases["open::a"], Verdict::Passed);
        assert_eq!(
            cases["link::b"],
            Verdict::Failed("called `Result::unwrap()` on an `Err` value: EPERM".to_owned())
        );
        assert_eq!(
            cases["chmod::c"],
            Verdict::Skipped("Remounts (allow_remount) are not allowed".to_owned())
        );
    }
}
