//! A real NFS server in user space: NFS-Ganesha, versions 3, 4.0 and 4.1.
//!
//! Not 4.2: current kernels then read with READ_PLUS, which this server answers so that files look full of zeros.
//! Each server is a host of its own (a network namespace on the cage's wire) with its own port mapper, at the
//! usual ports. It can be killed, as by a power cut, or be unplugged, so that nobody answers.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::cage::{Cage, child_of};
use crate::cmd::Cmd;

/// It starts in a fraction of a second; the rest is for a busy machine.
const START: Duration = Duration::from_secs(30);

/// Runs on the server's host, with its directory as `$0`. The port mapper outlives the server.
const SERVE: &str = "mount --bind \"$0/run\" /run && { [ -S /run/rpcbind.sock ] || rpcbind -w; } && \
    exec ganesha.nfsd -F -f \"$0/ganesha.conf\" -L \"$0/ganesha.log\" -p /run/ganesha/pid -N NIV_EVENT";

/// A directory that a server gives away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The directory.
    pub path: PathBuf,
    /// What clients of every version call it.
    pub name: String,
    /// Whether clients may write.
    pub writable: bool,
}

/// A server at one address.
#[derive(Debug)]
pub struct NfsServer {
    cage: Arc<Cage>,
    host: String,
    address: String,
    dir: PathBuf,
    running: Option<Child>,
}

impl NfsServer {
    /// Starts one with a host name of up to 15 letters that keeps its own files in `dir`.
    ///
    /// # Errors
    /// When it does not come up, with its log.
    pub fn start(
        cage: &Arc<Cage>,
        (host, address): (&str, &str),
        dir: &Path,
        exports: &[Export],
    ) -> Result<Self> {
        for sub in ["recovery", "run/ganesha", "run/rpcbind"] {
            std::fs::create_dir_all(dir.join(sub))?;
        }
        std::fs::write(dir.join("ganesha.conf"), config(dir, exports))?;
        let plug = format!(
            "ip netns add {host} && ip link add name {host} type veth peer name eth0 netns {host} && \
             ip link set {host} master br0 up && ip -n {host} addr add {address}/16 dev eth0 && \
             ip -n {host} link set eth0 up && ip -n {host} link set lo up"
        );
        cage.cmd("sh").args(["-c", &plug]).check()?;
        let mut server = Self {
            cage: Arc::clone(cage),
            host: host.to_owned(),
            address: address.to_owned(),
            dir: dir.to_path_buf(),
            running: None,
        };
        server.up()?;
        Ok(server)
    }

    /// Takes the server off the wire, or puts it back.
    ///
    /// # Errors
    /// When the cage is gone.
    pub fn plug(&self, there: bool) -> Result<()> {
        let state = if there { "up" } else { "down" };
        let link = ["link", "set", &self.host, state];
        self.cage.cmd("ip").args(link).check()?;
        Ok(())
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The network of its host, while it serves.
    #[must_use]
    pub fn network(&self) -> Option<PathBuf> {
        let server = child_of(self.running.as_ref()?.id())?;
        Some(format!("/proc/{server}/ns/net").into())
    }

    /// Lets it serve, again.
    ///
    /// # Errors
    /// When it does not come up, with its log.
    pub fn up(&mut self) -> Result<()> {
        self.down();
        let log = self.dir.join("ganesha.log");
        let _ = std::fs::remove_file(&log);
        let child = self
            .cage
            .command("ip")
            .args([
                "netns", "exec", &self.host, "unshare", "-m", "sh", "-c", SERVE,
            ])
            .arg(&self.dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start ganesha.nfsd")?;
        let child = self.running.insert(child);
        let start = Instant::now();
        loop {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            if text.contains("NFS SERVER INITIALIZED") {
                return Ok(());
            }
            if child.try_wait()?.is_some() || start.elapsed() > START {
                bail!("the NFS server does not start:\n{text}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it at once, as a power cut would.
    pub fn down(&mut self) {
        if let Some(mut nsenter) = self.running.take() {
            if let Some(pid) = child_of(nsenter.id()) {
                let kill = Cmd::new("kill").args(["-9", &pid.to_string()]);
                let _ = kill.run();
            }
            let _ = nsenter.kill();
            let _ = nsenter.wait();
        }
        let _ = std::fs::remove_file(self.dir.join("run/ganesha/pid"));
    }
}

impl Drop for NfsServer {
    fn drop(&mut self) {
        self.down();
    }
}

/// The server believes nothing it knows for long: tests edit its files behind its back, which a server in the
/// kernel would see at once.
fn config(dir: &Path, exports: &[Export]) -> String {
    let mut text = format!(
        "NFS_CORE_PARAM {{ Protocols = 3,4; NFS_Port = 2049; MNT_Port = 20048;\n\
         \x20 Enable_NLM = false; Enable_RQUOTA = false; Enable_UDP = false; mount_path_pseudo = true; }}\n\
         NFSv4 {{ Graceless = true; Minor_Versions = 0,1; RecoveryBackend = fs; RecoveryRoot = {}/recovery;\n\
         \x20 Allow_Numeric_Owners = true; Only_Numeric_Owners = true; Lease_Lifetime = 30; }}\n\
         NFS_KRB5 {{ Active_krb5 = false; }}\n\
         EXPORT_DEFAULTS {{ Squash = No_Root_Squash; SecType = sys; Protocols = 3,4; Transports = TCP;\n\
         \x20 PrivilegedPort = false; Attr_Expiration_Time = 0; }}\n",
        dir.display()
    );
    for (id, export) in (1..).zip(exports) {
        let access = if export.writable { "RW" } else { "RO" };
        text.push_str(&format!(
            "EXPORT {{ Export_Id = {id}; Path = {}; Pseudo = {}; Access_Type = {access}; FSAL {{ Name = VFS; }} }}\n",
            export.path.display(),
            export.name
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_comes_goes_and_comes_back() {
        if !crate::root_or_skip("a_server_comes_goes_and_comes_back") {
            return;
        }
        crate::vm::packages::install().unwrap();
        let cage = Arc::new(Cage::new().unwrap());
        let dir = crate::scratch::directory().unwrap();
        let one = dir.path().join("exported");
        std::fs::create_dir_all(&one).unwrap();
        let export = Export {
            path: one,
            name: "/one".into(),
            writable: false,
        };
        let exports = [export];
        let host = |name, address| {
            NfsServer::start(&cage, (name, address), &dir.path().join(name), &exports).unwrap()
        };
        let (mut server, other) = (host("images", "10.77.0.2"), host("states", "10.77.0.3"));
        let listens = |server: &NfsServer| {
            let dial = format!("exec 3<>/dev/tcp/{}/2049", server.address());
            cage.cmd("bash")
                .args(["-c", &dial])
                .run()
                .unwrap()
                .success()
        };
        assert!(listens(&server) && listens(&other));
        server.down();
        assert!(!listens(&server) && listens(&other));
        server.up().unwrap();
        assert!(listens(&server));
    }
}
