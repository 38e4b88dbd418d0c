//! The one thread that touches the database: it looks for changes, makes new worlds of them, and writes down what nodes
//! report.
//!
//! PostgreSQL says when tables change ([`listening`]); what is changed past this program is found by looking every few
//! seconds. Reports are collected between two looks and stored in one transaction. While the database cannot be read, the snapshot
//! is used if it is newer than what is known; without one, the last world stays, and health says since when.

mod listening;
mod reports;
mod source;
#[cfg(test)]
mod tests;

pub use reports::{Report, timestamp};
pub use source::Source;

use super::config::Config;
use super::metrics::Metrics;
use super::world::World;
use crate::tables::Listener;
use parking_lot::Mutex;
use source::Found;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// Reports that may wait; more are dropped and counted. Each is some hundred bytes.
const WAITING: usize = 20_000;

/// The tables are not read more often than this, however often somebody says that they changed.
const AT_MOST_EVERY: Duration = Duration::from_millis(500);

/// How things stand with the source of the tables.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Health {
    /// `database`, `snapshot` or `memory` (the last known tables, with neither at hand).
    pub source: &'static str,
    /// Seconds since 1970 when the tables were last known to be current.
    pub fresh: u64,
    /// What is wrong.
    pub error: Option<String>,
}

/// What others see of the thread.
#[derive(Debug, Clone)]
pub struct Keeper {
    worlds: watch::Receiver<Arc<World>>,
    health: Arc<Mutex<Health>>,
    reports: SyncSender<Message>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
enum Message {
    Report(Report),
    /// The tables have changed, as somebody else says.
    Changed,
    Stop,
}

/// The thread itself.
#[derive(Debug)]
pub struct Running {
    thread: JoinHandle<()>,
    reports: SyncSender<Message>,
    /// Kept by us alone: others see by it whether we are still here.
    _alive: Arc<()>,
}

impl Keeper {
    /// Reads the tables once and starts the thread.
    ///
    /// # Errors
    /// When neither the database nor a snapshot can be read.
    pub fn start(
        db: &str,
        config: &Config,
        metrics: &Arc<Metrics>,
    ) -> anyhow::Result<(Self, Running)> {
        let mut source = Source::new(db, config);
        let found = source.first()?;
        let health = Arc::new(Mutex::new(found.health()));
        let (publish, worlds) = watch::channel(Arc::new(found.into_world(0)));
        let (reports, messages) = sync_channel(WAITING);
        let alive = Arc::new(());
        if Listener::possible(db) {
            listening::start(db, reports.clone(), Arc::downgrade(&alive))?;
        }
        let poll = source.poll(Duration::from_secs(config.poll_seconds));
        let mut thread = Thread {
            source,
            publish,
            health: Arc::clone(&health),
            metrics: Arc::clone(metrics),
        };
        let thread = std::thread::Builder::new()
            .name("tables".into())
            .spawn(move || thread.run(&messages, poll))?;
        let keeper = Self {
            worlds,
            health,
            reports: reports.clone(),
            metrics: Arc::clone(metrics),
        };
        let running = Running {
            thread,
            reports,
            _alive: alive,
        };
        Ok((keeper, running))
    }

    /// The tables as they are now.
    #[must_use]
    pub fn world(&self) -> Arc<World> {
        Arc::clone(&self.worlds.borrow())
    }

    /// News of the tables.
    #[must_use]
    pub fn worlds(&self) -> watch::Receiver<Arc<World>> {
        self.worlds.clone()
    }

    /// How things stand.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.lock().clone()
    }

    /// Hands in what a node reported or was told; it is written down soon. Never waits.
    pub fn report(&self, report: Report) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.reports.try_send(Message::Report(report))
        {
            self.metrics.reports_lost.add();
        }
    }
}

impl Running {
    /// Writes down what is left and ends the thread. Blocks until the database has it.
    pub fn stop(self) {
        let _ = self.reports.send(Message::Stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread of the tables ended badly");
        }
    }
}

struct Thread {
    source: Source,
    publish: watch::Sender<Arc<World>>,
    health: Arc<Mutex<Health>>,
    metrics: Arc<Metrics>,
}

impl Thread {
    fn run(&mut self, messages: &Receiver<Message>, poll: Duration) {
        let mut stop = false;
        while !stop {
            let begin = Instant::now();
            let mut end = begin + poll;
            let mut reports = Vec::new();
            loop {
                let left = end.saturating_duration_since(Instant::now());
                match messages.recv_timeout(left) {
                    Ok(Message::Report(report)) => reports.push(report),
                    // Changes come in bursts, and some are our own reports.
                    Ok(Message::Changed) => end = end.min(begin + AT_MOST_EVERY),
                    Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => {
                        stop = true;
                        break;
                    }
                    Err(RecvTimeoutError::Timeout) => break,
                }
            }
            self.store(&reports);
            if !stop {
                self.look();
            }
        }
    }

    fn store(&mut self, reports: &[Report]) {
        if reports.is_empty() {
            return;
        }
        let count = match self.source.write(reports) {
            Ok(()) => &self.metrics.reports_stored,
            Err(error) => {
                tracing::warn!("{} reports, not all stored: {error:#}", reports.len());
                &self.metrics.reports_lost
            }
        };
        reports.iter().for_each(|_| count.add());
    }

    fn look(&mut self) {
        let old = Arc::clone(&self.publish.borrow());
        let known = self.health.lock().fresh;
        let found = self
            .source
            .look(if old.from_snapshot() { 0 } else { known });
        let health = found.health();
        let mut last = self.health.lock();
        if last.error != health.error || last.source != health.source {
            match &health.error {
                Some(error) => tracing::warn!("serving from the {}: {error}", health.source),
                None => tracing::info!("serving from the {}", health.source),
            }
        }
        let fresh = health.fresh.max(last.fresh);
        *last = Health { fresh, ..health };
        drop(last);
        let changed = match &found {
            Found::Same { .. } => false,
            Found::Tables { site, .. } => {
                old.differs_from(site) || found.is_snapshot() != old.from_snapshot()
            }
        };
        if changed {
            let world = found.into_world(old.generation());
            if !world.ambiguous().is_empty() {
                let list: Vec<_> = world.ambiguous().iter().map(ToString::to_string).collect();
                tracing::warn!(
                    "hosts: more than one node has {}; they count for none",
                    list.join(", ")
                );
            }
            tracing::info!(
                generation = world.generation(),
                nodes = world.nodes(),
                "tables changed"
            );
            self.publish.send_replace(Arc::new(world));
        }
    }
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
