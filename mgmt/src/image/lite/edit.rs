//! Files of an image that liteimg changes besides the litefile table: what each is to contain, decided without I/O.

use serde::{Deserialize, Serialize};

/// A file that is put into an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// All of it, two hexadecimal digits a byte.
    #[serde(with = "hex")]
    pub bytes: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time, if it is to have a certain one.
    pub mtime: Option<(i64, i64)>,
}

/// A file that is to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Its path in the image, without slashes around it.
    pub path: String,
    /// How.
    pub change: Change,
}

/// What becomes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// In the lines of an fstab that begin with this name, `rw` becomes `ro`: a root that several nodes share must not be
    /// mounted for writing.
    ReadOnlyRoot(String),
    /// In a shadow file root has this hash.
    RootHash(String),
    /// It is this file.
    File(Content),
}

impl Change {
    /// What the file is to contain, given what it contains; none when it may stay as it is.
    #[must_use]
    pub fn apply(&self, before: Option<&[u8]>) -> Option<Vec<u8>> {
        match self {
            Self::File(file) => (before != Some(&file.bytes)).then(|| file.bytes.clone()),
            Self::ReadOnlyRoot(name) => lines(before?, |line| read_only(line, name)),
            Self::RootHash(hash) => {
                let before = before?;
                let has_root = before
                    .split(|b| *b == b'\n')
                    .any(|l| l.starts_with(b"root:"));
                if has_root {
                    return lines(before, |line| root_hash(line, hash));
                }
                let root = format!("root:{hash}::0:99999:7:::\n");
                Some([root.as_bytes(), before].concat())
            }
        }
    }
}

/// The text with some lines in another form; none when no line has one. Bytes that are no UTF-8 stay.
fn lines(text: &[u8], change: impl Fn(&str) -> Option<String>) -> Option<Vec<u8>> {
    let mut found = false;
    let mut changed = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let (body, end) = match line.split_last() {
            Some((b'\n', body)) => (body, &b"\n"[..]),
            _ => (line, &b""[..]),
        };
        match std::str::from_utf8(body).ok().and_then(&change) {
            Some(new) => {
                found |= new.as_bytes() != body;
                changed.extend_from_slice(new.as_bytes());
            }
            None => changed.extend_from_slice(body),
        }
        changed.extend_from_slice(end);
    }
    found.then_some(changed)
}

/// A line of an fstab that begins with this name, its options read-only.
fn read_only(line: &str, name: &str) -> Option<String> {
    if line.split_whitespace().next()? != name {
        return None;
    }
    let options = line.split_whitespace().nth(3)?;
    let words = options.split(',').map(|word| match word {
        "rw" => "ro",
        word => word,
    });
    let words: Vec<_> = words.collect();
    // The fourth word, wherever the blanks are.
    let mut at = 0;
    for _ in 0..3 {
        let rest = line.get(at..)?;
        at += rest.len() - rest.trim_start().len();
        let rest = line.get(at..)?;
        at += rest.find(char::is_whitespace)?;
    }
    let rest = line.get(at..)?;
    at += rest.len() - rest.trim_start().len();
    let (head, tail) = (line.get(..at)?, line.get(at + options.len()..)?);
    Some(format!("{head}{}{tail}", words.join(",")))
}

fn root_hash(line: &str, hash: &str) -> Option<String> {
    let rest = line.strip_prefix("root:")?;
    let (_, after) = rest.split_once(':').unwrap_or((rest, ":0:99999:7:::"));
    Some(format!("root:{hash}:{after}"))
}

/// What makes a password's hash unfit for a shadow file.
///
/// # Errors
/// The reason.
pub fn is_hash(text: &str) -> Result<(), &'static str> {
    if text.contains([':', '\n', '\r']) || text.chars().any(char::is_control) {
        return Err("it contains a colon or a control character");
    }
    let known = [
        "$1$", "$2a$", "$2b$", "$2y$", "$5$", "$6$", "$y$", "$7$", "$gy$",
    ];
    let locked = text.starts_with(['*', '!']);
    let hashed = known.iter().any(|method| text.starts_with(method));
    if !hashed && !locked {
        return Err(
            "it is no hash: clear text is not put into images, make one with \"openssl passwd -6\"",
        );
    }
    Ok(())
}

