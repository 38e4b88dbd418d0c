//! `server:dir`: where a tree layer or the persistent store comes from.
//!
//! Our extensions: an absolute path without a server is a directory of the node itself (xCAT never mounts such an
//! entry), and an IPv6 address is written in brackets (its colons break xCAT's parsing).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A directory on a server, or a local directory when no server is given.
///
/// Displays as the mount source `server:dir` (an IPv6 address in brackets); the alternate form `{:#}` appends mount
/// options as the `litetree` command prints them: `server:dir :mntopts`. Both forms parse back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Source {
    /// Host name or address, without brackets; `None` for a directory of the node itself.
    pub server: Option<String>,
    /// Absolute directory; a trailing slash is kept as written (the wire prints it so).
    pub path: String,
    /// Mount options, comma separated, as written. Linux nodes ignore those of litetree (facts §3).
    pub mntopts: Option<String>,
}

/// Why a source is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// no source given: expected server:dir or an absolute local directory
    #[error("no source given: expected server:dir or an absolute local directory")]
    Empty,
    /// neither server:dir nor an absolute local directory
    #[error("neither server:dir nor an absolute local directory")]
    NoDirectory,
    /// nothing before the ":": expected server:dir
    #[error("nothing before the \":\": expected server:dir")]
    NoServer,
    /// the directory after "server:" is not absolute
    #[error("the directory after \"server:\" is not absolute")]
    RelativeDirectory,
    /// "/server:/dir" has a slash too many: expected server:dir
    #[error("\"/server:/dir\" has a slash too many: expected server:dir")]
    LeadingSlash,
    /// an IPv6 address is written in brackets: `[fe80::1]:/dir`
    #[error("an IPv6 address is written in brackets: [fe80::1]:/dir")]
    Brackets,
    /// the server's name has a character that no host name or address has
    #[error("the server's name has a character that no host name or address has")]
    ServerName,
    /// the directory contains whitespace or a control character
    #[error("the directory contains whitespace or a control character")]
    Whitespace,
    /// the directory contains a "." or ".." component
    #[error("the directory contains a \".\" or \"..\" component")]
    Dots,
    /// mount options are comma separated, without whitespace
    #[error("mount options are comma separated, without whitespace")]
    Options,
}

impl Source {
    /// Puts a source together from parts that are already separate (server without brackets).
    ///
    /// # Errors
    /// [`SourceError`] when a part could not be one.
    pub fn new(
        server: Option<String>,
        path: String,
        mntopts: Option<String>,
    ) -> Result<Self, SourceError> {
        let host = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        if let Some(server) = server.as_deref() {
            if server.is_empty() {
                return Err(SourceError::NoServer);
            }
            if !server.chars().all(host) {
                return Err(SourceError::ServerName);
            }
        }
        if !path.starts_with('/') {
            return Err(SourceError::RelativeDirectory);
        }
        if path.contains(odd) {
            return Err(SourceError::Whitespace);
        }
        if path.split('/').any(|name| matches!(name, "." | "..")) {
            return Err(SourceError::Dots);
        }
        let mntopts = mntopts.filter(|options| !options.is_empty());
        if mntopts
            .as_deref()
            .is_some_and(|options| options.contains(odd))
        {
            return Err(SourceError::Options);
        }
        Ok(Self {
            server,
            path,
            mntopts,
        })
    }

    /// Whether both are the same place mounted the same way: a trailing or doubled slash makes no difference.
    #[must_use]
    pub fn same_place(&self, other: &Self) -> bool {
        let names = |path| str::split(path, '/').filter(|name| !name.is_empty());
        self.server == other.server
            && self.mntopts == other.mntopts
            && names(&self.path).eq(names(&other.path))
    }
}

fn odd(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

/// Takes `server:dir` apart; the parts may still hold variables. The server comes without brackets.
pub(crate) fn split(text: &str) -> Result<(Option<&str>, &str), SourceError> {
    if text.is_empty() {
        return Err(SourceError::Empty);
    }
    if text.starts_with('/') {
        return if text.contains(":/") {
            Err(SourceError::LeadingSlash)
        } else {
            Ok((None, text))
        };
    }
    let (server, dir) = match text.strip_prefix('[') {
        Some(inside) => inside.split_once("]:").ok_or(SourceError::Brackets)?,
        None => text.split_once(':').ok_or(SourceError::NoDirectory)?,
    };
    if server.is_empty() {
        return Err(SourceError::NoServer);
    }
    if dir.is_empty() {
        return Err(SourceError::NoDirectory);
    }
    if !dir.starts_with(['/', '$']) {
        return Err(if dir.contains(":/") {
            SourceError::Brackets
        } else {
            SourceError::RelativeDirectory
        });
    }
    Ok((Some(server), dir))
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.server.as_deref() {
            Some(server) if server.contains(':') => write!(f, "[{server}]:")?,
            Some(server) => write!(f, "{server}:")?,
            None => {}
        }
        f.write_str(&self.path)?;
        match self.mntopts.as_deref() {
            Some(options) if f.alternate() => write!(f, " :{options}"),
            _ => Ok(()),
        }
    }
}

impl FromStr for Source {
    type Err = SourceError;

    /// Reads `server:dir`, optionally followed by ` :mntopts`.
    fn from_str(text: &str) -> Result<Self, SourceError> {
        let (place, mntopts) = match text.split_once(" :") {
            Some((place, mntopts)) => (place, Some(mntopts.to_owned())),
            None => (text, None),
        };
        let (server, path) = split(place)?;
        Self::new(server.map(str::to_owned), path.to_owned(), mntopts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_display_as_they_were_written() {
        for text in [
            "cnfs:/gpfs/dallas/",
            "10.0.0.1:/a",
            "[fe80::1]:/a",
            "/local/dir",
            "s:/",
            "s:/a :soft,timeo=30",
        ] {
            assert_eq!(format!("{:#}", text.parse::<Source>().unwrap()), text);
        }
        let source: Source = "[fe80::1%eth0]:/a :soft".parse().unwrap();
        assert_eq!(
            (source.server.as_deref(), source.to_string()),
            (Some("fe80::1%eth0"), "[fe80::1%eth0]:/a".into())
        );
    }

    #[test]
    fn refused_sources() {
        use SourceError::*;
        for (text, error) in [
            ("", Empty),
            ("server", NoDirectory),
            ("server:", NoDirectory),
            ("a/b", NoDirectory),
            (":/dir", NoServer),
            ("server:dir", RelativeDirectory),
            ("$x.y:$site.dir", ServerName),
            ("server:$site.dir", RelativeDirectory),
            ("/server:/dir", LeadingSlash),
            ("fe80::1:/dir", Brackets),
            ("[fe80::1]/dir", Brackets),
            ("ser ver:/dir", ServerName),
            ("server:/di r", Whitespace),
            ("server:/a/../b", Dots),
            ("server:/a :a b", Options),
        ] {
            assert_eq!(text.parse::<Source>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn the_same_place_whatever_the_slashes() {
        let source = |text: &str| text.parse::<Source>().unwrap();
        assert!(source("s:/a/b/").same_place(&source("s:/a//b")));
        assert!(!source("s:/a").same_place(&source("s:/b")));
        assert!(!source("s:/a").same_place(&source("t:/a")));
        assert!(!source("s:/a").same_place(&source("s:/a :soft")));
    }
}
