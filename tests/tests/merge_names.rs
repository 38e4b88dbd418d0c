//! Names in a union: whiteouts, opaque directories, renames, hard links, inode numbers.

mod common;

use std::fs;
use std::os::unix::fs::{DirEntryExt, MetadataExt};

use anyhow::{Context, Result, ensure};
use common::snapshot::{differences, snapshot};
use common::{World, append, exists, fails, ino, meta, names, read, same, write_at};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// A volatile `/` over an image and two trees with something in each.
fn union(test: &str) -> Result<Option<World>> {
    let Some(world) = World::new(test)? else { return Ok(None) };
    let mut world = world.trees().rule("/", "tmpfs");
    for (path, content) in [
        ("image/f", "image f"), ("image/g", "image g"), ("image/d/a", "image d/a"), ("image/d/s/b", "image d/s/b"),
        ("t1/d/t", "t1 d/t"), ("t2/d/s/u", "t2 d/s/u"), ("image/e/x", "image e/x"), ("image/only/i", "i"),
    ] {
        world.put(path, content)?;
    }
    world.dir("image/empty")?;
    world.start()?;
    Ok(Some(world))
}

/// The mount now and after a remount have to be this tree of names and contents.
fn twice(world: &mut World, top: &str, wanted: &[(&str, &str)]) -> Result<()> {
    for round in ["at once", "after remount"] {
        let found = snapshot(&world.m(top))?;
        let found: Vec<(String, String)> = found
            .iter()
            .filter(|(_, entry)| entry.mode & 0o170_000 == 0o100_000)
            .map(|(path, entry)| {
                (path.display().to_string(), String::from_utf8_lossy(&entry.content).into_owned())
            })
            .collect();
        let found: Vec<(&str, &str)> = found.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        same(found, wanted.to_vec(), round)?;
        if round == "at once" {
            world.remount()?;
        }
    }
    Ok(())
}

#[test]
fn a_directory_made_again_over_a_removed_one_is_opaque() -> Result<()> {
    let Some(mut world) = union("opaque")? else { return Ok(()) };
    fs::remove_dir_all(world.m("d"))?;
    fails(fs::read_dir(world.m("d")), Errno::NOENT)?;
    fs::create_dir(world.m("d"))?;
    fs::write(world.m("d/new"), "new")?;
    fs::create_dir(world.m("d/s"))?;
    twice(&mut world, "d", &[("new", "new")])?;
    same(names(world.m("d"))?, ["new", "s"], "names")
}

#[test]
fn a_file_may_take_the_place_of_a_directory_and_back() -> Result<()> {
    let Some(mut world) = union("kinds")? else { return Ok(()) };
    fs::remove_dir_all(world.m("d"))?;
    fs::write(world.m("d"), "a file")?;
    world.remount()?;
    same(read(world.m("d"))?, "a file", "file for directory")?;
    fs::remove_file(world.m("d"))?;
    fs::create_dir(world.m("d"))?;
    twice(&mut world, "d", &[])?;
    fs::remove_file(world.m("f"))?;
    fs::create_dir(world.m("f"))?;
    fs::write(world.m("f/x"), "x")?;
    twice(&mut world, "f", &[("x", "x")])
}

#[test]
fn a_lower_directory_can_be_renamed_and_goes_on_showing_its_content() -> Result<()> {
    let Some(mut world) = union("rename dir")? else { return Ok(()) };
    let number = ino(world.m("d"))?;
    fs::rename(world.m("d"), world.m("moved"))?;
    same(ino(world.m("moved"))?, number, "st_ino of the directory")?;
    ensure!(!exists(world.m("d")), "the old name is left");
    let content = [("a", "image d/a"), ("s/b", "image d/s/b"), ("s/u", "t2 d/s/u"), ("t", "t1 d/t")];
    twice(&mut world, "moved", &content)?;
    same(ino(world.m("moved"))?, number, "st_ino after remount")?;
    ensure!(!exists(world.m("d")), "the old name is back");
    // Again, with changes inside, into another directory, and a new one at the old name.
    fs::write(world.m("moved/s/new"), "new")?;
    fs::remove_file(world.m("moved/a"))?;
    fs::rename(world.m("moved/s"), world.m("e/s2"))?;
    fs::rename(world.m("moved"), world.m("e/m2"))?;
    fs::create_dir(world.m("d"))?;
    fs::write(world.m("d/fresh"), "fresh")?;
    twice(&mut world, "d", &[("fresh", "fresh")])?;
    twice(&mut world, "e", &[
        ("m2/t", "t1 d/t"), ("s2/b", "image d/s/b"), ("s2/new", "new"), ("s2/u", "t2 d/s/u"), ("x", "image e/x"),
    ])?;
    // And home again.
    fs::remove_dir_all(world.m("d"))?;
    fs::rename(world.m("e/m2"), world.m("d"))?;
    fs::rename(world.m("e/s2"), world.m("d/s"))?;
    twice(&mut world, "d", &[("s/b", "image d/s/b"), ("s/new", "new"), ("s/u", "t2 d/s/u"), ("t", "t1 d/t")])
}

#[test]
fn a_new_directory_can_be_renamed_over_an_emptied_lower_one() -> Result<()> {
    let Some(mut world) = union("rename over dir")? else { return Ok(()) };
    fs::create_dir(world.m("n"))?;
    fs::write(world.m("n/x"), "x")?;
    fails(fs::rename(world.m("n"), world.m("d")), Errno::NOTEMPTY)?;
    fs::remove_dir_all(world.m("d/s"))?;
    fs::remove_file(world.m("d/a"))?;
    fs::remove_file(world.m("d/t"))?;
    fs::rename(world.m("n"), world.m("d"))?;
    twice(&mut world, "d", &[("x", "x")])?;
    // A lower one over an empty lower one, with children of the target's name below.
    fs::rename(world.m("e"), world.m("empty"))?;
    twice(&mut world, "empty", &[("x", "image e/x")])?;
    fails(fs::rename(world.m("empty"), world.m("f")), Errno::NOTDIR)?;
    fails(fs::rename(world.m("f"), world.m("empty")), Errno::ISDIR)?;
    fs::create_dir(world.m("only/sub"))?;
    fails(fs::rename(world.m("only"), world.m("only/sub/in")), Errno::INVAL)
}

