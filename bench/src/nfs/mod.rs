//! `statelite-bench nfs`: the NFS traffic of real nodes, mode by mode.
//!
//! Same image, same tables, same kernel, same server; what differs is who makes the root of it. A node is a virtual
//! machine under software emulation, so times are only good for comparing with each other; numbers of calls repeat
//! within a few per cent.
//!
//! | module | what it is |
//! |---|---|
//! | [`mode`] | what is compared |
//! | [`drive`] | one node, from power on to power off, phase by phase |
//! | [`reading`], [`mountstats`] | what the kernel counted |
//! | [`result`] | what a run comes to |
//! | [`goals`] | what it should come to |
//! | [`table`], [`chart`], [`html`] | how it is shown |

pub mod chart;
pub mod drive;
pub mod goals;
pub mod html;
pub mod mode;
pub mod mountstats;
pub mod reading;
pub mod result;
pub mod table;

use std::io::Write;

use anyhow::{Context, Result, ensure};
use mode::{MODES, Mode};
use result::{NfsReport, Run};
use statelite_tests::vm;

use crate::args::Nfs as Args;
use crate::machine;

/// Boots every mode over every NFS version, and writes what was asked for.
///
/// # Errors
/// When nothing could be measured, or a file cannot be written. A mode that fails alone is told as missing.
pub fn measure(args: &Args) -> Result<()> {
    if let Some(file) = &args.from {
        let name = || format!("reading {}", file.display());
        let text = std::fs::read_to_string(file).with_context(name)?;
        let report = serde_json::from_str(&text).with_context(name)?;
        write(args, &report)?;
        return tell(args, &report);
    }
    let wanted = |mode: &&Mode| args.modes.is_empty() || args.modes.iter().any(|m| m == mode.name);
    let modes: Vec<&Mode> = MODES.iter().filter(wanted).collect();
    let mut report = NfsReport {
        machine: machine::describe(),
        about: about(args, &modes),
        runs: Vec::new(),
        missing: Vec::new(),
    };
    let mut all: Vec<Run> = Vec::new();
    for round in 1..=args.rounds {
        for version in &args.nfs {
            for mode in &modes {
                // Others may have theirs between two boots.
                let _turn = vm::whole_turn()?;
                let what = format!("{}, NFS {}", mode.name, version.version());
                eprintln!("round {round} of {}: {what}", args.rounds);
                match drive::run(mode, *version, args.kernel, args.idle) {
                    Ok(outcome) => {
                        all.push(outcome.run);
                        let notes = outcome.notes.into_iter();
                        report
                            .about
                            .extend(notes.map(|note| format!("{what}: {note}.")));
                    }
                    Err(error) => {
                        eprintln!("{what}: {error:#}");
                        // The first line; the console's end follows it.
                        let text = format!("{error:#}");
                        let line = text.lines().next().unwrap_or_default();
                        report.missing.push(format!("{what}: {line}"));
                    }
                }
                report.runs = result::medians(&all);
                write(args, &report)?;
            }
        }
    }
    ensure!(!report.runs.is_empty(), "nothing could be measured");
    tell(args, &report)
}

/// The tables, on standard output.
fn tell(args: &Args, report: &NfsReport) -> Result<()> {
    let text = if args.markdown {
        table::markdown(report)
    } else {
        table::text(report)
    };
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes()).context("writing the table")
}

fn about(args: &Args, modes: &[&Mode]) -> Vec<String> {
    let mut lines = vec![
        format!(
            "Debian 12 with systemd, sshd, cron, rsyslog; kernel {}; the cookbook's litefile table with a few rows for Debian; user-space NFS server \
             (NFS-Ganesha); one emulated CPU, so times are only good for comparing with each other. Medians of {} boots.",
            args.kernel, args.rounds
        ),
        format!(
            "boot: everything from the kernel's start until systemd says that it is finished. work: python imports, package \
             queries, 50 log lines, reading all of /etc, listing, two ssh logins. policy paths: 1,000 accesses to volatile \
             paths of the table within ten seconds, and the same once more. idle: {} s with cron and syslog running.",
            args.idle
        ),
        "tmpfs: what the mode itself keeps in RAM at multi-user; /run and /dev/shm of the system are not in it.".to_owned(),
    ];
    lines.extend(
        modes
            .iter()
            .map(|mode| format!("{}: {}.", mode.name, mode.about)),
    );
    lines
}

/// Writes the files that were asked for.
fn write(args: &Args, report: &NfsReport) -> Result<()> {
    if let Some(file) = &args.json {
        let text = serde_json::to_string_pretty(report)? + "\n";
        std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    if let Some(file) = &args.html {
        std::fs::write(file, html::render(report))
            .with_context(|| format!("writing {}", file.display()))?;
    }
    if let Some(dir) = &args.svg {
        std::fs::create_dir_all(dir)?;
        for version in report.versions() {
            for phase in report.phases() {
                let name = format!("nfs{version}-{}.svg", phase.replace(' ', "-"));
                std::fs::write(dir.join(&name), chart::render(report, version, phase))
                    .with_context(|| format!("writing {name}"))?;
            }
        }
    }
    Ok(())
}
