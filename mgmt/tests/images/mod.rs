//! What the tests of image commands share: a site in a directory of its own, and the program run on it.

// Each test uses a part of this.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use statelite_mgmt::tables::schema::SITE;
use statelite_mgmt::tables::{Row, Store};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A site whose install directory and tables are in a temporary directory.
pub struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// An empty one.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Self { dir };
        let install = place.path("install");
        fs::create_dir(&install).unwrap();
        let change = |site: &mut statelite_mgmt::tables::Site| {
            let mut rows = site.rows(&SITE).to_vec();
            rows.retain(|row| row.get(&SITE, "key") != Some("installdir"));
            let row = Row::new(&SITE).with(&SITE, "key", "installdir");
            rows.push(row.with(&SITE, "value", install.to_str().unwrap()));
            site.put(&SITE, rows);
            Ok(())
        };
        place.store().change(change, false).unwrap();
        place
    }

    /// The tables.
    pub fn store(&self) -> Store {
        Store::open(self.path("tables.sqlite").to_str().unwrap()).unwrap()
    }

    /// A path in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// The text of a file.
    pub fn text(&self, name: &str) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Runs the real program under a name of its own, `genimage` for instance.
    pub fn run(&self, name: &str, args: &[&str]) -> Output {
        let link = self.path(name);
        if fs::symlink_metadata(&link).is_err() {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_statelite"), &link).unwrap();
        }
        let mut command = Command::new(link);
        command.args(args).stdin(Stdio::null());
        command.env("STATELITE_DB", self.path("tables.sqlite"));
        command.output().unwrap()
    }

    /// The same, which must succeed; returns what it printed.
    pub fn good(&self, name: &str, args: &[&str]) -> String {
        let output = self.run(name, args);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (said, errors) = (text(&output.stdout), text(&output.stderr));
        assert!(
            output.status.success(),
            "{name} {args:?}: {}\n{said}\n{errors}",
            output.status
        );
        said
    }

    /// The same, which must fail; returns its errors.
    pub fn bad(&self, name: &str, args: &[&str]) -> String {
        let output = self.run(name, args);
        assert!(!output.status.success(), "{name} {args:?} succeeded");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

/// Whether a test can run: as root, with these programs. Says so loudly when not.
pub fn can_run(what: &str, programs: &[&str]) -> bool {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: {what}: it needs root");
        return false;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has = |program: &str| std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    let missing: Vec<&str> = programs
        .iter()
        .copied()
        .filter(|program| !has(program))
        .collect();
    if !missing.is_empty() {
        eprintln!("SKIPPED: {what}: not installed: {}", missing.join(", "));
    }
    missing.is_empty()
}

/// A program in place of statelitefs, for tests of everything around the initrd: it writes its arguments to the
/// output it is asked for.
pub fn stand_in(place: &Place) -> PathBuf {
    let script = "#!/bin/sh\nall=\"$*\"\nwhile [ $# -gt 0 ]; do\n    \
                  [ \"$1\" = --output ] && out=$2\n    shift\ndone\necho \"$all\" >\"$out\"\n";
    place.write("stand-in", script, 0o755);
    place.path("stand-in")
}

/// Runs a tool of the test itself.
pub fn tool(program: &str, args: &[&str], dir: &Path) {
    let output = Command::new(program)
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {errors}");
}
