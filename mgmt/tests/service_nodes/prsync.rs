use crate::sshd::{Sshd, can_run};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

#[test]
fn prsync_copies_over_ssh() {
    if !can_run() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for name in ["ours", "theirs", "ssh", "install/deep"] {
        std::fs::create_dir_all(path(name)).unwrap();
    }
    let odd = "install/deep/a 'file' with $odd \"name\"";
    std::fs::write(path(odd), "text").unwrap();
    std::fs::set_permissions(path(odd), std::fs::Permissions::from_mode(0o4750)).unwrap();
    std::fs::hard_link(path(odd), path("install/again")).unwrap();
    std::os::unix::fs::symlink("deep", path("install/link")).unwrap();
    let sshd = Sshd::start(&path("ssh"), "sn1", "sn2", &path("ours"), &path("theirs"));
    let db = path("tables.sqlite").display().to_string();
    let statelite = |words: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_statelite"))
            .args(["--db", &db])
            .args(words)
            .env("RSYNC_RSH", sshd.remote_shell())
            .current_dir(dir.path())
            .output()
            .unwrap()
    };
    assert!(
        statelite(&["nodeadd", "sn1,sn2", "groups=service"])
            .status
            .success()
    );
    let to = |range: &str| format!("{range}:{}/", path("ours").display());
    let done = statelite(&["prsync", "-v", "install", &to("sn1")]);
    assert!(done.status.success(), "{done:?}");
    let out = String::from_utf8(done.stdout).unwrap();
    assert!(out.lines().all(|line| line.starts_with("sn1: ")), "{out}");
    let copy = path("theirs").join(odd);
    let meta = std::fs::metadata(&copy).unwrap();
    assert_eq!(std::fs::read_to_string(&copy).unwrap(), "text");
    assert_eq!(meta.mode() & 0o7777, 0o4750);
    assert_eq!(meta.nlink(), 2);
    assert_eq!(
        std::fs::read_link(path("theirs/install/link"))
            .unwrap()
            .to_str(),
        Some("deep")
    );
    assert!(!path("ours/install").exists(), "it went through the server");
    // One that does not answer is named; the other is served all the same.
    std::fs::write(path("install/new"), "n").unwrap();
    let done = statelite(&["prsync", "install", &to("service")]);
    assert_eq!(done.status.code(), Some(1));
    let err = String::from_utf8(done.stderr).unwrap();
    assert!(err.contains("sn2: ssh: connect to host 127.0.0.1"), "{err}");
    assert!(err.contains("sn2: Error: rsync: exit status: "), "{err}");
    assert!(!err.contains("sn1"), "{err}");
    assert!(path("theirs/install/new").exists());
}
