//! The list of what is left out of a packed image (`linuximage.exlist`).
//!
//! One `find -path` pattern a line, against `./path`; `*` matches slashes too, as in find, so that `./usr/share/doc*`
//! leaves out a whole tree. A leading `+` takes back in, a leading `-` says nothing; `#` starts a comment, unless it is
//! `#INCLUDE:file#`, which stands for that file's lines (a relative name starts at the first file's directory).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Deepest chain of includes; more is a circle.
const MAX_DEPTH: usize = 16;

/// Why a list cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ExlistError {
    /// A file cannot be read.
    #[error("{}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Includes go in a circle.
    #[error("{}: included by itself", .0.display())]
    Circle(PathBuf),
}

/// A list, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exlist {
    out: Vec<String>,
    back: Vec<String>,
}

impl Exlist {
    /// Reads the lines of one text without includes.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut list = Self::default();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            match line.strip_prefix('+') {
                _ if line.is_empty() => {}
                Some(pattern) => list.back.push(pattern.to_owned()),
                None => {
                    let pattern = line.strip_prefix('-').unwrap_or(line);
                    list.out.push(pattern.to_owned());
                }
            }
        }
        list
    }

    /// Reads files, separated by commas, with what they include.
    ///
    /// # Errors
    /// [`ExlistError`].
    pub fn read(files: &str) -> Result<Self, ExlistError> {
        let mut text = String::new();
        for file in files.split(',').filter(|file| !file.is_empty()) {
            let file = Path::new(file.trim());
            let dir = file.parent().unwrap_or(Path::new("."));
            include(file, dir, &mut Vec::new(), &mut text)?;
        }
        Ok(Self::parse(&text))
    }

    /// Whether a path (without `./` in front) is packed.
    #[must_use]
    pub fn packs(&self, path: &[u8]) -> bool {
        let name = match path {
            b"" => b".".to_vec(),
            path => [b"./", path].concat(),
        };
        let meets = |pattern: &String| matches(pattern.as_bytes(), &name);
        !self.out.iter().any(meets) || self.back.iter().any(meets)
    }

    /// The packed ones of these paths, and every directory above one: a node could not unpack a file without.
    pub fn choose<'a>(&self, paths: impl Iterator<Item = &'a [u8]>) -> BTreeSet<&'a [u8]> {
        let mut chosen = BTreeSet::new();
        for path in paths.filter(|path| self.packs(path)) {
            let mut path = path;
            while chosen.insert(path) {
                let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                path = path.get(..end).unwrap_or_default();
            }
        }
        chosen
    }
}

fn include(
    file: &Path,
    dir: &Path,
    chain: &mut Vec<PathBuf>,
    text: &mut String,
) -> Result<(), ExlistError> {
    if chain.iter().any(|above| above == file) || chain.len() > MAX_DEPTH {
        return Err(ExlistError::Circle(file.to_owned()));
    }
    let content = std::fs::read_to_string(file).map_err(|source| ExlistError::Read {
        path: file.to_owned(),
        source,
    })?;
    chain.push(file.to_owned());
    for line in content.lines() {
        let name = line
            .split_once("#INCLUDE:")
            .and_then(|(_, rest)| rest.split_once('#'));
        match name {
            Some((name, _)) => include(&dir.join(name), dir, chain, text)?,
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    chain.pop();
    Ok(())
}

/// Matches as `fnmatch(3)` without flags does.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where to go on when what follows the last star does not match.
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                star = Some((p, n));
                continue;
            }
            None if n == name.len() => return true,
            None => None,
            Some(_) => name.get(n).and_then(|byte| one(pattern, p, *byte)),
        };
        match (step, star) {
            (Some(next), _) => {
                p = next;
                n += 1;
            }
            (None, Some((after, from))) if from < name.len() => {
                p = after;
                n = from + 1;
                star = Some((after, n));
            }
            _ => return false,
        }
    }
}

/// Matches one character that is no star; the position after it, if it matches.
fn one(pattern: &[u8], p: usize, byte: u8) -> Option<usize> {
    match pattern.get(p)? {
        b'?' => Some(p + 1),
        b'[' => match class(pattern, p + 1, byte) {
            Some((true, next)) => Some(next),
            Some((false, _)) => None,
            None => (byte == b'[').then_some(p + 1),
        },
        b'\\' if pattern.get(p + 1).is_some() => {
            (pattern.get(p + 1) == Some(&byte)).then_some(p + 2)
        }
        plain => (*plain == byte).then_some(p + 1),
    }
}

/// Reads a class; whether the byte is in it, and the position after it. None if it is not closed.
fn class(pattern: &[u8], start: usize, byte: u8) -> Option<(bool, usize)> {
    let mut p = start;
    let negated = matches!(pattern.get(p)?, b'!' | b'^');
    p += usize::from(negated);
    let mut found = false;
    let first = p;
    loop {
        let low = *pattern.get(p)?;
        if low == b']' && p > first {
            return Some((found != negated, p + 1));
        }
        let high = match (pattern.get(p + 1), pattern.get(p + 2)) {
            (Some(b'-'), Some(high)) if *high != b']' => {
                p += 2;
                *high
            }
            _ => low,
        };
        found |= (low..=high).contains(&byte);
        p += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_find_does() {
        for (pattern, name, wanted) in [
            ("./usr/share/doc*", "./usr/share/doc/a/b", true),
            ("./usr/share/doc", "./usr/share/doc/a", false),
            ("./boot*", "./boot", true),
            ("*", "", true),
            ("./*.h", "./a/b.h", true),
            ("./?/x", "./a/x", true),
            ("./[a-c]x", "./bx", true),
            ("./[!a-c]x", "./bx", false),
            ("./[]x]y", "./]y", true),
            ("./[ab", "./[ab", true),
            ("./\\*", "./*", true),
            ("./\\*", "./a", false),
            ("./a*b*c", "./axxbxxcxc", true),
            ("./a*b*c", "./axxbxx", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), name.as_bytes()),
                wanted,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn plus_takes_back_in_with_the_directories_above() {
        let list =
            Exlist::parse("# all\n./usr/share*\n-./boot*  # kernel\n+./usr/share/zoneinfo/U*\n\n");
        let paths: [&[u8]; 8] = [
            b"",
            b"boot/x",
            b"etc",
            b"usr",
            b"usr/share",
            b"usr/share/doc",
            b"usr/share/zoneinfo",
            b"usr/share/zoneinfo/UTC",
        ];
        let chosen: Vec<&[u8]> = list.choose(paths.into_iter()).into_iter().collect();
        let wanted: [&[u8]; 6] = [
            b"",
            b"etc",
            b"usr",
            b"usr/share",
            b"usr/share/zoneinfo",
            b"usr/share/zoneinfo/UTC",
        ];
        assert_eq!(chosen, wanted);
    }

    #[test]
    fn includes_are_read_and_circles_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        file("b", "./b*\n");
        let a = file("a", "./a*\n#INCLUDE:b#\n");
        let list = Exlist::read(&a).unwrap();
        assert!(!list.packs(b"bx") && !list.packs(b"ax") && list.packs(b"c"));
        file("b", "#INCLUDE:a#\n");
        assert!(matches!(Exlist::read(&a), Err(ExlistError::Circle(_))));
        assert!(Exlist::read("/nonexistent/list").is_err());
    }
}
