//! A place with the program under its names, and tables of its own.

#![allow(dead_code)] // every test file uses some of it

pub mod server;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// The output of a command that must succeed.
    #[track_caller]
    pub fn good(self) -> String {
        assert_eq!(self.code, 0, "{self:#?}");
        self.out
    }

    /// The errors of a command that must fail with status 1.
    #[track_caller]
    pub fn bad(self) -> String {
        assert_eq!(self.code, 1, "{self:#?}");
        self.err
    }
}

/// A temporary directory with links to the program.
pub struct Place {
    pub dir: tempfile::TempDir,
    pub db: String,
}

impl Place {
    /// With an SQLite file.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("tables.sqlite").display().to_string();
        Self::with(dir, db)
    }

    /// With tables elsewhere.
    pub fn at(db: String) -> Self {
        Self::with(tempfile::tempdir().unwrap(), db)
    }

    fn with(dir: tempfile::TempDir, db: String) -> Self {
        for name in ["statelite", "tabdump", "tabrestore", "tabedit", "chtab"] {
            let program = env!("CARGO_BIN_EXE_statelite");
            std::os::unix::fs::symlink(program, dir.path().join(name)).unwrap();
        }
        Self { dir, db }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file below the directory and returns its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// A command line split at blanks, without input.
    pub fn run(&self, line: &str) -> Ran {
        self.with_env(line, &[], "")
    }

    /// As [`Place::run`] with environment and input. Temporary files go below the directory.
    pub fn with_env(&self, line: &str, env: &[(&str, &str)], input: &str) -> Ran {
        let mut words = line.split_whitespace();
        let program = self.path(words.next().unwrap());
        let mut child = Command::new(program)
            .args(words)
            .current_dir(self.dir.path())
            .env_remove("TABEDITOR")
            .env_remove("EDITOR")
            .env("STATELITE_DB", &self.db)
            .env("TMPDIR", self.dir.path())
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that does not read its input is no failure.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A sample table of the repository.
pub fn sample(name: &str) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    std::fs::read_to_string(dir.join(name)).unwrap()
}
