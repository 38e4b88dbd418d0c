//! What each placement shows and takes: the sentences of the design's section on litefile rows, one by one.

mod common;

use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;

use anyhow::{Result, ensure};
use common::snapshot::snapshot;
use common::{World, append, exists, fails, meta, names, read, same, write_at};
use rustix::io::Errno;

#[test]
fn an_unlisted_path_is_the_image_and_read_only() -> Result<()> {
    let Some(world) = World::new("unlisted")? else { return Ok(()) };
    let mut world = world.trees().rule("/var/log/", "tmpfs");
    world.put("image/etc/a", "image")?;
    world.put("t1/etc/a", "tree")?;
    world.put("t1/etc/b", "tree")?;
    world.dir("image/etc/d")?;
    let before = snapshot(&world.at("image"))?;
    world.start()?;
    same(read(world.m("etc/a"))?, "image", "/etc/a")?;
    ensure!(!exists(world.m("etc/b")), "an unlisted file of a tree shows");
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
    fails(rustix::fs::setxattr(&a, "user.x", b"1", rustix::fs::XattrFlags::empty()), Errno::ROFS)?;
    fails(fs::rename(&a, world.m("var/log/a")), Errno::XDEV)?;
    same(snapshot(&world.at("image"))?, before, "the image")
}

