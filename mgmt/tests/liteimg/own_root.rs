//! The root of the machine the commands run on is no image. Tried in a root of the test's own (chroot), never in the real one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_statelite");

/// Copies the program and its libraries below a root.
fn install(root: &Path) {
    let listed = Command::new("ldd").arg(PROGRAM).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    for word in listed
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
    {
        let to = root.join(word.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(word, to).unwrap();
    }
    let to = root.join("statelite");
    if fs::hard_link(PROGRAM, &to).is_err() {
        fs::copy(PROGRAM, to).unwrap();
    }
}

/// Runs a command with that directory as the root of the machine.
fn within(root: &Path, args: &[&str]) -> Output {
    // As root of a user namespace where the tests are not root.
    let mut command = Command::new("unshare");
    command
        .args(["--map-root-user", "chroot"])
        .arg(root)
        .arg("/statelite");
    command.args(args).stdin(Stdio::null()).output().unwrap()
}

/// Every name below a root, with the content of files; the program and its libraries by size alone.
fn content(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = walkdir::WalkDir::new(root).into_iter().map(Result::unwrap);
    let content = |entry: walkdir::DirEntry| {
        let meta = entry.metadata().unwrap();
        let content = match meta.is_file() && meta.len() < 4096 {
            true => fs::read(entry.path()).unwrap(),
            false if meta.is_file() => meta.len().to_string().into_bytes(),
            false => Vec::new(),
        };
        (entry.into_path(), content)
    };
    entries.map(content).collect()
}

#[test]
fn no_command_changes_the_machine_it_runs_on() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    install(root);
    let probe = within(root, &["--version"]);
    if !probe.status.success() {
        let why = String::from_utf8_lossy(&probe.stderr).into_owned();
        eprintln!("SKIPPED: commands on the root of the machine need a chroot: {why}");
        return;
    }
    let files: [(&str, &str); 12] = [
        ("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
        ("etc/group", "root:x:0:\n"),
        ("etc/shadow", "root:*:1::::::\n"),
        ("etc/ssh/sshd_config", "Port 22\n"),
        ("etc/ssh/ssh_config", "Port 22\n"),
        ("etc/motd", "mine\n"),
        (
            "other/etc/passwd",
            "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n",
        ),
        ("other/etc/group", "root:x:0:\nann:x:1000:\n"),
        (
            "other/etc/shadow",
            "root:$6$new:1::::::\nann:$6$a:1::::::\n",
        ),
        ("keys/ssh_host_rsa_key", "secret"),
        ("own/id_rsa.pub", "ssh-rsa AAAA me"),
        (
            "tables/litefile.csv",
            "#image,file,options,comments,disable\n\"ALL\",\"/etc/motd\",,,\n",
        ),
    ];
    for (path, text) in files {
        let path: PathBuf = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    std::os::unix::fs::symlink("/", root.join("rootimg")).unwrap();
    let before = content(root);
    for place in ["/", "/etc/..", "/rootimg"] {
        let ssh = ["--hostkeys", "/keys", "--shared", "/keys", "--own", "/own"];
        for args in [
            [&["add_passwd", "--from", "/other", place][..], &[]].concat(),
            [
                &["add_passwd", "--whole", "--from", "/other", place][..],
                &[],
            ]
            .concat(),
            [&["add_ssh", place][..], &ssh[..]].concat(),
            [
                &["liteimg", "img", "--tables", "/tables", "--rootimg", place][..],
                &[],
            ]
            .concat(),
        ] {
            let output = within(root, &args);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
            assert!(said.contains("root of this machine"), "{args:?}: {said}");
            assert!(content(root) == before, "{args:?} changed something");
        }
    }
}
