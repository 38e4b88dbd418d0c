//! A namespace of its own for everything that a site runs: a network that leads nowhere else, mounts, processes.
//!
//! The first process of it reads a pipe that this process holds. When this process ends, however it ends, the pipe
//! closes, the first process goes, and the kernel kills all others with it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::cmd::Cmd;

/// Runs as the first process: a private /run and a network of its own, then wait for the end. `br0` is the wire that
/// servers are on; its whole range belongs to this host unless a server takes an address.
const FIRST: &str = "mount -t tmpfs -o mode=755 run /run && ip link set lo up && \
    ip link add br0 type bridge && ip addr add 10.77.0.1/16 dev br0 && ip link set br0 up && \
    echo ready && exec cat >/dev/null";

/// The first process of namespaces; all in them ends with this.
#[derive(Debug)]
pub(super) struct First {
    outer: Child,
    /// Closing it ends everything inside.
    keep: Option<ChildStdin>,
    pid: u32,
}

impl First {
    /// Runs `unshare`. What it runs says `ready` on a line, and then reads its standard input to the end.
    pub(super) fn start<'a>(arguments: impl IntoIterator<Item = &'a OsStr>) -> Result<Self> {
        let mut outer = Command::new("unshare")
            .arg("--kill-child")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start unshare")?;
        let keep = outer.stdin.take();
        let mut said = String::new();
        if let Some(stdout) = outer.stdout.take() {
            BufReader::new(stdout).read_line(&mut said)?;
        }
        ensure!(said == "ready\n", "its first process ended");
        let pid = child_of(outer.id()).context("unshare has no child")?;
        Ok(Self { outer, keep, pid })
    }

    /// Its number, as seen from here.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }
}

impl Drop for First {
    fn drop(&mut self) {
        drop(self.keep.take());
        let _ = self.outer.wait();
    }
}

/// The namespaces.
#[derive(Debug)]
pub struct Cage {
    first: First,
}

impl Cage {
    /// Makes one.
    ///
    /// # Errors
    /// When this is not root, or namespaces are not allowed here.
    pub fn new() -> Result<Self> {
        let arguments = ["-n", "-m", "-p", "-f", "--mount-proc", "sh", "-c", FIRST];
        let first = First::start(arguments.map(OsStr::new))
            .context("namespaces cannot be made here: is this root?")?;
        Ok(Self { first })
    }

    /// The arguments of `nsenter` before the program's own.
    fn entry(&self) -> [String; 6] {
        let target = self.first.pid().to_string();
        ["-t", &target, "-n", "-m", "-p", "--"].map(str::to_owned)
    }

    /// A program inside, with a time limit.
    #[must_use]
    pub fn cmd(&self, program: &str) -> Cmd {
        Cmd::new("nsenter").args(self.entry()).arg(program)
    }

    /// A program inside that goes on running. What is started is `nsenter`; [`child_of`] tells the program itself.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(self.entry()).arg(program).stdin(Stdio::null());
        command
    }

    /// The network of it, for `nsenter --net`.
    #[must_use]
    pub fn network(&self) -> std::path::PathBuf {
        format!("/proc/{}/ns/net", self.first.pid()).into()
    }

    /// Gives this host of the cage another address, for instance for a node's management server.
    ///
    /// # Errors
    /// When it has it already, or is no IPv4 address.
    pub fn add_address(&self, address: &str) -> Result<()> {
        let address = format!("{address}/32");
        self.cmd("ip")
            .args(["addr", "add", &address, "dev", "br0"])
            .check()?;
        Ok(())
    }

    /// Moves the calling thread into the network of the cage, for good: what it listens on is reached from inside.
    ///
    /// # Errors
    /// When the cage is gone.
    pub fn enter_network(&self) -> Result<()> {
        let namespace = std::fs::File::open(format!("/proc/{}/ns/net", self.first.pid()))?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(())
    }
}

/// The first child of a process.
#[must_use]
pub fn child_of(pid: u32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_no_way_out_and_all_of_it_ends_with_the_cage() {
        if !crate::root_or_skip("it_has_no_way_out_and_all_of_it_ends_with_the_cage") {
            return;
        }
        let cage = Cage::new().unwrap();
        let routes = cage.cmd("ip").arg("route").check().unwrap().stdout;
        assert_eq!(routes.lines().count(), 1, "{routes}");
        cage.add_address("10.77.3.4").unwrap();
        let mut sleep = cage.command("sleep").arg("600").spawn().unwrap();
        let listener = std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                cage.enter_network().unwrap();
                std::net::TcpListener::bind("10.77.3.4:3001").unwrap()
            });
            inside.join().unwrap()
        });
        let dial = "exec 3<>/dev/tcp/10.77.3.4/3001";
        cage.cmd("bash").args(["-c", dial]).check().unwrap();
        drop(listener);
        drop(cage);
        assert!(!sleep.wait().unwrap().success());
    }
}
