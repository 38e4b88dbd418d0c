//! A site of its own for each test.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Tables in a directory, and the program.
pub struct Cluster {
    pub dir: tempfile::TempDir,
}

/// What a command did.
pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Done {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self {
            code: output.status.code().unwrap(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }
}

pub fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/samples")
        .join(name)
}

impl Cluster {
    /// A site without nodes.
    pub fn empty() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// A site with the nodes n01 to n03 in the group compute.
    pub fn new() -> Self {
        let cluster = Self::empty();
        cluster.good(
            "nodeadd n01-n03 groups=compute,all nodetype.os=rhels6.2 nodetype.arch=x86_64 \
             nodetype.profile=compute noderes.nfsserver=10.0.0.1",
        );
        cluster
    }

    /// Runs `statelite` with these words, separated by spaces.
    pub fn run(&self, words: &str) -> Done {
        self.words(&words.split_whitespace().collect::<Vec<_>>())
    }

    pub fn words(&self, words: &[&str]) -> Done {
        let output = Command::new(env!("CARGO_BIN_EXE_statelite"))
            .args(words)
            .env("STATELITE_DB", self.dir.path().join("tables.sqlite"))
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        Done::of(&output)
    }

    /// Runs a command that must succeed and returns what it prints.
    pub fn good(&self, words: &str) -> String {
        let done = self.run(words);
        assert_eq!(done.code, 0, "{words}: {}{}", done.out, done.err);
        done.out
    }

    /// Runs a command that must fail and returns what it says.
    pub fn bad(&self, words: &str) -> String {
        let done = self.run(words);
        assert_eq!(done.code, 1, "{words}: {}{}", done.out, done.err);
        assert!(done.err.starts_with("Error: "), "{words}: {}", done.err);
        done.err
    }

    /// Sets values with `chtab`, whose words may have spaces.
    pub fn chtab(&self, key: &str, value: &str) {
        let done = self.words(&["chtab", key, value]);
        assert_eq!(done.code, 0, "{key} {value}: {}", done.err);
    }

    /// Loads a sample into the table.
    pub fn load(&self, table: &str, name: &str) {
        let path = sample(name);
        let path = path.to_str().unwrap();
        let done = self.words(&["tabrestore", "-t", table, path]);
        assert_eq!(done.code, 0, "{name}: {}", done.err);
    }
}
