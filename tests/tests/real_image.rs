//! A real Debian root under the cookbook's tables, and a package installation inside a volatile `/`.
//!
//! Paths are resolved inside the tree ([`statelite_tests::inroot`]), because Debian's `/var/run` is an absolute link.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use statelite_tests::cmd::Cmd;
use statelite_tests::hash::TreeHash;
use statelite_tests::inroot::Root;
use statelite_tests::litefile::{self, Row};
use statelite_tests::mount::{Mount, MountSpec, Tables};
use statelite_tests::scratch::{self, Store};
use statelite_tests::{image, root_or_skip};

const REDHAT: &str = include_str!("data/litefile.seed.redhat.csv");
const SLES: &str = include_str!("data/litefile.seed.sles11.csv");

/// A package with dependencies, and what comes with it.
const PACKAGE: &str = "jq";
const INSTALLED: [&str; 3] = ["jq", "libjq1", "libonig5"];

/// The Debian image, built once for all tests of the process.
fn debian() -> Result<&'static Path> {
    static IMAGE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let image =
        IMAGE.get_or_init(|| image::debian("bookworm", &[]).map_err(|error| format!("{error:#}")));
    image.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

/// The image under a table and two litetree layers: `one` before `two`.
struct Merged {
    // Closed before the mount goes: an open root would keep it busy.
    root: Root,
    mount: Mount,
    image: Root,
    one: PathBuf,
    two: PathBuf,
    _volatile: Store,
    _dir: tempfile::TempDir,
}

impl Merged {
    fn start(litefile: &str) -> Result<Self> {
        let dir = scratch::directory()?;
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        for (tree, name) in [(&one, "one"), (&two, "two")] {
            fs::create_dir_all(tree.join("etc/ssh"))?;
            fs::write(tree.join("etc/ntp.conf"), format!("server {name}\n"))?;
            fs::write(tree.join("etc/ssh/sshd_config"), format!("# {name}\n"))?;
            fs::write(tree.join(format!("etc/ssh/only-{name}")), name)?;
            fs::write(tree.join("etc/unlisted.conf"), name)?;
        }
        fs::write(two.join("etc/fstab"), "# two\n")?;
        fs::create_dir_all(two.join("var/log/app"))?;
        fs::write(two.join("var/log/app/old"), "old\n")?;
        let tables = dir.path().join("tables");
        litefile::write_tables(&tables, litefile, &[one.clone(), two.clone()])?;
        let volatile = Store::tmpfs(&dir.path().join("volatile"))?;
        let mut spec = MountSpec::new(debian()?);
        spec.volatile = Some(volatile.root().to_path_buf());
        spec.tables = Some(Tables {
            dir: tables,
            node: "n01".to_owned(),
            image_name: "img".to_owned(),
        });
        // The walk takes seconds.
        spec.lifetime = Duration::from_secs(120);
        let mount = Mount::start(&spec, &dir.path().join("m"))?;
        let root = Root::open(mount.root())?;
        let image = Root::open(debian()?)?;
        Ok(Self {
            mount,
            root,
            image,
            one,
            two,
            _volatile: volatile,
            _dir: dir,
        })
    }
}

/// What a table test adds to the walk over all its rows.
struct Expectation {
    litefile: &'static str,
    rows: usize,
    /// Unlisted directories: of the image, or shown only as parents of listed paths.
    closed: &'static [&'static str],
}

fn table_places_every_row(expectation: &Expectation) -> Result<()> {
    let rows = litefile::rows(expectation.litefile)?;
    ensure!(rows.len() == expectation.rows, "{} rows", rows.len());
    let image_before = TreeHash::of(debian()?)?;
    let merged = Merged::start(expectation.litefile)?;
    let trees_before = (TreeHash::of(&merged.one)?, TreeHash::of(&merged.two)?);

    let mut problems = Vec::new();
    let mut note = |what: String, result: Result<()>| {
        if let Err(error) = result {
            problems.push(format!("{what}: {error:#}"));
        }
    };
    note("trees".to_owned(), trees_show(&merged));
    for row in &rows {
        note(
            format!("{} starts", row.file),
            starts_as_its_sources(&merged, row),
        );
    }
    for row in &rows {
        note(format!("{} changes", row.file), takes_changes(&merged, row));
    }
    for dir in expectation.closed {
        note(format!("{dir} unlisted"), refuses_changes(&merged, dir));
    }
    drop(merged.root);
    drop(merged.mount);
    for (name, before, dir) in [
        ("one", trees_before.0, &merged.one),
        ("two", trees_before.1, &merged.two),
    ] {
        let changes = before.changes(&TreeHash::of(dir)?);
        ensure!(changes.is_empty(), "tree {name} changed: {changes:?}");
    }
    let changes = image_before.changes(&TreeHash::of(debian()?)?);
    ensure!(changes.is_empty(), "the image changed: {changes:?}");
    ensure!(
        problems.is_empty(),
        "{} problems:\n{}",
        problems.len(),
        problems.join("\n")
    );
    Ok(())
}

