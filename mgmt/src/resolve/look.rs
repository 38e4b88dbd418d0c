//! What is at a path of a tree or an image, seen from outside: no link is followed, so nothing outside is looked at.

use serde::Serialize;
use std::fmt;
use std::fs::{FileType, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Seen {
    /// A file of this many bytes.
    File(u64),
    /// A directory.
    Directory,
    /// A symbolic link to this.
    Link(PathBuf),
    /// A device, a fifo or a socket.
    Other(&'static str),
    /// Nothing.
    Missing,
    /// A directory on the way is a symbolic link.
    Behind {
        /// The directory, from the root of the tree.
        link: String,
        /// Where it leads.
        target: PathBuf,
    },
    /// It cannot be told, and why.
    Unknown(String),
}

impl Seen {
    /// Whether something is there.
    #[must_use]
    pub fn is_there(&self) -> bool {
        matches!(
            self,
            Self::File(_) | Self::Directory | Self::Link(_) | Self::Other(_)
        )
    }

    /// Whether it is known if something is there.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.is_there() || *self == Self::Missing
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(1) => f.write_str("a file of 1 byte"),
            Self::File(size) => write!(f, "a file of {size} bytes"),
            Self::Directory => f.write_str("a directory"),
            Self::Link(target) => write!(f, "a link to {}", target.display()),
            Self::Other(kind) => write!(f, "a {kind}"),
            Self::Missing => f.write_str("nothing"),
            Self::Behind { link, target } => {
                write!(f, "{link} is a link to {}: ask there", target.display())
            }
            Self::Unknown(why) => write!(f, "cannot be looked at: {why}"),
        }
    }
}

fn other(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_fifo() => "fifo",
        kind if kind.is_socket() => "socket",
        kind if kind.is_char_device() => "character device",
        _ => "block device",
    }
}

fn seen(path: &Path, metadata: &Metadata) -> Seen {
    let kind = metadata.file_type();
    if kind.is_file() {
        Seen::File(metadata.len())
    } else if kind.is_dir() {
        Seen::Directory
    } else if kind.is_symlink() {
        match std::fs::read_link(path) {
            Ok(target) => Seen::Link(target),
            Err(error) => Seen::Unknown(error.to_string()),
        }
    } else {
        Seen::Other(other(kind))
    }
}

/// What is at `path`, absolute and without `.` and `..`, in the tree at `root`.
#[must_use]
pub fn look(root: &Path, path: &str) -> Seen {
    match std::fs::symlink_metadata(root) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Seen::Unknown(format!("{} is no directory", root.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Seen::Unknown(format!("{} is not there", root.display()));
        }
        Err(error) => return Seen::Unknown(format!("{}: {error}", root.display())),
    }
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    let mut here = root.to_owned();
    for (index, name) in names.iter().enumerate() {
        here.push(name);
        let found = match std::fs::symlink_metadata(&here) {
            Ok(metadata) => seen(&here, &metadata),
            Err(error) if error.kind() == ErrorKind::NotFound => return Seen::Missing,
            Err(error) => return Seen::Unknown(format!("{}: {error}", here.display())),
        };
        let last = index + 1 == names.len();
        match found {
            found if last => return found,
            Seen::Directory => {}
            Seen::Link(target) => {
                let way: Vec<&str> = names.iter().take(index + 1).copied().collect();
                let link = format!("/{}", way.join("/"));
                return Seen::Behind { link, target };
            }
            Seen::Unknown(why) => return Seen::Unknown(why),
            _ => return Seen::Missing,
        }
    }
    Seen::Directory
}

/// What is at `path` of an image, and in which file: where liteimg has put a link into `.statelite/tmpfs`, and where
/// only `.default` has the path, that copy counts.
#[must_use]
pub fn look_image(root: &Path, path: &str) -> (PathBuf, Seen) {
    let at = |base: &Path| base.join(path.trim_start_matches('/'));
    let kept = root.join(".default");
    let found = look(root, path);
    let by_liteimg = |target: &Path| target.to_string_lossy().contains(".statelite/tmpfs/");
    let moved = match &found {
        Seen::Link(target) | Seen::Behind { target, .. } => by_liteimg(target),
        found => *found == Seen::Missing,
    };
    if moved && kept.is_dir() {
        let copy = look(&kept, path);
        if copy.is_there() || found != Seen::Missing {
            return (at(&kept), copy);
        }
    }
    (at(root), found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::create_dir_all(root.join("etc/d")).unwrap();
        std::fs::write(root.join("etc/motd"), "hi").unwrap();
        symlink("/proc/self/mounts", root.join("etc/mtab")).unwrap();
        symlink("../run", root.join("var")).unwrap();
        for (path, wanted) in [
            ("/", "a directory"),
            ("/etc/motd", "a file of 2 bytes"),
            ("/etc//d/", "a directory"),
            ("/etc/mtab", "a link to /proc/self/mounts"),
            ("/etc/none", "nothing"),
            ("/etc/motd/x", "nothing"),
            ("/var/x/y", "/var is a link to ../run: ask there"),
            ("/var", "a link to ../run"),
        ] {
            assert_eq!(look(root, path).to_string(), wanted, "{path}");
        }
        let gone = look(&root.join("gone"), "/etc");
        assert!(!gone.is_known() && gone.to_string().starts_with("cannot be looked at: "));
        assert!(!look(&root.join("etc/motd"), "/etc").is_known());
    }

    #[test]
    fn images_that_liteimg_made_ready() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::create_dir_all(root.join(".default/etc")).unwrap();
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::fs::write(root.join(".default/etc/ntp.conf"), "12345").unwrap();
        symlink(
            "../.statelite/tmpfs/etc/ntp.conf",
            root.join("etc/ntp.conf"),
        )
        .unwrap();
        symlink("../.statelite/tmpfs/etc/gone", root.join("etc/gone")).unwrap();
        std::fs::write(root.join("etc/motd"), "hi").unwrap();
        std::fs::write(root.join(".default/etc/only"), "1").unwrap();
        symlink("./.statelite/tmpfs/tmp", root.join("tmp")).unwrap();
        std::fs::create_dir_all(root.join(".default/tmp")).unwrap();
        for (path, base, wanted) in [
            ("/etc/ntp.conf", ".default/etc/ntp.conf", Seen::File(5)),
            ("/etc/gone", ".default/etc/gone", Seen::Missing),
            ("/etc/motd", "etc/motd", Seen::File(2)),
            ("/etc/only", ".default/etc/only", Seen::File(1)),
            ("/etc/none", "etc/none", Seen::Missing),
            ("/tmp", ".default/tmp", Seen::Directory),
            ("/tmp/x", ".default/tmp/x", Seen::Missing),
        ] {
            assert_eq!(look_image(root, path), (root.join(base), wanted), "{path}");
        }
    }
}
