//! One virtual machine: a QEMU process inside a cage.
//!
//! It emulates the processor, has one of them, a network card on QEMU's user network, and no disk if it
//! is a node.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::cage::{Cage, child_of};
use super::console::Console;
use crate::cmd::Cmd;

/// How a machine starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// With this kernel, initramfs and command line.
    Direct {
        /// The kernel.
        kernel: PathBuf,
        /// The initramfs.
        initrd: PathBuf,
        /// The kernel's command line.
        cmdline: String,
    },
    /// From the network: the firmware asks for an address and gets this file by TFTP.
    Pxe {
        /// What the TFTP server gives away.
        tftp: PathBuf,
        /// The file to start with, below it.
        file: String,
    },
}

/// What the network tells a machine of itself, where it is not QEMU's usual `10.0.2.15` without a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Its name.
    pub name: String,
    /// Its address, in a network of its own: the first three numbers are the network's.
    pub address: std::net::Ipv4Addr,
}

/// What machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its number, from 1: decides its hardware address and its port for ssh.
    pub number: u8,
    /// How it starts.
    pub start: Start,
    /// Its memory in MiB.
    pub memory: u32,
    /// What DHCP tells it.
    pub lease: Option<Lease>,
    /// A disk of its own; nodes have none.
    pub disk: Option<PathBuf>,
    /// Addresses and TCP ports of the cage that lead to the same port of the machine.
    pub forward: Vec<(std::net::Ipv4Addr, u16)>,
}

impl Machine {
    /// The hardware address of its network card.
    #[must_use]
    pub fn mac(&self) -> String {
        format!("52:54:00:12:34:{:02x}", self.number)
    }

    /// The port of the cage's loopback that leads to its port 22.
    #[must_use]
    pub fn ssh_port(&self) -> u16 {
        2200 + u16::from(self.number)
    }

    fn args(&self, console: &Path, shell: &Path) -> Vec<String> {
        let mut network = format!(
            "user,id=n0,ipv6=off,hostfwd=tcp:127.0.0.1:{}-:22",
            self.ssh_port()
        );
        if let Some(Lease { name, address }) = &self.lease {
            let [a, b, c, _] = address.octets();
            let told = format!(",hostname={name},net={a}.{b}.{c}.0/24,dhcpstart={address}");
            network.push_str(&told);
        }
        for (address, port) in &self.forward {
            network.push_str(&format!(",hostfwd=tcp:{address}:{port}-:{port}"));
        }
        let mut card = format!("virtio-net-pci,netdev=n0,mac={}", self.mac());
        let start = match &self.start {
            Start::Direct {
                kernel,
                initrd,
                cmdline,
            } => {
                // No firmware for the card: it would only cost time.
                card.push_str(",romfile=");
                let file = |path: &Path| path.display().to_string();
                [
                    "-kernel",
                    &file(kernel),
                    "-initrd",
                    &file(initrd),
                    "-append",
                    cmdline,
                ]
                .map(str::to_owned)
                .to_vec()
            }
            Start::Pxe { tftp, file } => {
                network.push_str(&format!(",tftp={},bootfile={file}", tftp.display()));
                ["-boot", "n"].map(str::to_owned).to_vec()
            }
        };
        let fixed = "-M pc -accel tcg,tb-size=512 -cpu max -smp 1 -nodefaults -no-user-config -display none -no-reboot \
            -device virtio-rng-pci";
        let mut args: Vec<String> = fixed.split_whitespace().map(str::to_owned).collect();
        for (option, value) in [
            ("-m", self.memory.to_string()),
            // Everything goes to the file, whether somebody is connected or not.
            (
                "-chardev",
                format!(
                    "socket,id=console,path={}.input,server=on,wait=off,logfile={}",
                    console.display(),
                    console.display()
                ),
            ),
            ("-serial", "chardev:console".to_owned()),
            (
                "-serial",
                format!("unix:{},server=on,wait=off", shell.display()),
            ),
            ("-netdev", network),
            ("-device", card),
        ] {
            args.extend([option.to_owned(), value]);
        }
        if let Some(disk) = &self.disk {
            let drive = format!("file={},format=raw,if=virtio", disk.display());
            args.extend(["-drive".to_owned(), drive]);
        }
        args.extend(start);
        args
    }
}

/// How long a machine that was killed may take to be gone: its memory has to be given back.
const GONE: Duration = Duration::from_secs(30);

/// A running machine. Dropping it ends it.
#[derive(Debug)]
pub struct Qemu {
    nsenter: Child,
    console: Console,
    /// Where the console reads.
    keyboard: UnixStream,
    shell: PathBuf,
    /// What QEMU itself complains about.
    complaints: PathBuf,
}