/// What the layers give, before anything is written.
fn trees_show(merged: &Merged) -> Result<()> {
    let is = |path: &str, content: &str| -> Result<()> {
        let found = merged.root.read(path).with_context(|| path.to_owned())?;
        ensure!(
            found == content.as_bytes(),
            "{path}: {:?}",
            String::from_utf8_lossy(&found)
        );
        Ok(())
    };
    is("/etc/ntp.conf", "server one\n")?;
    is("/etc/fstab", "# two\n")?;
    is("/etc/ssh/sshd_config", "# one\n")?;
    is("/etc/ssh/only-one", "one")?;
    is("/etc/ssh/only-two", "two")?;
    is("/var/log/app/old", "old\n")?;
    ensure!(
        !merged.root.has("/etc/unlisted.conf")?,
        "a file of a tree shows without a row"
    );
    let (own, image) = (
        merged.root.list("/usr/bin")?,
        merged.image.list("/usr/bin")?,
    );
    ensure!(own == image, "/usr/bin differs from the image's");
    let status = "/var/lib/dpkg/status";
    ensure!(
        merged.root.read(status)? == merged.image.read(status)?,
        "{status} differs from the image's"
    );
    Ok(())
}

/// A listed path exists; where neither image nor tree has it, it is empty and of the type that the row says.
fn starts_as_its_sources(merged: &Merged, row: &Row) -> Result<()> {
    let path = row.file.as_str();
    if path == "/etc/mtab" {
        let target = merged.root.read_link(path)?;
        let expected = merged
            .image
            .read_link(path)
            .unwrap_or_else(|_| PathBuf::from("/proc/self/mounts"));
        ensure!(target == expected, "link to {}", target.display());
        return Ok(());
    }
    let meta = merged.root.metadata(path)?;
    let relative = path.trim_matches('/');
    let in_tree = merged.one.join(relative).exists() || merged.two.join(relative).exists();
    // A dangling link in the image (Debian's /var/lock) gives no content and no type.
    let in_image = merged.image.metadata(path.trim_end_matches('/')).ok();
    match (&in_image, in_tree) {
        (None, false) => {
            ensure!(meta.is_dir() == path.ends_with('/'), "has the wrong type");
            if meta.is_dir() {
                let inner = rows_below(path);
                let names = merged.root.list(path)?;
                let strange: Vec<_> = names
                    .iter()
                    .filter(|name| !inner.iter().any(|own| name.as_os_str() == own.as_str()))
                    .collect();
                ensure!(strange.is_empty(), "is not empty: {strange:?}");
            } else {
                ensure!(meta.len() == 0, "is not empty");
            }
        }
        (Some(image), false) => {
            ensure!(
                meta.is_dir() == image.is_dir(),
                "has another type than in the image"
            );
            if !meta.is_dir() {
                ensure!(
                    merged.root.read(path)? == merged.image.read(path)?,
                    "differs from the image"
                );
            }
        }
        // `trees_show` says what these hold.
        (_, true) => {}
    }
    Ok(())
}

/// First components of the listed paths below a directory: they are shown in it.
fn rows_below(dir: &str) -> Vec<String> {
    let tables = [REDHAT, SLES]
        .into_iter()
        .flat_map(|table| litefile::rows(table).unwrap_or_default());
    tables
        .filter_map(|row| {
            row.file
                .strip_prefix(dir)?
                .split('/')
                .next()
                .map(str::to_owned)
        })
        .filter(|name| !name.is_empty())
        .collect()
}

