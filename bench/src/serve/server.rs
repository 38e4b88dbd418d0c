//! The server as a process: started, watched, ended.

use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long the server may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Mutex<Option<Child>>,
    pid: u32,
    /// The xCAT wire.
    pub wire: SocketAddr,
    /// The status port.
    pub status: SocketAddr,
    /// HTTPS.
    pub https: SocketAddr,
    /// Where its tables and certificates are.
    pub dir: PathBuf,
}

impl Server {
    /// Starts one on free ports of loopback.
    pub fn start(program: Option<&Path>, dir: &Path) -> Result<Self> {
        let program = match program {
            Some(program) => program.to_owned(),
            None => std::env::current_exe()?.with_file_name("statelite"),
        };
        let mut child = Command::new(&program)
            .arg("--db")
            .arg(dir.join(super::site::DB))
            .arg("serve")
            .arg("--config")
            .arg("/dev/null")
            .arg("--ca")
            .arg(dir.join("ca"))
            .args([
                "--bind",
                "127.0.0.1",
                "--port",
                "0",
                "--status-port",
                "0",
                "--https-port",
                "0",
            ])
            .env("RUST_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let mut address = |name: &str| -> Result<SocketAddr> {
            let line = lines.next().context("the server ended at once")??;
            let (port, address) = line.split_once(' ').context("an odd line")?;
            ensure!(port == name, "{line}: not {name}");
            Ok(address.parse()?)
        };
        let addresses =
            (|| Ok::<_, anyhow::Error>((address("Wire")?, address("Status")?, address("Https")?)))(
            );
        let (wire, status, https) = match addresses {
            Ok(addresses) => addresses,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        Ok(Self {
            pid: child.id(),
            child: Mutex::new(Some(child)),
            wire,
            status,
            https,
            dir: dir.to_owned(),
        })
    }

    /// CPU time used so far, seconds, user and system.
    pub fn cpu(&self) -> Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let rest = text.rsplit_once(')').context("an odd stat line")?.1;
        let mut ticks = 0;
        for word in rest.split_whitespace().skip(11).take(2) {
            ticks += word.parse::<u64>()?;
        }
        Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Memory in use and the most that was in use, MiB.
    pub fn memory(&self) -> Result<(f64, f64)> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let number = |name: &str| -> Result<f64> {
            let line = text.lines().find(|line| line.starts_with(name));
            let word = line.and_then(|line| line.split_whitespace().nth(1));
            Ok(word.context("no such line")?.parse::<f64>()? / 1024.0)
        };
        Ok((number("VmRSS:")?, number("VmHWM:")?))
    }

    /// Ends it and checks that it ended well.
    pub fn stop(&self) -> Result<()> {
        let Some(mut child) = self.take() else {
            return Ok(());
        };
        if let Some(pid) = rustix::process::Pid::from_raw(i32::try_from(child.id())?) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = child.try_wait()? {
                ensure!(status.success(), "the server ended with {status}");
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = child.kill();
        let _ = child.wait();
        bail!("the server did not end within {PATIENCE:?}")
    }

    fn take(&self) -> Option<Child> {
        let mut child = self
            .child
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        child.take()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