mod hex {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        to.serialize_str(&text)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        let pairs = (0..text.len()).step_by(2);
        let byte = |at: usize| {
            let pair = text.get(at..at + 2);
            let byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
            byte.ok_or_else(|| D::Error::custom("not hexadecimal"))
        };
        pairs.map(byte).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(change: &Change, before: &str) -> Option<String> {
        let after = change.apply(Some(before.as_bytes()))?;
        Some(String::from_utf8(after).unwrap())
    }

    #[test]
    fn the_root_of_an_fstab_is_read_only() {
        let change = Change::ReadOnlyRoot("compute_x86_64".into());
        let before = "# root\ncompute_x86_64  /\ttmpfs rw,noatime  0 1\ncompute_x86_64x / x rw 0 0\nproc /proc proc rw 0 0\n";
        assert_eq!(
            text(&change, before).as_deref(),
            Some(
                "# root\ncompute_x86_64  /\ttmpfs ro,noatime  0 1\ncompute_x86_64x / x rw 0 0\nproc /proc proc rw 0 0\n"
            )
        );
        for same in [
            "",
            "compute_x86_64 / tmpfs ro 0 1",
            "compute_x86_64 /",
            "proc /proc proc rw 0 0\n",
        ] {
            assert_eq!(text(&change, same), None, "{same}");
        }
        assert_eq!(change.apply(None), None);
    }

    #[test]
    fn root_has_the_hash_and_nobody_else() {
        let change = Change::RootHash("$6$s$h".into());
        for (before, wanted) in [
            (
                "root:*:19000:0:99999:7:::\nn:!:1::::::\n",
                Some("root:$6$s$h:19000:0:99999:7:::\nn:!:1::::::\n"),
            ),
            ("root::19000:0:::::", Some("root:$6$s$h:19000:0:::::")),
            ("root:x", Some("root:$6$s$h::0:99999:7:::")),
            ("bin:*:1:\n", Some("root:$6$s$h::0:99999:7:::\nbin:*:1:\n")),
            ("root:$6$s$h:1:2:3:4:::\n", None),
        ] {
            assert_eq!(text(&change, before).as_deref(), wanted, "{before}");
        }
        assert_eq!(change.apply(None), None);
        let odd = change.apply(Some(b"x\xff:\nroot:a:b\n")).unwrap();
        assert_eq!(odd, b"x\xff:\nroot:$6$s$h:b\n");
    }

    #[test]
    fn clear_text_is_no_hash() {
        for good in ["$6$salt$hash", "$1$s$h", "$y$j9T$x", "*", "!!"] {
            assert_eq!(is_hash(good), Ok(()), "{good}");
        }
        for bad in ["cluster", "", "$6$a:b", "$6$a\nb"] {
            assert!(is_hash(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_change_is_done_once(before in "(root|bin|m_a|#)?[ :rw,/\\t\\n]{0,24}(m_a / x rw 0)?", hash in "[*]?\\$6\\$[a-z]{1,4}") {
            for change in [Change::ReadOnlyRoot("m_a".into()), Change::RootHash(hash)] {
                if let Some(after) = change.apply(Some(before.as_bytes())) {
                    prop_assert_eq!(change.apply(Some(&after)), None, "{:?}", String::from_utf8_lossy(&after));
                }
            }
        }

        #[test]
        fn content_survives_the_journal(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let content = Content { bytes, mode: 0o640, uid: 1, gid: 2, mtime: None };
            let text = serde_json::to_string(&content).unwrap();
            prop_assert_eq!(serde_json::from_str::<Content>(&text).unwrap(), content);
        }
    }
}
