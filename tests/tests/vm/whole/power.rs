//! Power cuts: SIGKILL of QEMU. What was closed is on the server; what was being seeded is there wholly or not at all.

#![allow(
    clippy::indexing_slicing,
    reason = "these functions are parts of tests"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use statelite_tests::hash::TreeHash;
use statelite_tests::vm::initramfs;
use statelite_tests::vm::kernel::Kernel;
use statelite_tests::vm::node::BOOT;
use statelite_tests::vm::site::{Nfs, Site, Spec};
use statelite_tests::vm::whole_turn;

use crate::health;

/// How often a cut is tried that comes too late.
const TRIES: usize = 5;

/// What the tests add to the table.
const MORE: &str = "\"ALL\",\"/var/lib/kept/\",\"persistent\",,\n\
    \"ALL\",\"/opt/seed/\",\"persistent\",,\n";

/// Ways to write, as programs in Perl; `$f` is the file. After the last call the word goes out of the same process.
const WAYS: [(&str, &str); 5] = [
    ("small", "open F,'>',$f; syswrite F,$d; close F or die"),
    // Several megabytes, in pieces.
    (
        "large",
        "open F,'>',$f; for($i=0;$i<length $d;$i+=131072){syswrite F,substr($d,$i,131072)} close F or die",
    ),
    // Not closed at all.
    (
        "fsync",
        "use IO::Handle; open F,'>',$f; syswrite F,$d; F->sync or die",
    ),
    // As editors and package managers do.
    (
        "rename",
        "open F,'>',\"$f.new\"; syswrite F,$d; close F; rename \"$f.new\",$f or die",
    ),
    // Into a file that is there, at its end and in its middle.
    (
        "update",
        "open F,'+<',$f; sysseek F,4,0; syswrite F,substr($d,4); close F or die",
    ),
];

/// The content that a way writes, from its number; the Perl of the node makes the same.
fn content(way: &str, number: usize) -> String {
    format!("{number:03}-{way}\n").repeat(if way == "large" { 500_000 } else { 3 })
}

fn cut_after_write(site: &Site, spec: &Spec, number: usize, (way, calls): (&str, &str)) {
    let kept = site.state().join(spec.name()).join("var/lib/kept");
    let name = format!("{number:03}-{way}");
    if matches!(way, "rename" | "update") && kept.is_dir() {
        fs::write(kept.join(&name), "old\n".repeat(100)).unwrap();
    }
    let mut node = site.boot(spec).unwrap();
    node.wait_shell(BOOT).unwrap();
    if number == 0 {
        let passthrough = if spec.kernel == Kernel::V6_1 {
            "off"
        } else {
            "on"
        };
        health::checks(
            &mut node,
            &[("statelitefs status", &format!("~passthrough {passthrough}"))],
        )
        .unwrap();
    }
    let times = content(way, number).len() / format!("{number:03}-{way}\n").len();
    let program = format!(
        "$|=1; $f='/var/lib/kept/{name}'; $d=\"{name}\\n\" x {times}; {calls}; print 'writ','ten'; sleep 99"
    );
    node.cut_at(
        &format!("perl -e '{}'", program.replace('\'', "'\\''")),
        "written",
    )
    .unwrap();
    let there = fs::read_to_string(kept.join(&name)).unwrap_or_else(|error| format!("{error}"));
    let mut expected = content(way, number);
    if way == "update" {
        expected = "old\n".to_owned() + &expected[4..] + &"old\n".repeat(100)[expected.len()..];
    }
    assert!(
        there == expected,
        "{name} on {}: {} bytes instead of {}",
        spec.kernel,
        there.len(),
        expected.len()
    );
}

/// A cut before close may lose what was written. If it lost nothing, cuts after close would show nothing either.
fn lost_without_close(site: &Site, spec: &Spec) {
    let mut node = site.boot(spec).unwrap();
    node.wait_shell(BOOT).unwrap();
    let program = "$|=1; open F,\">\",\"/var/lib/kept/open\"; syswrite F,\"x\" x 5000; print \"writ\",\"ten\"; sleep 99";
    node.cut_at(&format!("perl -e '{program}'"), "written")
        .unwrap();
    let file = site.state().join(spec.name()).join("var/lib/kept/open");
    let there = fs::metadata(file).map_or(0, |meta| meta.len());
    eprintln!("not closed: {there} of 5000 bytes are on the server");
    assert!(
        there < 5000,
        "a cut loses nothing here, so this test shows nothing"
    );
}

#[test]
fn what_was_closed_is_on_the_server_20_times_out_of_20() {
    if !health::can_run("what_was_closed_is_on_the_server_20_times_out_of_20") {
        return;
    }
    let _turn = whole_turn().unwrap();
    let site = Site::new("power").unwrap();
    fs::create_dir_all(site.image().join("var/lib/kept")).unwrap();
    let tool = initramfs::static_binary().unwrap();
    fs::copy(tool, site.image().join("usr/bin/statelitefs")).unwrap();
    let start = Instant::now();
    // Passthrough is there with the newer kernel alone. Two at a time: a node has one processor.
    std::thread::scope(|scope| {
        for (number, kernel, nfs) in [(1, Kernel::V6_12, Nfs::V3), (2, Kernel::V6_1, Nfs::V41)] {
            let site = &site;
            scope.spawn(move || {
                let mut spec = Spec::bare(number).with(&format!("MNTOPTS=vers={}", nfs.version()));
                (spec.kernel, spec.nfs) = (kernel, nfs);
                let _server = site
                    .manage(&spec, &format!("{}{MORE}", health::TABLE), &[])
                    .unwrap();
                if number == 1 {
                    lost_without_close(site, &spec);
                }
                for cut in 0..10 {
                    cut_after_write(site, &spec, cut, WAYS[cut % WAYS.len()]);
                }
            });
        }
    });
    eprintln!("20 cuts in {:.0} s", start.elapsed().as_secs_f64());
}

