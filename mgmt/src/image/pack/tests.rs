use super::*;
use std::os::unix::fs::symlink;

fn info() -> Info {
    Info {
        name: "img".into(),
        uuid: "u".into(),
        timestamp: "t".into(),
    }
}

/// Name, number, names, size, mode and content of each entry.
fn entries(archive: &Path) -> Vec<(String, u32, u32, u32, u32, String)> {
    let file = File::open(archive).unwrap();
    let mut input = Box::new(flate2::read::GzDecoder::new(file)) as Box<dyn io::Read>;
    let mut found = Vec::new();
    loop {
        let mut reader = cpio::newc::Reader::new(input).unwrap();
        if reader.entry().is_trailer() {
            return found;
        }
        let mut text = String::new();
        io::Read::read_to_string(&mut reader, &mut text).unwrap();
        let e = reader.entry();
        let (ino, nlink, size) = (e.ino(), e.nlink(), e.file_size());
        found.push((e.name().to_owned(), ino, nlink, size, e.mode(), text));
        input = reader.finish().unwrap();
    }
}

fn run(root: &Path, list: &str) -> Result<Packed, PackError> {
    pack(root, &Exlist::parse(list), &info(), &mut |_, _| {})
}

#[test]
fn hard_links_devices_and_links_are_packed_and_the_bytes_do_not_depend_on_the_day() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("rootimg");
    std::fs::create_dir_all(root.join("etc")).unwrap();
    std::fs::write(root.join("etc/b"), "content").unwrap();
    std::fs::hard_link(root.join("etc/b"), root.join("a")).unwrap();
    std::fs::hard_link(root.join("etc/b"), root.join("left-out")).unwrap();
    symlink("etc/b", root.join("s")).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, root.join("p"), fifo, Mode::RUSR, 0).unwrap();
    let packed = run(&root, "./left-out\n").unwrap();
    let first = std::fs::read(&packed.path).unwrap();
    let found = entries(&packed.path);
    let names: Vec<&str> = found.iter().map(|e| &*e.0).collect();
    assert_eq!(
        names,
        [
            ".",
            "a",
            "etc",
            "etc/b",
            "opt",
            "opt/xcat",
            "opt/xcat/xcatinfo",
            "p",
            "s"
        ]
    );
    let [_, a, _, b, ..] = &found[..] else {
        panic!()
    };
    assert_eq!(
        (a.1, a.2, a.3),
        (b.1, 2, 0),
        "the content comes with the last name"
    );
    assert_eq!((b.2, &*b.5), (2, "content"));
    assert_eq!(found[8].5, "etc/b");
    assert_eq!(found[7].4 & 0o170_000, 0o010_000);
    assert_eq!(
        found[6].5,
        "IMAGENAME='img'\nIMAGEUUID='u'\nTIMESTAMP='t'\n"
    );
    let again = run(&root, "./left-out\n").unwrap();
    assert_eq!(std::fs::read(again.path).unwrap(), first);
}

#[test]
fn a_listed_opt_gets_xcatinfo_where_it_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("rootimg");
    std::fs::create_dir_all(root.join(".default/opt/xcat")).unwrap();
    std::fs::create_dir_all(root.join(".statelite/tmpfs/opt")).unwrap();
    std::fs::create_dir_all(root.join("opt")).unwrap();
    symlink(
        "../../../.default/opt/xcat",
        root.join(".statelite/tmpfs/opt/xcat"),
    )
    .unwrap();
    symlink("../.statelite/tmpfs/opt/xcat", root.join("opt/xcat")).unwrap();
    let packed = run(&root, "").unwrap();
    let found = entries(&packed.path);
    assert!(found.iter().any(|e| e.0 == ".default/opt/xcat/xcatinfo"));
    assert!(!root.join(".default/opt/xcat/xcatinfo").exists());
}

#[test]
fn a_file_too_large_for_the_format_is_refused_and_the_old_archive_stays() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("rootimg");
    std::fs::create_dir_all(&root).unwrap();
    std::fs::write(dir.path().join(NAME), "old").unwrap();
    let big = File::create(root.join("big")).unwrap();
    big.set_len(1 << 32).unwrap();
    let error = run(&root, "").unwrap_err().to_string();
    assert!(
        error.contains("/big in the image has 4294967296 bytes"),
        "{error}"
    );
    assert_eq!(std::fs::read(dir.path().join(NAME)).unwrap(), b"old");
    assert!(!dir.path().join("rootimg-statelite.gz.new").exists());
    assert!(run(&root, "./big\n").is_ok());
}

#[test]
fn what_the_archive_cannot_carry_is_named() {
    use rustix::fs::{XattrFlags, lsetxattr};
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("rootimg");
    std::fs::create_dir_all(root.join("bin")).unwrap();
    std::fs::create_dir_all(root.join("srv")).unwrap();
    for name in ["ping", "plain", "left-out", "tagged"] {
        std::fs::write(root.join("bin").join(name), name).unwrap();
    }
    let set = |path: &str, key: &str, value: &[u8]| {
        lsetxattr(root.join(path), key, value, XattrFlags::empty())
    };
    // cap_net_raw, effective and permitted, in the kernel's second form.
    let mut capability = [0; 20];
    capability[..8].copy_from_slice(&[1, 0, 0, 2, 0, 0x20, 0, 0]);
    // user::rwx, user:7:r--, group::r-x, mask::r-x, other::r-x.
    let mut acl = vec![2, 0, 0, 0];
    for (tag, bits, id) in [
        (1u16, 7u16, u32::MAX),
        (2, 4, 7),
        (4, 5, u32::MAX),
        (16, 5, u32::MAX),
        (32, 5, u32::MAX),
    ] {
        acl.extend(tag.to_le_bytes());
        acl.extend(bits.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    for (path, key, value) in [
        ("bin/ping", "security.capability", &capability[..]),
        ("bin/left-out", "security.capability", &capability),
        ("srv", "system.posix_acl_access", &acl),
        ("srv", "system.posix_acl_default", &acl),
        ("bin/tagged", "user.note", b"x"),
    ] {
        if let Err(error) = set(path, key, value) {
            eprintln!("SKIPPED: attributes of packed files: {key} cannot be set here: {error}");
            return;
        }
    }
    let place =
        "are not in the archive, which has no place for them, and nodes will not have them:";
    assert_eq!(
        run(&root, "./bin/left-out\n").unwrap().warnings,
        [
            format!("file capabilities {place} /bin/ping"),
            format!("ACLs {place} /srv"),
            format!("extended attributes {place} /bin/tagged"),
        ]
    );
    let without = run(&root, "./bin/*\n./srv\n").unwrap();
    assert!(without.warnings.is_empty(), "{:?}", without.warnings);
}

#[test]
fn many_files_are_counted() {
    let files: Vec<Vec<u8>> = (0..12).map(|n| format!("f{n:02}").into_bytes()).collect();
    let files = files.iter().map(|path| (&**path, &[lost::Kind::Acl][..]));
    let warnings = lost::warnings(files);
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].ends_with("/f08, /f09 and 2 more"),
        "{warnings:?}"
    );
    assert_eq!(lost::kind(b"security.selinux"), None);
}
