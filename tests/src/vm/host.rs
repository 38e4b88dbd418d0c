//! A clean Debian machine that runs on this kernel: a root of its own, a name, its own processes.
//!
//! Its root is the image of [`super::image`] with an overlay for what changes, so that commands find and leave
//! everything at the places where an administrator has it. Some directories are on this machine's disk as they are, for
//! servers outside. When this process ends, however it ends, all of it ends, mounts too.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use super::cage::First;
use super::{image, packages};
use crate::cmd::Cmd;

/// Installing packages, making an image.
const LONG: Duration = Duration::from_secs(500);

/// Runs as the first process, with the image, the directory of the machine and its name; the rest are the directories
/// that are on the disk.
const FIRST: &str = r#"
set -e
image=$1 dir=$2 name=$3; shift 3
mount -t overlay -o "lowerdir=$image,upperdir=$dir/changes,workdir=$dir/work" machine "$dir/root"
cd "$dir/root"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o mode=755 run run
mount -t tmpfs -o mode=1777 tmp tmp
for place; do mkdir -p "./$place"; mount --bind "$dir/disk$place" "./$place"; done
hostname "$name"
pivot_root . mnt
cd /
exec chroot . sh -c 'umount -l /mnt && echo ready && exec cat >/dev/null'
"#;

/// The machine.
#[derive(Debug)]
pub struct Host {
    name: String,
    dir: PathBuf,
    first: First,
    /// The network it is on once it is plugged in; until then it has this machine's, for the package archive.
    network: Option<PathBuf>,
}

impl Host {
    /// Starts one whose files are in `dir`. `disk` are directories that are on this machine's disk; [`Self::disk`] tells
    /// where.
    ///
    /// # Errors
    /// When there is no image, or this is not root.
    pub fn start(name: &str, dir: &Path, disk: &[&str]) -> Result<Self> {
        let image = image::base()?;
        for sub in ["changes", "work", "root"] {
            fs::create_dir_all(dir.join(sub))?;
        }
        for place in disk {
            fs::create_dir_all(dir.join("disk").join(place.trim_start_matches('/')))?;
        }
        let options = ["-m", "-u", "-p", "-f", "sh", "-c", FIRST, "host"].map(OsStr::new);
        let names = [image.as_os_str(), dir.as_os_str(), OsStr::new(name)];
        let disk = disk.iter().map(OsStr::new);
        let first = First::start(options.into_iter().chain(names).chain(disk))
            .with_context(|| format!("the machine {name} does not start"))?;
        let host = Self {
            name: name.to_owned(),
            dir: dir.to_path_buf(),
            first,
            network: None,
        };
        host.archive()?;
        Ok(host)
    }

    /// Gives it this machine's way to the package archive.
    fn archive(&self) -> Result<()> {
        self.write("/etc/apt/sources.list", &packages::apt()?.release_lines()?)?;
        let resolver = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        self.write("/etc/resolv.conf", &resolver)?;
        let mut hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
        hosts.push_str(&format!("127.0.1.1 {}\n", self.name));
        self.write("/etc/hosts", &hosts)?;
        let settings = self.inside("/etc/apt/apt.conf.d");
        for entry in fs::read_dir("/etc/apt/apt.conf.d").into_iter().flatten() {
            let entry = entry?;
            fs::copy(entry.path(), settings.join(entry.file_name()))?;
        }
        Ok(())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where one of the directories on the disk is for everybody else, or something in one.
    #[must_use]
    pub fn disk(&self, path: &str) -> PathBuf {
        self.dir.join("disk").join(path.trim_start_matches('/'))
    }

    /// Where a file of it is, seen from here while it runs.
    #[must_use]
    pub fn inside(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.first.pid())).join(path.trim_start_matches('/'))
    }

    /// Writes a file of it, with its parents.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        let place = self.inside(path);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent)?;
        }
        // It may be a link that leads out of the machine.
        let _ = fs::remove_file(&place);
        fs::write(&place, text).with_context(|| format!("{}: {path}", self.name))
    }

    /// Plugs it into a network, for good: a file as `/proc/PID/ns/net`.
    pub fn plug_in(&mut self, network: PathBuf) {
        self.network = Some(network);
    }

    fn entry(&self, network: Option<&Path>) -> Vec<String> {
        let mut words = vec!["-t".to_owned(), self.first.pid().to_string()];
        words.extend(["-m", "-u", "-p"].map(str::to_owned));
        words.extend(network.map(|file| format!("--net={}", file.display())));
        words.extend(
            [
                "--",
                "env",
                "-i",
                "HOME=/root",
                "USER=root",
                "LC_ALL=C.UTF-8",
            ]
            .map(str::to_owned),
        );
        words.push("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
        words
    }

    /// What an administrator types on it, with a time limit.
    #[must_use]
    pub fn cmd(&self, text: &str) -> Cmd {
        let entry = self.entry(self.network.as_deref());
        Cmd::new("nsenter")
            .args(entry)
            .args(["sh", "-c", text])
            .limit(LONG)
    }

    /// The same with the way to the package archive.
    #[must_use]
    pub fn online(&self, text: &str) -> Cmd {
        let mut cmd = Cmd::new("nsenter").args(self.entry(None));
        for (name, value) in std::env::vars() {
            if name.to_ascii_lowercase().ends_with("_proxy") {
                cmd = cmd.arg(format!("{name}={value}"));
            }
        }
        cmd.args(["sh", "-c", text]).limit(LONG)
    }

    /// A program on it that goes on running, until the machine ends; what it says is in the file `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn daemon(&self, text: &str, log: &Path) -> Result<Child> {
        let said = fs::File::create(log)?;
        Command::new("nsenter")
            .args(self.entry(self.network.as_deref()))
            .args(["sh", "-c", text])
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()
            .with_context(|| format!("{}: {text}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_machine_of_its_own() {
        if !crate::root_or_skip("it_is_a_machine_of_its_own") {
            return;
        }
        packages::install().unwrap();
        let dir = crate::scratch::directory().unwrap();
        let host = Host::start("mn", dir.path(), &["/install"]).unwrap();
        let say = "hostname; echo a >/install/a; echo b >/etc/b; cat /proc/1/comm; pwd";
        assert_eq!(host.cmd(say).check().unwrap().stdout, "mn\ncat\n/\n");
        assert_eq!(fs::read_to_string(host.disk("/install/a")).unwrap(), "a\n");
        assert_eq!(fs::read_to_string(host.inside("/etc/b")).unwrap(), "b\n");
        assert!(!Path::new("/etc/b").exists());
        let mut child = host
            .daemon("exec sleep 600", &dir.path().join("log"))
            .unwrap();
        drop(host);
        assert!(!child.wait().unwrap().success());
    }
}
