//! The status port, 3002: `ready`, `installstatus STATE`, `done`, in clear text.
//!
//! Anyone on the network can speak here, so little is believed: the address says which node it is, the state is
//! one of few characters, and nothing depends on it.

use super::identity::Peer;
use super::keeper::Report;
use super::state::State;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

/// The longest line, bytes.
const LONGEST: usize = 256;
/// The longest state, bytes.
const LONGEST_STATE: usize = 64;

/// Serves one connection.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    state: &Arc<State>,
    mut stream: S,
    peer: &Peer,
) {
    let world = state.keeper.world();
    let Some(caller) = state.identify(&world, peer).await else {
        tracing::warn!(peer = %peer.address, "a state from nobody we know");
        return;
    };
    if stream.write_all(b"ready\n").await.is_err() {
        return;
    }
    let patience = Duration::from_secs(state.config.limits.request_seconds);
    let Ok(Ok(line)) = timeout(patience, line(&mut stream)).await else {
        return;
    };
    let Some(status) = status(&line) else {
        tracing::warn!(node = caller.node, "not a state: {}", line.escape_debug());
        return;
    };
    if world.site().setting("nodestatus").is_none_or(wanted) {
        state.keeper.report(Report::Status {
            node: caller.node,
            status: status.to_owned(),
            time: super::keeper::timestamp(),
        });
    }
    let _ = stream.write_all(b"done\n").await;
    let _ = stream.shutdown().await;
}

/// `site.nodestatus` of `0` or `n` turns it off.
fn wanted(setting: &str) -> bool {
    !["0", "n", "no"]
        .iter()
        .any(|word| setting.eq_ignore_ascii_case(word))
}

/// Reads a line, or what there is before the end.
async fn line<S: AsyncRead + Unpin>(stream: &mut S) -> std::io::Result<String> {
    let mut bytes = Vec::with_capacity(64);
    while bytes.len() < LONGEST && !bytes.contains(&b'\n') {
        let mut piece = [0; 64];
        let count = stream.read(&mut piece).await?;
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// The state in a line.
fn status(line: &str) -> Option<&str> {
    let status = line.trim().strip_prefix("installstatus")?;
    let status = status.strip_prefix([' ', '\t'])?.trim();
    let good = |c: char| c.is_ascii_alphanumeric() || " ._-".contains(c);
    let fits = !status.is_empty() && status.len() <= LONGEST_STATE && status.chars().all(good);
    fits.then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states() {
        for (line, wanted) in [
            ("installstatus netbooting", Some("netbooting")),
            ("installstatus  booted\r", Some("booted")),
            ("installstatus failed x-1", Some("failed x-1")),
            ("installstatus", None),
            ("installstatus ", None),
            ("installstatusbooted", None),
            ("installstatus a;b", None),
            ("next", None),
            ("", None),
        ] {
            assert_eq!(status(line), wanted, "{line:?}");
        }
        assert_eq!(status(&format!("installstatus {}", "x".repeat(65))), None);
    }

    #[tokio::test]
    async fn lines_end() {
        for (sent, read) in [
            (b"installstatus a\nmore".to_vec(), "installstatus a"),
            (b"no end".to_vec(), "no end"),
            (vec![b'x'; 1000], &"x".repeat(256)),
        ] {
            let mut source = sent.as_slice();
            assert_eq!(line(&mut source).await.unwrap(), read);
        }
    }
}
