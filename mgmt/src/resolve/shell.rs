//! Runs the commands of tables with a shell, within a time and a length.

use super::command::{Run, RunError};
use crate::tables::Site;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long a command may take unless the site says otherwise: a node waits for it.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest the site may allow, in seconds.
const TIMEOUT_MAX: u64 = 300;
/// The most bytes read of an output; what is used is a word.
const OUTPUT_MAX: usize = 4096;
/// How long an ended command's output is waited for: it is in the pipe already.
const LEFT_OVER: Duration = Duration::from_secs(1);
/// How often a running command is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// The shell of this machine.
#[derive(Debug, Clone, Copy)]
pub struct Shell {
    /// How long a command may take.
    pub timeout: Duration,
}

impl Shell {
    /// With the limit of a site: `site.statelitecmdtimeout`, in seconds, else [`TIMEOUT`].
    #[must_use]
    pub fn of(site: &Site) -> Self {
        let seconds = site.setting("statelitecmdtimeout");
        let seconds = seconds.and_then(|text| text.trim().parse().ok());
        let seconds = seconds.filter(|seconds| (1..=TIMEOUT_MAX).contains(seconds));
        Self {
            timeout: seconds.map_or(TIMEOUT, Duration::from_secs),
        }
    }
}

impl Run for Shell {
    /// `/bin/sh -c command`, in a process group of its own, with `NODE` in the environment and nothing on standard
    /// input. Whatever of the group is left at the end is killed.
    fn run(&self, command: &str, node: &str) -> Result<String, RunError> {
        let start = |error: std::io::Error| RunError::Start(error.to_string());
        let deadline = Instant::now() + self.timeout;
        let child = Command::new("/bin/sh")
            .args(["-c", command])
            .env("NODE", node)
            // It may hold the database's password.
            .env_remove("STATELITE_DB")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(start)?;
        let mut group = Group(child);
        let output = group.0.stdout.take().map(collect);
        let errors = group.0.stderr.take().map(collect);
        let ended = group.ends_before(deadline).map_err(start)?;
        let status = group.finish().map_err(start)?;
        let late = || RunError::Timeout(self.timeout);
        if !ended {
            return Err(late());
        }
        if !status.success() {
            let said = text(errors).unwrap_or_default();
            let said = said.trim();
            return Err(RunError::Failed {
                status: status.to_string(),
                said: match said.is_empty() {
                    true => String::new(),
                    false => format!(": {said}"),
                },
            });
        }
        let output = text(output).ok_or_else(late)?;
        if output.len() > OUTPUT_MAX {
            return Err(RunError::Output(OUTPUT_MAX));
        }
        Ok(output)
    }
}

/// A command and all it started.
struct Group(Child);

impl Group {
    fn id(&self) -> Option<Pid> {
        i32::try_from(self.0.id()).ok().and_then(Pid::from_raw)
    }

    /// Waits for the command itself, without collecting it: until then nobody else can have its number.
    fn ends_before(&self, deadline: Instant) -> std::io::Result<bool> {
        let Some(id) = self.id() else {
            return Ok(false);
        };
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        loop {
            if waitid(WaitId::Pid(id), look)?.is_some() {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Ends whatever of the group is left, and collects the command.
    fn finish(&mut self) -> std::io::Result<ExitStatus> {
        if let Some(id) = self.id() {
            // There may be nobody left to be killed.
            let _ = kill_process_group(id, Signal::KILL);
        }
        self.0.wait()
    }
}

/// Reads an output aside, so that a command that writes much does not wait for us for ever.
fn collect(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let limit = u64::try_from(OUTPUT_MAX + 1).unwrap_or(u64::MAX);
        // What came before a fault is what there is.
        let _ = from.by_ref().take(limit).read_to_end(&mut bytes);
        let _ = sender.send(bytes);
    });
    receiver
}

/// What was collected. All writers are dead; one that left the group may still hold the pipe, so not for ever.
fn text(from: Option<Receiver<Vec<u8>>>) -> Option<String> {
    let bytes = from?.recv_timeout(LEFT_OVER).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::Row;
    use crate::tables::schema::SITE;

    fn run(command: &str) -> Result<String, RunError> {
        let timeout = Duration::from_secs(20);
        Shell { timeout }.run(command, "n1")
    }

    #[test]
    fn commands_give_their_output() {
        assert_eq!(run("echo $NODE").unwrap(), "n1\n");
        assert_eq!(run("echo a; echo noise >&2").unwrap(), "a\n");
        assert_eq!(run("cat").unwrap(), "");
        assert_eq!(run("pwd").unwrap(), "/\n");
    }

    #[test]
    fn failures_say_what_the_command_said() {
        let error = run("echo broken >&2; exit 3").unwrap_err().to_string();
        assert_eq!(error, "it ended with exit status: 3: broken");
        let error = run("kill -9 $$").unwrap_err().to_string();
        assert!(error.starts_with("it ended with signal: 9"), "{error}");
        let error = run("yes").unwrap_err();
        assert!(
            matches!(error, RunError::Failed { .. } | RunError::Timeout(_)),
            "{error}"
        );
        assert_eq!(
            run("head -c 5000 /dev/zero"),
            Err(RunError::Output(OUTPUT_MAX))
        );
    }

    #[test]
    fn a_command_that_takes_too_long_is_ended_with_all_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let timeout = Duration::from_millis(400);
        let command = format!("sleep 1000 & echo $! > {}; wait", pid.display());
        let error = Shell { timeout }.run(&command, "n1").unwrap_err();
        assert_eq!(error, RunError::Timeout(timeout));
        assert_eq!(
            error.to_string(),
            "it ran for more than 400ms (site.statelitecmdtimeout, seconds)"
        );
        let pid = std::fs::read_to_string(pid).unwrap();
        let state = format!("/proc/{}/stat", pid.trim());
        // Gone, or dead and waiting to be collected by whoever inherits it.
        let gone = || match std::fs::read_to_string(&state) {
            Ok(stat) => stat.contains(") Z ") || stat.contains(") X "),
            Err(_) => true,
        };
        while !gone() {
            std::thread::sleep(LOOK);
        }
    }

    #[test]
    fn what_a_command_leaves_running_ends_with_it() {
        assert_eq!(run("sleep 1000 & echo a").unwrap(), "a\n");
        assert_eq!(run("sleep 1000 >/dev/null 2>&1 & echo a").unwrap(), "a\n");
    }

    #[test]
    fn the_site_sets_the_limit() {
        for (value, seconds) in [("2", 2), ("0", 5), ("x", 5), ("100000", 5), ("", 5)] {
            let mut site = Site::default();
            let row = Row::new(&SITE).with(&SITE, "key", "statelitecmdtimeout");
            site.add(&SITE, row.with(&SITE, "value", value));
            assert_eq!(Shell::of(&site).timeout, Duration::from_secs(seconds));
        }
    }
}
