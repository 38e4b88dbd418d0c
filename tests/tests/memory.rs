//! Memory and descriptors of the daemon. `STATELITE_FILES` is how many files the big tree has.
//!
//! One test at a time: all of them drop the kernel's caches.

mod common;

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Result, ensure};
use common::{On, World, env, wait_for};

const MIB: u64 = 1 << 20;
static ALONE: Mutex<()> = Mutex::new(());

fn rss(world: &World) -> Result<u64> {
    world.status()?.number("rss_bytes")
}

/// Resident memory once it is small enough, or after the daemon has had time to give some back.
fn settled(world: &World, mib: u64) -> Result<u64> {
    let mut last = rss(world)?;
    for _ in 0..20 {
        if last <= mib * MIB {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
        last = rss(world)?;
    }
    Ok(last)
}

/// Walks a tree and stats everything; the number of names.
fn walk(dir: &Path) -> Result<usize> {
    let mut count = 0;
    let mut todo = vec![dir.to_path_buf()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            count += 1;
            if entry.metadata()?.is_dir() {
                todo.push(entry.path());
            }
        }
    }
    Ok(count)
}

/// Makes the kernel forget names and inodes until the daemon knows at most this many.
fn forget(world: &World, nodes: u64) -> Result<()> {
    let mut left = 0;
    wait_for(Duration::from_secs(60), "the kernel to forget", || {
        let _ = fs::write("/proc/sys/vm/drop_caches", "2");
        left = world
            .status()
            .and_then(|status| status.number("nodes"))
            .unwrap_or(u64::MAX);
        left <= nodes
    })
    .map_err(|error| error.context(format!("{left} nodes left")))
}

fn descriptors(world: &World) -> Result<usize> {
    let pid = world.status()?.number("pid")?;
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// Files in directories of 100, and 100 of those to a directory.
fn make(world: &World, layer: &str, files: usize) -> Result<()> {
    for n in 0..files.div_ceil(100) {
        let dir = world.dir(&format!("{layer}/big/{}/{n}", n / 100))?;
        for file in 0..100.min(files - n * 100) {
            File::create(dir.join(format!("some-file-{file}.txt")))?;
        }
    }
    Ok(())
}

#[test]
fn walking_a_big_tree_leaves_little_behind() -> Result<()> {
    let _alone = ALONE.lock();
    let Some(world) = World::new("walk")? else {
        return Ok(());
    };
    let mut world = world.rule("/big/0/", "tmpfs");
    world.spec.lifetime = Duration::from_secs(1800);
    let files = env("STATELITE_FILES", 200_000);
    make(&world, "image", files)?;
    world.start()?;
    let before = rss(&world)?;
    for _ in 0..2 {
        let names = walk(&world.m("big"))?;
        ensure!(names > files, "{names} names");
        let (peak, open) = (rss(&world)?, descriptors(&world)?);
        ensure!(open < 1200, "{open} descriptors after the walk");
        let nodes = world.status()?.number("nodes")?;
        forget(&world, 100)?;
        let after = settled(&world, 64)?;
        eprintln!(
            "{names} names, {nodes} nodes: {:.1} MiB before, {:.1} at the most, {:.1} after",
            before as f64 / MIB as f64,
            peak as f64 / MIB as f64,
            after as f64 / MIB as f64
        );
        ensure!(
            after <= 64 * MIB,
            "{} MiB after dropping caches",
            after / MIB
        );
        ensure!(
            descriptors(&world)? < 1200,
            "{} descriptors",
            descriptors(&world)?
        );
    }
    Ok(())
}

#[test]
fn idle_after_the_use_of_a_boot_it_is_small() -> Result<()> {
    let _alone = ALONE.lock();
    let Some(world) = World::new("boot")? else {
        return Ok(());
    };
    let mut world = world
        .rule("/", "tmpfs")
        .rule("/big/1/", "persistent")
        .rule("/big/0/5/", "ro");
    // A boot looks at some ten thousand files.
    make(&world, "image", 20_000)?;
    for n in 0..2000 {
        world.put(&format!("image/lib/{n}"), vec![b'x'; 8192])?;
    }
    world.start()?;
    walk(&world.m("big"))?;
    for n in 0..2000 {
        fs::read(world.m(&format!("lib/{n}")))?;
    }
    for n in 0..500 {
        fs::write(world.m(&format!("lib/{n}")), "changed")?;
        fs::write(world.m(&format!("lib/new{n}")), "new")?;
        File::open(world.m(&format!("lib/{}", n + 500)))?
            .metadata()?
            .size();
    }
    let used = rss(&world)?;
    std::thread::sleep(Duration::from_secs(2));
    let idle = rss(&world)?;
    eprintln!(
        "boot-size use: {:.1} MiB, idle {:.1} MiB",
        used as f64 / MIB as f64,
        idle as f64 / MIB as f64
    );
    ensure!(idle <= 24 * MIB, "{} MiB", idle / MIB);
    forget(&world, 100)?;
    let after = settled(&world, 24)?;
    ensure!(
        after <= 24 * MIB,
        "{} MiB after dropping caches",
        after / MIB
    );
    ensure!(
        descriptors(&world)? < 1200,
        "{} descriptors",
        descriptors(&world)?
    );
    Ok(())
}

#[test]
fn descriptors_stay_bounded_and_come_back() -> Result<()> {
    let _alone = ALONE.lock();
    let Some(world) = World::on("descriptors", On::Disk)? else {
        return Ok(());
    };
    let mut world = world.rule("/", "tmpfs").rule("/p/", "persistent");
    for n in 0..3000 {
        world.put(&format!("image/d/{n}/f"), "x")?;
    }
    world.dir("image/p")?;
    world.start()?;
    let idle = descriptors(&world)?;
    for n in 0..3000 {
        common::append(world.m(&format!("d/{n}/f")), b"y")?;
        fs::write(world.m(&format!("p/{n}")), "x")?;
        if n % 2 == 0 {
            fs::remove_file(world.m(&format!("p/{n}")))?;
        }
    }
    let busy = descriptors(&world)?;
    ensure!(
        busy < 2300,
        "{busy} descriptors after changes in 3000 directories"
    );
    // Held open by a user, each may cost the daemon one; closed, none.
    let files: Vec<File> = (0..300)
        .map(|n| File::open(world.m(&format!("d/{n}/f"))))
        .collect::<std::io::Result<_>>()?;
    ensure!(
        descriptors(&world)? < 2700,
        "{} descriptors with 300 open files",
        descriptors(&world)?
    );
    drop(files);
    for n in 0..3000 {
        fs::remove_dir_all(world.m(&format!("d/{n}")))?;
    }
    forget(&world, 100)?;
    let end = descriptors(&world)?;
    eprintln!("descriptors: {idle} idle, {busy} busy, {end} in the end");
    ensure!(end < 1200, "{end} descriptors in the end");
    ensure!(
        world.status()?.number("open_handles")? == 0,
        "open handles are left"
    );
    Ok(())
}
