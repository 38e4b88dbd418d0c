//! Listeners that wait, and a change of the tables that all of them hear of.

use super::client::Client;
use super::server::Server;
use super::{Finding, boot, site};
use crate::args::Serve;
use anyhow::{Context, Result, ensure};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::client::TlsStream;

/// Handshakes under way at once.
const AT_ONCE: usize = 256;
/// For the first event, and for that of the change.
const PATIENCE: Duration = Duration::from_secs(120);

/// Reads until an event with a digest is whole.
async fn event(stream: &mut TlsStream<TcpStream>) -> Result<()> {
    let mut text = Vec::new();
    loop {
        let mut piece = [0; 1024];
        let count = stream.read(&mut piece).await?;
        ensure!(
            count > 0,
            "the stream ended: {}",
            String::from_utf8_lossy(&text)
        );
        text.extend_from_slice(piece.get(..count).unwrap_or_default());
        let so_far = String::from_utf8_lossy(&text);
        if let Some((_, rest)) = so_far.split_once("\"digest\"")
            && rest.contains("\n\n")
        {
            return Ok(());
        }
    }
}

async fn listen(client: &Client, server: &Server, number: u32) -> Result<TlsStream<TcpStream>> {
    let mut stream = client.tls(number, server.https).await?;
    stream
        .write_all(b"GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await?;
    tokio::time::timeout(PATIENCE, event(&mut stream))
        .await
        .context("no first event")??;
    Ok(stream)
}

/// Measures it.
pub async fn measure(args: &Serve, server: &Arc<Server>) -> Result<Finding> {
    let client = Client::new(server)?;
    let (before, _) = server.memory()?;
    let (start, cpu) = (Instant::now(), server.cpu()?);
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let tasks: Vec<_> = (0..args.idle)
        .map(|number| {
            let (client, server, slots) = (client.clone(), Arc::clone(server), Arc::clone(&slots));
            tokio::spawn(async move {
                let _slot = slots.acquire().await?;
                listen(&client, &server, number).await
            })
        })
        .collect();
    let (mut streams, mut failed) = (Vec::new(), 0);
    for task in tasks {
        match task.await? {
            Ok(stream) => streams.push(stream),
            Err(error) => {
                failed += 1;
                if failed <= 3 {
                    eprintln!("failed: {error:#}");
                }
            }
        }
    }
    let mut finding = Finding::new("idle");
    finding.add("listeners", streams.len() as f64, "");
    finding.add("failed", f64::from(failed), "");
    finding.add("time to connect all", start.elapsed().as_secs_f64(), "s");
    finding.add("CPU time of the server for that", server.cpu()? - cpu, "s");
    let (with, _) = server.memory()?;
    finding.add("memory before", before, "MiB");
    finding.add("memory with all of them", with, "MiB");
    finding.add(
        "memory per listener",
        (with - before) * 1024.0 / streams.len().max(1) as f64,
        "KiB",
    );

    let cpu = server.cpu()?;
    tokio::time::sleep(Duration::from_secs(args.hold)).await;
    finding.add(
        "CPU time while they wait, per minute",
        (server.cpu()? - cpu) * 60.0 / args.hold.max(1) as f64,
        "s",
    );
    let mut seen = boot::boot(&client, 0..args.nodes.min(500), Duration::from_secs(5)).await;
    finding.add(
        "nodes that boot meanwhile, failed",
        seen.failed.len() as f64,
        "",
    );
    finding.latencies("their answer", &mut seen.answers);

    let (start, cpu) = (Instant::now(), server.cpu()?);
    let dir = server.dir.clone();
    tokio::task::spawn_blocking(move || site::change(&dir)).await??;
    let count = streams.len();
    let tasks: Vec<_> = streams
        .into_iter()
        .map(|mut stream| {
            tokio::spawn(async move {
                let heard = tokio::time::timeout(PATIENCE, event(&mut stream)).await;
                (
                    matches!(heard, Ok(Ok(()))),
                    start.elapsed().as_secs_f64() * 1000.0,
                    stream,
                )
            })
        })
        .collect();
    let (mut heard, mut kept) = (Vec::new(), Vec::new());
    for task in tasks {
        let (good, latency, stream) = task.await?;
        if good {
            heard.push(latency);
        }
        kept.push(stream);
    }
    finding.add("of a change of the tables, heard", heard.len() as f64, "");
    finding.add("did not hear", (count - heard.len()) as f64, "");
    finding.add("CPU time of the server for that", server.cpu()? - cpu, "s");
    finding.latencies("from the change to the event", &mut heard);
    finding.add("memory at most", server.memory()?.1, "MiB");
    Ok(finding)
}
