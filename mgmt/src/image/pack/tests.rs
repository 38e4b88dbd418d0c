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
