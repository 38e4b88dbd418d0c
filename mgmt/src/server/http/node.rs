//! What a node asks about itself, and a service node about all.

use super::{Call, problem};
use crate::hierarchy;
use crate::hierarchy::snapshot::Snapshot;
use crate::server::answers::Outcome;
use crate::server::identity::Caller;
use crate::server::wire;
use crate::server::world::World;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Json, Response};
use serde::Serialize;
use std::sync::Arc;

/// The policy of a node.
#[derive(Debug, Serialize)]
struct Policy<'a> {
    node: &'a str,
    generation: u64,
    digest: &'a str,
    image: &'a str,
    dialect: String,
    litefile: &'a [String],
    litetree: &'a [String],
    statemnt: Option<&'a str>,
}

/// The calling node, if it may read its policy.
pub(super) async fn caller(call: &Call, world: &World) -> Result<Caller, Response> {
    let denied = || problem(StatusCode::FORBIDDEN, "Permission denied for request");
    let caller = call
        .state
        .identify(world, &call.peer)
        .await
        .ok_or_else(denied)?;
    // The policy is what both commands would tell.
    let both = ["litefile", "litetree"];
    if both
        .iter()
        .all(|command| wire::may(world, &caller, command, &[]))
    {
        Ok(caller)
    } else {
        Err(denied())
    }
}

/// What the calling node is told.
pub(super) async fn known(call: &Call, world: &Arc<World>) -> Result<Arc<Outcome>, Response> {
    let caller = caller(call, world).await?;
    let known = call.state.answer(world, &caller.node).await;
    known.ok_or_else(|| problem(StatusCode::SERVICE_UNAVAILABLE, "the server is ending"))
}

/// `GET /v1/policy`
pub(super) async fn policy(State(call): State<Call>, headers: HeaderMap) -> Response {
    let world = call.state.keeper.world();
    let outcome = match known(&call, &world).await {
        Ok(outcome) => outcome,
        Err(response) => return response,
    };
    let known = match outcome.as_ref() {
        Ok(known) => known,
        // No policy is no answer: the node keeps the one it has.
        Err(error) => return problem(StatusCode::UNPROCESSABLE_ENTITY, error),
    };
    let tag = format!("\"{}\"", known.digest);
    let asked = headers.get_all(IF_NONE_MATCH).iter();
    let mut asked = asked.filter_map(|value| value.to_str().ok());
    if asked.any(|value| matches(value, &tag)) {
        return (StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response();
    }
    call.state.given(&outcome);
    let body = Policy {
        node: &known.node,
        generation: world.generation(),
        digest: &known.digest,
        image: &known.image,
        dialect: known.dialect.to_string(),
        litefile: &known.answer.litefile,
        litetree: &known.answer.litetree,
        statemnt: known.answer.statemnt.as_deref(),
    };
    ([(ETAG, tag)], Json(body)).into_response()
}

/// Whether `If-None-Match` names the tag.
fn matches(header: &str, tag: &str) -> bool {
    let mut tags = header.split(',').map(str::trim);
    tags.any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

/// `GET /v1/snapshot`
pub(super) async fn snapshot(State(call): State<Call>) -> Response {
    let world = call.state.keeper.world();
    let name = call.peer.certificate.as_deref();
    let service = name.is_some_and(|name| {
        world.has_node(name) && hierarchy::service::is_service_node(world.site(), name)
    });
    if !service {
        tracing::warn!(peer = %call.peer.address, certificate = ?name, "snapshot denied");
        return problem(
            StatusCode::FORBIDDEN,
            "only service nodes, by certificate, get the tables",
        );
    }
    let taken = call.state.keeper.health().fresh;
    let task = tokio::task::spawn_blocking(move || {
        Snapshot::take(world.site(), world.generation(), taken).text()
    });
    match task.await {
        Ok(Ok(text)) => ([(CONTENT_TYPE, "application/json")], text).into_response(),
        _ => problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the snapshot cannot be made",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn tags() {
        for (header, same) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
            ("", false),
        ] {
            assert_eq!(matches(header, "\"a\""), same, "{header}");
        }
    }
}
