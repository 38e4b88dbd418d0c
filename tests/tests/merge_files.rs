//! Files in a union: content, holes, mappings, locks, special files.

mod common;

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::mapped::Mapped;
use common::{On, World, exists, fails, ino, meta, names, read, run, same};
use rustix::fs::{FallocateFlags, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use statelite_tests::cmd::Cmd;
use statelite_tests::mount::Passthrough;

const BOTH: [Passthrough; 2] = [Passthrough::Auto, Passthrough::Off];

/// A volatile `/v` and a persistent `/p` over an image.
fn world(test: &str, on: On, mode: Passthrough) -> Result<Option<World>> {
    Ok(World::on(test, on)?.map(|world| {
        world.rule("/v/", "tmpfs").rule("/p/", "persistent").passthrough(mode)
    }))
}

fn open(path: impl AsRef<std::path::Path>) -> Result<File> {
    let path = path.as_ref();
    OpenOptions::new().read(true).write(true).open(path).with_context(|| path.display().to_string())
}

#[test]
fn appending_writes_at_the_end_whoever_else_appends() -> Result<()> {
    for mode in BOTH {
        let Some(mut world) = world("append", On::Tmpfs, mode)? else { return Ok(()) };
        world.put("image/v/log", "start\n")?;
        world.start()?;
        let appender = || OpenOptions::new().append(true).open(world.m("v/log"));
        let (mut a, mut b) = (appender()?, appender()?);
        for _ in 0..50 {
            a.write_all(b"a\n")?;
            b.write_all(b"b\n")?;
        }
        a.seek(SeekFrom::Start(0))?;
        a.write_all(b"a\n")?;
        let wanted = format!("start\n{}a\n", "a\nb\n".repeat(50));
        same(read(world.m("v/log"))?, wanted.as_str(), "log")?;
        same(meta(world.m("v/log"))?.len(), wanted.len() as u64, "size")?;
    }
    Ok(())
}

#[test]
fn holes_survive_copy_up_and_can_be_punched() -> Result<()> {
    for (on, mode) in [(On::Tmpfs, Passthrough::Auto), (On::Disk, Passthrough::Auto), (On::Disk, Passthrough::Off)] {
        let Some(mut world) = world("holes", on, mode)? else { return Ok(()) };
        let lower = world.put("image/v/sparse", "head")?;
        let file = open(&lower)?;
        file.write_all_at(b"middle", 8 << 20)?;
        file.set_len(64 << 20)?;
        file.sync_all()?;
        fs::create_dir_all(world.at("image/p"))?;
        run(&["cp", "--sparse=always", lower.to_str().unwrap_or_default(), world.at("image/p/sparse").to_str().unwrap_or_default()])?;
        world.start()?;
        for top in ["v", "p"] {
            let path = world.m(&format!("{top}/sparse"));
            let file = open(&path)?;
            file.write_all_at(b"H", 0)?;
            file.sync_all()?;
            let meta = meta(&path)?;
            same(meta.len(), 64 << 20, "size")?;
            ensure!(meta.blocks() < 2048, "{on:?} {top}: {} blocks for two small pieces", meta.blocks());
            let data = rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(1 << 20))?;
            same(data, 8 << 20, "SEEK_DATA")?;
            let hole = rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(0))?;
            ensure!(hole > 0 && hole <= 1 << 20, "SEEK_HOLE gives {hole}");
            fails(rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(60 << 20)), Errno::NXIO)?;
            let mut six = [0_u8; 6];
            file.read_exact_at(&mut six, 8 << 20)?;
            same(&six, b"middle", "content")?;
            rustix::fs::fallocate(&file, FallocateFlags::empty(), 63 << 20, 2 << 20)?;
            same(file.metadata()?.len(), 65 << 20, "fallocate grows")?;
            rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 65 << 20, 1 << 20)?;
            same(file.metadata()?.len(), 65 << 20, "KEEP_SIZE")?;
            let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            rustix::fs::fallocate(&file, punch, 8 << 20, 4096)?;
            file.read_exact_at(&mut six, 8 << 20)?;
            same(six, [0; 6], "punched")?;
        }
        same(fs::metadata(&lower)?.len(), 64 << 20, "the image")?;
    }
    Ok(())
}

