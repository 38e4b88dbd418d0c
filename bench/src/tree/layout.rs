//! Where things lie below `bench/` in the tree. All paths are relative to the root.

/// Written last, when everything else is there.
pub const STAMP: &str = "bench/.complete";

/// Empty; the place that every target makes writable.
pub const WORK_DIR: &str = "bench/work";

/// A directory of seven components.
pub const DEEP_DIR: &str = "bench/deep/a/b/c/d/e";

/// A file of 39 kB in it: eight components.
pub const DEEP_FILE: &str = "bench/deep/a/b/c/d/e/file";

/// A git checkout.
pub const GIT_DIR: &str = "bench/git";

/// A small C project: `make O=<directory for objects> N=<how many files>`.
pub const C_DIR: &str = "bench/cc";
