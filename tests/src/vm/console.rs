//! The console of a virtual machine: a file that grows, and what to say when something is awaited in vain.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// What a console says when it is of no use to go on waiting.
const HOPELESS: [&str; 6] = [
    "Kernel panic",
    "You are in emergency mode",
    "Freezing execution",
    "overlay-init: FAILED",
    "statelitefs: booting has failed",
    "No bootable device",
];
/// How much of it an error shows.
const TAIL: usize = 40;

/// A console that is written to a file.
#[derive(Debug, Clone)]
pub struct Console {
    path: PathBuf,
}

impl Console {
    /// The console in this file, which need not be there yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Everything so far, without carriage returns.
    #[must_use]
    pub fn text(&self) -> String {
        let bytes = std::fs::read(&self.path).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }

    /// The last lines, with a heading, for messages.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(TAIL);
        let last: Vec<&str> = lines.into_iter().skip(from).collect();
        format!(
            "--- the console, whole in {}, ends with\n{}\n---",
            self.path.display(),
            last.join("\n")
        )
    }

    /// Whether there is hope.
    ///
    /// # Errors
    /// When it says something hopeless, or `alive` says no; with the last lines.
    pub fn check(&self, alive: impl FnOnce() -> bool) -> Result<()> {
        let lives = alive();
        match hopeless(&self.text(), lives) {
            Some(why) => bail!("{why}\n{}", self.tail()),
            None => Ok(()),
        }
    }

    /// Waits until the console says this.
    ///
    /// # Errors
    /// When it says something hopeless first, when `alive` says no, or at the limit; with the last lines.
    pub fn wait(
        &self,
        pattern: &str,
        limit: Duration,
        mut alive: impl FnMut() -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            // Asked before reading: what it said last counts.
            let lives = alive();
            let text = self.text();
            if text.contains(pattern) {
                return Ok(());
            }
            let why = if let Some(why) = hopeless(&text, lives) {
                why
            } else if Instant::now() > deadline {
                format!("nothing in {} s", limit.as_secs())
            } else {
                std::thread::sleep(Duration::from_millis(100));
                continue;
            };
            bail!("awaited \"{pattern}\", but {why}\n{}", self.tail());
        }
    }
}

/// Why there is nothing to wait for any more.
fn hopeless(text: &str, lives: bool) -> Option<String> {
    if let Some(sign) = HOPELESS.iter().find(|sign| text.contains(**sign)) {
        return Some(format!("the console says \"{sign}\""));
    }
    (!lives).then(|| "the machine ended".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console(text: &str) -> (tempfile::TempDir, Console) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console");
        std::fs::write(&path, text).unwrap();
        (dir, Console::new(path))
    }

    #[test]
    fn what_was_said_before_the_end_counts() {
        let (_dir, console) = console("a\r\nready\r\n");
        console
            .wait("ready", Duration::from_secs(9), || false)
            .unwrap();
        let error = console.wait("more", Duration::from_secs(9), || false);
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("the machine ended") && error.contains("\nready\n"),
            "{error}"
        );
    }

    #[test]
    fn a_panic_is_not_waited_out() {
        let (_dir, console) = console("[ 1.0] Kernel panic - not syncing\n");
        let error = console.wait("ready", Duration::from_secs(999), || true);
        assert!(error.unwrap_err().to_string().contains("\"Kernel panic\""));
    }

    #[test]
    fn the_limit_is_an_error() {
        let (_dir, console) = console("");
        assert!(
            console
                .wait("x", Duration::from_millis(1), || true)
                .is_err()
        );
    }
}
