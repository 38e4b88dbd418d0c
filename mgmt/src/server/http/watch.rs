//! What those who watch the server ask; nothing in it is about one node.

use super::Call;
use crate::server::keeper::now;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Json, Response};

/// `GET /v1/health`: 200 while the tables are current, 503 when they are older than `stale_seconds`.
pub(super) async fn health(State(call): State<Call>) -> Response {
    let state = &call.state;
    let (world, health) = (state.keeper.world(), state.keeper.health());
    let age = now().saturating_sub(health.fresh);
    let stale = age > state.config.stale_seconds;
    let (code, word) = match (stale, &health.error) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "stale"),
        (false, Some(_)) => (StatusCode::OK, "degraded"),
        (false, None) => (StatusCode::OK, "ok"),
    };
    let body = serde_json::json!({
        "status": word,
        "source": health.source,
        "age_seconds": age,
        "generation": world.generation(),
        "nodes": world.nodes(),
        "database": if health.error.is_none() { "ok" } else { "unavailable" },
    });
    (code, Json(body)).into_response()
}

/// `GET /v1/metrics`
pub(super) async fn metrics(State(call): State<Call>) -> Response {
    let state = &call.state;
    let (world, health) = (state.keeper.world(), state.keeper.health());
    let (ready, computed) = state.cache.counts();
    let [wire, status, https] = &state.gates;
    let turned_away = wire.turned_away() + status.turned_away() + https.turned_away();
    let sent_away = wire.sent_away() + status.sent_away() + https.sent_away();
    let text = state.metrics.render(&[
        ("generation", "generation of the tables", world.generation()),
        ("nodes", "nodes in the tables", world.nodes() as u64),
        (
            "tables_age_seconds",
            "seconds since the tables were known to be current",
            now().saturating_sub(health.fresh),
        ),
        (
            "from_snapshot",
            "1 while a snapshot stands in for the database",
            u64::from(world.from_snapshot()),
        ),
        (
            "wire_connections",
            "connections to the xCAT wire",
            wire.open() as u64,
        ),
        (
            "status_connections",
            "connections to the status port",
            status.open() as u64,
        ),
        (
            "https_connections",
            "connections to HTTPS",
            https.open() as u64,
        ),
        (
            "sent_away_total",
            "connections that gave their place to a newer one",
            sent_away,
        ),
        ("turned_away_total", "connections over a limit", turned_away),
        ("answers_ready_total", "answers that were kept ready", ready),
        ("answers_computed_total", "answers computed", computed),
    ]);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
