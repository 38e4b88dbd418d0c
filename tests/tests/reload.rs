//! Another policy for a running mount. `STATELITE_RELOADS` is how often it is reloaded under load.

mod common;

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::snapshot::snapshot;
use common::{World, append, exists, fails, meta, names, read, same};
use rustix::io::Errno;
use statelite_tests::litefile::write_tables;

#[test]
fn image_to_volatile_and_back_parks_the_changes() -> Result<()> {
    let Some(world) = World::new("park")? else {
        return Ok(());
    };
    let mut world = world.trees().rule("/other/", "tmpfs");
    world.put("image/etc/f", "image")?;
    world.put("image/etc/gone", "image")?;
    world.put("t1/etc/tree", "tree")?;
    world.put("image/other/x", "x")?;
    world.start()?;
    same(names(world.m("etc"))?, ["f", "gone"], "image")?;
    fails(fs::write(world.m("etc/f"), ""), Errno::ROFS)?;
    fails(fs::read(world.m("etc/new")), Errno::NOENT)?;
    world.reload_ok(&[("/other/", "tmpfs"), ("/etc/", "tmpfs")])?;
    same(names(world.m("etc"))?, ["f", "gone", "tree"], "volatile")?;
    append(world.m("etc/f"), b"+mine")?;
    fs::remove_file(world.m("etc/gone"))?;
    fs::write(world.m("etc/new"), "new")?;
    for _ in 0..3 {
        let outcome = world.reload_ok(&[("/other/", "tmpfs")])?;
        ensure!(
            outcome.stdout.contains("/etc"),
            "the parked path is not listed: {outcome}"
        );
        same(names(world.m("etc"))?, ["f", "gone"], "image again")?;
        same(read(world.m("etc/f"))?, "image", "image again")?;
        same(meta(world.m("etc/f"))?.len(), 5, "size")?;
        fails(fs::write(world.m("etc/f"), ""), Errno::ROFS)?;
        ensure!(!exists(world.m("etc/new")), "a parked file shows");
        world.reload_ok(&[("/other/", "tmpfs"), ("/etc/", "tmpfs")])?;
        same(
            names(world.m("etc"))?,
            ["f", "new", "tree"],
            "volatile again",
        )?;
        same(
            read(world.m("etc/f"))?,
            "image+mine",
            "parked change is back",
        )?;
        same(read(world.m("etc/new"))?, "new", "parked file is back")?;
    }
    Ok(())
}

#[test]
fn every_placement_can_follow_the_image() -> Result<()> {
    let Some(world) = World::new("transitions")? else {
        return Ok(());
    };
    let mut world = world.trees().rule("/none/", "tmpfs");
    for layer in ["image", "t1", "t2"] {
        world.put(&format!("{layer}/f"), format!("{layer}\n"))?;
        world.put(&format!("{layer}/d/{layer}"), layer)?;
        world.put(&format!("{layer}/d/all"), layer)?;
    }
    world.start()?;
    let none = ("/none/", "tmpfs");
    let image = |world: &World| -> Result<()> {
        same(read(world.m("f"))?, "image\n", "image file")?;
        same(names(world.m("d"))?, ["all", "image"], "image directory")?;
        fails(fs::write(world.m("f"), ""), Errno::ROFS)
    };
    image(&world)?;
    world.reload_ok(&[none, ("/f", "ro"), ("/d/", "ro")])?;
    same(read(world.m("f"))?, "t1\n", "ro")?;
    same(names(world.m("d"))?, ["all", "image", "t1", "t2"], "ro")?;
    same(read(world.m("d/all"))?, "t1", "ro")?;
    fails(fs::write(world.m("f"), ""), Errno::ROFS)?;
    world.reload_ok(&[none])?;
    image(&world)?;
    world.reload_ok(&[none, ("/f", "con")])?;
    same(read(world.m("f"))?, "t1\nt2\n", "con")?;
    same(meta(world.m("f"))?.len(), 6, "con size")?;
    world.reload_ok(&[none])?;
    image(&world)?;
    for (option, store) in [("persistent", "per"), ("localdisk", "loc")] {
        world.reload_ok(&[none, ("/f", option), ("/d/", option)])?;
        same(read(world.at(&format!("{store}/f")))?, "t1\n", "seeded")?;
        same(names(world.m("d"))?, ["all", "image", "t1", "t2"], "seeded")?;
        append(world.m("f"), b"mine")?;
        fs::remove_file(world.m("d/all"))?;
        same(read(world.m("f"))?, "t1\nmine", "changed")?;
        world.reload_ok(&[none])?;
        image(&world)?;
        world.reload_ok(&[none, ("/f", option), ("/d/", option)])?;
        same(
            read(world.m("f"))?,
            "t1\nmine",
            "the stored copy is where it was",
        )?;
        same(
            names(world.m("d"))?,
            ["image", "t1", "t2"],
            "the stored copy is where it was",
        )?;
        world.reload_ok(&[none])?;
        image(&world)?;
    }
    Ok(())
}

