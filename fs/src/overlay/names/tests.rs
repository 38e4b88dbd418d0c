//! What is believed of a directory, and for how long.

use super::*;
use crate::overlay::ident;
use crate::overlay::layer::Layer;
use crate::overlay::nfs::Nfs;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags};
use std::fs::{File, FileTimes};
use std::path::Path;

/// A directory that counts as one on NFS.
fn layer(path: &Path, freshness: Freshness) -> (Arc<LayerDir>, OwnedFd) {
    let root = rustix::fs::openat(CWD, path, OFlags::DIRECTORY, Mode::empty()).unwrap();
    let open = crate::sys::mountfd::open_root(path, true).unwrap();
    let mut layer = Layer::from_root(ident::IMAGE, "image".into(), path, freshness, open).unwrap();
    layer.nfs = Some(Nfs {
        calls_at_open: false,
    });
    (LayerDir::new(&Arc::new(layer), b""), root)
}

/// Makes the last change of the directory `ago`; the kernel does not let the other of its times be set.
fn changed(path: &Path, ago: u64) -> Version {
    let time = SystemTime::now() - Duration::from_secs(ago);
    let dir = File::open(path).unwrap();
    dir.set_times(FileTimes::new().set_modified(time)).unwrap();
    Version::of(&stat_fd(&dir).unwrap())
}

#[test]
fn a_directory_that_has_just_changed_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let (at, fd) = layer(dir.path(), Freshness::Live);
    let names = KnownNames::new();
    for _ in 0..5 {
        assert!(!names.lacks(&at, &fd, b"absent"));
    }
    let mut version = changed(dir.path(), 60);
    assert!(!version.is_settled(), "its attributes changed just now");
    version.ctime = version.mtime;
    assert!(version.is_settled());
    version.mtime.sec += 60;
    assert!(!version.is_settled());
    version.mtime.sec += 3600;
    assert!(!version.is_settled(), "a server whose clock is ahead");
}

#[test]
fn a_directory_at_rest_is_read_and_then_known() {
    // Times of the last change cannot be set back; these directories have old ones, unless something is being installed.
    let at_rest = |path: &&&str| {
        File::open(path).is_ok_and(|fd| Version::of(&stat_fd(&fd).unwrap()).is_settled())
    };
    let path = ["/usr/share", "/usr/lib", "/usr", "/var", "/opt", "/"];
    let path = path.iter().find(at_rest).unwrap();
    let there = std::fs::read_dir(path).unwrap().next();
    let (at, fd) = layer(Path::new(path), Freshness::Live);
    let names = KnownNames::new();
    for question in 0..5 {
        let lacks = names.lacks(&at, &fd, b"such a name is nowhere");
        assert_eq!(lacks, question >= ENOUGH, "{path}, question {question}");
    }
    if let Some(there) = there {
        use std::os::unix::ffi::OsStrExt as _;
        assert!(!names.lacks(&at, &fd, there.unwrap().file_name().as_bytes()));
    }
}

#[test]
fn what_was_read_holds_while_the_directory_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("there"), "").unwrap();
    for (freshness, holds) in [(Freshness::Live, false), (Freshness::Published, true)] {
        let (at, fd) = layer(dir.path(), freshness);
        let names = KnownNames::new();
        let read = Names {
            names: [Box::from(&b"there"[..])].into_iter().collect(),
            version: Version::of(&stat_fd(&fd).unwrap()),
            since: Instant::now(),
        };
        names.dirs.lock().put(at.id, Known::Whole(Arc::new(read)));
        assert!(names.lacks(&at, &fd, b"absent"));
        assert!(!names.lacks(&at, &fd, b"there"));
        let new = dir.path().join("new");
        std::fs::write(&new, "").unwrap();
        assert_eq!(names.lacks(&at, &fd, b"new"), holds, "{freshness:?}");
        names.clear();
        assert!(!names.lacks(&at, &fd, b"new"));
        std::fs::remove_file(new).unwrap();
    }
}

#[test]
fn only_nfs_is_believed() {
    let dir = tempfile::tempdir().unwrap();
    let open = crate::sys::mountfd::open_root(dir.path(), true).unwrap();
    let layer = Layer::from_root(
        ident::IMAGE,
        "image".into(),
        dir.path(),
        Freshness::Published,
        open,
    );
    let at = LayerDir::new(&Arc::new(layer.unwrap()), b"");
    let fd = File::open(dir.path()).unwrap();
    let names = KnownNames::new();
    for _ in 0..5 {
        assert!(!names.lacks(&at, &fd, b"absent"));
    }
    assert_eq!(names.dirs.lock().known.len(), 0);
}

#[test]
fn the_number_of_names_is_bounded() {
    let version = Version {
        ino: 1,
        mtime: Time::default(),
        ctime: Time::default(),
    };
    let names = KnownNames::new();
    let mut dirs = names.dirs.lock();
    for id in 0..40 {
        let some = (0..MOST as u32).map(|n| Box::from(n.to_ne_bytes()));
        let known = Names {
            names: some.map(|name: Box<[u8; 4]>| name as Box<[u8]>).collect(),
            version,
            since: Instant::now(),
        };
        dirs.put(id, Known::Whole(Arc::new(known)));
        assert!(dirs.names <= ALL);
    }
    assert_eq!(
        dirs.names,
        dirs.known.iter().map(|(_, k)| k.names()).sum::<usize>()
    );
    for id in 0..5000 {
        dirs.put(id, Known::Asked(1));
    }
    assert_eq!((dirs.known.len(), dirs.names), (DIRS, 0));
}
