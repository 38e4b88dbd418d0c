//! Layers that answer `EIO` here and there: what cannot be read is an error, and no end, no absence and no emptiness.

mod common;
mod faulty;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileExt, symlink};

use anyhow::Result;
use common::{World, exists, fails, names, read, same};
use faulty::{Broken, Faulty, GOOD};
use rustix::io::Errno;
use statelite_tests::mount::Passthrough;

fn set(all: &[&'static str]) -> BTreeSet<&'static str> {
    all.iter().copied().collect()
}

/// A world whose image is seen through something that can break.
fn world(test: &str) -> Result<Option<(World, Faulty)>> {
    let Some(mut world) = World::new(test)? else {
        return Ok(None);
    };
    let at = world.dir("faulty")?;
    let faulty = Faulty::mount(&world.at("image"), &at)?;
    world.spec.image = at;
    Ok(Some((world, faulty)))
}

#[test]
fn a_read_that_fails_in_the_midst_is_no_end_of_the_file() -> Result<()> {
    for passthrough in [Passthrough::Off, Passthrough::Auto] {
        let Some((world, faulty)) = world("midst")? else {
            return Ok(());
        };
        let mut world = world.rule("/v/", "tmpfs").passthrough(passthrough);
        let content = "0123456789abcdef".repeat(GOOD / 16 + 4096);
        for file in ["lib", "v/lib"] {
            world.put(&format!("image/{file}"), &content)?;
        }
        faulty.set(Broken {
            ends: set(&["lib", "v/lib"]),
            ..Broken::default()
        });
        world.start()?;
        for file in ["lib", "v/lib"] {
            let open = fs::File::open(world.m(file))?;
            fails(fs::read(world.m(file)), Errno::IO)?;
            let mut buffer = vec![0; content.len()];
            match open.read_at(&mut buffer, 0) {
                Ok(length) => {
                    same(&buffer[..length], &content.as_bytes()[..length], file)?;
                    fails(open.read_at(&mut buffer, length as u64), Errno::IO)?;
                }
                Err(error) => fails(Err::<(), _>(error), Errno::IO)?,
            }
            same(open.metadata()?.len(), content.len() as u64, file)?;
        }
        // A copy would need the end.
        fails(
            fs::OpenOptions::new().append(true).open(world.m("v/lib")),
            Errno::IO,
        )?;
        faulty.set(Broken::default());
        for file in ["lib", "v/lib"] {
            same(read(world.m(file))? == content, true, file)?;
        }
        common::append(world.m("v/lib"), b"more")?;
        same(
            read(world.m("v/lib"))? == content.clone() + "more",
            true,
            "copied",
        )?;
        world.stop()?;
    }
    Ok(())
}

#[test]
fn a_name_that_cannot_be_asked_about_is_there() -> Result<()> {
    let Some((world, faulty)) = world("name")? else {
        return Ok(());
    };
    let mut world = world.rule("/v/", "tmpfs");
    world.dir("image/v/links")?;
    symlink("target", world.at("image/v/links/one"))?;
    world.put("image/v/files/one", "one")?;
    world.put("image/v/files/two", "two")?;
    faulty.set(Broken {
        names: set(&["v/links/one", "v/files/one"]),
        ..Broken::default()
    });
    world.start()?;
    same(names(world.m("v/links"))?, ["one"], "a link")?;
    same(names(world.m("v/files"))?, ["one", "two"], "files")?;
    fails(fs::symlink_metadata(world.m("v/links/one")), Errno::IO)?;
    // With it in there the directory is not empty.
    ensure_fails(fs::remove_dir(world.m("v/links")))?;
    ensure_fails(fs::rename(world.dir("m/v/new")?, world.m("v/links")))?;
    faulty.set(Broken {
        links: set(&["v/links/one"]),
        ..Broken::default()
    });
    fails(fs::read_link(world.m("v/links/one")), Errno::IO)?;
    faulty.set(Broken::default());
    same(
        fs::read_link(world.m("v/links/one"))?,
        std::path::PathBuf::from("target"),
        "mended",
    )?;
    same(read(world.m("v/files/one"))?, "one", "mended")?;
    fails(fs::remove_dir(world.m("v/links")), Errno::NOTEMPTY)
}

fn ensure_fails(result: std::io::Result<()>) -> Result<()> {
    anyhow::ensure!(
        result.is_err(),
        "a directory with a name in it was taken for empty"
    );
    Ok(())
}

#[test]
fn what_cannot_be_copied_is_not_seeded_by_half() -> Result<()> {
    let Some((world, faulty)) = world("half")? else {
        return Ok(());
    };
    let mut world = world
        .rule("/p/", "persistent")
        .rule("/q/sub/", "persistent")
        .rule("/gone/", "persistent");
    for file in ["p/a", "p/b", "p/sub/c", "q/sub/d", "gone/e"] {
        world.put(&format!("image/{file}"), file)?;
    }
    world.start()?;
    faulty.set(Broken {
        names: set(&["p/b", "q/sub/d", "gone"]),
        ..Broken::default()
    });
    for path in ["p", "p/a", "q/sub", "gone", "gone/e"] {
        fails(fs::symlink_metadata(world.m(path)), Errno::IO)?;
        fails(fs::write(world.m(path).join("new"), ""), Errno::IO)?;
    }
    for path in ["per/p", "per/q/sub", "per/gone"] {
        same(exists(world.at(path)), false, path)?;
    }
    faulty.set(Broken::default());
    same(names(world.m("p"))?, ["a", "b", "sub"], "p")?;
    same(read(world.m("p/sub/c"))?, "p/sub/c", "p")?;
    same(names(world.m("q/sub"))?, ["d"], "q")?;
    same(read(world.m("gone/e"))?, "gone/e", "gone")
}

#[test]
fn a_joined_file_is_whole_or_an_error() -> Result<()> {
    let Some((world, faulty)) = world("joined")? else {
        return Ok(());
    };
    let mut world = world.rule("/c", "con");
    for (tree, content) in [("image/one", "first\n"), ("image/two", "second\n")] {
        world.put(&format!("{tree}/c"), content)?;
    }
    world.spec.trees = ["one", "two"]
        .map(|name| world.at("faulty").join(name))
        .into();
    world.start()?;
    same(read(world.m("c"))?, "first\nsecond\n", "whole")?;
    for name in ["one/c", "two/c"] {
        faulty.set(Broken {
            names: set(&[name]),
            ..Broken::default()
        });
        // What the kernel knows of a file is a second old at the most.
        std::thread::sleep(std::time::Duration::from_millis(1200));
        fails(fs::read(world.m("c")), Errno::IO)?;
    }
    faulty.set(Broken::default());
    same(read(world.m("c"))?, "first\nsecond\n", "mended")
}
