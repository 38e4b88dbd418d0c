//! How soon edits of the read-only layers show, and the mount helper's form.

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use common::{World, exists, fails, meta, names, read, run, same, wait_for};
use rustix::io::Errno;
use statelite_tests::mount::{Mount, MountSpec, Passthrough};

const SOON: Duration = Duration::from_secs(2);

/// Makes an edit of every kind in the image and a tree.
fn edit(world: &World) -> Result<()> {
    world.put("image/place", "edited in place")?;
    fs::write(world.at("new"), "replaced by a new file")?;
    fs::rename(world.at("new"), world.at("image/replaced"))?;
    fs::remove_file(world.at("image/removed"))?;
    world.put("image/dir/appeared", "new")?;
    fs::remove_dir_all(world.at("image/dirgone"))?;
    fs::remove_file(world.at("image/link"))?;
    symlink("elsewhere", world.at("image/link"))?;
    world.put("t1/vol/tree", "tree edited")?;
    world.put("t1/vol/hides", "tree now hides the image")?;
    world.put("image/vol/sub/appeared", "new below a union")?;
    common::chmod(world.at("image/mode"), 0o600)?;
    fs::remove_file(world.at("image/kind"))?;
    fs::create_dir(world.at("image/kind"))?;
    Ok(())
}

/// What the layers are before, all looked at once so that it is cached.
fn prepare(world: &World) -> Result<()> {
    for file in [
        "place",
        "replaced",
        "removed",
        "dir/x",
        "dirgone/x",
        "vol/hides",
        "vol/sub/x",
        "mode",
        "kind",
    ] {
        world.put(&format!("image/{file}"), "old")?;
    }
    common::chmod(world.at("image/mode"), 0o644)?;
    world.put("t1/vol/tree", "old")?;
    symlink("old", world.at("image/link"))?;
    Ok(())
}

fn look(world: &World) {
    for file in [
        "place",
        "replaced",
        "removed",
        "dir/x",
        "dir/appeared",
        "dirgone/x",
        "vol/hides",
        "vol/tree",
        "vol/sub/x",
        "vol/sub/appeared",
        "mode",
        "kind",
    ] {
        let _ = fs::read(world.m(file));
        let _ = fs::metadata(world.m(file));
    }
    for dir in ["", "dir", "dirgone", "vol", "vol/sub"] {
        let _ = names(world.m(dir));
    }
    let _ = fs::read_link(world.m("link"));
}

fn edited(world: &World) -> Result<()> {
    same(read(world.m("place"))?, "edited in place", "place")?;
    same(meta(world.m("place"))?.len(), 15, "place size")?;
    same(
        read(world.m("replaced"))?,
        "replaced by a new file",
        "replaced",
    )?;
    ensure!(!exists(world.m("removed")), "removed");
    same(names(world.m("dir"))?, ["appeared", "x"], "dir")?;
    same(read(world.m("dir/appeared"))?, "new", "appeared")?;
    ensure!(
        !exists(world.m("dirgone")) && !exists(world.m("dirgone/x")),
        "dirgone"
    );
    same(
        fs::read_link(world.m("link"))?,
        Path::new("elsewhere").to_path_buf(),
        "link",
    )?;
    same(read(world.m("vol/tree"))?, "tree edited", "tree")?;
    same(
        read(world.m("vol/hides"))?,
        "tree now hides the image",
        "hides",
    )?;
    same(names(world.m("vol/sub"))?, ["appeared", "x"], "union")?;
    same(
        std::os::unix::fs::MetadataExt::mode(&meta(world.m("mode"))?) & 0o777,
        0o600,
        "mode",
    )?;
    ensure!(meta(world.m("kind"))?.is_dir(), "kind");
    same(
        names(world.m(""))?,
        ["dir", "kind", "link", "mode", "place", "replaced", "vol"],
        "root",
    )
}

fn unedited(world: &World) -> Result<()> {
    same(read(world.m("place"))?, "old", "place")?;
    same(read(world.m("replaced"))?, "old", "replaced")?;
    same(read(world.m("removed"))?, "old", "removed")?;
    same(read(world.m("vol/tree"))?, "old", "tree")?;
    same(names(world.m("dir"))?, ["x"], "dir")?;
    ensure!(!exists(world.m("dir/appeared")), "appeared");
    Ok(())
}