#[test]
fn moving_own_files_to_another_store_is_refused_whole() -> Result<()> {
    let Some(world) = World::new("refused")? else {
        return Ok(());
    };
    let mut world = world.rule("/v/", "tmpfs").rule("/clean/", "tmpfs");
    for file in ["v/f", "clean/f", "u/f"] {
        world.put(&format!("image/{file}"), "image")?;
    }
    world.start()?;
    append(world.m("v/f"), b"+mine")?;
    let (shown, stored) = (snapshot(&world.m(""))?, snapshot(&world.at("per"))?);
    let generation = world.status()?.number("generation")?;
    let outcome = world.reload(&[
        ("/v/", "persistent"),
        ("/clean/", "ro"),
        ("/u/", "persistent"),
        ("/new/", "tmpfs"),
    ])?;
    ensure!(
        !outcome.success(),
        "a reload that loses changes succeeded: {outcome}"
    );
    ensure!(
        outcome.text().contains("/v"),
        "the message does not name the path: {outcome}"
    );
    same(
        world.status()?.number("generation")?,
        generation,
        "generation",
    )?;
    ensure!(snapshot(&world.m(""))? == shown, "what is shown changed");
    let now = snapshot(&world.at("per"))?;
    let visible = |all: &common::snapshot::Snapshot| -> Vec<String> {
        let names = all.keys().map(|path| path.display().to_string());
        names
            .filter(|path| !path.starts_with(".statelite.work"))
            .collect()
    };
    same(visible(&now), visible(&stored), "the persistent store")?;
    append(world.m("v/f"), b"+more")?;
    append(world.m("clean/f"), b"+mine")?;
    same(read(world.m("v/f"))?, "image+mine+more", "goes on")?;
    // A rule whose option or path makes no sense is refused, too.
    for bad in [("/v/", "nonsense"), ("v/", "tmpfs"), ("/v/", "con")] {
        let outcome = world.reload(&[bad])?;
        ensure!(!outcome.success(), "{bad:?} was taken: {outcome}");
        same(
            world.status()?.number("generation")?,
            generation,
            "generation",
        )?;
    }
    Ok(())
}

