//! Trees on disk: made from a few words, and written out again as text that two equal trees have in common.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// Everything about a tree that has to be the same: one line per name.
pub type Lines = BTreeMap<String, String>;

/// Writes a tree out. Names of one file are told by the first of them; access and change times are left out.
pub fn lines(root: &Path) -> Lines {
    let mut lines = Lines::new();
    let mut first = HashMap::new();
    walk(root, "", &mut lines, &mut first);
    lines
}

fn walk(root: &Path, name: &str, lines: &mut Lines, first: &mut HashMap<u64, String>) {
    let path = root.join(name);
    let meta = fs::symlink_metadata(&path).unwrap();
    let kind = meta.file_type();
    let what = if kind.is_symlink() {
        format!("-> {}", fs::read_link(&path).unwrap().display())
    } else if kind.is_file() {
        let text = fs::read(&path).unwrap();
        format!("{} {:?}", text.len(), String::from_utf8_lossy(&text))
    } else {
        String::new()
    };
    let same = match meta.nlink() > 1 && !kind.is_dir() {
        true => first.entry(meta.ino()).or_insert_with(|| name.to_owned()),
        false => "",
    };
    let line = format!(
        "{:o} {}:{} {}.{} dev {} [{}] {what} {same}",
        meta.mode(),
        meta.uid(),
        meta.gid(),
        meta.mtime(),
        meta.mtime_nsec(),
        meta.rdev(),
        xattrs(&path),
    );
    lines.insert(name.to_owned(), line);
    if kind.is_dir() {
        let mut names: Vec<_> = fs::read_dir(&path).unwrap().map(Result::unwrap).collect();
        names.sort_by_key(fs::DirEntry::file_name);
        for entry in names {
            let inner = entry.file_name().into_string().unwrap();
            let inner = match name {
                "" => inner,
                _ => format!("{name}/{inner}"),
            };
            walk(root, &inner, lines, first);
        }
    }
}

fn xattrs(path: &Path) -> String {
    let mut list = vec![0; 4096];
    let Ok(count) = rustix::fs::llistxattr(path, &mut list[..]) else {
        return String::new();
    };
    let mut out = Vec::new();
    for key in list[..count]
        .split(|b| *b == 0)
        .filter(|key| !key.is_empty())
    {
        let mut value = vec![0; 4096];
        let count = rustix::fs::lgetxattr(path, key, &mut value[..]).unwrap();
        out.push(format!(
            "{}={:?}",
            String::from_utf8_lossy(key),
            &value[..count]
        ));
    }
    out.sort();
    out.join(" ")
}

/// Makes a tree: `dir/`, `file=content`, `link>target`, `name&other` (a second name), each with `:mode` at the end if wanted.
/// Times are set to moments long ago, one for each name.
pub fn make(root: &Path, words: &[&str]) {
    fs::create_dir_all(root).unwrap();
    for word in words {
        let mode = word.rsplit_once(':').and_then(|(word, mode)| {
            let mode = u32::from_str_radix(mode, 8).ok()?;
            Some((word, Some(mode)))
        });
        let (word, mode) = mode.unwrap_or((word, None));
        let end = word.find(['=', '>', '&']).unwrap_or(word.len());
        let path = root.join(word[..end].trim_end_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let rest = word.get(end + 1..).unwrap_or_default();
        match word.as_bytes().get(end) {
            Some(b'=') => fs::write(&path, rest).unwrap(),
            Some(b'>') => std::os::unix::fs::symlink(rest, &path).unwrap(),
            Some(b'&') => fs::hard_link(root.join(rest), &path).unwrap(),
            _ => fs::create_dir_all(&path).unwrap(),
        }
        if let Some(mode) = mode {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
    age(root, &mut 1_000_000);
}

/// Gives everything a time of its own.
pub fn age(path: &Path, second: &mut i64) {
    if fs::symlink_metadata(path).unwrap().is_dir() {
        let mut inside: Vec<_> = fs::read_dir(path)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        inside.sort();
        for path in inside {
            age(&path, second);
        }
    }
    *second += 1;
    let time = rustix::fs::Timespec {
        tv_sec: *second,
        tv_nsec: 123_456_789,
    };
    let times = rustix::fs::Timestamps {
        last_access: time,
        last_modification: time,
    };
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, flags).unwrap();
}

/// Panics with the differences.
#[track_caller]
pub fn assert_same(found: &Lines, wanted: &Lines, what: &str) {
    let mut text = String::new();
    for (name, line) in wanted {
        match found.get(name) {
            Some(other) if other == line => {}
            Some(other) => text.push_str(&format!("{name}\n  wanted {line}\n  found  {other}\n")),
            None => text.push_str(&format!("{name}\n  wanted {line}\n  missing\n")),
        }
    }
    for (name, line) in found {
        if !wanted.contains_key(name) {
            text.push_str(&format!("{name}\n  not wanted\n  found  {line}\n"));
        }
    }
    assert!(text.is_empty(), "{what}:\n{text}");
}
