//! Many threads at once. `STATELITE_SECONDS` is how long the endurance tests run.

mod common;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use common::{On, World, env, exists, ino, names, same};
use statelite_tests::mount::Passthrough;

const SETTINGS: [(usize, Passthrough); 3] = [
    (1, Passthrough::Off),
    (4, Passthrough::Off),
    (4, Passthrough::Auto),
];

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

/// A small generator of numbers; good enough to mix operations.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[test]
fn writers_that_copy_up_one_file_together_lose_nothing() -> Result<()> {
    const WRITERS: usize = 16;
    for (threads, mode) in SETTINGS {
        let Some(world) = World::new("copy-up")? else {
            return Ok(());
        };
        let mut world = world.rule("/", "tmpfs").threads(threads).passthrough(mode);
        let files: Vec<(String, usize)> = (0..40)
            .map(|n| (format!("d/small{n}"), WRITERS * 256))
            .chain((0..4).map(|n| (format!("d/big{n}"), 8 << 20)))
            .collect();
        for (name, size) in &files {
            world.put(&format!("image/{name}"), vec![b'.'; *size])?;
        }
        world.start()?;
        for (name, size) in &files {
            let path = world.m(name);
            let block = size / WRITERS;
            let barrier = std::sync::Barrier::new(WRITERS);
            let (path, barrier) = (&path, &barrier);
            let writer = |index: usize| -> Box<dyn FnOnce() -> Result<()> + Send> {
                Box::new(move || {
                    barrier.wait();
                    let file = OpenOptions::new().write(true).open(path)?;
                    let data = vec![b'a' + index as u8; block];
                    // In two pieces, the second first.
                    let half = block / 2;
                    file.write_all_at(&data[half..], (index * block + half) as u64)?;
                    file.write_all_at(&data[..half], (index * block) as u64)?;
                    Ok(())
                })
            };
            all((0..WRITERS).map(writer).collect()).with_context(|| name.clone())?;
            let content = fs::read(path)?;
            same(content.len(), *size, "size")?;
            for (index, piece) in content.chunks(block).enumerate() {
                let wrong = piece
                    .iter()
                    .filter(|byte| **byte != b'a' + index as u8)
                    .count();
                same(
                    wrong,
                    0,
                    &format!("{name}, {threads} threads, {mode:?}: lost bytes of writer {index}"),
                )?;
            }
        }
    }
    Ok(())
}

/// What one thread's directory holds: names and contents.
type Own = BTreeMap<String, String>;

/// Creates, renames, links and removes names in a directory of its own.
fn churn(dir: &Path, shared: &Path, seed: u64, end: Instant, count: &AtomicU64) -> Result<Own> {
    let mut numbers = Numbers(seed * 0x9E37_79B9 + 1);
    let mut own: Own = (0..20)
        .map(|n| (format!("lower{n}"), format!("lower{n}")))
        .collect();
    while Instant::now() < end {
        count.fetch_add(1, Ordering::Relaxed);
        let name = if numbers.below(3) == 0 {
            format!("lower{}", numbers.below(20))
        } else {
            format!("n{}", numbers.below(20))
        };
        let other = format!("n{}", numbers.below(20));
        let (path, target) = (dir.join(&name), dir.join(&other));
        let at = |what: &str| format!("{what} {} {other}", path.display());
        match numbers.below(7) {
            0 | 1 => {
                // Never writes through a link.
                let _ = fs::remove_file(&path);
                fs::write(&path, &name).with_context(|| at("write"))?;
                own.insert(name.clone(), name);
            }
            2 if own.contains_key(&name) && name != other => {
                let same_file = ino(&path).ok() == ino(&target).ok();
                fs::rename(&path, &target).with_context(|| at("rename"))?;
                if !same_file && let Some(content) = own.remove(&name) {
                    own.insert(other, content);
                }
            }
            3 if own.contains_key(&name) => {
                fs::remove_file(&path).with_context(|| at("unlink"))?;
                own.remove(&name);
            }
            4 if own.contains_key(&name) && !own.contains_key(&other) => {
                fs::hard_link(&path, &target).with_context(|| at("link"))?;
                let content = own.get(&name).cloned().unwrap_or_default();
                own.insert(other, content);
            }
            5 if own.contains_key(&name) => {
                // Through the shared directory and back, with others doing the same.
                let away = shared.join(format!("{seed}-{name}"));
                fs::rename(&path, &away).with_context(|| at("rename away"))?;
                ensure!(
                    exists(&away) && !exists(&path),
                    "{}",
                    at("is at both or neither")
                );
                fs::rename(&away, &path).with_context(|| at("rename back"))?;
            }
            6 => {
                let wanted: Vec<&String> = own.keys().collect();
                let got: Vec<String> = names(dir)?
                    .into_iter()
                    .filter(|name| name != "sub" && name != "moved")
                    .collect();
                ensure!(
                    got.iter().eq(wanted.iter().copied()),
                    "{}: got {got:?}, wanted {wanted:?}",
                    at("list")
                );
            }
            _ => {
                let got = fs::read_to_string(&path).ok();
                ensure!(
                    got.as_ref() == own.get(&name),
                    "{}: {got:?}, wanted {:?}",
                    at("read"),
                    own.get(&name)
                );
            }
        }
    }
    Ok(own)
}