#[test]
fn a_bad_table_changes_nothing_and_says_where_it_is_bad() -> Result<()> {
    let Some(mut world) = World::new("tables")? else {
        return Ok(());
    };
    world.put("image/etc/f", "image")?;
    world.put("t1/etc/f", "tree")?;
    let tables = world.at("tables");
    let head = "#image,file,options,comments,disable\n";
    let good = format!("{head}\"ALL\",\"/etc/f\",\"tmpfs\",,\n");
    write_tables(&tables, &good, &[world.at("t1")])?;
    world.spec.tables = Some(statelite_tests::mount::Tables {
        dir: tables.clone(),
        node: "n01".to_owned(),
        image_name: "img".to_owned(),
    });
    world.start()?;
    same(read(world.m("etc/f"))?, "tree", "by tables")?;
    fs::write(world.m("etc/f"), "mine")?;
    let dir = tables.display().to_string();
    let words = ["--tables", &dir, "--node", "n01", "--image-name", "img"];
    let generation = world.status()?.number("generation")?;
    let bad = [
        format!("{good}\"ALL\",\"etc/relative\",\"tmpfs\",,\n"),
        format!("{good}\"ALL\",\"/etc/g\",\"bogus\",,\n"),
        format!("{good}\"ALL\",\"/etc/g,\"tmpfs\",,\n"),
    ];
    for table in &bad {
        fs::write(tables.join("litefile.csv"), table)?;
        let outcome = world.program(&["reload"], &words)?;
        ensure!(!outcome.success(), "taken: {table}{outcome}");
        let text = outcome.text();
        ensure!(
            text.contains("litefile.csv:3:"),
            "no file, line and column in: {outcome}"
        );
        ensure!(text.contains("column"), "no column in: {outcome}");
        same(
            world.status()?.number("generation")?,
            generation,
            "generation",
        )?;
        same(read(world.m("etc/f"))?, "mine", "what is shown")?;
        let check = statelite_tests::cmd::Cmd::new(statelite_tests::paths::statelitefs()?)
            .args(["check", &dir])
            .run()?;
        ensure!(
            !check.success() && check.text().contains("litefile.csv:3:"),
            "check: {check}"
        );
    }
    fs::write(
        tables.join("litefile.csv"),
        format!("{good}\"ALL\",\"/etc/g\",\"tmpfs\",,\n"),
    )?;
    let outcome = world.program(&["reload"], &words)?;
    ensure!(outcome.success(), "{outcome}");
    same(names(world.m("etc"))?, ["f", "g", "mtab"], "the new row")
        .or_else(|_| same(names(world.m("etc"))?, ["f", "g"], "the new row"))
}

#[test]
fn listed_paths_come_and_go_at_once() -> Result<()> {
    let Some(world) = World::new("listed")? else {
        return Ok(());
    };
    let mut world = world.rule("/v/", "tmpfs");
    world.put("image/etc/f", "image")?;
    world.put("image/v/x", "x")?;
    world.start()?;
    let paths = [
        "a/b/c/file",
        "a/b/dir",
        "etc/new",
        "etc/sub/deep/file",
        "top",
        "v/in/p",
    ];
    let base = ("/v/", "tmpfs");
    let rules = [
        base,
        ("/a/b/c/file", "tmpfs"),
        ("/a/b/dir/", "persistent"),
        ("/etc/new", "localdisk"),
        ("/etc/sub/deep/file", "tmpfs"),
        ("/top", "persistent"),
        ("/v/in/p", "tmpfs"),
    ];
    for round in 0..5 {
        // Negative names and listings are cached before.
        for path in paths {
            ensure!(
                !exists(world.m(path)),
                "round {round}: {path} is there without a rule"
            );
        }
        same(names(world.m(""))?, ["etc", "v"], "root before")?;
        same(names(world.m("etc"))?, ["f"], "/etc before")?;
        world.reload_ok(&rules)?;
        same(
            names(world.m(""))?,
            ["a", "etc", "top", "v"],
            "root listing",
        )?;
        same(names(world.m("etc"))?, ["f", "new", "sub"], "/etc listing")?;
        same(names(world.m("a/b"))?, ["c", "dir"], "/a/b listing")?;
        for path in paths {
            ensure!(exists(world.m(path)), "round {round}: {path} is not there");
        }
        ensure!(meta(world.m("a/b/dir"))?.is_dir(), "a directory");
        world.reload_ok(&[base])?;
        // /v is volatile itself: what was made in it for the rule may stay there as a directory.
        if exists(world.m("v/in")) {
            fs::remove_dir_all(world.m("v/in"))?;
        }
    }
    Ok(())
}

