//! The stock script's own log of a run over these files is the sample; ours must be the same to the byte.

use super::place::{Places, persistent_dir};
use super::{Hands, Script};
use statelite_policy::Dialect;
use std::fs;
use std::path::Path;

/// Mounts nothing: the sample was made with `mount` left out, too.
#[derive(Default)]
struct Stubbed {
    binds: usize,
    said: Vec<String>,
}

impl Hands for Stubbed {
    fn bind(&mut self, _: &Path, _: &Path, _: bool) -> std::io::Result<()> {
        self.binds += 1;
        Ok(())
    }

    fn say(&mut self, message: &str) {
        self.said.push(message.to_owned());
    }
}

struct Node {
    dir: tempfile::TempDir,
    places: Places,
    hands: Stubbed,
}

impl Node {
    fn new(dialect: Dialect) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("sysroot").display().to_string();
        fs::create_dir_all(format!("{root}/.statelite/tmpfs")).unwrap();
        fs::create_dir_all(format!("{root}/.statelite/persistent")).unwrap();
        let trees = ["s1/hi", "s2/lo"].map(|tree| format!("/.statelite/mnt/{tree}"));
        Self {
            dir,
            places: Places {
                root,
                trees: trees.to_vec(),
                persistent: persistent_dir("n1", dialect),
            },
            hands: Stubbed::default(),
        }
    }

    fn file(&self, path: &str, content: &str) {
        let path = format!("{}{path}", self.places.root);
        fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn run(&mut self, lines: &[(&str, &str)], dialect: Dialect) -> String {
        let lines: Vec<_> = lines
            .iter()
            .map(|(option, path)| ((*option).to_owned(), (*path).to_owned()))
            .collect();
        let mut log = Vec::new();
        let mut script = Script {
            places: &self.places,
            hands: &mut self.hands,
            log: &mut log,
        };
        script.run(&lines, dialect);
        let prefix = self.dir.path().join("sysroot").display().to_string();
        String::from_utf8(log).unwrap().replace(&prefix, "/sysroot")
    }

    fn exists(&self, path: &str) -> bool {
        Path::new(&format!("{}{path}", self.places.root)).exists()
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(format!("{}{path}", self.places.root)).unwrap()
    }
}

#[test]
fn the_log_is_the_stock_scripts() {
    let mut node = Node::new(Dialect::Current);
    for (path, content) in [
        ("/.statelite/mnt/s1/hi/etc/con", "one\n"),
        ("/.statelite/mnt/s2/lo/etc/con", "two\n"),
        ("/.statelite/mnt/s1/hi/dir/a", "hi"),
        ("/.statelite/mnt/s2/lo/dir/a", "lo"),
        ("/.statelite/mnt/s2/lo/dir/.dot", "dropped"),
        ("/.statelite/mnt/s1/hi/etc/one", "1"),
        ("/.default/etc/ro", "ro"),
        ("/.default/etc/one2", "2"),
        ("/.default/var/p/x", "x"),
        ("/.default/var/p/c/y", "y"),
    ] {
        node.file(path, content);
    }
    let lines = [
        ("con", "/etc/con"),
        ("tmpfs", "/dir/"),
        ("rw", "/etc/one"),
        ("ro", "/etc/ro"),
        ("link,persistent", "/etc/one2"),
        ("tmpfs", "/var/p/"),
        ("persistent", "/var/p/c/"),
    ];
    let log = node.run(&lines, Dialect::Current);
    assert_eq!(log, include_str!("statelite.log.sample"));
    assert_eq!(node.hands.said, Vec::<String>::new());
    assert_eq!(node.read("/.statelite/tmpfs/etc/con"), "one\ntwo\n");
    // The last tree wins, and top-level dot files get lost.
    assert_eq!(node.read("/.statelite/tmpfs/dir/a"), "lo");
    let dot = format!("{}/.statelite/tmpfs/dir/.dot", node.places.root);
    assert!(!Path::new(&dot).exists());
    assert_eq!(node.read("/.statelite/persistent/var/p/c/y"), "y");
}

