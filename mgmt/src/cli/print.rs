//! Standard output of commands: whole, or ended quietly when the reader has gone.

use anyhow::Context as _;
use std::io::{ErrorKind, Write as _};

/// Prints lines.
///
/// # Errors
/// As writing; a reader that went away, like `head`, is no error.
pub fn lines<L: AsRef<str>>(lines: impl IntoIterator<Item = L>) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let write = || {
        for line in lines {
            out.write_all(line.as_ref().as_bytes())?;
            out.write_all(b"\n")?;
        }
        out.flush()
    };
    match write() {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.context("standard output"),
    }
}

/// Prints a value as JSON.
///
/// # Errors
/// As [`lines`].
pub fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    lines([serde_json::to_string_pretty(value)?])
}
