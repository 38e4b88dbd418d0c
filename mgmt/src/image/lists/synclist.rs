//! Lists of files that are copied into an image (`osimage.synclists`): `FILE... -> DESTINATION`, one a line.
//!
//! `#` starts a comment; `#INCLUDE:file#` stands for that file's lines. Of several files, or before a slash, the destination is a
//! directory. What xCAT's lists can have besides (`EXECUTE:`, `APPEND:`, `MERGE:` and the rest, wildcards) is not done in
//! images: it is reported, and so is a list that names a node range after the destination.

use std::path::{Path, PathBuf};

/// Deepest chain of includes; more is a circle.
const MAX_DEPTH: usize = 16;

/// One file and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sync {
    /// The file on this host.
    pub from: PathBuf,
    /// Its path in the image, without slashes around it.
    pub to: String,
}

/// A list, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Synclist {
    /// The files, in the order of the list; of two with the same place the later one.
    pub files: Vec<Sync>,
    /// What is not done, with its line.
    pub left_out: Vec<String>,
}

/// Why a list cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SynclistError {
    /// A file cannot be read.
    #[error("{}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line cannot be understood.
    #[error("{}: line {line}: {reason}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// Includes go in a circle.
    #[error("{}: included by itself", .0.display())]
    Circle(PathBuf),
}

impl Synclist {
    /// Reads lists, separated by commas.
    ///
    /// # Errors
    /// [`SynclistError`].
    pub fn read(files: &str) -> Result<Self, SynclistError> {
        let mut list = Self::default();
        for file in files.split(',').map(str::trim).filter(|f| !f.is_empty()) {
            list.file(Path::new(file), &mut Vec::new())?;
        }
        Ok(list)
    }

    fn file(&mut self, path: &Path, chain: &mut Vec<PathBuf>) -> Result<(), SynclistError> {
        if chain.iter().any(|above| above == path) || chain.len() > MAX_DEPTH {
            return Err(SynclistError::Circle(path.to_owned()));
        }
        let text = std::fs::read_to_string(path).map_err(|source| SynclistError::Read {
            path: path.to_owned(),
            source,
        })?;
        chain.push(path.to_owned());
        // After a word like EXECUTE: all that follows belongs to it.
        let mut section: Option<&str> = None;
        for (number, line) in text.lines().enumerate() {
            let included = line
                .split_once("#INCLUDE:")
                .and_then(|(_, rest)| rest.split_once('#'));
            if let Some((name, _)) = included {
                let dir = path.parent().unwrap_or(Path::new("."));
                self.file(&dir.join(name.trim()), chain)?;
                continue;
            }
            let line = line.split('#').next().unwrap_or_default().trim();
            let word = line.strip_suffix(':').unwrap_or_default();
            if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase()) {
                section = Some(line);
            } else if !line.is_empty() {
                let place = format!("{}: line {}", path.display(), number + 1);
                match section {
                    Some(word) => self.left_out.push(format!("{place}: {word} {line}")),
                    None => self
                        .line(line, &place)
                        .map_err(|reason| SynclistError::Line {
                            path: path.to_owned(),
                            line: number + 1,
                            reason,
                        })?,
                }
            }
        }
        chain.pop();
        Ok(())
    }

    fn line(&mut self, line: &str, place: &str) -> Result<(), &'static str> {
        let (from, to) = line
            .split_once("->")
            .ok_or("expected FILE... -> DESTINATION")?;
        let (from, to) = (from.split_whitespace(), to.trim());
        let sources: Vec<&str> = from.collect();
        if sources.is_empty() || to.is_empty() {
            return Err("expected FILE... -> DESTINATION");
        }
        if line.contains(['*', '?', '[']) || to.contains(char::is_whitespace) || to.starts_with('(')
        {
            self.left_out.push(format!("{place}: {line}"));
            return Ok(());
        }
        if !to.starts_with('/') || sources.iter().any(|source| !source.starts_with('/')) {
            return Err("paths begin with a slash");
        }
        if to.split('/').any(|part| part == "..") {
            return Err("\"..\" is not allowed in a destination");
        }
        let directory = to.ends_with('/') || sources.len() > 1;
        for source in sources {
            let name = Path::new(source)
                .file_name()
                .ok_or("a source has no name")?;
            let to = match directory {
                true => format!("{}/{}", to.trim_end_matches('/'), name.to_string_lossy()),
                false => to.to_owned(),
            };
            let parts: Vec<_> = to
                .split('/')
                .filter(|p| !p.is_empty() && *p != ".")
                .collect();
            let to = parts.join("/");
            self.files.retain(|known| known.to != to);
            let from = PathBuf::from(source);
            self.files.push(Sync { from, to });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let more = file("more", "/m/x -> /etc/x\n");
        file("inner", "/i/a -> /srv/a\n");
        let list = file(
            "list",
            "# comment\n/a/hosts -> /etc/hosts\n/a/b /a/c -> /opt\n/a/d -> /opt//dir/ # here\n#INCLUDE:inner#\n\
             /a/*.conf -> /etc/\n/a/n -> (n1-n2) /etc/n\n/old -> /etc/x\nEXECUTE:\n/a/run\nAPPEND:\n/a/p -> /etc/passwd\n",
        );
        let read = Synclist::read(&format!("{list}, {more}")).unwrap();
        let files: Vec<_> = read
            .files
            .iter()
            .map(|sync| format!("{}>{}", sync.from.display(), sync.to))
            .collect();
        assert_eq!(
            files,
            [
                "/a/hosts>etc/hosts",
                "/a/b>opt/b",
                "/a/c>opt/c",
                "/a/d>opt/dir/d",
                "/i/a>srv/a",
                "/m/x>etc/x"
            ]
        );
        assert_eq!(
            read.left_out,
            [
                format!("{list}: line 6: /a/*.conf -> /etc/"),
                format!("{list}: line 7: /a/n -> (n1-n2) /etc/n"),
                format!("{list}: line 10: EXECUTE: /a/run"),
                format!("{list}: line 12: APPEND: /a/p -> /etc/passwd"),
            ]
        );
    }

    #[test]
    fn lists_that_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list");
        for (text, message) in [
            ("/a /b", "line 1: expected FILE... -> DESTINATION"),
            ("\n-> /b", "line 2: expected FILE"),
            ("a -> /b", "paths begin with a slash"),
            ("/a -> b", "paths begin with a slash"),
            ("/a -> /b/../../c", "\"..\" is not allowed"),
            ("#INCLUDE:list#", "included by itself"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Synclist::read(path.to_str().unwrap()).unwrap_err();
            assert!(error.to_string().contains(message), "{text}: {error}");
        }
        let error = Synclist::read("/nonesuch").unwrap_err().to_string();
        assert!(error.starts_with("/nonesuch: "), "{error}");
    }
}