#[test]
fn what_is_stored_is_not_copied_again() {
    let mut node = Node::new(Dialect::Current);
    node.file("/.default/etc/keep", "image");
    node.file("/.statelite/persistent/etc/keep", "mine");
    let log = node.run(&[("persistent", "/etc/keep")], Dialect::Current);
    assert_eq!(
        log,
        "mkdir -p /sysroot/.statelite/tmpfs/etc\n\
         mount --bind /sysroot/.statelite/persistent/etc/keep /sysroot//etc/keep\n"
    );
    assert_eq!(node.read("/.statelite/persistent/etc/keep"), "mine");
}

#[test]
fn the_words_of_2010() {
    let mut node = Node::new(Dialect::Seed2010);
    for name in ["def", "tmp", "bind", "pers", "bpers", "ro"] {
        node.file(&format!("/.default/etc/{name}"), name);
    }
    let lines = [
        ("tmpfs,rw", "/etc/def"),
        ("tmpfs", "/etc/tmp"),
        ("bind", "/etc/bind"),
        ("persistent", "/etc/pers"),
        ("bind,persistent", "/etc/bpers"),
        ("ro", "/etc/ro"),
        ("con", "/etc/none"),
    ];
    let log = node.run(&lines, Dialect::Seed2010);
    let wanted = "\
mkdir -p /sysroot/.statelite/tmpfs/etc
cp -a /sysroot/.default/etc/def /sysroot/.statelite/tmpfs/etc/def
cp -a /sysroot/.default/etc/bind /sysroot/.statelite/tmpfs/etc/bind
mount --bind /sysroot/.statelite/tmpfs/etc/bind /sysroot/etc/bind
mkdir -p /sysroot/.statelite/persistent/n1/etc
cp -a /sysroot/.default/etc/pers /sysroot/.statelite/persistent/n1/etc/pers
ln -sf /.statelite/persistent/n1/etc/pers /sysroot/.statelite/tmpfs/etc/pers
cp -a /sysroot/.default/etc/bpers /sysroot/.statelite/persistent/n1/etc/bpers
mount --bind /sysroot/.statelite/persistent/n1/etc/bpers /sysroot//etc/bpers
ln -sf /.default/etc/ro /sysroot/.statelite/tmpfs/etc/ro
";
    assert_eq!(log, wanted);
    assert_eq!(node.hands.binds, 2);
    assert_eq!(
        node.hands.said,
        ["/etc/none is in no tree and not in /.default: passed over"]
    );
}

#[test]
fn a_copy_keeps_mode_times_and_links() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let mut node = Node::new(Dialect::Current);
    node.file("/.default/var/d/sub/f", "content");
    let root = node.places.root.clone();
    let file = format!("{root}/.default/var/d/sub/f");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("sub/f", format!("{root}/.default/var/d/l")).unwrap();
    node.run(&[("link", "/var/d/")], Dialect::Current);
    let copy = fs::metadata(format!("{root}/.statelite/tmpfs/var/d/sub/f")).unwrap();
    let original = fs::metadata(&file).unwrap();
    assert_eq!(copy.mode(), original.mode());
    assert_eq!(
        (copy.mtime(), copy.mtime_nsec()),
        (original.mtime(), original.mtime_nsec())
    );
    let link = fs::read_link(format!("{root}/.statelite/tmpfs/var/d/l")).unwrap();
    assert_eq!(link, Path::new("sub/f"));
}

const TREE1: &str = "/.statelite/mnt/s1/hi";
const TREE2: &str = "/.statelite/mnt/s2/lo";

/// A run in the current dialect, and its log without what it begins with.
fn current(node: &mut Node, lines: &[(&str, &str)]) -> String {
    let log = node.run(lines, Dialect::Current);
    log.replace("/sysroot/.statelite/", "@")
}

