//! An ssh server on the loopback that stands for service nodes. It sees another directory where this machine has its own.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SSHD: &str = "/usr/sbin/sshd";

pub struct Sshd {
    child: Child,
    config: PathBuf,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the server can run here; says loudly when not.
pub fn can_run() -> bool {
    let root = rustix::process::geteuid().is_root();
    let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let programs = Path::new(SSHD).exists() && there("rsync") && there("unshare");
    if !(root && programs) {
        eprintln!("SKIPPED: service nodes over ssh need root, sshd, rsync and unshare");
    }
    root && programs
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

impl Sshd {
    /// Starts one that knows `host`; on it `seen` is what this machine has at `theirs`. Its files are in `dir`. The name
    /// `dead` leads to a port where nobody listens.
    pub fn start(dir: &Path, host: &str, dead: &str, seen: &Path, theirs: &Path) -> Self {
        std::fs::create_dir_all("/run/sshd").unwrap();
        for key in ["host", "user"] {
            let file = dir.join(key);
            run(Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(file));
        }
        std::fs::copy(dir.join("user.pub"), dir.join("authorized")).unwrap();
        let config = dir.join("ssh_config");
        // A port that is free now may be taken a moment later: then sshd ends, and another is tried.
        for _ in 0..20 {
            let [port, closed] = [free_port(), free_port()];
            let text = format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/authorized\n\
                 PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n",
                dir.display()
            );
            std::fs::write(dir.join("sshd_config"), text).unwrap();
            let public = std::fs::read_to_string(dir.join("host.pub")).unwrap();
            let known = format!("[127.0.0.1]:{port} {public}");
            std::fs::write(dir.join("known_hosts"), known).unwrap();
            let text = format!(
                "Host {host}\n  Port {port}\nHost {dead}\n  Port {closed}\nHost *\n  HostName 127.0.0.1\n  User root\n  \
                 IdentityFile {0}/user\n  IdentitiesOnly yes\n  UserKnownHostsFile {0}/known_hosts\n  \
                 GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  BatchMode yes\n",
                dir.display()
            );
            std::fs::write(&config, text).unwrap();
            let script =
                format!("mount --bind \"$1\" \"$2\" && exec {SSHD} -D -e -f \"$3\" 2>\"$4\"");
            let mut child = Command::new("unshare")
                .args(["-m", "sh", "-c", &script, "sh"])
                .args([
                    theirs,
                    seen,
                    &dir.join("sshd_config"),
                    &dir.join("sshd.log"),
                ])
                .stdin(Stdio::null())
                .spawn()
                .unwrap();
            if answers(port, &mut child) {
                return Self { child, config };
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        let log = std::fs::read_to_string(dir.join("sshd.log")).unwrap_or_default();
        panic!("sshd does not start:\n{log}");
    }

    /// The remote shell for rsync.
    pub fn remote_shell(&self) -> String {
        format!("ssh -F {}", self.config.display())
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Waits for the server's greeting; false when it ended, or says nothing for long.
fn answers(port: u16, child: &mut Child) -> bool {
    let end = Instant::now() + Duration::from_secs(30);
    while Instant::now() < end {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            stream
                .set_read_timeout(Some(Duration::from_secs(10)))
                .unwrap();
            let mut greeting = [0; 4];
            if stream.read_exact(&mut greeting).is_ok() && &greeting == b"SSH-" {
                return true;
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}
