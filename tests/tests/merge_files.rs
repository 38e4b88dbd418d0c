//! Files in a union: content, holes, mappings, locks, special files.

mod common;

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};

use anyhow::{Context, Result, ensure};
use common::mapped::Mapped;
use common::{On, World, exists, fails, ino, meta, read, run, same};
use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use statelite_tests::mount::Passthrough;

const BOTH: [Passthrough; 2] = [Passthrough::Auto, Passthrough::Off];

/// A volatile `/v` and a persistent `/p` over an image.
fn world(test: &str, on: On, mode: Passthrough) -> Result<Option<World>> {
    Ok(World::on(test, on)?.map(|world| {
        world
            .rule("/v/", "tmpfs")
            .rule("/p/", "persistent")
            .passthrough(mode)
    }))
}

fn open(path: impl AsRef<std::path::Path>) -> Result<File> {
    let path = path.as_ref();
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .with_context(|| path.display().to_string())
}

#[test]
fn appending_writes_at_the_end_whoever_else_appends() -> Result<()> {
    for mode in BOTH {
        let Some(mut world) = world("append", On::Tmpfs, mode)? else {
            return Ok(());
        };
        world.put("image/v/log", "start\n")?;
        world.start()?;
        let appender = || OpenOptions::new().append(true).open(world.m("v/log"));
        let (mut a, mut b) = (appender()?, appender()?);
        for _ in 0..50 {
            a.write_all(b"a\n")?;
            b.write_all(b"b\n")?;
        }
        a.seek(SeekFrom::Start(0))?;
        a.write_all(b"a\n")?;
        let wanted = format!("start\n{}a\n", "a\nb\n".repeat(50));
        same(read(world.m("v/log"))?, wanted.as_str(), "log")?;
        same(meta(world.m("v/log"))?.len(), wanted.len() as u64, "size")?;
    }
    Ok(())
}

#[test]
fn holes_survive_copy_up_and_can_be_punched() -> Result<()> {
    for (on, mode) in [
        (On::Tmpfs, Passthrough::Auto),
        (On::Disk, Passthrough::Auto),
        (On::Disk, Passthrough::Off),
    ] {
        let Some(mut world) = world("holes", on, mode)? else {
            return Ok(());
        };
        let lower = world.put("image/v/sparse", "head")?;
        let file = open(&lower)?;
        file.write_all_at(b"middle", 8 << 20)?;
        file.set_len(64 << 20)?;
        file.sync_all()?;
        fs::create_dir_all(world.at("image/p"))?;
        run(&[
            "cp",
            "--sparse=always",
            lower.to_str().unwrap_or_default(),
            world.at("image/p/sparse").to_str().unwrap_or_default(),
        ])?;
        world.start()?;
        for top in ["v", "p"] {
            let path = world.m(&format!("{top}/sparse"));
            let file = open(&path)?;
            file.write_all_at(b"H", 0)?;
            file.sync_all()?;
            let meta = meta(&path)?;
            same(meta.len(), 64 << 20, "size")?;
            ensure!(
                meta.blocks() < 2048,
                "{on:?} {top}: {} blocks for two small pieces",
                meta.blocks()
            );
            let data = rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(1 << 20))?;
            same(data, 8 << 20, "SEEK_DATA")?;
            let hole = rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(0))?;
            ensure!(hole > 0 && hole <= 1 << 20, "SEEK_HOLE gives {hole}");
            fails(
                rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(60 << 20)),
                Errno::NXIO,
            )?;
            let mut six = [0_u8; 6];
            file.read_exact_at(&mut six, 8 << 20)?;
            same(&six, b"middle", "content")?;
            rustix::fs::fallocate(&file, FallocateFlags::empty(), 63 << 20, 2 << 20)?;
            same(file.metadata()?.len(), 65 << 20, "fallocate grows")?;
            rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 65 << 20, 1 << 20)?;
            same(file.metadata()?.len(), 65 << 20, "KEEP_SIZE")?;
            let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            rustix::fs::fallocate(&file, punch, 8 << 20, 4096)?;
            file.read_exact_at(&mut six, 8 << 20)?;
            same(six, [0; 6], "punched")?;
        }
        same(fs::metadata(&lower)?.len(), 64 << 20, "the image")?;
    }
    Ok(())
}

#[test]
fn copy_file_range_and_sendfile_work_between_placements() -> Result<()> {
    for mode in BOTH {
        let Some(mut world) = world("copy", On::Tmpfs, mode)? else {
            return Ok(());
        };
        let data: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        world.put("image/v/src", &data)?;
        world.put("image/src", &data)?;
        world.dir("image/p")?;
        world.start()?;
        for (from, to) in [
            ("v/src", "v/a"),
            ("src", "v/b"),
            ("src", "p/c"),
            ("p/c", "v/d"),
            ("v/src", "p/e"),
        ] {
            let source = File::open(world.m(from))?;
            let target = File::create(world.m(to))?;
            let (mut here, mut there) = (0, 0);
            loop {
                let left = data.len() - here as usize;
                let n = rustix::fs::copy_file_range(
                    &source,
                    Some(&mut here),
                    &target,
                    Some(&mut there),
                    left,
                )
                .with_context(|| format!("{from} to {to}"))?;
                if n == 0 || here as usize == data.len() {
                    break;
                }
            }
            drop(target);
            ensure!(
                fs::read(world.m(to))? == data,
                "{mode:?}: {from} to {to}: content differs"
            );
        }
        // And within one file, into a lower one.
        let file = open(world.m("v/src"))?;
        let (mut here, mut there) = (0, data.len() as u64);
        rustix::fs::copy_file_range(&file, Some(&mut here), &file, Some(&mut there), 4096)?;
        same(file.metadata()?.len(), data.len() as u64 + 4096, "grown")?;
    }
    Ok(())
}

