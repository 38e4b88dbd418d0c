//! One row on one target, once.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Session;
use crate::peers::{Mounts, Ready, Source};
use crate::workload::{Phase, Place, Row};

/// A daemon that has just been unmounted may still be tidying up.
const SETTLE: Duration = Duration::from_millis(30);

/// What was measured of one row on one target: for each phase the runs of each round.
#[derive(Debug, Default)]
pub struct Measured {
    /// By phase, then by round.
    pub rounds: BTreeMap<Phase, Vec<Vec<f64>>>,
    /// What failed, and when.
    pub error: Option<(Phase, String)>,
    /// What our daemon counted during the first visit.
    pub counters: Option<serde_json::Value>,
}

impl Session {
    /// One row on one target.
    pub fn visit(
        &self,
        row: &Row,
        target: &Ready,
        round: u32,
        measured: &mut Measured,
    ) -> Result<()> {
        for phase in row.phases {
            measured.rounds.entry(*phase).or_default().push(Vec::new());
        }
        if measured.error.is_some() {
            return Ok(());
        }
        if row.drops_caches() {
            self.tree.warm_data(&self.scale)?;
        }
        let dirs = self.site.directories(target, &self.tree.dir);
        match target.mount(&self.site.runner, &dirs, row.wants_dev()) {
            Ok(mounts) => {
                self.phases(row, &dirs.mnt, &mounts, measured);
                if target.peer.source == Source::Ours && measured.counters.is_none() {
                    measured.counters = self.counters(target, &dirs.mnt, &mounts);
                }
            }
            Err(fault) => {
                let phase = row.phases.first().copied().unwrap_or(Phase::First);
                measured.error = Some((phase, format!("cannot mount: {fault}")));
            }
        }
        self.site.tidy(&dirs);
        std::thread::sleep(SETTLE);
        progress(round, self.rounds, row, target, measured);
        Ok(())
    }

    fn phases(&self, row: &Row, mnt: &Path, mounts: &Mounts, measured: &mut Measured) {
        let mut turn = 0;
        for phase in row.phases {
            for _ in 0..phase.repetitions() {
                let place = Place {
                    mnt,
                    tree: &self.tree,
                    scale: &self.scale,
                    turn,
                };
                turn += 1;
                match self.once(row, *phase, &place, mounts) {
                    Ok(value) => {
                        if let Some(runs) = measured
                            .rounds
                            .get_mut(phase)
                            .and_then(|rounds| rounds.last_mut())
                        {
                            runs.push(value);
                        }
                    }
                    Err(error) => {
                        measured.error = Some((*phase, format!("{error:#}")));
                        return;
                    }
                }
            }
        }
    }

    fn once(&self, row: &Row, phase: Phase, place: &Place<'_>, mounts: &Mounts) -> Result<f64> {
        if phase == Phase::Cold {
            rustix::fs::sync();
            std::fs::write("/proc/sys/vm/drop_caches", "3").context("dropping caches")?;
        }
        let finished = self
            .site
            .runner
            .run_or(row.command(place, phase), self.limit, || mounts.abort())?;
        row.value(finished.elapsed, &finished.stdout, &self.scale, phase)
    }

    /// What our daemon counted; nothing is lost if it cannot tell.
    fn counters(&self, target: &Ready, mnt: &Path, mounts: &Mounts) -> Option<serde_json::Value> {
        let mut status = Command::new(&target.program);
        status.args(["status", "--json"]).arg(mnt);
        let runner = &self.site.runner;
        let finished = runner
            .run_or(status, Duration::from_secs(10), || mounts.abort())
            .ok()?;
        serde_json::from_str(&finished.stdout).ok()
    }
}

fn progress(round: u32, rounds: u32, row: &Row, target: &Ready, measured: &Measured) {
    let mut text = format!(
        "round {}/{rounds} {:9} {:16}",
        round + 1,
        row.name,
        target.peer.name
    );
    for (phase, runs) in &measured.rounds {
        if let Some(best) = runs.last().and_then(|runs| row.unit.best(runs)) {
            text.push_str(&format!(" {phase} {best:.3} {}", row.unit.name()));
        }
    }
    if let Some((phase, why)) = &measured.error {
        text.push_str(&format!(" {phase} failed: {why}"));
    }
    eprintln!("{text}");
}
