//! Running commands that may hang.
//!
//! Everything that touches a mounted target runs as a child with a time limit, in a process group of its own. A child
//! stuck in a request to a dead FUSE daemon ignores even SIGKILL until the connection is aborted, therefore
//! [`Runner::run_or`] takes what to do then. Nothing here looks at `/proc/PID`: that may hang as well.

use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::journal::{Entry, Journal};

/// How long a killed child may take to go away before its mount is aborted, and again after that.
const GRACE: Duration = Duration::from_secs(3);

/// A command that ended well.
#[derive(Debug)]
pub struct Finished {
    /// From just before the start to its end.
    pub elapsed: Duration,
    /// What it wrote.
    pub stdout: String,
}

/// Why a command gave no result. Displayed, it is what the report says.
#[derive(Debug)]
pub enum Fault {
    /// It could not be started or waited for.
    Start(String),
    /// It ended with an error.
    Status(ExitStatus, String),
    /// It was still running at its time limit.
    Late(Duration),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Start(why) => write!(f, "cannot run: {why}"),
            Fault::Status(status, text) if text.is_empty() => write!(f, "{status}"),
            Fault::Status(status, text) => write!(f, "{status}: {text}"),
            Fault::Late(limit) => write!(f, "not done after {} s", limit.as_secs()),
        }
    }
}

impl std::error::Error for Fault {}

impl Fault {
    fn start(error: impl fmt::Display) -> Self {
        Fault::Start(error.to_string())
    }
}

/// Runs commands and keeps the journal of what runs.
#[derive(Debug, Clone)]
pub struct Runner {
    journal: Option<Arc<Journal>>,
}

impl Runner {
    /// A runner that notes its children, so that the janitor can end them.
    pub fn noting(journal: Arc<Journal>) -> Self {
        Runner {
            journal: Some(journal),
        }
    }

    /// A runner for the janitor itself.
    pub fn unnoted() -> Self {
        Runner { journal: None }
    }

    /// Adds a line to the journal.
    pub fn note(&self, entry: &Entry<'_>) {
        if let Some(journal) = &self.journal {
            journal.note(entry);
        }
    }

    /// Runs `command` for at most `limit`.
    pub fn run(&self, command: Command, limit: Duration) -> Result<Finished, Fault> {
        self.run_or(command, limit, || ())
    }

    /// Runs `command` for at most `limit`; calls `rescue` if killing it is not enough to end it.
    pub fn run_or(
        &self,
        mut command: Command,
        limit: Duration,
        rescue: impl FnOnce(),
    ) -> Result<Finished, Fault> {
        let mut out = tempfile::tempfile().map_err(Fault::start)?;
        let mut err = tempfile::tempfile().map_err(Fault::start)?;
        command
            .stdin(Stdio::null())
            .stdout(out.try_clone().map_err(Fault::start)?)
            .stderr(err.try_clone().map_err(Fault::start)?)
            .process_group(0);
        let start = Instant::now();
        let mut child = command.spawn().map_err(Fault::start)?;
        let group = Pid::from_child(&child);
        self.note(&Entry::Started(group));
        let status = wait(&mut child, limit).map_err(Fault::start)?;
        let elapsed = start.elapsed();
        let ended = match status {
            Some(status) => Ok(status),
            None => {
                end(&mut child, group, rescue);
                Err(Fault::Late(limit))
            }
        };
        self.note(&Entry::Ended(group));
        let status = ended?;
        if status.success() {
            return Ok(Finished {
                elapsed,
                stdout: text(&mut out),
            });
        }
        Err(Fault::Status(status, last_line(&text(&mut err))))
    }
}

/// Waits for the child for at most `limit`; `None` if it still runs then.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let until = Instant::now() + limit;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(std::io::Error::other)?;
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Ok(None),
            Ok(_) => return child.wait().map(Some),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Kills the group and sees the child off; if it does not go, `rescue` has to free it.
fn end(child: &mut Child, group: Pid, rescue: impl FnOnce()) {
    let kill = || match kill_process_group(group, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(error) => eprintln!(
            "statelite-bench: cannot kill process group {}: {error}",
            group.as_raw_nonzero()
        ),
    };
    kill();
    if matches!(wait(child, GRACE), Ok(Some(_))) {
        return;
    }
    rescue();
    kill();
    if !matches!(wait(child, GRACE), Ok(Some(_))) {
        eprintln!(
            "statelite-bench: process {} cannot be ended; going on without it",
            group.as_raw_nonzero()
        );
    }
}

fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    let read = file
        .seek(SeekFrom::Start(0))
        .and_then(|_| file.read_to_end(&mut bytes));
    match read {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("(output unreadable: {error})"),
    }
}

fn last_line(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty())
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sh(script: &str, limit: Duration) -> Result<Finished, Fault> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Runner::unnoted().run(command, limit)
    }

    #[test]
    fn output_is_kept() {
        assert_eq!(sh("echo 3.5", GRACE).unwrap().stdout, "3.5\n");
    }

    #[test]
    fn the_last_line_of_an_error_is_told() {
        let fault = sh("echo one >&2; echo two >&2; exit 3", GRACE).unwrap_err();
        assert_eq!(fault.to_string(), "exit status: 3: two");
    }

    #[test]
    fn what_hangs_is_ended_with_its_children() {
        let start = Instant::now();
        let fault = sh("sleep 60 & sleep 60", Duration::from_millis(100)).unwrap_err();
        assert!(matches!(fault, Fault::Late(_)), "{fault}");
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_missing_program_is_a_fault() {
        let fault = Runner::unnoted()
            .run(Command::new("/nonexistent"), GRACE)
            .unwrap_err();
        assert!(fault.to_string().starts_with("cannot run"), "{fault}");
    }
}