#[test]
fn copy_file_range_and_sendfile_work_between_placements() -> Result<()> {
    for mode in BOTH {
        let Some(mut world) = world("copy", On::Tmpfs, mode)? else { return Ok(()) };
        let data: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        world.put("image/v/src", &data)?;
        world.put("image/src", &data)?;
        world.dir("image/p")?;
        world.start()?;
        for (from, to) in [("v/src", "v/a"), ("src", "v/b"), ("src", "p/c"), ("p/c", "v/d"), ("v/src", "p/e")] {
            let source = File::open(world.m(from))?;
            let target = File::create(world.m(to))?;
            let (mut here, mut there) = (0, 0);
            loop {
                let left = data.len() - here as usize;
                let n = rustix::fs::copy_file_range(&source, Some(&mut here), &target, Some(&mut there), left)
                    .with_context(|| format!("{from} to {to}"))?;
                if n == 0 || here as usize == data.len() {
                    break;
                }
            }
            drop(target);
            ensure!(fs::read(world.m(to))? == data, "{mode:?}: {from} to {to}: content differs");
        }
        // And within one file, into a lower one.
        let file = open(world.m("v/src"))?;
        let (mut here, mut there) = (0, data.len() as u64);
        rustix::fs::copy_file_range(&file, Some(&mut here), &file, Some(&mut there), 4096)?;
        same(file.metadata()?.len(), data.len() as u64 + 4096, "grown")?;
    }
    Ok(())
}

#[test]
fn shared_mappings_and_reads_see_each_other() -> Result<()> {
    for (on, mode) in [(On::Tmpfs, Passthrough::Auto), (On::Tmpfs, Passthrough::Off), (On::Disk, Passthrough::Auto)] {
        let Some(mut world) = world("mmap", on, mode)? else { return Ok(()) };
        world.put("image/v/lower", vec![b'.'; 8192])?;
        world.put("image/p/lower", vec![b'.'; 8192])?;
        world.start()?;
        for name in ["v/lower", "p/lower", "v/new"] {
            let path = world.m(name);
            let reader = if exists(&path) { Some(File::open(&path)?) } else { None };
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
            file.set_len(8192)?;
            let mut map = Mapped::new(&file, 8192)?;
            map.write(100, b"mapped");
            let mut six = [0_u8; 6];
            file.read_exact_at(&mut six, 100)?;
            same(&six, b"mapped", &format!("{name}: read after a mapped write"))?;
            file.write_all_at(b"written", 5000)?;
            same(&map.read()[5000..5007], b"written", &format!("{name}: mapping after a write"))?;
            map.sync()?;
            drop(map);
            drop(file);
            if let Some(reader) = reader {
                reader.read_exact_at(&mut six, 100)?;
                same(&six, b"mapped", &format!("{name}: a descriptor opened before the copy-up"))?;
            }
            let after = fs::read(&path)?;
            same(&after[100..106], b"mapped", "after close")?;
        }
        world.remount()?;
        same(&fs::read(world.m("v/new"))?[100..106], b"mapped", "after remount")?;
        same(&fs::read(world.m("v/lower"))?[5000..5007], b"written", "after remount")?;
    }
    Ok(())
}

#[test]
fn a_mapping_of_a_lower_file_lives_through_its_copy_up() -> Result<()> {
    for mode in BOTH {
        let Some(mut world) = world("mmap lower", On::Tmpfs, mode)? else { return Ok(()) };
        world.put("image/v/f", vec![b'.'; 300_000])?;
        world.start()?;
        let reader = OpenOptions::new().read(true).open(world.m("v/f"))?;
        let mut buffer = vec![0; 300_000];
        reader.read_exact_at(&mut buffer, 0)?;
        common::write_at(world.m("v/f"), b"new", 299_000)?;
        reader.read_exact_at(&mut buffer, 0)?;
        same(&buffer[299_000..299_003], b"new", "read through the old descriptor")?;
        same(reader.metadata()?.ino(), ino(world.m("v/f"))?, "one inode")?;
    }
    Ok(())
}

