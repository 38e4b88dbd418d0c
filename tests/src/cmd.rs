//! Programs with a time limit.
//!
//! Output goes to anonymous files, not pipes: nothing has to be drained, and a grandchild that keeps a descriptor
//! cannot hold the caller up. A program over its limit gets SIGTERM, then SIGKILL, with its whole process group; one
//! that outlives even that (it waits inside a dead mount) is left behind and reported as [`End::Stuck`].

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

/// The most that is kept of each output stream.
const KEEP: u64 = 16 << 20;
/// How long a program has to act on SIGTERM, and again on SIGKILL.
const GRACE: Duration = Duration::from_secs(3);

/// A program to run.
#[derive(Debug, Clone)]
pub struct Cmd {
    program: OsString,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
    limit: Duration,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It exited by itself.
    Code(i32),
    /// A signal that was not ours ended it.
    Signal(i32),
    /// It was ended at its time limit.
    TimedOut,
    /// It could not even be killed.
    Stuck,
}

/// What a program did.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The command line, for messages.
    pub line: String,
    /// How it ended.
    pub end: End,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How long it took.
    pub elapsed: Duration,
}

impl Cmd {
    /// A program with a limit of one minute.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            envs: Vec::new(),
            dir: None,
            limit: Duration::from_secs(60),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.envs
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Sets the time limit.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it. An error means that it could not be started; everything else is in the outcome.
    pub fn run(&self) -> Result<Outcome> {
        let line = self.line();
        let stdout = tempfile::tempfile().context("a file for standard output")?;
        let stderr = tempfile::tempfile().context("a file for standard error")?;
        let start = Instant::now();
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .envs(self.envs.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(stdout.try_clone()?)
            .stderr(stderr.try_clone()?)
            .process_group(0);
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start: {line}"))?;
        let end = wait_until(&mut child, start + self.limit)?
            .map_or_else(|| end_group(&mut child), from_status);
        Ok(Outcome {
            line,
            end,
            stdout: contents(stdout)?,
            stderr: contents(stderr)?,
            elapsed: start.elapsed(),
        })
    }

    /// Runs it and requires success.
    pub fn check(&self) -> Result<Outcome> {
        let outcome = self.run()?;
        if !outcome.success() {
            bail!("{outcome}");
        }
        Ok(outcome)
    }

    fn line(&self) -> String {
        std::iter::once(&self.program)
            .chain(&self.args)
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

impl Outcome {
    /// Whether it exited with 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.end == End::Code(0)
    }

    /// Both streams, for searching.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// The last lines of both streams, for messages.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        let text = self.text();
        let all: Vec<&str> = text.lines().collect();
        let from = all.len().saturating_sub(lines);
        all.into_iter().skip(from).collect::<Vec<_>>().join("\n")
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {} after {:.1} s\n{}",
            self.line,
            self.end,
            self.elapsed.as_secs_f64(),
            self.tail(40)
        )
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(signal) => write!(f, "ended by signal {signal}"),
            Self::TimedOut => write!(f, "over its time limit"),
            Self::Stuck => write!(f, "over its time limit, and cannot be killed"),
        }
    }
}

fn from_status(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Code(code),
        (None, signal) => End::Signal(signal.unwrap_or_default()),
    }
}

/// Polls, starting with short pauses, so that short programs cost little.
fn wait_until(child: &mut Child, deadline: Instant) -> Result<Option<ExitStatus>> {
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn end_group(child: &mut Child) -> End {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    for signal in [Signal::TERM, Signal::KILL] {
        if let Some(group) = group {
            // The group may be gone already; what counts is whether the child is.
            let _ = kill_process_group(group, signal);
        }
        if matches!(wait_until(child, Instant::now() + GRACE), Ok(Some(_))) {
            if let Some(group) = group {
                let _ = kill_process_group(group, Signal::KILL);
            }
            return End::TimedOut;
        }
    }
    End::Stuck
}

fn contents(mut file: File) -> Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(KEEP).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_both_streams_and_the_code() {
        let outcome = Cmd::new("sh")
            .args(["-c", "echo a; echo b >&2; exit 3"])
            .run()
            .unwrap();
        assert_eq!(
            (
                outcome.end,
                outcome.stdout.as_str(),
                outcome.stderr.as_str()
            ),
            (End::Code(3), "a\n", "b\n")
        );
    }

    #[test]
    fn ends_the_whole_group_at_the_limit() {
        let limit = Duration::from_millis(200);
        let outcome = Cmd::new("sh")
            .args(["-c", "sleep 60 & sleep 60"])
            .limit(limit)
            .run()
            .unwrap();
        assert_eq!(outcome.end, End::TimedOut);
        assert!(outcome.elapsed < Duration::from_secs(3));
    }

    #[test]
    fn kills_what_ignores_sigterm() {
        let limit = Duration::from_millis(200);
        let outcome = Cmd::new("sh")
            .args(["-c", "trap '' TERM; while :; do sleep 1; done"])
            .limit(limit)
            .run()
            .unwrap();
        assert_eq!(outcome.end, End::TimedOut);
    }

    #[test]
    fn a_missing_program_is_an_error() {
        assert!(Cmd::new("/nonexistent/program").run().is_err());
    }

    #[test]
    fn check_tells_the_line_and_the_output() {
        let error = Cmd::new("sh")
            .args(["-c", "echo why; exit 1"])
            .check()
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("exit status 1") && error.contains("why"),
            "{error}"
        );
    }
}
