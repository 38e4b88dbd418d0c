//! Attributes in a union: owners, modes, set-id bits, ACLs, capabilities, times, free space.

mod common;

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use common::snapshot::{xattr, xattrs};
use common::user::as_user;
use common::{On, World, append, chmod, fails, meta, read, run, same, write_at};
use rustix::fs::{AtFlags, CWD, FallocateFlags, Timespec, Timestamps, XattrFlags, utimensat};
use rustix::io::Errno;
use statelite_tests::mount::Passthrough;

const BOTH: [Passthrough; 2] = [Passthrough::Auto, Passthrough::Off];
const USER: u32 = 1234;

/// What changes a file, by name.
type Act = (&'static str, fn(&Path) -> Result<()>);

fn opened(path: &Path) -> Result<File> {
    Ok(OpenOptions::new().write(true).open(path)?)
}

const ACTS: [Act; 9] = [
    ("write", |path| write_at(path, b"x", 0)),
    ("append", |path| append(path, b"x")),
    ("truncate", |path| Ok(opened(path)?.set_len(1)?)),
    ("open with O_TRUNC", |path| Ok(fs::write(path, "")?)),
    ("fallocate", |path| Ok(rustix::fs::fallocate(opened(path)?, FallocateFlags::empty(), 0, 9000)?)),
    ("chown to itself", |path| Ok(chown(path, Some(USER), None)?)),
    ("chgrp to its group", |path| Ok(chown(path, None, Some(USER))?)),
    ("copy_file_range", |path| {
        let source = File::open(path)?;
        let mut at = 2;
        rustix::fs::copy_file_range(&source, None, opened(path)?, Some(&mut at), 2)?;
        Ok(())
    }),
    ("write twice", |path| {
        let file = opened(path)?;
        file.write_all_at(b"x", 0)?;
        file.write_all_at(b"y", 1)?;
        Ok(())
    }),
];

/// Modes and the capability after each act, here and on the bare file system.
fn set_id_like_bare(mode: Passthrough, on: On, caller: Option<u32>) -> Result<()> {
    let Some(world) = World::on("set-id", on)? else { return Ok(()) };
    let mut world = world.rule("/v/", "tmpfs").rule("/p/", "persistent").passthrough(mode);
    let modes = [0o6755, 0o4711, 0o2755, 0o2745, 0o6644];
    let make = |dir: PathBuf| -> Result<()> {
        fs::create_dir_all(&dir)?;
        for act in 0..ACTS.len() {
            for mode in modes {
                let path = dir.join(format!("{act}-{mode:o}"));
                fs::write(&path, vec![b'.'; 5000])?;
                chown(&path, Some(USER), Some(USER))?;
                chmod(&path, mode)?;
                run(&["setcap", "cap_net_raw+ep", path.to_str().unwrap_or_default()])?;
            }
        }
        Ok(())
    };
    make(world.at("bare"))?;
    make(world.at("image/v/lower"))?;
    make(world.at("image/p/seeded"))?;
    chmod(world.at("image/v"), 0o777)?;
    world.start()?;
    make(world.m("v/upper"))?;
    let mut wrong = Vec::new();
    for (act, (what, act_on)) in ACTS.iter().enumerate() {
        for mode in modes {
            let file = format!("{act}-{mode:o}");
            let after = |dir: PathBuf| -> Result<String> {
                let path = dir.join(&file);
                let outcome = match caller {
                    Some(user) => as_user(user, user, || act_on(&path)),
                    None => act_on(&path),
                };
                let capability = xattr(&path, "security.capability").is_ok();
                Ok(format!(
                    "{:o}, capability {capability}, {}",
                    meta(&path)?.mode() & 0o7777,
                    outcome.map_or_else(|e| format!("{e:#}"), |()| "done".to_owned())
                ))
            };
            let wanted = after(world.at("bare"))?;
            for place in ["v/lower", "v/upper", "p/seeded"] {
                let got = after(world.m(place))?;
                if got != wanted {
                    wrong.push(format!("{what} by {caller:?}, mode {mode:o}, {place}: {got}; bare: {wanted}"));
                }
            }
        }
    }
    ensure!(wrong.is_empty(), "{mode_:?}: {wrong:#?}", mode_ = mode);
    Ok(())
}

#[test]
fn changes_by_users_clear_set_id_bits_and_capabilities_as_on_the_store() -> Result<()> {
    for mode in BOTH {
        set_id_like_bare(mode, On::Tmpfs, Some(USER))?;
    }
    set_id_like_bare(Passthrough::Auto, On::Disk, Some(USER))
}

#[test]
fn changes_by_root_clear_set_id_bits_and_capabilities_as_on_the_store() -> Result<()> {
    for mode in BOTH {
        set_id_like_bare(mode, On::Tmpfs, None)?;
    }
    Ok(())
}

#[test]
fn new_files_belong_to_the_caller() -> Result<()> {
    let Some(world) = World::new("owner")? else { return Ok(()) };
    let mut world = world.rule("/v/", "tmpfs").rule("/p/", "persistent").rule("/l/", "localdisk");
    for top in ["v", "p", "l"] {
        let dir = world.dir(&format!("image/{top}"))?;
        chmod(dir, 0o1777)?;
        let setgid = world.dir(&format!("image/{top}/setgid"))?;
        chown(&setgid, None, Some(77))?;
        chmod(setgid, 0o2777)?;
    }
    world.start()?;
    for top in ["v", "p", "l"] {
        let at = |name: &str| world.m(&format!("{top}/{name}"));
        as_user(USER, 4321, || {
            fs::write(at("file"), "x")?;
            fs::create_dir(at("dir"))?;
            std::os::unix::fs::symlink("x", at("link"))?;
            rustix::fs::mknodat(CWD, at("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0)?;
            fs::write(at("setgid/file"), "x")?;
            fs::create_dir(at("setgid/dir"))?;
            fails(fs::write(world.m("new"), ""), Errno::ROFS).or_else(|_| fails(fs::write(world.m("new"), ""), Errno::ACCESS))
        })?;
        for name in ["file", "dir", "link", "fifo"] {
            let meta = meta(at(name))?;
            same((meta.uid(), meta.gid()), (USER, 4321), name)?;
        }
        for (name, mode) in [("setgid/file", 0), ("setgid/dir", 0o2000)] {
            let meta = meta(at(name))?;
            same((meta.uid(), meta.gid(), meta.mode() & 0o2000), (USER, 77, mode), name)?;
        }
        // Sticky: nobody removes what is another's.
        let other = as_user(99, 99, || fails(fs::remove_file(at("file")), Errno::PERM)
            .or_else(|_| fails(fs::remove_file(at("file")), Errno::ACCESS)));
        other.context("the sticky bit")?;
        chmod(at("file"), 0o600)?;
        as_user(99, 99, || fails(File::open(at("file")), Errno::ACCESS))?;
    }
    Ok(())
}

#[test]
fn the_umask_and_default_acls_shape_new_files() -> Result<()> {
    let Some(world) = World::new("umask")? else { return Ok(()) };
    let mut world = world.rule("/v/", "tmpfs").rule("/p/", "persistent");
    // u::rwx, u:1234:rwx, g::r-x, m::rwx, o::---
    let acl = acl(&[(1, 7, u32::MAX), (2, 7, USER), (4, 5, u32::MAX), (0x10, 7, u32::MAX), (0x20, 0, u32::MAX)]);
    for dir in ["bare", "image/v", "image/p"] {
        let plain = world.dir(&format!("{dir}/plain"))?;
        let with = world.dir(&format!("{dir}/acl"))?;
        rustix::fs::setxattr(&with, "system.posix_acl_default", &acl, XattrFlags::empty())?;
        chmod(plain, 0o755)?;
    }
    world.start()?;
    for dir in ["plain", "acl"] {
        let make = |top: PathBuf| -> Result<Vec<String>> {
            let at = top.join(dir);
            let script = r#"umask 027; cd "$0" && : > file && mkdir dir && mkfifo fifo && : > dir/below && umask 0 && : > open"#;
            run(&["sh", "-c", script, at.to_str().unwrap_or_default()])?;
            ["file", "dir", "fifo", "dir/below", "open"]
                .iter()
                .map(|name| {
                    let path = at.join(name);
                    let acl = xattr(&path, "system.posix_acl_access").ok();
                    let default = xattr(&path, "system.posix_acl_default").ok();
                    Ok(format!("{name} {:o} {acl:?} {default:?}", meta(&path)?.mode()))
                })
                .collect()
        };
        let wanted = make(world.at("bare"))?;
        same(make(world.m("v"))?, &wanted[..], "volatile")?;
        same(make(world.m("p"))?, &wanted[..], "persistent")?;
    }
    Ok(())
}

/// An ACL as the kernel takes it: tag, permissions, id.
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

#[test]
fn attributes_acls_and_capabilities_go_through_copy_up() -> Result<()> {
    for on in [On::Tmpfs, On::Disk] {
        let Some(world) = World::on("xattrs", on)? else { return Ok(()) };
        let mut world = world.rule("/v/", "tmpfs").rule("/p/", "persistent");
        // Only user 1234 may read it.
        let acl = acl(&[(1, 6, u32::MAX), (2, 4, USER), (4, 0, u32::MAX), (0x10, 4, u32::MAX), (0x20, 0, u32::MAX)]);
        for top in ["v", "p"] {
            for name in ["f", "d/f"] {
                let path = world.put(&format!("image/{top}/{name}"), "x")?;
                run(&["setcap", "cap_net_raw+ep", path.to_str().unwrap_or_default()])?;
                for (key, value) in [("user.a", &b"1"[..]), ("trusted.b", b"2"), ("user.empty", b""), ("system.posix_acl_access", &acl)] {
                    rustix::fs::setxattr(&path, key, value, XattrFlags::empty()).context(key)?;
                }
            }
            rustix::fs::setxattr(world.at(&format!("image/{top}/d")), "user.dir", b"d", XattrFlags::empty())?;
        }
        world.start()?;
        for top in ["v", "p"] {
            let path = world.m(&format!("{top}/f"));
            let wanted = xattrs(&world.at(&format!("image/{top}/f")))?;
            same(wanted.len(), 5, "attributes prepared")?;
            same(xattrs(&path)?, wanted.clone(), "before copy-up")?;
            let times = Timestamps { last_access: now(5), last_modification: now(6) };
            utimensat(CWD, &path, &times, AtFlags::empty())?;
            same(xattrs(&path)?, wanted.clone(), "after copy-up")?;
            as_user(USER, USER, || read(&path)).context("the user of the ACL")?;
            as_user(99, 99, || fails(File::open(&path), Errno::ACCESS))?;
            rustix::fs::setxattr(&path, "user.a", b"3", XattrFlags::REPLACE)?;
            fails(rustix::fs::setxattr(&path, "user.a", b"3", XattrFlags::CREATE), Errno::EXIST)?;
            fails(rustix::fs::setxattr(&path, "user.z", b"3", XattrFlags::REPLACE), Errno::NODATA)?;
            rustix::fs::removexattr(&path, "trusted.b")?;
            fails(rustix::fs::removexattr(&path, "trusted.b"), Errno::NODATA)?;
            rustix::fs::removexattr(world.m(&format!("{top}/d/f")), "user.a")?;
            chmod(world.m(&format!("{top}/d")), 0o700)?;
            world.remount()?;
            let path = world.m(&format!("{top}/f"));
            same(xattr(&path, "user.a")?, b"3", "changed")?;
            fails(xattr(&path, "trusted.b"), Errno::NODATA)?;
            fails(xattr(&world.m(&format!("{top}/d/f")), "user.a"), Errno::NODATA)?;
            same(xattr(&world.m(&format!("{top}/d")), "user.dir")?, b"d", "of a directory")?;
            same(xattrs(&world.m(&format!("{top}/d")))?.len(), 1, "the union's own attributes show")?;
        }
    }
    Ok(())
}

fn now(sec: i64) -> Timespec {
    Timespec { tv_sec: sec, tv_nsec: 0 }
}

#[test]
fn times_survive_even_before_1970_and_with_fractions() -> Result<()> {
    let Some(world) = World::new("times")? else { return Ok(()) };
    let mut world = world.rule("/v/", "tmpfs").rule("/p/", "persistent");
    let times = [(-2, 500_000_000), (-1, 999_999_999), (0, 1), (-86_400 * 365 * 30, 123_456_789), (4_000_000_000, 7), (1, 0)];
    let set = |path: PathBuf, (tv_sec, tv_nsec): (i64, i64)| -> Result<()> {
        let last_modification = Timespec { tv_sec, tv_nsec };
        let last_access = Timespec { tv_sec: tv_sec + 1, tv_nsec };
        Ok(utimensat(CWD, path, &Timestamps { last_access, last_modification }, AtFlags::empty())?)
    };
    for (at, time) in times.into_iter().enumerate() {
        for top in ["u", "v", "p"] {
            let path = world.put(&format!("image/{top}/{at}"), "x")?;
            set(path, time)?;
        }
    }
    world.start()?;
    for (at, time) in times.into_iter().enumerate() {
        fs::write(world.m(&format!("v/new{at}")), "x")?;
        set(world.m(&format!("v/new{at}")), time)?;
    }
    for _ in 0..2 {
        for (at, (sec, nsec)) in times.into_iter().enumerate() {
            for file in [format!("u/{at}"), format!("v/{at}"), format!("p/{at}"), format!("v/new{at}")] {
                let meta = meta(world.m(&file))?;
                same((meta.mtime(), meta.mtime_nsec()), (sec, nsec), &format!("mtime of {file}"))?;
                if !file.starts_with('u') {
                    same((meta.atime(), meta.atime_nsec()), (sec + 1, nsec), &format!("atime of {file}"))?;
                }
            }
            // Copies it up, and must keep the times.
            chmod(world.m(&format!("v/{at}")), 0o600)?;
        }
        world.remount()?;
    }
    Ok(())
}

#[test]
fn changes_move_the_times_they_should() -> Result<()> {
    for mode in BOTH {
        let Some(world) = World::new("mtime")? else { return Ok(()) };
        let mut world = world.rule("/v/", "tmpfs").passthrough(mode);
        for file in ["w", "m", "t", "d/x"] {
            world.put(&format!("image/v/{file}"), "x")?;
        }
        let old = Timestamps { last_access: now(1000), last_modification: now(1000) };
        for file in ["w", "m", "t", "d"] {
            utimensat(CWD, world.at(&format!("image/v/{file}")), &old, AtFlags::empty())?;
        }
        world.start()?;
        let recent = |file: &str| meta(world.m(file)).map(|meta| (meta.mtime() > 1000, meta.ctime() > 1000));
        write_at(world.m("v/w"), b"y", 0)?;
        same(recent("v/w")?, (true, true), "write")?;
        chmod(world.m("v/m"), 0o600)?;
        same(recent("v/m")?, (false, true), "chmod")?;
        opened(&world.m("v/t"))?.set_len(0)?;
        same(recent("v/t")?, (true, true), "truncate")?;
        fs::write(world.m("v/d/new"), "")?;
        same(recent("v/d")?, (true, true), "a new name in a directory")?;
        utimensat(CWD, world.m("v/d"), &old, AtFlags::empty())?;
        fs::remove_file(world.m("v/d/x"))?;
        same(recent("v/d")?, (true, true), "a name removed from a directory")?;
        world.remount()?;
        for (file, wanted) in [("v/w", true), ("v/m", false), ("v/t", true), ("v/d", true)] {
            same(meta(world.m(file))?.mtime() > 1000, wanted, file)?;
        }
    }
    Ok(())
}

#[test]
fn free_space_is_that_of_the_store_of_a_path() -> Result<()> {
    let Some(world) = World::new("statfs")? else { return Ok(()) };
    let mut world = world.rule("/v/", "tmpfs").rule("/p/", "persistent").rule("/l/", "localdisk");
    let mut stores = Vec::new();
    for (name, size) in [("vol", "16m"), ("per", "32m"), ("loc", "48m")] {
        let at = world.at(name);
        run(&["mount", "-t", "tmpfs", "-o", &format!("size={size},mode=755"), "tmpfs", at.to_str().unwrap_or_default()])?;
        stores.push(Unmount(at));
    }
    for top in ["v", "p", "l", "u"] {
        world.put(&format!("image/{top}/f"), "x")?;
    }
    world.start()?;
    for (top, store) in [("v", "vol"), ("p", "per"), ("l", "loc"), ("u", "image")] {
        for file in [top.to_owned(), format!("{top}/f")] {
            let (got, wanted) = (rustix::fs::statvfs(world.m(&file))?, rustix::fs::statvfs(world.at(store))?);
            same(got.f_blocks * got.f_frsize, wanted.f_blocks * wanted.f_frsize, &format!("size of {file}"))?;
            same(got.f_namemax, 255, "longest name")?;
        }
    }
    let before = rustix::fs::statvfs(world.m("v"))?.f_bavail;
    fs::write(world.m("v/big"), vec![1; 4 << 20])?;
    ensure!(rustix::fs::statvfs(world.m("v"))?.f_bavail < before, "writing takes no space");
    world.stop()?;
    drop(stores);
    Ok(())
}

/// A file system to be unmounted in the end.
struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = run(&["umount", "-l", self.0.to_str().unwrap_or_default()]);
    }
}
