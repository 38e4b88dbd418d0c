//! A storm of connections that begin TLS and say no more.

use super::client::Client;
use super::server::Server;
use super::{Finding, boot};
use crate::args::Serve;
use anyhow::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The first bytes of a handshake: a record that promises 512 bytes, and some of them.
const BEGINNING: [u8; 11] = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
/// After a connection that was turned away; without it the client would measure itself.
const PAUSE: Duration = Duration::from_millis(200);

/// Measures it: the storm comes from as many addresses as it has connections, so that no limit per address helps.
pub async fn measure(args: &Serve, server: &Arc<Server>) -> Result<Finding> {
    let client = Client::new(server)?;
    let (before, _) = server.memory()?;
    let (start, cpu) = (Instant::now(), server.cpu()?);
    let made = Arc::new(AtomicU64::new(0));
    // The nodes that boot have other addresses than the storm.
    let booting = args.nodes.min(500);
    let storm: Vec<_> = (booting..booting.max(args.half_open))
        .map(|number| {
            let (client, server, made) = (client.clone(), Arc::clone(server), Arc::clone(&made));
            tokio::spawn(async move {
                loop {
                    if let Ok(mut stream) = client.tcp(number, server.wire).await {
                        made.fetch_add(1, Ordering::Relaxed);
                        let _ = stream.write_all(&BEGINNING).await;
                        let mut reply = [0; 64];
                        let _ = stream.read(&mut reply).await;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let hold = Duration::from_secs(args.hold);
    let mut seen = boot::boot(&client, 0..booting, hold).await;
    let (with, most) = server.memory()?;
    let (wall, cpu) = (start.elapsed().as_secs_f64(), server.cpu()? - cpu);
    let count = storm.len();
    for task in storm {
        task.abort();
        let _ = task.await;
    }
    let mut finding = Finding::new("half-open");
    finding.add("half-open connections wanted at once", count as f64, "");
    finding.add(
        "half-open connections made in all",
        made.load(Ordering::Relaxed) as f64,
        "",
    );
    finding.add("wall time", wall, "s");
    finding.add("CPUs busy with the server", cpu / wall, "1");
    finding.add("memory before", before, "MiB");
    finding.add("memory in the storm", with, "MiB");
    finding.add("memory at most", most, "MiB");
    finding.add("nodes that boot meanwhile", f64::from(booting), "");
    finding.add(
        "requests of theirs that failed",
        seen.failed.len() as f64,
        "",
    );
    finding.latencies("their answer", &mut seen.answers);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut after = boot::boot(&client, 0..booting.min(100), Duration::from_secs(1)).await;
    finding.add(
        "afterwards: requests that failed",
        after.failed.len() as f64,
        "",
    );
    finding.latencies("afterwards: answer", &mut after.answers);
    for text in seen.failed.iter().take(3) {
        eprintln!("failed in the storm: {text}");
    }
    Ok(finding)
}
