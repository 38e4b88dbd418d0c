//! SSH settings of an image (`add_ssh`): the server's settings, the host keys all nodes share, root's keys.
//!
//! xCAT's script also wrote `StrictHostKeyChecking no` into the management node's own client settings, once per run.
//! Here it goes into the image's, and a second run changes nothing.

use super::root::{Attributes, Root, RootError};
use std::io;
use std::path::{Path, PathBuf};

/// Why SSH settings cannot be brought over.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// {0}
    #[error(transparent)]
    Root(#[from] RootError),
    /// {path}: {why}
    #[error("{}: {why}", path.display())]
    Source {
        /// The file on the management node.
        path: PathBuf,
        /// Why it cannot be read.
        why: io::Error,
    },
}

/// Where the keys are on the management node.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The nodes' host keys, `ssh_host_*_key`.
    pub host: PathBuf,
    /// Files for root's `.ssh` directory in the image.
    pub shared: PathBuf,
    /// Root's own `.ssh` directory.
    pub root: PathBuf,
}

/// Files of root's own directory that go into the image.
const OWN: &[&str] = &[
    "id_rsa",
    "id_rsa.pub",
    "id_ed25519",
    "id_ed25519.pub",
    "config",
];

/// Does it, and returns what it did and left out, for people.
///
/// # Errors
/// [`SshError`]. Each file is written whole or not at all.
pub fn bring(keys: &Keys, root: &Root) -> Result<Vec<String>, SshError> {
    let mut report = Vec::new();
    match root.text("/etc/ssh/sshd_config")? {
        Some(text) => {
            let wanted = server(&text);
            if wanted != text {
                if !root.exists("/etc/ssh/sshd_config.ORIG") {
                    let attributes = root.attributes("/etc/ssh/sshd_config")?;
                    root.write(
                        "/etc/ssh/sshd_config.ORIG",
                        text.as_bytes(),
                        Some(attributes),
                    )?;
                }
                root.write("/etc/ssh/sshd_config", wanted.as_bytes(), None)?;
                report
                    .push("etc/ssh/sshd_config edited; the old one is sshd_config.ORIG".to_owned());
            }
        }
        None => {
            report.push("the image has no etc/ssh/sshd_config: no SSH server in it?".to_owned())
        }
    }
    if let Some(text) = root.text("/etc/ssh/ssh_config")? {
        let wanted = client(&text);
        if wanted != text {
            root.write("/etc/ssh/ssh_config", wanted.as_bytes(), None)?;
            report.push("etc/ssh/ssh_config: StrictHostKeyChecking no".to_owned());
        }
    }
    host_keys(&keys.host, root, &mut report)?;
    root_keys(keys, root, &mut report)?;
    Ok(report)
}

fn host_keys(dir: &Path, root: &Root, report: &mut Vec<String>) -> Result<(), SshError> {
    let mut count = 0;
    for name in files(dir)? {
        let (private, public) = (name.ends_with("_key"), name.ends_with("_key.pub"));
        if name.starts_with("ssh_host_") && (private || public) {
            root.make_dir("/etc/ssh", 0o755)?;
            let mode = if private { 0o600 } else { 0o644 };
            let data = read(&dir.join(&name))?;
            root.write(
                &format!("/etc/ssh/{name}"),
                &data,
                Some(Attributes::root(mode)),
            )?;
            count += u32::from(private);
        }
    }
    report.push(match count {
        0 => format!(
            "no host keys in {}: the image keeps those it has",
            dir.display()
        ),
        n => format!("{n} host keys installed from {}", dir.display()),
    });
    Ok(())
}

fn root_keys(keys: &Keys, root: &Root, report: &mut Vec<String>) -> Result<(), SshError> {
    root.make_dir("/root", 0o700)?;
    root.make_dir("/root/.ssh", 0o700)?;
    let shared = files(&keys.shared)?;
    for name in &shared {
        let data = read(&keys.shared.join(name))?;
        root.write(
            &format!("/root/.ssh/{name}"),
            &data,
            Some(Attributes::root(0o600)),
        )?;
    }
    let own = files(&keys.root)?;
    for name in OWN.iter().filter(|name| own.iter().any(|own| own == *name)) {
        let mode = if name.ends_with(".pub") { 0o644 } else { 0o600 };
        let data = read(&keys.root.join(name))?;
        root.write(
            &format!("/root/.ssh/{name}"),
            &data,
            Some(Attributes::root(mode)),
        )?;
    }
    // Without shared files nothing would let the management node in.
    let mut authorized = root.text("/root/.ssh/authorized_keys")?.unwrap_or_default();
    let before = authorized.len();
    for name in OWN.iter().filter(|name| name.ends_with(".pub")) {
        let path = keys.root.join(name);
        if !own.iter().any(|own| own == name) {
            continue;
        }
        let key = String::from_utf8_lossy(&read(&path)?).trim().to_owned();
        if !key.is_empty() && !authorized.lines().any(|line| line.trim() == key) {
            if !authorized.is_empty() && !authorized.ends_with('\n') {
                authorized.push('\n');
            }
            authorized.push_str(&key);
            authorized.push('\n');
        }
    }
    if authorized.len() > before {
        let attributes = Some(Attributes::root(0o600));
        root.write(
            "/root/.ssh/authorized_keys",
            authorized.as_bytes(),
            attributes,
        )?;
    }
    report.push(match authorized.is_empty() {
        true => format!(
            "no key of root in {}: make one with ssh-keygen",
            keys.root.display()
        ),
        false => "root's keys installed in root/.ssh".to_owned(),
    });
    Ok(())
}