#[test]
fn renameat2_knows_noreplace_and_exchange() -> Result<()> {
    let Some(mut world) = union("renameat2")? else { return Ok(()) };
    let swap = |a: &str, b: &str, flags| renameat_with(CWD, world.m(a), CWD, world.m(b), flags);
    fails(swap("f", "g", RenameFlags::NOREPLACE), Errno::EXIST)?;
    fails(swap("f", "none", RenameFlags::EXCHANGE), Errno::NOENT)?;
    fails(swap("none", "f", RenameFlags::NOREPLACE), Errno::NOENT)?;
    fails(swap("f", "g", RenameFlags::NOREPLACE | RenameFlags::EXCHANGE), Errno::INVAL)?;
    swap("f", "n", RenameFlags::NOREPLACE).context("noreplace")?;
    swap("n", "g", RenameFlags::EXCHANGE).context("two lower files")?;
    swap("d", "e", RenameFlags::EXCHANGE).context("two lower directories")?;
    swap("only", "g", RenameFlags::EXCHANGE).context("a directory and a file")?;
    twice(&mut world, "", &[
        ("d/x", "image e/x"), ("e/a", "image d/a"), ("e/s/b", "image d/s/b"), ("e/s/u", "t2 d/s/u"),
        ("e/t", "t1 d/t"), ("g/i", "i"), ("n", "image g"), ("only", "image f"),
    ])
}

#[test]
fn both_names_of_a_lower_file_stay_one_file_across_copy_up() -> Result<()> {
    let Some(world) = World::new("hard links")? else { return Ok(()) };
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
    same(open.metadata()?.len(), 6, "fstat of a descriptor opened before")?;
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
        same(meta(world.m("d/four"))?.nlink(), 3 - at as u64, "nlink after unlink")?;
    }
    same(read(world.m("d/four"))?, "1234567", "the last name")?;
    same(read(world.at("image/two"))?, "12345", "the image")
}

#[test]
fn linking_and_renaming_names_of_one_lower_file() -> Result<()> {
    let Some(world) = World::new("link names")? else { return Ok(()) };
    let mut world = world.rule("/", "tmpfs").rule("/ro/", "ro").rule("/p/", "persistent");
    world.put("image/a", "x")?;
    world.dir("image/ro")?;
    fs::hard_link(world.at("image/a"), world.at("image/b"))?;
    fs::hard_link(world.at("image/a"), world.at("image/ro/c"))?;
    world.start()?;
    let number = ino(world.m("a"))?;
    // Two names of one file: rename does nothing.
    fs::rename(world.m("a"), world.m("b"))?;
    ensure!(exists(world.m("a")) && exists(world.m("b")), "rename between two names of one file");
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
    same(ino(world.m("new"))?, ino(world.m("b"))?, "one file after remount")?;
    same(read(world.m("ro/c"))?, "x", "after remount")?;
    ensure!(!exists(world.m("a")), "a is back");
    Ok(())
}

#[test]
fn inode_numbers_are_stable_and_agree_everywhere() -> Result<()> {
    let Some(mut world) = union("inodes")? else { return Ok(()) };
    fs::write(world.m("new"), "")?;
    let list = ["f", "d", "d/a", "d/s", "d/t", "e/x", "new"];
    let numbers: Vec<u64> = list.iter().map(|p| ino(world.m(p))).collect::<Result<_>>()?;
    let mut unique = numbers.clone();
    unique.sort_unstable();
    unique.dedup();
    same(unique.len(), list.len(), "numbers that differ")?;
    let device = meta(world.m(""))?.dev();
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
                same(entry.ino(), ino(entry.path())?, &format!("d_ino of {:?} {round}", entry.path()))?;
                same(entry.file_type()?, meta(entry.path())?.file_type(), "d_type")?;
            }
        }
        world.remount()?;
    }
    Ok(())
}

#[test]
fn d_ino_is_st_ino_under_every_placement() -> Result<()> {
    let Some(world) = World::new("d_ino")? else { return Ok(()) };
    let mut world = world.trees().rule("/c", "con").rule("/p/", "persistent").rule("/l/", "localdisk")
        .rule("/r/", "ro").rule("/v/", "tmpfs").rule("/none/file", "tmpfs").rule("/vf", "tmpfs").rule("/pf", "persistent");
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
                same(entry.ino(), ino(entry.path())?, &format!("d_ino of {:?}, changed {change}", entry.path()))?;
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
        let Some(world) = World::new("lower nlink")? else { return Ok(()) };
        let mut world = world.rule("/", "tmpfs");
        world.put("image/a", "a")?;
        fs::hard_link(world.at("image/a"), world.at("image/b"))?;
        fs::hard_link(world.at("image/a"), world.at("image/c"))?;
        world.start()?;
        if how == "unlink" {
            fs::remove_file(world.m("c"))?;
        } else {
            fs::write(world.m("new"), "")?;
            fs::rename(world.m("new"), world.m("c"))?;
        }
        for _ in 0..2 {
            same(meta(world.m("a"))?.nlink(), 2, &format!("nlink of a after {how}"))?;
            same(meta(world.m("b"))?.nlink(), 2, &format!("nlink of b after {how}"))?;
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
