//! A management server for one node that can misbehave: xCAT's wire with TLS on port 3001, and the status port 3002.
//!
//! It is small on purpose: what it says is a table given to it, so a test knows what a node was told.

mod tls;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use statelite_policy::wire::{self, Request};

pub use tls::{Authority, Validity};

use super::cage::Cage;

/// The longest that a client may keep a thread; a hanging answer lasts as long.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Good,
    /// Every request is denied.
    Refuse,
    /// The answer ends in its middle.
    Cut,
    /// There is no line for the node.
    Empty,
    /// No answer, and the connection stays.
    Hang,
    /// As it should, and the connection stays until the node ends it: xcatd waits for a further request.
    Stay,
    /// The connection is closed before TLS begins.
    Close,
}

/// What it knows about its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// The node's name.
    pub node: String,
    /// Option and path, in order.
    pub litefile: Vec<(String, String)>,
    /// `SERVER:DIR`, in order of priority.
    pub litetree: Vec<String>,
}

#[derive(Debug)]
struct State {
    manner: Manner,
    tables: Tables,
    tls: Arc<ServerConfig>,
    asked: Vec<String>,
    told: Vec<String>,
}

/// A server at one address.
#[derive(Debug)]
pub struct Xcatd {
    address: String,
    cage: Arc<Cage>,
    authority: Arc<Authority>,
    state: Arc<Mutex<State>>,
    running: Option<(Arc<AtomicBool>, Vec<JoinHandle<()>>)>,
}

impl Tables {
    /// What a litefile table in tabdump form and these directories come to for a node that every row is for.
    ///
    /// # Errors
    /// When the table is none.
    pub fn new(node: &str, litefile: &str, litetree: &[String]) -> Result<Self> {
        let rows = crate::litefile::rows(litefile)?;
        let option = |option: String| match option.as_str() {
            "" => "tmpfs,rw".to_owned(),
            _ => option,
        };
        Ok(Self {
            node: node.to_owned(),
            litefile: rows
                .into_iter()
                .map(|row| (option(row.options), row.file))
                .collect(),
            litetree: litetree.to_vec(),
        })
    }

    /// The lines that answer a command, with the node's name.
    fn lines(&self, command: &str) -> Vec<String> {
        let node = &self.node;
        match command {
            "litefile" => self
                .litefile
                .iter()
                .map(|(option, path)| format!("{node}: {}", wire::litefile_line(option, path)))
                .collect(),
            "litetree" => self
                .litetree
                .iter()
                .map(|dir| format!("{node}: {dir}"))
                .collect(),
            _ => Vec::new(),
        }
    }
}

impl Xcatd {
    /// Starts one whose certificate this authority signs.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn start(
        cage: &Arc<Cage>,
        authority: &Arc<Authority>,
        address: &str,
        tables: Tables,
    ) -> Result<Self> {
        cage.add_address(address)?;
        let state = State {
            manner: Manner::Good,
            tables,
            tls: authority.server(address, Validity::Good)?,
            asked: Vec::new(),
            told: Vec::new(),
        };
        let mut server = Self {
            address: address.to_owned(),
            cage: Arc::clone(cage),
            authority: Arc::clone(authority),
            state: Arc::new(Mutex::new(state)),
            running: None,
        };
        server.up()?;
        Ok(server)
    }

    /// Lets it serve, again.
    ///
    /// # Errors
    /// When the ports are taken.
    pub fn up(&mut self) -> Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        let (cage, address) = (Arc::clone(&self.cage), self.address.clone());
        // A thread that has entered the cage's network stays in it.
        let listeners = std::thread::spawn(move || -> Result<_> {
            cage.enter_network()?;
            let listen = |port| TcpListener::bind((address.as_str(), port));
            Ok((listen(3001)?, listen(3002)?))
        });
        let (wire, status) = match listeners.join() {
            Ok(listeners) => listeners.context("the management server's ports")?,
            Err(_) => anyhow::bail!("the listening thread ended"),
        };
        let on = Arc::new(AtomicBool::new(true));
        let threads = vec![
            accept(wire, &on, &self.state, answer),
            accept(status, &on, &self.state, note_status),
        ];
        self.running = Some((on, threads));
        Ok(())
    }

    /// Ends it: connections are refused.
    pub fn down(&mut self) {
        if let Some((on, threads)) = self.running.take() {
            on.store(false, Ordering::Relaxed);
            for thread in threads {
                let _ = thread.join();
            }
        }
    }

    /// How it answers from now on.
    pub fn set_manner(&self, manner: Manner) {
        lock(&self.state).manner = manner;
    }

    /// What it answers from now on.
    pub fn set_tables(&self, tables: Tables) {
        lock(&self.state).tables = tables;
    }

    /// The certificate that it shows from now on.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn set_certificate(&self, validity: Validity) -> Result<()> {
        lock(&self.state).tls = self.authority.server(&self.address, validity)?;
        Ok(())
    }

    /// The commands that were asked for, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        lock(&self.state).asked.clone()
    }

    /// What the node said on the status port, in order.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        lock(&self.state).told.clone()
    }
}

