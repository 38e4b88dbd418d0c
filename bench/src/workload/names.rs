//! Rows that do one thing with a path, over and over.
//!
//! The path has eight components below the mounted target, which is the current directory. Nothing is allocated or
//! formatted inside the timed loops but the names that have to be new each time.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, statat, unlinkat};
use rustix::io::{Errno, read, write};

use super::{Amount, Job, Op, Row, TWICE, Unit};
use crate::tree::layout::{DEEP_DIR, DEEP_FILE, WORK_DIR};

/// The catalogue.
pub const ROWS: &[Row] = &[
    lookups("stat", "stat of an 8-component path", None, Op::Stat),
    lookups("neg", "stat of the same absent name", Some(1.6), Op::Neg),
    lookups(
        "negu",
        "stat of an absent name, each time another",
        None,
        Op::Negu,
    ),
    lookups("open", "open and close", None, Op::Open),
    lookups("openread", "open, read 39 kB, close", None, Op::Openread),
    lookups(
        "getxattr",
        "getxattr of an attribute it has not",
        None,
        Op::Getxattr,
    ),
    Row {
        amount: Amount::Creates,
        ..lookups(
            "create",
            "create, write 1 kB, close, unlink",
            Some(7.0),
            Op::Create,
        )
    },
];

const fn lookups(name: &'static str, about: &'static str, goal: Option<f64>, op: Op) -> Row {
    let (unit, amount, job) = (Unit::MicrosPerOp, Amount::Lookups, Job::Loop(op));
    Row {
        name,
        about,
        unit,
        goal,
        phases: TWICE,
        amount,
        job,
    }
}

/// Runs `op` `count` times; seconds.
fn timed(count: u64, mut op: impl FnMut(u64) -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    for turn in 0..count {
        op(turn)?;
    }
    Ok(start.elapsed().as_secs_f64())
}

pub fn stat(count: u64) -> Result<f64> {
    let path = c_path(DEEP_FILE)?;
    timed(count, |_| {
        statat(CWD, &path, AtFlags::empty())
            .map(|_| ())
            .context("stat")
    })
}

pub fn absent(count: u64) -> Result<f64> {
    let path = c_path(&format!("{DEEP_DIR}/absent"))?;
    timed(count, |_| expect_absent(&path))
}

/// The names are made beforehand; no earlier run can have used them.
pub fn always_new_absent(count: u64) -> Result<f64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let paths: Result<Vec<_>> = (0..count)
        .map(|turn| c_path(&format!("{DEEP_DIR}/absent-{now}-{turn}")))
        .collect();
    let mut paths = paths?.into_iter();
    timed(count, |_| {
        expect_absent(&paths.next().context("a name for each turn")?)
    })
}

pub fn open(count: u64) -> Result<f64> {
    let path = c_path(DEEP_FILE)?;
    timed(count, |_| {
        openat(CWD, &path, OFlags::RDONLY, Mode::empty())
            .map(drop)
            .context("open")
    })
}

pub fn open_read(count: u64) -> Result<f64> {
    let path = c_path(DEEP_FILE)?;
    let mut buffer = vec![0; 64 << 10];
    timed(count, |_| {
        let file = openat(CWD, &path, OFlags::RDONLY, Mode::empty())?;
        while read(&file, &mut buffer)? > 0 {}
        Ok(())
    })
}

pub fn getxattr(count: u64) -> Result<f64> {
    let path = c_path(DEEP_FILE)?;
    let name = c_path("user.statelite-bench")?;
    let mut buffer = [0_u8; 256];
    timed(count, |_| {
        match rustix::fs::getxattr(&path, &name, &mut buffer) {
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(error).context("getxattr"),
            Ok(_) => bail!("the attribute is there"),
        }
    })
}

pub fn create(count: u64) -> Result<f64> {
    let paths: Result<Vec<_>> = (0..count)
        .map(|turn| c_path(&format!("{WORK_DIR}/new-{turn}")))
        .collect();
    let mut paths = paths?.into_iter();
    let block = [b'x'; 1024];
    timed(count, |_| {
        let path = paths.next().context("a name for each turn")?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let file = openat(CWD, &path, flags, Mode::from_raw_mode(0o644)).context("create")?;
        let written = write(&file, &block).context("write")?;
        drop(file);
        unlinkat(CWD, &path, AtFlags::empty()).context("unlink")?;
        if written != block.len() {
            bail!("only {written} bytes written")
        } else {
            Ok(())
        }
    })
}

fn expect_absent(path: &std::ffi::CStr) -> Result<()> {
    match statat(CWD, path, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error).context("stat"),
        Ok(_) => bail!("{} is there", path.to_string_lossy()),
    }
}

fn c_path(path: &str) -> Result<std::ffi::CString> {
    std::ffi::CString::new(path).context("a path without NUL")
}
