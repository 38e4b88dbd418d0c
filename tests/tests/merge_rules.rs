//! Rules on single paths: nesting, listed paths that are nowhere, `/etc/mtab`, processed images.

mod common;

use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;

use anyhow::{Result, ensure};
use common::{World, append, exists, fails, meta, names, read, same};
use rustix::io::Errno;

#[test]
fn a_processed_image_looks_like_the_image_it_was_made_from() -> Result<()> {
    let Some(world) = World::new("processed")? else {
        return Ok(());
    };
    let mut world = world
        .rule("/etc/ntp.conf", "tmpfs")
        .rule("/var/log/", "persistent")
        .rule("/etc/sub/", "tmpfs");
    world.put("image/.default/etc/ntp.conf", "server image\n")?;
    world.put("image/.default/var/log/old", "old\n")?;
    world.put("image/.default/etc/unruled.conf", "unruled\n")?;
    world.put("image/etc/plain", "plain")?;
    world.dir("image/.default/etc/sub")?;
    world.put("image/.default/etc/sub/inner", "inner")?;
    world.dir("image/.statelite/tmpfs")?;
    world.dir("image/var")?;
    symlink(
        "../.statelite/tmpfs/etc/ntp.conf",
        world.at("image/etc/ntp.conf"),
    )?;
    symlink(
        "../.statelite/tmpfs/etc/unruled.conf",
        world.at("image/etc/unruled.conf"),
    )?;
    symlink("../.statelite/tmpfs/etc/sub", world.at("image/etc/sub"))?;
    symlink("../.statelite/tmpfs/var/log", world.at("image/var/log"))?;
    world.start()?;
    same(
        read(world.m("etc/ntp.conf"))?,
        "server image\n",
        "a rule's file",
    )?;
    ensure!(meta(world.m("etc/ntp.conf"))?.is_file(), "the link shows");
    same(
        read(world.m("etc/unruled.conf"))?,
        "unruled\n",
        "a file whose rule is gone",
    )?;
    same(names(world.m("var/log"))?, ["old"], "seeded from .default")?;
    same(read(world.m("etc/sub/inner"))?, "inner", "directory")?;
    same(
        names(world.m("etc"))?,
        ["ntp.conf", "plain", "sub", "unruled.conf"],
        "/etc",
    )?;
    ensure!(!exists(world.m(".default")), "/.default shows");
    append(world.m("etc/ntp.conf"), b"more\n")?;
    fs::write(world.m("etc/sub/inner"), "mine")?;
    world.remount()?;
    same(
        read(world.m("etc/ntp.conf"))?,
        "server image\nmore\n",
        "after remount",
    )?;
    same(read(world.m("etc/sub/inner"))?, "mine", "after remount")?;
    same(
        read(world.at("image/.default/etc/ntp.conf"))?,
        "server image\n",
        "the image",
    )
}

#[test]
fn a_listed_path_that_is_nowhere_is_created_empty_with_its_parents() -> Result<()> {
    let Some(world) = World::new("nowhere")? else {
        return Ok(());
    };
    let mut world = world
        .rule("/a/b/c/file", "tmpfs")
        .rule("/a/b/dir/", "tmpfs")
        .rule("/p/q/file", "persistent")
        .rule("/p/r/", "persistent")
        .rule("/l/dir/", "localdisk")
        .rule("/top", "tmpfs");
    world.dir("image/etc")?;
    world.start()?;
    same(names(world.m("/"))?, ["a", "etc", "l", "p", "top"], "root")?;
    same(names(world.m("a/b"))?, ["c", "dir"], "parents")?;
    for (path, dir) in [
        ("a", true),
        ("a/b/c/file", false),
        ("a/b/dir", true),
        ("p/q", true),
        ("p/q/file", false),
        ("p/r", true),
        ("l/dir", true),
        ("top", false),
    ] {
        let meta = meta(world.m(path))?;
        same(meta.is_dir(), dir, path)?;
        same(meta.is_file() && meta.len() == 0, !dir, path)?;
    }
    fails(fs::write(world.m("a/b/other"), ""), Errno::ROFS)?;
    fs::write(world.m("a/b/dir/new"), "x")?;
    fs::write(world.m("p/q/file"), "y")?;
    fs::remove_file(world.m("a/b/c/file"))?;
    ensure!(!exists(world.m("a/b/c/file")), "removed");
    world.remount()?;
    ensure!(
        !exists(world.m("a/b/c/file")),
        "a removed listed path came back"
    );
    same(read(world.m("a/b/dir/new"))?, "x", "volatile")?;
    same(read(world.m("p/q/file"))?, "y", "persistent")?;
    same(read(world.at("per/p/q/file"))?, "y", "in the store")?;
    Ok(())
}

