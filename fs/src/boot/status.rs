//! Telling the management server that this node boots, as xCAT's initramfs does: on port 3002, in clear text, the server
//! says `ready`, the node `installstatus netbooting`, the server `done`.
//!
//! Nothing depends on it. It is said beside the boot, which does not wait for it.

use super::cmdline::CommandLine;
use super::net::Network;
use super::net::resolve::Resolver;
use anyhow::{Context as _, bail};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Where a management server takes states.
const PORT: u16 = 3002;
/// For a connection, and for each line.
const PATIENCE: Duration = Duration::from_secs(1);
/// What a node says before its root is mounted.
const STATE: &str = "netbooting";
/// No answer is longer.
const LONGEST: u64 = 256;

/// Tells the server of the command line, if there is one and `nonodestatus` is not there.
pub fn tell(line: &CommandLine, network: &Network) {
    let Some(server) = line.server.clone().filter(|_| !line.no_status) else {
        return;
    };
    let network = network.clone();
    let told = move || -> anyhow::Result<()> {
        let mut last = anyhow::anyhow!("no address");
        for address in Resolver::new(&network).lookup(&server.name)? {
            match say(SocketAddr::new(address, PORT)) {
                Ok(()) => return Ok(()),
                Err(e) => last = e,
            }
        }
        Err(last)
    };
    let thread = std::thread::Builder::new().name("status".into());
    let started = thread.spawn(move || match told() {
        Ok(()) => tracing::debug!("the management server knows that this node is {STATE}"),
        Err(e) => {
            tracing::debug!("the management server is not told that this node is {STATE}: {e:#}")
        }
    });
    if let Err(e) = started {
        tracing::debug!("no thread to tell the node's state: {e}");
    }
}

/// The whole dialogue.
fn say(address: SocketAddr) -> anyhow::Result<()> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("no connection to {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new((&stream).take(LONGEST));
    for (awaited, answer) in [
        ("ready", Some(format!("installstatus {STATE}\n"))),
        ("done", None),
    ] {
        let mut line = String::new();
        lines
            .read_line(&mut line)
            .with_context(|| format!("awaiting \"{awaited}\""))?;
        if line.trim() != awaited {
            bail!(
                "\"{}\" instead of \"{awaited}\"",
                line.trim().escape_debug()
            );
        }
        if let Some(answer) = answer {
            (&stream).write_all(answer.as_bytes())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::time::Instant;

    /// Has a node speak to a server that greets it so; what the node says is the second result.
    fn spoken(greeting: &'static str, farewell: &'static str) -> (anyhow::Result<()>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(greeting.as_bytes()).unwrap();
            let mut said = String::new();
            BufReader::new(&stream).read_line(&mut said).unwrap();
            let _ = stream.write_all(farewell.as_bytes());
            said
        });
        let result = say(address);
        (result, server.join().unwrap())
    }

    #[test]
    fn the_state_is_said_when_the_server_is_ready() {
        let (result, said) = spoken("ready\n", "done\n");
        result.unwrap();
        assert_eq!(said, "installstatus netbooting\n");
        let (result, said) = spoken("HTTP/1.1 400\n", "");
        assert!(format!("{:#}", result.unwrap_err()).contains("instead of \"ready\""));
        assert_eq!(said, "", "it told somebody else");
        assert!(spoken("ready\n", "no\n").0.is_err());
    }

    #[test]
    fn a_boot_does_not_wait_for_a_server_that_is_silent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let begin = Instant::now();
        let result = say(listener.local_addr().unwrap());
        assert!(format!("{:#}", result.unwrap_err()).contains("awaiting \"ready\""));
        // One line is awaited, for a second; ten are a busy machine.
        assert!(begin.elapsed() < PATIENCE * 10, "{:?}", begin.elapsed());

        // 192.0.2.1 is nobody's (RFC 5737).
        let line = super::super::cmdline::parse("XCAT=192.0.2.1:3001").unwrap();
        let begin = Instant::now();
        tell(&line, &Network::default());
        assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    }
}
