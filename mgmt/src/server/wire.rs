//! The xCAT wire on port 3001: one request, one answer, end.
//!
//! The text is in [`statelite_policy::wire`]; here it is decided what is answered. A node asks about itself: a request that
//! names other nodes is denied, without a look at whether they exist.

mod partition;

use super::access::{self, Question};
use super::identity::{Caller, Peer, candidates};
use super::state::State;
use super::world::World;
use crate::resolve::answer::prefixed;
use statelite_policy::wire::{DENIED, REQUEST_END, Request, WireError, answer, refusal};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

/// How much is read at a time.
const PIECE: usize = 4096;

/// Serves one connection.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    state: &Arc<State>,
    mut stream: S,
    peer: &Peer,
) {
    let limits = &state.config.limits;
    let patience = Duration::from_secs(limits.request_seconds);
    let text = match timeout(patience, read(&mut stream, limits.request_bytes)).await {
        Ok(Ok(Some(text))) => text,
        // A client that leaves without a word is no error.
        Ok(Ok(None)) => return,
        Ok(Err(_)) | Err(_) => {
            state.metrics.wire_bad.add();
            return;
        }
    };
    let reply = match text {
        Ok(text) => reply(state, peer, &text).await,
        Err(error) => {
            state.metrics.wire_bad.add();
            refusal(&error.to_string())
        }
    };
    if stream.write_all(reply.as_bytes()).await.is_ok() {
        let _ = stream.shutdown().await;
    }
}

/// Reads to the end of a request. `None` when nothing came; an inner error when it is too long.
async fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
    longest: usize,
) -> std::io::Result<Option<Result<String, WireError>>> {
    let mut bytes: Vec<u8> = Vec::new();
    loop {
        let before = bytes.len();
        bytes.reserve(PIECE);
        let count = stream.read_buf(&mut bytes).await?;
        let from = before.saturating_sub(REQUEST_END.len());
        let fresh = bytes.get(from..).unwrap_or_default();
        let mut windows = fresh.windows(REQUEST_END.len());
        let end = windows.position(|window| window == REQUEST_END.as_bytes());
        if let Some(end) = end {
            bytes.truncate(from + end + REQUEST_END.len());
        } else if count > 0 && bytes.len() <= longest {
            continue;
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        if bytes.len() > longest {
            return Ok(Some(Err(WireError::TooLong(longest))));
        }
        return Ok(Some(Ok(String::from_utf8_lossy(&bytes).into_owned())));
    }
}

/// The answer to a request.
pub async fn reply(state: &Arc<State>, peer: &Peer, text: &str) -> String {
    let request = match Request::parse(text) {
        Ok(request) => request,
        Err(error) => {
            state.metrics.wire_bad.add();
            return refusal(&format!("Bad request: {error}"));
        }
    };
    let world = state.keeper.world();
    let caller = state.identify(&world, peer).await;
    let Some(caller) = caller.filter(|caller| permitted(&world, caller, &request)) else {
        state.metrics.wire_denied.add();
        let command = request.command.escape_debug();
        tracing::warn!(peer = %peer.address, certificate = ?peer.certificate, %command, "denied");
        return refusal(DENIED);
    };
    let text = match request.command.as_str() {
        "litefile" | "litetree" => lines(state, &world, &caller, &request.command).await,
        "getpartition" => partition::reply(&world, &caller.node).await,
        other => refusal(&format!("Unsupported command: {other}")),
    };
    state.metrics.wire_answered.add();
    tracing::debug!(node = caller.node, command = request.command, "answered");
    text
}

/// Whether the table and the rule that nodes ask about themselves permit it.
fn permitted(world: &World, caller: &Caller, request: &Request) -> bool {
    let own = |name: &str| {
        let name = name.trim();
        name == caller.node || candidates(name).contains(&caller.node)
    };
    let ranges = request.noderange.iter().flat_map(|range| range.split(','));
    if !ranges.into_iter().all(own) {
        return false;
    }
    may(world, caller, &request.command, &request.args)
}

/// Whether the policy table lets a node ask this about itself.
#[must_use]
pub fn may(world: &World, caller: &Caller, command: &str, args: &[String]) -> bool {
    let hosts: Vec<&str> = caller.hosts.iter().map(String::as_str).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let now = jiff::Zoned::now();
    let minute = i32::from(now.hour()) * 60 + i32::from(now.minute());
    let verdict = access::decide(
        world.site(),
        &Question {
            user: caller.user.as_deref(),
            hosts: &hosts,
            command,
            nodes: &[&caller.node],
            args: &args,
            minute: u16::try_from(minute).unwrap_or(0),
        },
    );
    tracing::debug!(node = caller.node, command, allowed = verdict.allowed, by = ?verdict.by, "policy table");
    verdict.allowed
}

async fn lines(state: &Arc<State>, world: &Arc<World>, caller: &Caller, command: &str) -> String {
    let Some(outcome) = state.answer(world, &caller.node).await else {
        return refusal("The server is ending");
    };
    match outcome.as_ref() {
        Ok(known) => {
            state.given(&outcome);
            let lines = match command {
                "litefile" => &known.answer.litefile,
                _ => &known.answer.litetree,
            };
            let lines = prefixed(&caller.node, lines);
            answer(&state.source, lines.iter().map(String::as_str))
        }
        Err(error) => refusal(error),
    }
}
