//! Directories that are listed while they change. `STATELITE_SECONDS` is how long the endurance tests run.

mod common;

use std::collections::BTreeSet;
use std::fs::{self};
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use common::{World, env, names, same};
use rustix::fs::{Mode, OFlags, RawDir, SeekFrom};
use statelite_tests::mount::Passthrough;

fn seconds() -> Duration {
    Duration::from_secs(env("STATELITE_SECONDS", 10) as u64)
}

/// Runs all bodies at once; the first error counts.
fn all<'a>(bodies: Vec<Box<dyn FnOnce() -> Result<()> + Send + 'a>>) -> Result<()> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = bodies.into_iter().map(|body| scope.spawn(body)).collect();
        let mut first = Ok(());
        for thread in threads {
            let outcome = thread.join().map_err(|_| anyhow!("a thread panicked"))?;
            first = first.and(outcome);
        }
        first
    })
}

/// Reads a directory with this many bytes at a time.
fn list(path: &Path, size: usize) -> Result<Vec<String>> {
    let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    let mut buffer = vec![MaybeUninit::uninit(); size];
    let mut entries = RawDir::new(fd, &mut buffer);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    Ok(names)
}

#[test]
fn listings_during_renames_show_each_name_at_most_once_and_miss_none_that_stays() -> Result<()> {
    for (threads, mode) in [(1, Passthrough::Off), (4, Passthrough::Auto)] {
        let Some(world) = World::new("listing")? else {
            return Ok(());
        };
        let mut world = world
            .trees()
            .rule("/", "tmpfs")
            .threads(threads)
            .passthrough(mode);
        // Half of them lower, of two layers, half made in the mount.
        for n in 0..1000 {
            let layer = if n % 2 == 0 { "image" } else { "t1" };
            world.put(&format!("{layer}/d/lower-{n:04}"), "")?;
        }
        world.start()?;
        for n in 0..1000 {
            fs::write(world.m(&format!("d/upper-{n:04}")), "")?;
        }
        let moving: Vec<String> = (0..1000)
            .filter(|n| n % 10 == 0)
            .flat_map(|n| [format!("lower-{n:04}"), format!("upper-{n:04}")])
            .collect();
        let staying: BTreeSet<String> = names(world.m("d"))?
            .into_iter()
            .filter(|name| !moving.contains(name))
            .collect();
        same(staying.len(), 1800, "names that stay")?;
        let done = AtomicBool::new(false);
        let dir = world.m("d");
        let (dir, done, staying, moving) = (&dir, &done, &staying, &moving);
        let mut bodies: Vec<Box<dyn FnOnce() -> Result<()> + Send>> = Vec::new();
        bodies.push(Box::new(move || {
            let end = Instant::now() + seconds() / 2;
            let rename = || -> Result<()> {
                for name in moving {
                    fs::rename(dir.join(name), dir.join(format!("moved-{name}")))?;
                }
                for name in moving {
                    fs::rename(dir.join(format!("moved-{name}")), dir.join(name))?;
                }
                Ok(())
            };
            let mut outcome = Ok(());
            while outcome.is_ok() && Instant::now() < end {
                outcome = rename();
            }
            done.store(true, Ordering::Relaxed);
            outcome
        }));
        for size in [300, 1024, 32768] {
            bodies.push(Box::new(move || {
                while !done.load(Ordering::Relaxed) {
                    let listed = list(dir, size)?;
                    let unique: BTreeSet<String> = listed.iter().cloned().collect();
                    same(
                        unique.len(),
                        listed.len(),
                        &format!("names at {size} bytes: some twice"),
                    )?;
                    let missed: Vec<_> = staying.difference(&unique).take(3).collect();
                    ensure!(
                        missed.is_empty(),
                        "{size} bytes at a time: missed {missed:?}"
                    );
                }
                Ok(())
            }));
        }
        all(bodies)?;
        same(names(dir)?.len(), 2000, "names in the end")?;
    }
    Ok(())
}

#[test]
fn a_place_in_a_directory_stays_valid_while_it_changes() -> Result<()> {
    let Some(world) = World::new("seekdir")? else {
        return Ok(());
    };
    let mut world = world.rule("/", "tmpfs");
    for n in 0..500 {
        world.put(&format!("image/d/lower-{n:03}"), "")?;
    }
    world.start()?;
    let dir = world.m("d");
    let fd = rustix::fs::open(&dir, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    let mut buffer = vec![MaybeUninit::uninit(); 512];
    // All names with the cookie behind each.
    let mut places: Vec<(String, u64)> = Vec::new();
    let mut entries = RawDir::new(&fd, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        places.push((
            entry.file_name().to_string_lossy().into_owned(),
            entry.next_entry_cookie(),
        ));
    }
    same(places.len(), 502, "names")?;
    for n in (0..500).step_by(2) {
        fs::remove_file(dir.join(format!("lower-{n:03}")))?;
        fs::write(dir.join(format!("new-{n:03}")), "")?;
    }
    let odd = |name: &str| {
        name.strip_prefix("lower-")
            .is_some_and(|n| n.parse::<u32>().is_ok_and(|n| n % 2 == 1))
    };
    for at in [0, 3, 100, 251, 499] {
        let (_, cookie) = places[at];
        rustix::fs::seek(&fd, SeekFrom::Start(cookie))?;
        let mut buffer = vec![MaybeUninit::uninit(); 512];
        let mut entries = RawDir::new(&fd, &mut buffer);
        let mut after = BTreeSet::new();
        while let Some(entry) = entries.next() {
            let name = entry?.file_name().to_string_lossy().into_owned();
            ensure!(after.insert(name.clone()), "{name} twice");
        }
        let wanted: Vec<&String> = places[at + 1..]
            .iter()
            .map(|(name, _)| name)
            .filter(|name| odd(name))
            .collect();
        let got: Vec<&String> = after.iter().filter(|name| odd(name)).collect();
        same(
            got.len(),
            wanted.len(),
            &format!("names that stayed behind place {at}"),
        )?;
        ensure!(
            wanted.iter().all(|name| after.contains(*name)),
            "a name that stayed is missed behind place {at}"
        );
    }
    // rewinddir shows what is there now.
    rustix::fs::seek(&fd, SeekFrom::Start(0))?;
    let mut buffer = vec![MaybeUninit::uninit(); 512];
    let mut entries = RawDir::new(&fd, &mut buffer);
    let mut count = 0;
    while let Some(entry) = entries.next() {
        let name = entry?.file_name().to_string_lossy().into_owned();
        ensure!(
            name.starts_with("new-") || odd(&name) || name.starts_with('.'),
            "{name} is gone"
        );
        count += 1;
    }
    same(count, 502, "names after rewinding")
}
