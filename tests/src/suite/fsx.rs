//! The crate `fsx`: random operations on one file, every read checked. All seeds run side by side.
//!
//! fsx 0.3.2 never unmaps what it has read by mmap. Every truncation then walks all those mappings, and a run of
//! 1,000,000 operations ends at the kernel's limit of 65,530. So the operations of a seed are done in rounds of
//! [`ROUND`], each by a new process with a seed of its own, on the same file. A few thousand old mappings of the file
//! in each are welcome.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::Setting;
use crate::cmd::{Cmd, End};
use crate::compare::{Results, Verdict};
use crate::tools::FSX;

/// Every operation that it knows on Linux. Each mapped write is followed by msync; explicit syncs are rare, because a
/// disk would spend the whole run in them. No operation is empty: fsx takes the EINVAL of an empty posix_fallocate for
/// a failure.
const CONFIG: &str = "
flen = 262144

[opsize]
max = 65536
min = 1
align = 1

[weights]
close_open = 1
read = 10
write = 10
mapread = 10
mapwrite = 10
invalidate = 1
truncate = 5
fsync = 0.1
fdatasync = 0.1
posix_fallocate = 2
punch_hole = 3
sendfile = 3
posix_fadvise = 1
copy_file_range = 3
";

/// The operations of one process: some 3,000 mappings.
pub const ROUND: u64 = 20_000;

/// After so many failed rounds a seed is given up.
const ENOUGH: u32 = 3;

/// What a process says at its end when every read was right.
const DONE: &str = "All operations completed A-OK!";

/// Runs it.
pub fn run(setting: &Setting, dir: &Path) -> Result<Results> {
    let program = FSX.path()?;
    let config = setting.room.join("fsx.toml");
    std::fs::write(&config, CONFIG)?;
    // 1,000 operations take 0.1 s on tmpfs and 0.3 s on ext4 here; a mount may be many times slower.
    let limit = Duration::from_secs(60 + ROUND / 1000 * 3 * setting.amount.fsx_seeds);
    let round = |file: &Path, seed: u64, operations: u64| {
        Cmd::new(&program)
            .arg("-f")
            .arg(&config)
            .args(["-N", &operations.to_string(), "-S", &seed.to_string()])
            .arg("-P")
            .arg(&setting.room)
            .arg(file)
            .env("RUST_BACKTRACE", "0")
            .limit(limit)
            .run()
    };
    let one = |seed: u64| -> Result<Results> {
        let start = Instant::now();
        let file = dir.join(format!("seed-{seed}"));
        let mut results = Results::default();
        let mut failures = 0;
        for number in 0..setting.amount.fsx_ops.div_ceil(ROUND) {
            let operations = ROUND.min(setting.amount.fsx_ops - number * ROUND);
            let outcome = round(&file, seed + number * 1000, operations)?;
            let passed = outcome.success() && outcome.text().contains(DONE);
            failures += u32::from(!passed);
            let verdict = if passed {
                Verdict::Passed
            } else {
                Verdict::Failed(outcome.to_string())
            };
            results.note(format!("seed {seed} round {number:02}"), verdict);
            results.stuck = outcome.end == End::Stuck;
            if results.stuck || failures == ENOUGH {
                break;
            }
        }
        results.elapsed = start.elapsed();
        Ok(results)
    };
    let one = &one;
    let runs = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=setting.amount.fsx_seeds)
            .map(|seed| scope.spawn(move || one(seed)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join())
            .collect::<Vec<_>>()
    });
    let mut results = Results::default();
    for run in runs {
        match run {
            Ok(found) => results.merge(found?),
            Err(_) => results.note(
                "(whole run)",
                Verdict::Failed("a thread of the harness died".to_owned()),
            ),
        }
    }
    Ok(results)
}