#[test]
fn eight_threads_of_changes_end_in_the_tree_they_made() -> Result<()> {
    for (threads, mode) in SETTINGS {
        let Some(world) = World::on("churn", if threads == 1 { On::Disk } else { On::Tmpfs })?
        else {
            return Ok(());
        };
        let mut world = world
            .trees()
            .rule("/", "tmpfs")
            .threads(threads)
            .passthrough(mode);
        world.spec.lifetime = seconds() + Duration::from_secs(120);
        for thread in 0..8 {
            for n in 0..20 {
                let layer = if n % 3 == 0 { "t1" } else { "image" };
                world.put(&format!("{layer}/w{thread}/lower{n}"), format!("lower{n}"))?;
            }
            world.put(&format!("image/w{thread}/sub/x"), "x")?;
        }
        world.dir("image/shared")?;
        world.start()?;
        let end = Instant::now() + seconds() / 2;
        let count = AtomicU64::new(0);
        let models = std::thread::scope(|scope| -> Result<Vec<Own>> {
            let workers: Vec<_> = (0..8_u64)
                .map(|thread| {
                    let (dir, shared, count) =
                        (world.m(&format!("w{thread}")), world.m("shared"), &count);
                    scope.spawn(move || churn(&dir, &shared, thread + 1, end, count))
                })
                .collect();
            // Meanwhile lower directories move under the same parents.
            let mover = scope.spawn(|| -> Result<()> {
                while Instant::now() < end {
                    for (from, to) in [
                        ("w0/sub", "w1/moved"),
                        ("w1/moved", "shared/sub"),
                        ("shared/sub", "w0/sub"),
                    ] {
                        fs::rename(world.m(from), world.m(to))
                            .with_context(|| format!("{from} to {to}"))?;
                        same(
                            common::read(world.m(&format!("{to}/x")))?,
                            "x",
                            "in the moved directory",
                        )?;
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
                Ok(())
            });
            let models = workers
                .into_iter()
                .map(|worker| worker.join().map_err(|_| anyhow!("panicked"))?);
            let models = models.collect::<Vec<Result<Own>>>();
            mover.join().map_err(|_| anyhow!("the mover panicked"))??;
            models.into_iter().collect()
        })
        .with_context(|| format!("{threads} threads, {mode:?}"))?;
        eprintln!(
            "{threads} threads, {mode:?}: {} operations",
            count.load(Ordering::Relaxed)
        );
        for round in ["in the end", "after remount"] {
            for (thread, own) in models.iter().enumerate() {
                let dir = world.m(&format!("w{thread}"));
                let mut found = Own::new();
                for name in names(&dir)?
                    .into_iter()
                    .filter(|name| name != "sub" && name != "moved")
                {
                    found.insert(name.clone(), common::read(dir.join(&name))?);
                }
                same(&found, own, &format!("w{thread} {round}"))?;
            }
            same(
                names(world.m("shared"))?,
                Vec::<String>::new(),
                "the shared directory",
            )?;
            same(common::read(world.m("w0/sub/x"))?, "x", round)?;
            world.remount()?;
        }
    }
    Ok(())
}

#[test]
fn names_of_one_file_stay_one_file_under_load() -> Result<()> {
    for (threads, mode) in SETTINGS {
        let Some(world) = World::new("links")? else {
            return Ok(());
        };
        let mut world = world.rule("/", "tmpfs").threads(threads).passthrough(mode);
        for n in 0..50 {
            world.put(&format!("image/d/{n}-a"), "start")?;
            for other in ["b", "c", "d"] {
                fs::hard_link(
                    world.at(&format!("image/d/{n}-a")),
                    world.at(&format!("image/d/{n}-{other}")),
                )?;
            }
        }
        world.start()?;
        for n in 0..50 {
            let at = |name: &str| world.m(&format!("d/{n}-{name}"));
            let bodies =
                ["a", "b", "c", "d"].map(|name| -> Box<dyn FnOnce() -> Result<()> + Send> {
                    let (path, link) = (at(name), at(&format!("new-{name}")));
                    Box::new(move || {
                        common::append(&path, name.as_bytes())?;
                        fs::hard_link(&path, &link).context("link")?;
                        common::append(&link, name.as_bytes())
                    })
                });
            all(bodies.into())?;
            let number = ino(at("a"))?;
            let content = common::read(at("a"))?;
            same(content.len(), 5 + 8, &format!("lost an append: {content}"))?;
            for name in ["a", "b", "c", "d", "new-a", "new-b", "new-c", "new-d"] {
                let meta = common::meta(at(name))?;
                same(
                    (meta.ino(), meta.nlink()),
                    (number, 8),
                    &format!("number and links of {n}-{name}"),
                )?;
                same(common::read(at(name))?, content.as_str(), "content")?;
            }
        }
    }
    Ok(())
}

/// One replaces the content of a file in the usual way, others read it: they see it, or a part, or nothing.
#[test]
fn readers_never_see_bytes_nobody_wrote() -> Result<()> {
    for (threads, mode) in SETTINGS {
        let Some(world) = World::new("truncate")? else {
            return Ok(());
        };
        let mut world = world
            .rule("/v/", "tmpfs")
            .threads(threads)
            .passthrough(mode);
        world.put("image/v/f", "content")?;
        world.start()?;
        let path = &world.m("v/f");
        let end = Instant::now() + seconds() / 5;
        let mut bodies: Vec<Box<dyn FnOnce() -> Result<()> + Send>> = Vec::new();
        bodies.push(Box::new(move || {
            while Instant::now() < end {
                fs::write(path, "content")?;
            }
            Ok(())
        }));
        for _ in 0..3 {
            bodies.push(Box::new(move || {
                let (mut strange, mut reads) = (BTreeMap::new(), 0);
                while Instant::now() < end {
                    let text = fs::read(path)?;
                    reads += 1;
                    if !b"content".starts_with(&text) {
                        *strange
                            .entry(String::from_utf8_lossy(&text).into_owned())
                            .or_insert(0) += 1;
                    }
                }
                // The kernel zero-fills a page whose read comes back short between the daemon's cut and
                // its own knowledge of it. The daemon waits for that, but not for a client that is
                // not scheduled (SEMANTICS, section 8). Zeroes only, and hardly ever.
                let bad: u32 = strange.values().sum();
                let zeroes = strange.keys().all(|text| text.bytes().all(|b| b == 0));
                ensure!(
                    zeroes && bad <= 1 + reads / 500,
                    "{threads} threads, {mode:?}: of {reads} reads: {strange:?}"
                );
                Ok(())
            }));
        }
        all(bodies)?;
    }
    Ok(())
}
