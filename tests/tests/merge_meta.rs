//! Attributes in a union: owners, modes, set-id bits, ACLs, capabilities, times, free space.

mod common;

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::snapshot::{xattr, xattrs};
use common::user::as_user;
use common::{On, World, chmod, exists, fails, meta, read, run, same, wait_for, write_at};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags, utimensat};
use rustix::io::Errno;
use statelite_tests::mount::Passthrough;
use statelite_tests::scratch::Store;

const BOTH: [Passthrough; 2] = [Passthrough::Auto, Passthrough::Off];
const USER: u32 = 1234;

#[test]
fn the_umask_and_default_acls_shape_new_files() -> Result<()> {
    let Some(world) = World::new("umask")? else {
        return Ok(());
    };
    let mut world = world.rule("/v/", "tmpfs").rule("/p/", "persistent");
    // u::rwx, u:1234:rwx, g::r-x, m::rwx, o::---
    let acl = acl(&[
        (1, 7, u32::MAX),
        (2, 7, USER),
        (4, 5, u32::MAX),
        (0x10, 7, u32::MAX),
        (0x20, 0, u32::MAX),
    ]);
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
                    Ok(format!(
                        "{name} {:o} {acl:?} {default:?}",
                        meta(&path)?.mode()
                    ))
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
        let Some(world) = World::on("xattrs", on)? else {
            return Ok(());
        };
        let mut world = world.rule("/v/", "tmpfs").rule("/p/", "persistent");
        // Only user 1234 may read it.
        let acl = acl(&[
            (1, 6, u32::MAX),
            (2, 4, USER),
            (4, 0, u32::MAX),
            (0x10, 4, u32::MAX),
            (0x20, 0, u32::MAX),
        ]);
        for top in ["v", "p"] {
            for name in ["f", "d/f"] {
                let path = world.put(&format!("image/{top}/{name}"), "x")?;
                run(&[
                    "setcap",
                    "cap_net_raw+ep",
                    path.to_str().unwrap_or_default(),
                ])?;
                for (key, value) in [
                    ("user.a", &b"1"[..]),
                    ("trusted.b", b"2"),
                    ("user.empty", b""),
                    ("system.posix_acl_access", &acl),
                ] {
                    rustix::fs::setxattr(&path, key, value, XattrFlags::empty()).context(key)?;
                }
            }
            rustix::fs::setxattr(
                world.at(&format!("image/{top}/d")),
                "user.dir",
                b"d",
                XattrFlags::empty(),
            )?;
        }
        world.start()?;
        for top in ["v", "p"] {
            let path = world.m(&format!("{top}/f"));
            let wanted = xattrs(&world.at(&format!("image/{top}/f")))?;
            same(wanted.len(), 5, "attributes prepared")?;
            same(xattrs(&path)?, wanted.clone(), "before copy-up")?;
            let times = Timestamps {
                last_access: now(5),
                last_modification: now(6),
            };
            utimensat(CWD, &path, &times, AtFlags::empty())?;
            same(xattrs(&path)?, wanted.clone(), "after copy-up")?;
            as_user(USER, USER, || read(&path)).context("the user of the ACL")?;
            as_user(99, 99, || fails(File::open(&path), Errno::ACCESS))?;
            rustix::fs::setxattr(&path, "user.a", b"3", XattrFlags::REPLACE)?;
            fails(
                rustix::fs::setxattr(&path, "user.a", b"3", XattrFlags::CREATE),
                Errno::EXIST,
            )?;
            fails(
                rustix::fs::setxattr(&path, "user.z", b"3", XattrFlags::REPLACE),
                Errno::NODATA,
            )?;
            rustix::fs::removexattr(&path, "trusted.b")?;
            fails(rustix::fs::removexattr(&path, "trusted.b"), Errno::NODATA)?;
            rustix::fs::removexattr(world.m(&format!("{top}/d/f")), "user.a")?;
            chmod(world.m(&format!("{top}/d")), 0o700)?;
            world.remount()?;
            let path = world.m(&format!("{top}/f"));
            same(xattr(&path, "user.a")?, b"3", "changed")?;
            fails(xattr(&path, "trusted.b"), Errno::NODATA)?;
            fails(
                xattr(&world.m(&format!("{top}/d/f")), "user.a"),
                Errno::NODATA,
            )?;
            same(
                xattr(&world.m(&format!("{top}/d")), "user.dir")?,
                b"d",
                "of a directory",
            )?;
            same(
                xattrs(&world.m(&format!("{top}/d")))?.len(),
                1,
                "the union's own attributes show",
            )?;
        }
    }
    Ok(())
}

