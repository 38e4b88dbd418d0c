//! Who owns a new file, and which set-id bits and capabilities a change leaves.

mod common;

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use common::snapshot::xattr;
use common::user::as_user;
use common::{On, World, append, chmod, fails, meta, run, same, write_at};
use rustix::fs::{CWD, FallocateFlags};
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
    ("fallocate", |path| {
        Ok(rustix::fs::fallocate(
            opened(path)?,
            FallocateFlags::empty(),
            0,
            9000,
        )?)
    }),
    ("chown to itself", |path| Ok(chown(path, Some(USER), None)?)),
    ("chgrp to its group", |path| {
        Ok(chown(path, None, Some(USER))?)
    }),
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
    let Some(world) = World::on("set-id", on)? else {
        return Ok(());
    };
    let mut world = world
        .rule("/v/", "tmpfs")
        .rule("/p/", "persistent")
        .passthrough(mode);
    let modes = [0o6755, 0o4711, 0o2755, 0o2745, 0o6644];
    let make = |dir: PathBuf| -> Result<()> {
        fs::create_dir_all(&dir)?;
        for act in 0..ACTS.len() {
            for mode in modes {
                let path = dir.join(format!("{act}-{mode:o}"));
                fs::write(&path, vec![b'.'; 5000])?;
                chown(&path, Some(USER), Some(USER))?;
                chmod(&path, mode)?;
                run(&[
                    "setcap",
                    "cap_net_raw+ep",
                    path.to_str().unwrap_or_default(),
                ])?;
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
                    wrong.push(format!(
                        "{what} by {caller:?}, mode {mode:o}, {place}: {got}; bare: {wanted}"
                    ));
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
    let Some(world) = World::new("owner")? else {
        return Ok(());
    };
    let mut world = world
        .rule("/v/", "tmpfs")
        .rule("/p/", "persistent")
        .rule("/l/", "localdisk");
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
            fails(fs::write(world.m("new"), ""), Errno::ROFS)
                .or_else(|_| fails(fs::write(world.m("new"), ""), Errno::ACCESS))
        })?;
        for name in ["file", "dir", "link", "fifo"] {
            let meta = meta(at(name))?;
            same((meta.uid(), meta.gid()), (USER, 4321), name)?;
        }
        for (name, mode) in [("setgid/file", 0), ("setgid/dir", 0o2000)] {
            let meta = meta(at(name))?;
            same(
                (meta.uid(), meta.gid(), meta.mode() & 0o2000),
                (USER, 77, mode),
                name,
            )?;
        }
        // Sticky: nobody removes what is another's.
        let other = as_user(99, 99, || {
            fails(fs::remove_file(at("file")), Errno::PERM)
                .or_else(|_| fails(fs::remove_file(at("file")), Errno::ACCESS))
        });
        other.context("the sticky bit")?;
        chmod(at("file"), 0o600)?;
        as_user(99, 99, || fails(File::open(at("file")), Errno::ACCESS))?;
    }
    Ok(())
}

/// A layer without ACLs (NFS 4, here a ramfs): whoever is not the owner goes by the mode bits.
#[test]
fn layers_without_acls_let_others_through() -> Result<()> {
    let Some(world) = World::new("noacl")? else {
        return Ok(());
    };
    let mut world = world.rule("/etc/", "tmpfs");
    let image = world.at("image");
    let none = rustix::mount::MountFlags::empty();
    rustix::mount::mount("ramfs", &image, "ramfs", none, c"mode=755")?;
    let outcome = look_through(&mut world);
    drop(world.stop());
    rustix::mount::unmount(&image, rustix::mount::UnmountFlags::DETACH)?;
    outcome
}

fn look_through(world: &mut World) -> Result<()> {
    let plain = world.put("image/usr/share/plain", "everybody\n")?;
    let secret = world.put("image/usr/share/secret", "root\n")?;
    world.put("image/etc/conf", "conf\n")?;
    // The kernel looks at ACLs only where the group has rights.
    chmod(&plain, 0o664)?;
    chmod(&secret, 0o660)?;
    world.start()?;
    let at = |path: &str| world.m(path);
    let (read, conf) = as_user(USER, USER, || {
        fails(File::open(at("usr/share/secret")), Errno::ACCESS)?;
        Ok((
            fs::read_to_string(at("usr/share/plain"))?,
            fs::read_to_string(at("etc/conf"))?,
        ))
    })?;
    same(read, "everybody\n", "a file everybody may read")?;
    same(conf, "conf\n", "below a rule")?;
    let got = xattr(&at("usr/share/plain"), "system.posix_acl_access");
    ensure!(got == Err(Errno::NODATA), "{got:?}");
    Ok(())
}