impl Qemu {
    /// Starts it; its files (`console`, `shell`, `qemu`) are in `dir`.
    ///
    /// # Errors
    /// When QEMU does not start, with what it says.
    pub fn start(cage: &Arc<Cage>, machine: &Machine, dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let file = |name: &str| dir.join(name);
        for old in ["console", "console.input", "shell"] {
            let _ = std::fs::remove_file(file(old));
        }
        let complaints = std::fs::File::create(file("qemu"))?;
        let mut nsenter = cage
            .command("qemu-system-x86_64")
            .args(machine.args(&file("console"), &file("shell")))
            .stdout(Stdio::null())
            .stderr(complaints)
            .spawn()
            .context("cannot start QEMU")?;
        let deadline = Instant::now() + Duration::from_secs(20);
        let keyboard = loop {
            let found = UnixStream::connect(file("console.input"));
            if let (Ok(line), true) = (found, file("shell").exists()) {
                break line;
            }
            if nsenter.try_wait()?.is_some() || Instant::now() > deadline {
                let _ = nsenter.kill();
                let said = std::fs::read_to_string(file("qemu")).unwrap_or_default();
                bail!("QEMU does not start: {said}");
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        // What comes back is in the file too; left unread it would hold the machine up.
        let mut screen = keyboard.try_clone()?;
        std::thread::spawn(move || std::io::copy(&mut screen, &mut std::io::sink()));
        Ok(Self {
            nsenter,
            console: Console::new(file("console")),
            keyboard,
            shell: file("shell"),
            complaints: file("qemu"),
        })
    }

    /// Its console.
    #[must_use]
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// Types on its console.
    ///
    /// # Errors
    /// When the machine is gone.
    pub fn type_in(&mut self, text: &str) -> Result<()> {
        self.keyboard
            .write_all(text.as_bytes())
            .context("the console")
    }

    /// The socket of its second serial port.
    #[must_use]
    pub fn shell_socket(&self) -> &Path {
        &self.shell
    }

    /// Whether it runs.
    pub fn alive(&mut self) -> bool {
        matches!(self.nsenter.try_wait(), Ok(None))
    }

    /// The process that is the machine, as seen from here.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        child_of(self.nsenter.id())
    }

    /// Pulls the plug: SIGKILL. Returns when the machine is gone, and its ports are free for another.
    pub fn cut(&mut self) {
        if let Some(pid) = self.pid() {
            // It may have ended just now.
            let _ = Cmd::new("kill").args(["-9", &pid.to_string()]).run();
            // nsenter ends after it, and would not if it were killed first.
            let deadline = Instant::now() + GONE;
            while self.alive() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let _ = self.nsenter.kill();
        let _ = self.nsenter.wait();
    }

    /// Waits until the guest has switched itself off, or asked for a reset, which ends the machine too.
    ///
    /// # Errors
    /// When QEMU reports a failure, or at the limit.
    pub fn wait_off(&mut self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.nsenter.try_wait()? {
                if status.success() {
                    return Ok(());
                }
                let said = std::fs::read_to_string(&self.complaints).unwrap_or_default();
                bail!("QEMU ended with {status}: {said}");
            }
            if Instant::now() > deadline {
                bail!(
                    "the machine is still on after {} s\n{}",
                    limit.as_secs(),
                    self.console.tail()
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.cut();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_is_there_only_where_it_is_needed() {
        let machine = |start| Machine {
            number: 10,
            start,
            memory: 512,
            lease: None,
            disk: None,
            forward: Vec::new(),
        };
        let args = |machine: &Machine| machine.args(Path::new("/c"), Path::new("/s")).join(" ");
        let direct = args(&machine(Start::Direct {
            kernel: "/k".into(),
            initrd: "/i".into(),
            cmdline: "a=b c".into(),
        }));
        assert!(
            direct.ends_with("mac=52:54:00:12:34:0a,romfile= -kernel /k -initrd /i -append a=b c")
        );
        assert!(direct.contains("hostfwd=tcp:127.0.0.1:2210-:22 "));
        let pxe = args(&machine(Start::Pxe {
            tftp: "/t".into(),
            file: "pxelinux.0".into(),
        }));
        assert!(!pxe.contains("romfile"));
        assert!(pxe.contains("tftp=/t,bootfile=pxelinux.0 ") && pxe.ends_with("-boot n"));
    }

    #[test]
    fn a_lease_is_told_by_the_network() {
        let machine = Machine {
            number: 1,
            start: Start::Pxe {
                tftp: "/t".into(),
                file: "f".into(),
            },
            memory: 512,
            lease: Some(Lease {
                name: "n01".into(),
                address: [10, 0, 3, 15].into(),
            }),
            disk: None,
            forward: Vec::new(),
        };
        let args = machine.args(Path::new("/c"), Path::new("/s")).join(" ");
        let told = ",hostname=n01,net=10.0.3.0/24,dhcpstart=10.0.3.15,tftp=/t,bootfile=f ";
        assert!(args.contains(told), "{args}");
    }
}