/// A volatile path: whatever is done to it works, shows, and reaches neither image nor trees (their hashes tell).
fn takes_changes(merged: &Merged, row: &Row) -> Result<()> {
    let (root, path) = (&merged.root, row.file.as_str());
    if path == "/etc/mtab" {
        root.unlink(path).context("remove the link")?;
        root.write(path, "mtab\n")
            .context("create a file in its place")?;
        ensure!(
            root.read(path)? == b"mtab\n",
            "another content than written"
        );
        return Ok(());
    }
    if !root.metadata(path)?.is_dir() {
        let before = root.read(path)?;
        root.append(path, "more\n").context("append")?;
        ensure!(
            root.read(path)? == [&before, &b"more\n"[..]].concat(),
            "append lost something"
        );
        root.write(path, "replaced\n").context("replace")?;
        ensure!(
            root.read(path)? == b"replaced\n",
            "another content than written"
        );
        root.chmod(path, 0o600).context("chmod")?;
        root.unlink(path).context("remove")?;
        ensure!(!root.has(path)?, "still there after removal");
        root.write(path, "again\n").context("create again")?;
        return Ok(());
    }
    let dir = path.trim_end_matches('/');
    let (file, sub) = (format!("{dir}/.probe"), format!("{dir}/.probe.d"));
    let before = root.list(dir)?;
    root.write(&file, "probe\n").context("create a file")?;
    ensure!(
        root.read(&file)? == b"probe\n",
        "another content than written"
    );
    root.mkdir(&sub).context("create a directory")?;
    root.write(&format!("{sub}/inner"), "inner\n")
        .context("create a file in a new directory")?;
    ensure!(
        root.list(dir)?.len() == before.len() + 2,
        "the listing lacks what was created"
    );
    ensure!(!merged.image.has(&file)?, "the image has what was created");
    root.unlink(&format!("{sub}/inner"))?;
    root.rmdir(&sub)?;
    ensure!(!root.has(&sub)?, "still there after removal");
    if let Some(name) = before.first().and_then(|name| name.to_str()) {
        let own = format!("{dir}/{name}");
        let meta = root.symlink_metadata(&own)?;
        if meta.is_file() {
            root.append(&own, "more\n")
                .with_context(|| format!("append to {name}"))?;
            root.unlink(&own)
                .with_context(|| format!("remove {name}"))?;
            ensure!(!root.has(&own)?, "{name} is still there after removal");
        }
    }
    Ok(())
}

/// An unlisted directory of the image: nothing in it changes, and the refusal is EROFS.
fn refuses_changes(merged: &Merged, dir: &str) -> Result<()> {
    let root = &merged.root;
    let refused = |what: &str, result: io::Result<()>| -> Result<()> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(()),
            Err(error) => anyhow::bail!("{what}: {error} instead of EROFS"),
            Ok(()) => anyhow::bail!("{what} is allowed"),
        }
    };
    let at = |name: &str| format!("{}/{name}", dir.trim_end_matches('/'));
    refused("create a file", root.write(&at(".probe"), "x"))?;
    refused("create a directory", root.mkdir(&at(".probe.d")))?;
    refused("chmod", root.chmod(dir, 0o700))?;
    let mut names = root
        .list(dir)?
        .into_iter()
        .filter_map(|name| name.into_string().ok());
    let file = names.find(|name| {
        merged
            .image
            .symlink_metadata(&at(name))
            .is_ok_and(|meta| meta.is_file())
    });
    if let Some(name) = file.filter(|name| !is_listed(&at(name))) {
        refused("append to a file", root.append(&at(&name), "x"))?;
        refused("remove a file", root.unlink(&at(&name)))?;
    }
    Ok(())
}

fn is_listed(path: &str) -> bool {
    [REDHAT, SLES]
        .into_iter()
        .flat_map(|table| litefile::rows(table).unwrap_or_default())
        .any(|row| row.file == path)
}

#[test]
fn every_row_of_the_redhat_table_has_its_placement() {
    if root_or_skip("every_row_of_the_redhat_table_has_its_placement") {
        let closed = &[
            "/",
            "/etc",
            "/usr",
            "/usr/bin",
            "/root",
            "/home",
            "/var",
            "/var/lib/dpkg",
            "/opt",
            "/etc/lvm",
        ];
        table_places_every_row(&Expectation {
            litefile: REDHAT,
            rows: 42,
            closed,
        })
        .unwrap();
    }
}

