//! A node's own files follow the rule to another store, with the node running.

mod common;

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use common::snapshot::{Snapshot, differences, snapshot};
use common::{World, append, chmod, exists, fails, names, read, same, wait_for};
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use statelite_tests::cmd::End;

/// Words that take a path to each of the stores.
const STORES: [&str; 3] = ["tmpfs", "persistent", "localdisk"];

fn same_tree(got: &Snapshot, wanted: &Snapshot, what: &str) -> Result<()> {
    let found = differences(got, wanted);
    ensure!(found.is_empty(), "{what}:\n{}", found.join("\n"));
    Ok(())
}

/// An image and a tree with everything that a directory can have.
fn layers(world: &World) -> Result<()> {
    for file in [
        "edited",
        "replaced",
        "gone",
        "same",
        "sub/deep/f",
        "old/in",
        "cut",
    ] {
        world.put(&format!("image/d/{file}"), format!("image {file}\n"))?;
    }
    world.put("t1/d/tree", "of the tree\n")?;
    world.put("t1/d/sub/tree", "of the tree\n")?;
    fs::hard_link(world.at("image/d/same"), world.at("image/d/same2"))?;
    fs::hard_link(world.at("image/d/edited"), world.at("image/d/edited2"))?;
    symlink("same", world.at("image/d/link"))?;
    Ok(())
}

/// Changes of every kind.
fn change(world: &World) -> Result<()> {
    append(world.m("d/edited"), b"mine\n")?;
    fs::remove_file(world.m("d/gone"))?;
    fs::write(world.m("d/new"), "new\n")?;
    fs::write(world.m("d/replacement"), "mine\n")?;
    fs::rename(world.m("d/replacement"), world.m("d/replaced"))?;
    fs::rename(world.m("d/old"), world.m("d/moved"))?;
    fs::create_dir(world.m("d/empty"))?;
    chmod(world.m("d/empty"), 0o2751)?;
    chmod(world.m("d/sub"), 0o700)?;
    symlink("/nowhere", world.m("d/dangling"))?;
    fs::hard_link(world.m("d/new"), world.m("d/sub/new too"))?;
    rustix::fs::mknodat(
        rustix::fs::CWD,
        world.m("d/pipe"),
        rustix::fs::FileType::Fifo,
        0o640.into(),
        0,
    )?;
    let sparse = File::create(world.m("d/sparse"))?;
    sparse.set_len(8 << 20)?;
    sparse.write_all_at(b"end", (8 << 20) - 3)?;
    OpenOptions::new()
        .write(true)
        .open(world.m("d/cut"))?
        .set_len(3)?;
    rustix::fs::setxattr(world.m("d/sub"), "user.of", b"sub", XattrFlags::empty())?;
    rustix::fs::setxattr(world.m("d/new"), "user.of", b"new", XattrFlags::empty())?;
    rustix::fs::chownat(
        rustix::fs::CWD,
        world.m("d/edited"),
        Some(rustix::fs::Uid::from_raw(1234)),
        Some(rustix::fs::Gid::from_raw(4321)),
        rustix::fs::AtFlags::empty(),
    )?;
    Ok(())
}

