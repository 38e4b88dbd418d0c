//! Daemons that are killed while they copy.

mod common;

use std::fs::{self};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::snapshot::snapshot;
use common::{On, World, append, exists, names, read, run, same, wait_for};

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

/// Ends the daemon at once, and takes the dead mount away.
fn kill(world: &mut World, pid: u64) -> Result<()> {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid)?).context("pid 0")?;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
    let proc = format!("/proc/{}/mem", pid.as_raw_nonzero());
    wait_for(Duration::from_secs(20), "the daemon to die", || {
        let state =
            fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
        !Path::new(&proc).exists() || state.is_empty() || state.contains(") Z ")
    })?;
    run(&["umount", "-l", text(&world.at("m"))])?;
    world.abandon();
    Ok(())
}

#[test]
fn a_daemon_killed_while_seeding_leaves_nothing_half() -> Result<()> {
    let mut killed_midway = 0;
    for wait in [20, 60, 150, 400] {
        let Some(world) = World::on("kill seed", On::Disk)? else {
            return Ok(());
        };
        let mut world = world.rule("/p/", "persistent").rule("/l/", "localdisk");
        for top in ["p", "l"] {
            for n in 0..600 {
                world.put(
                    &format!("image/{top}/{}/{n}", n % 10),
                    vec![b'a' + (n % 26) as u8; 20_000],
                )?;
            }
            world.put(&format!("image/{top}/big"), vec![b'B'; 48 << 20])?;
        }
        let wanted = [
            snapshot(&world.at("image/p"))?,
            snapshot(&world.at("image/l"))?,
        ];
        world.start()?;
        let pid = world.status()?.number("pid")?;
        let users = ["p", "l"].map(|top| {
            let dir = world.m(top);
            std::thread::spawn(move || names(dir).is_ok())
        });
        std::thread::sleep(Duration::from_millis(wait));
        kill(&mut world, pid)?;
        for user in users {
            killed_midway += usize::from(!user.join().unwrap_or(true));
        }
        for (at, store) in ["per/p", "loc/l"].iter().enumerate() {
            if exists(world.at(store)) {
                let lines =
                    common::snapshot::differences(&snapshot(&world.at(store))?, &wanted[at]);
                ensure!(
                    lines.is_empty(),
                    "after {wait} ms {store} is half seeded: {} differences",
                    lines.len()
                );
            }
        }
        world.start()?;
        for (at, top) in ["p", "l"].iter().enumerate() {
            let lines = common::snapshot::differences(&snapshot(&world.m(top))?, &wanted[at]);
            ensure!(
                lines.is_empty(),
                "after {wait} ms: {} differences: {:?}",
                lines.len(),
                lines.first()
            );
        }
        let left = names(world.at("per/.statelite.work/seed")).unwrap_or_default();
        same(left, Vec::<String>::new(), "left of the seed")?;
    }
    ensure!(killed_midway > 0, "no seed was interrupted");
    Ok(())
}

#[test]
fn a_daemon_killed_during_copy_up_leaves_the_old_or_the_new_file() -> Result<()> {
    let mut early = 0;
    for wait in [5, 20, 50, 100, 200] {
        let Some(world) = World::on("kill copy-up", On::Disk)? else {
            return Ok(());
        };
        let mut world = world.rule("/v/", "tmpfs");
        let old = vec![b'o'; 96 << 20];
        world.put("image/v/big", &old)?;
        world.start()?;
        let pid = world.status()?.number("pid")?;
        let path = world.m("v/big");
        let writer = std::thread::spawn(move || append(path, b"new").is_ok());
        std::thread::sleep(Duration::from_millis(wait));
        kill(&mut world, pid)?;
        early += usize::from(!writer.join().unwrap_or(true));
        world.start()?;
        let got = fs::read(world.m("v/big"))?;
        ensure!(
            got.len() == old.len() || got.len() == old.len() + 3,
            "after {wait} ms: {} bytes",
            got.len()
        );
        ensure!(
            got[..old.len()] == old[..],
            "after {wait} ms: content differs"
        );
        let left: Vec<String> = names(world.at("vol/.statelite.work"))?
            .into_iter()
            .filter(|name| name.starts_with("tmp."))
            .collect();
        same(left, Vec::<String>::new(), "left in the work directory")?;
        append(world.m("v/big"), b"again")?;
        ensure!(
            read(world.m("v/big"))?.ends_with("again"),
            "after {wait} ms: it cannot be changed"
        );
    }
    ensure!(early > 0, "no copy-up was interrupted");
    Ok(())
}