#[test]
fn direct_io_reads_and_writes() -> Result<()> {
    for mode in BOTH {
        let Some(mut world) = world("direct", On::Disk, mode)? else { return Ok(()) };
        let data: Vec<u8> = (0..65536_u32).map(|n| (n / 512) as u8).collect();
        world.put("image/v/f", &data)?;
        world.put("image/p/f", &data)?;
        world.start()?;
        for name in ["v/f", "p/f"] {
            let path = world.m(name);
            let (path, copy) = (path.display().to_string(), world.at("copy").display().to_string());
            let (input, output) = (format!("if={path}"), format!("of={path}"));
            run(&["dd", &input, &format!("of={copy}"), "bs=4096", "iflag=direct", "status=none"])?;
            ensure!(fs::read(&copy)? == data, "{name}: O_DIRECT read differs");
            run(&["dd", "if=/dev/zero", &output, "bs=4096", "seek=2", "count=1", "oflag=direct", "conv=notrunc", "status=none"])?;
            let after = fs::read(&path)?;
            ensure!(after[8192..12288].iter().all(|b| *b == 0) && after[..8192] == data[..8192], "{name}: O_DIRECT write");
            same(after.len(), data.len(), "size")?;
        }
    }
    Ok(())
}

#[test]
fn programs_run_and_cannot_be_written_meanwhile() -> Result<()> {
    for mode in BOTH {
        let Some(mut world) = world("exec", On::Tmpfs, mode)? else { return Ok(()) };
        for dir in ["image/bin", "image/v", "image/p"] {
            world.dir(dir)?;
            fs::copy("/bin/sleep", world.at(&format!("{dir}/sleep")))?;
        }
        world.start()?;
        for (name, errno) in [("bin/sleep", Errno::TXTBSY), ("v/sleep", Errno::TXTBSY), ("p/sleep", Errno::TXTBSY)] {
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
                let busy = std::process::Command::new(&path).spawn().and_then(|mut child| child.wait());
                fails(busy, Errno::TXTBSY).with_context(|| format!("running what is open for writing: {name}"))?;
                drop(writer);
            }
        }
    }
    Ok(())
}

#[test]
fn special_files_work_in_image_and_store() -> Result<()> {
    let Some(mut world) = world("special", On::Tmpfs, Passthrough::Auto)? else { return Ok(()) };
    world.dir("image/v")?;
    for top in ["image", "image/v"] {
        let at = world.at(top);
        run(&["mknod", at.join("null").to_str().unwrap_or_default(), "c", "1", "3"])?;
        run(&["mkfifo", at.join("fifo").to_str().unwrap_or_default()])?;
    }
    world.start()?;
    let device = rustix::fs::makedev(1, 5);
    let mode = Mode::from_raw_mode(0o666);
    rustix::fs::mknodat(rustix::fs::CWD, world.m("v/zero"), FileType::CharacterDevice, mode, device)?;
    rustix::fs::mknodat(rustix::fs::CWD, world.m("v/disk"), FileType::BlockDevice, mode, rustix::fs::makedev(7, 0))?;
    rustix::fs::mknodat(rustix::fs::CWD, world.m("v/new"), FileType::Fifo, mode, 0)?;
    // 0:0 is how a whiteout looks in the store; above it is an ordinary device.
    rustix::fs::mknodat(rustix::fs::CWD, world.m("v/00"), FileType::CharacterDevice, mode, 0)?;
    for _ in 0..2 {
        same(names(world.m("v"))?, ["00", "disk", "fifo", "new", "null", "zero"], "names")?;
        ensure!(meta(world.m("v/00"))?.file_type().is_char_device(), "0:0");
        same(meta(world.m("v/zero"))?.rdev(), device, "rdev")?;
        same(meta(world.m("v/disk"))?.rdev(), rustix::fs::makedev(7, 0), "rdev")?;
        let mut four = [1_u8; 4];
        File::open(world.m("v/zero"))?.read_exact(&mut four)?;
        same(four, [0; 4], "/dev/zero")?;
        fs::write(world.m("v/null"), "gone")?;
        fs::write(world.m("null"), "gone")?;
        for fifo in ["fifo", "v/fifo", "v/new"] {
            let path = world.m(fifo);
            let script = r#"(echo hello > "$0" &) ; timeout 10 cat "$0""#;
            let outcome = Cmd::new("sh").args(["-c", script]).arg(&path).limit(Duration::from_secs(20)).check()?;
            same(outcome.stdout.as_str(), "hello\n", fifo)?;
        }
        world.remount()?;
    }
    fs::remove_file(world.m("v/00"))?;
    fs::remove_file(world.m("v/null"))?;
    common::chmod(world.m("v/fifo"), 0o600)?;
    world.remount()?;
    same(names(world.m("v"))?, ["disk", "fifo", "new", "zero"], "after removal")?;
    Ok(())
}