#[test]
fn everything_follows_to_every_other_store_and_back() -> Result<()> {
    for from in STORES {
        for to in STORES.into_iter().filter(|to| *to != from) {
            let Some(world) = World::new("carry")? else {
                return Ok(());
            };
            let mut world = world.trees().rule("/d/", from);
            layers(&world)?;
            world.start()?;
            change(&world)?;
            let what = format!("{from} -> {to}");
            let before = snapshot(&world.m("d"))?;
            let plan = world.program(&["plan"], &["--rule", &format!("/d/={to}")])?;
            ensure!(
                plan.success() && plan.stdout.contains("carried over"),
                "{what}: {plan}"
            );
            let outcome = world.reload_ok(&[("/d/", to)]).context(what.clone())?;
            ensure!(outcome.stdout.contains("\"carried\""), "{what}: {outcome}");
            same_tree(&snapshot(&world.m("d"))?, &before, &what)?;
            // What was volatile is no longer in memory; what was stored is where it was.
            same(
                exists(world.at("vol/d")),
                to == "tmpfs",
                "the volatile store",
            )?;
            append(world.m("d/new"), b"more\n")?;
            fs::remove_file(world.m("d/same2"))?;
            let now = snapshot(&world.m("d"))?;
            world
                .reload_ok(&[("/d/", from)])
                .context(format!("{what} -> {from}"))?;
            same_tree(&snapshot(&world.m("d"))?, &now, &format!("{what} and back"))?;
            fs::write(world.m("d/sub/deep/f"), "again\n")?;
            let last = snapshot(&world.m("d"))?;
            world.spec.rules = vec![("/d/".to_owned(), from.to_owned())];
            world.remount()?;
            same_tree(
                &snapshot(&world.m("d"))?,
                &last,
                &format!("{what}, mounted anew"),
            )?;
            // The work directories have nothing half-made.
            for store in ["vol", "per", "loc"] {
                let work = world.at(store).join(".statelite.work");
                let left = fs::read_dir(work)?
                    .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
                let left: Vec<String> = left.filter(|name| name.starts_with("tmp.")).collect();
                ensure!(left.is_empty(), "{what}: {store}: {left:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn an_earlier_copy_in_the_store_is_put_by() -> Result<()> {
    let Some(world) = World::new("earlier")? else {
        return Ok(());
    };
    let mut world = world.rule("/d/", "persistent").rule("/f", "persistent");
    world.put("image/d/a", "image")?;
    world.put("image/f", "image")?;
    world.start()?;
    fs::write(world.m("d/a"), "first")?;
    fs::write(world.m("f"), "first")?;
    world.reload_ok(&[("/d/", "tmpfs"), ("/f", "tmpfs")])?;
    same(read(world.at("per/d/a"))?, "first", "the stored copy stays")?;
    fs::write(world.m("d/a"), "second")?;
    fs::write(world.m("f"), "second")?;
    let outcome = world.program(
        &["reload"],
        &["--rule", "/d/=persistent", "--rule", "/f=persistent"],
    )?;
    ensure!(
        outcome.success() && outcome.stdout.contains("earlier copy"),
        "{outcome}"
    );
    same(read(world.at("per/d/a"))?, "second", "carried over")?;
    same(read(world.at("per/f"))?, "second", "carried over")?;
    let replaced = world.at("per/.statelite.work/replaced");
    let by = names(&replaced)?;
    same(by.len(), 2, "put by")?;
    for name in by {
        let file = replaced.join(&name);
        let file = if file.is_dir() { file.join("a") } else { file };
        same(read(file)?, "first", "put by")?;
        ensure!(
            outcome.stdout.contains(&name),
            "{name} is not told: {outcome}"
        );
    }
    Ok(())
}

#[test]
fn what_was_removed_stays_removed() -> Result<()> {
    let Some(world) = World::new("removed")? else {
        return Ok(());
    };
    let mut world = world.rule("/f", "tmpfs").rule("/d/", "tmpfs");
    world.put("image/f", "image")?;
    world.put("image/d/x", "image")?;
    world.start()?;
    fs::remove_file(world.m("f"))?;
    fs::remove_dir_all(world.m("d"))?;
    for option in ["persistent", "localdisk", "tmpfs", "persistent"] {
        world.reload_ok(&[("/f", option), ("/d/", option)])?;
        ensure!(
            !exists(world.m("f")) && !exists(world.m("d")),
            "{option}: back again"
        );
    }
    world.spec.rules = vec![
        ("/f".to_owned(), "persistent".to_owned()),
        ("/d/".to_owned(), "persistent".to_owned()),
    ];
    world.remount()?;
    ensure!(
        !exists(world.m("f")) && !exists(world.m("d")),
        "back after a mount"
    );
    fs::write(world.m("f"), "anew")?;
    same(read(world.m("f"))?, "anew", "made again")
}

#[test]
fn rules_inside_keep_their_own() -> Result<()> {
    let Some(world) = World::new("inside")? else {
        return Ok(());
    };
    let (volatile, persistent, ro) = (
        ("/v/in/cache/", "tmpfs"),
        ("/v/in/db/", "persistent"),
        ("/v/in/fixed", "ro"),
    );
    let mut world = world
        .rule("/v/", "tmpfs")
        .rule(volatile.0, volatile.1)
        .rule(persistent.0, persistent.1)
        .rule(ro.0, ro.1);
    for file in ["f", "in/f", "in/cache/f", "in/db/f", "in/fixed", "plain/f"] {
        world.put(&format!("image/v/{file}"), "image\n")?;
    }
    world.start()?;
    for file in ["f", "in/f", "in/cache/f", "in/db/f"] {
        append(world.m(&format!("v/{file}")), b"mine\n")?;
    }
    fs::write(world.m("v/in/cache/new"), "new")?;
    let before = snapshot(&world.m("v"))?;
    for option in ["persistent", "tmpfs", "localdisk", "persistent", "tmpfs"] {
        world
            .reload_ok(&[("/v/", option), volatile, persistent, ro])
            .context(option)?;
        same_tree(&snapshot(&world.m("v"))?, &before, option)?;
        same(
            read(world.at("vol/v/in/cache/new"))?,
            "new",
            "the volatile rule inside",
        )?;
        same(
            read(world.at("per/v/in/db/f"))?,
            "image\nmine\n",
            "the persistent rule inside",
        )?;
    }
    // A rule inside goes, and comes back: what it had is carried into the one around it, and out again.
    let (outer, db) = (("/v/", "tmpfs"), world.m("v/in/db"));
    world.reload_ok(&[outer, volatile, ro])?;
    same_tree(
        &snapshot(&world.m("v"))?,
        &before,
        "without the persistent rule",
    )?;
    fs::write(db.join("late"), "late")?;
    fs::remove_file(db.join("late"))?;
    for option in ["persistent", "localdisk", "tmpfs", "persistent"] {
        world
            .reload_ok(&[outer, volatile, ro, ("/v/in/db/", option)])
            .context(option)?;
        same(read(db.join("f"))?, "image\nmine\n", option)?;
        fs::write(db.join("f"), "image\nmine\n")?;
        same(names(&db)?, ["f"], option)?;
    }
    let before = snapshot(&world.m("v"))?;
    world.reload_ok(&[outer, volatile, persistent, ro])?;
    // The rules inside go: what they had is carried into the one around them.
    world.reload_ok(&[("/v/", "localdisk"), ro])?;
    same_tree(&snapshot(&world.m("v"))?, &before, "one rule")?;
    same(
        read(world.at("loc/v/in/cache/new"))?,
        "new",
        "from the volatile rule",
    )?;
    same(
        read(world.at("loc/v/in/db/f"))?,
        "image\nmine\n",
        "from the persistent rule",
    )
}

#[test]
fn who_works_there_goes_on() -> Result<()> {
    for (from, to) in [
        ("tmpfs", "persistent"),
        ("persistent", "tmpfs"),
        ("tmpfs", "localdisk"),
    ] {
        let Some(world) = World::new("open")? else {
            return Ok(());
        };
        let mut world = world.rule("/d/", from);
        world.put("image/d/f", "image")?;
        world.put("image/d/sub/f", "image")?;
        world.start()?;
        fs::write(world.m("d/mine"), "mine")?;
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .open(world.m("d/mine"))?;
        let removed = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(world.m("d/removed"))?;
        fs::remove_file(world.m("d/removed"))?;
        let flags = rustix::fs::OFlags::DIRECTORY;
        let dir = rustix::fs::open(world.m("d/sub"), flags, 0.into())?;
        let outcome = world.program(&["reload"], &["--rule", &format!("/d/={to}")])?;
        ensure!(outcome.success(), "{outcome}");
        ensure!(
            outcome.stdout.contains("1 are open for writing"),
            "{outcome}"
        );
        // Files go on as what they were, and directories as what their names show.
        (&file).write_all(b" and more")?;
        same(file.metadata()?.len(), 13, "the open file")?;
        same(read(world.m("d/mine"))?, "mine", "the new place")?;
        removed.write_all_at(b"gone", 0)?;
        same(removed.metadata()?.nlink(), 0, "the removed file")?;
        let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
        drop(rustix::fs::openat(&dir, "made", flags, 0o644.into())?);
        ensure!(
            exists(world.m("d/sub/made")),
            "{from} -> {to}: what is made in an open directory is not shown"
        );
        drop(file);
        append(world.m("d/mine"), b" later")?;
        same(read(world.m("d/mine"))?, "mine later", "the new place")?;
    }
    Ok(())
}

/// Nothing that was written and closed is missing, however often the path changes its store meanwhile.
#[test]
fn nothing_is_lost_while_it_moves() -> Result<()> {
    let Some(world) = World::new("load")? else {
        return Ok(());
    };
    let mut world = world.rule("/d/", "tmpfs");
    for n in 0..50 {
        world.put(&format!("image/d/old{n}"), "image")?;
    }
    world.start()?;
    let done = AtomicBool::new(false);
    let written = AtomicU64::new(0);
    let dir = world.m("d");
    std::thread::scope(|scope| -> Result<()> {
        let writer = scope.spawn(|| -> Result<()> {
            while !done.load(Ordering::Acquire) {
                let n = written.load(Ordering::Acquire);
                fs::write(dir.join("tmp"), format!("{n}")).context("write")?;
                fs::rename(dir.join("tmp"), dir.join(format!("new{n}"))).context("rename")?;
                if n < 50 {
                    fs::remove_file(dir.join(format!("old{n}"))).context("remove")?;
                }
                let mut log = OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(dir.join("log"))?;
                writeln!(log, "{n}")?;
                drop(log);
                written.store(n + 1, Ordering::Release);
            }
            Ok(())
        });
        let result = (0..common::env("STATELITE_RELOADS", 12)).try_for_each(|round| {
            let option = STORES.into_iter().cycle().nth(round + 1).unwrap_or("tmpfs");
            world.reload_ok(&[("/d/", option)]).map(drop)
        });
        done.store(true, Ordering::Release);
        writer
            .join()
            .map_err(|_| anyhow::anyhow!("the writer panicked"))??;
        result
    })?;
    let count = written.load(Ordering::Acquire);
    ensure!(count > 0, "nothing was written");
    for n in 0..count {
        same(
            read(dir.join(format!("new{n}")))?,
            n.to_string(),
            "a file that was closed",
        )?;
    }
    for n in 0..50 {
        same(
            exists(dir.join(format!("old{n}"))),
            n >= count.min(50),
            "removed",
        )?;
    }
    let log = read(dir.join("log"))?;
    let lines: Vec<u64> = log.lines().map(str::parse).collect::<Result<_, _>>()?;
    same(lines, (0..count).collect::<Vec<_>>(), "the log")
}

#[test]
fn plan_tells_before_and_changes_nothing() -> Result<()> {
    let Some(world) = World::new("plan")? else {
        return Ok(());
    };
    let mut world = world
        .rule("/v/", "tmpfs")
        .rule("/p/", "persistent")
        .rule("/clean/", "tmpfs");
    for file in ["v/f", "p/f", "clean/f", "i/f"] {
        world.put(&format!("image/{file}"), "image")?;
    }
    world.start()?;
    fs::write(world.m("v/f"), "mine")?;
    fs::write(world.m("p/f"), "mine")?;
    read(world.m("clean/f"))?;
    let all = snapshot(&world.m(""))?;
    let plan = |rules: &[&str], status: i32, lines: &[&str]| -> Result<()> {
        let words: Vec<&str> = rules.iter().flat_map(|rule| ["--rule", rule]).collect();
        let outcome = world.program(&["plan"], &words)?;
        ensure!(outcome.end == End::Code(status), "{outcome}");
        for line in lines {
            ensure!(
                outcome.stdout.contains(line),
                "{line:?} is not in {outcome}"
            );
        }
        Ok(())
    };
    let kept = ["/v/=tmpfs", "/p/=persistent", "/clean/=tmpfs"];
    plan(&kept, 0, &["paths that change: 0\n"])?;
    plan(
        &[
            "/v/=persistent",
            "/p/=tmpfs",
            "/clean/=persistent",
            "/i/=tmpfs",
        ],
        0,
        &[
            "/v: volatile -> persistent: the node's files are carried over\n",
            "/p: persistent -> volatile: the node's files are carried over\n",
            "/clean: volatile -> persistent: copied to the store first\n",
            "/i: image -> volatile: nothing of the node's own is there\n",
        ],
    )?;
    plan(
        &["/p/=persistent", "/clean/=tmpfs"],
        1,
        &["/v: volatile -> image: the node's changes are kept but no longer shown"],
    )?;
    plan(
        &["/v/=tmpfs", "/clean/=tmpfs"],
        1,
        &["/p: persistent -> image: the node's files stay in the store"],
    )?;
    plan(&["/v/=nonsense"], 2, &[])?;
    same(world.status()?.number("generation")?, 1, "generation")?;
    same_tree(&snapshot(&world.m(""))?, &all, "what is shown")
}

#[test]
fn parked_changes_can_be_dropped() -> Result<()> {
    let Some(world) = World::new("discard")? else {
        return Ok(());
    };
    let mut world = world.rule("/v/", "tmpfs").rule("/w/", "tmpfs");
    world.put("image/v/f", "image")?;
    world.put("image/w/f", "image")?;
    world.start()?;
    fs::write(world.m("v/f"), "mine")?;
    fs::write(world.m("w/f"), "mine")?;
    let open = File::open(world.m("v/f"))?;
    world.reload_ok(&[("/w/", "tmpfs")])?;
    ensure!(exists(world.at("vol/v/f")), "not parked");
    // Parked changes are in the way of what would be carried there.
    let outcome = world.program(&["reload"], &["--rule", "/w/=tmpfs", "--discard"])?;
    ensure!(outcome.success(), "{outcome}");
    ensure!(!exists(world.at("vol/v")), "still parked");
    same(read(world.m("w/f"))?, "mine", "another rule's")?;
    let mut text = [0; 4];
    open.read_exact_at(&mut text, 0)?;
    same(&text, b"mine", "an open file")?;
    world.reload_ok(&[("/w/", "tmpfs"), ("/v/", "tmpfs")])?;
    same(read(world.m("v/f"))?, "image", "dropped")
}

#[test]
fn what_cannot_be_carried_is_refused_whole() -> Result<()> {
    let Some(world) = World::new("cannot")? else {
        return Ok(());
    };
    let mut world = world.rule("/d/", "persistent").rule("/w/", "tmpfs");
    world.put("image/d/f", "image")?;
    world.put("image/w/f", "image")?;
    world.start()?;
    fs::write(world.m("d/f"), "stored")?;
    // Parked changes at the place that the stored copy would take.
    world.reload_ok(&[("/w/", "tmpfs")])?;
    world.reload_ok(&[("/w/", "tmpfs"), ("/d/", "tmpfs")])?;
    fs::write(world.m("d/f"), "volatile")?;
    world.reload_ok(&[("/w/", "tmpfs")])?;
    world.reload_ok(&[("/w/", "tmpfs"), ("/d/", "persistent")])?;
    same(read(world.m("d/f"))?, "stored", "the stored copy")?;
    let before = world.status()?.number("generation")?;
    let outcome = world.reload(&[("/w/", "ro"), ("/d/", "tmpfs")])?;
    ensure!(
        !outcome.success() && outcome.text().contains("parked"),
        "{outcome}"
    );
    ensure!(outcome.text().contains("/d"), "{outcome}");
    same(world.status()?.number("generation")?, before, "generation")?;
    fs::write(world.m("w/f"), "goes on")?;
    Ok(())
}

#[test]
fn another_statemnt_takes_the_files_along() -> Result<()> {
    let Some(mut world) = World::new("statemnt")? else {
        return Ok(());
    };
    world.put("image/p/f", "image")?;
    let tables = world.at("tables");
    let litefile = "#image,file,options,comments,disable\n\"ALL\",\"/p/\",\"persistent\",,\n";
    statelite_tests::litefile::write_tables(&tables, litefile, &[])?;
    let name_store = |store: &Path| {
        let text = format!(
            "#node,image,statemnt,comments,disable\n\"n01\",,\"{}\",,\n",
            store.display()
        );
        fs::write(tables.join("statelite.csv"), text)
    };
    let (first, second) = (world.dir("state1")?, world.dir("state2")?);
    name_store(&first)?;
    world.spec.persistent = None;
    world.spec.tables = Some(statelite_tests::mount::Tables {
        dir: tables.clone(),
        node: "n01".to_owned(),
        image_name: "img".to_owned(),
    });
    world.start()?;
    fs::write(world.m("p/f"), "mine")?;
    same(read(first.join("n01/p/f"))?, "mine", "the first store")?;
    name_store(&second)?;
    let open = File::open(world.m("p/f"))?;
    let outcome = world.program(&["reload"], &[])?;
    ensure!(
        !outcome.success() && outcome.text().contains("open"),
        "{outcome}"
    );
    drop(open);
    // The kernel tells of a close after the fact.
    wait_for(Duration::from_secs(10), "the reload", || {
        world
            .program(&["reload"], &[])
            .is_ok_and(|outcome| outcome.success())
    })?;
    fs::write(world.m("p/g"), "after")?;
    same(read(second.join("n01/p/f"))?, "mine", "carried over")?;
    same(read(second.join("n01/p/g"))?, "after", "the second store")?;
    same(names(first.join("n01/p"))?, ["f"], "the first store stays")?;
    fails(fs::metadata(first.join("n01/p/g")), Errno::NOENT)
}
