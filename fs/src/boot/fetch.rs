//! Asking the management server for this node's policy, over the wire of xCAT.

use super::cmdline::address::Host;
use super::saved::Lines;
use super::tls;
use anyhow::{Context as _, bail};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use statelite_policy::wire::{RESPONSE_MAX, Request, Response, WireError};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use timed::Timed;

/// How long the server may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a question and its whole answer may take.
const WHOLE: Duration = Duration::from_secs(120);
/// The element that ends an answer.
const DONE: &[u8] = b"<serverdone";
/// Where that element's response ends.
const RESPONSE_END: &[u8] = b"</xcatresponse>";

/// Asks for the lines of `node`, or of whom the server takes this node for if that is not known.
/// `limit` is for all addresses together, each having its share of what is left.
///
/// # Errors
/// No connection, a certificate that is refused, a refusal, an answer that is cut or empty:
/// none of them is a policy.
pub fn lines(
    server: &Host,
    addresses: &[IpAddr],
    config: &Arc<ClientConfig>,
    node: Option<&str>,
    limit: Option<Duration>,
) -> anyhow::Result<Lines> {
    let end = limit.map(|limit| Instant::now() + limit);
    let mut last = None;
    for (address, left) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let address = SocketAddr::new(*address, server.port);
        let share = end.map(|end| {
            let now = Instant::now();
            now + end.saturating_duration_since(now) / u32::try_from(left).unwrap_or(u32::MAX)
        });
        match from(server, address, config, node, share) {
            Ok(lines) => return Ok(lines),
            Err(e) => last = Some(e),
        }
    }
    let error = last.unwrap_or_else(|| anyhow::anyhow!("no address"));
    Err(error.context(format!("management server {server}")))
}

fn from(
    server: &Host,
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    node: Option<&str>,
    end: Option<Instant>,
) -> anyhow::Result<Lines> {
    let answer = ask(server, address, config, "litefile", end)?;
    let node = match node {
        Some(node) => node.to_owned(),
        None => taken_for(&answer).context("this node's name is not known (NODE= is missing)")?,
    };
    let litefile = owned(
        answer
            .lines(&node)
            .map_err(|e| explain(e, &answer, &node))?,
    );
    let answer = ask(server, address, config, "litetree", end)?;
    let litetree = match answer.lines(&node) {
        Ok(lines) => owned(lines),
        // A site without trees; but not one that takes us for somebody else.
        Err(WireError::Empty) if taken_for(&answer).is_none() => Vec::new(),
        Err(e) => return Err(explain(e, &answer, &node)),
    };
    Ok(Lines {
        node,
        litefile,
        litetree,
    })
}

fn owned(lines: Vec<&str>) -> Vec<String> {
    lines.into_iter().map(str::to_owned).collect()
}

/// Whom the server takes this node for.
fn taken_for(answer: &Response) -> Option<String> {
    let line = answer
        .info
        .iter()
        .find_map(|line| line.trim().split_once(": "))?;
    Some(line.0.to_owned())
}

fn explain(error: WireError, answer: &Response, node: &str) -> anyhow::Error {
    let advice = match (&error, taken_for(answer)) {
        (WireError::Refused(_), _) => {
            " (the policy table does not let this node ask for litefile and litetree, or the server does not know this \
             node's address)"
                .to_owned()
        }
        (WireError::Empty, Some(other)) if other != node => format!(
            ": the server takes this node for {other}, NODE= says {node} (it goes by the name of this node's address)"
        ),
        (WireError::Empty, _) => format!(" (no litefile row applies to {node} and its image)"),
        _ => String::new(),
    };
    anyhow::anyhow!("{error}{advice}")
}

/// One question on a connection of its own, as stock nodes ask.
fn ask(
    server: &Host,
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    command: &str,
    end: Option<Instant>,
) -> anyhow::Result<Response> {
    let whole = Instant::now() + WHOLE;
    let end = end.map_or(whole, |end| end.min(whole));
    let tcp = Timed::connect(&address, CONNECT, SILENCE, end)
        .with_context(|| format!("no connection to {address}"))?;
    let name = ServerName::try_from(server.name.clone())
        .unwrap_or_else(|_| ServerName::from(address.ip()));
    let tls = ClientConnection::new(Arc::clone(config), name)?;
    let mut stream = StreamOwned::new(tls, tcp);
    stream
        .write_all(Request::new(command).to_xml().as_bytes())
        .and_then(|()| stream.flush())
        .map_err(advise)?;
    let text = read_answer(&mut stream).map_err(advise)?;
    Response::parse(&text).context("the answer is not whole, or is none of xCAT's")
}

/// Reads up to the element that ends an answer, or to the end: a stock server keeps the connection for some time
/// after its answer, for a further request.
fn read_answer(stream: &mut StreamOwned<ClientConnection, Timed>) -> std::io::Result<String> {
    let mut text = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    let mut done = None;
    loop {
        let length = match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            // Stock servers close without saying so in TLS.
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset && !text.is_empty() => break,
            Err(e) => return Err(e),
        };
        let new = text.len().saturating_sub(DONE.len());
        text.extend_from_slice(buffer.get(..length).unwrap_or_default());
        done = done.or_else(|| find(&text, DONE, new));
        if done.is_some_and(|done| find(&text, RESPONSE_END, done).is_some()) {
            stream.conn.send_close_notify();
            let _ = stream.flush();
            break;
        }
        if text.len() > RESPONSE_MAX {
            return Err(std::io::Error::other("the answer does not end"));
        }
    }
    String::from_utf8(text).map_err(std::io::Error::other)
}

/// Where `what` begins in `text`, not before `from`.
fn find(text: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    rest.windows(what.len())
        .position(|here| here == what)
        .map(|at| from + at)
}

fn advise(error: std::io::Error) -> anyhow::Error {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls.map(|tls| (tls::advice(tls), tls)) {
        Some((Some(advice), _)) => anyhow::anyhow!(advice),
        Some((None, tls)) => anyhow::anyhow!("TLS: {tls}"),
        None if is_timeout(&error) => anyhow::anyhow!("it does not answer"),
        None if hung_up(&error) => {
            anyhow::anyhow!("it hangs up without an answer (is this xCAT's port?)")
        }
        None => error.into(),
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    matches!(error.kind(), TimedOut | WouldBlock)
}

fn hung_up(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

/// Refuses what cannot be asked for.
///
/// # Errors
/// Without `XCAT=`.
pub fn server(given: Option<&Host>) -> anyhow::Result<&Host> {
    match given {
        Some(server) => Ok(server),
        None => bail!(
            "no management server: XCAT=HOST:PORT is missing on the kernel command line (or say statelite.policy=file:DIR)"
        ),
    }
}

mod timed;

#[cfg(test)]
mod tests;
