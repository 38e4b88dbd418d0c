//! Rows about throughput: one large file read in three ways, and files written.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use super::tools::in_chroot;
use super::{Amount, Job, Op, Phase, Place, Row, TWICE, Unit, WITH_COLD};
use crate::machine::meminfo_kib;
use crate::tree::layout::WORK_DIR;

/// Environment variable that tells the loops which file to read.
pub const FILE: &str = "STATELITE_BENCH_FILE";

/// The catalogue.
pub const ROWS: &[Row] = &[
    row(
        "write4k",
        "write in 4 KiB pieces",
        Unit::Megabytes,
        0.5,
        TWICE,
        Amount::Written,
        Job::Loop(Op::Write4k),
    ),
    Row {
        goal: None,
        ..row(
            "write128k",
            "write in 128 KiB pieces",
            Unit::Megabytes,
            0.0,
            TWICE,
            Amount::Written,
            Job::Loop(Op::Write128k),
        )
    },
    row(
        "seq",
        "read in 1 MiB pieces",
        Unit::Megabytes,
        0.95,
        WITH_COLD,
        Amount::Data,
        Job::Loop(Op::Seq),
    ),
    row(
        "rand4k",
        "read 4 KiB here and there",
        Unit::KiloOps,
        0.95,
        WITH_COLD,
        Amount::Pieces,
        Job::Loop(Op::Rand4k),
    ),
    row(
        "mmap4k",
        "touch mapped pages here and there",
        Unit::KiloOps,
        0.95,
        WITH_COLD,
        Amount::Pieces,
        Job::Prints(mapped),
    ),
    row(
        "pagecache",
        "memory the file takes after a cold read",
        Unit::Mib,
        1.1,
        &[Phase::Cold],
        Amount::Once,
        Job::Loop(Op::Pagecache),
    ),
];

const fn row(
    name: &'static str,
    about: &'static str,
    unit: Unit,
    goal: f64,
    phases: &'static [Phase],
    amount: Amount,
    job: Job,
) -> Row {
    Row {
        name,
        about,
        unit,
        goal: Some(goal),
        phases,
        amount,
        job,
    }
}

/// Mapping files takes unsafe code in Rust, and this crate has none; Python's loop adds some 50 ns to each touch.
fn mapped(place: &Place<'_>, count: u64) -> Command {
    let mut chroot = in_chroot(place.mnt, "python3");
    chroot.args(["-B", "-c", include_str!("mapped.py")]);
    chroot
        .arg(format!("/{}", place.tree.data_file(place.scale)))
        .arg(count.to_string());
    chroot
}

pub fn sequential() -> Result<f64> {
    let file = large_file()?;
    let mut buffer = vec![0; 1 << 20];
    let start = Instant::now();
    let mut offset = 0;
    loop {
        match file.read_at(&mut buffer, offset)? {
            0 => return Ok(start.elapsed().as_secs_f64()),
            n => offset += n as u64,
        }
    }
}

/// The same places each time, so that a second run finds what the first has read.
pub fn random(count: u64) -> Result<f64> {
    const PIECE: usize = 4096;
    let file = large_file()?;
    let pieces = file.metadata()?.len() / PIECE as u64;
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let offsets: Vec<u64> = (0..count)
        .map(|_| numbers.draw().checked_rem(pieces).unwrap_or(0) * PIECE as u64)
        .collect();
    let mut buffer = [0; PIECE];
    let start = Instant::now();
    for offset in offsets {
        file.read_exact_at(&mut buffer, offset)?;
    }
    Ok(start.elapsed().as_secs_f64())
}

/// MiB by which the page cache grows when the file is read.
pub fn page_cache() -> Result<f64> {
    let cached = || meminfo_kib("Cached").context("no `Cached` in /proc/meminfo");
    let before = cached()?;
    sequential()?;
    Ok(cached()?.saturating_sub(before) as f64 / 1024.0)
}

pub fn write(bytes: u64, piece: usize) -> Result<f64> {
    let path = format!("{WORK_DIR}/written");
    let block = vec![b'x'; piece];
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .context("create")?;
    let start = Instant::now();
    for _ in 0..bytes / piece as u64 {
        file.write_all(&block).context("write")?;
    }
    drop(file);
    let seconds = start.elapsed().as_secs_f64();
    std::fs::remove_file(&path).context("unlink")?;
    Ok(seconds)
}

fn large_file() -> Result<File> {
    let name = std::env::var_os(FILE).with_context(|| format!("{FILE} is not set"))?;
    File::open(&name).with_context(|| format!("opening {}", name.display()))
}

/// Numbers that look random and are the same in every run (xorshift).
#[derive(Debug)]
pub struct Numbers(pub u64);

impl Numbers {
    /// The next one.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
