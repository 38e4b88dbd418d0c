//! HTTPS with JSON, for nodes that run statelitefs and for those who watch the server.
//!
//! | path | what it is | for whom |
//! |---|---|---|
//! | `/v1/policy` | the policy of the calling node, with generation and digest; `ETag`, `If-None-Match` | nodes |
//! | `/v1/events` | event stream: generation and digest, at once and when what the node is told changes | nodes |
//! | `/v1/snapshot` | all tables | service nodes, by certificate |
//! | `/v1/health` | how the server does | anyone |
//! | `/v1/metrics` | counters, as Prometheus text | anyone |
//!
//! No path takes the name of a node: a node is asked about by nobody but itself.

mod events;
mod node;
mod watch;

use super::identity::Peer;
use super::state::State;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Json, Response};
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Headers of a request fit in here, bytes; more is refused.
const HEADERS: usize = 16 * 1024;

/// A request's connection and what it is served from.
#[derive(Debug, Clone)]
pub struct Call {
    /// The server.
    pub state: Arc<State>,
    /// The connection.
    pub peer: Arc<Peer>,
}

/// Serves one connection until the client leaves, is silent too long, or the server ends.
pub async fn serve(state: &Arc<State>, stream: TlsStream<TcpStream>, peer: Peer) {
    let call = Call {
        state: Arc::clone(state),
        peer: Arc::new(peer),
    };
    let service = TowerToHyperService::new(routes(call));
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(state.config.limits.request_seconds))
        .max_buf_size(HEADERS)
        .half_close(false);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        done = connection.as_mut() => {
            if let Err(error) = done {
                tracing::debug!("HTTPS: {error}");
            }
        }
        () = state.stop() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// All paths.
fn routes(call: Call) -> Router {
    let count = |state: axum::extract::State<Call>, request, next: axum::middleware::Next| async move {
        state.state.metrics.http_requests.add();
        next.run(request).await
    };
    Router::new()
        .route("/v1/policy", get(node::policy))
        .route("/v1/events", get(events::stream))
        .route("/v1/snapshot", get(node::snapshot))
        .route("/v1/health", get(watch::health))
        .route("/v1/metrics", get(watch::metrics))
        .fallback(|| async { problem(StatusCode::NOT_FOUND, "no such path") })
        .layer(axum::middleware::from_fn_with_state(call.clone(), count))
        .with_state(call)
}

/// An answer that says what is wrong.
fn problem(status: StatusCode, text: &str) -> Response {
    (status, Json(serde_json::json!({ "error": text }))).into_response()
}
