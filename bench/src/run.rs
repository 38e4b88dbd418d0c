//! How the numbers come about.
//!
//! * A **visit** is one row on one target: a fresh mount, the row once (*first*), the row twice more (*warm*, the
//!   better of the two), for the reading rows once more with every cache of the machine dropped (*cold*), unmount.
//! * A **round** visits every row, and for each row all targets one after the other, so that a ratio is made of runs
//!   that lie seconds apart. The order of targets turns by one with every row and round. Before a row the lower directory
//!   is read into memory.
//! * A number is the median over the rounds. A ratio is the median over the rounds' ratios to the bare directory.
//! * A **suite** is all of this with caller and daemon pinned to one CPU, or with both left alone.
//!
//! A row that fails on a target is not tried there again in this suite; everything else goes on.

mod site;
mod visit;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use self::site::Site;
use self::visit::Measured;
use crate::args::Local;
use crate::peers::{self, Missing, PEERS, Ready, Source};
use crate::pin;
use crate::report::{Line, Report, Suite, Target};
use crate::tree::{Scale, Tree};
use crate::workload::{Row, rows};

/// Measures everything asked for.
pub fn local(local: &Local) -> Result<Report> {
    if !rustix::process::geteuid().is_root() {
        bail!("mounting needs root");
    }
    let site = Site::open(&local.work)?;
    let runner = site.runner.clone();
    let scale = if local.quick {
        Scale::QUICK
    } else {
        Scale::FULL
    };
    let machine = crate::machine::describe();
    let tree = Tree::ready(
        &runner,
        local.tree.as_deref(),
        &local.work,
        &scale,
        !local.no_install,
    )?;
    let ours = match &local.statelitefs {
        Some(given) => given
            .canonicalize()
            .with_context(|| format!("--statelitefs {}", given.display()))?,
        None => std::env::current_exe()?.with_file_name("statelitefs"),
    };
    let (targets, missing) = targets(local, &site, &tree, &ours);
    if targets
        .first()
        .is_none_or(|target| target.peer.name != peers::BARE)
    {
        bail!("without the bare directory there is nothing to compare with");
    }
    let rows: Vec<Row> = rows()
        .into_iter()
        .filter(|row| wanted(&local.only, row.name))
        .collect();
    let session = Session {
        site,
        scale,
        tree,
        targets,
        rows,
        rounds: local.rounds,
        limit: local.time_limit,
    };
    let suites: Result<Vec<Suite>> = local
        .pin
        .suites()
        .iter()
        .map(|pinned| session.suite(*pinned))
        .collect();
    let suites = suites?;
    let targets = session.targets.iter().map(|ready| Target {
        name: ready.peer.name,
        about: ready.peer.about,
        version: ready.version.clone(),
        ours: ready.peer.source == Source::Ours,
    });
    let targets = targets.collect();
    let Session {
        scale,
        tree,
        rounds,
        ..
    } = session;
    Ok(Report {
        machine,
        rounds,
        scale,
        tree,
        targets,
        missing,
        suites,
    })
}

/// The targets asked for: those that can be mounted, and those that cannot. The bare directory is always the first.
fn targets(local: &Local, site: &Site, tree: &Tree, ours: &Path) -> (Vec<Ready>, Vec<Missing>) {
    let asked = PEERS
        .iter()
        .filter(|peer| wanted(&local.peers, peer.name) || peer.name == peers::BARE);
    let (mut targets, mut missing) = (Vec::new(), Vec::new());
    for peer in asked {
        let ready = peer
            .find(&site.runner, ours, !local.no_install)
            .and_then(|ready| {
                let dirs = site.directories(&ready, &tree.dir);
                let tried = ready.mount(&site.runner, &dirs, true).map(drop);
                site.tidy(&dirs);
                tried.map_err(|fault| Missing {
                    target: peer.name,
                    why: format!("cannot be mounted: {fault}"),
                })?;
                Ok(ready)
            });
        match ready {
            Ok(ready) => targets.push(ready),
            Err(why) => {
                eprintln!("missing: {}: {}", why.target, why.why);
                missing.push(why);
            }
        }
    }
    (targets, missing)
}

fn wanted(list: &[String], name: &str) -> bool {
    list.is_empty() || list.iter().any(|item| item == name)
}

#[derive(Debug)]
struct Session {
    site: Site,
    scale: Scale,
    tree: Tree,
    targets: Vec<Ready>,
    rows: Vec<Row>,
    rounds: u32,
    limit: Duration,
}

impl Session {
    fn suite(&self, pinned: bool) -> Result<Suite> {
        let _pinned = if pinned {
            Some(pin::to_one_cpu()?)
        } else {
            None
        };
        // By row, then by target.
        let mut all: Vec<Vec<Measured>> = self
            .rows
            .iter()
            .map(|_| self.targets.iter().map(|_| Measured::default()).collect())
            .collect();
        for round in 0..self.rounds {
            for (number, (row, measured)) in self.rows.iter().zip(&mut all).enumerate() {
                self.tree.warm(&self.site.runner, &self.scale, self.limit)?;
                let turn = round as usize + number;
                let mut order: Vec<(&Ready, &mut Measured)> =
                    self.targets.iter().zip(measured).collect();
                let by = turn.checked_rem(order.len()).unwrap_or(0);
                order.rotate_left(by);
                for (target, measured) in order {
                    self.visit(row, target, round, measured)?;
                }
            }
        }
        Ok(self.summarise(pinned, all))
    }

    fn summarise(&self, pinned: bool, all: Vec<Vec<Measured>>) -> Suite {
        let mut suite = Suite {
            pinned,
            lines: Vec::new(),
            counters: BTreeMap::new(),
        };
        for (row, mut measured) in self.rows.iter().zip(all) {
            for phase in row.phases {
                let cells = measured.iter_mut().map(|of_target| {
                    let samples = of_target.rounds.remove(phase).unwrap_or_default();
                    // What failed in a phase was not run in the following ones.
                    let error = of_target
                        .error
                        .as_ref()
                        .filter(|(failed, _)| failed <= phase);
                    (samples, error.map(|(_, text)| text.clone()))
                });
                suite.lines.push(Line::new(row, *phase, cells.collect()));
            }
            for (target, of_target) in self.targets.iter().zip(&mut measured) {
                if let Some(counters) = of_target.counters.take() {
                    suite
                        .counters
                        .entry(target.peer.name.to_owned())
                        .or_default()
                        .insert(row.name.to_owned(), counters);
                }
            }
        }
        suite
    }
}