#[test]
fn shared_mappings_and_reads_see_each_other() -> Result<()> {
    for (on, mode) in [
        (On::Tmpfs, Passthrough::Auto),
        (On::Tmpfs, Passthrough::Off),
        (On::Disk, Passthrough::Auto),
    ] {
        let Some(mut world) = world("mmap", on, mode)? else {
            return Ok(());
        };
        world.put("image/v/lower", vec![b'.'; 8192])?;
        world.put("image/p/lower", vec![b'.'; 8192])?;
        world.start()?;
        for name in ["v/lower", "p/lower", "v/new"] {
            let path = world.m(name);
            let reader = if exists(&path) {
                Some(File::open(&path)?)
            } else {
                None
            };
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)?;
            file.set_len(8192)?;
            let mut map = Mapped::new(&file, 8192)?;
            map.write(100, b"mapped");
            let mut six = [0_u8; 6];
            file.read_exact_at(&mut six, 100)?;
            same(
                &six,
                b"mapped",
                &format!("{name}: read after a mapped write"),
            )?;
            file.write_all_at(b"written", 5000)?;
            same(
                &map.read()[5000..5007],
                b"written",
                &format!("{name}: mapping after a write"),
            )?;
            map.sync()?;
            drop(map);
            drop(file);
            if let Some(reader) = reader {
                reader.read_exact_at(&mut six, 100)?;
                same(
                    &six,
                    b"mapped",
                    &format!("{name}: a descriptor opened before the copy-up"),
                )?;
            }
            let after = fs::read(&path)?;
            same(&after[100..106], b"mapped", "after close")?;
        }
        world.remount()?;
        same(
            &fs::read(world.m("v/new"))?[100..106],
            b"mapped",
            "after remount",
        )?;
        same(
            &fs::read(world.m("v/lower"))?[5000..5007],
            b"written",
            "after remount",
        )?;
    }
    Ok(())
}

#[test]
fn a_mapping_of_a_lower_file_lives_through_its_copy_up() -> Result<()> {
    for mode in BOTH {
        let Some(mut world) = world("mmap lower", On::Tmpfs, mode)? else {
            return Ok(());
        };
        world.put("image/v/f", vec![b'.'; 300_000])?;
        world.start()?;
        let reader = OpenOptions::new().read(true).open(world.m("v/f"))?;
        let mut buffer = vec![0; 300_000];
        reader.read_exact_at(&mut buffer, 0)?;
        common::write_at(world.m("v/f"), b"new", 299_000)?;
        reader.read_exact_at(&mut buffer, 0)?;
        same(
            &buffer[299_000..299_003],
            b"new",
            "read through the old descriptor",
        )?;
        same(reader.metadata()?.ino(), ino(world.m("v/f"))?, "one inode")?;
    }
    Ok(())
}

#[test]
fn direct_io_reads_and_writes() -> Result<()> {
    for mode in BOTH {
        let Some(mut world) = world("direct", On::Disk, mode)? else {
            return Ok(());
        };
        let data: Vec<u8> = (0..65536_u32).map(|n| (n / 512) as u8).collect();
        world.put("image/v/f", &data)?;
        world.put("image/p/f", &data)?;
        world.start()?;
        for name in ["v/f", "p/f"] {
            let path = world.m(name);
            let (path, copy) = (
                path.display().to_string(),
                world.at("copy").display().to_string(),
            );
            let (input, output) = (format!("if={path}"), format!("of={path}"));
            run(&[
                "dd",
                &input,
                &format!("of={copy}"),
                "bs=4096",
                "iflag=direct",
                "status=none",
            ])?;
            ensure!(fs::read(&copy)? == data, "{name}: O_DIRECT read differs");
            run(&[
                "dd",
                "if=/dev/zero",
                &output,
                "bs=4096",
                "seek=2",
                "count=1",
                "oflag=direct",
                "conv=notrunc",
                "status=none",
            ])?;
            let after = fs::read(&path)?;
            ensure!(
                after[8192..12288].iter().all(|b| *b == 0) && after[..8192] == data[..8192],
                "{name}: O_DIRECT write"
            );
            same(after.len(), data.len(), "size")?;
        }
    }
    Ok(())
}

#[test]
fn a_second_opener_does_not_drop_what_the_first_has_read() -> Result<()> {
    let Some(mut world) = world("keep", On::Tmpfs, Passthrough::Off)? else {
        return Ok(());
    };
    const SIZE: usize = 1 << 20;
    world.put("image/lib", vec![7u8; SIZE])?;
    world.start()?;
    let first = File::open(world.m("lib"))?;
    let mut last = [0];
    for _ in 0..5 {
        // The kernel keeps the pages as long as the first opener has the file open.
        fs::read(world.m("lib"))?;
        first.read_exact_at(&mut last, SIZE as u64 - 1)?;
    }
    let status = world.status()?;
    let image = status.after("\"image\"")?.number("read_bytes")?;
    ensure!(image <= 2 * SIZE as u64, "{image} bytes of {SIZE} read");
    world.put("image/lib", vec![8u8; SIZE])?;
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let now = fs::read(world.m("lib"))?;
    ensure!(
        now == vec![8u8; SIZE],
        "an edit on the server does not show"
    );
    Ok(())
}
