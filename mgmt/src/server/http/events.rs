//! The stream of changes: a node that listens learns at once that it is told something else, and fetches it.
//!
//! Only the digest of what this node is told is watched. Between events a comment keeps the connection alive; it also
//! finds listeners that are gone.

use super::Call;
use super::node;
use crate::server::metrics::Metrics;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Between two comments.
const ALIVE: Duration = Duration::from_secs(30);

/// Counts a listener while it listens.
struct Listener(Arc<Metrics>);

impl Listener {
    fn new(metrics: &Arc<Metrics>) -> Self {
        metrics.listeners.add();
        Self(Arc::clone(metrics))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.listeners.sub();
    }
}

struct Progress {
    call: Call,
    worlds: watch::Receiver<Arc<crate::server::world::World>>,
    last: Option<String>,
    _listener: Listener,
}

/// `GET /v1/events`
pub(super) async fn stream(State(call): State<Call>) -> Response {
    let world = call.state.keeper.world();
    if let Err(response) = node::caller(&call, &world).await {
        return response;
    }
    let mut worlds = call.state.keeper.worlds();
    worlds.mark_changed();
    let progress = Progress {
        worlds,
        last: None,
        _listener: Listener::new(&call.state.metrics),
        call,
    };
    let events = stream::unfold(progress, |progress| async move { next(progress).await });
    let alive = KeepAlive::new().interval(ALIVE);
    Sse::new(events).keep_alive(alive).into_response()
}

/// Waits for a world in which the node is told something else. The stream ends with the server, or when the node
/// may no longer ask.
async fn next(mut progress: Progress) -> Option<(Result<Event, Infallible>, Progress)> {
    loop {
        tokio::select! {
            () = progress.call.state.stop() => return None,
            changed = progress.worlds.changed() => changed.ok()?,
        }
        let world = Arc::clone(&progress.worlds.borrow_and_update());
        let known = node::known(&progress.call, &world).await.ok()?;
        // A node whose rows are refused for the moment keeps what it has.
        let Ok(known) = known.as_ref() else {
            continue;
        };
        if progress.last.as_ref() == Some(&known.digest) {
            continue;
        }
        progress.last = Some(known.digest.clone());
        let data = serde_json::json!({
            "node": known.node,
            "generation": world.generation(),
            "digest": known.digest,
        });
        let event = Event::default()
            .event("policy")
            .id(&known.digest)
            .data(data.to_string());
        return Some((Ok(event), progress));
    }
}