#[test]
fn every_row_of_the_sles_table_has_its_placement() {
    if root_or_skip("every_row_of_the_sles_table_has_its_placement") {
        let closed = &[
            "/", "/etc", "/usr", "/usr/bin", "/root", "/home", "/var", "/opt", "/etc/lvm",
        ];
        table_places_every_row(&Expectation {
            litefile: SLES,
            rows: 24,
            closed,
        })
        .unwrap();
    }
}

/// Runs a shell line in a chroot with /proc and /dev, in namespaces of its own: whatever it leaves running or mounted
/// goes with it.
fn in_chroot(root: &Path, line: &str) -> Result<String> {
    let enter = r#"mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" /bin/sh -ec "$1""#;
    let outcome = Cmd::new("unshare")
        .args([
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-ec",
            enter,
        ])
        .args([root.as_os_str(), line.as_ref()])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .limit(Duration::from_secs(300))
        .check()?;
    Ok(outcome.text())
}

/// Gives the chroot what this machine needs to reach its package mirror: names, and how apt fetches. The sources came
/// with the image.
fn connect(root: &Path) -> Result<()> {
    for file in ["etc/resolv.conf", "etc/hosts"] {
        let content = fs::read(Path::new("/").join(file)).unwrap_or_default();
        fs::write(root.join(file), content).with_context(|| file.to_owned())?;
    }
    let acquire = Cmd::new("apt-config")
        .args(["dump", "Acquire"])
        .check()?
        .stdout;
    fs::write(root.join("etc/apt/apt.conf.d/99tests"), acquire)?;
    Ok(())
}

fn installs_a_package(root: &Path) -> Result<()> {
    connect(root)?;
    in_chroot(root, "apt-get -q update")?;
    in_chroot(
        root,
        &format!("apt-get -q -y --no-install-recommends install {PACKAGE}"),
    )?;
    let packages = INSTALLED.join(" ");
    let complaints = in_chroot(root, &format!("dpkg --verify {packages} && dpkg --audit"))?;
    ensure!(complaints.trim().is_empty(), "dpkg complains: {complaints}");
    let said = in_chroot(root, "echo '{\"a\":[1,2]}' | jq -c .a")?;
    ensure!(said.trim() == "[1,2]", "jq said {said}");
    in_chroot(root, &format!("apt-get -q -y purge {packages}"))?;
    let left = in_chroot(root, "test ! -e /usr/bin/jq && dpkg --audit")?;
    ensure!(
        left.trim().is_empty(),
        "dpkg complains after removal: {left}"
    );
    Ok(())
}

fn package_on_a_volatile_root() -> Result<()> {
    let before = TreeHash::of(debian()?)?;
    let dir = scratch::directory()?;
    let volatile = Store::tmpfs(&dir.path().join("volatile"))?;
    let mut spec = MountSpec::new(debian()?).rule("/", "tmpfs");
    spec.volatile = Some(volatile.root().to_path_buf());
    let mount = Mount::start(&spec, &dir.path().join("m"))?;
    installs_a_package(mount.root())?;
    drop(mount);
    let changes = before.changes(&TreeHash::of(debian()?)?);
    ensure!(changes.is_empty(), "the image changed: {changes:?}");
    Ok(())
}

#[test]
fn a_package_installs_on_a_volatile_root_and_the_image_stays_as_it_was() {
    if root_or_skip("a_package_installs_on_a_volatile_root_and_the_image_stays_as_it_was") {
        package_on_a_volatile_root().unwrap();
    }
}

/// The same on kernel overlayfs: shows that a failure above is not the harness's.
#[test]
fn a_package_installs_on_kernel_overlayfs_likewise() {
    fn run() -> Result<()> {
        let before = TreeHash::of(debian()?)?;
        let dir = scratch::directory()?;
        let volatile = Store::tmpfs(&dir.path().join("volatile"))?;
        let overlay = Store::overlay(&dir.path().join("m"), debian()?, &volatile, "o")?;
        installs_a_package(overlay.root())?;
        drop(overlay);
        ensure!(before == TreeHash::of(debian()?)?, "the image changed");
        Ok(())
    }
    if root_or_skip("a_package_installs_on_kernel_overlayfs_likewise") {
        run().unwrap();
    }
}