fn now(sec: i64) -> Timespec {
    Timespec {
        tv_sec: sec,
        tv_nsec: 0,
    }
}

#[test]
fn times_survive_even_before_1970_and_with_fractions() -> Result<()> {
    let Some(world) = World::new("times")? else {
        return Ok(());
    };
    let mut world = world.rule("/v/", "tmpfs").rule("/p/", "persistent");
    let times = [
        (-2, 500_000_000),
        (-1, 999_999_999),
        (0, 1),
        (-86_400 * 365 * 30, 123_456_789),
        (4_000_000_000, 7),
        (1, 0),
    ];
    let set = |path: PathBuf, (tv_sec, tv_nsec): (i64, i64)| -> Result<()> {
        let last_modification = Timespec { tv_sec, tv_nsec };
        let last_access = Timespec {
            tv_sec: tv_sec + 1,
            tv_nsec,
        };
        Ok(utimensat(
            CWD,
            path,
            &Timestamps {
                last_access,
                last_modification,
            },
            AtFlags::empty(),
        )?)
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
            for file in [
                format!("u/{at}"),
                format!("v/{at}"),
                format!("p/{at}"),
                format!("v/new{at}"),
            ] {
                let meta = meta(world.m(&file))?;
                same(
                    (meta.mtime(), meta.mtime_nsec()),
                    (sec, nsec),
                    &format!("mtime of {file}"),
                )?;
                if !file.starts_with('u') {
                    same(
                        (meta.atime(), meta.atime_nsec()),
                        (sec + 1, nsec),
                        &format!("atime of {file}"),
                    )?;
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
        let Some(world) = World::new("mtime")? else {
            return Ok(());
        };
        let mut world = world.rule("/v/", "tmpfs").passthrough(mode);
        for file in ["w", "m", "t", "d/x"] {
            world.put(&format!("image/v/{file}"), "x")?;
        }
        let old = Timestamps {
            last_access: now(1000),
            last_modification: now(1000),
        };
        for file in ["w", "m", "t", "d"] {
            utimensat(
                CWD,
                world.at(&format!("image/v/{file}")),
                &old,
                AtFlags::empty(),
            )?;
        }
        world.start()?;
        let recent =
            |file: &str| meta(world.m(file)).map(|meta| (meta.mtime() > 1000, meta.ctime() > 1000));
        write_at(world.m("v/w"), b"y", 0)?;
        same(recent("v/w")?, (true, true), "write")?;
        chmod(world.m("v/m"), 0o600)?;
        same(recent("v/m")?, (false, true), "chmod")?;
        OpenOptions::new()
            .write(true)
            .open(world.m("v/t"))?
            .set_len(0)?;
        same(recent("v/t")?, (true, true), "truncate")?;
        fs::write(world.m("v/d/new"), "")?;
        same(recent("v/d")?, (true, true), "a new name in a directory")?;
        utimensat(CWD, world.m("v/d"), &old, AtFlags::empty())?;
        fs::remove_file(world.m("v/d/x"))?;
        same(
            recent("v/d")?,
            (true, true),
            "a name removed from a directory",
        )?;
        world.remount()?;
        for (file, wanted) in [("v/w", true), ("v/m", false), ("v/t", true), ("v/d", true)] {
            same(meta(world.m(file))?.mtime() > 1000, wanted, file)?;
        }
    }
    Ok(())
}

#[test]
fn free_space_is_that_of_the_store_of_a_path() -> Result<()> {
    let Some(world) = World::new("statfs")? else {
        return Ok(());
    };
    let mut world = world
        .rule("/v/", "tmpfs")
        .rule("/p/", "persistent")
        .rule("/l/", "localdisk");
    let mut stores = Vec::new();
    for (name, size) in [("vol", "16m"), ("per", "32m"), ("loc", "48m")] {
        let at = world.at(name);
        run(&[
            "mount",
            "-t",
            "tmpfs",
            "-o",
            &format!("size={size},mode=755"),
            "tmpfs",
            at.to_str().unwrap_or_default(),
        ])?;
        stores.push(Unmount(at));
    }
    for top in ["v", "p", "l", "u"] {
        world.put(&format!("image/{top}/f"), "x")?;
    }
    world.start()?;
    for (top, store) in [("v", "vol"), ("p", "per"), ("l", "loc"), ("u", "image")] {
        for file in [top.to_owned(), format!("{top}/f")] {
            let (got, wanted) = (
                rustix::fs::statvfs(world.m(&file))?,
                rustix::fs::statvfs(world.at(store))?,
            );
            same(
                got.f_blocks * got.f_frsize,
                wanted.f_blocks * wanted.f_frsize,
                &format!("size of {file}"),
            )?;
            same(got.f_namemax, 255, "longest name")?;
        }
    }
    let before = rustix::fs::statvfs(world.m("v"))?.f_bavail;
    fs::write(world.m("v/big"), vec![1; 4 << 20])?;
    ensure!(
        rustix::fs::statvfs(world.m("v"))?.f_bavail < before,
        "writing takes no space"
    );
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

/// A ramfs stands for a server that carries no attributes.
#[test]
fn listed_capabilities_are_those_of_the_file_that_was_listed() -> Result<()> {
    const KEY: &str = "security.capability";
    // cap_net_raw=ep, as setcap(8) writes it.
    const RAW: &str = "0100000200200000000000000000000000000000";
    let value: Vec<u8> = (0..RAW.len() / 2)
        .map(|at| u8::from_str_radix(&RAW[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let Some(mut world) = World::new("capabilities")? else {
        return Ok(());
    };
    let _bare = Store::ramfs(&world.at("image"))?;
    let mut list = String::new();
    for name in [
        "image/bin/a",
        "image/bin/edited",
        "image/vol/b",
        "image/loc/c",
    ] {
        let meta = meta(world.put(name, "program")?)?;
        let path = name.trim_start_matches("image");
        list += &format!("{RAW} {} {} {path}\n", meta.len(), meta.mtime());
    }
    world.put("image/bin/none", "program")?;
    world.spec.capabilities = Some(world.put("list", &list)?);
    let mut world = world
        .rule("/vol/", "tmpfs")
        .rule("/loc/", "localdisk")
        .freshness("live");
    world.start()?;
    same(xattr(&world.m("bin/a"), KEY)?, value.clone(), "listed")?;
    same(xattr(&world.m("vol/b"), KEY)?, value.clone(), "in a union")?;
    same(xattrs(&world.m("bin/a"))?.len(), 1, "shown by listxattr")?;
    ensure!(xattr(&world.m("bin/none"), KEY).is_err(), "not listed");
    // Another file of that name is not what was listed.
    world.put("image/bin/edited", "another program")?;
    wait_for(Duration::from_secs(3), "the edit to show", || {
        xattr(&world.m("bin/edited"), KEY).is_err()
    })?;
    // A copy in the store keeps it, until its content changes.
    common::chmod(world.m("vol/b"), 0o755)?;
    ensure!(
        exists(world.at("vol/data/vol/b")) || exists(world.at("vol/vol/b")),
        "copied up"
    );
    same(xattr(&world.m("vol/b"), KEY)?, value.clone(), "copied up")?;
    fs::write(world.m("vol/b"), "changed")?;
    ensure!(xattr(&world.m("vol/b"), KEY).is_err(), "written to");
    // What is seeded keeps it too.
    same(xattr(&world.m("loc/c"), KEY)?, value.clone(), "seeded")?;
    // A layer that carries attributes is believed: this file has lost its capability since it was listed.
    world.stop()?;
    world.spec.image = world.dir("carries")?;
    let meta = meta(world.put("carries/bin/a", "program")?)?;
    world.put(
        "list",
        format!("{RAW} {} {} /bin/a\n", meta.len(), meta.mtime()),
    )?;
    world.start()?;
    same(
        xattr(&world.m("bin/a"), KEY),
        Err(Errno::NODATA),
        "the layer's own",
    )?;
    // A list that cannot be read is an error, with its line.
    world.stop()?;
    world.put("list", "nonsense\n")?;
    let refused = world.start().err().context("mounted with a bad list")?;
    ensure!(format!("{refused:#}").contains("line 1"), "{refused:#}");
    Ok(())
}
