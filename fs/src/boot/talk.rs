//! What the starting process and the daemon say to each other, a line of JSON each.
//!
//! The starting process sends its [`Order`]; the daemon answers with [`Word`]s. A [`Word::Shell`]
//! is answered with an empty line when the shell has ended.

use super::net::Network;
use serde::{Deserialize, Serialize};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// What the daemon is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// The kernel command line.
    pub cmdline: String,
    /// Where the root appears.
    pub newroot: PathBuf,
    /// What is known of the network.
    pub network: Network,
}

/// What the daemon says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// A place at which `shell` stops.
    Shell(String),
    /// The root answers.
    Ready,
    /// There will be no root.
    Failed(String),
}

/// One end of the conversation.
#[derive(Debug)]
pub struct Talk(BufReader<UnixStream>);

impl Talk {
    /// Over this stream.
    pub fn new(stream: UnixStream) -> Talk {
        Talk(BufReader::new(stream))
    }

    /// Says something.
    ///
    /// # Errors
    /// If nobody listens any more.
    pub fn say<T: Serialize>(&mut self, what: &T) -> std::io::Result<()> {
        let mut text = serde_json::to_string(what)?;
        text.push('\n');
        self.0.get_mut().write_all(text.as_bytes())
    }

    /// Hears something; none when the other end is gone.
    ///
    /// # Errors
    /// What is not understood.
    pub fn hear<T: for<'a> Deserialize<'a>>(&mut self) -> std::io::Result<Option<T>> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&line)?))
    }
}
