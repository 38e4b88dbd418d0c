//! The paths a litefile row may name (facts §2): absolute, without whitespace, `:` or wildcards.

use std::borrow::Cow;

/// Longest file name the kernel takes, bytes (`NAME_MAX`).
const NAME_MAX: usize = 255;
/// Longest path the kernel takes, bytes, without the closing NUL (`PATH_MAX` - 1).
const PATH_MAX: usize = 4095;

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// the path is empty
    #[error("the path is empty")]
    Empty,
    /// the path is not absolute
    #[error("the path is not absolute")]
    Relative,
    /// the path contains whitespace
    #[error("the path contains whitespace")]
    Whitespace,
    /// the path contains ":"
    #[error("the path contains \":\"")]
    Colon,
    /// the path contains a control character
    #[error("the path contains a control character")]
    Control,
    /// the path contains a "." or ".." component
    #[error("the path contains a \".\" or \"..\" component")]
    Dots,
    /// a name in the path is longer than 255 bytes
    #[error("a name in the path is longer than 255 bytes")]
    LongName,
    /// the path is longer than 4095 bytes
    #[error("the path is longer than 4095 bytes")]
    LongPath,
    /// the path is not in normal form (repeated or trailing slash)
    #[error("the path is not in normal form (repeated or trailing slash)")]
    NotNormal,
}

/// A path as a row wrote it, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowPath<'a> {
    /// Normal form: `//` collapsed, no trailing slash except for `/` itself.
    pub path: Cow<'a, str>,
    /// Whether the row wrote a trailing slash (always true for `/`).
    pub directory: bool,
}

/// Reads the `file` cell of a litefile row.
///
/// # Errors
/// A [`PathError`] naming the first thing wrong with it.
pub fn parse(text: &str) -> Result<RowPath<'_>, PathError> {
    if text.is_empty() {
        return Err(PathError::Empty);
    }
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b':');
    if !plain && let Some(bad) = text.chars().find_map(bad_char) {
        return Err(bad);
    }
    if !text.starts_with('/') {
        return Err(PathError::Relative);
    }
    let mut tidy = true;
    for (index, name) in text.as_bytes().split(|byte| *byte == b'/').enumerate() {
        match name {
            b"." | b".." => return Err(PathError::Dots),
            b"" if index > 0 => tidy = false,
            name if name.len() > NAME_MAX => return Err(PathError::LongName),
            _ => {}
        }
    }
    let path = if tidy {
        Cow::Borrowed(text)
    } else {
        collapse(text)
    };
    if path.len() > PATH_MAX {
        return Err(PathError::LongPath);
    }
    Ok(RowPath {
        path,
        directory: text.ends_with('/'),
    })
}

/// Drops empty components; the text is absolute.
fn collapse(text: &str) -> Cow<'_, str> {
    let trimmed = text.trim_end_matches('/');
    if trimmed.is_empty() {
        return Cow::Borrowed("/");
    }
    if !trimmed.contains("//") {
        return Cow::Borrowed(trimmed);
    }
    let mut path = String::with_capacity(trimmed.len());
    for name in trimmed.split('/').filter(|name| !name.is_empty()) {
        path.push('/');
        path.push_str(name);
    }
    Cow::Owned(path)
}

fn bad_char(c: char) -> Option<PathError> {
    match c {
        ':' => Some(PathError::Colon),
        c if c.is_whitespace() => Some(PathError::Whitespace),
        c if c.is_control() => Some(PathError::Control),
        _ => None,
    }
}

/// Checks that a path is already in the form [`parse`] gives.
///
/// # Errors
/// As [`parse`], and [`PathError::NotNormal`] for a repeated or trailing slash.
pub fn require_normal(text: &str) -> Result<(), PathError> {
    if parse(text)?.path == text {
        Ok(())
    } else {
        Err(PathError::NotNormal)
    }
}

/// Whether the path has characters a shell would expand. A row names one path literally, so this is odd.
#[must_use]
pub fn looks_like_wildcard(path: &str) -> bool {
    path.bytes().any(|byte| matches!(byte, b'*' | b'?'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_forms() {
        for (text, path, directory) in [
            ("/", "/", true),
            ("///", "/", true),
            ("/etc/motd", "/etc/motd", false),
            ("/var/log/", "/var/log", true),
            ("//var//log//", "/var/log", true),
            ("/.../a..b/.c", "/.../a..b/.c", false),
        ] {
            assert_eq!(
                parse(text),
                Ok(RowPath {
                    path: path.into(),
                    directory
                }),
                "{text:?}"
            );
        }
    }

    #[test]
    fn refused_paths() {
        let (name, path) = ("/".to_owned() + &"x".repeat(256), "/xxxxxxx".repeat(512));
        for (text, error) in [
            ("", PathError::Empty),
            ("etc/motd", PathError::Relative),
            ("/etc/mo td", PathError::Whitespace),
            ("/etc/motd\n", PathError::Whitespace),
            (" /etc/motd", PathError::Whitespace),
            ("/etc:x", PathError::Colon),
            ("/etc\0", PathError::Control),
            ("/etc/\u{1b}", PathError::Control),
            ("/./etc", PathError::Dots),
            ("/etc/..", PathError::Dots),
            (&name, PathError::LongName),
            (&path, PathError::LongPath),
        ] {
            assert_eq!(parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn only_normal_forms_are_normal() {
        assert_eq!(require_normal("/a/b"), Ok(()));
        assert_eq!(require_normal("/"), Ok(()));
        for text in ["/a/", "//", "/a//b"] {
            assert_eq!(require_normal(text), Err(PathError::NotNormal));
        }
    }
}