#[test]
fn the_store_takes_the_first_tree_and_each_tree_is_bound() {
    let mut node = Node::new(Dialect::Current);
    node.file(&format!("{TREE1}/var/d/a"), "hi");
    node.file(&format!("{TREE2}/var/d/a"), "lo");
    node.file(&format!("{TREE2}/var/d/b"), "lo");
    let log = current(&mut node, &[("persistent", "/var/d/")]);
    let wanted = "\
mkdir -p @tmpfs/var
mkdir -p @persistent/var
cp -r -a @mnt/s1/hi/var/d/ @persistent/var/d/
mount --bind @persistent/var/d/ /sysroot//var/d
mount --bind @persistent/var/d/ /sysroot//var/d
";
    assert_eq!(log, wanted);
    assert_eq!(node.read("/.statelite/persistent/var/d/a"), "hi");
    assert!(!node.exists("/.statelite/persistent/var/d/b"));
}

#[test]
fn the_local_disk_takes_the_first_tree() {
    let mut node = Node::new(Dialect::Current);
    node.file(&format!("{TREE1}/var/d/a"), "hi");
    node.file(&format!("{TREE2}/var/d/a"), "lo");
    node.file("/.default/etc/f", "f");
    let log = current(
        &mut node,
        &[("localdisk", "/var/d/"), ("localdisk", "/etc/f")],
    );
    let wanted = "\
mkdir -p @tmpfs/var
mkdir -p /sysroot/.sllocal/localmnt/var
cp -r -a @mnt/s1/hi/var/d/ /sysroot/.sllocal/localmnt/var
mount --bind /sysroot/.sllocal/localmnt/var/d/ /sysroot/var/d
mount --bind /sysroot/.sllocal/localmnt/var/d/ /sysroot/var/d
mkdir -p @tmpfs/etc
mkdir -p /sysroot/.sllocal/localmnt/etc
cp -r -a /sysroot/.default/etc/f /sysroot/.sllocal/localmnt/etc/f
mount --bind /sysroot/.sllocal/localmnt/etc/f /sysroot/etc/f
";
    assert_eq!(log, wanted);
    assert_eq!(node.read("/.sllocal/localmnt/var/d/a"), "hi");
    assert_eq!(node.read("/.sllocal/localmnt/etc/f"), "f");
}

#[test]
fn directories_of_ro_and_links_into_the_store() {
    let mut node = Node::new(Dialect::Current);
    for path in ["ro/x", "kept/x"] {
        node.file(&format!("/.default/var/{path}"), "x");
        // Something is there already.
        node.file(&format!("/.statelite/tmpfs/var/{path}.old"), "old");
    }
    let lines = [("ro", "/var/ro/"), ("link,persistent", "/var/kept/")];
    let wanted = "\
mout --bind -o ro /sysroot/.default/var/ro/ /sysroot/var/ro/
mkdir -p @persistent/var
cp -r -a /sysroot/.default/var/kept/ @persistent/var/kept
rm -Rf @tmpfs/var/kept
ln -sf /.statelite/persistent/var/kept @tmpfs/var/kept
";
    assert_eq!(current(&mut node, &lines), wanted);
    assert_eq!(node.hands.said, Vec::<String>::new());
    assert!(node.exists("/.statelite/tmpfs/var/ro"));
    assert!(!node.exists("/.statelite/tmpfs/var/ro/x.old"));
    let link = format!("{}/.statelite/tmpfs/var/kept", node.places.root);
    assert_eq!(
        fs::read_link(link).unwrap(),
        Path::new("/.statelite/persistent/var/kept")
    );
}

#[test]
fn a_stored_link_is_bound_inside_plain_links_alone() {
    let mut node = Node::new(Dialect::Current);
    for parent in ["stored", "plain"] {
        for path in ["x", "c/y"] {
            node.file(&format!("/.default/var/{parent}/{path}"), path);
        }
    }
    let lines = [
        ("link,persistent", "/var/stored/"),
        ("link,persistent", "/var/stored/c/"),
        ("tmpfs,rw", "/var/plain/"),
        ("link,persistent", "/var/plain/c/"),
    ];
    let wanted = "\
mkdir -p @tmpfs/var
mkdir -p @persistent/var
cp -r -a /sysroot/.default/var/stored/ @persistent/var/stored
ln -sf /.statelite/persistent/var/stored @tmpfs/var/stored
cp -r -a /sysroot/.default/var/plain/ @tmpfs/var/plain/
mkdir -p @persistent/var/plain
cp -r -a /sysroot/.default/var/plain/c/ @persistent/var/plain/c
mount --bind @persistent/var/plain/c @tmpfs/var/plain/c
";
    assert_eq!(current(&mut node, &lines), wanted);
    assert_eq!(node.hands.binds, 1);
    assert_eq!(node.hands.said, Vec::<String>::new());
    assert_eq!(node.read("/.statelite/persistent/var/stored/c/y"), "c/y");
}

