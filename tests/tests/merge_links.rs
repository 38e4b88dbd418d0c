//! Hard links and inode numbers in a union.

mod common;

use std::fs;
use std::os::unix::fs::{DirEntryExt, MetadataExt};

use anyhow::{Result, ensure};
use common::snapshot::{differences, snapshot};
use common::{World, append, exists, fails, ino, meta, read, same, write_at};
use rustix::io::Errno;

/// A volatile `/` over an image and two trees with something in each.
fn union(test: &str) -> Result<Option<World>> {
    let Some(world) = World::new(test)? else {
        return Ok(None);
    };
    let mut world = world.trees().rule("/", "tmpfs");
    for (path, content) in [
        ("image/f", "image f"),
        ("image/g", "image g"),
        ("image/d/a", "image d/a"),
        ("image/d/s/b", "image d/s/b"),
        ("t1/d/t", "t1 d/t"),
        ("t2/d/s/u", "t2 d/s/u"),
        ("image/e/x", "image e/x"),
        ("image/only/i", "i"),
    ] {
        world.put(path, content)?;
    }
    world.dir("image/empty")?;
    world.start()?;
    Ok(Some(world))
}

#[test]
fn both_names_of_a_lower_file_stay_one_file_across_copy_up() -> Result<()> {
    let Some(world) = World::new("hard links")? else {
        return Ok(());
    };
    let mut world = world.rule("/", "tmpfs");
    world.put("image/d/one", "12345")?;
    fs::hard_link(world.at("image/d/one"), world.at("image/two"))?;
    fs::hard_link(world.at("image/d/one"), world.at("image/three"))?;
    world.start()?;
    let number = ino(world.m("d/one"))?;
    same(ino(world.m("two"))?, number, "st_ino before")?;
    same(meta(world.m("two"))?.nlink(), 3, "nlink before")?;
    let open = fs::File::open(world.m("three"))?;
    append(world.m("d/one"), b"6")?;
    for name in ["d/one", "two", "three"] {
        same(read(world.m(name))?, "123456", name)?;
        same(meta(world.m(name))?.nlink(), 3, name)?;
        same(ino(world.m(name))?, number, name)?;
    }
    same(
        open.metadata()?.len(),
        6,
        "fstat of a descriptor opened before",
    )?;
    drop(open);
    world.remount()?;
    append(world.m("two"), b"7")?;
    fs::remove_file(world.m("three"))?;
    fs::hard_link(world.m("two"), world.m("d/four"))?;
    fs::hard_link(world.m("d/four"), world.m("five"))?;
    for _ in 0..2 {
        for name in ["d/one", "two", "d/four", "five"] {
            same(read(world.m(name))?, "1234567", name)?;
            same(meta(world.m(name))?.nlink(), 4, name)?;
            same(ino(world.m(name))?, number, name)?;
        }
        ensure!(!exists(world.m("three")), "three");
        world.remount()?;
    }
    for (at, name) in ["d/one", "five", "two"].iter().enumerate() {
        fs::remove_file(world.m(name))?;
        same(
            meta(world.m("d/four"))?.nlink(),
            3 - at as u64,
            "nlink after unlink",
        )?;
    }
    same(read(world.m("d/four"))?, "1234567", "the last name")?;
    same(read(world.at("image/two"))?, "12345", "the image")
}

#[test]
fn linking_and_renaming_names_of_one_lower_file() -> Result<()> {
    let Some(world) = World::new("link names")? else {
        return Ok(());
    };
    let mut world = world
        .rule("/", "tmpfs")
        .rule("/ro/", "ro")
        .rule("/p/", "persistent");
    world.put("image/a", "x")?;
    world.dir("image/ro")?;
    fs::hard_link(world.at("image/a"), world.at("image/b"))?;
    fs::hard_link(world.at("image/a"), world.at("image/ro/c"))?;
    world.start()?;
    let number = ino(world.m("a"))?;
    // Two names of one file: rename does nothing.
    fs::rename(world.m("a"), world.m("b"))?;
    ensure!(
        exists(world.m("a")) && exists(world.m("b")),
        "rename between two names of one file"
    );
    fs::rename(world.m("a"), world.m("new"))?;
    same(ino(world.m("new"))?, number, "st_ino")?;
    same(ino(world.m("b"))?, number, "st_ino of the other name")?;
    write_at(world.m("b"), b"y", 0)?;
    same(read(world.m("new"))?, "y", "through the other name")?;
    // The name in the read-only rule is the image's file: other rule, other content.
    same(read(world.m("ro/c"))?, "x", "under another rule")?;
    fails(fs::hard_link(world.m("new"), world.m("p/l")), Errno::XDEV)?;
    fails(fs::hard_link(world.m("ro/c"), world.m("l")), Errno::XDEV)?;
    fails(fs::hard_link(world.m("new"), world.m("b")), Errno::EXIST)?;
    world.remount()?;
    same(read(world.m("new"))?, "y", "after remount")?;
    same(
        ino(world.m("new"))?,
        ino(world.m("b"))?,
        "one file after remount",
    )?;
    same(read(world.m("ro/c"))?, "x", "after remount")?;
    ensure!(!exists(world.m("a")), "a is back");
    Ok(())
}

