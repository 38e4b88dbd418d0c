//! Stores that fill up, vanish or turn read-only, and daemons that are killed.
//!
//! `EDQUOT` is left out: Debian's `quota` tools are not part of the test machine.

mod common;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::snapshot::snapshot;
use common::{
    Code, World, append, exists, fails, meta, name, names, read, run, same, wait_for, write_at,
};
use rustix::io::Errno;

/// A small tmpfs over a store's directory.
struct Small {
    at: PathBuf,
}

impl Small {
    fn over(world: &World, store: &str, options: &str) -> Result<Self> {
        let at = world.at(store);
        run(&[
            "mount",
            "-t",
            "tmpfs",
            "-o",
            &format!("mode=755,{options}"),
            "tmpfs",
            text(&at),
        ])?;
        Ok(Self { at })
    }

    /// The daemon may yet have to close what was written.
    fn remount(&self, options: &str) -> Result<()> {
        let options = format!("remount,{options}");
        wait_for(
            Duration::from_secs(5),
            "nobody to write to the store",
            || run(&["mount", "-o", &options, text(&self.at)]).is_ok(),
        )
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = run(&["umount", "-l", text(&self.at)]);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

/// Requires the mount to answer as ever.
fn lives(world: &World) -> Result<()> {
    same(read(world.m("image-file"))?, "image", "a file of the image")?;
    world.status()?;
    Ok(())
}

fn fill(path: &Path) -> Result<()> {
    let mut file = File::create(path)?;
    let error = loop {
        if let Err(error) = file.write_all(&[1; 65536]) {
            break error;
        }
    };
    fails(Err::<(), _>(error), Errno::NOSPC)
}

#[test]
fn a_full_volatile_store_says_so_and_harms_nothing() -> Result<()> {
    let Some(world) = World::new("full")? else {
        return Ok(());
    };
    let mut world = world.rule("/v/", "tmpfs");
    let small = Small::over(&world, "vol", "size=2m,nr_inodes=200")?;
    world.put("image/image-file", "image")?;
    world.put("image/v/lower", vec![b'l'; 1 << 20])?;
    world.put("image/v/tiny", "tiny")?;
    world.put("image/v/d/x", "x")?;
    let lower = snapshot(&world.at("image"))?;
    world.start()?;
    fs::write(world.m("v/own"), "own")?;
    fill(&world.m("v/filler"))?;
    fails(append(world.m("v/lower"), b"x").map_err(code), Errno::NOSPC)
        .context("copy-up of a big file")?;
    fails(append(world.m("v/tiny"), b"x").map_err(code), Errno::NOSPC)
        .context("copy-up of a small file")?;
    fails(fs::write(world.m("v/new"), vec![0; 65536]), Errno::NOSPC).context("a new file")?;
    same(
        fs::read(world.m("v/lower"))?,
        vec![b'l'; 1 << 20],
        "the lower file",
    )?;
    same(read(world.m("v/own"))?, "own", "an own file")?;
    same(read(world.m("v/tiny"))?, "tiny", "a lower file")?;
    lives(&world)?;
    // Room again: everything works.
    fs::remove_file(world.m("v/filler"))?;
    append(world.m("v/tiny"), b"+x")?;
    same(read(world.m("v/tiny"))?, "tiny+x", "after room was made")?;
    append(world.m("v/lower"), b"x")?;
    same(
        meta(world.m("v/lower"))?.len(),
        (1 << 20) + 1,
        "after room was made",
    )?;
    // No inodes: mkdir, create, symlink, whiteouts.
    let mut made = 0;
    let error = loop {
        match fs::create_dir(world.m(&format!("v/dir{made}"))) {
            Ok(()) => made += 1,
            Err(error) => break error,
        }
        ensure!(made < 1000, "more directories than inodes");
    };
    fails(Err::<(), _>(error), Errno::NOSPC)?;
    fails(File::create(world.m("v/file")), Errno::NOSPC)?;
    fails(
        std::os::unix::fs::symlink("x", world.m("v/link")),
        Errno::NOSPC,
    )?;
    let removed = fs::remove_file(world.m("v/d/x"));
    ensure!(
        removed.is_ok() != exists(world.m("v/d/x")),
        "neither removed nor there: {removed:?}"
    );
    lives(&world)?;
    for n in 0..made {
        fs::remove_dir(world.m(&format!("v/dir{n}")))?;
    }
    fs::create_dir(world.m("v/dir"))?;
    ensure!(snapshot(&world.at("image"))? == lower, "the image changed");
    // Nothing half-made is left in the store.
    let left = world.at("vol/.statelite.work");
    let left: Vec<String> = names(&left)?
        .into_iter()
        .filter(|name| name.starts_with("tmp."))
        .collect();
    same(left, Vec::<String>::new(), "left in the work directory")?;
    world.stop()?;
    drop(small);
    Ok(())
}

/// The number of an error that went through `anyhow`.
fn code(error: anyhow::Error) -> Errno {
    let io = error.downcast_ref::<std::io::Error>();
    Errno::from_raw_os_error(io.and_then(std::io::Error::raw_os_error).unwrap_or(0))
}

#[test]
fn a_full_persistent_store_shows_nothing_half_seeded() -> Result<()> {
    let Some(world) = World::new("full seed")? else {
        return Ok(());
    };
    let mut world = world.rule("/p/", "persistent");
    let small = Small::over(&world, "per", "size=1m")?;
    world.put("image/image-file", "image")?;
    for n in 0..40 {
        world.put(&format!("image/p/{n}"), vec![b'p'; 100_000])?;
    }
    world.start()?;
    fails(fs::read_dir(world.m("p")), Errno::NOSPC)?;
    fails(fs::read(world.m("p/3")), Errno::NOSPC)?;
    ensure!(!exists(world.at("per/p")), "half a seed is in its place");
    lives(&world)?;
    small.remount("size=64m")?;
    same(names(world.m("p"))?.len(), 40, "names once there is room")?;
    for n in 0..40 {
        same(
            fs::read(world.m(&format!("p/{n}")))?,
            vec![b'p'; 100_000],
            "content once there is room",
        )?;
    }
    world.stop()?;
    drop(small);
    Ok(())
}

#[test]
fn a_store_that_turns_read_only_says_so() -> Result<()> {
    for (store, option) in [
        ("vol", "tmpfs"),
        ("per", "persistent"),
        ("loc", "localdisk"),
    ] {
        let Some(world) = World::new("read-only store")? else {
            return Ok(());
        };
        let mut world = world.rule("/s/", option);
        // Read-only for all its mounts, as a file system after an error.
        let file = world.at("store.img");
        File::create(&file)?.set_len(64 << 20)?;
        run(&["mkfs.ext4", "-q", "-F", text(&file)])?;
        let at = world.at(store);
        run(&["mount", "-o", "loop", text(&file), text(&at)])?;
        let small = Small { at };
        world.put("image/image-file", "image")?;
        world.put("image/s/lower", "lower")?;
        world.put("image/s/other", "other")?;
        world.start()?;
        write_at(world.m("s/lower"), b"L", 0)?;
        fs::write(world.m("s/own"), "own")?;
        small.remount("ro")?;
        let wanted = Errno::ROFS;
        for (what, outcome) in [
            (
                "write to an own file",
                write_at(world.m("s/own"), b"x", 0).map_err(code),
            ),
            (
                "copy-up",
                write_at(world.m("s/other"), b"x", 0).map_err(code),
            ),
            (
                "create",
                fs::write(world.m("s/new"), "")
                    .map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO)),
            ),
            ("mkdir", rustix::fs::mkdir(world.m("s/dir"), 0o755.into())),
            ("unlink", rustix::fs::unlink(world.m("s/own"))),
            (
                "rename",
                rustix::fs::rename(world.m("s/own"), world.m("s/moved")),
            ),
            ("chmod", rustix::fs::chmod(world.m("s/own"), 0o600.into())),
            (
                "link",
                rustix::fs::link(world.m("s/own"), world.m("s/link")),
            ),
        ] {
            let got = outcome.err().map_or(0, |errno| Code::from(errno).0);
            ensure!(
                got == wanted.raw_os_error(),
                "{store}: {what}: {}",
                name(got)
            );
        }
        same(read(world.m("s/lower"))?, "Lower", store)?;
        same(read(world.m("s/other"))?, "other", store)?;
        same(read(world.m("s/own"))?, "own", store)?;
        same(names(world.m("s"))?, ["lower", "other", "own"], store)?;
        lives(&world)?;
        small.remount("rw")?;
        write_at(world.m("s/own"), b"O", 0)?;
        write_at(world.m("s/other"), b"O", 0)?;
        same(read(world.m("s/other"))?, "Other", "writable again")?;
        world.stop()?;
        drop(small);
    }
    Ok(())
}

