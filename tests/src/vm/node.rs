//! A node: a machine of a site that boots the image, and what can be done with it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::cage::Cage;
use super::console::Console;
use super::image;
use super::mountstats::{self, Traffic};
use super::qemu::{Machine, Qemu};
use super::shell::{Reply, Shell};
use crate::cmd::Outcome;

/// From power on to multi-user, on a busy machine.
pub const BOOT: Duration = Duration::from_secs(300);
/// One command.
pub const COMMAND: Duration = Duration::from_secs(60);
/// From the request until the power is off.
pub const OFF: Duration = Duration::from_secs(120);

/// A node that was switched on.
#[derive(Debug)]
pub struct Node {
    name: String,
    cage: Arc<Cage>,
    machine: Machine,
    qemu: Qemu,
    shell: Shell,
}

impl Node {
    /// Switches a machine on. Its console and other files are in `dir`.
    ///
    /// # Errors
    /// When QEMU does not start.
    pub fn switch_on(cage: &Arc<Cage>, name: &str, machine: Machine, dir: &Path) -> Result<Self> {
        let qemu = Qemu::start(cage, &machine, dir)?;
        let shell = Shell::connect(qemu.shell_socket())?;
        Ok(Self {
            name: name.to_owned(),
            cage: Arc::clone(cage),
            machine,
            qemu,
            shell,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its console.
    #[must_use]
    pub fn console(&self) -> &Console {
        self.qemu.console()
    }

    /// The process that is the machine.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.qemu.pid()
    }

    /// Waits until the console says this.
    ///
    /// # Errors
    /// See [`Console::wait`].
    pub fn wait_console(&mut self, pattern: &str, limit: Duration) -> Result<()> {
        let console = self.qemu.console().clone();
        console
            .wait(pattern, limit, || self.qemu.alive())
            .with_context(|| format!("node {}", self.name))
    }

    /// Waits until the console says these, one after the other.
    ///
    /// # Errors
    /// See [`Console::wait`].
    pub fn wait_in_order(&mut self, patterns: &[&str], limit: Duration) -> Result<()> {
        let console = self.qemu.console().clone();
        let mut from = 0;
        for pattern in patterns {
            from = console
                .wait_after(from, pattern, limit, || self.qemu.alive())
                .with_context(|| format!("node {}", self.name))?;
        }
        Ok(())
    }

    /// Types on the console.
    ///
    /// # Errors
    /// When the machine is gone.
    pub fn type_in(&mut self, text: &str) -> Result<()> {
        self.qemu.type_in(text)
    }

    /// Waits until the shell of the image answers: early in the second half of the boot.
    ///
    /// # Errors
    /// When the boot fails, or at the limit; with the end of the console.
    pub fn wait_shell(&mut self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            match self.shell.is_ready() {
                Ok(true) => return Ok(()),
                Ok(false) if Instant::now() < deadline => {
                    // Says early when there is no hope; awaits nothing otherwise.
                    let console = self.qemu.console().clone();
                    console.check(|| self.qemu.alive())?;
                }
                Ok(false) => bail!(
                    "node {}: no shell after {} s\n{}",
                    self.name,
                    limit.as_secs(),
                    self.console().tail()
                ),
                Err(error) => {
                    return Err(error.context(format!(
                        "node {}\n{}",
                        self.name,
                        self.console().tail()
                    )));
                }
            }
        }
    }

    /// Waits until the boot is finished and returns systemd's word for the result, `running` if all is well.
    ///
    /// # Errors
    /// When the boot fails, or at the limit.
    pub fn wait_booted(&mut self) -> Result<String> {
        self.wait_shell(BOOT)?;
        let reply = self
            .shell
            .run("systemctl is-system-running --wait", BOOT)
            .with_context(|| format!("node {}\n{}", self.name, self.console().tail()))?;
        Ok(reply.output.trim().to_owned())
    }

    /// Waits until the boot is finished, and requires that everything runs.
    ///
    /// # Errors
    /// When it does not, with the failed units and what they say.
    pub fn wait_running(&mut self) -> Result<()> {
        let state = self.wait_booted()?;
        if state != "running" {
            let failed = self.run("systemctl --failed --no-legend --plain; journalctl -b -p err --no-pager | tail -n 40")?;
            bail!("node {}: {state}\n{}", self.name, failed.output);
        }
        Ok(())
    }

    /// Runs a command in the node as root.
    ///
    /// # Errors
    /// When no answer comes; with the end of the console.
    pub fn run(&mut self, command: &str) -> Result<Reply> {
        self.run_within(command, COMMAND)
    }

    /// The same with another limit.
    ///
    /// # Errors
    /// When no answer comes; with the end of the console.
    pub fn run_within(&mut self, command: &str, limit: Duration) -> Result<Reply> {
        self.shell
            .run(command, limit)
            .with_context(|| format!("node {}\n{}", self.name, self.qemu.console().tail()))
    }

    /// Runs a command that has to succeed, and returns what it wrote.
    ///
    /// # Errors
    /// When it fails, with what it wrote.
    pub fn check(&mut self, command: &str) -> Result<String> {
        let reply = self.run(command)?;
        ensure!(
            reply.code == 0,
            "node {}: {command}: exit status {}\n{}",
            self.name,
            reply.code,
            reply.output
        );
        Ok(reply.output)
    }

    /// Starts a command, waits for a word in what it writes, and pulls the plug at that very moment.
    ///
    /// # Errors
    /// When the word does not come; with the end of the console.
    pub fn cut_at(&mut self, command: &str, word: &str) -> Result<()> {
        let pid = self.qemu.pid().context("the machine is off")?;
        let said = self.shell.until(command, word, COMMAND);
        let pid = Pid::from_raw(i32::try_from(pid)?).context("no process")?;
        // The very call: starting a program for it would give the node time.
        kill_process(pid, Signal::KILL)?;
        self.qemu.cut();
        said.with_context(|| format!("node {}\n{}", self.name, self.qemu.console().tail()))
    }

    /// The arguments of `ssh` up to the command, for root of this node.
    ///
    /// # Errors
    /// When there is no key.
    pub fn ssh_args(&self) -> Result<Vec<String>> {
        let key = image::ssh_key()?.display().to_string();
        let port = self.machine.ssh_port().to_string();
        let fixed = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=30";
        let mut args: Vec<String> = fixed.split(' ').map(str::to_owned).collect();
        args.extend(["-i", &key, "-p", &port, "root@127.0.0.1"].map(str::to_owned));
        Ok(args)
    }

    /// Runs a command through ssh.
    ///
    /// # Errors
    /// When ssh cannot be started; everything else is in the outcome.
    pub fn ssh(&self, command: &str) -> Result<Outcome> {
        let ssh = self.cage.cmd("ssh").args(self.ssh_args()?);
        ssh.arg(command).limit(COMMAND).run()
    }

    /// The cage that it is in.
    #[must_use]
    pub fn cage(&self) -> &Arc<Cage> {
        &self.cage
    }

    /// The NFS traffic of the mounts below `/`, wherever they are: those that processes see, and those that only the
    /// daemon sees that serves `/`.
    ///
    /// # Errors
    /// When the node does not answer.
    pub fn traffic(&mut self) -> Result<Vec<Traffic>> {
        let daemon = "for p in /proc/[0-9]*; do read -r name <$p/cmdline; case \"$name\" in @*) cat $p/mountstats;; esac; \
            done 2>/dev/null; cat /proc/self/mountstats";
        Ok(mountstats::parse(&self.check(daemon)?))
    }

    /// Switches off in an orderly way, and waits for it. Returns the console's text of the whole run.
    ///
    /// # Errors
    /// When it does not go off within the limit.
    pub fn power_off(&mut self) -> Result<String> {
        self.end("poweroff")
    }

    /// Reboots in an orderly way. The machine ends where it would start again; switch on another to go on.
    ///
    /// # Errors
    /// When it does not end within the limit.
    pub fn reboot(&mut self) -> Result<String> {
        self.end("reboot")
    }

    fn end(&mut self, how: &str) -> Result<String> {
        // The shell may be stopped before it can answer.
        let _ = self
            .shell
            .run(&format!("systemctl {how} --no-block"), COMMAND);
        self.wait_off(OFF)?;
        Ok(self.console().text())
    }

    /// Waits until the machine is off.
    ///
    /// # Errors
    /// At the limit, with the end of the console.
    pub fn wait_off(&mut self, limit: Duration) -> Result<()> {
        self.qemu
            .wait_off(limit)
            .with_context(|| format!("node {}", self.name))
    }

    /// Whether the machine runs.
    pub fn alive(&mut self) -> bool {
        self.qemu.alive()
    }

    /// A power cut.
    pub fn cut(&mut self) {
        self.qemu.cut();
    }
}