#[test]
fn what_was_removed_or_moved_stays_so_under_a_rule_added_below() -> Result<()> {
    let Some(world) = World::new("below")? else {
        return Ok(());
    };
    let mut world = world.rule("/v/", "tmpfs");
    for dir in ["anew", "moved", "kept"] {
        world.put(&format!("image/v/{dir}/deep/sub/f"), dir)?;
    }
    world.start()?;
    fs::remove_dir_all(world.m("v/anew"))?;
    fs::create_dir_all(world.m("v/anew/deep/sub"))?;
    fs::rename(world.m("v/moved"), world.m("v/other"))?;
    fs::remove_file(world.m("v/kept/deep/sub/f"))?;
    let as_it_is = |world: &World| -> Result<()> {
        same(names(world.m("v"))?, ["anew", "kept", "other"], "v")?;
        same(names(world.m("v/anew/deep/sub"))?, [""; 0], "made anew")?;
        same(read(world.m("v/other/deep/sub/f"))?, "moved", "moved")?;
        same(names(world.m("v/kept/deep/sub"))?, [""; 0], "removed")
    };
    as_it_is(&world)?;
    let below = ["/v/anew/deep/", "/v/other/deep/", "/v/kept/deep/"];
    let rules = [&[("/v/", "tmpfs")][..], &below.map(|path| (path, "rw"))].concat();
    world.reload_ok(&rules)?;
    as_it_is(&world)?;
    fs::write(world.m("v/anew/deep/sub/f"), "mine")?;
    world.reload_ok(&[("/v/", "tmpfs")])?;
    same(
        read(world.m("v/anew/deep/sub/f"))?,
        "mine",
        "without the rules",
    )?;
    fs::remove_file(world.m("v/anew/deep/sub/f"))?;
    as_it_is(&world)?;
    // Another directory in the place of one that was removed shows nothing of it either.
    world.reload_ok(&rules)?;
    fs::remove_dir_all(world.m("v/other/deep"))?;
    fs::create_dir(world.m("v/other/new"))?;
    fs::rename(world.m("v/other/new"), world.m("v/other/deep"))?;
    for _ in 0..2 {
        same(names(world.m("v/other/deep"))?, [""; 0], "put in its place")?;
        world.reload_ok(&[("/v/", "tmpfs")])?;
    }
    Ok(())
}

#[test]
fn what_a_rule_inside_still_shows_is_not_parked() -> Result<()> {
    let Some(world) = World::new("inside")? else {
        return Ok(());
    };
    let mut world = world.rule("/v/", "tmpfs").rule("/v/keep/", "tmpfs");
    world.put("image/v/keep/f", "image")?;
    world.put("image/v/f", "image")?;
    world.start()?;
    append(world.m("v/keep/f"), b"+mine")?;
    for (mine, wanted) in [
        (false, serde_json::json!([])),
        (true, serde_json::json!(["/v"])),
    ] {
        if mine {
            world.reload_ok(&[("/v/", "tmpfs"), ("/v/keep/", "tmpfs")])?;
            append(world.m("v/f"), b"+mine")?;
        }
        let outcome = world.reload_ok(&[("/v/", "ro"), ("/v/keep/", "tmpfs")])?;
        let report: serde_json::Value = serde_json::from_str(&outcome.stdout)?;
        same(&report["parked"], &wanted, "parked")?;
        same(read(world.m("v/keep/f"))?, "image+mine", "still shown")?;
    }
    Ok(())
}

