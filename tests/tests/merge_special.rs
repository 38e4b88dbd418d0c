//! Files that are more than content: programs, devices, fifos, sockets, locks, and files without a name.

mod common;

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::{On, World, fails, ino, meta, names, read, run, same};
use rustix::fs::{FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use statelite_tests::cmd::Cmd;
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
fn programs_run_and_cannot_be_written_meanwhile() -> Result<()> {
    for mode in BOTH {
        let Some(mut world) = world("exec", On::Tmpfs, mode)? else {
            return Ok(());
        };
        for dir in ["image/bin", "image/v", "image/p"] {
            world.dir(dir)?;
            fs::copy("/bin/sleep", world.at(&format!("{dir}/sleep")))?;
        }
        world.start()?;
        for (name, errno) in [
            ("bin/sleep", Errno::TXTBSY),
            ("v/sleep", Errno::TXTBSY),
            ("p/sleep", Errno::TXTBSY),
        ] {
            let path = world.m(name);
            Cmd::new(&path).arg("0").check()?;
            let mut child = std::process::Command::new(&path).arg("5").spawn()?;
            let tried = OpenOptions::new().write(true).open(&path);
            // Replacing it is allowed, as package managers do.
            let replaced = fs::copy("/bin/true", world.m(&format!("{name}.new")))
                .and_then(|_| fs::rename(world.m(&format!("{name}.new")), &path));
            child.kill()?;
            child.wait()?;
            fails(tried, errno).with_context(|| format!("{mode:?} {name}"))?;
            if name != "bin/sleep" {
                replaced.with_context(|| format!("replacing {name}"))?;
                let writer = OpenOptions::new().write(true).open(&path)?;
                let busy = std::process::Command::new(&path)
                    .spawn()
                    .and_then(|mut child| child.wait());
                fails(busy, Errno::TXTBSY)
                    .with_context(|| format!("running what is open for writing: {name}"))?;
                drop(writer);
            }
        }
    }
    Ok(())
}

#[test]
fn special_files_work_in_image_and_store() -> Result<()> {
    let Some(mut world) = world("special", On::Tmpfs, Passthrough::Auto)? else {
        return Ok(());
    };
    world.dir("image/v")?;
    for top in ["image", "image/v"] {
        let at = world.at(top);
        run(&[
            "mknod",
            at.join("null").to_str().unwrap_or_default(),
            "c",
            "1",
            "3",
        ])?;
        run(&["mkfifo", at.join("fifo").to_str().unwrap_or_default()])?;
    }
    world.start()?;
    let device = rustix::fs::makedev(1, 5);
    let mode = Mode::from_raw_mode(0o666);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        world.m("v/zero"),
        FileType::CharacterDevice,
        mode,
        device,
    )?;
    rustix::fs::mknodat(
        rustix::fs::CWD,
        world.m("v/disk"),
        FileType::BlockDevice,
        mode,
        rustix::fs::makedev(7, 0),
    )?;
    rustix::fs::mknodat(rustix::fs::CWD, world.m("v/new"), FileType::Fifo, mode, 0)?;
    // 0:0 is how a whiteout looks in the store; above it is an ordinary device.
    rustix::fs::mknodat(
        rustix::fs::CWD,
        world.m("v/00"),
        FileType::CharacterDevice,
        mode,
        0,
    )?;
    for _ in 0..2 {
        same(
            names(world.m("v"))?,
            ["00", "disk", "fifo", "new", "null", "zero"],
            "names",
        )?;
        ensure!(meta(world.m("v/00"))?.file_type().is_char_device(), "0:0");
        same(meta(world.m("v/zero"))?.rdev(), device, "rdev")?;
        same(
            meta(world.m("v/disk"))?.rdev(),
            rustix::fs::makedev(7, 0),
            "rdev",
        )?;
        let mut four = [1_u8; 4];
        File::open(world.m("v/zero"))?.read_exact(&mut four)?;
        same(four, [0; 4], "/dev/zero")?;
        fs::write(world.m("v/null"), "gone")?;
        fs::write(world.m("null"), "gone")?;
        for fifo in ["fifo", "v/fifo", "v/new"] {
            let path = world.m(fifo);
            let script = r#"(echo hello > "$0" &) ; timeout 10 cat "$0""#;
            let outcome = Cmd::new("sh")
                .args(["-c", script])
                .arg(&path)
                .limit(Duration::from_secs(20))
                .check()?;
            same(outcome.stdout.as_str(), "hello\n", fifo)?;
        }
        world.remount()?;
    }
    fs::remove_file(world.m("v/00"))?;
    fs::remove_file(world.m("v/null"))?;
    common::chmod(world.m("v/fifo"), 0o600)?;
    world.remount()?;
    same(
        names(world.m("v"))?,
        ["disk", "fifo", "new", "zero"],
        "after removal",
    )?;
    Ok(())
}

#[test]
fn sockets_can_be_bound_and_connected() -> Result<()> {
    let Some(mut world) = world("socket", On::Tmpfs, Passthrough::Auto)? else {
        return Ok(());
    };
    world.dir("image/v")?;
    world.dir("image/p")?;
    world.start()?;
    for name in ["v/sock", "p/sock"] {
        let path = world.m(name);
        let listener = UnixListener::bind(&path)?;
        let mut client = UnixStream::connect(&path)?;
        let (mut server, _) = listener.accept()?;
        client.write_all(b"hi")?;
        let mut two = [0; 2];
        server.read_exact(&mut two)?;
        same(&two, b"hi", name)?;
        ensure!(meta(&path)?.file_type().is_socket(), "{name} is no socket");
        fails(UnixListener::bind(&path), Errno::ADDRINUSE)?;
    }
    Ok(())
}