/// Makes a directory that takes some seconds to seed.
fn plant(dir: &Path) {
    for sub in 0..12 {
        let sub = dir.join(format!("sub{sub}"));
        fs::create_dir_all(&sub).unwrap();
        for file in 0..40 {
            let path = sub.join(format!("file{file}"));
            fs::write(
                &path,
                format!("{} {file}\n", sub.display()).repeat(file * 9),
            )
            .unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600 + file as u32)).unwrap();
        }
        symlink("file1", sub.join("link")).unwrap();
        fs::hard_link(sub.join("file2"), sub.join("second")).unwrap();
    }
    fs::write(dir.join("large"), vec![b'x'; 9_000_000]).unwrap();
}

/// How many things are below a directory that may be changing.
fn count(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| 1 + count(&entry.path())).sum()
}

/// Has a node seed, and cuts when the server has so many things of it, or when all of it has appeared in its place.
/// How many things were there at the cut is the result; none if all of it had appeared.
fn cut_while_seeding(site: &Site, spec: &Spec, when: Option<usize>) -> Option<usize> {
    let store = site.state().join(spec.name());
    let (work, place) = (store.join(".statelite.work/seed"), store.join("opt/seed"));
    let mut node = site.boot(spec).unwrap();
    node.wait_shell(BOOT).unwrap();
    // It goes on by itself; its end is not waited for.
    node.check("ls -la /opt/seed/ >/dev/null 2>&1 &").unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    let reached = || match when {
        Some(most) => count(&work) >= most || place.exists(),
        None => place.exists(),
    };
    while !reached() {
        assert!(
            Instant::now() < deadline && node.alive(),
            "{} of {when:?} seeded\n{}",
            count(&work),
            node.console().tail()
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    node.cut();
    (!place.exists()).then(|| count(&work))
}

#[test]
fn a_seed_that_was_cut_off_is_whole_after_the_next_boot() {
    if !health::can_run("a_seed_that_was_cut_off_is_whole_after_the_next_boot") {
        return;
    }
    let _turn = whole_turn().unwrap();
    let site = Site::new("seed").unwrap();
    let planted = site.image().join("opt/seed");
    plant(&planted);
    let (whole, all) = (TreeHash::of(&planted).unwrap(), count(&planted));
    std::thread::scope(|scope| {
        for (number, kernel, nfs, cuts) in [
            (
                1,
                Kernel::V6_12,
                Nfs::V3,
                [Some(all / 10), Some(all * 2 / 3)],
            ),
            (2, Kernel::V6_1, Nfs::V41, [Some(all / 3), None]),
        ] {
            let (site, whole) = (&site, &whole);
            scope.spawn(move || {
                let mut spec = Spec::bare(number).with(&format!("MNTOPTS=vers={}", nfs.version()));
                (spec.kernel, spec.nfs) = (kernel, nfs);
                let table = format!("{}{MORE}", health::TABLE);
                let _server = site.manage(&spec, &table, &[]).unwrap();
                let place = site.state().join(spec.name()).join("opt/seed");
                let same = |when: &str| {
                    let mut changes = whole.changes(&TreeHash::of(&place).unwrap());
                    // The server of the tests does not set times of links.
                    changes.retain(|change| {
                        let name = change.strip_prefix("! /").unwrap_or_default();
                        fs::read_link(place.join(name)).ok() != Some("file1".into())
                    });
                    assert!(changes.is_empty(), "{when}: {changes:?}");
                };
                for when in cuts {
                    let Some(_) = when else {
                        cut_while_seeding(site, &spec, when);
                        same("cut as soon as it had appeared");
                        continue;
                    };
                    let cut = (0..TRIES).find_map(|_| {
                        let seeded = cut_while_seeding(site, &spec, when);
                        if let Some(seeded) = seeded {
                            return Some(seeded);
                        }
                        // It was faster than the cut: then it is whole, and is seeded once more.
                        same("cut too late");
                        fs::remove_dir_all(&place).unwrap();
                        None
                    });
                    assert!(cut.is_some(), "no cut hit the time of seeding");
                    let seeded = cut.unwrap();
                    eprintln!(
                        "{} was cut with {seeded} of {all} things seeded",
                        spec.name()
                    );
                }
                let mut node = site.boot(&spec).unwrap();
                node.wait_shell(BOOT).unwrap();
                let counted = node.check("find /opt/seed | wc -l").unwrap();
                assert_eq!(counted.trim(), (all + 1).to_string());
                same("after the next boot");
                node.check("echo more >>/opt/seed/large").unwrap();
                let left = place.with_file_name("../.statelite.work/seed");
                assert_eq!(count(&left), 0, "the work directory is not empty");
            });
        }
    });
}