#[test]
fn live_layers_show_edits_within_two_seconds() -> Result<()> {
    for mode in [Passthrough::Auto, Passthrough::Off] {
        let Some(world) = World::new("live")? else {
            return Ok(());
        };
        let mut world = world
            .trees()
            .rule("/vol/", "tmpfs")
            .freshness("live")
            .passthrough(mode);
        prepare(&world)?;
        world.start()?;
        look(&world);
        let start = Instant::now();
        edit(&world)?;
        let mut last = edited(&world);
        while last.is_err() && start.elapsed() < SOON {
            std::thread::sleep(Duration::from_millis(50));
            last = edited(&world);
        }
        last?;
    }
    Ok(())
}

/// Files of layers on a server are kept open, also of a FUSE mount if that is asked for.
#[test]
fn layers_on_a_server_show_edits_too() -> Result<()> {
    for mode in [Passthrough::Auto, Passthrough::Off] {
        let Some(mut world) = World::new("served")? else {
            return Ok(());
        };
        prepare(&world)?;
        let served = world.dir("served")?;
        let mut below = MountSpec::new(world.at(""));
        below.freshness = Some("live".to_owned());
        below.passthrough = Some(Passthrough::Off);
        let below = Mount::start(&below, &served)?;
        world.spec.image = served.join("image");
        world.spec.kept_files = Some(512);
        world.spec.trees = vec![served.join("t1"), served.join("t2")];
        let mut world = world
            .rule("/vol/", "tmpfs")
            .freshness("live")
            .passthrough(mode);
        world.start()?;
        for _ in 0..5 {
            look(&world);
            // The kernel's own knowledge is to be over, ours not.
            std::thread::sleep(Duration::from_millis(1100));
        }
        ensure!(
            world.status()?.number("kept_files")? > 0,
            "no file was kept open"
        );
        edit(&world)?;
        let start = Instant::now();
        let mut last = edited(&world);
        while last.is_err() && start.elapsed() < SOON * 2 {
            std::thread::sleep(Duration::from_millis(50));
            last = edited(&world);
        }
        last?;
        world.stop()?;
        drop(below);
    }
    Ok(())
}

#[test]
fn published_layers_show_edits_when_a_generation_is_announced() -> Result<()> {
    let Some(world) = World::new("published")? else {
        return Ok(());
    };
    let mut world = world.trees().rule("/vol/", "tmpfs").freshness("published");
    prepare(&world)?;
    world.start()?;
    look(&world);
    edit(&world)?;
    std::thread::sleep(SOON);
    unedited(&world)?;
    let rules = world
        .spec
        .trees
        .iter()
        .flat_map(|t| ["--tree".to_owned(), t.display().to_string()]);
    let mut words: Vec<String> = rules.collect();
    words.extend(["--rule", "/vol/=tmpfs", "--new-generation"].map(str::to_owned));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = world.program(&["reload"], &words)?;
    ensure!(outcome.success(), "{outcome}");
    edited(&world)
}

#[test]
fn a_changed_file_is_never_half_old() -> Result<()> {
    for (mode, in_place) in [
        (Passthrough::Auto, false),
        (Passthrough::Off, false),
        (Passthrough::Off, true),
    ] {
        let Some(world) = World::new("half")? else {
            return Ok(());
        };
        let mut world = world.freshness("live").passthrough(mode);
        let size = |generation: usize| 200_000 + generation * 3_000;
        let content = |generation: usize| vec![b'a' + (generation % 26) as u8; size(generation)];
        world.put("image/f", content(0))?;
        world.start()?;
        let done = AtomicBool::new(false);
        let (path, lower, aside) = (world.m("f"), world.at("image/f"), world.at("aside"));
        std::thread::scope(|scope| -> Result<()> {
            let reader = scope.spawn(|| -> Result<usize> {
                let mut seen = std::collections::BTreeSet::new();
                while !done.load(Ordering::Relaxed) {
                    let data = match fs::read(&path) {
                        // A name that was replaced between lookup and open is looked up again by the kernel once.
                        Err(error) if error.raw_os_error() == Some(Errno::STALE.raw_os_error()) => {
                            continue;
                        }
                        other => other?,
                    };
                    if in_place {
                        continue;
                    }
                    let first = data.first().copied().unwrap_or_default();
                    ensure!(
                        data.iter().all(|byte| *byte == first),
                        "content of two generations"
                    );
                    let fits = (0..60)
                        .any(|g| size(g) == data.len() && content(g).first() == Some(&first));
                    ensure!(fits, "{} bytes of {:?}", data.len(), char::from(first));
                    seen.insert(data.len());
                }
                Ok(seen.len())
            });
            for generation in 1..=30 {
                if in_place {
                    fs::write(&lower, content(generation))?;
                } else {
                    fs::write(&aside, content(generation))?;
                    fs::rename(&aside, &lower)?;
                }
                std::thread::sleep(Duration::from_millis(150));
            }
            done.store(true, Ordering::Relaxed);
            let seen = reader
                .join()
                .map_err(|_| anyhow::anyhow!("the reader panicked"))??;
            ensure!(in_place || seen >= 3, "only {seen} generations seen");
            Ok(())
        })?;
        // At rest the last one shows, whole.
        wait_for(SOON, "the last generation", || {
            fs::read(world.m("f")).is_ok_and(|data| data == content(30))
        })?;
        same(meta(world.m("f"))?.len(), size(30) as u64, "size")?;
    }
    Ok(())
}

