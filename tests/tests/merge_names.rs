//! Names in a union: whiteouts, opaque directories, renames, hard links, inode numbers.

mod common;

use std::fs;

use anyhow::{Context, Result, ensure};
use common::snapshot::snapshot;
use common::{World, exists, fails, ino, names, read, same};
use rustix::fs::{CWD, RenameFlags, renameat_with};
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

/// The mount now and after a remount have to be this tree of names and contents.
fn twice(world: &mut World, top: &str, wanted: &[(&str, &str)]) -> Result<()> {
    for round in ["at once", "after remount"] {
        let found = snapshot(&world.m(top))?;
        let found: Vec<(String, String)> = found
            .iter()
            .filter(|(_, entry)| entry.mode & 0o170_000 == 0o100_000)
            .map(|(path, entry)| {
                (
                    path.display().to_string(),
                    String::from_utf8_lossy(&entry.content).into_owned(),
                )
            })
            .collect();
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .collect();
        same(found, wanted.to_vec(), round)?;
        if round == "at once" {
            world.remount()?;
        }
    }
    Ok(())
}

#[test]
fn a_directory_made_again_over_a_removed_one_is_opaque() -> Result<()> {
    let Some(mut world) = union("opaque")? else {
        return Ok(());
    };
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
    let Some(mut world) = union("kinds")? else {
        return Ok(());
    };
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
    let Some(mut world) = union("rename dir")? else {
        return Ok(());
    };
    let number = ino(world.m("d"))?;
    fs::rename(world.m("d"), world.m("moved"))?;
    same(ino(world.m("moved"))?, number, "st_ino of the directory")?;
    ensure!(!exists(world.m("d")), "the old name is left");
    let content = [
        ("a", "image d/a"),
        ("s/b", "image d/s/b"),
        ("s/u", "t2 d/s/u"),
        ("t", "t1 d/t"),
    ];
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
    twice(
        &mut world,
        "e",
        &[
            ("m2/t", "t1 d/t"),
            ("s2/b", "image d/s/b"),
            ("s2/new", "new"),
            ("s2/u", "t2 d/s/u"),
            ("x", "image e/x"),
        ],
    )?;
    // And home again.
    fs::remove_dir_all(world.m("d"))?;
    fs::rename(world.m("e/m2"), world.m("d"))?;
    fs::rename(world.m("e/s2"), world.m("d/s"))?;
    twice(
        &mut world,
        "d",
        &[
            ("s/b", "image d/s/b"),
            ("s/new", "new"),
            ("s/u", "t2 d/s/u"),
            ("t", "t1 d/t"),
        ],
    )
}

#[test]
fn a_new_directory_can_be_renamed_over_an_emptied_lower_one() -> Result<()> {
    let Some(mut world) = union("rename over dir")? else {
        return Ok(());
    };
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
    fails(
        fs::rename(world.m("only"), world.m("only/sub/in")),
        Errno::INVAL,
    )
}

#[test]
fn renameat2_knows_noreplace_and_exchange() -> Result<()> {
    let Some(mut world) = union("renameat2")? else {
        return Ok(());
    };
    let swap = |a: &str, b: &str, flags| renameat_with(CWD, world.m(a), CWD, world.m(b), flags);
    fails(swap("f", "g", RenameFlags::NOREPLACE), Errno::EXIST)?;
    fails(swap("f", "none", RenameFlags::EXCHANGE), Errno::NOENT)?;
    fails(swap("none", "f", RenameFlags::NOREPLACE), Errno::NOENT)?;
    fails(
        swap("f", "g", RenameFlags::NOREPLACE | RenameFlags::EXCHANGE),
        Errno::INVAL,
    )?;
    swap("f", "n", RenameFlags::NOREPLACE).context("noreplace")?;
    swap("n", "g", RenameFlags::EXCHANGE).context("two lower files")?;
    swap("d", "e", RenameFlags::EXCHANGE).context("two lower directories")?;
    swap("only", "g", RenameFlags::EXCHANGE).context("a directory and a file")?;
    twice(
        &mut world,
        "",
        &[
            ("d/x", "image e/x"),
            ("e/a", "image d/a"),
            ("e/s/b", "image d/s/b"),
            ("e/s/u", "t2 d/s/u"),
            ("e/t", "t1 d/t"),
            ("g/i", "i"),
            ("n", "image g"),
            ("only", "image f"),
        ],
    )
}