impl Drop for Xcatd {
    fn drop(&mut self) {
        self.down();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands each connection to a thread of its own until it is told to end.
fn accept(
    listener: TcpListener,
    on: &Arc<AtomicBool>,
    state: &Arc<Mutex<State>>,
    serve: fn(TcpStream, &Mutex<State>, &AtomicBool) -> Result<()>,
) -> JoinHandle<()> {
    let (on, state) = (Arc::clone(on), Arc::clone(state));
    std::thread::spawn(move || {
        // So that it can be told to end.
        let _ = listener.set_nonblocking(true);
        while on.load(Ordering::Relaxed) {
            let Ok((stream, _)) = listener.accept() else {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            };
            let (on, state) = (Arc::clone(&on), Arc::clone(&state));
            std::thread::spawn(move || {
                let ready = stream
                    .set_nonblocking(false)
                    .and_then(|()| stream.set_read_timeout(Some(PATIENCE)));
                if let Err(error) = ready
                    .map_err(Into::into)
                    .and_then(|()| serve(stream, &state, &on))
                {
                    eprintln!("management server: {error:#}");
                }
            });
        }
    })
}

fn answer(mut stream: TcpStream, state: &Mutex<State>, on: &AtomicBool) -> Result<()> {
    let (manner, tls) = {
        let state = lock(state);
        (state.manner, Arc::clone(&state.tls))
    };
    if manner == Manner::Close {
        return Ok(());
    }
    let mut tls = StreamOwned::new(ServerConnection::new(tls)?, &mut stream);
    let mut text = String::new();
    let mut some = [0; 4096];
    while !text.contains(wire::REQUEST_END) {
        let count = tls.read(&mut some).context("request")?;
        anyhow::ensure!(count > 0, "the request ended early: {text:?}");
        text.push_str(&String::from_utf8_lossy(
            some.get(..count).unwrap_or_default(),
        ));
        anyhow::ensure!(text.len() < wire::REQUEST_MAX, "a request without an end");
    }
    let request = Request::parse(text.trim())?;
    let lines = {
        let mut state = lock(state);
        state.asked.push(request.command.clone());
        state.tables.lines(&request.command)
    };
    let whole = wire::answer("mn", lines.iter().map(String::as_str));
    let reply = match manner {
        Manner::Good | Manner::Stay | Manner::Close => whole,
        Manner::Refuse => wire::refusal(wire::DENIED),
        Manner::Empty => wire::answer("mn", []),
        Manner::Cut => whole.chars().take(whole.len() / 2).collect(),
        Manner::Hang => {
            for _ in 0..PATIENCE.as_secs() * 10 {
                if !on.load(Ordering::Relaxed) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            return Ok(());
        }
    };
    tls.write_all(reply.as_bytes())?;
    if manner == Manner::Stay {
        tls.flush()?;
        // Its farewell, its end or an error: it is gone.
        let _ = tls.read(&mut some);
        return Ok(());
    }
    tls.conn.send_close_notify();
    tls.flush()?;
    Ok(())
}

/// The status port: `ready`, one line from the node, `done`.
fn note_status(mut stream: TcpStream, state: &Mutex<State>, _on: &AtomicBool) -> Result<()> {
    stream.write_all(b"ready\n")?;
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new((&stream).take(4096)),
        &mut line,
    )?;
    lock(state).told.push(line.trim().to_owned());
    stream.write_all(b"done\n")?;
    Ok(())
}

/// Writes the authority's certificate where an initramfs can take it from.
///
/// # Errors
/// When the file cannot be written.
pub fn write_ca(authority: &Authority, to: &Path) -> Result<()> {
    std::fs::write(to, authority.pem()).with_context(|| to.display().to_string())
}

#[cfg(test)]
mod tests;