#[test]
fn a_tree_with_a_deeper_entry_still_gives_the_directory() {
    let mut node = Node::new(Dialect::Current);
    node.file(&format!("{TREE1}/var/a/deep"), "deep");
    node.file(&format!("{TREE2}/var/child"), "child");
    node.file("/.default/var/x", "x");
    let lines = [
        ("tmpfs", "/var/"),
        ("tmpfs", "/var/a/deep"),
        ("tmpfs", "/var/child"),
    ];
    // The last tree has a direct child and gives nothing, so the image's copy is taken as well.
    let wanted = "\
cp -r -a @mnt/s1/hi/var/ @tmpfs/var/
mount --bind @tmpfs/var/ /sysroot/var
cp -r -a /sysroot/.default/var/* @tmpfs/var/
mount --bind @tmpfs/var/ /sysroot/var
cp -r -a @mnt/s1/hi/var/a/deep @tmpfs/var/a/deep
cp -r -a @mnt/s2/lo/var/child @tmpfs/var/child
";
    assert_eq!(current(&mut node, &lines), wanted);
    assert_eq!(node.read("/.statelite/tmpfs/var/x"), "x");
}

#[test]
fn a_link_of_2010_takes_a_directorys_place() {
    let mut node = Node::new(Dialect::Seed2010);
    node.file("/.default/var/kept/x", "x");
    node.file("/.statelite/tmpfs/var/kept/old", "old");
    let log = node.run(&[("persistent", "/var/kept/")], Dialect::Seed2010);
    let wanted = "\
mkdir -p /sysroot/.statelite/persistent/n1/var
cp -a /sysroot/.default/var/kept/ /sysroot/.statelite/persistent/n1/var/kept/
rm -Rf /sysroot/.statelite/tmpfs/var/kept
ln -sf /.statelite/persistent/n1/var/kept/ /sysroot/.statelite/tmpfs/var/kept
";
    assert_eq!(log, wanted);
}

/// What is copied, by one command whose sources are found by the shell.
#[test]
fn a_copy_keeps_hard_links_and_odd_names_and_goes_on() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let mut node = Node::new(Dialect::Current);
    let odd = OsStr::from_bytes(b"a-\xff");
    let from = format!("{}{TREE2}/var/d", node.places.root);
    let to = format!("{}/.statelite/tmpfs/var/d", node.places.root);
    node.file(&format!("{TREE2}/var/d/one"), "content");
    fs::create_dir(format!("{from}/sub")).unwrap();
    fs::hard_link(format!("{from}/one"), format!("{from}/sub/two")).unwrap();
    fs::write(Path::new(&from).join(odd), "odd").unwrap();
    // A directory of the target takes the place of a file, which cannot be copied then.
    node.file(&format!("{TREE2}/var/d/b"), "b");
    node.file("/.statelite/tmpfs/var/d/b/in-the-way", "");
    fs::set_permissions(format!("{from}/one"), fs::Permissions::from_mode(0o604)).unwrap();

    node.run(&[("link", "/var/d/")], Dialect::Current);
    assert_eq!(fs::read(Path::new(&to).join(odd)).unwrap(), b"odd");
    let [one, two] = ["one", "sub/two"].map(|name| fs::metadata(format!("{to}/{name}")).unwrap());
    assert_eq!((one.ino(), one.nlink()), (two.ino(), 2));
    assert_eq!(one.mode() & 0o777, 0o604);
    let said = node.hands.said.join("\n");
    assert_eq!(node.hands.said.len(), 1, "{said}");
    assert!(said.contains("var/d/b: Is a directory"), "{said}");
}