#[test]
fn locks_hold_between_processes() -> Result<()> {
    for mode in BOTH {
        let Some(mut world) = world("locks", On::Tmpfs, mode)? else {
            return Ok(());
        };
        for file in ["image/f", "image/v/f", "image/p/f"] {
            world.put(file, "x")?;
        }
        world.start()?;
        for name in ["f", "v/f", "p/f"] {
            let path = world.m(name);
            let try_flock = |shared: &str| -> Result<bool> {
                Ok(Cmd::new("flock")
                    .args([shared, "-n"])
                    .arg(&path)
                    .arg("true")
                    .run()?
                    .success())
            };
            let file = File::open(&path)?;
            rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
            ensure!(!try_flock("-s")?, "{name}: flock does not exclude");
            rustix::fs::flock(&file, FlockOperation::LockShared)?;
            ensure!(
                try_flock("-s")? && !try_flock("-x")?,
                "{name}: shared flock"
            );
            rustix::fs::flock(&file, FlockOperation::Unlock)?;
            ensure!(try_flock("-x")?, "{name}: unlocked");
            let file = OpenOptions::new()
                .read(true)
                .write(name != "f")
                .open(&path)?;
            let operation = if name == "f" {
                FlockOperation::LockShared
            } else {
                FlockOperation::LockExclusive
            };
            rustix::fs::fcntl_lock(&file, operation)?;
            // Another process is told who holds it.
            let script = "import fcntl,sys\nf=open(sys.argv[1])\ntry: fcntl.lockf(f,fcntl.LOCK_SH|fcntl.LOCK_NB)\nexcept BlockingIOError: sys.exit(9)";
            let outcome = Cmd::new("python3").args(["-c", script]).arg(&path).run()?;
            let wanted = if name == "f" { 0 } else { 9 };
            same(
                outcome.end,
                statelite_tests::cmd::End::Code(wanted),
                &format!("{name}: fcntl lock: {outcome}"),
            )?;
        }
    }
    Ok(())
}

#[test]
fn an_unlinked_or_replaced_open_file_goes_on() -> Result<()> {
    for mode in BOTH {
        let Some(mut world) = world("unlinked", On::Tmpfs, mode)? else {
            return Ok(());
        };
        for file in ["v/lower", "v/over", "p/lower", "v/ro"] {
            world.put(&format!("image/{file}"), "lower")?;
        }
        world.start()?;
        fs::write(world.m("v/new"), "lower")?;
        for name in ["v/lower", "v/new", "p/lower", "v/over"] {
            let path = world.m(name);
            let file = open(&path)?;
            if name == "v/over" {
                fs::write(world.m("v/other"), "other")?;
                fs::rename(world.m("v/other"), &path)?;
            } else {
                fs::remove_file(&path)?;
            }
            same(file.metadata()?.nlink(), 0, &format!("{name}: nlink"))?;
            file.write_all_at(b"LOW", 0)?;
            file.set_len(4)?;
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o640))?;
            let mut four = [0; 4];
            file.read_exact_at(&mut four, 0)?;
            same(&four, b"LOWe", name)?;
            same(file.metadata()?.mode() & 0o777, 0o640, "fchmod")?;
            fs::write(&path, "second")?;
            file.read_exact_at(&mut four, 0)?;
            same(&four, b"LOWe", "not mixed up with the new file")?;
            same(read(&path)?, "second", "the new file")?;
            ensure!(
                file.metadata()?.ino() != ino(&path)?,
                "{name}: the new file has the number of the old"
            );
        }
        // Opened for reading only, then removed: it was never copied up.
        let mut reader = File::open(world.m("v/ro"))?;
        fs::remove_file(world.m("v/ro"))?;
        let mut text = String::new();
        reader.read_to_string(&mut text)?;
        same(
            text.as_str(),
            "lower",
            "a lower file read after its removal",
        )?;
        // A removed directory that is somebody's working directory.
        fs::create_dir(world.m("v/dir"))?;
        let dir = rustix::fs::open(
            world.m("v/dir"),
            OFlags::DIRECTORY | OFlags::RDONLY,
            Mode::empty(),
        )?;
        fs::remove_dir(world.m("v/dir"))?;
        let made = rustix::fs::openat(
            &dir,
            "x",
            OFlags::CREATE | OFlags::WRONLY,
            Mode::from_raw_mode(0o600),
        );
        fails(made, Errno::NOENT)?;
        symlink("x", world.m("v/dir"))?;
    }
    Ok(())
}

#[test]
fn what_is_not_supported_says_so() -> Result<()> {
    let Some(mut world) = world("unsupported", On::Tmpfs, Passthrough::Auto)? else {
        return Ok(());
    };
    world.put("image/v/f", "x")?;
    world.start()?;
    let tmpfile = OpenOptions::new()
        .write(true)
        .custom_flags(OFlags::TMPFILE.bits() as i32)
        .open(world.m("v"));
    fails(tmpfile, Errno::OPNOTSUPP)?;
    let long = "n".repeat(256);
    fails(
        fs::write(world.m(&format!("v/{long}")), ""),
        Errno::NAMETOOLONG,
    )?;
    let longest = "n".repeat(255);
    fs::write(world.m(&format!("v/{longest}")), "x")?;
    fails(fs::write(world.m("v/f/x"), ""), Errno::NOTDIR)?;
    fails(fs::remove_dir(world.m("v/f")), Errno::NOTDIR)?;
    fails(fs::remove_dir(world.m("v")), Errno::BUSY)
        .or_else(|_| fails(fs::remove_dir(world.m("v")), Errno::NOTEMPTY))
}
