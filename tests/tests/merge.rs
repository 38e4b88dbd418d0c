//! What each placement shows and takes: the sentences of the design's section on litefile rows, one by one.

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Result, ensure};
use common::snapshot::snapshot;
use common::{World, append, exists, fails, meta, names, read, same, write_at};
use rustix::io::Errno;

#[test]
fn an_unlisted_path_is_the_image_and_read_only() -> Result<()> {
    let Some(world) = World::new("unlisted")? else {
        return Ok(());
    };
    let mut world = world.trees().rule("/var/log/", "tmpfs");
    world.put("image/etc/a", "image")?;
    world.put("t1/etc/a", "tree")?;
    world.put("t1/etc/b", "tree")?;
    world.dir("image/etc/d")?;
    let before = snapshot(&world.at("image"))?;
    world.start()?;
    same(read(world.m("etc/a"))?, "image", "/etc/a")?;
    ensure!(
        !exists(world.m("etc/b")),
        "an unlisted file of a tree shows"
    );
    let (a, new) = (world.m("etc/a"), world.m("etc/new"));
    fails(fs::OpenOptions::new().write(true).open(&a), Errno::ROFS)?;
    fails(fs::write(&new, ""), Errno::ROFS)?;
    fails(fs::create_dir(&new), Errno::ROFS)?;
    fails(symlink("x", &new), Errno::ROFS)?;
    fails(fs::hard_link(&a, &new), Errno::ROFS)?;
    fails(fs::rename(&a, &new), Errno::ROFS)?;
    fails(fs::remove_file(&a), Errno::ROFS)?;
    fails(fs::remove_dir(world.m("etc/d")), Errno::ROFS)?;
    fails(rustix::fs::chmod(&a, 0o600.into()), Errno::ROFS)?;
    fails(
        rustix::fs::setxattr(&a, "user.x", b"1", rustix::fs::XattrFlags::empty()),
        Errno::ROFS,
    )?;
    fails(fs::rename(&a, world.m("var/log/a")), Errno::XDEV)?;
    same(snapshot(&world.at("image"))?, before, "the image")
}

#[test]
fn a_concatenation_joins_the_trees_in_order_and_its_first_write_turns_it_volatile() -> Result<()> {
    let Some(world) = World::new("con")? else {
        return Ok(());
    };
    let mut world = world.trees();
    for path in [
        "/etc/both",
        "/etc/image",
        "/etc/one",
        "/etc/written",
        "/etc/trunc",
        "/etc/gone",
        "/etc/live",
    ] {
        world = world.rule(path, "con");
        world.put(&format!("image{path}"), "image\n")?;
        if path != "/etc/image" {
            world.put(&format!("t2{path}"), "two\n")?;
        }
        if path != "/etc/image" && path != "/etc/one" {
            world.put(&format!("t1{path}"), "one\n")?;
        }
    }
    world.start()?;
    same(read(world.m("etc/both"))?, "one\ntwo\n", "both trees")?;
    same(meta(world.m("etc/both"))?.len(), 8, "size")?;
    same(read(world.m("etc/image"))?, "image\n", "no tree")?;
    same(read(world.m("etc/one"))?, "two\n", "one tree")?;
    let ino = common::ino(world.m("etc/written"))?;
    append(world.m("etc/written"), b"mine\n")?;
    same(
        read(world.m("etc/written"))?,
        "one\ntwo\nmine\n",
        "appended",
    )?;
    same(
        common::ino(world.m("etc/written"))?,
        ino,
        "st_ino across the first write",
    )?;
    write_at(world.m("etc/image"), b"I", 0)?;
    same(read(world.m("etc/image"))?, "Image\n", "image changed")?;
    fs::write(world.m("etc/trunc"), "new")?;
    same(read(world.m("etc/trunc"))?, "new", "truncated")?;
    fs::remove_file(world.m("etc/gone"))?;
    ensure!(!exists(world.m("etc/gone")), "removed");
    // A written one is a plain volatile file: the trees no longer show.
    world.put("t1/etc/written", "other\n")?;
    world.put("t1/etc/live", "edited\n")?;
    std::thread::sleep(std::time::Duration::from_millis(1300));
    same(
        read(world.m("etc/live"))?,
        "edited\ntwo\n",
        "an edit of a part",
    )?;
    world.remount()?;
    same(
        read(world.m("etc/written"))?,
        "one\ntwo\nmine\n",
        "after remount",
    )?;
    ensure!(!exists(world.m("etc/gone")), "removed after remount");
    fs::write(world.m("etc/gone"), "again")?;
    same(read(world.m("etc/gone"))?, "again", "made again")
}

