//! A program run for many hosts at once, every line it prints with the host's name in front.

use anyhow::Context as _;
use parking_lot::Mutex;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The longest line that is passed on whole, bytes; a longer one is cut there.
const LONGEST_LINE: u64 = 64 * 1024;

/// Where lines go.
pub type Output = Mutex<dyn Write + Send>;

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The host it is for.
    pub host: String,
    /// The arguments of the program.
    pub arguments: Vec<OsString>,
}

/// Runs a program with each of these arguments, at most `at_once` at a time. Lines go to `out` and `err` as `HOST: LINE`.
/// Returns the hosts for which it failed and why.
///
/// # Errors
/// When the program cannot be started at all.
pub fn run_all(
    program: &str,
    runs: &[Run],
    at_once: usize,
    out: &Output,
    err: &Output,
) -> anyhow::Result<Vec<(String, String)>> {
    let next = AtomicUsize::new(0);
    let failed: Mutex<Vec<(String, String)>> = Mutex::default();
    let broken: Mutex<Option<anyhow::Error>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..at_once.clamp(1, runs.len().max(1)) {
            scope.spawn(|| {
                while let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match one(program, run, out, err) {
                        Ok(None) => {}
                        Ok(Some(reason)) => failed.lock().push((run.host.clone(), reason)),
                        Err(error) => {
                            broken.lock().get_or_insert(error);
                            return;
                        }
                    }
                }
            });
        }
    });
    if let Some(error) = broken.into_inner() {
        return Err(error);
    }
    let mut failed = failed.into_inner();
    failed.sort();
    Ok(failed)
}

/// `None` when it went well.
fn one(program: &str, run: &Run, out: &Output, err: &Output) -> anyhow::Result<Option<String>> {
    let mut child = Command::new(program)
        .args(&run.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {program}: is it installed?"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        scope.spawn(|| stdout.map(|stream| pass_on(stream, &run.host, out)));
        if let Some(stream) = stderr {
            pass_on(stream, &run.host, err);
        }
    });
    let status = child.wait()?;
    Ok((!status.success()).then(|| format!("rsync: {status}")))
}

/// Passes lines on with the host in front.
fn pass_on(stream: impl Read, host: &str, to: &Output) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let read = reader
            .by_ref()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line);
        if !matches!(read, Ok(count) if count > 0) {
            return;
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        let mut to = to.lock();
        // A closed pipe ends the output, not the copying.
        let _ = write!(to, "{host}: ").and_then(|()| to.write_all(&line));
        let _ = to.write_all(b"\n");
    }
}
