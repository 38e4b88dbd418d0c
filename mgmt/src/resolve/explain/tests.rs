use super::*;
use crate::tables::Row;
use crate::tables::schema::{LINUXIMAGE, LITEFILE, LITETREE, NODELIST, NODETYPE, STATELITE};

/// A site whose servers `here` and directories are on this machine, below a directory of our own.
struct Fixture {
    dir: tempfile::TempDir,
    site: Site,
}

impl Fixture {
    fn new(rows: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().display().to_string();
        let mut site = Site::default();
        site.add(&NODELIST, Row::new(&NODELIST).with(&NODELIST, "node", "n1"));
        let kind = Row::new(&NODETYPE).with(&NODETYPE, "node", "n1");
        let kind = kind
            .with(&NODETYPE, "os", "deb12")
            .with(&NODETYPE, "arch", "x86_64");
        let kind = kind.with(&NODETYPE, "provmethod", "compute");
        site.add(&NODETYPE, kind.with(&NODETYPE, "profile", "p"));
        let image = Row::new(&LINUXIMAGE).with(&LINUXIMAGE, "imagename", "compute");
        site.add(
            &LINUXIMAGE,
            image.with(&LINUXIMAGE, "rootimgdir", &format!("{base}/image")),
        );
        for (priority, directory) in [
            ("1", format!("here:{base}/t1")),
            ("2", "away:/t2".to_owned()),
            ("3", format!("here:{base}/t3")),
        ] {
            let row = Row::new(&LITETREE).with(&LITETREE, "priority", priority);
            site.add(&LITETREE, row.with(&LITETREE, "directory", &directory));
        }
        let row = Row::new(&STATELITE).with(&STATELITE, "node", "n1");
        site.add(
            &STATELITE,
            row.with(&STATELITE, "statemnt", &format!("here:{base}/state/")),
        );
        for (file, option) in rows {
            let row = Row::new(&LITEFILE).with(&LITEFILE, "image", "ALL");
            let row = row.with(&LITEFILE, "file", file);
            site.add(&LITEFILE, row.with(&LITEFILE, "options", option));
        }
        std::fs::create_dir_all(dir.path().join("image/rootimg")).unwrap();
        for name in ["t1", "t3", "state"] {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        Self { dir, site }
    }

    fn file(&self, path: &str) -> &Self {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "x").unwrap();
        self
    }

    fn explain(&self, path: &str) -> Explanation {
        let places = Places::new("", |server| server == "here");
        explain(&self.site, &places, "n1", path).unwrap()
    }

    /// The files that answer, below our directory, then what could be before them.
    fn answers(&self, path: &str) -> String {
        let found = self.explain(path);
        let short = |path: &PathBuf| {
            let path = path.strip_prefix(self.dir.path()).unwrap();
            path.display().to_string()
        };
        let answers: Vec<String> = found.answers.iter().map(short).collect();
        let unless = match found.unless.is_empty() {
            true => String::new(),
            false => format!(" unless {}", found.unless.join(", ")),
        };
        answers.join(" ") + &unless
    }
}

#[test]
fn files_that_answer() {
    let fixture = Fixture::new(&[
        ("/etc/ro", "ro"),
        ("/etc/con", "con"),
        ("/var/", "tmpfs"),
        ("/state/", "persistent"),
        ("/disk", "localdisk"),
    ]);
    for path in [
        "image/rootimg/etc/plain",
        "t1/etc/plain",
        "image/rootimg/etc/ro",
        "t3/etc/ro",
        "image/rootimg/etc/con",
        "t1/etc/con",
        "t3/etc/con",
        "t1/var/log/a",
        "t3/var/log/b",
        "image/rootimg/var/log/a",
        "image/rootimg/var/only",
        "image/rootimg/state/a",
        "image/rootimg/disk",
    ] {
        fixture.file(path);
    }
    for (path, wanted) in [
        ("/etc/plain", "image/rootimg/etc/plain"),
        ("/etc/ro", "t3/etc/ro unless tree 2"),
        ("/etc/con", "t1/etc/con t3/etc/con unless tree 2"),
        ("/var/log/a", "t1/var/log/a"),
        ("/var/log/b", "t3/var/log/b unless tree 2"),
        (
            "/var/log",
            "t1/var/log t3/var/log image/rootimg/var/log unless tree 2",
        ),
        ("/var/only", "image/rootimg/var/only unless tree 2"),
        ("/var/none", " unless tree 2"),
        ("/state/a", "image/rootimg/state/a unless tree 2"),
        ("/disk", "image/rootimg/disk unless local disk, tree 2"),
    ] {
        assert_eq!(fixture.answers(path), wanted, "{path}");
    }
    // Once filled, the store answers alone, also for what it does not have.
    fixture.file("state/n1/state/a");
    assert_eq!(fixture.answers("/state/a"), "state/n1/state/a");
    assert_eq!(fixture.answers("/state/b"), "");
}

