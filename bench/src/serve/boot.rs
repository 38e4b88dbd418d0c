//! Every node boots.

use super::Finding;
use super::client::Client;
use super::server::Server;
use crate::args::Serve;
use anyhow::Result;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What one node saw: latencies in milliseconds, and what failed.
#[derive(Debug, Default)]
pub struct Seen {
    /// Latencies of litefile and litetree.
    pub answers: Vec<f64>,
    /// Latencies of the status port.
    pub states: Vec<f64>,
    /// What failed.
    pub failed: Vec<String>,
}

/// Boots nodes, spread at random over a time.
pub async fn boot(client: &Client, nodes: std::ops::Range<u32>, within: Duration) -> Seen {
    let mut random = fastrand::Rng::with_seed(1);
    let tasks: Vec<_> = nodes
        .map(|number| {
            let (client, wait) = (client.clone(), within.mul_f64(random.f64()));
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                let mut seen = Seen::default();
                node(&client, number, &mut seen).await;
                seen
            })
        })
        .collect();
    let mut all = Seen::default();
    for task in tasks {
        match task.await {
            Ok(seen) => {
                all.answers.extend(seen.answers);
                all.states.extend(seen.states);
                all.failed.extend(seen.failed);
            }
            Err(error) => all.failed.push(error.to_string()),
        }
    }
    all
}

async fn node(client: &Client, number: u32, seen: &mut Seen) {
    let start = Instant::now();
    match client.report(number).await {
        Ok(()) => seen.states.push(milliseconds(start)),
        Err(error) => seen.failed.push(format!("status: {error:#}")),
    }
    for command in ["litefile", "litetree"] {
        let start = Instant::now();
        match client.ask(number, command).await {
            Ok(()) => seen.answers.push(milliseconds(start)),
            Err(error) => seen.failed.push(format!("{command}: {error:#}")),
        }
    }
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}

/// Measures it.
pub async fn measure(args: &Serve, server: &Arc<Server>) -> Result<Finding> {
    let client = Client::new(server)?;
    let (start, cpu) = (Instant::now(), server.cpu()?);
    let (before, _) = server.memory()?;
    let mut seen = boot(&client, 0..args.nodes, Duration::from_secs(args.within)).await;
    let (wall, cpu) = (start.elapsed().as_secs_f64(), server.cpu()? - cpu);
    let (after, most) = server.memory()?;
    let mut finding = Finding::new("boot");
    finding.add("nodes", f64::from(args.nodes), "");
    finding.add("answers", seen.answers.len() as f64, "");
    finding.add("states reported", seen.states.len() as f64, "");
    finding.add("failed", seen.failed.len() as f64, "");
    finding.add("wall time", wall, "s");
    finding.add(
        "answers per second",
        seen.answers.len() as f64 / wall,
        "1/s",
    );
    finding.add("CPU time of the server", cpu, "s");
    finding.add("CPUs busy with the server", cpu / wall, "1");
    let requests = (seen.answers.len() + seen.states.len()).max(1);
    finding.add("CPU time per request", cpu * 1000.0 / requests as f64, "ms");
    finding.add("memory before", before, "MiB");
    finding.add("memory after", after, "MiB");
    finding.add("memory at most", most, "MiB");
    finding.latencies("answer", &mut seen.answers);
    finding.latencies("state", &mut seen.states);
    for text in seen.failed.iter().take(3) {
        eprintln!("failed: {text}");
    }
    Ok(finding)
}