#[test]
fn file_rules_can_be_removed_replaced_and_made_again() -> Result<()> {
    let Some(world) = World::new("file rules")? else {
        return Ok(());
    };
    let mut world = world
        .rule("/etc/v", "tmpfs")
        .rule("/etc/w", "tmpfs")
        .rule("/etc/p", "persistent")
        .rule("/etc/l", "localdisk")
        .rule("/tmp/", "tmpfs");
    for name in ["v", "w", "p", "l"] {
        world.put(&format!("image/etc/{name}"), "image")?;
    }
    world.put("image/tmp/t", "tmp")?;
    world.start()?;
    for name in ["v", "p", "l"] {
        let path = world.m(&format!("etc/{name}"));
        fs::remove_file(&path)?;
        ensure!(!exists(&path), "{name} removed");
        ensure!(
            !names(world.m("etc"))?.contains(&name.to_owned()),
            "{name} listed"
        );
        fs::write(&path, "again")?;
        same(read(&path)?, "again", name)?;
    }
    fs::rename(world.m("tmp/t"), world.m("etc/v"))?;
    same(read(world.m("etc/v"))?, "tmp", "renamed over, same store")?;
    ensure!(!exists(world.m("tmp/t")), "the source is left");
    fs::rename(world.m("etc/w"), world.m("etc/v"))?;
    same(read(world.m("etc/v"))?, "image", "rule to rule")?;
    fails(fs::rename(world.m("etc/v"), world.m("etc/p")), Errno::XDEV)?;
    fails(fs::rename(world.m("etc/p"), world.m("etc/l")), Errno::XDEV)?;
    fails(
        fs::hard_link(world.m("etc/p"), world.m("etc/w")),
        Errno::XDEV,
    )?;
    fails(
        fs::hard_link(world.m("etc/v"), world.m("etc/l")),
        Errno::ROFS,
    )
    .or_else(|_| {
        fails(
            fs::hard_link(world.m("etc/v"), world.m("etc/l")),
            Errno::EXIST,
        )
    })?;
    fails(
        fs::rename(world.m("etc/v"), world.m("etc/unlisted")),
        Errno::XDEV,
    )?;
    world.remount()?;
    same(read(world.m("etc/v"))?, "image", "after remount")?;
    ensure!(
        !exists(world.m("etc/w")) && !exists(world.m("tmp/t")),
        "after remount"
    );
    same(read(world.m("etc/p"))?, "again", "after remount")
}

#[test]
fn the_longest_listed_path_wins_at_any_depth() -> Result<()> {
    let Some(world) = World::new("nesting")? else {
        return Ok(());
    };
    let mut world = world
        .trees()
        .rule("/", "tmpfs")
        .rule("/a/", "ro")
        .rule("/a/b/", "persistent")
        .rule("/a/b/c/", "tmpfs")
        .rule("/a/b/c/d", "ro")
        .rule("/a/b/c/e/", "localdisk");
    world.put("image/a/b/c/d", "d")?;
    world.put("image/a/b/c/x", "x")?;
    world.put("image/a/b/y", "y")?;
    world.put("image/a/z", "z")?;
    world.put("image/q", "q")?;
    world.start()?;
    fs::write(world.m("q"), "1")?;
    fails(fs::write(world.m("a/z"), "1"), Errno::ROFS)?;
    fs::write(world.m("a/b/y"), "1")?;
    fs::write(world.m("a/b/c/x"), "1")?;
    fails(fs::write(world.m("a/b/c/d"), "1"), Errno::ROFS)?;
    fs::write(world.m("a/b/c/e/n"), "1")?;
    same(names(world.m("a/b/c"))?, ["d", "e", "x"], "names")?;
    same(read(world.at("vol/q"))?, "1", "/")?;
    same(read(world.at("per/a/b/y"))?, "1", "/a/b")?;
    same(read(world.at("vol/a/b/c/x"))?, "1", "/a/b/c")?;
    same(read(world.at("loc/a/b/c/e/n"))?, "1", "/a/b/c/e")?;
    for dir in ["a", "a/b", "a/b/c", "a/b/c/e"] {
        let moved = fs::rename(world.m(dir), world.m("moved"));
        ensure!(
            moved.is_err(),
            "{dir} could be moved, which holds or is a rule"
        );
    }
    Ok(())
}

