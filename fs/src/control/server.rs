//! The daemon's end of the control socket.

use super::status::Status;
use super::{Answer, DIR, Request, socket_path};
use crate::config::args::{MountArgs, PolicyArgs};
use crate::config::assemble::{self, Purpose};
use crate::fuse::notify::Kernel;
use crate::fuse::session::Agreed;
use crate::overlay::Overlay;
use anyhow::Context as _;
use parking_lot::Mutex;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Longest request, in bytes: a reload with some thousand rules on the command line fits.
const MAX_REQUEST: u64 = 4 << 20;
/// Requests that are answered at the same time.
const AT_A_TIME: usize = 4;
/// How long a client may take to send its request or take its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the control socket works on.
#[derive(Debug)]
pub struct Controlled {
    /// The merged view.
    pub overlay: Arc<Overlay>,
    /// Where it is mounted.
    pub mountpoint: PathBuf,
    /// The settings in force.
    pub args: Mutex<MountArgs>,
    /// Tells the kernel what to forget.
    pub kernel: Kernel,
    /// What was agreed with the kernel.
    pub agreed: Arc<Agreed>,
    /// Serving threads.
    pub threads: usize,
}

/// The open socket; removed when dropped.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Listener {
    /// Opens the socket of the mount at `mountpoint`, root only.
    ///
    /// # Errors
    /// As creating files in `/run`.
    pub fn open(mountpoint: &std::path::Path) -> std::io::Result<Listener> {
        std::fs::create_dir_all(DIR)?;
        std::fs::set_permissions(DIR, std::fs::Permissions::from_mode(0o700))?;
        let path = socket_path(mountpoint);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let socket = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Listener { socket, path })
    }

    /// Where the socket is.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Answers requests until the process ends, up to [`AT_A_TIME`] at a time: a reload or `explain` that waits for a
    /// server that is gone does not keep `status` from telling so.
    pub fn serve(&self, controlled: &Controlled) {
        std::thread::scope(|scope| {
            for _ in 1..AT_A_TIME {
                let thread = std::thread::Builder::new().name("control".to_owned());
                if let Err(e) = thread.spawn_scoped(scope, || self.serve_in_turn(controlled)) {
                    tracing::warn!("control socket: one thread less: {e}");
                }
            }
            self.serve_in_turn(controlled);
        });
    }

    fn serve_in_turn(&self, controlled: &Controlled) {
        for stream in self.socket.incoming() {
            let served = stream.and_then(|stream| serve_one(&stream, controlled));
            if let Err(e) = served {
                tracing::debug!("control socket: {e}");
            }
        }
    }
}

fn serve_one(stream: &UnixStream, controlled: &Controlled) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(stream.take(MAX_REQUEST)).read_line(&mut line)?;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => controlled.answer(request),
        Err(e) => Answer::Refused(format!("request not understood: {e}")),
    };
    let mut text = serde_json::to_string(&answer)?;
    text.push('\n');
    let mut stream = stream;
    stream.write_all(text.as_bytes())
}

impl Controlled {
    fn answer(&self, request: Request) -> Answer {
        match request {
            Request::Status => Answer::Status(Box::new(Status::of(
                &self.overlay,
                self.mountpoint.clone(),
                self.agreed.passthrough.load(Ordering::Acquire),
                self.threads,
            ))),
            Request::Explain(paths) => {
                let explained: Result<Vec<_>, _> = paths
                    .iter()
                    .map(|path| {
                        self.overlay
                            .explain(path.as_bytes())
                            .map_err(|e| format!("{path}: {e}"))
                    })
                    .collect();
                explained.map_or_else(Answer::Refused, Answer::Explained)
            }
            Request::Plan(policy) => match self.plan(*policy) {
                Ok(answer) => answer,
                Err(e) => Answer::Refused(format!("{e:#}")),
            },
            Request::Reload {
                policy,
                new_generation,
            } => match self.reload(*policy, new_generation) {
                Ok(answer) => answer,
                Err(e) => Answer::Refused(format!("{e:#}")),
            },
        }
    }

    /// The settings of the mount, for who reads or changes its policy.
    fn settings(&self) -> anyhow::Result<parking_lot::MutexGuard<'_, MountArgs>> {
        self.args
            .try_lock_for(PATIENCE)
            .context("another reload is still at work: perhaps it waits for a server")
    }

    fn plan(&self, policy: PolicyArgs) -> anyhow::Result<Answer> {
        let mut args = self.settings()?.clone();
        args.policy = policy.over(args.policy);
        let layers = self.overlay.view().layers.clone();
        let assembled = assemble::assemble(&args, Some(&layers), Purpose::Look)?;
        let plan = self.overlay.plan(assembled.tree, assembled.layers)?;
        Ok(Answer::Planned(plan, assembled.warnings))
    }

    fn reload(&self, policy: PolicyArgs, new_generation: bool) -> anyhow::Result<Answer> {
        let mut current = self.settings()?;
        let mut args = current.clone();
        args.policy = policy.over(args.policy);
        let layers = self.overlay.view().layers.clone();
        let assembled = assemble::assemble(&args, Some(&layers), Purpose::Use)?;
        let report = self.overlay.reload(
            assembled.tree,
            assembled.layers,
            new_generation,
            &self.kernel.round(),
        )?;
        *current = args;
        tracing::info!(
            "policy {} is in force: {} changed paths",
            report.generation,
            report.changed.len()
        );
        for warning in &assembled.warnings {
            tracing::warn!("{warning}");
        }
        Ok(Answer::Reloaded(report, assembled.warnings))
    }
}