/// The server's settings as xCAT makes them: X11 forwarding, no key regeneration where that setting is known, and as
/// many unfinished connections as a parallel shell over a cluster opens.
#[must_use]
pub fn server(text: &str) -> String {
    const STARTUPS: &str = "MaxStartups 1024";
    let mut lines: Vec<String> = Vec::new();
    let mut matched = false;
    for line in text.lines() {
        let word = line.split_whitespace().next().unwrap_or_default();
        // What follows a Match line is for some only, and stays as it is.
        matched |= word == "Match";
        lines.push(match word {
            _ if matched => line.to_owned(),
            "X11Forwarding" => "X11Forwarding yes".to_owned(),
            "KeyRegenerationInterval" => "KeyRegenerationInterval 0".to_owned(),
            "MaxStartups" if line != STARTUPS => format!("#{line}"),
            _ => line.to_owned(),
        });
    }
    if !lines.iter().any(|line| line == STARTUPS) {
        let matched = |line: &String| line.split_whitespace().next() == Some("Match");
        let end = lines.iter().position(matched).unwrap_or(lines.len());
        lines.insert(end, STARTUPS.to_owned());
    }
    lines.join("\n") + "\n"
}

/// The client's settings: nodes come and go, so their keys are not asked about.
#[must_use]
pub fn client(text: &str) -> String {
    let set = |line: &str| {
        let mut words = line.split_whitespace();
        words.next() == Some("StrictHostKeyChecking")
    };
    if text.lines().any(set) {
        return text.to_owned();
    }
    let end = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{text}{end}Host *\n    StrictHostKeyChecking no\n")
}

/// The plain files of a directory; none when it is not there.
fn files(dir: &Path) -> Result<Vec<String>, SshError> {
    let fail = |why| SshError::Source {
        path: dir.to_owned(),
        why,
    };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fail(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(fail)?;
        if entry.path().is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn read(path: &Path) -> Result<Vec<u8>, SshError> {
    std::fs::read(path).map_err(|why| SshError::Source {
        path: path.to_owned(),
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn server_settings() {
        for (before, after) in [
            ("", "MaxStartups 1024\n"),
            (
                "X11Forwarding no\n#MaxStartups 10\nMaxStartups 10:30:60\n",
                "X11Forwarding yes\n#MaxStartups 10\n#MaxStartups 10:30:60\nMaxStartups 1024\n",
            ),
            (
                "KeyRegenerationInterval 1h\nMatch User git\n    X11Forwarding no\n",
                "KeyRegenerationInterval 0\nMaxStartups 1024\nMatch User git\n    X11Forwarding no\n",
            ),
        ] {
            assert_eq!(server(before), after, "{before:?}");
            assert_eq!(server(after), after);
        }
    }

    #[test]
    fn client_settings() {
        let wanted = "Port 22\nHost *\n    StrictHostKeyChecking no\n";
        assert_eq!(client("Port 22"), wanted);
        assert_eq!(client(wanted), wanted);
        let theirs = "Host *\n  StrictHostKeyChecking yes\n";
        assert_eq!(client(theirs), theirs);
    }

    #[test]
    fn keys_reach_the_image_and_nothing_else_changes() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: installing keys into an image: it needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for (name, text) in [
            ("host/ssh_host_rsa_key", "private"),
            ("host/ssh_host_rsa_key.pub", "public"),
            ("host/README", "not a key"),
            ("shared/authorized_keys", "ssh-rsa shared"),
            ("own/id_rsa", "mine"),
            ("own/id_rsa.pub", "ssh-rsa mine\n"),
            ("own/known_hosts", "secret"),
            ("R/etc/ssh/sshd_config", "X11Forwarding no\n"),
            ("R/etc/ssh/ssh_config", ""),
        ] {
            std::fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            std::fs::write(path(name), text).unwrap();
        }
        let keys = Keys {
            host: path("host"),
            shared: path("shared"),
            root: path("own"),
        };
        let root = Root::open(&path("R")).unwrap();
        let first = bring(&keys, &root).unwrap();
        assert_eq!(first.len(), 4, "{first:?}");
        let all = |root: &Root| {
            let dirs = ["/etc/ssh", "/root/.ssh"];
            let files = dirs.iter().flat_map(|dir| {
                let names = root.names(dir).unwrap();
                names.into_iter().map(move |name| format!("{dir}/{name}"))
            });
            files
                .map(|file| {
                    let mode = root.attributes(&file).unwrap().mode;
                    let text = root.text(&file).unwrap().unwrap();
                    format!("{mode:o} {file} {text:?}")
                })
                .collect::<Vec<_>>()
        };
        let wanted = [
            "644 /etc/ssh/ssh_config \"Host *\\n    StrictHostKeyChecking no\\n\"",
            "600 /etc/ssh/ssh_host_rsa_key \"private\"",
            "644 /etc/ssh/ssh_host_rsa_key.pub \"public\"",
            "644 /etc/ssh/sshd_config \"X11Forwarding yes\\nMaxStartups 1024\\n\"",
            "644 /etc/ssh/sshd_config.ORIG \"X11Forwarding no\\n\"",
            "600 /root/.ssh/authorized_keys \"ssh-rsa shared\\nssh-rsa mine\\n\"",
            "600 /root/.ssh/id_rsa \"mine\"",
            "644 /root/.ssh/id_rsa.pub \"ssh-rsa mine\\n\"",
        ];
        assert_eq!(all(&root), wanted);
        bring(&keys, &root).unwrap();
        assert_eq!(all(&root), wanted);
        let mode = std::fs::metadata(path("R/root/.ssh"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