#[test]
fn sockets_can_be_bound_and_connected() -> Result<()> {
    let Some(mut world) = world("socket", On::Tmpfs, Passthrough::Auto)? else { return Ok(()) };
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
        let Some(mut world) = world("locks", On::Tmpfs, mode)? else { return Ok(()) };
        for file in ["image/f", "image/v/f", "image/p/f"] {
            world.put(file, "x")?;
        }
        world.start()?;
        for name in ["f", "v/f", "p/f"] {
            let path = world.m(name);
            let try_flock = |shared: &str| -> Result<bool> {
                Ok(Cmd::new("flock").args([shared, "-n"]).arg(&path).arg("true").run()?.success())
            };
            let file = File::open(&path)?;
            rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
            ensure!(!try_flock("-s")?, "{name}: flock does not exclude");
            rustix::fs::flock(&file, FlockOperation::LockShared)?;
            ensure!(try_flock("-s")? && !try_flock("-x")?, "{name}: shared flock");
            rustix::fs::flock(&file, FlockOperation::Unlock)?;
            ensure!(try_flock("-x")?, "{name}: unlocked");
            let file = OpenOptions::new().read(true).write(name != "f").open(&path)?;
            let operation = if name == "f" { FlockOperation::LockShared } else { FlockOperation::LockExclusive };
            rustix::fs::fcntl_lock(&file, operation)?;
            // Another process is told who holds it.
            let script = "import fcntl,sys\nf=open(sys.argv[1])\ntry: fcntl.lockf(f,fcntl.LOCK_SH|fcntl.LOCK_NB)\nexcept BlockingIOError: sys.exit(9)";
            let outcome = Cmd::new("python3").args(["-c", script]).arg(&path).run()?;
            let wanted = if name == "f" { 0 } else { 9 };
            same(outcome.end, statelite_tests::cmd::End::Code(wanted), &format!("{name}: fcntl lock: {outcome}"))?;
        }
    }
    Ok(())
}

#[test]
fn an_unlinked_or_replaced_open_file_goes_on() -> Result<()> {
    for mode in BOTH {
        let Some(mut world) = world("unlinked", On::Tmpfs, mode)? else { return Ok(()) };
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
            ensure!(file.metadata()?.ino() != ino(&path)?, "{name}: the new file has the number of the old");
        }
        // Opened for reading only, then removed: it was never copied up.
        let mut reader = File::open(world.m("v/ro"))?;
        fs::remove_file(world.m("v/ro"))?;
        let mut text = String::new();
        reader.read_to_string(&mut text)?;
        same(text.as_str(), "lower", "a lower file read after its removal")?;
        // A removed directory that is somebody's working directory.
        fs::create_dir(world.m("v/dir"))?;
        let dir = rustix::fs::open(world.m("v/dir"), OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty())?;
        fs::remove_dir(world.m("v/dir"))?;
        let made = rustix::fs::openat(&dir, "x", OFlags::CREATE | OFlags::WRONLY, Mode::from_raw_mode(0o600));
        fails(made, Errno::NOENT)?;
        symlink("x", world.m("v/dir"))?;
    }
    Ok(())
}

#[test]
fn what_is_not_supported_says_so() -> Result<()> {
    let Some(mut world) = world("unsupported", On::Tmpfs, Passthrough::Auto)? else { return Ok(()) };
    world.put("image/v/f", "x")?;
    world.start()?;
    let tmpfile = OpenOptions::new().write(true).custom_flags(OFlags::TMPFILE.bits() as i32).open(world.m("v"));
    fails(tmpfile, Errno::OPNOTSUPP)?;
    let long = "n".repeat(256);
    fails(fs::write(world.m(&format!("v/{long}")), ""), Errno::NAMETOOLONG)?;
    let longest = "n".repeat(255);
    fs::write(world.m(&format!("v/{longest}")), "x")?;
    fails(fs::write(world.m("v/f/x"), ""), Errno::NOTDIR)?;
    fails(fs::remove_dir(world.m("v/f")), Errno::NOTDIR)?;
    fails(fs::remove_dir(world.m("v")), Errno::BUSY).or_else(|_| fails(fs::remove_dir(world.m("v")), Errno::NOTEMPTY))
}
