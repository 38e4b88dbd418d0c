//! Another policy under a running writer, reader and scan. `STATELITE_RELOADS` is how often.

mod common;

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result, anyhow, ensure};
use common::{World, append, env, exists, fails, meta, names, read, same};
use rustix::io::Errno;

#[test]
fn reloads_under_load_fail_nobody_and_leave_no_stale_view() -> Result<()> {
    for threads in [1, 4] {
        under_load(threads, env("STATELITE_RELOADS", 200) / 2)?;
    }
    Ok(())
}

/// `/s/` is volatile throughout; `/t/` is the image's or volatile, in turns.
fn under_load(threads: usize, reloads: usize) -> Result<()> {
    let Some(world) = World::new("reload under load")? else {
        return Ok(());
    };
    let mut world = world
        .trees()
        .rule("/s/", "tmpfs")
        .rule("/p/", "persistent")
        .threads(threads);
    world.spec.lifetime = std::time::Duration::from_secs(900);
    for n in 0..200 {
        world.put(&format!("image/s/f{n}"), format!("f{n}"))?;
        world.put(&format!("image/t/f{n}"), format!("f{n}"))?;
    }
    world.put("t1/t/tree", "tree")?;
    world.put("image/s/log", "")?;
    world.put("image/p/log", "")?;
    world.start()?;
    let done = AtomicBool::new(false);
    let counts = [const { AtomicU64::new(0) }; 5];
    let goes_on = || !done.load(Ordering::Relaxed);
    std::thread::scope(|scope| -> Result<()> {
        let writer = scope.spawn(|| -> Result<()> {
            for (n, store) in ["s", "p"]
                .into_iter()
                .cycle()
                .enumerate()
                .take_while(|_| goes_on())
            {
                append(world.m(&format!("{store}/log")), b"line\n").context("writer")?;
                let path = world.m(&format!("s/n{}", n % 50));
                fs::write(&path, "new").context("writer")?;
                fs::rename(&path, world.m("s/moved")).context("writer")?;
                counts[0].fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        let changer = scope.spawn(|| -> Result<()> {
            // In /t a write works or is refused as read-only; anything else is a failure.
            for n in (0..200).cycle().take_while(|_| goes_on()) {
                // Without truncation: a reader may not see an empty file.
                let path = world.m(&format!("t/f{n}"));
                let file = OpenOptions::new().write(true).open(path);
                match file.and_then(|file| file.write_all_at(format!("f{n}").as_bytes(), 0)) {
                    Err(error) if error.raw_os_error() == Some(Errno::ROFS.raw_os_error()) => {}
                    other => other.with_context(|| format!("changing t/f{n}"))?,
                }
                counts[1].fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        let reader = scope.spawn(|| -> Result<()> {
            for n in (0..200).cycle().take_while(|_| goes_on()) {
                for top in ["s", "t"] {
                    let text = read(world.m(&format!("{top}/f{n}"))).context("reader")?;
                    ensure!(text == format!("f{n}"), "{top}/f{n}: {text:?}");
                }
                counts[2].fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        let scanner = scope.spawn(|| -> Result<()> {
            while goes_on() {
                for (top, extra) in [("s", "log"), ("t", "f0")] {
                    let listed = names(world.m(top)).context("scanner")?;
                    let unique: BTreeSet<&String> = listed.iter().collect();
                    same(unique.len(), listed.len(), "a name twice")?;
                    let stays = (0..200).all(|n| unique.contains(&format!("f{n}")));
                    ensure!(
                        stays && listed.iter().any(|name| name == extra),
                        "{top}: a name is missed"
                    );
                }
                counts[3].fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        let reload = || -> Result<()> {
            let base = [("/s/", "tmpfs"), ("/p/", "persistent")];
            for n in 0..reloads {
                world.reload_ok(&[base[0], base[1], ("/t/", "tmpfs"), ("/new/x/file", "tmpfs")])?;
                ensure!(exists(world.m("t/tree")), "reload {n}: a stale view of /t");
                ensure!(
                    exists(world.m("new/x/file")),
                    "reload {n}: a stale view of /new"
                );
                fs::write(world.m(&format!("t/own{}", n % 3)), "x")
                    .with_context(|| format!("reload {n}"))?;
                world.reload_ok(&base)?;
                ensure!(!exists(world.m("t/tree")), "reload {n}: a stale view of /t");
                ensure!(
                    !names(world.m("t"))?.contains(&format!("own{}", n % 3)),
                    "reload {n}: a stale listing of /t"
                );
                ensure!(!exists(world.m("new")), "reload {n}: a stale view of /new");
                fails(fs::write(world.m("t/own"), "x"), Errno::ROFS)
                    .with_context(|| format!("reload {n}"))?;
                counts[4].fetch_add(2, Ordering::Relaxed);
            }
            Ok(())
        };
        let outcome = reload();
        done.store(true, Ordering::Relaxed);
        for thread in [writer, changer, reader, scanner] {
            thread.join().map_err(|_| anyhow!("a thread panicked"))??;
        }
        outcome
    })?;
    let counts: Vec<u64> = counts
        .iter()
        .map(|count| count.load(Ordering::Relaxed))
        .collect();
    eprintln!("{threads} threads: writes, changes, reads, scans, reloads: {counts:?}");
    let written = counts.first().copied().unwrap_or_default();
    let lines = meta(world.m("s/log"))?.len() + meta(world.m("p/log"))?.len();
    same(lines, 5 * written, "lines written")
}