#[test]
fn ro_shows_the_first_tree_that_has_the_path_else_the_image() -> Result<()> {
    let Some(world) = World::new("ro")? else {
        return Ok(());
    };
    let mut world = world.trees();
    for path in ["/etc/both", "/etc/two", "/etc/none", "/opt/"] {
        world = world.rule(path, "ro");
    }
    for path in ["both", "two", "none"] {
        world.put(&format!("image/etc/{path}"), "image")?;
    }
    world.put("t1/etc/both", "one")?;
    world.put("t2/etc/both", "two")?;
    world.put("t2/etc/two", "two")?;
    for (layer, file) in [("image", "i"), ("t1", "a"), ("t2", "a"), ("t2", "b")] {
        world.put(&format!("{layer}/opt/d/{file}"), layer)?;
    }
    world.start()?;
    same(read(world.m("etc/both"))?, "one", "both")?;
    same(read(world.m("etc/two"))?, "two", "second only")?;
    same(read(world.m("etc/none"))?, "image", "none")?;
    same(
        names(world.m("opt/d"))?,
        ["a", "b", "i"],
        "merged directory",
    )?;
    same(read(world.m("opt/d/a"))?, "t1", "first tree")?;
    fails(fs::write(world.m("etc/both"), ""), Errno::ROFS)?;
    fails(fs::write(world.m("opt/d/new"), ""), Errno::ROFS)?;
    fails(fs::remove_file(world.m("etc/two")), Errno::ROFS)?;
    Ok(())
}

#[test]
fn a_volatile_directory_merges_the_trees_file_by_file_and_takes_every_change() -> Result<()> {
    let Some(world) = World::new("volatile")? else {
        return Ok(());
    };
    let mut world = world.trees().rule("/srv/", "");
    for (path, content) in [
        ("image/srv/a", "image"),
        ("t1/srv/a", "one"),
        ("t2/srv/a", "two"),
        ("t2/srv/b", "two"),
        ("image/srv/c", "image"),
        ("image/srv/d/x", "image"),
        ("t2/srv/d/y", "two"),
        ("t1/srv/file", "a file"),
        ("image/srv/file/hidden", "in a directory"),
        ("t1/srv/dir/z", "one"),
        ("t2/srv/dir", "a file"),
        ("image/srv/dir/w", "image"),
    ] {
        world.put(path, content)?;
    }
    let before = ["image", "t1", "t2"].map(|layer| snapshot(&world.at(layer)).ok());
    world.start()?;
    same(
        names(world.m("srv"))?,
        ["a", "b", "c", "d", "dir", "file"],
        "names",
    )?;
    same(read(world.m("srv/a"))?, "one", "first tree")?;
    same(names(world.m("srv/d"))?, ["x", "y"], "merged")?;
    same(
        read(world.m("srv/file"))?,
        "a file",
        "a file hides a directory",
    )?;
    same(
        names(world.m("srv/dir"))?,
        ["z"],
        "a file in between ends the merge",
    )?;
    fs::write(world.m("srv/a"), "mine")?;
    fs::remove_file(world.m("srv/b"))?;
    fs::remove_dir_all(world.m("srv/d"))?;
    fs::create_dir(world.m("srv/d"))?;
    for _ in 0..2 {
        same(
            names(world.m("srv"))?,
            ["a", "c", "d", "dir", "file"],
            "names after changes",
        )?;
        same(read(world.m("srv/a"))?, "mine", "changed")?;
        same(
            names(world.m("srv/d"))?,
            Vec::<String>::new(),
            "made again, opaque",
        )?;
        fails(fs::read(world.m("srv/d/x")), Errno::NOENT)?;
        world.remount()?;
    }
    let after = ["image", "t1", "t2"].map(|layer| snapshot(&world.at(layer)).ok());
    ensure!(before == after, "a lower layer changed");
    Ok(())
}