#[test]
fn what_is_written_while_a_rule_changes_is_told() -> Result<()> {
    const FILES: usize = 3000;
    let Some(world) = World::new("while")? else {
        return Ok(());
    };
    let mut world = world.rule("/v/", "tmpfs");
    world.put("image/v/f", "image")?;
    for number in 0..FILES {
        world.put(&format!("image/slow/f{number}"), "text")?;
    }
    world.start()?;
    // While another path is seeded, the check of this one is done and its rule still holds.
    let seeding = world.at("per/.statelite.work/seed");
    let outcome = std::thread::scope(|scope| {
        let reload = scope.spawn(|| world.reload(&[("/v/", "ro"), ("/slow/", "persistent")]));
        let begun = || fs::read_dir(&seeding).is_ok_and(|mut all| all.next().is_some());
        common::wait_for(Duration::from_secs(20), "the seed", begun)?;
        append(world.m("v/f"), b"+mine")?;
        reload.join().map_err(|_| anyhow::anyhow!("a panic"))?
    })?;
    ensure!(outcome.success(), "{outcome}");
    same(read(world.m("v/f"))?, "image", "now it is read-only")?;
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout)?;
    let told = report["parked"] == serde_json::json!(["/v"]);
    ensure!(told, "not told: {outcome}");
    world.reload_ok(&[("/v/", "tmpfs"), ("/slow/", "persistent")])?;
    same(read(world.m("v/f"))?, "image+mine", "it is kept")
}

#[test]
fn open_files_and_directories_go_on() -> Result<()> {
    let Some(world) = World::new("open")? else {
        return Ok(());
    };
    let mut world = world
        .trees()
        .rule("/v/", "tmpfs")
        .rule("/p/", "persistent")
        .rule("/c", "con");
    for (path, content) in [
        ("image/v/f", "image"),
        ("image/p/f", "image"),
        ("image/u/f", "image"),
        ("t1/c", "one"),
        ("t2/c", "two"),
        ("image/c", "image"),
    ] {
        world.put(path, content)?;
    }
    world.start()?;
    let volatile = OpenOptions::new()
        .read(true)
        .write(true)
        .open(world.m("v/f"))?;
    volatile.write_all_at(b"IMAGE", 0)?;
    let persistent = OpenOptions::new()
        .read(true)
        .write(true)
        .open(world.m("p/f"))?;
    let image = File::open(world.m("u/f"))?;
    let mut joined = File::open(world.m("c"))?;
    let dir = rustix::fs::open(
        world.m("v"),
        rustix::fs::OFlags::DIRECTORY,
        rustix::fs::Mode::empty(),
    )?;
    world.reload_ok(&[("/u/", "tmpfs")])?;
    let mut five = [0; 5];
    volatile.read_exact_at(&mut five, 0)?;
    same(&five, b"IMAGE", "an open volatile file")?;
    volatile.write_all_at(b"image!", 0)?;
    persistent.write_all_at(b"more", 0)?;
    persistent.sync_all()?;
    same(
        read(world.at("per/p/f"))?,
        "moree",
        "an open persistent file",
    )?;
    image.read_exact_at(&mut five, 0)?;
    same(&five, b"image", "an open image file")?;
    fs::write(world.m("u/f"), "mine!")?;
    let mut text = String::new();
    joined.read_to_string(&mut text)?;
    same(text.as_str(), "onetwo", "an open joined file")?;
    same(read(world.m("c"))?, "image", "opened anew")?;
    same(read(world.m("v/f"))?, "image", "opened anew")?;
    same(read(world.m("p/f"))?, "image", "opened anew")?;
    rustix::fs::statat(&dir, "f", rustix::fs::AtFlags::empty())
        .context("through an open directory")?;
    world.reload_ok(&[("/v/", "tmpfs"), ("/p/", "persistent"), ("/c", "con")])?;
    same(
        read(world.m("v/f"))?,
        "image!",
        "what was written meanwhile",
    )?;
    same(volatile.metadata()?.len(), 6, "fstat")?;
    same(read(world.m("p/f"))?, "moree", "persistent again")?;
    same(read(world.m("u/f"))?, "image", "parked")
}