#[test]
fn mtab_is_a_link_to_the_mounts_unless_the_image_has_one() -> Result<()> {
    for has in [false, true] {
        let Some(mut world) = World::new("mtab")? else {
            return Ok(());
        };
        world.dir("image/etc")?;
        if has {
            world.put("image/etc/mtab", "own")?;
        }
        let table = "#image,file,options,comments,disable\n\"ALL\",\"/var/log/\",\"tmpfs\",,\n";
        let tables = world.at("tables");
        statelite_tests::litefile::write_tables(&tables, table, &[])?;
        world.spec.tables = Some(statelite_tests::mount::Tables {
            dir: tables,
            node: "n01".to_owned(),
            image_name: "img".to_owned(),
        });
        world.start()?;
        let mtab = world.m("etc/mtab");
        if has {
            same(read(&mtab)?, "own", "the image's mtab")?;
        } else {
            same(
                fs::read_link(&mtab)?,
                Path::new("/proc/self/mounts").to_path_buf(),
                "mtab",
            )?;
            same(names(world.m("etc"))?, ["mtab"], "/etc")?;
        }
        ensure!(!meta(&mtab)?.file_type().is_char_device(), "a device");
    }
    Ok(())
}

/// What systemd has to write is writable without a row, where the image has it; a row has the last word.
#[test]
fn what_systemd_writes_needs_no_row() -> Result<()> {
    for (option, row, id_is_kept) in [
        (None, None, true),
        (Some("none"), None, true),
        (Some("systemd"), None, false),
        (Some("systemd"), Some("/etc/"), true),
    ] {
        let Some(mut world) = World::new("implied")? else {
            return Ok(());
        };
        world.put("image/etc/machine-id", "")?;
        world.dir("image/var/lib")?;
        world.spec.implied = option.map(str::to_owned);
        if let Some(row) = row {
            world.spec.rules = vec![(row.to_owned(), "ro".to_owned())];
        }
        world.start()?;
        let id = fs::write(world.m("etc/machine-id"), "0123");
        same(id.is_err(), id_is_kept, "machine-id stays as it is")?;
        if !id_is_kept {
            ensure!(
                world.explain("/etc/machine-id")?.contains("implied"),
                "explain says why"
            );
        }
        // The image has no such directory.
        ensure!(!world.m("var/lib/systemd").exists(), "made up");
    }
    Ok(())
}

/// What boot puts beside the layers shows at `/.statelite`, the stores as they are; nothing there can be changed.
#[test]
fn statelite_shows_tables_log_and_stores() -> Result<()> {
    let Some(world) = World::new("views")? else {
        return Ok(());
    };
    let mut world = world.rule("/etc/", "tmpfs").rule("/var/lib/", "persistent");
    world.put("image/etc/motd", "image\n")?;
    world.put("image/var/lib/kept", "kept\n")?;
    world.put("views/.statelite/litefile", "tmpfs /etc/\n")?;
    let mut mounts = Vec::new();
    for (store, name) in [("vol", "tmpfs"), ("per", "persistent")] {
        let at = world.dir(&format!("views/.statelite/{name}"))?;
        rustix::mount::mount_bind(world.at(store), &at)?;
        mounts.push(at);
    }
    world.spec.views = Some(world.at("views"));
    let outcome = look_at_views(&mut world);
    drop(world.stop());
    for at in mounts {
        rustix::mount::unmount(&at, rustix::mount::UnmountFlags::DETACH)?;
    }
    outcome
}

fn look_at_views(world: &mut World) -> Result<()> {
    world.start()?;
    append(world.m("etc/motd"), b"mine\n")?;
    same(read(world.m("var/lib/kept"))?, "kept\n", "seeded")?;
    same(
        names(world.m(".statelite"))?,
        ["litefile", "persistent", "tmpfs"],
        "/.statelite",
    )?;
    same(
        read(world.m(".statelite/litefile"))?,
        "tmpfs /etc/\n",
        "litefile",
    )?;
    same(
        read(world.m(".statelite/tmpfs/etc/motd"))?,
        "image\nmine\n",
        "volatile store",
    )?;
    same(
        read(world.m(".statelite/persistent/var/lib/kept"))?,
        "kept\n",
        "persistent store",
    )?;
    fails(fs::remove_file(world.m(".statelite/litefile")), Errno::ROFS)?;
    fails(
        fs::write(world.m(".statelite/persistent/var/lib/kept"), "x"),
        Errno::ROFS,
    )?;
    ensure!(
        world.explain("/.statelite/litefile")?.contains("views"),
        "explain names the layer"
    );
    Ok(())
}
