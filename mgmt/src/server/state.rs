//! What every connection needs.

use super::answers::{Cache, Outcome};
use super::config::Config;
use super::gate::Gate;
use super::identity::{Caller, Peer, identify};
use super::keeper::{Keeper, Report};
use super::metrics::Metrics;
use super::reverse::Reverse;
use super::world::World;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

/// Shared by all connections.
#[derive(Debug)]
pub struct State {
    /// What the server is told.
    pub config: Config,
    /// The tables.
    pub keeper: Keeper,
    /// Who names addresses.
    pub reverse: Arc<dyn Reverse>,
    /// Answers ready.
    pub cache: Arc<Cache>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Connections by port: wire, status, HTTPS.
    pub gates: [Arc<Gate>; 3],
    /// `<xcatdsource>` of answers.
    pub source: String,
    /// Becomes true when the server is to end.
    pub stopping: watch::Receiver<bool>,
    /// Answers computed at once.
    pub workers: Semaphore,
}

impl State {
    /// The node behind a connection.
    pub async fn identify(&self, world: &World, peer: &Peer) -> Option<Caller> {
        identify(world, peer, self.reverse.as_ref()).await
    }

    /// What a node is told; computed on a thread for blocking work if it is not ready.
    ///
    /// `None` when the server is ending.
    pub async fn answer(&self, world: &Arc<World>, node: &str) -> Option<Arc<Outcome>> {
        if let Some(known) = self.cache.get(world, node) {
            return Some(known);
        }
        let _worker = self.workers.acquire().await.ok()?;
        let (cache, world, node) = (Arc::clone(&self.cache), Arc::clone(world), node.to_owned());
        let task = tokio::task::spawn_blocking(move || cache.answer(&world, &node));
        task.await.ok()
    }

    /// Notes that a node was told this; written down soon.
    pub fn given(&self, outcome: &Arc<Outcome>) {
        self.keeper.report(Report::Given(Arc::clone(outcome)));
    }

    /// Resolves when the server is to end.
    pub async fn stop(&self) {
        let mut stopping = self.stopping.clone();
        // An error means that the sender is gone: also an end.
        let _ = stopping.wait_for(|stop| *stop).await;
    }
}