#[test]
fn rows_and_writes() {
    let fixture = Fixture::new(&[
        ("/etc/ro", "ro"),
        ("/etc/con", "con"),
        ("/var", ""),
        ("/state/", "persistent"),
        ("/state/here/", "localdisk"),
    ]);
    for (path, placement, origin, write) in [
        ("/etc/x", "image", None, "is refused (EROFS): no row"),
        (
            "/etc/ro",
            "tree",
            Some("litefile: row 1 (\"ALL\", \"/etc/ro\")"),
            "is refused (EROFS): change the file",
        ),
        (
            "/etc/con",
            "concatenation",
            Some("litefile: row 2 (\"ALL\", \"/etc/con\")"),
            "turns the file",
        ),
        (
            "/var/x",
            "volatile",
            Some("litefile: row 3 (\"ALL\", \"/var\")"),
            "goes to the node's RAM",
        ),
        (
            "/state/x",
            "persistent",
            Some("litefile: row 4 (\"ALL\", \"/state/\")"),
            "goes to here:",
        ),
        (
            "/state/here/x",
            "local",
            Some("litefile: row 5 (\"ALL\", \"/state/here/\")"),
            "local disk and stays",
        ),
        (
            "/etc/mtab",
            "volatile",
            Some("/etc/mtab is always listed"),
            "RAM",
        ),
    ] {
        let found = fixture.explain(path);
        assert_eq!(found.placement.as_str(), placement, "{path}");
        assert_eq!(found.origin.as_deref(), origin, "{path}");
        assert!(found.write.contains(write), "{path}: {}", found.write);
    }
    let write = fixture.explain("/state/x").write;
    assert!(write.ends_with("/state/n1/state/x and stays"), "{write}");
    let notes = |path: &str| fixture.explain(path).notes.join("\n");
    assert!(notes("/var/x").contains("/var is written without a trailing slash"));
    assert!(notes("/state").contains("rules of their own: /state/here"));
    assert!(notes("/etc").contains("rules of their own: /etc/con and 2 more"));
    assert!(notes("/etc/mtab").contains("unless the image has one"));
    assert!(notes("/etc/ro").contains("with a bind mount (ro)"));
    assert!(notes("/etc/machine-id").contains("volatile all the same"));
    assert!(!notes("/etc/machine-info").contains("volatile all the same"));
    // /var has a row.
    assert!(!notes("/var/lib/systemd/linger").contains("volatile all the same"));
}

#[test]
fn without_a_store_a_persistent_path_is_not_possible() {
    let mut fixture = Fixture::new(&[("/state/", "persistent")]);
    fixture.site.put(&STATELITE, Vec::new());
    let found = fixture.explain("/state/x");
    assert!(
        found.write.contains("the node has no statemnt"),
        "{}",
        found.write
    );
}

#[test]
fn paths_are_normalised_or_refused() {
    let fixture = Fixture::new(&[]);
    assert_eq!(fixture.explain("//etc//x/").path, "/etc/x");
    assert_eq!(fixture.explain("/").path, "/");
    let places = Places::new("", |_| false);
    for path in ["", "etc", "/etc/../x", "/./x"] {
        let error = explain(&fixture.site, &places, "n1", path).unwrap_err();
        assert!(error.to_string().contains("is no path"), "{error}");
    }
    let error = explain(&fixture.site, &places, "n9", "/x")
        .unwrap_err()
        .to_string();
    assert_eq!(error, "no node \"n9\" in the nodelist table");
}