#[test]
fn inode_numbers_are_stable_and_agree_everywhere() -> Result<()> {
    let Some(mut world) = union("inodes")? else {
        return Ok(());
    };
    fs::write(world.m("new"), "")?;
    let list = ["f", "d", "d/a", "d/s", "d/t", "e/x", "new"];
    let numbers: Vec<u64> = list
        .iter()
        .map(|p| ino(world.m(p)))
        .collect::<Result<_>>()?;
    let mut unique = numbers.clone();
    unique.sort_unstable();
    unique.dedup();
    same(unique.len(), list.len(), "numbers that differ")?;
    let mut device = meta(world.m(""))?.dev();
    append(world.m("f"), b"x")?;
    common::chmod(world.m("d/a"), 0o600)?;
    common::chmod(world.m("d"), 0o700)?;
    fs::write(world.m("d/s/new"), "")?;
    for round in ["after copy-up", "after remount"] {
        for (path, number) in list.iter().zip(&numbers) {
            same(ino(world.m(path))?, *number, &format!("{path} {round}"))?;
            same(meta(world.m(path))?.dev(), device, "st_dev")?;
        }
        for dir in ["", "d", "d/s", "e"] {
            for entry in fs::read_dir(world.m(dir))? {
                let entry = entry?;
                same(
                    entry.ino(),
                    ino(entry.path())?,
                    &format!("d_ino of {:?} {round}", entry.path()),
                )?;
                same(
                    entry.file_type()?,
                    meta(entry.path())?.file_type(),
                    "d_type",
                )?;
            }
        }
        world.remount()?;
        device = meta(world.m(""))?.dev();
    }
    Ok(())
}

#[test]
fn d_ino_is_st_ino_under_every_placement() -> Result<()> {
    let Some(world) = World::new("d_ino")? else {
        return Ok(());
    };
    let mut world = world
        .trees()
        .rule("/c", "con")
        .rule("/p/", "persistent")
        .rule("/l/", "localdisk")
        .rule("/r/", "ro")
        .rule("/v/", "tmpfs")
        .rule("/none/file", "tmpfs")
        .rule("/vf", "tmpfs")
        .rule("/pf", "persistent");
    for layer in ["image", "t1", "t2"] {
        for file in ["c", "p/x", "l/x", "r/x", "v/x", "u/x", "v/s/x", "vf", "pf"] {
            world.put(&format!("{layer}/{file}"), layer)?;
        }
    }
    world.start()?;
    for change in [false, true] {
        if change {
            for file in ["c", "p/x", "l/x", "v/x", "vf", "pf"] {
                append(world.m(file), b"x")?;
            }
        }
        for dir in ["", "p", "l", "r", "v", "v/s", "u", "none"] {
            for entry in fs::read_dir(world.m(dir))? {
                let entry = entry?;
                same(
                    entry.ino(),
                    ino(entry.path())?,
                    &format!("d_ino of {:?}, changed {change}", entry.path()),
                )?;
                let again = fs::symlink_metadata(entry.path())?;
                same(again.ino(), ino(entry.path())?, "stat twice")?;
            }
        }
    }
    // A directory that only a rule makes has the time of the mount.
    let shown = |world: &World| -> Result<_> {
        let mut all = snapshot(&world.m(""))?;
        all.remove(std::path::Path::new("none"));
        Ok(all)
    };
    let before = shown(&world)?;
    world.remount()?;
    let lines = differences(&shown(&world)?, &before);
    ensure!(lines.is_empty(), "after remount: {lines:#?}");
    Ok(())
}

#[test]
fn removing_one_name_of_a_lower_file_counts() -> Result<()> {
    for how in ["unlink", "rename over"] {
        let Some(world) = World::new("lower nlink")? else {
            return Ok(());
        };
        let mut world = world.rule("/", "tmpfs");
        world.put("image/a", "a")?;
        fs::hard_link(world.at("image/a"), world.at("image/b"))?;
        fs::hard_link(world.at("image/a"), world.at("image/c"))?;
        world.start()?;
        same(meta(world.m("a"))?.nlink(), 3, "nlink before")?;
        if how == "unlink" {
            fs::remove_file(world.m("c"))?;
        } else {
            fs::write(world.m("new"), "")?;
            fs::rename(world.m("new"), world.m("c"))?;
        }
        for _ in 0..2 {
            same(
                meta(world.m("a"))?.nlink(),
                2,
                &format!("nlink of a after {how}"),
            )?;
            same(
                meta(world.m("b"))?.nlink(),
                2,
                &format!("nlink of b after {how}"),
            )?;
            world.remount()?;
        }
        // And after copy-up.
        append(world.m("a"), b"x")?;
        same(meta(world.m("b"))?.nlink(), 2, "nlink after copy-up")?;
        fs::remove_file(world.m("b"))?;
        same(meta(world.m("a"))?.nlink(), 1, "the last name")?;
    }
    Ok(())
}
