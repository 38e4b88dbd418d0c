//! What commands say beside their answer, and how they give it.

use crate::tables::Warning;
use std::io::{ErrorKind, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

/// How many warnings a command prints: the first ones tell, thousands hide them.
const ENOUGH: usize = 20;

/// Prints warnings to standard error.
pub fn warnings(list: &[Warning]) {
    for warning in list.iter().take(ENOUGH) {
        eprintln!("Warning: {warning}");
    }
    if let Some(more) = list.len().checked_sub(ENOUGH).filter(|more| *more > 0) {
        eprintln!("Warning: and {more} more: `statelite check` shows all of them");
    }
}

/// Prints an answer to standard output. A reader that has seen enough (`| head`) is no error.
///
/// # Errors
/// As writing.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Whether [`tell`] failed.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Prints in the middle of work that goes on whatever becomes of the words.
pub fn tell(text: &str) {
    if let Err(error) = print(text)
        && !FAILED.swap(true, Ordering::Relaxed)
    {
        eprintln!("Error: standard output: {error}");
    }
}

/// Whether something could not be told.
pub fn output_failed() -> bool {
    FAILED.load(Ordering::Relaxed)
}

/// Prints lines.
///
/// # Errors
/// As [`print`].
pub fn lines(lines: &[String]) -> anyhow::Result<()> {
    let text: String = lines
        .iter()
        .flat_map(|line| [line.as_str(), "\n"])
        .collect();
    print(&text)
}

/// Prints a value as JSON, for programs.
///
/// # Errors
/// As [`print`].
pub fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// An error with its causes on one line. A cause that the error before it has said already is not said again.
#[must_use]
pub fn chain(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if line.is_empty() {
            line = text;
        } else if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_cause_is_said_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer: {0}")]
        struct Outer(#[from] std::fmt::Error);
        let inner = std::fmt::Error.to_string();
        let error = Err::<(), _>(Outer(std::fmt::Error)).context("doing it");
        assert_eq!(
            chain(&error.unwrap_err()),
            format!("doing it: outer: {inner}")
        );
        let error = anyhow::anyhow!("b").context("a");
        assert_eq!(chain(&error), "a: b");
    }
}