#[test]
fn a_persistent_store_that_vanishes_takes_nothing_else_along() -> Result<()> {
    for how in ["removed", "unmounted"] {
        let Some(world) = World::new("vanish")? else {
            return Ok(());
        };
        let mut world = world.rule("/p/", "persistent").rule("/v/", "tmpfs");
        let small = (how == "unmounted")
            .then(|| Small::over(&world, "per", "size=64m"))
            .transpose()?;
        world.put("image/image-file", "image")?;
        world.put("image/p/f", "p")?;
        world.put("image/v/f", "v")?;
        world.start()?;
        fs::write(world.m("p/own"), "own")?;
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .open(world.m("p/f"))?;
        if how == "removed" {
            fs::remove_dir_all(world.at("per/p"))?;
            fs::remove_dir_all(world.at("per"))?;
            let outcome = fs::write(world.m("p/new"), "");
            let got = outcome.err().map_or(0, |error| Code::from(error).0);
            let fits = [Errno::NOENT, Errno::STALE, Errno::IO]
                .map(Errno::raw_os_error)
                .contains(&got);
            ensure!(fits, "{how}: a new file in what is gone: {}", name(got));
            ensure!(
                fs::create_dir(world.m("p/dir")).is_err(),
                "{how}: mkdir in what is gone"
            );
        } else {
            // Layers are held by descriptors: an unmounted store goes on for this mount.
            drop(small);
            fs::write(world.m("p/new"), "new")?;
            same(read(world.m("p/own"))?, "own", how)?;
        }
        open.write_all_at(b"P", 0)
            .with_context(|| format!("{how}: an open file"))?;
        fs::write(world.m("v/f"), "mine").with_context(|| how.to_owned())?;
        same(read(world.m("v/f"))?, "mine", how)?;
        lives(&world)?;
    }
    Ok(())
}
