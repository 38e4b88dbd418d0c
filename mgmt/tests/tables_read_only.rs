//! Tables that the user may read and not write.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod tables_support;

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};
use tables_support::Place;

const NOBODY: u32 = 65534;

/// Runs a command as somebody who may not write: as an ordinary user, when the test is run by root.
fn run(program: &Path, db: &str, words: &[&str]) -> Output {
    let mut command = Command::new(program);
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.current_dir("/").arg("--db").arg(db).args(words);
    command.output().unwrap()
}

#[test]
fn who_may_only_read_the_file_reads_it() {
    let place = Place::new();
    let dir = place.dir.path();
    let program = dir.join("program");
    std::fs::copy(env!("CARGO_BIN_EXE_statelite"), &program).unwrap();
    let tables = dir.join("tables");
    std::fs::create_dir(&tables).unwrap();
    let db = tables.join("t.sqlite");
    let shown = db.display().to_string();
    let own = |words: &[&str]| {
        let done = Command::new(&program)
            .arg("--db")
            .arg(&db)
            .args(words)
            .output();
        let done = done.unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    };
    let mode = |path: &Path, mode| set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let closed = |closed: bool| {
        mode(&tables, if closed { 0o555 } else { 0o755 });
        mode(&db, if closed { 0o444 } else { 0o644 });
    };
    own(&["nodeadd", "n1", "groups=all"]);
    mode(dir, 0o755);
    closed(true);
    let read = || {
        let done = run(&program, &shown, &["nodels"]);
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    };
    assert_eq!(read(), "n1\n");
    let dump = run(&program, &shown, &["tabdump", "nodelist"]);
    assert!(dump.status.success(), "{dump:?}");

    let refused = run(&program, &shown, &["nodeadd", "n2", "groups=all"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains(&format!("the tables in {shown} may only be read")),
        "{said}"
    );

    // A file that may be written in a directory that may not.
    mode(&db, 0o666);
    assert_eq!(read(), "n1\n");

    // Somebody has it open, with a change in the log.
    closed(false);
    let mut open = statelite_mgmt::tables::Store::open(&shown).unwrap();
    own(&["nodeadd", "n2", "groups=all"]);
    assert!(tables.join("t.sqlite-wal").exists());
    closed(true);
    assert_eq!(read(), "n1\nn2\n");
    assert_eq!(open.site().unwrap().nodes().count(), 2);
    drop(open);
    closed(false);
    own(&["nodeadd", "n3", "groups=all"]);
    assert!(!tables.join("t.sqlite-wal").exists());
    closed(true);
    assert_eq!(read(), "n1\nn2\nn3\n");

    // Who may not read it at all is told so.
    mode(&db, 0o000);
    let refused = run(&program, &shown, &["nodels"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("cannot open the tables"), "{said}");
    closed(false);
}
