//! Runs the examples of `docs/SEMANTICS.md` against the program.
//!
//! A block ```` ```console ```` is an example: lines after `$ ` are given to one `sh`, lines after
//! `> ` continue the command above, all other lines are what the command prints (both outputs).
//! `...` stands for any text in a line, or on a line of its own for any lines. Each example starts
//! in a scratch directory of its own, in which the block ```` ```sh setup ```` has been run.
//!
//! `SEMANTICS_ONLY=WORD` runs the examples below headings that contain WORD.

mod examples;

use anyhow::{Context as _, Result, bail};
use examples::{Document, Example, lines_match};
use rustix::mount::{UnmountFlags, unmount};
use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/SEMANTICS.md");
const PROGRAM: &str = env!("CARGO_BIN_EXE_statelitefs");
/// One example may not take longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Comes before each command's output; no command prints it.
const MARK: char = '\u{1e}';

#[test]
fn the_examples_of_semantics_md_hold() {
    let text = std::fs::read_to_string(DOCUMENT).expect(DOCUMENT);
    let document = Document::parse(&text);
    assert!(
        document.examples.len() >= 12,
        "only {} examples found",
        document.examples.len()
    );
    if let Some(missing) = missing() {
        // Not through the macros, which the test harness silences.
        let _ = writeln!(
            std::io::stderr(),
            "\nSKIPPED: {} examples of SEMANTICS.md: {missing}\n",
            document.examples.len()
        );
        return;
    }
    let only = std::env::var("SEMANTICS_ONLY").unwrap_or_default();
    let mut failures = Vec::new();
    for example in document
        .examples
        .iter()
        .filter(|e| e.heading.contains(&only))
    {
        if let Err(e) = run(&document.setup, example) {
            failures.push(format!(
                "SEMANTICS.md:{}: {}\n{e:#}",
                example.line, example.heading
            ));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));
}

/// Why examples cannot be run here.
fn missing() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("they mount, which takes root");
    }
    (!Path::new("/dev/fuse").exists()).then_some("there is no /dev/fuse")
}

/// Runs one example and compares what its commands print.
fn run(setup: &str, example: &Example) -> Result<()> {
    let scratch = Scratch::new()?;
    let mut script = format!("set -e\n{setup}\nset +e\n");
    for (index, step) in example.steps.iter().enumerate() {
        script.push_str(&format!("printf '{MARK}{index}\\n'\n{}\n", step.command));
    }
    let printed = scratch.sh(&script)?;
    let mut parts = printed.split(MARK);
    let before = parts.next().unwrap_or_default();
    if !before.is_empty() {
        bail!("the setup prints: {before}");
    }
    for (index, step) in example.steps.iter().enumerate() {
        let part = parts
            .next()
            .with_context(|| format!("not reached: $ {}", step.command))?;
        let (number, output) = part.split_once('\n').unwrap_or((part, ""));
        if number != index.to_string() {
            bail!("out of step at: $ {}", step.command);
        }
        let lines: Vec<&str> = output.lines().collect();
        if !lines_match(&step.expected, &lines) {
            let expected = step.expected.join("\n  ");
            bail!(
                "line {}: $ {}\nexpected:\n  {expected}\nprinted:\n  {}",
                step.line,
                step.command,
                lines.join("\n  ")
            );
        }
    }
    Ok(())
}

/// A directory for one example. Whatever happened in it, nothing of it stays.
struct Scratch(Option<TempDir>);

impl Scratch {
    fn new() -> Result<Scratch> {
        let dir = tempfile::Builder::new().prefix("semantics.").tempdir()?;
        Ok(Scratch(Some(dir)))
    }

    fn path(&self) -> Option<PathBuf> {
        self.0
            .as_ref()
            .and_then(|dir| dir.path().canonicalize().ok())
    }

    /// What `script` prints on both outputs.
    fn sh(&self, script: &str) -> Result<String> {
        let dir = self.path().context("no scratch directory")?;
        let work = dir.join("work");
        std::fs::create_dir(&work)?;
        let printed = dir.join("printed");
        let (out, err) = {
            let file = File::options().create(true).append(true).open(&printed)?;
            (file.try_clone()?, file)
        };
        let programs = Path::new(PROGRAM)
            .parent()
            .context("program without directory")?;
        let path = std::env::var("PATH").unwrap_or_default();
        let child = Command::new("sh")
            .args(["-c", script])
            .current_dir(&work)
            .env_clear()
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn()?;
        let ended = wait(child);
        let printed = String::from_utf8_lossy(&std::fs::read(&printed)?).into_owned();
        ended.with_context(|| format!("so far:\n{printed}"))?;
        Ok(printed)
    }
}

/// Waits for a shell; when it takes too long, ends it with all its children.
fn wait(mut child: Child) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            let group = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process_group(group, rustix::process::Signal::KILL)?;
            child.wait()?;
            bail!("took longer than {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let (Some(path), Some(dir)) = (self.path(), self.0.take()) else {
            return;
        };
        for mount in mounts_below(&path).into_iter().rev() {
            let _ = unmount(&mount, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
            let _ = std::fs::remove_file(statelitefs::control::log_path(&mount));
        }
        let _ = std::fs::remove_file(statelitefs::control::log_path(&path.join("work/mnt")));
        if !mounts_below(&path).is_empty() {
            // Removing it would remove what is mounted there.
            let _ = dir.keep();
        }
    }
}

fn mounts_below(dir: &Path) -> Vec<PathBuf> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let places = table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from);
    places.filter(|place| place.starts_with(dir)).collect()
}
