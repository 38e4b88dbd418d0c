//! The crate `fsx`: random operations on one file, every read checked. All seeds run side by side.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::Setting;
use crate::cmd::{Cmd, End};
use crate::compare::{Results, Verdict};
use crate::tools::FSX;

/// Every operation that it knows on Linux. Each mapped write is followed by msync; explicit syncs are rare, because a
/// disk would spend the whole run in them.
const CONFIG: &str = "
flen = 262144

[opsize]
max = 65536
min = 0
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

/// Runs it.
pub fn run(setting: &Setting, dir: &Path) -> Result<Results> {
    let program = FSX.path()?;
    let config = setting.room.join("fsx.toml");
    std::fs::write(&config, CONFIG)?;
    // 1,000 operations take 0.1 s on tmpfs and 0.3 s on ext4 here; a mount may be many times slower.
    let limit =
        Duration::from_secs(60 + setting.amount.fsx_ops / 1000 * 3 * setting.amount.fsx_seeds);
    let one = |seed: u64| -> Result<Results> {
        let outcome = Cmd::new(&program)
            .arg("-f")
            .arg(&config)
            .args([
                "-N",
                &setting.amount.fsx_ops.to_string(),
                "-S",
                &seed.to_string(),
            ])
            .arg("-P")
            .arg(&setting.room)
            .arg(dir.join(format!("seed-{seed}")))
            .env("RUST_BACKTRACE", "0")
            .limit(limit)
            .run()?;
        let passed = outcome.success() && outcome.text().contains("All operations completed A-OK!");
        let verdict = if passed {
            Verdict::Passed
        } else {
            Verdict::Failed(outcome.to_string())
        };
        let mut results = Results {
            stuck: outcome.end == End::Stuck,
            elapsed: outcome.elapsed,
            ..Results::default()
        };
        results.note(format!("seed {seed}"), verdict);
        Ok(results)
    };
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
