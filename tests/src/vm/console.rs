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
/// How long a console may take for the rest of a message that says something hopeless.
const REST: Duration = Duration::from_secs(3);
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
    pub fn wait(&self, pattern: &str, limit: Duration, alive: impl FnMut() -> bool) -> Result<()> {
        self.wait_after(0, pattern, limit, alive).map(|_| ())
    }

    /// Waits until the console says this after so many bytes of its text; how many there are up to its end is the
    /// result.
    ///
    /// # Errors
    /// See [`Console::wait`].
    pub fn wait_after(
        &self,
        from: usize,
        pattern: &str,
        limit: Duration,
        mut alive: impl FnMut() -> bool,
    ) -> Result<usize> {
        let deadline = Instant::now() + limit;
        // Since when it is hopeless.
        let mut since = None;
        loop {
            // Asked before reading: what it said last counts.
            let lives = alive();
            let text = self.text();
            let new = text.get(from..).unwrap_or_default();
            if let Some(at) = new.find(pattern) {
                return Ok(from + at + pattern.len());
            }
            let ends = hopeless(&text, lives)
                .filter(|_| !lives || since.get_or_insert_with(Instant::now).elapsed() > REST);
            let why = if let Some(why) = ends {
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
    fn what_was_awaited_before_does_not_count_again() {
        let (_dir, console) = console("one\r\ntwo\r\none more\r\n");
        let wait =
            |from, pattern| console.wait_after(from, pattern, Duration::from_millis(1), || true);
        let one = wait(0, "one").unwrap();
        assert_eq!(one, 3);
        let two = wait(one, "two").unwrap();
        assert_eq!(wait(two, "one").unwrap(), "one\ntwo\none".len());
        assert!(wait(two, "two").is_err());
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
