//! `statelite-bench serve`: the server of the management side with thousands of nodes, on loopback.
//!
//! The server is a process of its own, with tables made for the purpose; every node is a source address in 127.0.0.0/8 that
//! the `hosts` table has. Parts:
//! - **boot**: within a minute every node reports its state and asks for litefile and litetree, as a stock node does,
//!   each over a connection of its own;
//! - **idle**: listeners to the event stream are held, then a change of the tables reaches them all;
//! - **half-open**: connections that begin TLS and say no more are held and made anew, while nodes boot.
//!
//! Client and server share the machine: the server's CPU time is its own, latencies are of both.

mod boot;
mod client;
mod half_open;
mod idle;
mod server;
mod site;

use crate::args::{Part, Serve};
use anyhow::{Context, Result};
use serde::Serialize;
use server::Server;
use std::sync::Arc;

/// What a part found.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// The part.
    pub part: &'static str,
    /// What was measured: name, value, unit.
    pub numbers: Vec<Number>,
}

/// One number.
#[derive(Debug, Serialize)]
pub struct Number {
    /// What it is.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
}

impl Finding {
    /// Nothing found yet.
    pub fn new(part: &'static str) -> Self {
        Self {
            part,
            numbers: Vec::new(),
        }
    }

    /// Adds a number.
    pub fn add(&mut self, name: &str, value: f64, unit: &'static str) {
        self.numbers.push(Number {
            name: name.to_owned(),
            value,
            unit,
        });
    }

    /// Adds percentiles of latencies, in milliseconds.
    pub fn latencies(&mut self, name: &str, samples: &mut [f64]) {
        samples.sort_by(f64::total_cmp);
        for (percent, word) in [(50, "median"), (95, "95 %"), (99, "99 %"), (100, "longest")] {
            let index = (samples.len() * percent / 100).min(samples.len().saturating_sub(1));
            if let Some(value) = samples.get(index) {
                self.add(&format!("{name}, {word}"), *value, "ms");
            }
        }
    }
}

/// Runs the parts and prints what they found.
pub fn measure(args: &Serve) -> Result<()> {
    let dir = tempfile::tempdir()?;
    site::make(dir.path(), args.nodes.max(args.idle).max(args.half_open))
        .context("making the tables")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    raise_file_limit();
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    let mut findings = Vec::new();
    // Each part has a server of its own: what one leaves in memory is not the next one's.
    for part in [Part::Boot, Part::Idle, Part::HalfOpen]
        .into_iter()
        .filter(|part| wanted(*part))
    {
        let server = Arc::new(Server::start(args.statelite.as_deref(), dir.path())?);
        let finding = runtime.block_on(async {
            match part {
                Part::Boot => boot::measure(args, &server).await,
                Part::Idle => idle::measure(args, &server).await,
                Part::HalfOpen => half_open::measure(args, &server).await,
            }
        })?;
        print(&finding);
        findings.push(finding);
        server.stop()?;
    }
    if let Some(file) = &args.json {
        let text = serde_json::to_vec_pretty(&findings)?;
        std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

fn print(finding: &Finding) {
    println!("{}", finding.part);
    for number in &finding.numbers {
        let value = match number.unit {
            "" => format!("{:.0}", number.value),
            _ => format!("{:.2}", number.value),
        };
        println!("  {:<46} {value:>12} {}", number.name, number.unit);
    }
}

fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        eprintln!(
            "the limit of open files stays at {:?}: {error}",
            limit.current
        );
    }
}