#[test]
fn a_concatenation_joins_the_trees_in_order_and_its_first_write_turns_it_volatile() -> Result<()> {
    let Some(world) = World::new("con")? else { return Ok(()) };
    let mut world = world.trees();
    for path in ["/etc/both", "/etc/image", "/etc/one", "/etc/written", "/etc/trunc", "/etc/gone", "/etc/live"] {
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
    same(read(world.m("etc/written"))?, "one\ntwo\nmine\n", "appended")?;
    same(common::ino(world.m("etc/written"))?, ino, "st_ino across the first write")?;
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
    same(read(world.m("etc/live"))?, "edited\ntwo\n", "an edit of a part")?;
    world.remount()?;
    same(read(world.m("etc/written"))?, "one\ntwo\nmine\n", "after remount")?;
    ensure!(!exists(world.m("etc/gone")), "removed after remount");
    fs::write(world.m("etc/gone"), "again")?;
    same(read(world.m("etc/gone"))?, "again", "made again")
}

#[test]
fn ro_shows_the_first_tree_that_has_the_path_else_the_image() -> Result<()> {
    let Some(world) = World::new("ro")? else { return Ok(()) };
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
    same(names(world.m("opt/d"))?, ["a", "b", "i"], "merged directory")?;
    same(read(world.m("opt/d/a"))?, "t1", "first tree")?;
    fails(fs::write(world.m("etc/both"), ""), Errno::ROFS)?;
    fails(fs::write(world.m("opt/d/new"), ""), Errno::ROFS)?;
    fails(fs::remove_file(world.m("etc/two")), Errno::ROFS)?;
    Ok(())
}

#[test]
fn a_volatile_directory_merges_the_trees_file_by_file_and_takes_every_change() -> Result<()> {
    let Some(world) = World::new("volatile")? else { return Ok(()) };
    let mut world = world.trees().rule("/srv/", "");
    for (path, content) in [
        ("image/srv/a", "image"), ("t1/srv/a", "one"), ("t2/srv/a", "two"), ("t2/srv/b", "two"),
        ("image/srv/c", "image"), ("image/srv/d/x", "image"), ("t2/srv/d/y", "two"),
        ("t1/srv/file", "a file"), ("image/srv/file/hidden", "in a directory"),
        ("t1/srv/dir/z", "one"), ("t2/srv/dir", "a file"), ("image/srv/dir/w", "image"),
    ] {
        world.put(path, content)?;
    }
    let before = ["image", "t1", "t2"].map(|layer| snapshot(&world.at(layer)).ok());
    world.start()?;
    same(names(world.m("srv"))?, ["a", "b", "c", "d", "dir", "file"], "names")?;
    same(read(world.m("srv/a"))?, "one", "first tree")?;
    same(names(world.m("srv/d"))?, ["x", "y"], "merged")?;
    same(read(world.m("srv/file"))?, "a file", "a file hides a directory")?;
    same(names(world.m("srv/dir"))?, ["z"], "a file in between ends the merge")?;
    fs::write(world.m("srv/a"), "mine")?;
    fs::remove_file(world.m("srv/b"))?;
    fs::remove_dir_all(world.m("srv/d"))?;
    fs::create_dir(world.m("srv/d"))?;
    for _ in 0..2 {
        same(names(world.m("srv"))?, ["a", "c", "d", "dir", "file"], "names after changes")?;
        same(read(world.m("srv/a"))?, "mine", "changed")?;
        same(names(world.m("srv/d"))?, Vec::<String>::new(), "made again, opaque")?;
        fails(fs::read(world.m("srv/d/x")), Errno::NOENT)?;
        world.remount()?;
    }
    let after = ["image", "t1", "t2"].map(|layer| snapshot(&world.at(layer)).ok());
    ensure!(before == after, "a lower layer changed");
    Ok(())
}

#[test]
fn a_processed_image_looks_like_the_image_it_was_made_from() -> Result<()> {
    let Some(world) = World::new("processed")? else { return Ok(()) };
    let mut world = world.rule("/etc/ntp.conf", "tmpfs").rule("/var/log/", "persistent").rule("/etc/sub/", "tmpfs");
    world.put("image/.default/etc/ntp.conf", "server image\n")?;
    world.put("image/.default/var/log/old", "old\n")?;
    world.put("image/.default/etc/unruled.conf", "unruled\n")?;
    world.put("image/etc/plain", "plain")?;
    world.dir("image/.default/etc/sub")?;
    world.put("image/.default/etc/sub/inner", "inner")?;
    world.dir("image/.statelite/tmpfs")?;
    world.dir("image/var")?;
    symlink("../.statelite/tmpfs/etc/ntp.conf", world.at("image/etc/ntp.conf"))?;
    symlink("../.statelite/tmpfs/etc/unruled.conf", world.at("image/etc/unruled.conf"))?;
    symlink("../.statelite/tmpfs/etc/sub", world.at("image/etc/sub"))?;
    symlink("../.statelite/tmpfs/var/log", world.at("image/var/log"))?;
    world.start()?;
    same(read(world.m("etc/ntp.conf"))?, "server image\n", "a rule's file")?;
    ensure!(meta(world.m("etc/ntp.conf"))?.is_file(), "the link shows");
    same(read(world.m("etc/unruled.conf"))?, "unruled\n", "a file whose rule is gone")?;
    same(names(world.m("var/log"))?, ["old"], "seeded from .default")?;
    same(read(world.m("etc/sub/inner"))?, "inner", "directory")?;
    same(names(world.m("etc"))?, ["ntp.conf", "plain", "sub", "unruled.conf"], "/etc")?;
    ensure!(!exists(world.m(".default")), "/.default shows");
    append(world.m("etc/ntp.conf"), b"more\n")?;
    fs::write(world.m("etc/sub/inner"), "mine")?;
    world.remount()?;
    same(read(world.m("etc/ntp.conf"))?, "server image\nmore\n", "after remount")?;
    same(read(world.m("etc/sub/inner"))?, "mine", "after remount")?;
    same(read(world.at("image/.default/etc/ntp.conf"))?, "server image\n", "the image")
}

#[test]
fn a_listed_path_that_is_nowhere_is_created_empty_with_its_parents() -> Result<()> {
    let Some(world) = World::new("nowhere")? else { return Ok(()) };
    let mut world = world
        .rule("/a/b/c/file", "tmpfs").rule("/a/b/dir/", "tmpfs").rule("/p/q/file", "persistent")
        .rule("/p/r/", "persistent").rule("/l/dir/", "localdisk").rule("/top", "tmpfs");
    world.dir("image/etc")?;
    world.start()?;
    same(names(world.m("/"))?, ["a", "etc", "l", "p", "top"], "root")?;
    same(names(world.m("a/b"))?, ["c", "dir"], "parents")?;
    for (path, dir) in [
        ("a", true), ("a/b/c/file", false), ("a/b/dir", true), ("p/q", true), ("p/q/file", false),
        ("p/r", true), ("l/dir", true), ("top", false),
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
    ensure!(!exists(world.m("a/b/c/file")), "a removed listed path came back");
    same(read(world.m("a/b/dir/new"))?, "x", "volatile")?;
    same(read(world.m("p/q/file"))?, "y", "persistent")?;
    same(read(world.at("per/p/q/file"))?, "y", "in the store")?;
    Ok(())
}

#[test]
fn persistent_and_local_are_seeded_once_and_whole() -> Result<()> {
    let Some(world) = World::new("seeded")? else { return Ok(()) };
    let mut world = world.trees().rule("/p/", "persistent").rule("/l/", "localdisk").rule("/f", "persistent");
    for top in ["p", "l"] {
        world.put(&format!("image/{top}/a"), "image")?;
        world.put(&format!("image/{top}/d/i"), "image")?;
        world.put(&format!("t1/{top}/a"), "one")?;
        world.put(&format!("t2/{top}/d/t"), "two")?;
        fs::hard_link(world.at(&format!("image/{top}/d/i")), world.at(&format!("image/{top}/linked")))?;
        symlink("a", world.at(&format!("image/{top}/link")))?;
    }
    world.put("image/f", "image")?;
    world.start()?;
    for (top, store) in [("p", "per"), ("l", "loc")] {
        same(read(world.m(&format!("{top}/a")))?, "one", "tree first")?;
        same(names(world.m(&format!("{top}/d")))?, ["i", "t"], "merged")?;
        same(fs::read_link(world.m(&format!("{top}/link")))?, Path::new("a").to_path_buf(), "link")?;
        let (a, b) = (format!("{top}/d/i"), format!("{top}/linked"));
        same(common::ino(world.m(&a))?, common::ino(world.m(&b))?, "hard link kept by the seed")?;
        same(read(world.at(&format!("{store}/{top}/d/t")))?, "two", "in the store")?;
        world.put(&format!("image/{top}/later"), "later")?;
        world.put(&format!("t1/{top}/a"), "edited")?;
        fs::write(world.m(&format!("{top}/d/t")), "mine")?;
        fs::remove_file(world.m(&format!("{top}/d/i")))?;
    }
    same(read(world.m("f"))?, "image", "file")?;
    world.remount()?;
    for top in ["p", "l"] {
        same(names(world.m(top))?, ["a", "d", "link", "linked"], "opaque after the seed")?;
        same(read(world.m(&format!("{top}/a")))?, "one", "opaque")?;
        same(names(world.m(&format!("{top}/d")))?, ["t"], "a removal stays")?;
        same(read(world.m(&format!("{top}/d/t")))?, "mine", "a change stays")?;
    }
    // No whiteouts in an opaque store: link mode and NFS clients read it too.
    ensure!(!exists(world.at("per/p/d/i")), "something is left in the store");
    Ok(())
}

#[test]
fn file_rules_can_be_removed_replaced_and_made_again() -> Result<()> {
    let Some(world) = World::new("file rules")? else { return Ok(()) };
    let mut world = world.rule("/etc/v", "tmpfs").rule("/etc/w", "tmpfs").rule("/etc/p", "persistent")
        .rule("/etc/l", "localdisk").rule("/tmp/", "tmpfs");
    for name in ["v", "w", "p", "l"] {
        world.put(&format!("image/etc/{name}"), "image")?;
    }
    world.put("image/tmp/t", "tmp")?;
    world.start()?;
    for name in ["v", "p", "l"] {
        let path = world.m(&format!("etc/{name}"));
        fs::remove_file(&path)?;
        ensure!(!exists(&path), "{name} removed");
        ensure!(!names(world.m("etc"))?.contains(&name.to_owned()), "{name} listed");
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
    fails(fs::hard_link(world.m("etc/p"), world.m("etc/w")), Errno::XDEV)?;
    fails(fs::hard_link(world.m("etc/v"), world.m("etc/l")), Errno::ROFS).or_else(|_| {
        fails(fs::hard_link(world.m("etc/v"), world.m("etc/l")), Errno::EXIST)
    })?;
    fails(fs::rename(world.m("etc/v"), world.m("etc/unlisted")), Errno::XDEV)?;
    world.remount()?;
    same(read(world.m("etc/v"))?, "image", "after remount")?;
    ensure!(!exists(world.m("etc/w")) && !exists(world.m("tmp/t")), "after remount");
    same(read(world.m("etc/p"))?, "again", "after remount")
}

#[test]
fn the_longest_listed_path_wins_at_any_depth() -> Result<()> {
    let Some(world) = World::new("nesting")? else { return Ok(()) };
    let mut world = world.trees().rule("/", "tmpfs").rule("/a/", "ro").rule("/a/b/", "persistent")
        .rule("/a/b/c/", "tmpfs").rule("/a/b/c/d", "ro").rule("/a/b/c/e/", "localdisk");
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
        ensure!(moved.is_err(), "{dir} could be moved, which holds or is a rule");
    }
    Ok(())
}

#[test]
fn mtab_is_a_link_to_the_mounts_unless_the_image_has_one() -> Result<()> {
    for has in [false, true] {
        let Some(mut world) = World::new("mtab")? else { return Ok(()) };
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
            same(fs::read_link(&mtab)?, Path::new("/proc/self/mounts").to_path_buf(), "mtab")?;
            same(names(world.m("etc"))?, ["mtab"], "/etc")?;
        }
        ensure!(!meta(&mtab)?.file_type().is_char_device(), "a device");
    }
    Ok(())
}

#[test]
fn a_removed_persistent_file_stays_removed() -> Result<()> {
    let Some(world) = World::new("removed persistent")? else { return Ok(()) };
    let mut world = world.rule("/f", "persistent").rule("/d/", "persistent").rule("/l", "localdisk");
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
    let Some(world) = World::new("con attributes")? else { return Ok(()) };
    let mut world = world.trees().rule("/con", "con");
    for tree in ["t1", "t2"] {
        let path = world.put(&format!("{tree}/con"), tree)?;
        common::chmod(&path, 0o640)?;
        rustix::fs::setxattr(&path, "user.of", tree.as_bytes(), rustix::fs::XattrFlags::empty())?;
    }
    world.start()?;
    let before = common::snapshot::xattrs(&world.m("con"))?;
    append(world.m("con"), b"x")?;
    same(common::snapshot::xattrs(&world.m("con"))?, before, "attributes")?;
    same(std::os::unix::fs::PermissionsExt::mode(&meta(world.m("con"))?.permissions()) & 0o7777, 0o640, "mode")
}
