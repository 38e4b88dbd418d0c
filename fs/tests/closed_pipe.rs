//! Whoever reads what a command writes may have read enough.

use std::process::{Command, Stdio};

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let tables = tempfile::tempdir().unwrap();
    let rows = "#image,file,options,comments,disable\n\"ALL\",\"/etc/motd\",,,\n";
    std::fs::write(tables.path().join("litefile.csv"), rows).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = Command::new(env!("CARGO_BIN_EXE_statelitefs"))
        .arg("check")
        .arg(tables.path())
        .stdout(Stdio::from(writer))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && said.is_empty(), "{ended:?}");
}