#[test]
fn persistent_and_local_are_seeded_once_and_whole() -> Result<()> {
    let Some(world) = World::new("seeded")? else {
        return Ok(());
    };
    let mut world = world
        .trees()
        .rule("/p/", "persistent")
        .rule("/l/", "localdisk")
        .rule("/f", "persistent");
    for top in ["p", "l"] {
        world.put(&format!("image/{top}/a"), "image")?;
        world.put(&format!("image/{top}/d/i"), "image")?;
        world.put(&format!("t1/{top}/a"), "one")?;
        world.put(&format!("t2/{top}/d/t"), "two")?;
        fs::hard_link(
            world.at(&format!("image/{top}/d/i")),
            world.at(&format!("image/{top}/linked")),
        )?;
        symlink("a", world.at(&format!("image/{top}/link")))?;
    }
    world.put("image/f", "image")?;
    world.start()?;
    for (top, store) in [("p", "per"), ("l", "loc")] {
        same(read(world.m(&format!("{top}/a")))?, "one", "tree first")?;
        same(names(world.m(&format!("{top}/d")))?, ["i", "t"], "merged")?;
        same(
            fs::read_link(world.m(&format!("{top}/link")))?,
            Path::new("a").to_path_buf(),
            "link",
        )?;
        let (a, b) = (format!("{top}/d/i"), format!("{top}/linked"));
        same(
            common::ino(world.m(&a))?,
            common::ino(world.m(&b))?,
            "hard link kept by the seed",
        )?;
        same(
            read(world.at(&format!("{store}/{top}/d/t")))?,
            "two",
            "in the store",
        )?;
        world.put(&format!("image/{top}/later"), "later")?;
        world.put(&format!("t1/{top}/a"), "edited")?;
        fs::write(world.m(&format!("{top}/d/t")), "mine")?;
        fs::remove_file(world.m(&format!("{top}/d/i")))?;
    }
    same(read(world.m("f"))?, "image", "file")?;
    world.remount()?;
    for top in ["p", "l"] {
        same(
            names(world.m(top))?,
            ["a", "d", "link", "linked"],
            "opaque after the seed",
        )?;
        same(read(world.m(&format!("{top}/a")))?, "one", "opaque")?;
        same(
            names(world.m(&format!("{top}/d")))?,
            ["t"],
            "a removal stays",
        )?;
        same(
            read(world.m(&format!("{top}/d/t")))?,
            "mine",
            "a change stays",
        )?;
    }
    // No whiteouts in an opaque store: link mode and NFS clients read it too.
    ensure!(
        !exists(world.at("per/p/d/i")),
        "something is left in the store"
    );
    Ok(())
}

#[test]
fn a_removed_persistent_file_stays_removed() -> Result<()> {
    let Some(world) = World::new("removed persistent")? else {
        return Ok(());
    };
    let mut world = world
        .rule("/f", "persistent")
        .rule("/d/", "persistent")
        .rule("/l", "localdisk");
    for name in ["f", "l", "d/x"] {
        world.put(&format!("image/{name}"), "image")?;
    }
    world.start()?;
    for name in ["f", "l", "d/x"] {
        fs::remove_file(world.m(name))?;
    }
    world.remount()?;
    for name in ["d/x", "f", "l"] {
        ensure!(!exists(world.m(name)), "{name} came back from the image");
    }
    Ok(())
}

#[test]
fn a_joined_file_keeps_its_attributes_across_its_first_write() -> Result<()> {
    let Some(world) = World::new("con attributes")? else {
        return Ok(());
    };
    let mut world = world.trees().rule("/con", "con");
    for tree in ["t1", "t2"] {
        let path = world.put(&format!("{tree}/con"), tree)?;
        common::chmod(&path, 0o640)?;
        rustix::fs::setxattr(
            &path,
            "user.of",
            tree.as_bytes(),
            rustix::fs::XattrFlags::empty(),
        )?;
    }
    world.start()?;
    let before = common::snapshot::xattrs(&world.m("con"))?;
    append(world.m("con"), b"x")?;
    same(
        common::snapshot::xattrs(&world.m("con"))?,
        before,
        "attributes",
    )?;
    same(
        std::os::unix::fs::PermissionsExt::mode(&meta(world.m("con"))?.permissions()) & 0o7777,
        0o640,
        "mode",
    )
}