#[test]
fn a_lower_edit_does_not_touch_what_was_copied_up() -> Result<()> {
    let Some(world) = World::new("copied")? else {
        return Ok(());
    };
    let mut world = world.rule("/", "tmpfs").freshness("live");
    world.put("image/d/f", "old")?;
    world.put("image/d/gone", "old")?;
    world.start()?;
    common::append(world.m("d/f"), b"+mine")?;
    fs::remove_file(world.m("d/gone"))?;
    world.put("image/d/f", "edited")?;
    world.put("image/d/gone", "edited")?;
    world.put("image/d/new", "new")?;
    std::thread::sleep(SOON);
    same(read(world.m("d/f"))?, "old+mine", "copied up")?;
    ensure!(!exists(world.m("d/gone")), "whiteout");
    same(read(world.m("d/new"))?, "new", "new")?;
    // A whole lower directory goes, while a changed file lies in it.
    fs::remove_dir_all(world.at("image/d"))?;
    std::thread::sleep(SOON);
    same(names(world.m("d"))?, ["f"], "what is the node's own stays")
}

/// The link in /sbin that mount(8) looks for.
struct Helper;

impl Helper {
    const PATH: &'static str = "/sbin/mount.fuse.statelitefs";

    fn install() -> Result<Self> {
        let _ = fs::remove_file(Self::PATH);
        symlink(
            statelite_tests::paths::statelitefs()?.canonicalize()?,
            Self::PATH,
        )?;
        Ok(Self)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = fs::remove_file(Self::PATH);
    }
}

/// Unmounts when it goes.
struct Mounted<'a>(&'a str);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = run(&["umount", "-l", self.0]);
    }
}

#[test]
fn mount_8_can_mount_it_with_overlayfs_options() -> Result<()> {
    let Some(world) = World::new("helper")? else {
        return Ok(());
    };
    world.put("image/f", "image")?;
    world.put("image/g", "image")?;
    world.put("t1/g", "tree")?;
    let _helper = Helper::install()?;
    let at = |name: &str| world.at(name).display().to_string();
    let (up, work, m) = (world.dir("vol/up")?, world.dir("vol/work")?, at("m"));
    let lower = format!("lowerdir={}:{}", at("t1"), at("image"));
    let upper = format!(
        "{lower},upperdir={},workdir={}",
        up.display(),
        work.display()
    );
    {
        run(&[
            "mount",
            "-t",
            "fuse.statelitefs",
            "-o",
            &upper,
            "merged",
            &m,
        ])?;
        let _mounted = Mounted(&m);
        same(read(world.m("g"))?, "tree", "first lower directory")?;
        fs::write(world.m("f"), "mine")?;
        fs::remove_file(world.m("g"))?;
        let entry = statelite_tests::mountinfo::at(&world.at("m"))?;
        same(
            entry.map(|entry| entry.fstype),
            Some("fuse.statelitefs".to_owned()),
            "type",
        )?;
    }
    same(read(up.join("f"))?, "mine", "upperdir")?;
    // The same directories under kernel overlayfs show the same.
    {
        run(&["mount", "-t", "overlay", "-o", &upper, "overlay", &m])?;
        let _mounted = Mounted(&m);
        same(read(world.m("f"))?, "mine", "overlayfs")?;
        ensure!(
            !exists(world.m("g")),
            "overlayfs does not know the whiteout"
        );
    }
    {
        run(&[
            "mount",
            "-t",
            "fuse.statelitefs",
            "-o",
            &lower,
            "merged",
            &m,
        ])?;
        let _mounted = Mounted(&m);
        same(read(world.m("g"))?, "tree", "without upperdir")?;
        fails(fs::write(world.m("f"), ""), Errno::ROFS)?;
    }
    {
        let image = at("image");
        run(&[
            "mount",
            "-t",
            "fuse.statelitefs",
            "-o",
            "ro,rule=/=tmpfs",
            &image,
            &m,
        ])?;
        let _mounted = Mounted(&m);
        same(read(world.m("f"))?, "image", "image as the source")?;
        fails(fs::write(world.m("f"), ""), Errno::ROFS)?;
    }
    Ok(())
}
